"""Other sites that trade with this one, as the ledger knows them (docs/federation.md). Pure.

Both sites settle an interval by their own meter of the tie. Each tells the other how, signed and placed in the
other's ledger: where the two are mirrors, the interval is agreed; where not, it is disputed until one restates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from historian.ledger.billing import Billing
from historian.ledger.entry import Body, transfer
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import ParticipantKind
from historian.ledger.market.exchange import Exchange
from historian.ledger.market.price import MOST_RATE, amount_up
from historian.ledger.metering import MICROS
from historian.ledger.peer_facts import (
    PeerStatement,
    PeerTerms,
    RoamingClosing,
    RoamingOpening,
    RoamingRecord,
    RoamingToken,
)
from historian.ledger.registry import Author, Registry, needs_operator
from historian.ledger.roaming import read_token
from historian.ledger.settlement import account_of
from historian.ledger.state import MOST_SKEW_US, Placed

ROUNDING = 2  # millionths: a trade and an imbalance are rounded each
MOST_AMOUNT = 10**15  # of one session, as of one posting
MOST_TOKEN_US = 366 * 86_400 * 1_000_000


class Agreement(Enum):
    """How the two sites' settlements of an interval stand to each other."""

    WAITING = "waiting"
    AGREED = "agreed"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class SettledBetween:
    """What one site booked of the other: its net export, traded and metered, and what it gets."""

    traded_wh: int
    metered_wh: int
    amount: int


@dataclass(slots=True)
class Session:
    """A token at work: at home that it was issued, abroad that it was opened; done once it has an ``amount``."""

    token: RoamingToken
    partner: str
    host: str = ""
    wh: int = 0
    amount: int | None = None


def agreement(own: SettledBetween, told: PeerStatement | None, terms: PeerTerms) -> Agreement:
    """Whether what both booked is each other's mirror, as far as two meters can agree."""
    if told is None:
        return Agreement.WAITING
    most = amount_up(terms.tolerance_wh, terms.imbalance_price) + ROUNDING
    is_alike = (
        own.traded_wh + told.traded_wh == 0
        and abs(own.metered_wh + told.metered_wh) <= terms.tolerance_wh
        and abs(own.amount + told.amount) <= most
    )
    return Agreement.AGREED if is_alike else Agreement.DISPUTED


