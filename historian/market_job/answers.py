"""What the market answers to what is asked at its door: bundles judged, questions told. No socket here."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import Any

from gateway.config.market import MarketStatus
from historian.ledger.bundle import is_signed_by_its_signer
from historian.ledger.coding import fact_of, record_of
from historian.ledger.desk import Outcome
from historian.ledger.entry import Record, Statement, decode_statement, signer_of
from historian.ledger.errors import Refused
from historian.ledger.facts import (
    Acceptance,
    Amendment,
    Approval,
    BillIssue,
    Device,
    Fact,
    Join,
    Offer,
    Order,
    Side,
    StatusChange,
)
from historian.ledger.market.book import OpenOrder
from historian.ledger.metering import MICROS
from historian.market_job import wire
from historian.market_job.agents.traders import Traders
from historian.market_job.door import Bucket
from historian.market_job.office import Office
from historian.market_job.peers.peering import MOST_TAKEN, Peering
from historian.market_job.peers.standing import traded_with
from historian.market_job.registrar import devices_of, join_of

# Of one signer: void orders stay on the record too, so a member must not fill the disk. 20 orders a second are
# 1.7 million a day, and about a gigabyte.
SIGNED_A_SECOND = 20.0
SIGNED_BURST = 2_000.0
MOST_SIGNERS = 10_000  # remembered; forgeries have no place here, their signature is looked at before
MOST_LEVELS = 50  # of each side of a book that is told
_TRADING = (Order, Amendment, Offer, Acceptance)
_REGISTRY = (Join, Device, StatusChange, Approval)


class Answers:
    """Answers while a market is there; ``office`` is None while it is not."""

    def __init__(self) -> None:
        self.office: Office | None = None
        self.traders: Traders | None = None
        self.status = MarketStatus.STOPPED
        self.error = ""
        self.refused = 0
        self.peering: Peering | None = None
        self._buckets: dict[bytes, Bucket] = {}

    def answer(self, request: wire.Request, now_us: int) -> wire.Reply:
        """Raises LedgerError where the ledger cannot be written."""
        if isinstance(request, wire.AskStatus):
            return wire.Told(request.id, self._status(now_us))
        if isinstance(request, wire.AskAgents | wire.StopAgent):
            return self._agents(request)
        office = self.office
        if office is None:
            return self._turned(request.id, "stopped", f"the market is stopped: {self.error or 'it starts'}")
        match request:
            case wire.Submit(id, _):
                return self._submit(office, request, now_us)
            case wire.AskTerms(id, key):
                return wire.Told(id, _terms(office, key) | self._terms_between(office, key))
            case wire.AskPeers(id):
                told = (
                    {"peers": {}, "roaming": []}
                    if self.peering is None
                    else self.peering.told(office, now_us)
                )
                return wire.Told(id, told)
            case wire.AskOrders(id, key):
                return wire.Told(id, _orders(office, key, now_us))
            case wire.AskBook(id, interval_us):
                return wire.Told(id, _book(office, interval_us))
            case wire.AskBill(id, participant):
                try:
                    return wire.Told(id, _bill(office.bill_now(participant), office.settings.currency))
                except Refused as refused:
                    return self._turned(id, "refused", refused.why)

    def _terms_between(self, office: Office, key: bytes) -> dict[str, Any]:
        author = office.desk.book.state.keys.get(key, "")
        return {} if self.peering is None else self.peering.terms_of(office, author)

    def _turned(self, id: str, reason: str, why: str) -> wire.Turned:
        self.refused += 1
        return wire.Turned(id, reason, why)

    def _agents(self, request: wire.AskAgents | wire.StopAgent) -> wire.Reply:
        """Whether or not the market trades: an agent is stopped at any time, from the next look on."""
        traders = self.traders
        known = {} if traders is None else traders.told()
        if isinstance(request, wire.StopAgent):
            if traders is None or request.name not in known:
                why = f"no agent {request.name[:40]!r}; there are: {', '.join(known) or 'none'}"
                return self._turned(request.id, "unknown", why)
            try:
                traders.stop(request.name, is_stopped=request.is_stopped)
            except OSError as error:
                why = f"{request.name} is stopped, but not over a restart: {error}"
                return self._turned(request.id, "not_kept", why)
            known = traders.told()
        return wire.Told(request.id, known)

    # ------------------------------------------------------------ bundles

    def _submit(self, office: Office, request: wire.Submit, now_us: int) -> wire.Reply:
        bundle = request.bundle
        signer = signer_of(bundle.statements[0])
        is_signed = is_signed_by_its_signer(bundle)
        if is_signed and signer != office.key:
            bucket = self._bucket(signer)
            if not bucket.take(len(bundle.statements), now_us / MICROS):
                why = f"more than {SIGNED_A_SECOND:g} statements a second of this key: ask again later"
                return self._turned(request.id, "busy", why)
        facts = _facts(bundle.statements) if is_signed else []  # what is forged, the desk refuses and notes
        author = office.desk.book.state.keys.get(signer, "")
        if any(isinstance(fact, _TRADING) for fact in facts):
            if not office.can_trade:
                why = "no history to settle by: trading is stopped; orders can be cancelled"
                return self._turned(request.id, "stopped", why)
            if not office.is_member_ready(author):
                why = f"a meter of {author} has not been read yet: wait for it"
                return self._turned(request.id, "not_ready", why)
            if self.peering is not None:
                reason, why = self.peering.held(office, bundle, facts, now_us)
                if reason:
                    return self._turned(request.id, reason, why)
            ahead = [told for fact in facts for told in _ahead(office, fact, now_us)]
            if ahead:
                office.desk.say(*dict.fromkeys(ahead))
        (outcomes,) = office.desk.submit([bundle])
        if any(isinstance(fact, _REGISTRY) for fact in facts):
            office.must_register = True
        judged = tuple(map(_judged, outcomes))
        self.refused += sum(bool(each.reason) for each in judged)
        return wire.Placed(request.id, judged)

    def _bucket(self, signer: bytes) -> Bucket:
        if len(self._buckets) >= MOST_SIGNERS:
            self._buckets.clear()
        return self._buckets.setdefault(signer, Bucket(SIGNED_A_SECOND, SIGNED_BURST))

    # ------------------------------------------------------------ questions

    def _status(self, now_us: int) -> dict[str, Any]:
        said: dict[str, Any] = {"status": self.status.text, "error": self.error, "refused": self.refused}
        office = self.office
        if office is None:
            return said
        market, head = office.desk.community.market, office.desk.book.state.head
        price = market.prices.get(now_us - now_us % (office.settings.interval_s * MICROS))
        return said | {
            "ledger": office.desk.book.id.hex(),
            "head": f"{head.sequence}:{head.hash.hex()}",
            "entries": head.sequence + 1,
            "trades_next_us": office.gate_us,
            "gate_us": office.gate_us - office.settings.gate_lead_s * MICROS,
            "price": None if price is None else price.price,
            "orders": len(market.orders),
            "currency": office.settings.currency,
            "participants": {
                name: {
                    "status": who.status.name.lower(),
                    "free": market.available(name),
                    "owed": office.desk.community.billing.owed(name),
                }
                for name, who in sorted(office.desk.community.registry.participants.items())
            },
        }


def _bill(bill: BillIssue, currency: str) -> dict[str, Any]:
    return {
        "participant": bill.participant,
        "from_us": bill.from_us,
        "to_us": bill.to_us,
        "amount": bill.amount,
        "currency": currency,
        "record": record_of(bill).content.hex(),
    }


def _ahead(office: Office, fact: Fact, now_us: int) -> list[Fact]:
    """What has to be told of a device before what would trade it is judged."""
    if isinstance(fact, Order | Offer):
        return office.plugs.before(fact.device, fact.side, fact.interval_us, now_us)
    if isinstance(fact, Acceptance):
        offered = office.desk.community.market.orders.get((fact.offerer, fact.offer))
        if offered is not None:
            side = Side.SELL if offered.side is Side.BUY else Side.BUY
            return office.plugs.before(fact.device, side, offered.interval_us, now_us)
    return []


def _facts(statements: tuple[bytes, ...]) -> list[Fact]:
    """What they say, as far as it can be read; what cannot, the desk refuses."""
    found: list[Fact] = []
    for encoded in statements:
        try:
            statement: Statement = decode_statement(encoded)
            fact = fact_of(statement.body) if isinstance(statement.body, Record) else None
        except Refused:
            continue
        if fact is not None:
            found.append(fact)
    return found


def _judged(outcome: Outcome) -> wire.Judged:
    receipt, refused = outcome.receipt, outcome.refused
    return wire.Judged(
        None if receipt is None else receipt.sequence,
        "" if receipt is None else receipt.hash.hex(),
        0 if receipt is None else receipt.placed_at_us,
        "" if refused is None else refused.reason.value,
        "" if refused is None else refused.why,
    )


def _terms(office: Office, key: bytes) -> dict[str, Any]:
    """What the holder of a key needs to sign: the ledger, its number, the rules, and what it may apply for."""
    state, community, settings = office.desk.book.state, office.desk.community, office.settings
    author = state.keys.get(key, "")
    member = next((each for each in settings.members if each.name == author), None)
    participant = community.registry.participants.get(author)
    rules = community.market.rules
    return {
        "ledger": office.desk.book.id.hex(),
        "author": author,
        "number": state.authors[author].number if author else 0,
        "status": "" if participant is None else participant.status.name.lower(),
        "rules": None if rules is None else asdict(rules),
        "trades_next_us": office.gate_us,
        "join": None if member is None else record_of(join_of(member)).content.hex(),
        "devices": [] if member is None else [_applied(office, each) for each in devices_of(member)],
        "free": community.market.available(author) if participant is not None else 0,
    }


def _applied(office: Office, device: Device) -> dict[str, Any]:
    known = office.desk.community.registry.devices.get(device.device)
    return {
        "device": device.device,
        "kind": device.kind.name.lower(),
        "max_export_w": device.max_export_w,
        "max_import_w": device.max_import_w,
        "storage_wh": device.storage_wh,
        "manifest": record_of(device).content.hex(),
        "status": "" if known is None else known.status.name.lower(),
        "is_as_said": known is not None and known.manifest == device,
    }


def _orders(office: Office, key: bytes, now_us: int) -> dict[str, Any]:
    """Somebody's open orders and offers, and the offers that others made to it."""
    author = office.desk.book.state.keys.get(key, "")
    market = office.desk.community.market
    own = sorted(
        (order for (name, _), order in market.orders.items() if name == author),
        key=lambda order: (order.interval_us, order.priority),
    )
    offered = [market.orders[order_id] for order_id, partner in market.partners.items() if partner == author]
    taken = traded_with(office.desk.community, author, now_us) if market.rules is not None else ()
    return {
        "orders": [_order(order) for order in own],
        "offers": [_order(order) | {"from": order.author} for order in offered],
        "taken": [client.hex() for client in islice(taken, MOST_TAKEN)],
    }


def _order(order: OpenOrder) -> dict[str, Any]:
    return {
        "id": order.client.hex(),
        "venue": order.venue.name.lower(),
        "side": order.side.name.lower(),
        "interval_us": order.interval_us,
        "device": order.device,
        "wh": order.open_wh,
        "price": order.price,
        "min_fill_wh": order.min_fill_wh,
        "good_until_us": order.good_until_us,
    }


def _book(office: Office, interval_us: int) -> dict[str, Any]:
    """What is bid and offered in the continuous book, in sum by price: nobody's name is in it."""
    interval = office.desk.community.market.intervals.get(interval_us)
    if interval is None:
        return {"bids": [], "offers": [], "gated": False}
    return {
        "bids": interval.book.halves[Side.BUY].depth()[:MOST_LEVELS],
        "offers": interval.book.halves[Side.SELL].depth()[:MOST_LEVELS],
        "gated": interval.is_gated,
    }
