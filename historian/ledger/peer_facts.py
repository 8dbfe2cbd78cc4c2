"""What records say of another site: terms, how it settled, and vehicles that roam (docs/federation.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from historian.ledger.fields import Bytes, ClientId, Digest, Name


@dataclass(frozen=True, slots=True)
class PeerTerms:
    """From an interval on the participant is another site; energy that was not traded is paid at this price."""

    participant: Name
    valid_from_us: int
    imbalance_price: int
    tolerance_wh: int


@dataclass(frozen=True, slots=True)
class PeerStatement:
    """How the author, another site, settled an interval with us: what it booked that we gave, and that we get."""

    interval_us: int
    version: int
    traded_wh: int
    metered_wh: int
    amount: int


@dataclass(frozen=True, slots=True)
class RoamingToken:
    """A vehicle of the author's site may charge at a site until then, for so much. Its id is its client id."""

    site: Name
    site_key: Digest
    vehicle: Name
    valid_until_us: int
    most_wh: int
    most_amount: int
    currency: Name


@dataclass(frozen=True, slots=True)
class RoamingOpening:
    """A vehicle of another site begins to charge at ``host``'s; ``token`` is signature and statement of its home."""

    home: Name
    host: Name
    token: Bytes


@dataclass(frozen=True, slots=True)
class RoamingClosing:
    """A vehicle of another site is done: what it took, and what its home owes for it."""

    home: Name
    token: ClientId
    wh: int
    amount: int


@dataclass(frozen=True, slots=True)
class RoamingRecord:
    """The author, a site, has charged a vehicle of ours by our token: what it took, and what we owe for it."""

    token: ClientId
    wh: int
    amount: int


PeerFact = PeerTerms | PeerStatement | RoamingToken | RoamingOpening | RoamingClosing | RoamingRecord

PEER_TOPICS: dict[str, type[Any]] = {
    "peer.terms": PeerTerms,
    "peer.statement": PeerStatement,
    "roaming.token": RoamingToken,
    "roaming.opening": RoamingOpening,
    "roaming.closing": RoamingClosing,
    "roaming.record": RoamingRecord,
}
