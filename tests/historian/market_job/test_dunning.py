"""What the market does about bills that nobody pays: by the section's terms, one step after another, each once."""

from __future__ import annotations

from dataclasses import replace

from market_bench import FIRST_US, START_US, Bench

from gateway.config.market import MarketDunning
from historian.ledger.dunning import State
from historian.ledger.entry import Account
from historian.ledger.market_cli import community_of
from historian.ledger.payment_facts import Payment
from historian.ledger.payments import Claim

MINUTE_US = 60 * 10**6
MIDNIGHT_US = START_US - MINUTE_US + 3_600 * 10**6  # of the zone below
DUNNING = MarketDunning(120, 120, 120, 2_500_000, 5_000_000, 100_000)


def billed(bench: Bench, dunning: MarketDunning | None) -> Claim:
    """The sun's bill of the day: the standing charge."""
    bench.site = replace(bench.site, time_zone="Pacific/Guadalcanal")
    bench.restart(dunning=dunning)
    bench.look()
    bench.until(FIRST_US + MINUTE_US)
    bench.registers["sun_in_wh"] += 1_000
    bench.until(MIDNIGHT_US + 2 * MINUTE_US)
    (claim,) = bench.community.treasury.payments.of("sun")
    assert claim.open > 1_000_000
    return claim


def test_a_bill_that_nobody_pays_goes_from_step_to_step_to_collection(bench: Bench) -> None:
    assert billed(bench, DUNNING).state is State.OPEN
    seen = []
    for _ in range(8):
        bench.until(bench.now_us + MINUTE_US)
        bench.restart()  # a new life sees the same, and does nothing twice
        bench.look()
        (claim,) = bench.community.treasury.payments.of("sun")
        if claim.state.value not in seen:
            seen.append(claim.state.value)
    assert seen == ["reminded", "warned", "collection"]
    assert bench.community.billing.owed("sun") > claim.own + 7_000_000, "both fees are on the next bill"
    assert bench.office is not None
    assert bench.office.desk.book.state.balances()["income.dunning"] == 7_500_000
    assert not bench.community.voids
    assert not bench.community.strays
    assert not community_of(bench.state / "market.ledger").owed


def test_a_bill_that_is_paid_in_time_costs_nothing_more(bench: Bench) -> None:
    claim = billed(bench, DUNNING)
    (outcome,) = bench.say("sun", Payment("sun", claim.open, "EUR", ""))
    assert not outcome.reason, outcome
    bench.until(bench.now_us + 10 * MINUTE_US)
    (claim,) = bench.community.treasury.payments.of("sun")
    assert (claim.state, claim.open) == (State.PAID, 0)
    assert "income.dunning" not in bench.community.accounts


def test_without_a_section_of_dunning_bills_stay_open(bench: Bench) -> None:
    claim = billed(bench, None)
    bench.until(bench.now_us + 5 * MINUTE_US)
    assert bench.community.treasury.payments.terms is None
    assert (claim.terms, claim.state) == (None, State.OPEN)


def test_terms_that_change_hold_for_bills_to_come(bench: Bench) -> None:
    claim = billed(bench, DUNNING)
    bench.restart(dunning=replace(DUNNING, due_s=0, reminder_fee=0))
    bench.look()
    terms = bench.community.treasury.payments.terms
    assert terms is not None
    assert (terms.due_s, terms.reminder_fee) == (0, 0)
    (again,) = bench.community.treasury.payments.of("sun")
    assert again.terms == claim.terms
    assert again.terms is not None
    assert again.terms.due_s == 120


def test_a_step_that_the_ledger_refuses_is_told_and_tried_once(bench: Bench) -> None:
    billed(bench, DUNNING)
    assert bench.office is not None
    (outcome,) = bench.office.desk.post(Account("income.dunning", "EUR", "market", True))
    assert outcome.refused is None
    bench.until(bench.now_us + 5 * MINUTE_US)
    assert [trouble for trouble in bench.office.troubles() if trouble.startswith("bills are not dunned: ")]
    assert len(bench.community.voids) == 1, "each try is an entry"
    assert bench.office.can_trade
