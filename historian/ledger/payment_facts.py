"""What records say of money beside bills: payments, dunning, fees, costs, revenue (docs/formats/ledger.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from historian.ledger.fields import Name, Text


class DunningStep(IntEnum):
    """What is done about a bill that is not paid."""

    REMIND = 1
    WARN = 2
    COLLECT = 3
    WRITE_OFF = 4


class Stream(IntEnum):
    """What a fee is income from."""

    TRADING = 1
    GRID_SERVICES = 2
    DATA_ANALYTICS = 3
    PREMIUM_FEATURES = 4
    DEVICE_MANAGEMENT = 5


class FeeUnit(IntEnum):
    """What a fee is for one of; a quantity of kWh is told in Wh."""

    EACH = 1
    KWH = 2
    DAY = 3


class CostCategory(IntEnum):
    """What a cost is for."""

    INFRASTRUCTURE = 1
    NETWORK = 2
    SECURITY = 3
    SUPPORT = 4
    DEVELOPMENT = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """When bills issued from here on are due, and when each step of dunning may follow the one before."""

    due_s: int
    warn_after_s: int
    collect_after_s: int
    reminder_fee: int
    warning_fee: int
    least_amount: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A participant pays: by itself out of its deposit; told by an operator, money that came to the bank."""

    participant: Name
    amount: int
    currency: Name
    reference: Text


@dataclass(frozen=True, slots=True)
class Refund:
    """All or part of the payment of an entry goes back where it came from."""

    payment: int
    amount: int
    reason: Text


@dataclass(frozen=True, slots=True)
class Payout:
    """What a participant is owed is paid out by the bank."""

    participant: Name
    amount: int
    currency: Name
    reference: Text


@dataclass(frozen=True, slots=True)
class Dunning:
    """A step about the bill of an entry."""

    bill: int
    step: DunningStep
    reason: Text


@dataclass(frozen=True, slots=True)
class Fee:
    """What one of a service costs from a time on."""

    fee: Name
    stream: Stream
    unit: FeeUnit
    rate: int
    valid_from_us: int


@dataclass(frozen=True, slots=True)
class Charge:
    """A participant owes a fee for so much of a service."""

    participant: Name
    fee: Name
    at_us: int
    quantity: int
    reference: Text


@dataclass(frozen=True, slots=True)
class Cost:
    """The community paid for something."""

    category: CostCategory
    at_us: int
    amount: int
    currency: Name
    reference: Text


@dataclass(frozen=True, slots=True)
class Correction:
    """The charge or cost of an entry is taken back."""

    entry: int
    reason: Text


@dataclass(frozen=True, slots=True)
class Share:
    """A participant's part of what a source's batches bring; 0: none. Where nobody has one, all is the owner's."""

    device: Name
    participant: Name
    weight: int


@dataclass(frozen=True, slots=True)
class Revenue:
    """Money came to the bank for a batch of production."""

    batch: Name
    amount: int
    currency: Name
    reference: Text


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a batch has brought and is not distributed goes to those who share in its source."""

    batch: Name


PaymentFact = (
    Terms
    | Payment
    | Refund
    | Payout
    | Dunning
    | Fee
    | Charge
    | Cost
    | Correction
    | Share
    | Revenue
    | Distribution
)

PAYMENT_TOPICS: dict[str, type[Any]] = {
    "billing.terms": Terms,
    "billing.payment": Payment,
    "billing.refund": Refund,
    "billing.payout": Payout,
    "billing.dunning": Dunning,
    "billing.fee": Fee,
    "billing.charge": Charge,
    "billing.cost": Cost,
    "billing.correction": Correction,
    "billing.share": Share,
    "billing.revenue": Revenue,
    "billing.distribution": Distribution,
}
