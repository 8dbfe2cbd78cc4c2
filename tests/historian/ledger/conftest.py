"""A community with a ledger, a clock that is set, and participants that speak with their own keys."""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from historian.ledger.book import Book
from historian.ledger.bundle import Bundle, sign
from historian.ledger.coding import record_of
from historian.ledger.community import Community
from historian.ledger.desk import Desk, Outcome
from historian.ledger.entry import (
    Account,
    Body,
    KeyAction,
    KeyChange,
    Role,
    Statement,
    Transfer,
    transfer,
)
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import (
    NO_DIGEST,
    Approval,
    Device,
    DeviceKind,
    Fact,
    Feeder,
    Join,
    MeterBinding,
    Order,
    ParticipantKind,
    Price,
    Reading,
    ReadingQuality,
    Rules,
    Side,
    Status,
    StatusChange,
    Stored,
    Venue,
)
from historian.ledger.market.price import ONE
from historian.ledger.pen import Pen, client_id
from historian.ledger.rules import price_of
from historian.ledger.state import Placed
from historian.signing import SigningKey

QUARTER_US = 900 * 1_000_000
NOON_US = 1_795_262_400 * 1_000_000  # 2026-11-21T12:00:00Z
FIRST_US = NOON_US + 4 * QUARTER_US  # the interval that most tests trade

RULES = Rules(
    currency="EUR",
    interval_s=900,
    gate_lead_s=300,
    horizon_s=2 * 86_400,
    price_low=10_000,
    price_high=1_000_000,
    max_order_wh=50_000,
    proven_share=0,
    proven_after=4,
    cover=100_000,
    community_fee=5_000,
    grid_fee=20_000,
    loss_share=30_000,
    short_share=1_500_000,
    long_share=500_000,
    pay_as_bid=False,
    demand_low=500_000,
    demand_high=1_500_000,
    stress_low=0,
    stress_high=1_000_000,
    time_low=500_000,
    time_high=2_000_000,
)


