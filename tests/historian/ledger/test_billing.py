"""Bills: by hand, the same again from the ledger, exact to the unit and to the cent; tariffs that do not change."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import FIRST_US, NOON_US, QUARTER_US, Town

from historian.ledger import cli
from historian.ledger.billing import CENT, Bill, Billing, BillLine, distributed
from historian.ledger.entry import Posting, balanced, transfer
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import (
    BillIssue,
    Incentive,
    Reading,
    ReadingQuality,
    Reversal,
    Side,
    Tariff,
    Window,
)
from historian.ledger.statement import as_csv, as_html, statement_of

FROM_US = NOON_US + 2 * QUARTER_US
TO_US = FIRST_US + 4 * QUARTER_US
TARIFF = Tariff("home", FROM_US, "Europe/Berlin", 250_000, 80_000, 2_000_000, 500_000, 100_000)
# FIRST_US is 14:00 in Berlin, on a Saturday in November.
SUNDAYS = Window("home", FROM_US, (1 << 12) - 1, 1 << 6, 0, 1440, 3_000_000)
SUMMER = Window("home", FROM_US, 0b111000000, 127, 0, 1440, 4_000_000)
PEAK = Window("home", FROM_US, 1 << 10, 1 << 5, 14 * 60, 14 * 60 + 30, 1_500_000)


@pytest.fixture
def used(town: Town) -> Town:
    """home1 bought 1000 Wh for FIRST_US and took 1200 then, 400 in each other interval; it gave 10 in each."""
    town.desk.demand(TARIFF, SUNDAYS, SUMMER, PEAK)
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 250_000)
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.price()
    town.now_us = TO_US + QUARTER_US
    imported = 0
    for index, at_us in enumerate(range(FROM_US, TO_US + 1, QUARTER_US)):
        town.read("home1", at_us, imported, 10 * index)
        imported += 1_200 if at_us == FIRST_US else 400
    for name in ("pv1", "pv2", "home2", "bat", "ev"):
        for at_us in (FIRST_US, FIRST_US + QUARTER_US):
            town.read(name, at_us, 0, 1_000 if name == "pv1" and at_us != FIRST_US else 0)
    outcome = town.desk.settle(FIRST_US)
    assert outcome.refused is None, outcome
    return town


def amounts(bill: Bill) -> dict[str, int]:
    return {line.what: line.amount for line in bill.lines}


def issued(town: Town, from_us: int = FROM_US, to_us: int = TO_US) -> Bill:
    outcome = town.desk.bill("home1", "home", from_us, to_us)
    assert outcome.refused is None, outcome
    return town.community.billing.bills[-1][1]


def test_a_bill_by_hand(used: Town) -> None:
    used.desk.demand(Incentive("home1", FIRST_US, 500, 30_000, "shed at six"))
    bill = issued(used)
    assert amounts(bill) == {
        # Net 1190 Wh taken, 1000 bought: 190 Wh short at 0.20 × 1.5.
        "market: imbalance": 57_000,
        "market: community fee": 5_000,
        "market: grid fee": 24_000,
        "market: losses": 6_000,
        # Six intervals: FIRST_US and the next are peak, 1600 Wh; 4 × 400 Wh are not.
        "tariff: taken, rate times 1": 400_000,
        "tariff: taken, rate times 1.5": 600_000,
        "tariff: given": -4_800,
        "tariff: greatest demand": 9_600_000,
        "tariff: standing charge": 500_000,
        "tariff: incentive, shed at six": -30_000,
    }
    balances = used.book.state.balances()
    assert balances["home1.current"] == -bill.amount
    assert balances["fees.tariff"] == bill.charges == 11_065_200


def test_the_same_ledger_gives_the_same_bill_and_hash(used: Town) -> None:
    bill = issued(used)
    used.book.close()
    used.open()
    ((_, again),) = used.community.billing.bills
    assert again == bill
    assert again.digest == bill.digest
    assert replace(bill, to_us=bill.to_us + 1).digest != bill.digest


def test_a_bill_that_is_not_the_ledgers_is_void(used: Town) -> None:
    bill = used.community.billing.reckon("home1", "home", FROM_US, TO_US, QUARTER_US)
    fact = BillIssue("home1", "home", FROM_US, TO_US, bill.amount, bill.digest)
    used.refused("market", replace(fact, amount=bill.amount + 1), Reason.CONFLICT, "the bill is")
    used.refused("market", replace(fact, digest=bytes(32)), Reason.CONFLICT)
    used.refused("home1", fact, Reason.NOT_ALLOWED)
    used.refused("market", replace(fact, participant="nobody"), Reason.UNKNOWN)
    used.refused("market", replace(fact, tariff="none"), Reason.UNKNOWN)
    used.refused("market", replace(fact, from_us=FROM_US - QUARTER_US), Reason.UNKNOWN, "is valid at")
    used.refused("market", replace(fact, to_us=TO_US + 9 * QUARTER_US), Reason.EARLY)
    used.refused("market", replace(fact, to_us=TO_US + 1), Reason.MALFORMED)
    used.desk.demand(fact)
    used.refused("market", fact, Reason.CONFLICT, "go on from there")


def test_a_payment_a_restatement_and_what_was_owed_are_on_the_next_bill(used: Town) -> None:
    first = issued(used, to_us=FIRST_US + 2 * QUARTER_US)
    used.post(transfer("paid", "bank", "home1.current", "EUR", first.amount - 10_000))
    known = used.community.meters.reading("pv1.meter", FIRST_US + QUARTER_US)
    assert known is not None
    # home1 is short by 190 Wh no more: its export register was read 190 too low from FIRST_US's end on.
    for at_us in range(TO_US, FIRST_US, -QUARTER_US):
        wrong = used.community.meters.reading("home1.meter", at_us)
        assert wrong is not None
        right = Reading("home1.meter", at_us, wrong.import_wh, wrong.export_wh + 190, ReadingQuality.MEASURED)
        used.desk.demand(Reversal("home1.meter", at_us, wrong.entry, "register"), right)
    outcome = used.desk.settle(FIRST_US)
    assert outcome.refused is None, outcome
    second = issued(used, FIRST_US + 2 * QUARTER_US, TO_US)
    found = amounts(second)
    assert found["owed before"] == first.amount
    assert found["paid"] == -(first.amount - 10_000)
    assert found["market: imbalance"] == -57_000
    assert used.book.state.balances()["home1.current"] == -second.amount
    assert used.community.strays == []


def test_a_tariff_is_told_before_it_begins_and_changes_only_by_a_later_version(used: Town) -> None:
    used.refused("market", replace(TARIFF, valid_from_us=TO_US), Reason.LATE)
    used.refused("market", PEAK, Reason.LATE)
    later_us = used.now_us + QUARTER_US
    later = replace(TARIFF, valid_from_us=later_us)
    used.refused("home1", later, Reason.NOT_ALLOWED)
    used.refused("market", replace(later, time_zone="Mars/Olympus"), Reason.UNKNOWN)
    used.refused("market", replace(later, base_rate=-1), Reason.NEGATIVE)
    used.refused("market", replace(later, export_credit=10**10), Reason.OVERFLOW)
    used.refused("market", replace(PEAK, valid_from_us=later_us), Reason.UNKNOWN, "no version")
    used.desk.demand(later)
    used.refused("market", later, Reason.EXISTS)
    for change in ({"months": 0}, {"weekdays": 128}, {"from_minute": 1440}, {"to_minute": 1441}):
        used.refused("market", replace(PEAK, valid_from_us=later_us, **change), Reason.MALFORMED)
    over = replace(PEAK, valid_from_us=later_us, multiplier=10_000_001)
    used.refused("market", over, Reason.OVERFLOW)


def test_an_incentive_has_energy_a_reason_and_a_bill_to_come(used: Town) -> None:
    used.refused("market", Incentive("home1", FIRST_US, 0, 1, "x"), Reason.NEGATIVE)
    used.refused("home1", Incentive("home1", FIRST_US, 1, 1, "x"), Reason.NOT_ALLOWED)
    issued(used)
    used.refused("market", Incentive("home1", FIRST_US, 1, 1, "x"), Reason.LATE)


def test_windows_go_by_local_time_over_the_change_of_the_clock(used: Town) -> None:
    billing = Billing(used.community.meters)
    billing.windows["home", FROM_US] = [
        replace(PEAK, months=(1 << 12) - 1, weekdays=127, from_minute=120, to_minute=180)
    ]
    # 2026-10-25: at 01:00 UTC the clocks of Berlin go from 3:00 back to 2:00, so that 2:00 to 3:00 comes twice.
    night_us = 1_792_879_200_000_000  # 2026-10-24T22:00:00Z
    peak = [billing.multiplier(TARIFF, night_us + i * QUARTER_US) == 1_500_000 for i in range(20)]
    assert [i for i, is_peak in enumerate(peak) if is_peak] == list(range(8, 16))


LINES = st.lists(st.integers(-(10**9), 10**9), max_size=12)


@given(LINES)
def test_cents_of_the_lines_add_up_to_the_bills(some: list[int]) -> None:
    bill = Bill("a", "t", 0, 0, 1, tuple(BillLine(f"l{i}", 1, "", amount) for i, amount in enumerate(some)))
    assert sum(bill.cents()) == (sum(some) + CENT // 2) // CENT
    assert all(abs(cents * CENT - amount) < CENT for cents, amount in zip(bill.cents(), some, strict=True))


@given(
    st.integers(0, 10**15),
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 10**6), min_size=1),
)
def test_revenue_is_distributed_to_the_last_unit(amount: int, shares: dict[str, int]) -> None:
    parts = distributed(amount, shares)
    assert sum(parts.values()) == amount
    # As postings it is a transfer that the ledger takes.
    postings = [Posting(f"n{i}", "EUR", part) for i, part in enumerate(parts.values()) if part]
    body = balanced("batch", [*postings, Posting("pool", "EUR", -amount)])
    assert sum(posting.amount for posting in body.postings) == 0


def test_nothing_is_distributed_over_nobody() -> None:
    for amount, shares in ((5, {}), (5, {"a": 0}), (-1, {"a": 1})):
        with pytest.raises(Refused):
            distributed(amount, shares)


def test_a_statement_adds_up_and_says_what_it_is_of(used: Town, capsys: pytest.CaptureFixture[str]) -> None:
    bill = issued(used)
    entry = used.community.billing.bills[0][0]
    rows = as_csv(bill, "EUR").splitlines()
    assert rows[0] == "for,quantity,unit,EUR_millionths,EUR"
    money = [round(float(row.rsplit(",", 1)[1]) * 100) for row in rows[1:]]
    assert money[-1] == sum(money[:-1])
    page = as_html(statement_of(bill, "EUR", entry, used.book.id))
    assert bill.digest.hex() in page
    assert "2026-11-21 12:30 to 2026-11-21 14:00 UTC" in page
    assert "To pay" in page
    evil = replace(bill, lines=(BillLine("<script>", 1, "", 5),))
    assert "<script>" not in as_html(statement_of(evil, "EUR", entry, used.book.id))
    assert printed(capsys, used.file, "market", "bills")[0].splitlines()[1].endswith(bill.digest.hex())
    assert printed(capsys, used.file, "statement", str(entry)) == (as_csv(bill, "EUR"), cli.SOUND)
    assert printed(capsys, used.file, "statement", str(entry), "--html") == (page, cli.SOUND)
    assert printed(capsys, used.file, "statement", "1") == ("", cli.USAGE)


def printed(capsys: pytest.CaptureFixture[str], file: Path, verb: str, *words: str) -> tuple[str, int]:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["ledger", verb, str(file), *words])
    status = args.run(args)
    return capsys.readouterr().out, status
