"""Other sites, as the market's thread sees them: what is to be said to each, and what its answers change here.

A trade between sites is two of the ledgers: our member's with the site in ours, and the site's member's with us in
theirs. Who takes an offer says so in the offerer's ledger first: only with its receipt is it taken here too, so that
no side holds a trade that the other may yet let go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.market import MarketPeer, MarketSettings
from historian.ledger.bundle import Bundle
from historian.ledger.coding import fact_of
from historian.ledger.community import Community
from historian.ledger.entry import Record, decode_statement, signer_of
from historian.ledger.errors import Refused
from historian.ledger.facts import Acceptance, Fact, Side, Status
from historian.ledger.market.bilateral import check_acceptance
from historian.ledger.metering import MICROS
from historian.ledger.peer_facts import PeerTerms
from historian.market_job.office import Office
from historian.market_job.peers.kept import file_of, keep, recall
from historian.market_job.peers.link import Link
from historian.market_job.peers.standing import Count, count_of, disputes_with, said_to, traded_with
from historian.market_job.peers.work import Heard, Proposal, Wish, Work
from historian.signing import SigningKey

# Nearer to its gate an offer of another site is not taken: the answer may not come before it.
MARGIN_US = 10 * MICROS
ANSWER_US = 30 * MICROS  # so long a member's trading stands still for an answer of another site
MOST_WAITING = 1_000
MOST_TAKEN = 2_000  # offers that are told to have been taken: what is taken is asked for within seconds
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A member's acceptance that its offer's home was not heard of yet."""

    peer: str
    author: str
    wish: Wish
    bundle: Bundle
    since_us: int


