"""One other site: what we have to say to it, said in a thread of its own; what it answered, for the market's thread.

The two threads share values only: the market gives `Work`, the link tells `Heard`. Whatever a lost link leaves undone
is done by the next round: each request has a client id of its own, and the other ledger places it once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway.config.market import MarketSettings
from historian.ledger.coding import record_of
from historian.ledger.entry import Record
from historian.ledger.errors import LedgerError
from historian.ledger.facts import Acceptance, Cancellation, Offer, Side
from historian.ledger.peer_facts import PeerFact
from historian.ledger.pen import client_id, now_us
from historian.market_job.client import Hand, MarketClient, MarketError, TurnedAway
from historian.market_job.peers.client import PeerClient
from historian.market_job.wire import Judged
from historian.signing import SigningKey

EVERY_S = 2.0
FIRST_PAUSE_S, MOST_PAUSE_S = 1.0, 60.0  # after a failure, doubled each time
MOST_SAID = 50  # of one round: what is left is said by the next

log = logging.getLogger(__name__)


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
    """An offer of the other site's that one of ours would take. ``side`` is ours."""

    id: bytes
    side: Side
    wh: int
    price: int


@dataclass(frozen=True, slots=True)
class Work:
    """All there is to say now; ``traded``: offers of ours that the other site took."""

    key: SigningKey
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
    stated_us: int | None = None  # the last interval of which the other ledger has our statement
    takes: dict[bytes, str] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)  # client ids of what was said