class Town:
    """pv1, pv2 (sources), home1, home2 (consumers), bat (storage), ev (vehicle): each 20 kW, a meter, 100 EUR."""

    RULES = RULES
    KINDS = {  # noqa: RUF012 - a table
        "pv1": DeviceKind.SOURCE,
        "pv2": DeviceKind.SOURCE,
        "home1": DeviceKind.CONSUMER,
        "home2": DeviceKind.CONSUMER,
        "bat": DeviceKind.STORAGE,
        "ev": DeviceKind.VEHICLE,
    }

    def __init__(self, file: Path, built: Town | None = None) -> None:
        self.file = file
        self.now_us = built.now_us if built else NOON_US
        self.key = built.key if built else SigningKey.generate()
        self.keys = built.keys if built else {name: SigningKey.generate() for name in self.KINDS}
        if built:
            shutil.copy(built.file, file)
        else:
            Book.create(file, "town", "market", self.key, self.clock).close()
        self.orders = 0
        self.open()
        if not built:
            self.build()

    def open(self) -> None:
        """As after a start: all is read from the ledger."""
        self.book = Book.open(self.file, self.clock)
        self.pens = {name: Pen(key, self.book.id, self.clock) for name, key in self.keys.items()}
        self.desk = Desk(self.book, self.key, self.clock)
        self.desk.start()

    def clock(self) -> int:
        self.now_us += 1
        return self.now_us

    @property
    def community(self) -> Community:
        return self.desk.community

    def build(self) -> None:
        self.desk.demand(RULES, Feeder("f1", 60_000, 60_000))
        self.post(Account("bank", "EUR", "market", may_be_negative=True))
        for name, kind in self.KINDS.items():
            self.post(KeyChange(KeyAction.ENROL, name, Role.MEMBER, self.keys[name].public))
            self.must(name, Join(ParticipantKind.PROSUMER, "street 1", NO_DIGEST))
            self.desk.demand(Approval(name, is_device=False))
            stores = 10_000 if kind in (DeviceKind.STORAGE, DeviceKind.VEHICLE) else 0
            for device, of in ((f"{name}.dev", kind), (f"{name}.meter", DeviceKind.METER)):
                held = stores if of is kind else 0
                self.must(name, Device(device, of, "X1", "roof", NO_DIGEST, "f1", 20_000, 20_000, held))
                self.desk.demand(Approval(device, is_device=True))
            binding = MeterBinding(f"{name}.meter", f"{name}.in_wh", f"{name}.out_wh", "market", is_main=True)
            self.desk.demand(binding)
            self.post(transfer("pay in", "bank", f"{name}.deposit", "EUR", 100_000_000))
        self.desk.demand(Stored("bat.dev", 6_000))

    def post(self, *bodies: Body) -> None:
        pen = Pen(self.key, self.book.id, self.clock)
        pen.follow(self.book.state.authors["market"].number)
        for outcome in self.desk.submit([pen.sign(bodies)])[0]:
            assert outcome.refused is None, outcome

    def say(self, name: str, *facts: Fact) -> list[Outcome]:
        return self.desk.submit([self.pens[name].sign([record_of(fact) for fact in facts])])[0]

    def must(self, name: str, *facts: Fact) -> None:
        for outcome in self.say(name, *facts):
            assert outcome.refused is None, outcome

    def refused(self, name: str, fact: Fact, reason: Reason, why: str = "") -> None:
        """Void by the rules, on the record, and nothing else changed."""
        before = self.picture()
        last = self.book.state.head.sequence
        (outcome,) = self.desk.say(fact) if name == "market" else self.say(name, fact)
        assert isinstance(outcome.refused, Refused), f"{fact} was accepted"
        assert outcome.refused.reason is reason, outcome.refused
        assert why in str(outcome.refused)
        assert self.book.state.head.sequence == last + 1, "the void fact and nothing after it"
        assert last + 1 in self.community.voids
        assert self.picture() == before

    def picture(self) -> object:
        """What a fact could change."""
        community, market = self.community, self.community.market
        return (
            self.book.state.balances(),
            dict(community.registry.participants),
            dict(community.registry.devices),
            dict(community.registry.meters),
            market.rules,
            dict(market.prices),
            {name: amount for name, amount in market.deposits.items() if amount},
            {name: amount for name, amount in market.reserved.items() if amount},
            {
                order_id: (order.open_wh, order.price, order.priority, order.reserve)
                for order_id, order in market.orders.items()
            },
            list(community.trades),
            {at: (settled.version, settled.lines) for at, settled in community.settled.items()},
            dict(community.owed),
            self.treasury_picture(),
        )

    def treasury_picture(self) -> object:
        """The same of payments, fees, certificates and points."""
        treasury = self.community.treasury
        payments, finance = treasury.payments, treasury.finance
        certificates, rewards = treasury.certificates, treasury.rewards
        return deepcopy(
            (
                {name: self.community.billing.owed(name) for name in self.KINDS},
                (payments.terms, payments.claims, payments.paid),
                ({name: fees for name, fees in finance.fees.items() if fees}, finance.items),
                {device: shares for device, shares in finance.shares.items() if shares},
                {batch: earned for batch, earned in finance.earned.items() if earned.amount},
                (certificates.sources, certificates.batches, certificates.held),
                {device: left for device, left in certificates.left.items() if left},
                (rewards.rules, rewards.staking, rewards.events, rewards.awards, rewards.stakes),
                {name: lots for name, lots in rewards.lots.items() if lots},
            )
        )

    # ------------------------------------------------------------ trading

    def order(self, name: str, side: Side, wh: int, price: int, **more: object) -> Order:
        order = Order(
            Venue.CONTINUOUS, side, FIRST_US, f"{name}.dev", wh, price, "EUR", 0, FIRST_US + QUARTER_US
        )
        return replace(order, **more)  # type: ignore[arg-type]  # fields of an order

    def trade(self, name: str, side: Side, wh: int, price: int, **more: object) -> bytes:
        """An order that is accepted; its id."""
        self.orders += 1
        client = client_id(f"order {self.orders}")
        ((outcome,),) = self.desk.submit(
            [self.request(name, self.order(name, side, wh, price, **more), client)]
        )
        assert outcome.refused is None, outcome
        return client

    def request(self, name: str, fact: Fact, client: bytes) -> Bundle:
        return sign(self.keys[name], [self.pens[name].statement(record_of(fact), client)])

    def read(
        self, name: str, at_us: int, imported: int, exported: int, quality: object = ReadingQuality.MEASURED
    ) -> None:
        self.desk.demand(Reading(f"{name}.meter", at_us, imported, exported, ReadingQuality(quality)))  # type: ignore[arg-type]  # of it

    def price(self, interval_us: int = FIRST_US, base: int = 200_000) -> int:
        """The tariff's price of an interval, set."""
        fact = price_of(RULES, Price(interval_us, base, 50_000, 100_000, 0, 0, 0, ONE, 0, 0, 0))
        self.desk.demand(fact)
        return fact.price

    def suspend(self, name: str) -> None:
        self.desk.demand(StatusChange(name, False, Status.SUSPENDED, 0, "gone"))


