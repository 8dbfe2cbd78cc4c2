"""One other site: what we have to say to it, said in a thread of its own; what it answered, for the market's thread.

Whatever a lost link leaves undone is done by the next round: each request has a client id of its own, and the other
ledger places it once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.config.market import MarketSettings
from historian.ledger.bundle import sign
from historian.ledger.coding import record_of
from historian.ledger.entry import Body, Record
from historian.ledger.errors import LedgerError
from historian.ledger.facts import Acceptance, Cancellation, Offer
from historian.ledger.pen import Pen, client_id, now_us
from historian.market_job.client import MarketClient, MarketError, TurnedAway
from historian.market_job.peers.client import PeerClient
from historian.market_job.peers.told import Standing, Terms, standing_from, terms_from
from historian.market_job.peers.work import Heard, Proposal, Work
from historian.market_job.wire import Judged

EVERY_S = 2.0
FIRST_PAUSE_S, MOST_PAUSE_S = 1.0, 60.0  # after a failure, doubled each time
MOST_SAID = 50  # of one round: what is left is said by the next
MOST_STATE = 200  # characters of what is told of a link: the other site's words may be in it

log = logging.getLogger(__name__)


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
            last = self._work
            self._work = work
        if last is None or (work.wishes, work.ledger) != (last.wishes, last.ledger):
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
        state = state[:MOST_STATE]
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
            terms = terms_from(client.terms(work.key.public))
            with self._lock:
                self._heard.ledger = terms.ledger
            if why := _unlike(work, terms):
                self._tell(is_up=False, state=why)
                return
            voice = _Voice(client, work, terms, self._clock)
            self._apply(voice)
            if why := _unfit(work, terms):
                self._tell(is_up=True, state=why)
                return
            self._hear(terms)
            troubles = [*self._say(voice), *self._trade(voice)]
        except TurnedAway as turned:
            self._tell(is_up=True, state=str(turned))
            return
        except ValueError as error:  # fields that are missing, or of the wrong kind
            raise MarketError(f"it answers what is not of this protocol: {error}") from error
        self._tell(is_up=True, state="; ".join(troubles[:3]) or "connected")

    def _hear(self, terms: Terms) -> None:
        with self._lock:
            heard = self._heard
            if heard.stated_us is not None and terms.stated_us < heard.stated_us:
                # Its ledger was brought back from a backup: what it had of us is to be said again.
                heard.done.clear()
                self._tried.clear()
            heard.stated_us, heard.since_us = terms.stated_us, terms.since_us

    def _apply(self, voice: _Voice) -> None:
        """Join the other market with what its section says of us; once, its operator lets us in or does not."""
        terms = voice.terms
        if not terms.author:
            return
        asked = [Record("registry.join", terms.join)] if terms.status in ("", "retired") else []
        asked += [
            Record("registry.device", device.manifest) for device in terms.devices if not device.is_as_said
        ]
        new = [record for record in asked if record.content not in self._applied]
        if new and all(outcome.sequence is not None for outcome in voice.say(new)):
            self._applied |= {record.content for record in new}

    # ------------------------------------------------------------ what is told: statements, roaming sessions

    def _say(self, voice: _Voice) -> Iterator[str]:
        with self._lock:
            done = set(self._heard.done)
        left = [(client, fact) for client, fact in voice.work.said if client not in done]
        for client, fact in left[:MOST_SAID]:
            outcome = voice.request(client, record_of(fact))
            if outcome.sequence is not None:
                with self._lock:
                    self._heard.done.add(client)
            if outcome.reason:
                yield f"our {type(fact).__name__} is refused there: {outcome.why}"
            if outcome.sequence is None:
                return  # not on its record (a clock, say): to be said again, and nothing after it before

    # ------------------------------------------------------------ what is traded

    def _trade(self, voice: _Voice) -> Iterator[str]:
        work = voice.work
        there = standing_from(voice.client.orders(work.key.public))
        yield from self._take(voice, there)
        wanted = {proposal.id for proposal in work.proposals}
        for gone in sorted(there.own - wanted - work.traded):
            voice.request(client_id(f"end {gone.hex()}"), record_of(Cancellation(gone)))
        self._tried &= wanted
        for proposal in work.proposals:
            if proposal.id not in self._tried and proposal.id not in there.own:
                yield from self._propose(voice, proposal)

    def _propose(self, voice: _Voice, proposal: Proposal) -> Iterator[str]:
        trader, device = voice.terms.trader, voice.terms.device(proposal.side)
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
            voice.work.currency,
            proposal.good_until_us,
        )
        outcome = voice.request(proposal.id, record_of(offer))
        if outcome.sequence is not None:
            self._tried.add(proposal.id)
        if outcome.reason:
            yield f"our offer {proposal.id.hex()} is refused there: {outcome.why}"

    def _take(self, voice: _Voice, there: Standing) -> Iterator[str]:
        for wish in voice.work.wishes:
            why = ""
            if wish.id not in there.taken:  # else it has our acceptance, and we had no receipt
                offerer, device = there.to_us.get(wish.id), voice.terms.device(wish.side)
                if offerer is None:
                    why = "the offer is not open there any more"
                elif not device:
                    why = f"it has no device of ours to {wish.side.name.lower()} by"
                elif self._clock() > wish.until_us:
                    why = "the gate closes before it can have answered"
                else:
                    fact = Acceptance(offerer, wish.id, device, wish.wh, wish.price)
                    outcome = voice.request(client_id(f"take {wish.id.hex()}"), record_of(fact))
                    if outcome.sequence is None:  # not on its record: to be said again
                        yield f"our acceptance of {wish.id.hex()} is refused there: {outcome.why}"
                        continue
                    why = f"{outcome.reason}: {outcome.why}" if outcome.reason else ""
            with self._lock:
                self._heard.takes[wish.id] = why
            if why:
                yield f"its offer {wish.id.hex()} cannot be taken: {why}"


class _Voice:
    """Our site's key at work in the other ledger, for one round."""

    def __init__(self, client: MarketClient, work: Work, terms: Terms, clock: Callable[[], int]) -> None:
        self.client, self.work, self.terms = client, work, terms
        self._pen = Pen(work.key, terms.ledger, clock)
        self._pen.follow(terms.number)

    def say(self, bodies: list[Record]) -> tuple[Judged, ...]:
        """Requests of their own."""
        return self.client.submit(self._pen.sign(bodies))

    def request(self, client: bytes, body: Body) -> Judged:
        """One request by its client id: said again, it is done once. Raises ValueError for another answer."""
        try:
            (outcome,) = self.client.submit(sign(self.work.key, [self._pen.statement(body, client)]))
        except TurnedAway as turned:  # it does not trade now, say: not on its record, as what it refuses
            return Judged(None, "", 0, turned.reason, str(turned))
        return outcome