class Link:
    """``run`` is its thread's; all else may be called from the market's."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], MarketClient],
        *,
        clock: Callable[[], int] = now_us,
        every_s: float = EVERY_S,
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.name = name
        self._connect = connect
        self._clock = clock
        self._every_s, self._pause_s = every_s, pause_s
        self._lock = threading.Lock()
        self._work: Work | None = None
        self._heard = Heard()
        self._tried: set[bytes] = set()  # proposals that the other ledger has judged
        self._applied: set[bytes] = set()
        self._is_urgent = threading.Event()

    def give(self, work: Work) -> None:
        """What is to be said from here on."""
        with self._lock:
            is_new = self._work is None or work.wishes != self._work.wishes
            self._work = work
        if is_new:
            self._is_urgent.set()

    def heard(self) -> Heard:
        """As it is now; what came of wishes is told once."""
        with self._lock:
            told = replace(self._heard, done=set(self._heard.done))
            self._heard.takes = {}
        return told

    def run(self, stop: threading.Event) -> None:
        """Round after round until ``stop``, further apart while the other site cannot be reached."""
        pause_s = self._pause_s
        while not stop.is_set():
            if self._work is None:
                self._is_urgent.wait(self._every_s)
                continue
            try:
                with self._connect() as client:
                    while not stop.is_set():
                        self._is_urgent.clear()
                        self._round(client)
                        pause_s = self._pause_s
                        self._is_urgent.wait(self._every_s)
            except (MarketError, LedgerError) as error:
                self._tell(is_up=False, state=str(error))
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, MOST_PAUSE_S)

    def _tell(self, *, is_up: bool, state: str) -> None:
        with self._lock:
            if (is_up, state) != (self._heard.is_up, self._heard.state):
                log.log(logging.INFO if is_up else logging.WARNING, "%s: %s", self.name, state)
            self._heard.is_up, self._heard.state = is_up, state

    def _round(self, client: MarketClient) -> None:
        """Raises MarketError where the site cannot be reached, or answers what it should not."""
        with self._lock:
            work = self._work
        assert work is not None, "there is work before the first round"
        try:
            hand = Hand(client, work.key, self._clock)
            self._apply(hand)
            if why := _unfit(work, hand.terms):
                self._tell(is_up=True, state=why)
                return
            with self._lock:
                self._heard.stated_us = int(hand.terms["stated_us"])
            troubles = [*self._say(hand, work), *self._trade(hand, work)]
        except TurnedAway as turned:
            self._tell(is_up=True, state=str(turned))
            return
        except (
            KeyError,
            TypeError,
            ValueError,
        ) as error:  # an answer with fields missing, or of the wrong kind
            raise MarketError(f"it answers what is not of this protocol: {error!r}"[:200]) from error
        self._tell(is_up=True, state="; ".join(troubles[:3]) or "connected")

    def _apply(self, hand: Hand) -> None:
        """Join the other market with what its section says of us; once, its operator lets us in or does not."""
        terms = hand.terms
        if not terms["author"]:
            return
        asked = (
            [Record("registry.join", bytes.fromhex(terms["join"]))]
            if terms["status"] in ("", "retired")
            else []
        )
        devices = [device for device in terms["devices"] if not device["is_as_said"]]
        asked += [Record("registry.device", bytes.fromhex(device["manifest"])) for device in devices]
        new = [record for record in asked if record.content not in self._applied]
        if new:
            hand.say(new)
            self._applied |= {record.content for record in new}

    # ------------------------------------------------------------ what is told: statements, roaming sessions

    def _say(self, hand: Hand, work: Work) -> Iterator[str]:
        with self._lock:
            done = set(self._heard.done)
        left = [(client, fact) for client, fact in work.said if client not in done]
        for client, fact in left[:MOST_SAID]:
            outcome = hand.request(client, record_of(fact))
            if outcome.sequence is None:
                # Not on its record (a clock, say): to be said again, and nothing after it before.
                yield _told(fact, outcome)
                return
            with self._lock:
                self._heard.done.add(client)
            if outcome.reason:
                yield _told(fact, outcome)

    # ------------------------------------------------------------ what is traded

    def _trade(self, hand: Hand, work: Work) -> Iterator[str]:
        orders = hand.client.orders(hand.key.public)
        yield from self._take(hand, work, orders)
        standing = {bytes.fromhex(order["id"]) for order in orders["orders"] if order["venue"] == "bilateral"}
        wanted = {proposal.id for proposal in work.proposals}
        for gone in sorted(standing - wanted - work.traded):
            hand.request(client_id(f"end {gone.hex()}"), record_of(Cancellation(gone)))
        self._tried &= wanted
        for proposal in work.proposals:
            if proposal.id in self._tried or proposal.id in standing:
                continue
            yield from self._propose(hand, work, proposal)

    def _propose(self, hand: Hand, work: Work, proposal: Proposal) -> Iterator[str]:
        trader, device = hand.terms["trader"], _device(hand.terms, proposal.side)
        if not trader or not device:
            verb = proposal.side.name.lower()
            yield f"its market has nobody who takes our offers, or no device of ours to {verb} by"
            return
        offer = Offer(
            trader,
            proposal.side,
            proposal.interval_us,
            device,
            proposal.wh,
            proposal.price,
            work.currency,
            proposal.good_until_us,
        )
        outcome = hand.request(proposal.id, record_of(offer))
        self._tried.add(proposal.id)
        if outcome.reason:
            yield f"our offer {proposal.id.hex()} is refused there: {outcome.why}"

    def _take(self, hand: Hand, work: Work, orders: dict[str, Any]) -> Iterator[str]:
        offered = {bytes.fromhex(order["id"]): order for order in orders["offers"]}
        taken = set(map(bytes.fromhex, orders["taken"]))
        for wish in work.wishes:
            why = ""
            if wish.id not in taken:  # else it has our acceptance, and we had no receipt
                found, device = offered.get(wish.id), _device(hand.terms, wish.side)
                if found is None:
                    why = "the offer is not open there any more"
                elif not device:
                    why = f"it has no device of ours to {wish.side.name.lower()} by"
                else:
                    fact = Acceptance(found["from"], wish.id, device, wish.wh, wish.price)
                    outcome = hand.request(client_id(f"take {wish.id.hex()}"), record_of(fact))
                    why = f"{outcome.reason}: {outcome.why}" if outcome.reason else ""
            with self._lock:
                self._heard.takes[wish.id] = why
            if why:
                yield f"its offer {wish.id.hex()} cannot be taken: {why}"


def _unfit(work: Work, terms: dict[str, Any]) -> str:
    """Why nothing can be said yet; empty where all fits."""
    if not terms["author"]:
        return f"its market does not know our key {work.key.public.hex()}"
    rules = terms["rules"]
    if rules is None or terms["status"] != "active":
        return "its market has not let us in yet"
    theirs = (rules["currency"], rules["interval_s"], rules["gate_lead_s"])
    if theirs != (ours := (work.currency, work.interval_s, work.gate_lead_s)):
        return f"its currency, interval and gate are {theirs}, ours {ours}: agree on them"
    if terms["imbalance_price"] is None:
        return "its section has no terms with us yet"
    if terms["imbalance_price"] != work.imbalance_price:
        return f"it has an imbalance price of {terms['imbalance_price']}, not {work.imbalance_price}: agree on one"
    return ""


def _device(terms: dict[str, Any], side: Side) -> str:
    """Ours there that can do it; the first by name where there are more."""
    most = "max_export_w" if side is Side.SELL else "max_import_w"
    found = [
        d["device"] for d in terms["devices"] if d["kind"] != "meter" and d["status"] == "active" and d[most]
    ]
    return str(min(found, default=""))


def _told(fact: PeerFact, outcome: Judged) -> str:
    return f"our {type(fact).__name__} is refused there: {outcome.why}"


def links_of(settings: MarketSettings, state: Path) -> dict[str, Link]:
    """One for each other site of the section; their threads are the caller's."""
    listen = settings.listen
    if listen is None:
        return {}
    return {peer.name: Link(peer.name, partial(PeerClient, peer, listen, state)) for peer in settings.peers}
