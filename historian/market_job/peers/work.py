"""What the market's thread gives a link to say, and what the link's thread heard: values, nothing is shared."""

from __future__ import annotations

from dataclasses import dataclass, field

from historian.ledger.facts import Side
from historian.ledger.peer_facts import PeerFact
from historian.signing import SigningKey


@dataclass(frozen=True, slots=True)
class Proposal:
    """An offer of ours to the other site, to be made in its ledger too. ``side`` is ours."""

    id: bytes
    side: Side
    interval_us: int
    wh: int
    price: int
    good_until_us: int


@dataclass(frozen=True, slots=True)
class Wish:
    """An offer of the other site's that one of ours would take, said until then. ``side`` is ours."""

    id: bytes
    side: Side
    wh: int
    price: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Work:
    """All there is to say now; ``traded``: offers of ours that the other site took.

    ``ledger`` is the other's that we sign for: None until it was noted, with the first answer.
    """

    key: SigningKey
    ledger: bytes | None
    currency: str
    interval_s: int
    gate_lead_s: int
    imbalance_price: int
    proposals: tuple[Proposal, ...]
    traded: frozenset[bytes]
    wishes: tuple[Wish, ...]
    said: tuple[tuple[bytes, PeerFact], ...]  # by client id, in their order


@dataclass(slots=True)
class Heard:
    """What came of it, until now. ``takes``: of each wish, why it was refused, or nothing."""

    is_up: bool = False
    state: str = "not connected yet"
    ledger: bytes | None = None  # as it was told last
    stated_us: int | None = None  # the last interval of which the other ledger has our statement
    since_us: int | None = None  # the first interval that it settles with us
    takes: dict[bytes, str] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)  # client ids of what was said
