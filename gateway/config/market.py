"""The community's market of a site, as typed values (docs/market.md).

Energy is in Wh, power in W, money in millionths, shares in ppm (1,000,000 is 1), as in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from gateway.config.market_agents import AgentTags, ByPlan, MarketAgent


class MarketStatus(IntEnum):
    """Whether the market trades, and if not, why."""

    STOPPED = 0
    OPEN = 1
    NO_HISTORY = 2
    NO_LEDGER = 3

    @property
    def text(self) -> str:
        return ("stopped", "open", "stopped: no history", "stopped: no ledger")[self]


class BillEvery(StrEnum):
    """How often members are billed."""

    DAY = "day"
    MONTH = "month"
    NEVER = "never"


class MemberKind(StrEnum):
    """What a participant is."""

    CONSUMER = "consumer"
    PRODUCER = "producer"
    PROSUMER = "prosumer"
    VEHICLE = "vehicle"
    MICROGRID = "microgrid"
    UTILITY = "utility"


class TradedKind(StrEnum):
    """What a device of a participant does with energy."""

    SOURCE = "source"
    CONSUMER = "consumer"
    STORAGE = "storage"
    VEHICLE = "vehicle"


class RewardedKind(StrEnum):
    """What earns points."""

    SAVING = "saving"
    PEAK = "peak"
    STABILITY = "stability"
    RENEWABLE = "renewable"
    PARTICIPATION = "participation"


@dataclass(frozen=True, slots=True)
class MarketFeeder:
    """What a feeder carries either way."""

    name: str
    export_w: int
    import_w: int


@dataclass(frozen=True, slots=True)
class MarketRenewable:
    """All that the export register of ``meter`` counts is of a renewable source; certificates are valid so long."""

    technology: str
    meter: str
    valid_s: int


@dataclass(frozen=True, slots=True)
class MarketDevice:
    """A device that may trade.

    ``level`` is the tag of what is in a storage, ``level_wh`` what one of its unit is. A vehicle trades while
    ``connected``, for ``stay_s`` from when it came, and keeps ``keep_wh``. A source sells no more than ``forecast``
    times ``forecast_share`` says.
    """

    name: str
    kind: TradedKind
    feeder: str
    export_w: int
    import_w: int
    storage_wh: int
    model: str
    level: int | None = None
    level_wh: float = 0.0
    connected: int | None = None
    stay_s: int = 0
    keep_wh: int = 0
    forecast: str | None = None
    forecast_share: float = 1.0
    renewable: MarketRenewable | None = None


@dataclass(frozen=True, slots=True)
class MarketMeter:
    """A meter and the tags of its registers (``export_tag``: empty where it has none).

    ``is_main``: it is its owner's connection.
    """

    name: str
    import_tag: str
    export_tag: str
    feeder: str
    export_w: int
    import_w: int
    is_main: bool


@dataclass(frozen=True, slots=True)
class MarketMember:
    """A participant. ``public_key`` (hex) is its own, or the site holds its key in the file ``key``."""

    name: str
    kind: MemberKind
    location: str
    public_key: str
    key: str
    credit: int
    tariff: str
    devices: tuple[MarketDevice, ...]
    meters: tuple[MarketMeter, ...]


@dataclass(frozen=True, slots=True)
class MarketHours:
    """Hours of the site's day with a multiplier; where ``to_h`` is not later, until the next day's."""

    from_h: float
    to_h: float
    days: frozenset[int]
    multiplier: int

    def holds(self, hour: float, day: int) -> bool:
        """Whether it holds at an hour of a weekday (0: Monday); over midnight it is of the day it begins on."""
        if self.from_h < self.to_h:
            return day in self.days and self.from_h <= hour < self.to_h
        before = (day - 1) % 7
        return (day in self.days and hour >= self.from_h) or (before in self.days and hour < self.to_h)


@dataclass(frozen=True, slots=True)
class PriceFormula:
    """What the tariff's price is made of: places of tags, None where a factor is not measured."""

    base_rate: int
    feed: str | None  # whose price is the base rate where it has one
    load: int
    load_w: float  # what one of the tag's unit is
    rated_w: int
    frequency: int | None
    nominal_hz: float
    voltage: int | None
    nominal_v: float
    line_loading: int | None
    demand: tuple[int, int]
    stress: tuple[int, int]
    hours: tuple[MarketHours, ...]


@dataclass(frozen=True, slots=True)
class MarketWindow:
    """When a tariff's base rate is multiplied: bits of months and weekdays, minutes of the day."""

    months: int
    weekdays: int
    from_minute: int
    to_minute: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class MarketTariff:
    """What a bill charges."""

    name: str
    base_rate: int
    export_credit: int
    demand_charge: int
    standing_charge: int
    incentive_rate: int
    windows: tuple[MarketWindow, ...]


