"""Agents that trade for participants of the market, as typed values (docs/market.md).

Units are those of `gateway.config.market`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class AgentKind(StrEnum):
    """By what an agent bids."""

    PROSUMER = "prosumer"
    ARBITRAGE = "arbitrage"
    PLAN = "plan"


class AgentState(IntEnum):
    """Whether an agent bids, and if not, why."""

    STOPPED = 0
    BIDS = 1
    NO_FORECAST = 2
    NO_PRICE = 3
    NO_LEVEL = 4
    AT_LIMIT = 5
    REFUSED = 6
    NOT_TRADING = 7
    NO_PLAN = 8

    @property
    def text(self) -> str:
        return (
            "stopped",
            "bids",
            "no forecast",
            "no price",
            "no level",
            "at its limit",
            "refused",
            "the market does not trade",
            "no plan",
        )[self]


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What an agent may do: of an order, and of all intervals of a day together, open and traded."""

    order_wh: int
    day_wh: int
    day_spend: int
    price_low: int
    price_high: int


@dataclass(frozen=True, slots=True)
class Prosumer:
    """Sells from ``source`` and buys for ``consumer`` what forecasts leave over, between two prices of a feed."""

    source: str | None
    consumer: str | None
    production: str | None
    consumption: str | None
    production_share: float
    consumption_share: float
    quantile: float
    max_age_s: int
    quotes: str
    edge: int


@dataclass(frozen=True, slots=True)
class Arbitrage:
    """Buys low into ``storage`` and sells high out of it. ``quotes`` None: by the last day's cleared prices."""

    storage: str
    quotes: str | None
    efficiency: int
    wear: int
    profit: int
    low: int  # of what it holds
    high: int
    look_ahead_s: int


@dataclass(frozen=True, slots=True)
class TradedAsset:
    """An asset of dispatch. ``is_drawn``: what is taken is positive in its plan (the tie's import, a load's demand);
    else what it gives is. ``planned_kw`` is the place of dispatch's tag.
    """

    name: str
    planned_kw: int
    is_drawn: bool


@dataclass(frozen=True, slots=True)
class ByPlan:
    """Sells from ``source`` and buys for ``consumer`` what the plan of dispatch has for ``assets`` together.

    ``steered``: the one of them that dispatch can hold to what was traded, the tie or a battery (which is both
    devices); None: they are loads and renewables, of which it only foresees what they will be.
    ``status`` is the place of dispatch's tag, ``followed`` that of a bool.
    """

    assets: tuple[TradedAsset, ...]
    steered: TradedAsset | None
    source: str | None
    consumer: str | None
    status: int
    followed: int
    max_age_s: int
    quotes: str
    edge: int


@dataclass(frozen=True, slots=True)
class MarketAgent:
    """An agent. It bids ``lead_s`` before a gate, while ``enable`` (the place of a tag) is true."""

    name: str
    member: str
    is_auction: bool
    lead_s: int
    enable: int | None
    limits: AgentLimits
    by: Prosumer | Arbitrage | ByPlan

    @property
    def devices(self) -> tuple[str, ...]:
        """What it trades: nobody else's agent does."""
        if isinstance(self.by, Arbitrage):
            return (self.by.storage,)
        return tuple(dict.fromkeys(name for name in (self.by.source, self.by.consumer) if name is not None))


@dataclass(frozen=True, slots=True)
class AgentTags:
    """Places of an agent's tags."""

    state: int
    words: int
    traded_kwh: int
    spent: int
    committed_kw: int
    next_committed_kw: int
