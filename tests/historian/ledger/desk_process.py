"""Does a list of things at a desk, each asked for by its own client id, and says each that is done.

Started again, it asks for all of them again. Arguments: ledger, folder of keys. Time is the list's own.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from historian.ledger.book import Book
from historian.ledger.bundle import sign
from historian.ledger.coding import record_of
from historian.ledger.desk import Desk
from historian.ledger.facts import (
    BillIssue,
    Fact,
    Gate,
    Order,
    Price,
    Reading,
    ReadingQuality,
    Reversal,
    Settlement,
    Side,
    Tariff,
    Venue,
    Withdrawal,
)
from historian.ledger.market.price import ONE
from historian.ledger.payment_facts import (
    Cost,
    CostCategory,
    Distribution,
    Dunning,
    DunningStep,
    Payment,
    Revenue,
    Share,
    Terms,
)
from historian.ledger.pen import Pen, client_id
from historian.ledger.reward_facts import (
    Award,
    Batch,
    CertifiedSource,
    PointTransfer,
    RewardKind,
    RewardRule,
    Stake,
    StakeRule,
)
from historian.ledger.rewards import batch_evidence
from historian.ledger.rules import price_of
from historian.signing import SigningKey

NAMES = ("pv1", "pv2", "home1", "home2", "bat")
QUARTER_US = 900 * 1_000_000
NOON_US = 1_795_262_400 * 1_000_000
INTERVALS = [NOON_US + i * QUARTER_US for i in (4, 5)]
STEP_US = 10_000_000


def orders(round_: int, at_us: int) -> Iterator[tuple[int, str, Fact]]:
    for index, name in enumerate(NAMES):
        side = Side.BUY if name.startswith("home") else Side.SELL
        for venue in (Venue.CONTINUOUS, Venue.AUCTION):
            price = 180_000 + 7_001 * index + (60_000 if side is Side.BUY else 0)
            wh = 301 + 97 * index + 11 * round_
            order = Order(venue, side, at_us, f"{name}.dev", wh, price, "EUR", 0, at_us)
            yield 0, name, order


def things(desk: Desk) -> Iterator[tuple[int, str, Fact]]:
    """When at the earliest, who, what."""
    yield 0, "market", Terms(0, 0, 0, 5, 5, 0)
    yield 0, "market", Tariff("home", INTERVALS[0], "UTC", 250_000, 80_000, 0, 500_000, 0)
    for round_, at_us in enumerate(INTERVALS):
        yield from orders(round_, at_us)
        yield 0, "home1", Withdrawal(5)
    for round_, at_us in enumerate(INTERVALS):
        yield at_us, "market", Gate(at_us)
        at = Price(at_us, 200_000, 3, 7, 20, 0, 0, ONE, 0, 0, 0)
        rules = desk.community.market.in_force()
        yield 0, "market", price_of(rules, at)
        end_us = at_us + QUARTER_US
        for index, name in enumerate((*NAMES, "ev")):
            for edge, wh in ((at_us, 400 * round_), (end_us, 400 * (round_ + 1))):
                if round_ == 0 or edge == end_us:
                    reading = Reading(f"{name}.meter", edge, wh + index, wh // 2, ReadingQuality.MEASURED)
                    yield edge, "market", reading
        yield end_us, "market", Settlement(at_us)
    last_us = INTERVALS[-1] + QUARTER_US
    # Of the first reading, whether an earlier life reversed it or not: the request is the same.
    entry = read_by(desk, last_us)
    yield 0, "market", Reversal("home2.meter", last_us, entry, "a digit")
    yield 0, "market", Reading("home2.meter", last_us, 1_003, 400, ReadingQuality.MEASURED)
    yield 0, "market", Settlement(INTERVALS[-1])
    for index, name in enumerate(NAMES):
        issued = desk.community.billing.bills  # those of an earlier life are asked for again as they are
        made = (
            issued[index][1]
            if index < len(issued)
            else desk.community.billing.reckon(name, "home", INTERVALS[0], last_us, QUARTER_US)
        )
        yield 0, "market", BillIssue(name, "home", INTERVALS[0], last_us, made.amount, made.digest)
    yield from after_the_bills(desk, last_us)


def after_the_bills(desk: Desk, last_us: int) -> Iterator[tuple[int, str, Fact]]:
    """Payments, dunning, costs, a batch of production, what it earns and what is done with that."""
    yield 0, "market", Payment("home1", 1_000_001, "EUR", "line 1")
    yield 0, "home2", Payment("home2", 7, "EUR", "")
    yield 0, "market", Dunning(desk.community.billing.bills[3][0], DunningStep.REMIND, "")
    yield 0, "market", Cost(CostCategory.NETWORK, NOON_US, 90_000, "EUR", "invoice 1")
    yield 0, "market", CertifiedSource("pv1.dev", "pv1.meter", "photovoltaics", 86_400)
    batch = Batch("b1", "pv1.dev", INTERVALS[0], last_us, 400)
    yield 0, "market", batch
    yield 0, "market", Share("pv1.dev", "home1", 2)
    yield 0, "market", Share("pv1.dev", "home2", 1)
    yield 0, "market", Revenue("b1", 1_000, "EUR", "sale 1")
    yield 0, "market", Distribution("b1")
    yield 0, "market", RewardRule(RewardKind.RENEWABLE, 1_000, 500, 500, 86_400, 86_400, 0)
    yield 0, "market", StakeRule(60, 7 * 86_400)
    yield 0, "market", Award("pv1", RewardKind.RENEWABLE, "b1", 0, 0, 400, batch_evidence(batch))
    yield 0, "pv1", PointTransfer("home1", 150)
    yield 0, "home1", Stake(100, last_us + 86_400 * 1_000_000)


def read_by(desk: Desk, at_us: int) -> int:
    """The entry of home2's first reading of a time."""
    wanted = client_id(f"reading home2.meter {at_us}")
    return next(placed.sequence for placed in desk.book.placed(-1) if placed.statement.client == wanted)


def main() -> None:
    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    now_us = NOON_US + 60 * STEP_US

    def clock() -> int:
        return now_us

    keys = {name: SigningKey.load(folder / f"{name}.pem") for name in (*NAMES, "market")}
    with Book.open(file, clock) as book:
        pens = {name: Pen(key, book.id, clock) for name, key in keys.items()}
        desk = Desk(book, keys["market"], clock)
        desk.start()
        for number, (earliest_us, name, fact) in enumerate(things(desk)):
            now_us = max(now_us + STEP_US, earliest_us + number)
            named = f"thing {number}"
            if (
                isinstance(fact, Reading)
                and fact.quality is ReadingQuality.MEASURED
                and fact.import_wh != 1_003
            ):
                named = f"reading {fact.meter} {fact.at_us}"
            pens[name].follow(book.state.authors[name].number)
            bundle = sign(keys[name], [pens[name].statement(record_of(fact), client_id(named))])
            ((outcome,),) = desk.submit([bundle])
            assert outcome.refused is None, (fact, outcome)
            print(number, flush=True)
    print("done", flush=True)


main()
