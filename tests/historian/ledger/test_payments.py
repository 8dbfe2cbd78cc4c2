"""Payments: part by part, back again, more than owed; dunning by the ledger's time; bad ones on the record."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import NOON_US, QUARTER_US, Town

from historian.ledger.billing import Bill, Billing, BillLine
from historian.ledger.chart import MOST_AMOUNT, Chart
from historian.ledger.dunning import TABLE, State, Turn, next_step
from historian.ledger.entry import transfer
from historian.ledger.errors import Reason
from historian.ledger.facts import Tariff, Withdrawal
from historian.ledger.market.exchange import Exchange
from historian.ledger.market.limits import Limits
from historian.ledger.metering import Meters
from historian.ledger.payment_facts import Dunning, DunningStep, Payment, Payout, Refund, Terms
from historian.ledger.payments import Claim, Payments
from historian.ledger.pen import client_id
from historian.ledger.registry import Registry
from historian.ledger.verify import verify

DAY_US = 86_400 * 1_000_000
HOUR_US = 4 * QUARTER_US
FROM_US = NOON_US + 2 * QUARTER_US
TERMS = Terms(14 * 86_400, 7 * 86_400, 10 * 86_400, 2_500_000, 5_000_000, 100_000)
REMIND, WARN, COLLECT, WRITE_OFF = DunningStep
STANDING = 10_000_000
PAID = Payment("home1", STANDING, "EUR", "bank line 1")


@pytest.fixture
def billed(town: Town) -> Town:
    """home1 has two bills of 10 EUR, each of an hour."""
    town.desk.demand(TERMS, Tariff("flat", FROM_US, "UTC", 0, 0, 0, STANDING, 0))
    read(town)
    bill(town, FROM_US)
    bill(town, FROM_US + HOUR_US)
    return town


def read(town: Town) -> None:
    """home1's meter, for four hours."""
    town.now_us = FROM_US + 4 * HOUR_US
    for at_us in range(FROM_US, town.now_us, QUARTER_US):
        town.read("home1", at_us, 0, 0)


def bill(town: Town, from_us: int) -> None:
    outcome = town.desk.bill("home1", "flat", from_us, from_us + HOUR_US)
    assert outcome.refused is None, outcome


def claims(town: Town) -> list[Claim]:
    return list(town.community.treasury.payments.of("home1"))


def stands(town: Town) -> list[tuple[int, str]]:
    payments, now_us = town.community.treasury.payments, town.community.now_us
    return [(claim.open, payments.state(claim, now_us).value) for claim in claims(town)]


def current(town: Town) -> int:
    return town.book.state.balances()["home1.current"]


def test_payments_go_to_the_oldest_bill_and_what_is_too_much_is_credit(billed: Town) -> None:
    assert stands(billed) == [(STANDING, "open"), (STANDING, "open")]
    billed.desk.demand(replace(PAID, amount=4_000_000))
    assert stands(billed) == [(6_000_000, "open"), (STANDING, "open")]
    billed.desk.demand(replace(PAID, amount=7_000_000, reference="2"))
    assert stands(billed) == [(0, "paid"), (9_000_000, "open")]
    billed.desk.demand(replace(PAID, amount=12_000_000, reference="3"))
    assert stands(billed) == [(0, "paid"), (0, "paid")]
    assert billed.community.treasury.payments.credit("home1") == current(billed) == 3_000_000
    bill(billed, FROM_US + 2 * HOUR_US)
    made = billed.community.billing.bills[-1][1]
    assert (made.amount, made.own) == (7_000_000, STANDING)
    assert stands(billed)[-1] == (7_000_000, "open")
    assert current(billed) == -7_000_000
    assert billed.book.state.balances()["money.bank"] == -23_000_000
    assert verify(billed.file).is_sound


def test_a_member_pays_out_of_its_deposit_what_is_free_of_it(billed: Town) -> None:
    fact = replace(PAID, amount=3_000_000, reference="")
    billed.must("home1", fact, fact)
    assert billed.community.market.deposits["home1"] == 94_000_000
    assert billed.book.state.balances()["home1.deposit"] == 94_000_000
    assert stands(billed)[0] == (4_000_000, "open")
    billed.refused("home1", replace(fact, amount=94_000_001), Reason.NEGATIVE, "free")
    billed.refused("home2", fact, Reason.NOT_ALLOWED, "pays for itself")


def test_a_payment_sent_again_is_made_once(billed: Town) -> None:
    fact = replace(PAID, amount=1_000_000)
    bundle = billed.request("home1", fact, client_id("pay november"))
    ((first,),) = billed.desk.submit([bundle])
    ((again,),) = billed.desk.submit([bundle])
    assert first.receipt is not None
    assert again.receipt is not None
    assert (again.receipt.sequence, again.receipt.is_new) == (first.receipt.sequence, False)
    assert stands(billed)[0] == (9_000_000, "open")
    # The bank's own line counts once, whatever the request that tells of it is called.
    billed.desk.demand(PAID)
    billed.refused("market", PAID, Reason.EXISTS, "bank line 1")
    billed.refused("market", replace(PAID, amount=5), Reason.EXISTS)


