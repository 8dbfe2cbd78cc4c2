"""What an agent bids for an interval, of what it knows. Pure: the same inputs give the same bid.

Energy in Wh, prices in millionths a kWh, shares in ppm, as in the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from gateway.config.market_agents import AgentState, Arbitrage, ByPlan, Prosumer
from historian.ledger.facts import Side
from historian.ledger.market.price import ONE


def kwh(wh: int) -> str:
    """For people."""
    return f"{wh / 1_000:.3f}".rstrip("0").rstrip(".")


def money(millionths: int) -> str:
    """For people."""
    return f"{millionths / ONE:.6f}".rstrip("0").rstrip(".")


def _unsound(import_price: int, export_price: int) -> NoBid:
    told = f"energy brings more outside ({money(export_price)}) than it costs ({money(import_price)})"
    return NoBid(AgentState.NO_PRICE, f"{told}: prices are not sound")


@dataclass(frozen=True, slots=True)
class Bid:
    """What to order."""

    side: Side
    device: str
    wh: int
    price: int


@dataclass(frozen=True, slots=True)
class NoBid:
    """Nothing to order, and why; `AgentState.BIDS` where it has all it needs, and nothing pays."""

    state: AgentState
    why: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a forecast says of an interval: at least, by the agent's quantile, and at most, by the opposite one."""

    least_wh: int = 0
    most_wh: int = 0


def prosume(
    by: Prosumer,
    gives: Expected,
    takes: Expected,
    import_price: int,
    export_price: int,
    sold_wh: int = 0,
    bought_wh: int = 0,
) -> Bid | NoBid:
    """Sell what is left over for sure, or buy what is missing for sure: never both, as least <= most.

    Outside the market the surplus brings the export price and the deficit costs the import price: limits are between.
    ``sold_wh`` and ``bought_wh`` are open or traded of it already, by people.
    """
    spread = import_price - export_price
    if spread < 0:
        return _unsound(import_price, export_price)
    edge = spread * by.edge // ONE
    surplus_wh = gives.least_wh - takes.most_wh - sold_wh
    deficit_wh = takes.least_wh - gives.most_wh - bought_wh
    if surplus_wh > 0 and by.source is not None and not bought_wh:
        return Bid(Side.SELL, by.source, surplus_wh, export_price + edge)
    if deficit_wh > 0 and by.consumer is not None and not sold_wh:
        return Bid(Side.BUY, by.consumer, deficit_wh, import_price - edge)
    return NoBid(
        AgentState.BIDS,
        f"nothing is left over or missing for sure: {kwh(surplus_wh)} and {kwh(deficit_wh)} kWh",
    )


def follow_plan(
    by: ByPlan, given_wh: int, import_price: int, export_price: int, sold_wh: int = 0, bought_wh: int = 0
) -> Bid | NoBid:
    """Sell what the plan gives, or buy what it takes (``given_wh`` below 0), between the prices of outside.

    ``sold_wh`` and ``bought_wh`` are open or traded of it already, by people: they are taken off, and never turned.
    """
    spread = import_price - export_price
    if spread < 0:
        return _unsound(import_price, export_price)
    edge = spread * by.edge // ONE
    sell_wh, buy_wh = given_wh - sold_wh, -given_wh - bought_wh
    if sell_wh > 0 and by.source is not None and not bought_wh:
        return Bid(Side.SELL, by.source, sell_wh, export_price + edge)
    if buy_wh > 0 and by.consumer is not None and not sold_wh:
        return Bid(Side.BUY, by.consumer, buy_wh, import_price - edge)
    if not given_wh:
        return NoBid(AgentState.BIDS, "the plan neither gives nor takes then")
    left = f"{kwh(sold_wh)} kWh are sold and {kwh(bought_wh)} bought of it, or it has no device for the rest"
    return NoBid(AgentState.BIDS, f"the plan gives {kwh(given_wh)} kWh: {left}")


@dataclass(frozen=True, slots=True)
class Store:
    """What is in a storage, what it has still to give and take by its trades, and what it can do in an interval."""

    level_wh: int
    sold_wh: int
    bought_wh: int
    gives_wh: int
    takes_wh: int
    is_sold: bool = False  # of the interval that is bid for
    is_bought: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """Buying at ``low`` or less and selling at ``high`` or more leaves the profit that was asked for."""

    low: int
    high: int


def spread_of(by: Arbitrage, prices: Sequence[int], intervals: int) -> Spread | None:
    """Of so many of the cheapest and dearest intervals, or as many as pay; None where not even one does."""
    rising = sorted(prices)
    for count in range(min(max(intervals, 1), len(rising) // 2), 0, -1):
        low, high = rising[count - 1], rising[-count]
        if high * by.efficiency // ONE - by.wear - by.profit >= low:
            return Spread(low, high)
    return None


def arbitrage(by: Arbitrage, prices: Sequence[int], store: Store) -> Bid | NoBid:
    """``prices`` are what is expected of the interval and of those that follow it.

    It buys where that is among the cheapest and sells where it is among the dearest, at limits of which every round
    trip pays. Half of the losses are taken to come of charging. What is still to be given counts as gone and what is
    still to be taken as there already, each against it: trades may not be kept.
    """
    if len(prices) < 2:
        return NoBid(AgentState.NO_PRICE, "fewer than two prices are known: nothing to compare")
    least_wh = min(store.gives_wh, store.takes_wh)
    if least_wh <= 0:
        return NoBid(AgentState.NO_LEVEL, "its storage cannot both give and take")
    intervals = -(-(by.high - by.low) // least_wh)
    spread = spread_of(by, prices, intervals)
    if spread is None:
        return NoBid(AgentState.BIDS, f"no spread pays: from {min(prices)} to {max(prices)}")
    way = sqrt(by.efficiency / ONE)
    now = prices[0]
    if store.is_sold or store.is_bought:
        return NoBid(AgentState.BIDS, "its storage is traded for this interval already")
    if now <= spread.low:
        room_wh = by.high - store.level_wh - store.bought_wh * way
        wh = min(int(room_wh / way), store.takes_wh)
        if wh <= 0:
            return NoBid(AgentState.BIDS, "it is full, with what it has bought")
        return Bid(Side.BUY, by.storage, wh, spread.low)
    if now >= spread.high:
        left_wh = store.level_wh - by.low - store.sold_wh / way
        wh = min(int(left_wh * way), store.gives_wh)
        if wh <= 0:
            return NoBid(AgentState.BIDS, "it is empty, with what it has sold")
        return Bid(Side.SELL, by.storage, wh, spread.high)
    return NoBid(AgentState.BIDS, f"{now} is neither low ({spread.low}) nor high ({spread.high})")
