"""The market: orders entered, with and without the ledger under them, and an auction cleared.

Beside them in the same run: a plain sorted-list book that checks nothing and keeps nothing, and the linear program
that the auction's welfare is compared with (HiGHS). A core's time beside the wall's, as the machine may be shared.
Usage: python benchmarks/ledger_market.py [ORDERS]
"""

from __future__ import annotations

import bisect
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ledger import measure
from scipy.optimize import linprog

from historian.ledger.billing import Billing
from historian.ledger.book import Book
from historian.ledger.coding import record_of
from historian.ledger.community import Community
from historian.ledger.desk import Desk
from historian.ledger.entry import Account, Body, KeyAction, KeyChange, Role, Statement, transfer
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
    Reading,
    ReadingQuality,
    Rules,
    Side,
    Status,
    Tariff,
    Venue,
    Window,
)
from historian.ledger.market.auction import Bid, clear
from historian.ledger.metering import Meters
from historian.ledger.pen import Pen
from historian.ledger.registry import Author, Registered, Registry
from historian.ledger.state import Placed
from historian.signing import SigningKey

ORDERS = 20_000
MEMBERS = 20
TO_SIGNATURE = 100  # orders that a member signs at once
BATCH = 1_000
HOUR_US = 3_600 * 1_000_000
QUARTER_US = HOUR_US // 4
AUCTION = 1_000  # orders a side
ROUNDS = 21
CONSUMERS = 30  # whose readings of a month fit the memory of a small machine

RULES = Rules(
    currency="EUR",
    interval_s=900,
    gate_lead_s=300,
    horizon_s=86_400,
    price_low=1,
    price_high=1_000_000,
    max_order_wh=10**6,
    proven_share=0,
    proven_after=0,
    cover=10,
    community_fee=0,
    grid_fee=0,
    loss_share=0,
    short_share=10**6,
    long_share=10**6,
    pay_as_bid=False,
    demand_low=0,
    demand_high=10**6,
    stress_low=0,
    stress_high=10**6,
    time_low=10**6,
    time_high=10**6,
)


class Town:
    """Members with a device and a meter each, and plenty of money."""

    def __init__(self, folder: Path) -> None:
        self.now_us = time.time_ns() // 1_000
        self.key = SigningKey.generate()
        self.names = [f"m{i}" for i in range(MEMBERS)]
        self.keys = {name: SigningKey.generate() for name in self.names}
        self.book = Book.create(folder / "l", "bench", "market", self.key)
        self.desk = Desk(self.book, self.key)
        self.desk.start()
        self.pens = {name: Pen(key, self.book.id) for name, key in self.keys.items()}
        self.desk.demand(RULES, Feeder("f", 10**9, 10**9))
        self.post(Account("bank", "EUR", "market", True))
        for name in self.names:
            self.post(KeyChange(KeyAction.ENROL, name, Role.MEMBER, self.keys[name].public))
            self.say(name, Join(ParticipantKind.PROSUMER, "", NO_DIGEST))
            self.desk.demand(Approval(name, False))
            for kind in (DeviceKind.CONSUMER, DeviceKind.METER):
                device = f"{name}.{kind.name.lower()}"
                self.say(name, Device(device, kind, "", "", NO_DIGEST, "f", 10**9, 10**9, 0))
                self.desk.demand(Approval(device, True))
            self.desk.demand(MeterBinding(f"{name}.meter", f"{name}.i", f"{name}.e", "market", True))
            self.post(transfer("pay in", "bank", f"{name}.deposit", "EUR", 10**15))

    def post(self, *bodies: Body) -> None:
        pen = Pen(self.key, self.book.id)
        pen.follow(self.book.state.authors["market"].number)
        self.desk.submit([pen.sign(bodies)])

    def say(self, name: str, *facts: Fact) -> None:
        (outcomes,) = self.desk.submit([self.pens[name].sign([record_of(fact) for fact in facts])])
        assert all(outcome.refused is None for outcome in outcomes), outcomes


def orders(count: int, names: list[str], now_us: int) -> list[Order]:
    """Around one price, over eight intervals; buyers and sellers are others, so that nobody meets itself."""
    draw = random.Random(1)
    first_us = now_us // QUARTER_US * QUARTER_US + HOUR_US
    made = []
    for _ in range(count):
        who = draw.randrange(len(names))
        side = Side.BUY if who % 2 else Side.SELL
        price = 200_000 + draw.randint(-20_000, 20_000)
        interval_us = first_us + draw.randrange(8) * QUARTER_US
        wh = draw.randint(1, 2_000)
        made.append(
            Order(
                Venue.CONTINUOUS,
                side,
                interval_us,
                f"{names[who]}.consumer",
                wh,
                price,
                "EUR",
                0,
                interval_us,
            )
        )
    return made


def sorted_list_book(some: list[Order]) -> int:
    """The peer: lists kept sorted, no checks, no money, nothing on the record."""
    books: dict[tuple[int, Side], list[tuple[int, int, int]]] = {}
    trades = 0
    for number, order in enumerate(some):
        is_buy = order.side is Side.BUY
        sign = 1 if is_buy else -1
        own = books.setdefault((order.interval_us, order.side), [])
        other = books.setdefault((order.interval_us, Side.SELL if is_buy else Side.BUY), [])
        left = order.wh
        while left and other and other[0][0] * sign <= order.price:
            key, age, wh = other[0]
            taken = min(left, wh)
            left -= taken
            trades += 1
            if taken == wh:
                del other[0]
            else:
                other[0] = (key, age, wh - taken)
        if left:
            bisect.insort(own, (-order.price * sign, number, left))
    return trades


