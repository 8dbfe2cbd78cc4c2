"""What records of the community say (docs/formats/ledger.md); bytes: ``coding``. The registry's have a module."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from historian.ledger.contract_facts import CONTRACT_TOPICS
from historian.ledger.contract_facts import Call as Call
from historian.ledger.fields import NO_DIGEST as NO_DIGEST  # callers have it from here
from historian.ledger.fields import ClientId, Digest, Name, Text
from historian.ledger.payment_facts import PAYMENT_TOPICS, PaymentFact
from historian.ledger.peer_facts import PEER_TOPICS, PeerFact
from historian.ledger.registry_facts import REGISTRY_TOPICS, RegistryFact
from historian.ledger.registry_facts import Approval as Approval
from historian.ledger.registry_facts import Device as Device
from historian.ledger.registry_facts import DeviceKind as DeviceKind
from historian.ledger.registry_facts import Feeder as Feeder
from historian.ledger.registry_facts import Join as Join
from historian.ledger.registry_facts import MeterBinding as MeterBinding
from historian.ledger.registry_facts import ParticipantKind as ParticipantKind
from historian.ledger.registry_facts import Status as Status
from historian.ledger.registry_facts import StatusChange as StatusChange
from historian.ledger.reward_facts import REWARD_TOPICS, RewardFact


class ReadingQuality(IntEnum):
    """Where a register's value is from."""

    MEASURED = 1
    ESTIMATED = 2


class Side(IntEnum):
    """What an order wants."""

    BUY = 1
    SELL = 2


class Venue(IntEnum):
    """Where an order is matched."""

    CONTINUOUS = 1
    AUCTION = 2
    BILATERAL = 3  # of an offer to one other, never of an order


# ---------------------------------------------------------------- meters


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter's registers at the end of an interval."""

    meter: Name
    at_us: int
    import_wh: int
    export_wh: int
    quality: ReadingQuality


@dataclass(frozen=True, slots=True)
class Reversal:
    """The reading of an entry does not count any more."""

    meter: Name
    at_us: int
    entry: int
    reason: Text


# ---------------------------------------------------------------- market


@dataclass(frozen=True, slots=True)
class Rules:
    """How the market works from here on. Prices in millionths a kWh, shares in ppm of 1."""

    currency: Name
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
    demand_low: int
    demand_high: int
    stress_low: int
    stress_high: int
    time_low: int
    time_high: int


@dataclass(frozen=True, slots=True)
class Price:
    """The tariff's price of an interval and what it was made of."""

    interval_us: int
    base_rate: int
    load_w: int
    rated_w: int
    frequency_deviation_mhz: int
    voltage_deviation: int
    line_loading: int
    time_of_day: int
    demand_factor: int
    stress_factor: int
    price: int


@dataclass(frozen=True, slots=True)
class Order:
    """The author buys or sells energy of an interval, at a limit or better. Its id is its statement's client id."""

    venue: Venue
    side: Side
    interval_us: int
    device: Name
    wh: int
    price: int
    currency: Name
    min_fill_wh: int
    good_until_us: int


@dataclass(frozen=True, slots=True)
class Amendment:
    """An open order of the author is from here on like this; ``wh`` is what is still open."""

    order: ClientId
    wh: int
    price: int
    min_fill_wh: int
    good_until_us: int


@dataclass(frozen=True, slots=True)
class Cancellation:
    """An open order of the author ends."""

    order: ClientId


@dataclass(frozen=True, slots=True)
class Offer:
    """The author offers one other to buy or sell energy of an interval. Its id is its statement's client id."""

    counterparty: Name
    side: Side
    interval_us: int
    device: Name
    wh: int
    price: int
    currency: Name
    good_until_us: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The author takes an offer that was made to it, whole and at its terms, which it says again."""

    offerer: Name
    offer: ClientId
    device: Name
    wh: int
    price: int


@dataclass(frozen=True, slots=True)
class Gate:
    """Trading of an interval ends: its auction is cleared, its trades are posted."""

    interval_us: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Trading of an interval ends without an auction, since the market could not go on: what is open ends."""

    interval_us: int
    reason: Text


@dataclass(frozen=True, slots=True)
class Session:
    """A vehicle is plugged in, and may give and take so much."""

    device: Name
    from_us: int
    to_us: int
    export_wh: int
    import_wh: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in a storage."""

    device: Name
    wh: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a source will give in an interval, at most."""

    device: Name
    interval_us: int
    wh: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The author wants money of its deposit back."""

    amount: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """An interval is settled as its meters stand now; said again, restated."""

    interval_us: int


# ---------------------------------------------------------------- billing


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a utility charges from a time on: a kWh taken, a kWh given, a kW of the greatest interval, a bill."""

    tariff: Name
    valid_from_us: int
    time_zone: Text
    base_rate: int
    export_credit: int
    demand_charge: int
    standing_charge: int
    incentive_rate: int


@dataclass(frozen=True, slots=True)
class Window:
    """When a tariff's base rate is multiplied: months (bit 0: January), weekdays (bit 0: Monday), minutes."""

    tariff: Name
    valid_from_us: int
    months: int
    weekdays: int
    from_minute: int
    to_minute: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Incentive:
    """Measured kWh of a participant that its tariff rewards, at most ``cap``; counted by the bill of ``at_us``."""

    participant: Name
    at_us: int
    wh: int
    cap: int
    reason: Text


@dataclass(frozen=True, slots=True)
class BillIssue:
    """A participant's bill of a period by a tariff; ``digest`` is that of all its lines."""

    participant: Name
    tariff: Name
    from_us: int
    to_us: int
    amount: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the ledger refused: SHA-256 of the bundle's statements, the rule, and how many more were not told."""

    bundle: Digest
    signer: Digest
    reason: Name
    why: Text
    untold: int


Fact = (
    RegistryFact
    | Reading
    | Reversal
    | Rules
    | Price
    | Order
    | Amendment
    | Cancellation
    | Offer
    | Acceptance
    | Gate
    | Halt
    | Session
    | Stored
    | Forecast
    | Withdrawal
    | Settlement
    | Tariff
    | Window
    | Incentive
    | BillIssue
    | Refusal
    | PaymentFact
    | RewardFact
    | PeerFact
    | Call
)

TOPICS: dict[str, type[Any]] = {
    **REGISTRY_TOPICS,
    "meter.reading": Reading,
    "meter.reversal": Reversal,
    "market.rules": Rules,
    "market.price": Price,
    "market.order": Order,
    "market.amendment": Amendment,
    "market.cancellation": Cancellation,
    "market.offer": Offer,
    "market.acceptance": Acceptance,
    "market.gate": Gate,
    "market.halt": Halt,
    "market.session": Session,
    "market.stored": Stored,
    "market.forecast": Forecast,
    "market.withdrawal": Withdrawal,
    "market.settlement": Settlement,
    "billing.tariff": Tariff,
    "billing.window": Window,
    "billing.incentive": Incentive,
    "billing.bill": BillIssue,
    "ledger.refusal": Refusal,
    **PAYMENT_TOPICS,
    **REWARD_TOPICS,
    **PEER_TOPICS,
    **CONTRACT_TOPICS,
}