def test_a_refund_goes_back_where_the_money_came_from_and_opens_the_bill_again(billed: Town) -> None:
    billed.desk.demand(PAID)
    (entry,) = billed.community.treasury.payments.paid
    assert stands(billed)[0] == (0, "paid")
    billed.desk.demand(Refund(entry, 6_000_000, "not covered"))
    assert stands(billed)[0] == (6_000_000, "open")
    billed.refused("market", Refund(entry, 4_000_001, "x"), Reason.OVERFLOW, "4000000 are left")
    billed.desk.demand(Refund(entry, 4_000_000, "not covered"))
    assert stands(billed)[0] == (STANDING, "open")
    assert billed.book.state.balances()["money.bank"] == 0
    billed.must("home1", replace(PAID, amount=2_000_000, reference=""))
    own = max(billed.community.treasury.payments.paid)
    billed.desk.demand(Refund(own, 2_000_000, "a slip"))
    assert billed.community.market.deposits["home1"] == 100_000_000
    assert billed.book.state.balances()["home1.deposit"] == 100_000_000


def test_credit_is_paid_out_and_no_more_than_that(billed: Town) -> None:
    out = Payout("home1", 1, "EUR", "out 1")
    billed.refused("market", out, Reason.NEGATIVE, "is owed 0")
    billed.desk.demand(replace(PAID, amount=2 * STANDING + 700))
    billed.refused("market", replace(out, amount=701), Reason.NEGATIVE)
    billed.desk.demand(replace(out, amount=700))
    assert (current(billed), billed.community.billing.owed("home1")) == (0, 0)
    assert [left for left, _ in stands(billed)] == [0, 0]
    billed.desk.demand(replace(PAID, amount=5, reference="2"))
    billed.refused("market", replace(out, amount=5), Reason.EXISTS, "'out 1'")


def test_money_that_comes_by_a_transfer_or_of_a_deposit_pays_too(billed: Town) -> None:
    billed.post(transfer("paid", "bank", "home1.current", "EUR", 3_000_000))
    assert stands(billed)[0] == (7_000_000, "open")
    billed.must("home1", Withdrawal(7_000_000))
    assert stands(billed)[0] == (0, "paid")


def test_dunning_goes_step_by_step_as_the_ledgers_time_allows(billed: Town) -> None:
    first, _ = claims(billed)
    billed.refused("market", Dunning(first.entry, REMIND, ""), Reason.NOT_ALLOWED, "is open")
    for step, state, days in ((REMIND, "reminded", 14), (WARN, "warned", 7), (COLLECT, "collection", 10)):
        for other in DunningStep:
            if other is not step:
                billed.refused("market", Dunning(first.entry, other, "x"), Reason.NOT_ALLOWED)
        if step is not REMIND:
            billed.refused("market", Dunning(first.entry, step, ""), Reason.EARLY, "next at")
        billed.now_us += days * DAY_US
        payments = billed.community.treasury.payments
        assert (first.entry, step) in [(c.entry, s) for c, s in payments.due(billed.now_us)]
        billed.desk.demand(Dunning(first.entry, step, ""))
        first, _ = claims(billed)
        assert stands(billed)[0] == (STANDING, state)
    assert current(billed) == -2 * STANDING - 7_500_000
    assert billed.book.state.balances()["income.dunning"] == 7_500_000
    assert not [claim for claim, _ in payments.due(billed.now_us) if claim.entry == first.entry]
    billed.refused("market", Dunning(first.entry, WRITE_OFF, ""), Reason.MALFORMED, "reason")
    billed.desk.demand(Dunning(first.entry, WRITE_OFF, "moved away"))
    assert stands(billed)[0] == (0, "written_off")
    assert billed.book.state.balances()["costs.bad-debt"] == -STANDING
    billed.refused("market", Dunning(first.entry, WRITE_OFF, "x"), Reason.NOT_ALLOWED)


def test_a_bill_that_is_paid_is_dunned_no_more_and_one_that_is_open_again_is_due_anew(billed: Town) -> None:
    billed.now_us += 15 * DAY_US
    first, second = claims(billed)
    billed.desk.demand(Dunning(first.entry, REMIND, ""), PAID)
    billed.refused("market", Dunning(first.entry, WARN, ""), Reason.NOT_ALLOWED, "is paid")
    (entry,) = billed.community.treasury.payments.paid
    billed.desk.demand(Refund(entry, STANDING, "charged back"))
    assert stands(billed) == [(STANDING, "open"), (STANDING, "overdue")]
    billed.refused("market", Dunning(first.entry, REMIND, ""), Reason.NOT_ALLOWED)
    billed.now_us += 15 * DAY_US
    billed.desk.demand(Dunning(first.entry, REMIND, ""), Dunning(second.entry, REMIND, ""))


