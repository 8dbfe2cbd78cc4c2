"""The community after some entries of its ledger: registry, meters, market, settlement, and what is owed as postings.

Pure, and the whole truth: what counts as accepted, traded, owed is what ``take`` makes of the entries in their order.
A fact that breaks a rule is **void**: it stays on the record with why, and changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from historian.ledger import facts as f
from historian.ledger.billing import Billing
from historian.ledger.chart import Chart
from historian.ledger.coding import fact_of
from historian.ledger.contracts.calls import Calls
from historian.ledger.entry import (
    Account,
    Body,
    Genesis,
    KeyAction,
    KeyChange,
    Record,
    Transfer,
    transfer,
)
from historian.ledger.errors import Reason, Refused
from historian.ledger.market.bilateral import accept, offer
from historian.ledger.market.exchange import Exchange, Interval, Trade
from historian.ledger.market.limits import Level, Limits
from historian.ledger.metering import MICROS, Meters
from historian.ledger.neighbours import Neighbours, SettledBetween
from historian.ledger.payment_facts import PaymentFact
from historian.ledger.peer_facts import PeerFact
from historian.ledger.registry import Author, Registry, needs_operator
from historian.ledger.reward_facts import RewardFact
from historian.ledger.rules import check_price, check_rules
from historian.ledger.settlement import (
    ENERGY_ACCOUNTS,
    MONEY_ACCOUNTS,
    Line,
    account_of,
    gate_transfer,
    surplus_transfer,
    tariff_transfer,
)
from historian.ledger.settling import Settling
from historian.ledger.state import Placed
from historian.ledger.treasury import Treasury

DAY_US = 86_400 * MICROS
_OWED_ID = struct.Struct(">QI4s")


class Community:
    """All of it. Entries come in order, each once."""

    def __init__(self) -> None:
        self.sequence = -1
        self.chart = Chart()
        self.registry = Registry()
        self.meters = Meters(self.registry)
        self.billing = Billing(self.meters)
        self.limits = Limits(self.registry, self.meters)
        self.market = Exchange(self.registry, self.limits)
        self.neighbours = Neighbours(self.registry, self.market, self.billing)
        self.settling = Settling(self.registry, self.meters, self.market, self.billing, self.neighbours)
        self.settled = self.settling.settled
        self.voids: dict[int, Refused] = {}
        self.refusals: list[tuple[int, f.Refusal]] = []
        self.trades: list[Trade] = []
        self.owed: dict[bytes, Body] = {}
        self.strays: list[tuple[int, str]] = []  # the operator's postings that no fact asked for
        self.treasury = Treasury(self.registry, self.meters, self.billing, self.market, self.chart)
        self.accounts, self._own = self.chart.open, self.chart.own
        self.calls: Calls | None = None  # of contracts; none yet
        self._now_us = 0
        self._do: dict[type[Any], Callable[[Placed, Author, Any], None]] = {
            f.Join: lambda _, author, fact: self.registry.join(author, fact),
            f.Device: lambda _, author, fact: self._add_device(author, fact),
            f.Feeder: lambda _, author, fact: self.registry.add_feeder(author, fact),
            f.Approval: self._approve,
            f.StatusChange: self._change_status,
            f.MeterBinding: lambda _, author, fact: self.registry.bind_meter(author, fact),
            f.Reading: self._read,
            f.Reversal: lambda _, author, fact: self.meters.reverse(author, fact, self._interval_us()),
            f.Rules: self._set_rules,
            f.Price: self._set_price,
            f.Order: self._order,
            f.Amendment: self._amend,
            f.Cancellation: lambda _, author, fact: self.market.cancel(author.name, fact.order),
            f.Offer: self._offer,
            f.Acceptance: self._accept,
            f.Gate: self._close_gate,
            f.Halt: self._close_gate,
            f.Session: self._open_session,
            f.Stored: self._set_level,
            f.Forecast: self._forecast,
            f.Withdrawal: self._withdraw,
            f.Settlement: self._settle,
            f.Tariff: lambda at, author, fact: self.billing.add_tariff(author, fact, at.placed_at_us),
            f.Window: lambda at, author, fact: self.billing.add_window(author, fact, at.placed_at_us),
            f.Incentive: lambda _, author, fact: self.billing.add_incentive(author, fact),
            f.BillIssue: self._issue_bill,
            f.Refusal: self._note_refusal,
            f.Call: self._call,
            **dict.fromkeys(self.neighbours.knows(), self._judge_peers),
            **dict.fromkeys(self.treasury.knows(), self._judge),
        }

    def take(self, placed: Placed) -> None:
        """The next entry."""
        assert placed.sequence == self.sequence + 1, (placed.sequence, self.sequence)
        self.sequence = placed.sequence
        self._now_us = placed.placed_at_us
        statement = placed.statement
        if placed.author == self.operator and statement.client in self.owed:
            self._take_owed(placed)
            return
        match statement.body:
            case Record() as record:
                self._take_record(placed, record)
            case Transfer() as paid:
                self._take_transfer(placed, paid)
            case Account() as account:
                self.accounts.add(account.name)
            case KeyChange(KeyAction.REVOKE, author, _, _):
                self.market.cancel_all(author)
                self.neighbours.keys.pop(author, None)
            case KeyChange(_, author, _, key):
                self.neighbours.keys[author] = key
            case Genesis(_, operator):
                self.chart.operator = operator
                self.neighbours.keys[operator] = placed.statement.signer

    @property
    def operator(self) -> str:
        """The author that began the ledger, who posts what is owed."""
        return self.chart.operator

    def _take_record(self, placed: Placed, record: Record) -> None:
        try:
            fact = fact_of(record)
            if fact is None:
                return
            self.market.expire(placed.placed_at_us)
            self._do[type(fact)](placed, Author(placed.author, placed.is_operator), fact)
        except Refused as refused:
            self.voids[placed.sequence] = refused

    def _take_owed(self, placed: Placed) -> None:
        owed = self.owed.pop(placed.statement.client)
        if placed.statement.body != owed:
            self.strays.append((placed.sequence, f"it is not what was owed: {owed}"))
            self._take_unasked(placed.statement.body)

    def _take_transfer(self, placed: Placed, paid: Transfer) -> None:
        for posting in paid.postings:
            if posting.account in self._own or (posting.amount < 0 and self._is_deposit(posting.account)):
                self.strays.append(
                    (placed.sequence, f"a posting to {posting.account} that no fact asked for")
                )
        self._take_unasked(paid)

    def _take_unasked(self, body: Body) -> None:
        """What somebody paid in (or an operator took out) is there (or is not)."""
        if isinstance(body, Transfer):
            for posting in body.postings:
                name, _, purpose = posting.account.rpartition(".")
                if purpose == "deposit" and name in self.registry.participants:
                    self.market.deposits[name] += posting.amount
                elif purpose == "current" and name in self.registry.participants:
                    self.billing.note(name, "paid", -posting.amount)
                    self.treasury.payments.follow(name, self._now_us)
        elif isinstance(body, Account):
            self.accounts.add(body.name)

    def _is_deposit(self, account: str) -> bool:
        name, _, purpose = account.rpartition(".")
        return purpose == "deposit" and name in self.registry.participants

    def _owe(self, placed: Placed, bodies: Iterator[Body] | list[Body]) -> None:
        for index, body in enumerate(bodies):
            self.owed[_OWED_ID.pack(placed.sequence, index, b"owed")] = body
            if isinstance(body, Account):
                self.accounts.add(body.name)

    @property
    def now_us(self) -> int:
        """The ledger's time: when its last entry was placed."""
        return self._now_us

    def _interval_us(self) -> int:
        return self.market.in_force().interval_s * MICROS

    # ------------------------------------------------------------ registry

    def _add_device(self, author: Author, fact: f.Device) -> None:
        self.registry.add_device(author, fact)
        self.market.cancel_all(author.name, fact.device)  # a new manifest is approved anew

    def _approve(self, placed: Placed, author: Author, fact: f.Approval) -> None:
        if fact.is_device:
            self.registry.approve(author, fact)
            return
        currency = self.market.in_force().currency
        names = [account_of(fact.subject, purpose) for purpose in ("deposit", "current", "wh")]
        # One who was in before has them; accounts of another origin have the wrong owner.
        missing = [name for name in names if name not in self.accounts]
        if missing and missing != names:
            raise Refused(Reason.EXISTS, f"some accounts of {fact.subject} are open, and not by approval")
        if not missing and names[2] not in self._own:
            raise Refused(Reason.EXISTS, f"the accounts of {fact.subject} are open, and not by approval")
        self.registry.approve(author, fact)
        self._own.add(names[2])
        if missing:
            units = (currency, currency, "Wh")
            self._owe(
                placed,
                [
                    Account(name, unit, self.operator, may_be_negative=name != names[0])
                    for name, unit in zip(names, units, strict=True)
                ],
            )

    def _change_status(self, placed: Placed, author: Author, fact: f.StatusChange) -> None:
        self.registry.change_status(author, fact, placed.placed_at_us)
        if fact.status is f.Status.ACTIVE:
            return
        if fact.is_device:
            self.market.cancel_all(self.registry.devices[fact.subject].owner, fact.subject)
        else:
            self.market.cancel_all(fact.subject)

    # ------------------------------------------------------------ meters and what is known of devices

    def _read(self, placed: Placed, author: Author, fact: f.Reading) -> None:
        self.meters.read(author, fact, placed.sequence, placed.placed_at_us, self._interval_us())

    def _open_session(self, _: Placed, author: Author, fact: f.Session) -> None:
        needs_operator(author, "opens sessions")
        device = self._storage(fact.device, {f.DeviceKind.VEHICLE})
        if fact.from_us >= fact.to_us:
            raise Refused(Reason.MALFORMED, f"a session of {fact.device} that ends before it begins")
        for wh in (fact.export_wh, fact.import_wh):
            if not 0 <= wh <= device.storage_wh:
                raise Refused(Reason.OVERFLOW, f"{fact.device} stores {device.storage_wh} Wh, not {wh}")
        self.limits.sessions[fact.device] = fact

    def _set_level(self, placed: Placed, author: Author, fact: f.Stored) -> None:
        needs_operator(author, "tells what is stored")
        device = self._storage(fact.device, {f.DeviceKind.STORAGE, f.DeviceKind.VEHICLE})
        if not 0 <= fact.wh <= device.storage_wh:
            raise Refused(Reason.OVERFLOW, f"{fact.wh} Wh in {fact.device}, which holds {device.storage_wh}")
        self.limits.set_level(fact.device, Level(fact.wh, placed.placed_at_us), self._interval_us())

    def _storage(self, name: str, kinds: set[f.DeviceKind]) -> f.Device:
        found = self.registry.devices.get(name)
        if found is None or found.manifest.kind not in kinds:
            raise Refused(
                Reason.UNKNOWN, f"{name} is no {' or '.join(sorted(k.name.lower() for k in kinds))}"
            )
        return found.manifest

    def _forecast(self, _: Placed, author: Author, fact: f.Forecast) -> None:
        needs_operator(author, "forecasts")
        if fact.device not in self.registry.devices:
            raise Refused(Reason.UNKNOWN, f"no device {fact.device}")
        if fact.wh < 0:
            raise Refused(Reason.NEGATIVE, f"a forecast of {fact.wh} Wh")
        self.limits.forecasts[fact.device, fact.interval_us] = fact.wh

    # ------------------------------------------------------------ market

    def _set_rules(self, placed: Placed, author: Author, fact: f.Rules) -> None:
        needs_operator(author, "sets rules")
        check_rules(fact, self.market.rules)
        names = {name for name, _ in (*MONEY_ACCOUNTS, *ENERGY_ACCOUNTS)}
        if self.market.rules is None:
            if taken := names & self.accounts:
                raise Refused(
                    Reason.EXISTS, f"the account {min(taken)} is open: the market's own has that name"
                )
            accounts = [
                *(Account(name, fact.currency, self.operator, negative) for name, negative in MONEY_ACCOUNTS),
                *(Account(name, "Wh", self.operator, negative) for name, negative in ENERGY_ACCOUNTS),
            ]
            self._own |= names
            self._owe(placed, list(accounts))
        self.market.rules = fact

    def _set_price(self, _: Placed, author: Author, fact: f.Price) -> None:
        needs_operator(author, "sets prices")
        check_price(fact, self.market.in_force())
        if fact.interval_us in self.settled:
            raise Refused(Reason.EXISTS, f"the interval {fact.interval_us} µs is settled by its price")
        self.market.prices[fact.interval_us] = fact

    def _order(self, placed: Placed, author: Author, fact: f.Order) -> None:
        client = placed.statement.client
        self.trades += self.market.place(author.name, client, fact, placed.sequence, placed.placed_at_us)

    def _amend(self, placed: Placed, author: Author, fact: f.Amendment) -> None:
        self.trades += self.market.amend(author.name, fact, placed.sequence, placed.placed_at_us)

    def _offer(self, placed: Placed, author: Author, fact: f.Offer) -> None:
        offer(self.market, author.name, placed.statement.client, fact, placed.sequence, placed.placed_at_us)

    def _accept(self, placed: Placed, author: Author, fact: f.Acceptance) -> None:
        client = placed.statement.client
        self.trades += accept(self.market, author.name, client, fact, placed.sequence, placed.placed_at_us)

    def _withdraw(self, placed: Placed, author: Author, fact: f.Withdrawal) -> None:
        free = self.market.available(author.name)
        if fact.amount <= 0:
            raise Refused(Reason.NEGATIVE, f"a withdrawal of {fact.amount}")
        if fact.amount > free:
            raise Refused(
                Reason.NEGATIVE, f"{author.name} has {free} of its deposit free, less than {fact.amount}"
            )
        deposit, current = account_of(author.name, "deposit"), account_of(author.name, "current")
        currency = self.market.in_force().currency
        self.market.deposits[author.name] -= fact.amount
        self.billing.note(author.name, "deposit withdrawn", -fact.amount)
        self.treasury.payments.follow(author.name, placed.placed_at_us)
        self._owe(placed, [transfer("withdrawal", deposit, current, currency, fact.amount)])

    def _close_gate(self, placed: Placed, author: Author, fact: f.Gate | f.Halt) -> None:
        needs_operator(author, "closes gates")
        is_halt = isinstance(fact, f.Halt)
        before = len(interval.trades) if (interval := self.market.intervals.get(fact.interval_us)) else 0
        interval = self.market.close_gate(
            fact.interval_us, placed.sequence, placed.placed_at_us, has_auction=not is_halt
        )
        self.trades += interval.trades[before:]
        self.limits.forget(fact.interval_us - DAY_US)
        self._owe(placed, list(self._gate_transfers(interval, f"gate {fact.interval_us}")))

    def _gate_transfers(self, interval: Interval, reference: str) -> Iterator[Body]:
        currency = self.market.in_force().currency
        positions = interval.positions
        for name in sorted(positions):
            if paid := gate_transfer(name, positions[name], currency, reference):
                yield paid
        surplus = sum(p.pays for p in positions.values()) - sum(p.earns for p in positions.values())
        if left := surplus_transfer(surplus, currency, reference):
            yield left

    # ------------------------------------------------------------ settlement, bills, contracts, other sites

    def _settle(self, placed: Placed, author: Author, fact: f.Settlement) -> None:
        self._owe(placed, self.settling.settle(author, fact, placed.placed_at_us))

    def _issue_bill(self, placed: Placed, author: Author, fact: f.BillIssue) -> None:
        self.registry.known(fact.participant)
        currency = self.market.in_force().currency
        bill = self.billing.issue(author, fact, placed.sequence, placed.placed_at_us, self._interval_us())
        reference = f"bill {fact.from_us} {fact.to_us}"
        posted = tariff_transfer(fact.participant, bill.charges, currency, reference)
        self._owe(placed, [posted] if posted else [])
        self.treasury.payments.add_bill(placed.sequence, bill, placed.placed_at_us)

    def _call(self, placed: Placed, _: Author, fact: f.Call) -> None:
        if self.calls is None:
            self.calls = Calls(self.market, self.chart)
        self._owe(placed, self.calls.judge(placed, fact))

    def _judge(self, placed: Placed, author: Author, fact: PaymentFact | RewardFact) -> None:
        self._owe(placed, self.treasury.judge(placed, author, fact))

    def _judge_peers(self, placed: Placed, author: Author, fact: PeerFact) -> None:
        self._owe(placed, self.neighbours.judge(placed, author, fact))

    def lines_now(self, at_us: int) -> dict[str, Line] | None:
        """An interval's settlement as its meters stand now; None where it cannot be made."""
        return self.settling.lines_now(at_us)

    def settled_with(self, name: str, at_us: int) -> SettledBetween | None:
        """What was booked of another site for an interval; None before it is settled."""
        return self.settling.settled_with(name, at_us)

    def _note_refusal(self, placed: Placed, author: Author, fact: f.Refusal) -> None:
        needs_operator(author, "notes refusals")
        self.refusals.append((placed.sequence, fact))
