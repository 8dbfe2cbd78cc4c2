"""What records say of production, certificates and points (docs/formats/ledger.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from historian.ledger.fields import Digest, Name, Text


class RewardKind(IntEnum):
    """What points are for, and what is counted."""

    SAVING = 1  # Wh taken less than the baseline
    PEAK = 2  # W of the greatest interval below that of the baseline
    STABILITY = 3  # Wh of net export beyond the baseline's
    RENEWABLE = 4  # Wh of a certified source's batch
    PARTICIPATION = 5  # events that were answered


# ---------------------------------------------------------------- production and certificates


@dataclass(frozen=True, slots=True)
class CertifiedSource:
    """All that a meter's export register counts is of this renewable source; certificates are valid so long."""

    device: Name
    meter: Name
    technology: Text
    valid_s: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a certified source gave, as its meter measured it; said again where the meter was corrected, restated."""

    batch: Name
    device: Name
    from_us: int
    to_us: int
    wh: int


@dataclass(frozen=True, slots=True)
class CertificateTransfer:
    """The author's certificates of a source, from serial to serial, are another's."""

    device: Name
    first: int
    last: int
    to: Name


@dataclass(frozen=True, slots=True)
class Retirement:
    """The author's certificates are used up, for somebody."""

    device: Name
    first: int
    last: int
    beneficiary: Text


# ---------------------------------------------------------------- points


@dataclass(frozen=True, slots=True)
class RewardRule:
    """What a kind earns from here on. ``rate``: points a kWh, a kW or each; caps in points; shares in ppm."""

    kind: RewardKind
    rate: int
    cap_each: int
    cap_period: int
    period_s: int
    valid_s: int
    most_adjustment: int


@dataclass(frozen=True, slots=True)
class StakeRule:
    """For how long points may be locked."""

    shortest_s: int
    longest_s: int


@dataclass(frozen=True, slots=True)
class RewardEvent:
    """A call of which participants know from this entry on; days of its baseline are those of its time zone."""

    event: Name
    from_us: int
    to_us: int
    time_zone: Text


@dataclass(frozen=True, slots=True)
class Award:
    """What a participant did against its baseline in an event; for a renewable batch, ``event`` is the batch.

    ``unadjusted`` is the baseline before the day itself moved it. ``evidence`` is the SHA-256 of what they are from.
    """

    participant: Name
    kind: RewardKind
    event: Name
    unadjusted: int
    baseline: int
    measured: int
    evidence: Digest


@dataclass(frozen=True, slots=True)
class PointTransfer:
    """The author gives points to another."""

    to: Name
    points: int


@dataclass(frozen=True, slots=True)
class Stake:
    """The author locks points until a time."""

    points: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Release:
    """The stake of an entry ends."""

    stake: int


@dataclass(frozen=True, slots=True)
class Slash:
    """Points of the stake of an entry are lost."""

    stake: int
    points: int
    reason: Text


@dataclass(frozen=True, slots=True)
class Expiry:
    """The points of a participant whose time is over are taken from its account."""

    participant: Name


RewardFact = (
    CertifiedSource
    | Batch
    | CertificateTransfer
    | Retirement
    | RewardRule
    | StakeRule
    | RewardEvent
    | Award
    | PointTransfer
    | Stake
    | Release
    | Slash
    | Expiry
)

REWARD_TOPICS: dict[str, type[Any]] = {
    "production.source": CertifiedSource,
    "production.batch": Batch,
    "certificate.transfer": CertificateTransfer,
    "certificate.retirement": Retirement,
    "reward.rule": RewardRule,
    "reward.staking": StakeRule,
    "reward.event": RewardEvent,
    "reward.award": Award,
    "reward.transfer": PointTransfer,
    "reward.stake": Stake,
    "reward.release": Release,
    "reward.slash": Slash,
    "reward.expiry": Expiry,
}
