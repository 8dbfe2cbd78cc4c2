"""Other sites, as the market's thread sees them: what is to be said to each, and what its answers change here.

A trade between sites is two of the ledgers: our member's with the site in ours, and the site's member's with us in
theirs. Who takes an offer says so in the offerer's ledger first: only with its receipt is it taken here too, so that
no side holds a trade that the other may yet let go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.market import MarketPeer, MarketSettings
from historian.ledger.bundle import Bundle
from historian.ledger.community import Community
from historian.ledger.entry import decode_statement, signer_of
from historian.ledger.errors import Refused
from historian.ledger.facts import Acceptance, Fact, Side, Status
from historian.ledger.market.bilateral import check_acceptance
from historian.ledger.metering import MICROS
from historian.ledger.neighbours import Agreement, agreement
from historian.ledger.peer_facts import PeerFact, PeerStatement, PeerTerms, RoamingRecord
from historian.ledger.pen import client_id
from historian.market_job.office import Office
from historian.market_job.peers.link import Heard, Link, Proposal, Wish, Work
from historian.signing import SigningKey

# Nearer to its gate an offer of another site is not taken: the answer may not come before it.
MARGIN_US = 10 * MICROS
WINDOW_US = 7 * 86_400 * MICROS  # of how long ago intervals are compared, told again, counted
MOST_PARKED = 1_000
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Count:
    """How a site's and our settlements of the last week stand to each other."""

    waiting: int = 0
    disputed: int = 0
    agreed_us: int | None = None
    agreed_wh: int | None = None


class Peering:
    """``links`` by the names of the section's peers."""

    def __init__(self, settings: MarketSettings, links: Mapping[str, Link]) -> None:
        self._settings = settings
        self._links = links
        self._peers = {peer.name: peer for peer in settings.peers}
        self._parked: dict[bytes, tuple[str, Wish, Bundle]] = {}
        self._answers: dict[bytes, str] = {}  # of the offers' home: why not, or nothing
        self.heard: dict[str, Heard] = {name: Heard() for name in self._peers}
        self.counts: dict[str, Count] = {name: Count() for name in self._peers}
        self.troubles: list[str] = []
        self._terms_said: dict[str, int] = {}

    # ------------------------------------------------------------ a look

    def look(self, office: Office, now_us: int) -> None:
        """What the links heard is done here, and they get what is to be said now. Raises LedgerError."""
        community = office.desk.community
        if community.market.rules is None:
            return
        self.troubles = []
        for name, peer in self._peers.items():
            heard = self.heard[name] = self._links[name].heard()
            for id, why in heard.takes.items():
                self._take(office, id, why)
            participant = community.registry.participants.get(name)
            if participant is not None and participant.status is Status.ACTIVE:
                self._tell_terms(office, peer, now_us)
            # Before it has joined here, too: each applies at the other by its own link.
            self._links[name].give(self._work(community, peer, office.signing, heard, now_us))
            count = self.counts[name] = _count(community, name, now_us)
            if count.disputed:
                self.troubles.append(
                    f"{name} settled {count.disputed} intervals in another way: market peers"
                )
        for id, (_, _, bundle) in list(self._parked.items()):
            if decode_statement(bundle.statements[0]).good_until_us < now_us:
                del self._parked[id]

    def _take(self, office: Office, id: bytes, why: str) -> None:
        """The offer's home has our acceptance, or refused it."""
        name, _, bundle = self._parked.pop(id, ("", None, None))
        self._answers[id] = why
        if len(self._answers) > MOST_PARKED:
            del self._answers[next(iter(self._answers))]
        if bundle is None or why:
            return
        ((outcome,),) = office.desk.submit([bundle])
        if outcome.refused is not None:
            self.troubles.append(f"{name} holds a trade that is refused here: {outcome.refused}")

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
            currency=market.in_force().currency,
            interval_s=market.in_force().interval_s,
            gate_lead_s=market.in_force().gate_lead_s,
            imbalance_price=peer.imbalance_price,
            proposals=proposals,
            traded=frozenset(traded_with(community, peer.name)),
            wishes=tuple(wish for name, wish, _ in self._parked.values() if name == peer.name),
            said=tuple(_said(community, peer.name, heard, now_us)),
        )

    # ------------------------------------------------------------ acceptances

    def held(self, office: Office, bundle: Bundle, facts: Sequence[Fact], now_us: int) -> tuple[str, str]:
        """Why an acceptance of another site's offer is not placed now (a reason, and more); empty where it is."""
        found = [fact for fact in facts if isinstance(fact, Acceptance) and fact.offerer in self._peers]
        if not found:
            return "", ""
        if len(bundle.statements) > 1:
            return "malformed", "take an offer of another site in a bundle of its own"
        (fact,) = found
        answer = self._answers.get(fact.offer)
        if answer is not None:
            return ("refused", f"{fact.offerer}: {answer}") if answer else ("", "")
        market = office.desk.community.market
        author = office.desk.book.state.keys.get(signer_of(bundle.statements[0]), "")
        try:
            offered = check_acceptance(market, author, fact, now_us)
        except Refused:
            return "", ""  # the ledger says the same, on the record
        gate_us = offered.interval_us - market.in_force().gate_lead_s * MICROS
        if now_us > gate_us - MARGIN_US:
            return "late", f"the gate closes before {fact.offerer} can have answered"
        if not self.heard[fact.offerer].is_up:
            return "stopped", f"{fact.offerer} cannot be reached: {self.heard[fact.offerer].state}"
        if len(self._parked) >= MOST_PARKED:
            return "busy", f"{MOST_PARKED} acceptances wait already"
        side = Side.SELL if offered.side is Side.BUY else Side.BUY
        self._parked[fact.offer] = (fact.offerer, Wish(fact.offer, side, fact.wh, fact.price), bundle)
        return "pending", f"{fact.offerer} is asked; ask again"

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
                    "disputes": list(_disputes(office.desk.community, name, now_us))[-MOST_LISTED:],
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