class Neighbours:
    """Other sites after some facts."""

    def __init__(self, registry: Registry, market: Exchange, billing: Billing) -> None:
        self._registry = registry
        self._market = market
        self._billing = billing
        self._terms: dict[str, list[PeerTerms]] = {}
        self.statements: dict[str, dict[int, PeerStatement]] = {}
        self.keys: dict[str, bytes] = {}  # of authors, while valid
        self.issued: dict[bytes, Session] = {}  # tokens of our vehicles
        self.opened: dict[bytes, Session] = {}  # sessions of others' vehicles

        self._do: dict[type[Any], Callable[[Placed, Author, Any], list[Body] | None]] = {
            PeerTerms: lambda at, author, fact: self.set_terms(author, fact, at.placed_at_us),
            PeerStatement: lambda at, author, fact: self.state(author, fact, at.placed_at_us),
            RoamingToken: lambda at, author, fact: self.issue(
                author, fact, at.statement.client, at.placed_at_us
            ),
            RoamingOpening: lambda at, author, fact: self.open(author, fact, at.placed_at_us),
            RoamingClosing: lambda _, author, fact: self.close(author, fact),
            RoamingRecord: lambda _, author, fact: self.record(author, fact),
        }

    def knows(self) -> tuple[type[Any], ...]:
        """The facts that it judges."""
        return tuple(self._do)

    def judge(self, placed: Placed, author: Author, fact: Any) -> list[Body]:
        """What is to be posted for a fact; ``Refused`` where it is void."""
        return self._do[type(fact)](placed, author, fact) or []

    def _interval_us(self) -> int:
        return self._market.in_force().interval_s * MICROS

    def _currency(self) -> str:
        return self._market.in_force().currency

    def terms_at(self, name: str, interval_us: int) -> PeerTerms | None:
        """What holds of an interval; None where the participant is no other site then."""
        for terms in reversed(self._terms.get(name, [])):
            if terms.valid_from_us <= interval_us:
                return terms
        return None

    def last_terms(self, name: str) -> PeerTerms | None:
        """What was told last."""
        return self._terms[name][-1] if name in self._terms else None

    def since_us(self, name: str) -> int | None:
        """The first interval that is settled with it."""
        return self._terms[name][0].valid_from_us if name in self._terms else None

    # ------------------------------------------------------------ settlement

    def set_terms(self, author: Author, fact: PeerTerms, now_us: int) -> None:
        """``Refused`` where it would change what was."""
        needs_operator(author, "sets terms between sites")
        found = self._registry.trader(fact.participant)
        if found.kind is not ParticipantKind.MICROGRID:
            raise Refused(Reason.NOT_ALLOWED, f"{fact.participant} is no microgrid")
        if fact.valid_from_us % self._interval_us() or fact.valid_from_us <= now_us:
            raise Refused(Reason.LATE, "terms between sites hold from the start of an interval to come")
        last = self.last_terms(fact.participant)
        if last is not None and last.valid_from_us >= fact.valid_from_us:
            raise Refused(Reason.REORDERED, f"terms from {last.valid_from_us} µs on are told already")
        if fact.tolerance_wh < 0 or not 0 <= fact.imbalance_price <= MOST_RATE:
            raise Refused(Reason.OVERFLOW, "a price and a tolerance are not negative, and a price is bounded")
        self._terms.setdefault(fact.participant, []).append(fact)

    def state(self, author: Author, fact: PeerStatement, now_us: int) -> None:
        """How another site settled; said anew, the version is greater."""
        if self.terms_at(author.name, fact.interval_us) is None:
            raise Refused(Reason.NOT_ALLOWED, f"{author.name} is no other site at {fact.interval_us} µs")
        interval_us = self._interval_us()
        # Its clock may be ahead of ours as far as a statement's may be: the interval was over when it was signed.
        if fact.interval_us % interval_us or fact.interval_us + interval_us > now_us + MOST_SKEW_US:
            raise Refused(Reason.EARLY, f"{fact.interval_us} µs is no interval that is over")
        told = self.statements.setdefault(author.name, {})
        known = told.get(fact.interval_us)
        if known is not None and known.version >= fact.version:
            raise Refused(Reason.REORDERED, f"version {fact.version} after {known.version} of the interval")
        told[fact.interval_us] = fact

    # ------------------------------------------------------------ roaming

    def issue(self, author: Author, fact: RoamingToken, client: bytes, now_us: int) -> None:
        """A token of ours: its session is settled once, by the record of the site it is for."""
        needs_operator(author, "lets vehicles roam")
        self._site(fact.site)
        self._registry.trader(fact.vehicle)
        if self.keys.get(fact.site) != fact.site_key:
            raise Refused(Reason.KEY_NOT_VALID, f"a token for another key than that of {fact.site}")
        if fact.currency != self._currency():
            raise Refused(
                Reason.MIXED_UNITS, f"a token in {fact.currency}: this ledger's is {self._currency()}"
            )
        if fact.most_wh <= 0 or not 0 < fact.most_amount <= MOST_AMOUNT:
            raise Refused(Reason.NEGATIVE, "a token for nothing, or for more than can be posted")
        if not now_us < fact.valid_until_us <= now_us + MOST_TOKEN_US:
            raise Refused(Reason.LATE, "a token is good until a time to come, within a year")
        self.issued[client] = Session(fact, fact.site)

    def open(self, author: Author, fact: RoamingOpening, now_us: int) -> None:
        """A vehicle of another site begins: its token is its home's, in time, for us, and was never used."""
        needs_operator(author, "opens sessions")
        self._site(fact.home)
        self._registry.trader(fact.host)
        key = self.keys.get(fact.home)
        if key is None:
            raise Refused(Reason.KEY_NOT_VALID, f"{fact.home} has no valid key")
        client, token = read_token(fact.token, key)
        if token.site_key != self.keys.get(author.name):
            raise Refused(Reason.NOT_ALLOWED, f"the token of {token.vehicle} is for another site")
        if client in self.opened:
            raise Refused(Reason.EXISTS, f"the token {client.hex()} was used already")
        if now_us > token.valid_until_us:
            raise Refused(Reason.LATE, f"the token of {token.vehicle} has expired")
        if token.currency != self._currency():
            raise Refused(
                Reason.MIXED_UNITS, f"a token in {token.currency}: this ledger's is {self._currency()}"
            )
        self.opened[client] = Session(token, fact.home, fact.host)

    def close(self, author: Author, fact: RoamingClosing) -> list[Body]:
        """A vehicle of another site is done: its home owes the host."""
        needs_operator(author, "closes sessions")
        session = self.opened.get(fact.token)
        if session is None or session.partner != fact.home:
            raise Refused(Reason.UNKNOWN, f"no session of {fact.home} by the token {fact.token.hex()}")
        self._finish(session, fact.wh, fact.amount)
        return self._paid(fact.home, session.host, fact.token, fact.amount)

    def record(self, author: Author, fact: RoamingRecord) -> list[Body]:
        """Another site has charged a vehicle of ours: it owes us, and we owe the site. Once."""
        session = self.issued.get(fact.token)
        if session is None or session.partner != author.name:
            raise Refused(Reason.UNKNOWN, f"{author.name} has no token {fact.token.hex()} of ours")
        self._finish(session, fact.wh, fact.amount)
        return self._paid(session.token.vehicle, author.name, fact.token, fact.amount)

    def _finish(self, session: Session, wh: int, amount: int) -> None:
        token = session.token
        if session.amount is not None:
            raise Refused(Reason.EXISTS, f"the session of {token.vehicle} is settled already")
        if wh < 0 or amount < 0:
            raise Refused(Reason.NEGATIVE, f"a session of {wh} Wh for {amount}")
        if wh > token.most_wh or amount > token.most_amount:
            raise Refused(
                Reason.OVERFLOW,
                f"a session of {wh} Wh for {amount}: the token allows {token.most_wh} Wh for {token.most_amount}",
            )
        session.wh, session.amount = wh, amount

    def _site(self, name: str) -> None:
        if self._registry.trader(name).kind is not ParticipantKind.MICROGRID or name not in self._terms:
            raise Refused(Reason.NOT_ALLOWED, f"{name} is no other site")

    def _paid(self, payer: str, payee: str, token: bytes, amount: int) -> list[Body]:
        self._billing.note(payer, "roaming: charged elsewhere", amount)
        self._billing.note(payee, "roaming: charged for others", -amount)
        if not amount:
            return []
        accounts = account_of(payer, "current"), account_of(payee, "current")
        return [transfer(f"roaming {token.hex()}", *accounts, self._currency(), amount)]
