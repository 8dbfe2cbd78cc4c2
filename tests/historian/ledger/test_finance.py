"""Fees as data, costs by category, profit and loss, earnings by week: all out of the ledger's own postings."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from ledger_town import FIRST_US, NOON_US, QUARTER_US, Town

from historian.ledger.book import Book
from historian.ledger.earnings import Week, by_week, compared
from historian.ledger.errors import Reason
from historian.ledger.facts import Side
from historian.ledger.payment_facts import Charge, Correction, Cost, CostCategory, Fee, FeeUnit, Stream
from historian.ledger.pnl import profit_and_loss, section_of, week_of

UTC = ZoneInfo("UTC")
SOON_US = NOON_US + QUARTER_US
FEE = Fee("reports", Stream.DATA_ANALYTICS, FeeUnit.EACH, 2_000_000, SOON_US)
GRID = Fee("reserve", Stream.GRID_SERVICES, FeeUnit.KWH, 15_000, SOON_US)
CHARGE = Charge("home1", "reports", SOON_US, 3, "november")
COST = Cost(CostCategory.NETWORK, NOON_US, 4_000_000, "EUR", "invoice 7")


def balance(town: Town, account: str) -> int:
    return town.book.state.balances()[account]


def with_fees(town: Town) -> Town:
    town.desk.demand(FEE, GRID)
    town.now_us = SOON_US + QUARTER_US
    return town


def test_a_fee_is_charged_at_the_rate_of_its_time(town: Town) -> None:
    with_fees(town)
    later = town.now_us + QUARTER_US
    town.desk.demand(replace(FEE, rate=5_000_000, valid_from_us=later))
    town.now_us = later + 1
    town.desk.demand(CHARGE, replace(CHARGE, at_us=later, reference="december", quantity=1))
    town.desk.demand(Charge("home2", "reserve", SOON_US, 1_033, "november"))
    assert balance(town, "income.data-analytics") == 11_000_000
    assert balance(town, "income.grid-services") == 15_495  # 1.033 kWh at 0.015
    assert balance(town, "home1.current") == -11_000_000
    assert town.community.billing.owed("home1") == 11_000_000


def test_a_charge_and_a_cost_are_taken_back_once(town: Town) -> None:
    with_fees(town)
    town.desk.demand(CHARGE, COST)
    for entry in list(town.community.treasury.finance.items):
        town.refused("market", Correction(entry, ""), Reason.MALFORMED)
        town.desk.demand(Correction(entry, "it was not so"))
        town.refused("market", Correction(entry, "again"), Reason.EXISTS, "has taken that back")
    accounts = ("income.data-analytics", "costs.network", "money.bank", "home1.current")
    assert [balance(town, account) for account in accounts] == [0, 0, 0, 0]
    assert town.community.billing.owed("home1") == 0


def test_bad_fees_charges_and_costs_are_void(town: Town) -> None:
    with_fees(town)
    town.desk.demand(CHARGE, COST)
    later = town.now_us + QUARTER_US
    for fact, reason in (
        (replace(FEE, valid_from_us=town.now_us - 9), Reason.LATE),
        (replace(FEE, rate=-1, valid_from_us=later), Reason.NEGATIVE),
        (replace(FEE, rate=10**13, valid_from_us=later), Reason.OVERFLOW),
        (replace(FEE, unit=FeeUnit.DAY, valid_from_us=later), Reason.CONFLICT),
        (replace(CHARGE, participant="nobody"), Reason.UNKNOWN),
        (replace(CHARGE, fee="none"), Reason.UNKNOWN),
        (replace(CHARGE, at_us=NOON_US), Reason.UNKNOWN),
        (replace(CHARGE, at_us=later), Reason.EARLY),
        (replace(CHARGE, quantity=0), Reason.NEGATIVE),
        (replace(CHARGE, quantity=10**13), Reason.OVERFLOW),
        (replace(CHARGE, quantity=10**12, reference="b"), Reason.OVERFLOW),
        (CHARGE, Reason.EXISTS),
        (replace(CHARGE, reference=""), Reason.MALFORMED),
        (COST, Reason.EXISTS),
        (replace(COST, amount=-5), Reason.NEGATIVE),
        (replace(COST, currency="USD"), Reason.MIXED_UNITS),
        (replace(COST, at_us=later), Reason.EARLY),
        (Correction(1, "x"), Reason.UNKNOWN),
    ):
        town.refused("market", fact, reason)
    for fact in (replace(FEE, valid_from_us=later), CHARGE, COST, Correction(1, "x")):
        town.refused("home1", fact, Reason.NOT_ALLOWED)


def traded(town: Town) -> Town:
    """pv1 sold home1 a kWh and both kept to it; home2 took 100 Wh unasked."""
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 250_000)
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.price()
    town.now_us = FIRST_US + 2 * QUARTER_US
    for name in town.KINDS:
        town.read(name, FIRST_US, 0, 0)
        taken, given = {"pv1": (0, 1_000), "home1": (1_000, 0), "home2": (100, 0)}.get(name, (0, 0))
        town.read(name, FIRST_US + QUARTER_US, taken, given)
    outcome = town.desk.settle(FIRST_US)
    assert outcome.refused is None, outcome
    return town


def test_profit_and_loss_is_what_the_accounts_of_income_and_cost_have(town: Town) -> None:
    traded(town)
    with_fees(town) if town.now_us < SOON_US else town.desk.demand(
        replace(FEE, valid_from_us=town.now_us + 9)
    )
    town.now_us += QUARTER_US
    town.desk.demand(replace(CHARGE, at_us=town.now_us - 1), COST)
    with Book.open(town.file) as book:
        entries = list(book.placed(-1))
    names = town.community.registry.participants
    lines = {line.account: line.amount for line in profit_and_loss(entries, names, "EUR", lambda _: "total")}
    balances = town.book.state.balances()
    assert lines == {
        account: balances[account]
        for account in (
            *("fees.community", "fees.grid", "fees.losses", "income.data-analytics", "market.imbalance"),
            "costs.network",
        )
    }
    assert lines["costs.network"] == -4_000_000
    # All money is somewhere: the result, what participants have or owe, and what is outside.
    others = sum(
        amount
        for account, amount in balances.items()
        if account.endswith((".deposit", ".current")) or account in ("bank", "money.bank", "market.escrow")
    )
    assert sum(lines.values()) + others == 0
    assert not list(profit_and_loss(entries, names, "EUR", lambda _: None))


def test_accounts_of_participants_are_no_income_whatever_they_are_called() -> None:
    assert section_of("fees.tariff", ()) == "income"
    assert section_of("costs.network", ()) == "cost"
    assert section_of("fees.current", {"fees"}) is None
    assert section_of("home1.current", {"home1"}) is None


def test_earnings_by_week_beside_the_week_before(town: Town) -> None:
    traded(town)
    weeks = by_week(town.community, UTC)
    label = week_of(FIRST_US, UTC)
    assert label == "2026-W47"
    sold, bought = weeks["pv1", label], weeks["home1", label]
    assert (sold.sold_wh, sold.sales, sold.fees, sold.earned) == (1_000, 200_000, 5_000, 195_000)
    assert (bought.bought_wh, bought.purchases) == (1_000, 200_000)
    assert weeks["home2", label].imbalance < 0
    # Over all, what participants earned is what the market's accounts gave.
    balances = town.book.state.balances()
    others = ("fees.community", "fees.grid", "fees.losses", "market.imbalance", "market.surplus")
    assert sum(week.earned for week in weeks.values()) == -sum(balances[name] for name in others)
    some = {
        ("a", "2026-W01"): Week(sales=5),
        ("a", "2025-W52"): Week(sales=3),
        ("b", "2026-W01"): Week(),
    }
    assert [(name, week, before and before.sales) for name, week, _, before in compared(some)] == [
        ("a", "2025-W52", None),
        ("a", "2026-W01", 3),
        ("b", "2026-W01", None),
    ]