class Peering:
    """``links`` by the names of the section's peers."""

    def __init__(self, settings: MarketSettings, links: Mapping[str, Link]) -> None:
        self._settings = settings
        self._links = links
        self._peers = {peer.name: peer for peer in settings.peers}
        self._is_recalled = False
        self._ledgers: dict[str, bytes] = {}
        self._waiting: dict[bytes, _Waiting] = {}
        self._answers: dict[bytes, str] = {}  # of the offers' home: why not, or nothing
        self.heard: dict[str, Heard] = {name: Heard() for name in self._peers}
        self.counts: dict[str, Count] = {name: Count() for name in self._peers}
        self.troubles: list[str] = []
        self._terms_said: dict[str, int] = {}

    # ------------------------------------------------------------ a look

    def look(self, office: Office, now_us: int) -> None:
        """What the links heard is done here, and they get what is to be said now. Raises LedgerError, OSError."""
        community = office.desk.community
        if community.market.rules is None or not self._peers:
            return
        self.troubles = []
        self._recall(office, now_us)
        for name, peer in self._peers.items():
            heard = self.heard[name] = self._links[name].heard()
            self._note_ledger(office, name, heard)
            for id, why in heard.takes.items():
                self._take(office, id, why)
            participant = community.registry.participants.get(name)
            if participant is not None and participant.status is Status.ACTIVE:
                self._tell_terms(office, peer, now_us)
            # Before it has joined here, too: each applies at the other by its own link.
            self._links[name].give(self._work(community, peer, office.signing, heard, now_us))
            count = self.counts[name] = count_of(community, name, heard, now_us)
            if count.disputed:
                self.troubles.append(
                    f"{name} settled {count.disputed} intervals in another way: market peers"
                )
        for id, waiting in list(self._waiting.items()):
            good_until_us = decode_statement(waiting.bundle.statements[0]).good_until_us
            if now_us > good_until_us or (waiting.peer, id) not in community.market.orders:
                self._drop(office, id)

    def _note_ledger(self, office: Office, name: str, heard: Heard) -> None:
        """The first ledger that a site names is its own from then on, and nobody else's."""
        if heard.ledger is None or self._ledgers.get(name) == heard.ledger:
            return
        others = {office.desk.book.id: "ours"} | {id: f"that of {site}" for site, id in self._ledgers.items()}
        if heard.ledger in others:
            self.troubles.append(
                f"{name} names a ledger that is {others[heard.ledger]}: nothing is signed for it"
            )
        elif name in self._ledgers:
            file = file_of(office.desk.book.file)
            self.troubles.append(
                f"{name} has another ledger than before: see what it owes, then take it out of {file}"
            )
        else:
            ledgers = self._ledgers | {name: heard.ledger}
            try:
                self._keep(office, ledgers, self._waiting)
            except OSError as error:
                self.troubles.append(
                    f"the ledger of {name} cannot be noted, so nothing is said there: {error}"
                )
                return
            self._ledgers = ledgers

    def _take(self, office: Office, id: bytes, why: str) -> None:
        """The offer's home has our acceptance, or refused it."""
        waiting = self._waiting.get(id)
        if waiting is not None and not why:
            # Where that cannot be written it goes on waiting, and is told again.
            ((outcome,),) = office.desk.submit([waiting.bundle])
            if outcome.refused is not None:
                self.troubles.append(f"{waiting.peer} holds a trade that is refused here: {outcome.refused}")
        self._answers[id] = why
        if len(self._answers) > MOST_WAITING:
            del self._answers[next(iter(self._answers))]
        self._drop(office, id)

    # ------------------------------------------------------------ what is kept

    def _recall(self, office: Office, now_us: int) -> None:
        """What the last life kept; an acceptance whose offer is gone meanwhile is not asked for again."""
        if self._is_recalled:
            return
        kept = recall(file_of(office.desk.book.file))
        self._ledgers = dict(kept.ledgers)
        for bundle in kept.waiting:
            try:
                statement = decode_statement(bundle.statements[0])
                fact = fact_of(statement.body) if isinstance(statement.body, Record) else None
                if isinstance(fact, Acceptance) and fact.offerer in self._peers:
                    self._waiting[fact.offer] = self._waiting_of(office, bundle, fact, now_us)
            except Refused as refused:
                self.troubles.append(f"an acceptance that waited is void: {refused.why}")
        self._is_recalled = True

    def _keep(self, office: Office, ledgers: Mapping[str, bytes], waiting: Mapping[bytes, _Waiting]) -> None:
        keep(file_of(office.desk.book.file), ledgers, [each.bundle for each in waiting.values()])

    def _drop(self, office: Office, id: bytes) -> None:
        if self._waiting.pop(id, None) is not None:
            try:
                self._keep(office, self._ledgers, self._waiting)
            except OSError as error:  # it would be asked for after a restart, and be void: its offer is gone
                self.troubles.append(f"an acceptance that is done is kept on: {error}")

    def _tell_terms(self, office: Office, peer: MarketPeer, now_us: int) -> None:
        """What the section says of it, from the next interval that is not gated."""
        interval_us = self._settings.interval_s * MICROS
        last = office.desk.community.neighbours.last_terms(peer.name)
        if last is not None and (last.imbalance_price, last.tolerance_wh) == (
            peer.imbalance_price,
            peer.tolerance_wh,
        ):
            return
        from_us = (now_us // interval_us + 1) * interval_us
        if (last is not None and last.valid_from_us >= from_us) or self._terms_said.get(peer.name) == from_us:
            return
        self._terms_said[peer.name] = from_us  # said once an interval: a void fact is an entry too
        (outcome,) = office.desk.say(PeerTerms(peer.name, from_us, peer.imbalance_price, peer.tolerance_wh))
        if outcome.refused is not None:
            self.troubles.append(str(outcome.refused))

    def _work(
        self, community: Community, peer: MarketPeer, key: SigningKey, heard: Heard, now_us: int
    ) -> Work:
        market = community.market
        offers = {
            order_id: market.orders[order_id]
            for order_id, partner in market.partners.items()
            if partner == peer.name
        }
        proposals = tuple(
            Proposal(o.client, o.side, o.interval_us, o.open_wh, o.price, o.good_until_us)
            for o in offers.values()
        )
        return Work(
            key=key,
            ledger=self._ledgers.get(peer.name),
            currency=market.in_force().currency,
            interval_s=market.in_force().interval_s,
            gate_lead_s=market.in_force().gate_lead_s,
            imbalance_price=peer.imbalance_price,
            proposals=proposals,
            traded=frozenset(traded_with(community, peer.name, now_us)),
            wishes=tuple(each.wish for each in self._waiting.values() if each.peer == peer.name),
            said=tuple(said_to(community, peer.name, heard, now_us)),
        )

    # ------------------------------------------------------------ acceptances

    def held(self, office: Office, bundle: Bundle, facts: Sequence[Fact], now_us: int) -> tuple[str, str]:
        """Why what is handed in is not placed now (a reason, and more); empty where it is."""
        author = office.desk.book.state.keys.get(signer_of(bundle.statements[0]), "")
        for id, waiting in self._waiting.items():
            # What is placed in between would overtake it, and take the credit that it needs.
            is_this = any(isinstance(fact, Acceptance) and fact.offer == id for fact in facts)
            is_fresh = now_us < waiting.since_us + ANSWER_US and self.heard[waiting.peer].is_up
            if waiting.author == author and is_fresh and not is_this:
                return "busy", f"your acceptance of {id.hex()} waits for {waiting.peer}: ask again"
        found = [fact for fact in facts if isinstance(fact, Acceptance) and fact.offerer in self._peers]
        if not found:
            return "", ""
        if len(bundle.statements) > 1:
            return "malformed", "take an offer of another site in a bundle of its own"
        (fact,) = found
        answer = self._answers.get(fact.offer)
        if answer is not None:
            return ("refused", f"{fact.offerer}: {answer}") if answer else ("", "")
        try:
            waiting = self._waiting_of(office, bundle, fact, now_us)
        except Refused:
            return "", ""  # the ledger says the same, on the record
        return self._wait(office, waiting, now_us)

    def _waiting_of(self, office: Office, bundle: Bundle, fact: Acceptance, now_us: int) -> _Waiting:
        """``Refused`` where the acceptance would not count here."""
        market = office.desk.community.market
        author = office.desk.book.state.keys.get(signer_of(bundle.statements[0]), "")
        offered = check_acceptance(market, author, fact, now_us)
        side = Side.SELL if offered.side is Side.BUY else Side.BUY
        until_us = offered.interval_us - market.in_force().gate_lead_s * MICROS - MARGIN_US
        return _Waiting(
            fact.offerer, author, Wish(fact.offer, side, fact.wh, fact.price, until_us), bundle, now_us
        )

    def _wait(self, office: Office, waiting: _Waiting, now_us: int) -> tuple[str, str]:
        id, peer = waiting.wish.id, waiting.peer
        known = self._waiting.get(id)
        statement = decode_statement(waiting.bundle.statements[0])
        if known is None and now_us > waiting.wish.until_us:
            return "late", f"the gate closes before {peer} can have answered"
        if known is None and not self.heard[peer].is_up:
            return "stopped", f"{peer} cannot be reached: {self.heard[peer].state}"
        if known is None and len(self._waiting) >= MOST_WAITING:
            return "busy", f"{MOST_WAITING} acceptances wait already"
        number = office.desk.book.state.authors[waiting.author].number
        if known is None or decode_statement(known.bundle.statements[0]).number <= number:
            changed = self._waiting | {id: waiting}
            try:
                self._keep(office, self._ledgers, changed)
            except OSError as error:
                return "not_kept", f"it cannot be kept until {peer} has answered: {error}"
            self._waiting = changed
        if statement.good_until_us < waiting.wish.until_us:
            return "pending", f"{peer} is asked; ask again, as this is not good until the gate"
        return "pending", f"{peer} is asked; ask again"

    # ------------------------------------------------------------ what is told

    def terms_of(self, office: Office, author: str) -> dict[str, Any]:
        """What another site needs to know beside a member's terms."""
        peer = self._peers.get(author)
        if peer is None:
            return {}
        neighbours = office.desk.community.neighbours
        terms = neighbours.last_terms(author)
        return {
            "trader": peer.trader,
            "imbalance_price": None if terms is None else terms.imbalance_price,
            "stated_us": max(neighbours.statements.get(author, {}), default=0),
            "since_us": neighbours.since_us(author),
        }

    def told(self, office: Office, now_us: int) -> dict[str, Any]:
        """For `tieline market peers`."""
        neighbours = office.desk.community.neighbours
        return {
            "peers": {
                name: {
                    "up": self.heard[name].is_up,
                    "state": self.heard[name].state,
                    "public_key": peer.public_key.hex(),
                    "waiting": self.counts[name].waiting,
                    "disputed": self.counts[name].disputed,
                    "agreed_us": self.counts[name].agreed_us,
                    "disputes": list(disputes_with(office.desk.community, name, now_us))[-MOST_LISTED:],
                }
                for name, peer in self._peers.items()
            },
            "roaming": [
                {
                    "id": id.hex(),
                    "role": role,
                    "site": session.partner,
                    "vehicle": session.token.vehicle,
                    "valid_until_us": session.token.valid_until_us,
                    "most_wh": session.token.most_wh,
                    "most_amount": session.token.most_amount,
                    "wh": session.wh,
                    "amount": session.amount,
                }
                for role, table in (("home", neighbours.issued), ("host", neighbours.opened))
                for id, session in list(table.items())[-MOST_LISTED:]
            ],
        }