module = sys.modules[__name__]
sys.modules["ledger_town"] = module  # so that tests import it, whatever their folder is called


@pytest.fixture(scope="session")
def built_town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    town = Town(tmp_path_factory.mktemp("town") / "built.ledger")
    town.book.close()  # which leaves one file
    return town


class Entries(tuple[Placed, ...]):
    """Too many to be printed where a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} entries"


@pytest.fixture(scope="session")
def built_entries(built_town: Town) -> Entries:
    with Book.open(built_town.file) as book:
        return Entries(book.placed(-1))


class Feed:
    """Facts to a community and its postings to accounts, each entry kept.

    Without a file: what is owed is posted by the ledger's own rules as soon as it is owed.
    """

    def __init__(self, built: Entries) -> None:
        self.community = Community()
        self.kept: list[Placed] = []
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.units: dict[str, str] = {}
        self.floors: dict[str, bool] = {}
        self.clients: list[bytes] = []
        self.now_us = NOON_US
        for placed in built:
            self._take(placed)

    def _take(self, placed: Placed) -> None:
        self.kept.append(placed)
        self.community.take(placed)
        match placed.statement.body:
            case Account(name, unit, _, may_be_negative):
                self.units[name], self.floors[name] = unit, not may_be_negative
            case Transfer(_, postings):
                for posting in postings:
                    assert self.units[posting.account] == posting.unit
                    self.balances[posting.account] += posting.amount
                    if self.floors[posting.account]:
                        assert self.balances[posting.account] >= 0, posting
                for unit in {posting.unit for posting in postings}:
                    assert not sum(p.amount for p in postings if p.unit == unit), unit

    def say(self, name: str, body: Body, client: bytes) -> None:
        last = self.kept[-1]
        at_us = max(last.placed_at_us + 1, self.now_us)
        statement = Statement(bytes(32), bytes(32), 0, client, at_us, at_us, body)
        self._take(Placed(last.sequence + 1, at_us, name, name == "market", statement))

    def fact(self, name: str, fact: Fact) -> None:
        client = len(self.kept).to_bytes(16, "big")
        self.say(name, record_of(fact), client)
        if isinstance(fact, Order):
            self.clients.append(client)
        while self.community.owed:
            client, body = next(iter(self.community.owed.items()))
            self.say("market", body, client)


@pytest.fixture
def town(tmp_path: Path, built_town: Town) -> Iterator[Town]:
    town = Town(tmp_path / "town.ledger", built_town)
    yield town
    town.book.close()
