"""Whatever is paid, charged, dunned, certified and given: units are conserved, and what is owed is what is posted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import FIRST_US, NOON_US, QUARTER_US, Entries, Feed

from historian.ledger.certificates import MWH
from historian.ledger.community import Community
from historian.ledger.dunning import State
from historian.ledger.facts import BillIssue, Fact, Reading, ReadingQuality, Reversal, Tariff, Withdrawal
from historian.ledger.payment_facts import (
    Charge,
    Correction,
    Cost,
    CostCategory,
    Distribution,
    Dunning,
    DunningStep,
    Fee,
    FeeUnit,
    Payment,
    Payout,
    Refund,
    Revenue,
    Share,
    Stream,
    Terms,
)
from historian.ledger.reward_facts import Batch, CertificateTransfer, CertifiedSource, Retirement

DAY_US = 86_400 * 1_000_000
WEEK_US = 7 * DAY_US
START_US = FIRST_US
WEEKS = range(6)
NAMES = ("home1", "home2", "pv1")
OWNERS = st.sampled_from(["pv1", "pv1", "pv1", "home1", "home2"])  # of most certificates: the source's
WHO = st.sampled_from(["home1", "home2"])
AMOUNT = st.one_of(st.integers(-2, 1_000), st.integers(1_000_000, 30_000_000))
REFERENCE = st.sampled_from(["a", "b", "c", ""])
RANGES = st.sampled_from([(1, 1), (1, 2), (2, 3), (3, 3), (3, 4), (4, 5), (2, 1), (9, 9)])
PLACE = st.integers(0, 5)  # which of the entries of a kind there are


@pytest.fixture(scope="module")
def begun(built_entries: Entries) -> Entries:
    """Tariffs, fees, terms, meters for six weeks in which pv1 gave 1.6 MWh each; some bills and certificates."""
    feed = Feed(built_entries)
    for fact in (
        Tariff("flat", START_US, "UTC", 250_000, 0, 0, 10_000_000, 0),
        Fee("reports", Stream.DATA_ANALYTICS, FeeUnit.EACH, 1_500_001, START_US),
        Terms(86_400, 86_400, 86_400, 2_000_000, 3_000_000, 1),
        CertifiedSource("pv1.dev", "pv1.meter", "photovoltaics", 365 * 86_400),
        Share("pv1.dev", "home1", 2),
        Share("pv1.dev", "home2", 1),
    ):
        feed.fact("market", fact)
    feed.now_us = START_US + len(WEEKS) * WEEK_US
    for week in WEEKS:
        at_us = START_US + week * WEEK_US
        feed.fact("market", Reading("pv1.meter", at_us, 0, 1_600_000 * week, ReadingQuality.MEASURED))
    for at in range(7):
        for name in ("home1", "home2"):
            fact = Reading(
                f"{name}.meter", START_US + at * QUARTER_US, 2_000 * at, 0, ReadingQuality.MEASURED
            )
            feed.fact("market", fact)
    for step in (("bill", "home1"), ("bill", "home1"), ("bill", "home2"), ("batch", 0), ("batch", 1)):
        fact_now = said(feed, step)
        assert fact_now is not None
        feed.fact("market", fact_now)
    feed.fact("market", Payment("home1", 11_000_000, "EUR", "first"))
    feed.fact("market", Revenue("w0", 1_000_001, "EUR", "first"))
    assert not feed.community.voids
    return Entries(feed.kept)


def facts() -> st.SearchStrategy[tuple[str, object]]:
    """Who, and a fact or what is made one when it is its turn."""
    market = st.just("market")
    own = st.builds(Payment, WHO, AMOUNT, st.just("EUR"), st.just("")).map(
        lambda paid: (paid.participant, paid)
    )
    return st.one_of(
        own,
        st.builds(Withdrawal, AMOUNT).map(lambda fact: ("home1", fact)),
        st.tuples(market, st.builds(Payment, WHO, AMOUNT, st.sampled_from(["EUR", "USD"]), REFERENCE)),
        st.tuples(market, st.builds(Refund, PLACE, AMOUNT, st.just("x"))),
        st.tuples(market, st.builds(Payout, WHO, AMOUNT, st.just("EUR"), REFERENCE)),
        st.tuples(market, st.builds(Dunning, PLACE, st.sampled_from(DunningStep), st.just("x"))),
        st.tuples(
            market,
            st.builds(Charge, WHO, st.just("reports"), st.just(FIRST_US), st.integers(0, 3), REFERENCE),
        ),
        st.tuples(
            market,
            st.builds(
                Cost, st.sampled_from(CostCategory), st.just(NOON_US), AMOUNT, st.just("EUR"), REFERENCE
            ),
        ),
        st.tuples(market, st.builds(Correction, PLACE, st.just("x"))),
        st.tuples(
            market,
            st.builds(Revenue, st.sampled_from(["w0", "w1"]), AMOUNT, st.just("EUR"), REFERENCE),
        ),
        st.tuples(market, st.builds(Distribution, st.sampled_from(["w0", "w1"]))),
        st.tuples(market, st.tuples(st.just("bill"), WHO)),
        st.tuples(market, st.tuples(st.just("batch"), st.sampled_from(WEEKS))),
        st.tuples(market, st.tuples(st.just("correct"), st.integers(-900_000, 900_000))),
        st.tuples(market, st.tuples(st.just("wait"), st.integers(1, 3))),
        st.tuples(OWNERS, st.tuples(RANGES, st.sampled_from(NAMES))).map(
            lambda of: (of[0], CertificateTransfer("pv1.dev", *of[1][0], of[1][1]))
        ),
        st.tuples(OWNERS, RANGES).map(lambda of: (of[0], Retirement("pv1.dev", *of[1], "x"))),
    )


def said(feed: Feed, fact: object) -> Fact | None:
    """The fact as it is now: entries for places, bills and batches as they would be."""
    treasury = feed.community.treasury

    def entry(of: dict[int, object], place: int) -> int:
        return list(of)[place % len(of)] if of else place

    match fact:
        case Refund():
            return replace(fact, payment=entry(dict(treasury.payments.paid), fact.payment))
        case Dunning():
            return replace(fact, bill=entry(dict(treasury.payments.claims), fact.bill))
        case Correction():
            return replace(fact, entry=entry(dict(treasury.finance.items), fact.entry))
        case ("bill", str(name)):
            billing = feed.community.billing
            from_us = billing.billed_to_us.get(name, START_US)
            if from_us >= START_US + 6 * QUARTER_US:
                return None
            made = billing.reckon(name, "flat", from_us, from_us + QUARTER_US, QUARTER_US)
            return BillIssue(name, "flat", from_us, from_us + QUARTER_US, made.amount, made.digest)
        case ("batch", int(week)):
            from_us = START_US + week * WEEK_US
            found = feed.community.meters.energy("pv1.meter", from_us, from_us + WEEK_US)
            return Batch(f"w{week}", "pv1.dev", from_us, from_us + WEEK_US, found.export_wh if found else 5)
    return fact  # type: ignore[return-value]  # all others are facts


@given(st.lists(facts(), max_size=25))
def test_money_and_certificates_are_conserved_and_what_is_owed_is_posted(
    begun: Entries, steps: list[tuple[str, object]]
) -> None:
    feed = Feed(begun)
    feed.now_us = begun[-1].placed_at_us
    for who, step in steps:
        match step:
            case ("wait", int(days)):
                feed.now_us += days * DAY_US
                for claim, due in list(feed.community.treasury.payments.due(feed.now_us)):
                    feed.fact("market", Dunning(claim.entry, due, ""))
            case ("correct", int(wh)):
                at_us = START_US + WEEK_US
                kept = feed.community.meters.reading("pv1.meter", at_us)
                if kept is not None:
                    feed.fact("market", Reversal("pv1.meter", at_us, kept.entry, "x"))
                fact = Reading("pv1.meter", at_us, 0, 1_600_000 + wh, ReadingQuality.MEASURED)
                feed.fact("market", fact)
            case _:
                if (fact_now := said(feed, step)) is not None:
                    feed.fact(who, fact_now)
        check(feed)
    again = Community()
    for placed in feed.kept:
        again.take(placed)
    assert again.treasury.payments.claims == feed.community.treasury.payments.claims
    assert again.treasury.certificates.held == feed.community.treasury.certificates.held
    assert again.owed == {}


def check(feed: Feed) -> None:
    """What must hold after each step."""
    community, balances = feed.community, feed.balances
    treasury = community.treasury
    assert not community.strays
    for unit in set(feed.units.values()):
        assert not sum(amount for name, amount in list(balances.items()) if feed.units[name] == unit), unit
    for name in NAMES:
        assert community.billing.owed(name) == -balances[f"{name}.current"]
        assert community.market.deposits[name] == balances[f"{name}.deposit"]
        claims = treasury.payments.of(name)
        assert sum(claim.open for claim in claims) == max(0, community.billing.billed(name))
        for claim in claims:
            assert 0 <= claim.open <= max(0, claim.own)
            assert (claim.open == 0) == (claim.state in (State.PAID, State.WRITTEN_OFF))
        held = [each for each in treasury.certificates.held.values() if each.owner == name]
        assert sum(not each.retired for each in held) == balances.get(f"{name}.certificates", 0)
    for paid in treasury.payments.paid.values():
        assert 0 <= paid.refunded <= paid.amount
    earned = treasury.finance.earned.values()
    assert sum(each.amount - each.distributed for each in earned) == balances.get("market.revenue", 0)
    issued = treasury.certificates.issued["pv1.dev"]
    produced = sum(batch.wh for _, batch in treasury.certificates.batches.values())
    left = sum(treasury.certificates.left["pv1.dev"].values())
    assert issued * MWH + left == produced
    assert left < MWH
    assert sorted(serial for _, serial in treasury.certificates.held) == list(range(1, issued + 1))