def entry(folder: Path, count: int) -> None:
    """Orders into the market alone, and through the ledger."""
    town = Town(folder)
    some = orders(count, town.names, town.now_us)
    measure("peer: a sorted list a side, orders entered", count, lambda: sorted_list_book(some))

    alone = Community()
    for placed in town.book.placed(-1):
        alone.take(placed)
    first = alone.sequence + 1
    statements = [
        Statement(town.book.id, bytes(32), i, i.to_bytes(16, "big"), 0, 0, record_of(order))
        for i, order in enumerate(some)
    ]
    entries = [
        Placed(first + i, town.now_us + i, some[i].device.split(".")[0], False, statement)
        for i, statement in enumerate(statements)
    ]

    def enter() -> None:
        for placed in entries:
            alone.take(placed)

    measure("the market alone: decoded, checked, matched", count, enter)
    limits = len(alone.voids)
    print(f"    {len(alone.trades):,} trades, {limits:,} void")

    signed = []
    for at in range(0, count, BATCH):
        by_name: dict[str, list[Order]] = {}
        for order in some[at : at + BATCH]:
            by_name.setdefault(order.device.split(".")[0], []).append(order)
        signed.append(
            [
                town.pens[name].sign([record_of(order) for order in theirs[i : i + TO_SIGNATURE]])
                for name, theirs in by_name.items()
                for i in range(0, len(theirs), TO_SIGNATURE)
            ]
        )

    def submit() -> None:
        for bundles in signed:
            town.desk.submit(bundles)

    to_one = count / sum(map(len, signed))
    measure(f"through the ledger, durable, {to_one:.0f} orders to a signature", count, submit)
    assert not town.desk.community.refusals
    town.book.close()


def auction() -> None:
    """A book of 1,000 × 1,000, its two sides about the same prices."""
    draw = random.Random(2)
    buys = [Bid(i, draw.randint(1, 5_000), draw.randint(100_000, 300_000)) for i in range(AUCTION)]
    sells = [replace_priority(bid, AUCTION + i, draw) for i, bid in enumerate(buys)]

    def milliseconds(do: object) -> tuple[float, float]:
        walls, cpus = [], []
        for _ in range(ROUNDS):
            wall, cpu = time.perf_counter(), time.process_time()
            do()  # type: ignore[operator]  # a function
            walls.append((time.perf_counter() - wall) * 1e3)
            cpus.append((time.process_time() - cpu) * 1e3)
        return statistics.median(walls), statistics.median(cpus)

    wall, cpu = milliseconds(lambda: clear(buys, sells))
    print(f"auction of {AUCTION:,} by {AUCTION:,}: {wall:.2f} ms, {cpu:.2f} ms of a core")
    least = [bid._replace(min_fill_wh=bid.wh) for bid in buys], [bid._replace(price=200_000) for bid in sells]
    at_one_price = [bid._replace(price=200_000) for bid in least[0]]
    wall, cpu = milliseconds(lambda: clear(at_one_price, least[1][: AUCTION // 2]))
    print(f"  all at one price, every buyer all or nothing: {wall:.0f} ms, {cpu:.0f} ms of a core")
    signs = np.array([1] * AUCTION + [-1] * AUCTION)
    worth = np.array([bid.price for bid in (*buys, *sells)]) * signs
    bounds = [(0, bid.wh) for bid in (*buys, *sells)]

    def program() -> None:
        linprog(-worth, A_eq=signs[np.newaxis], b_eq=[0], bounds=bounds, method="highs")

    wall, cpu = milliseconds(program)
    print(f"peer: the linear program (HiGHS): {wall:.2f} ms, {cpu:.2f} ms of a core")


def replace_priority(bid: Bid, priority: int, draw: random.Random) -> Bid:
    return Bid(priority, draw.randint(1, 5_000), 400_000 - bid.price)


def bills(consumers: int) -> None:
    """A month at 15 minutes each, by a tariff with a peak."""
    registry = Registry()
    meters = Meters(registry)
    billing = Billing(meters)
    operator = Author("market", is_operator=True)
    first_us = 1_793_491_200 * 1_000_000  # 2026-11-01T00:00:00Z
    months = 30 * 96
    for i in range(consumers):
        device = Device(f"m{i}", DeviceKind.METER, "", "", NO_DIGEST, "f", 10**6, 10**6, 0)
        registry.devices[f"m{i}"] = Registered(f"c{i}", device, Status.ACTIVE)
        registry.meters[f"m{i}"] = MeterBinding(f"m{i}", "i", "e", "market", True)
        registry.mains[f"c{i}"] = [f"m{i}"]
        for step in range(months + 1):
            at_us = first_us + step * QUARTER_US
            reading = Reading(f"m{i}", at_us, 250 * step, 0, ReadingQuality.MEASURED)
            meters.read(operator, reading, step, at_us, QUARTER_US)
    billing.add_tariff(operator, Tariff("t", 1, "Europe/Berlin", 250_000, 0, 0, 0, 0), 0)
    billing.add_window(operator, Window("t", 1, 4095, 31, 1020, 1260, 1_500_000), 0)
    end_us = first_us + months * QUARTER_US

    def reckon() -> None:
        for i in range(consumers):
            assert billing.reckon(f"c{i}", "t", first_us, end_us, QUARTER_US).digest

    measure("bills of a month at 15 minutes", consumers, reckon)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS
    print(f"{count:,} orders, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TIELINE_BENCH_DIR")) as folder:
        entry(Path(folder), count)
    auction()
    bills(CONSUMERS)


if __name__ == "__main__":
    main()