class FeedKind(StrEnum):
    """Where prices from outside the community come from."""

    TARIFF = "tariff"
    FILE = "file"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class MarketFeed:
    """Prices from outside. ``source`` is a tariff's name, a file (relative to the state folder), or an address.

    ``per_kwh`` is of how many kWh the feed's prices are; fees come on top of what is taken, and off what is given.
    """

    name: str
    kind: FeedKind
    source: str
    per_kwh: int
    every_s: int
    max_age_s: int
    import_fee: int
    export_fee: int
    capacity: int


@dataclass(frozen=True, slots=True)
class FeedTags:
    """Places of a feed's tags."""

    import_price: int
    export_price: int
    state: int


@dataclass(frozen=True, slots=True)
class MemberTags:
    """Places of a participant's tags."""

    pos_kwh: int
    next_pos_kwh: int
    deposit: int
    owed: int


@dataclass(frozen=True, slots=True)
class MarketTags:
    """Places of the market's own tags."""

    status: int
    price: int
    price_buy: int
    price_sell: int
    cleared_price: int
    volume_kwh: int
    next_price: int
    next_price_buy: int
    next_price_sell: int
    next_cleared_price: int
    next_volume_kwh: int
    best_buy: int
    best_sell: int
    orders: int
    refused: int
    ledger_entries: int
    ledger_head: int
    last_error: int
    interval: int


@dataclass(frozen=True, slots=True)
class MarketAnchor:
    """Where the roots of the ledger's periods go: a node, a contract, the key's file relative to the state folder.

    ``most_fee`` is what a unit of gas may cost, in the chain's smallest unit.
    """

    url: str
    contract: str
    key: str
    confirmations: int
    most_fee: int


@dataclass(frozen=True, slots=True)
class MarketDunning:
    """When a bill is due, when each step of dunning may follow the one before, and what the steps cost.

    Nothing is done about a bill of which less than ``least_amount`` is open.
    """

    due_s: int
    warn_after_s: int
    collect_after_s: int
    reminder_fee: int
    warning_fee: int
    least_amount: int


@dataclass(frozen=True, slots=True)
class MarketReward:
    """Points for each kWh, kW or event of a kind, and its caps."""

    kind: RewardedKind
    points: int
    most_each: int
    most_in_period: int
    period_s: int
    valid_s: int
    most_adjustment: int


@dataclass(frozen=True, slots=True)
class MarketListen:
    """Where other sites reach this one; files are relative to the state folder."""

    host: str
    port: int
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class MarketPeer:
    """Another site, which is a participant: where it is, its pinned certificate, and what was agreed with it.

    ``trader`` of this site gets what it offers. Energy over the tie beyond trades is paid at ``imbalance_price``.
    """

    name: str
    host: str
    port: int
    certificate: str
    public_key: bytes
    trader: str
    imbalance_price: int
    tolerance_wh: int


@dataclass(frozen=True, slots=True)
class PeerTags:
    """Places of another site's tags."""

    link: int
    waiting: int
    disputed: int
    agreed_kwh: int
    state: int


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """The whole section. ``ledger`` and keys are files, relative to the state folder.

    ``settle_delay_s`` after its end an interval is settled, by estimates where a meter has no reading;
    for ``correct_s`` a measured reading may still take an estimate's place.
    """

    ledger: str
    operator: str
    key: str
    currency: str
    interval_s: int
    gate_lead_s: int
    horizon_s: int
    price_low: int
    price_high: int
    max_order_wh: int
    proven_share: int
    proven_after: int
    cover: int
    community_fee: int
    grid_fee: int
    loss_share: int
    short_share: int
    long_share: int
    pay_as_bid: bool
    settle_delay_s: int
    correct_s: int
    bill: BillEvery
    price: PriceFormula
    feeders: tuple[MarketFeeder, ...]
    members: tuple[MarketMember, ...]
    tariffs: tuple[MarketTariff, ...]
    tags: MarketTags
    member_tags: tuple[MemberTags, ...]
    feeds: tuple[MarketFeed, ...]
    feed_tags: tuple[FeedTags, ...]
    anchor: MarketAnchor | None = None
    agents: tuple[MarketAgent, ...] = ()
    agent_tags: tuple[AgentTags, ...] = ()
    dunning: MarketDunning | None = None  # None: no bill is dunned
    listen: MarketListen | None = None
    peers: tuple[MarketPeer, ...] = ()
    peer_tags: tuple[PeerTags, ...] = ()
    rewards: tuple[MarketReward, ...] = ()

    @property
    def inputs(self) -> tuple[int, ...]:
        """Places of the tags that are read as they are now, each once."""
        price = self.price
        found = {price.load, price.frequency, price.voltage, price.line_loading}
        for member in self.members:
            for device in member.devices:
                found |= {device.level, device.connected}
        for agent in self.agents:
            found.add(agent.enable)
            if isinstance(agent.by, ByPlan):
                found |= {
                    agent.by.status,
                    agent.by.followed,
                    *(asset.planned_kw for asset in agent.by.assets),
                }
        return tuple(sorted(tag for tag in found if tag is not None))