def traded_with(community: Community, name: str) -> Iterator[bytes]:
    """Ids of the offers that a site took, of intervals that are not gated yet."""
    for trade in reversed(community.trades):
        interval = community.market.intervals.get(trade.interval_us)
        if trade.at_us < community.now_us - WINDOW_US:
            return
        if interval is None or interval.is_gated or trade.buyer is None or trade.seller is None:
            continue
        sides = (trade.buyer, trade.seller)
        if any(author == name for author, _ in sides):
            yield from (client for author, client in sides if author != name)


def _recent(community: Community, name: str, now_us: int) -> Iterator[int]:
    """Intervals settled with a site in the window, the last first."""
    since_us = community.neighbours.since_us(name)
    if since_us is None:
        return
    for at_us in reversed(community.settled):
        if at_us < now_us - WINDOW_US:
            return
        if at_us >= since_us:
            yield at_us


def _said(community: Community, name: str, heard: Heard, now_us: int) -> Iterator[tuple[bytes, PeerFact]]:
    """Statements of what is settled and roaming sessions that are done, as far as the site has not got them."""
    if heard.stated_us is None:
        return
    for at_us in sorted(_recent(community, name, now_us)):
        version = community.settled[at_us].version
        client = client_id(f"statement {at_us} {version}")
        if (at_us > heard.stated_us or version > 1) and client not in heard.done:
            own = community.settled_with(name, at_us)
            assert own is not None, at_us
            # Told as the site sees itself in our books: its own figures of us are these with the sign turned.
            yield client, PeerStatement(at_us, version, own.traded_wh, own.metered_wh, own.amount)
    for id, session in community.neighbours.opened.items():
        client = client_id(f"roaming {id.hex()}")
        if session.partner == name and session.amount is not None and client not in heard.done:
            yield client, RoamingRecord(id, session.wh, session.amount)


def _count(community: Community, name: str, now_us: int) -> Count:
    waiting = disputed = 0
    agreed_us = agreed_wh = None
    for at_us in _recent(community, name, now_us):
        own, terms = community.settled_with(name, at_us), community.neighbours.terms_at(name, at_us)
        assert own is not None, at_us
        assert terms is not None, at_us
        match agreement(own, community.neighbours.statements.get(name, {}).get(at_us), terms):
            case Agreement.WAITING:
                waiting += 1
            case Agreement.DISPUTED:
                disputed += 1
            case Agreement.AGREED if agreed_us is None:
                agreed_us, agreed_wh = at_us, own.metered_wh
    return Count(waiting, disputed, agreed_us, agreed_wh)


def _disputes(community: Community, name: str, now_us: int) -> Iterator[dict[str, Any]]:
    for at_us in sorted(_recent(community, name, now_us)):
        own, terms = community.settled_with(name, at_us), community.neighbours.terms_at(name, at_us)
        told = community.neighbours.statements.get(name, {}).get(at_us)
        if (
            own is None
            or terms is None
            or told is None
            or agreement(own, told, terms) is not Agreement.DISPUTED
        ):
            continue
        yield {
            "interval_us": at_us,
            "here": [own.traded_wh, own.metered_wh, own.amount],
            "there": [-told.traded_wh, -told.metered_wh, -told.amount],
        }