def _unlike(work: Work, terms: Terms) -> str:
    """Why nothing may be signed for the ledger that it names; empty where it is the one that was noted.

    Else a site could have us sign for a third site's ledger, or for our own, and hand it in there.
    """
    if work.ledger is None:
        return "its ledger is not noted yet"
    if work.ledger != terms.ledger:
        return f"its ledger is {terms.ledger.hex()}, and was {work.ledger.hex()} before"
    return ""


def _unfit(work: Work, terms: Terms) -> str:
    """Why nothing can be said yet; empty where all fits."""
    if not terms.author:
        return f"its market does not know our key {work.key.public.hex()}"
    if terms.rules is None or terms.status != "active":
        return "its market has not let us in yet"
    if terms.rules != (ours := (work.currency, work.interval_s, work.gate_lead_s)):
        return f"its currency, interval and gate are {terms.rules}, ours {ours}: agree on them"
    if terms.imbalance_price is None:
        return "its section has no terms with us yet"
    if terms.imbalance_price != work.imbalance_price:
        return (
            f"it has an imbalance price of {terms.imbalance_price}, not {work.imbalance_price}: agree on one"
        )
    return ""


def links_of(settings: MarketSettings, state: Path) -> dict[str, Link]:
    """One for each other site of the section; their threads are the caller's."""
    listen = settings.listen
    if listen is None:
        return {}
    return {peer.name: Link(peer.name, partial(PeerClient, peer, listen, state)) for peer in settings.peers}
