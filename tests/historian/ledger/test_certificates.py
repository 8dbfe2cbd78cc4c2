"""Certificates: one for each MWh that was measured, and of what; given, used up once; what a batch earns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import NOON_US, QUARTER_US, Town

from historian.ledger.certificates import MWH, _take
from historian.ledger.errors import Reason
from historian.ledger.facts import Reading, ReadingQuality, Reversal
from historian.ledger.payment_facts import Distribution, Revenue, Share
from historian.ledger.reward_facts import Batch, CertificateTransfer, CertifiedSource, Retirement
from historian.ledger.verify import verify

DAY_US = 86_400 * 1_000_000
WEEK_US = 7 * DAY_US
SOURCE = CertifiedSource("pv1.dev", "pv1.meter", "photovoltaics", 365 * 86_400)


@pytest.fixture
def sunny(town: Town) -> Town:
    """pv1 gave 1.6 MWh a week for three weeks: 20 kW for 80 h of each."""
    town.desk.demand(SOURCE)
    for week in range(4):
        town.now_us = NOON_US + week * WEEK_US + 1
        town.read("pv1", NOON_US + week * WEEK_US, 0, week * 1_600_000)
    return town


def batch(week: int, wh: int = 1_600_000) -> Batch:
    start = NOON_US + week * WEEK_US
    return Batch(f"week-{week}", "pv1.dev", start, start + WEEK_US, wh)


def serials(town: Town, owner: str) -> list[int]:
    held = town.community.treasury.certificates.held
    return [serial for (_, serial), each in held.items() if each.owner == owner and not each.retired]


def balance(town: Town, account: str) -> int:
    return town.book.state.balances()[account]


def test_each_whole_mwh_is_a_certificate_bound_to_its_batches(sunny: Town) -> None:
    for week, so_far in ((0, 1), (1, 3), (2, 4)):
        sunny.desk.demand(batch(week))
        assert serials(sunny, "pv1") == list(range(1, so_far + 1))
        assert balance(sunny, "pv1.certificates") == -balance(sunny, "certificates.issued") == so_far
    held = sunny.community.treasury.certificates.held
    assert [held["pv1.dev", serial].parts for serial in range(1, 5)] == [
        (("week-0", 1_000_000),),
        (("week-0", 600_000), ("week-1", 400_000)),
        (("week-1", 1_000_000),),
        (("week-1", 200_000), ("week-2", 800_000)),
    ]
    assert sunny.community.treasury.certificates.left == {"pv1.dev": {"week-2": 800_000}}
    assert verify(sunny.file).is_sound


def test_nothing_is_issued_for_the_same_energy_twice(sunny: Town) -> None:
    sunny.desk.demand(batch(0))
    sunny.refused("market", batch(0), Reason.EXISTS, "there already")
    sunny.refused("market", replace(batch(0), batch="again"), Reason.EXISTS, "a part of that time")
    half = replace(batch(0), batch="half", from_us=NOON_US + QUARTER_US)
    sunny.refused("market", half, Reason.EXISTS, "a part of that time")
    sunny.refused("market", replace(batch(1), batch="week-0"), Reason.CONFLICT)
    sunny.refused("market", replace(SOURCE, device="pv2.dev"), Reason.NOT_ALLOWED)


def test_a_batch_is_what_the_meter_measured(sunny: Town) -> None:
    sunny.refused("market", batch(0, 1_600_001), Reason.CONFLICT, "measured 1600000")
    sunny.refused("market", batch(0, -1), Reason.NEGATIVE)
    sunny.refused("market", batch(3), Reason.EARLY)
    sunny.refused("market", replace(batch(0), to_us=NOON_US), Reason.MALFORMED)
    sunny.refused("market", replace(batch(0), device="pv2.dev"), Reason.UNKNOWN, "no certified source")
    sunny.refused("market", replace(batch(0), from_us=NOON_US + QUARTER_US), Reason.UNKNOWN, "no reading")
    sunny.refused("pv1", batch(0), Reason.NOT_ALLOWED)
    sunny.now_us += WEEK_US
    sunny.read("pv1", NOON_US + 4 * WEEK_US, 0, 5_000_000, ReadingQuality.ESTIMATED)
    sunny.refused("market", batch(3, 200_000), Reason.CONFLICT, "estimated")
    # The meter carries twice what the source can give (a margin of meters, not of sources).
    sunny.now_us += WEEK_US
    sunny.read("pv1", NOON_US + 4 * WEEK_US, 0, 8_800_000)
    sunny.refused("market", batch(3, 4_000_000), Reason.OVERFLOW, "20000 W at most")


def test_certificates_change_hands_and_are_used_up_once(sunny: Town) -> None:
    sunny.desk.demand(batch(0), batch(1))
    sunny.must("pv1", CertificateTransfer("pv1.dev", 2, 3, "home1"))
    assert (serials(sunny, "pv1"), serials(sunny, "home1")) == ([1], [2, 3])
    sunny.must("home1", Retirement("pv1.dev", 2, 2, "home1, March"))
    for who, fact, reason in (
        ("home1", Retirement("pv1.dev", 2, 2, "again"), Reason.EXISTS),
        ("home1", Retirement("pv1.dev", 2, 3, "again"), Reason.EXISTS),
        ("home1", CertificateTransfer("pv1.dev", 2, 3, "pv1"), Reason.EXISTS),
        ("pv1", Retirement("pv1.dev", 3, 3, "mine no more"), Reason.NOT_ALLOWED),
        ("market", Retirement("pv1.dev", 3, 3, "no trader"), Reason.UNKNOWN),
        ("home1", Retirement("pv1.dev", 3, 3, ""), Reason.MALFORMED),
        ("home1", Retirement("pv1.dev", 3, 2, "x"), Reason.MALFORMED),
        ("home1", Retirement("pv1.dev", 1, 2**60, "x"), Reason.OVERSIZED),
        ("home1", Retirement("pv1.dev", 4, 4, "x"), Reason.UNKNOWN),
        ("home1", CertificateTransfer("pv1.dev", 3, 3, "nobody"), Reason.UNKNOWN),
        ("home1", CertificateTransfer("pv1.dev", 3, 3, "home1"), Reason.CONFLICT),
    ):
        sunny.refused(who, fact, reason)
    sunny.now_us = NOON_US + 2 * WEEK_US + 365 * DAY_US
    sunny.refused("home1", Retirement("pv1.dev", 3, 3, "late"), Reason.LATE)
    balances = sunny.book.state.balances()
    assert (balances["certificates.retired"], balances["home1.certificates"]) == (1, 1)


def test_a_corrected_meter_is_made_up_for_before_more_is_issued(sunny: Town) -> None:
    sunny.desk.demand(batch(0), batch(1))
    kept = sunny.community.meters.reading("pv1.meter", NOON_US)
    assert kept is not None
    # The first week's register began 700 kWh too low: it gave 0.9 MWh, not 1.6; 2.5 MWh stand for 3 certificates.
    right = Reading("pv1.meter", NOON_US, 0, 700_000, ReadingQuality.MEASURED)
    sunny.desk.demand(Reversal("pv1.meter", NOON_US, kept.entry, "register"), right, batch(0, 900_000))
    assert sunny.community.treasury.certificates.left == {"pv1.dev": {"week-0": -700_000, "week-1": 200_000}}
    sunny.desk.demand(batch(2))
    assert serials(sunny, "pv1") == [1, 2, 3, 4]
    assert sunny.community.treasury.certificates.held["pv1.dev", 4].parts == (("week-2", 1_000_000),)
    assert sunny.community.treasury.certificates.left == {"pv1.dev": {"week-2": 100_000}}


LEFT = st.dictionaries(st.sampled_from("abcdef"), st.integers(-2 * MWH, 3 * MWH), min_size=1)


@given(LEFT, st.integers(1, 2 * MWH))
def test_what_is_taken_of_batches_is_whole_and_never_more_than_is_left(left: dict[str, int], wh: int) -> None:
    before = sum(left.values())
    if before < wh:
        left["z"] = wh - before
        before = wh
    parts = _take(left, wh)
    assert sum(parts.values()) == wh
    assert sum(left.values()) == before - wh
    assert all(part > 0 for part in parts.values())


# ---------------------------------------------------------------- what a batch earns


@pytest.fixture
def sold(sunny: Town) -> Iterator[Town]:
    sunny.desk.demand(batch(0), Revenue("week-0", 100_000_001, "EUR", "sale 1"))
    return sunny


def test_revenue_of_a_batch_goes_to_who_shares_in_its_source_to_the_last_unit(sold: Town) -> None:
    sold.desk.demand(Share("pv1.dev", "home1", 1), Share("pv1.dev", "home2", 1), Share("pv1.dev", "pv1", 1))
    sold.desk.demand(Distribution("week-0"))
    balances = sold.book.state.balances()
    assert [balances[f"{name}.current"] for name in ("home1", "home2", "pv1")] == [
        33_333_334,
        33_333_334,
        33_333_333,
    ]
    assert balances["market.revenue"] == 0
    assert sold.community.billing.owed("home2") == -33_333_334
    sold.refused("market", Distribution("week-0"), Reason.EXISTS, "nothing is left")
    sold.desk.demand(Share("pv1.dev", "home2", 0), Revenue("week-0", 10, "EUR", "sale 2"))
    sold.desk.demand(Distribution("week-0"))
    assert sold.book.state.balances()["home2.current"] == 33_333_334


def test_where_nobody_shares_all_is_the_owners(sold: Town) -> None:
    sold.desk.demand(Distribution("week-0"))
    assert balance(sold, "pv1.current") == 100_000_001


def test_bad_revenue_and_shares_are_void(sold: Town) -> None:
    revenue = Revenue("week-0", 5, "EUR", "sale 2")
    for fact, reason in (
        (replace(revenue, amount=0), Reason.NEGATIVE),
        (replace(revenue, amount=10**15), Reason.OVERFLOW),
        (replace(revenue, currency="USD"), Reason.MIXED_UNITS),
        (replace(revenue, batch="none"), Reason.UNKNOWN),
        (replace(revenue, reference="sale 1"), Reason.EXISTS),
        (replace(revenue, reference=""), Reason.MALFORMED),
        (Distribution("none"), Reason.UNKNOWN),
        (Share("pv2.dev", "home1", 1), Reason.UNKNOWN),
        (Share("pv1.dev", "nobody", 1), Reason.UNKNOWN),
        (Share("pv1.dev", "home1", -1), Reason.NEGATIVE),
        (Share("pv1.dev", "home1", 10**10), Reason.OVERFLOW),
    ):
        sold.refused("market", fact, reason)
    for fact in (revenue, Distribution("week-0"), Share("pv1.dev", "pv1", 5)):
        sold.refused("pv1", fact, Reason.NOT_ALLOWED)


def test_bad_sources_are_void(town: Town) -> None:
    for fact, reason in (
        (replace(SOURCE, device="home1.dev"), Reason.UNKNOWN),
        (replace(SOURCE, device="none"), Reason.UNKNOWN),
        (replace(SOURCE, meter="pv1.dev"), Reason.UNKNOWN),
        (replace(SOURCE, technology=""), Reason.MALFORMED),
        (replace(SOURCE, valid_s=5), Reason.OVERFLOW),
    ):
        town.refused("market", fact, reason)
    town.refused("pv1", SOURCE, Reason.NOT_ALLOWED)