def test_all_that_is_due_is_dunned_at_once(billed: Town) -> None:
    assert not billed.desk.dun()
    billed.now_us += 15 * DAY_US
    assert [outcome.refused for outcome in billed.desk.dun()] == [None, None]
    assert [state for _, state in stands(billed)] == ["reminded", "reminded"]
    assert not billed.desk.dun()


def test_an_older_bill_is_written_off_first_and_little_is_not_dunned(billed: Town) -> None:
    _, second = claims(billed)
    for step, days in ((REMIND, 15), (WARN, 15), (COLLECT, 15)):
        billed.now_us += days * DAY_US
        billed.desk.demand(Dunning(second.entry, step, ""))
    billed.refused("market", Dunning(second.entry, WRITE_OFF, "x"), Reason.NOT_ALLOWED, "older and open")
    first, _ = claims(billed)
    billed.desk.demand(replace(PAID, amount=STANDING - 99_999))
    billed.refused("market", Dunning(first.entry, REMIND, ""), Reason.NOT_ALLOWED, "99999 are open")


def test_bad_payments_terms_and_steps_are_void(billed: Town) -> None:
    for fact, reason in (
        (replace(PAID, amount=0), Reason.NEGATIVE),
        (replace(PAID, amount=-1), Reason.NEGATIVE),
        (replace(PAID, amount=MOST_AMOUNT + 1), Reason.OVERFLOW),
        (replace(PAID, currency="USD"), Reason.MIXED_UNITS),
        (replace(PAID, participant="nobody"), Reason.UNKNOWN),
        (replace(PAID, reference=""), Reason.MALFORMED),
        (Refund(1, 5, "x"), Reason.UNKNOWN),
        (Payout("home1", -5, "EUR", "x"), Reason.NEGATIVE),
        (Payout("home1", 5, "USD", "x"), Reason.MIXED_UNITS),
        (Dunning(1, REMIND, ""), Reason.UNKNOWN),
        (replace(TERMS, due_s=-1), Reason.NEGATIVE),
        (replace(TERMS, reminder_fee=10**10), Reason.OVERFLOW),
    ):
        billed.refused("market", fact, reason)
    (entry, _) = (claim.entry for claim in claims(billed))
    for fact in (TERMS, Refund(entry, 1, "x"), Payout("home1", 1, "EUR", "x"), Dunning(entry, REMIND, "")):
        billed.refused("home1", fact, Reason.NOT_ALLOWED)


def test_a_bill_issued_before_there_were_terms_is_never_dunned(town: Town) -> None:
    town.desk.demand(Tariff("flat", FROM_US, "UTC", 0, 0, 0, STANDING, 0))
    read(town)
    bill(town, FROM_US)
    town.desk.demand(TERMS)
    town.now_us += 100 * DAY_US
    (claim,) = claims(town)
    assert stands(town) == [(STANDING, "open")]
    town.refused("market", Dunning(claim.entry, REMIND, ""), Reason.UNKNOWN, "without terms")


def test_the_ledger_tells_all_of_it_again(billed: Town) -> None:
    billed.now_us += 15 * DAY_US
    first, _ = claims(billed)
    billed.desk.demand(Dunning(first.entry, REMIND, ""), replace(PAID, amount=123))
    before = billed.picture()
    billed.book.close()
    billed.open()
    assert billed.picture() == before


def test_each_state_leads_on_by_the_table() -> None:
    path = [State.OPEN, TABLE[State.OPEN][Turn.DUE]]
    while (step := next_step(path[-1])) is not None:
        path.append(TABLE[path[-1]][step])
    assert path == [
        State.OPEN,
        State.OVERDUE,
        State.REMINDED,
        State.WARNED,
        State.COLLECTION,
        State.WRITTEN_OFF,
    ]
    assert all(TABLE[state][Turn.PAY] is State.PAID for state in path[:-1])
    assert all(before is not after for before, after in pairwise(path))


@given(st.lists(st.integers(-20_000_000, 30_000_000), min_size=1, max_size=6), st.integers(0, 60_000_000))
def test_what_is_open_is_what_is_owed(own: list[int], paid: int) -> None:
    """Whatever bills and payments there are: open parts are within their bills, and sum to what is owed of them."""
    registry = Registry()
    meters = Meters(registry)
    billing = Billing(meters)
    payments = Payments(registry, billing, Exchange(registry, Limits(registry, meters)), Chart())
    for entry, amount in enumerate(own):
        billing.note("a", "owed before", amount)
        payments.add_bill(entry, Bill("a", "t", 0, 0, 1, (BillLine("market: x", 1, "", amount),)), entry)
    billing.note("a", "paid", -paid)
    payments.follow("a", 99)
    claims = payments.of("a")
    assert sum(claim.open for claim in claims) == max(0, sum(own) - paid)
    assert all(0 <= claim.open <= max(0, claim.own) for claim in claims)
    assert all((claim.state is State.PAID) == (claim.open == 0) for claim in claims)
    owing = [claim.open > 0 for claim in claims if claim.own > 0]
    assert owing == sorted(owing), "the oldest are paid first"
