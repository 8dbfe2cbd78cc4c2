"""Points: by baselines that gaming does not move, within caps, for a time; given, locked, slashed, conserved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import QUARTER_US, Entries, Feed, Town

from historian.ledger.errors import Reason, Refused
from historian.ledger.evidence import award_for, check_awards
from historian.ledger.facts import Fact, Reading, ReadingQuality, Reversal
from historian.ledger.reward_facts import (
    Award,
    Batch,
    CertifiedSource,
    Expiry,
    PointTransfer,
    Release,
    RewardEvent,
    RewardKind,
    RewardRule,
    Slash,
    Stake,
    StakeRule,
)
from historian.ledger.rewards import LONGEST_S, Lot, batch_evidence

HOUR_US = 4 * QUARTER_US
DAY_US = 24 * HOUR_US
MONDAY_US = 1_795_392_000 * 1_000_000  # 2026-11-23T00:00:00Z
FRIDAY_US = MONDAY_US + 11 * DAY_US
EVENT = RewardEvent("cold", FRIDAY_US + 17 * HOUR_US, FRIDAY_US + 18 * HOUR_US, "UTC")
NOTICE_US = FRIDAY_US + 15 * HOUR_US
RULE = RewardRule(RewardKind.SAVING, 1_000, 10_000, 15_000, 30 * 86_400, 60 * 86_400, 200_000)
USUAL_WH = 1_000  # of each quarter
Load = Callable[[int], int]  # Wh of the quarter that begins then


def usual(_: int) -> int:
    return USUAL_WH


def answered(at_us: int) -> int:
    """Half of it during the event."""
    return USUAL_WH // 2 if EVENT.from_us <= at_us < EVENT.to_us else USUAL_WH


def readings(day: int, from_hour: int, to_hour: int, load: Load, start: int) -> tuple[list[Fact], int]:
    """Of home1's register: those after the first quarter on, and what it shows then."""
    facts: list[Fact] = []
    for at_us in range(day + from_hour * HOUR_US, day + to_hour * HOUR_US, QUARTER_US):
        start += load(at_us)
        facts.append(Reading("home1.meter", at_us + QUARTER_US, start, 0, ReadingQuality.MEASURED))
    return facts, start


def lived(town: Town, load: Load = answered) -> Town:
    """Nine business days, then the event: announced at 15:00, from 17:00 to 18:00."""
    shown = 0
    facts: list[Fact] = [replace(RULE, kind=kind) for kind in RewardKind]
    for day in (*range(5), 7, 8, 9, 10):
        start = MONDAY_US + day * DAY_US
        facts.append(Reading("home1.meter", start + 12 * HOUR_US, shown, 0, ReadingQuality.MEASURED))
        more, shown = readings(start, 12, 18, usual, shown)
        facts += more
    town.now_us = NOTICE_US
    facts.append(Reading("home1.meter", FRIDAY_US + 12 * HOUR_US, shown, 0, ReadingQuality.MEASURED))
    more, shown = readings(FRIDAY_US, 12, 15, load, shown)
    town.desk.demand(*facts, *more, EVENT)
    town.now_us = EVENT.to_us
    more, shown = readings(FRIDAY_US, 15, 18, load, shown)
    town.desk.demand(*more)
    return town


def made(town: Town, kind: RewardKind = RewardKind.SAVING) -> Award:
    return award_for(town.community, "home1", kind, "cold")


def points(town: Town, name: str = "home1") -> int:
    return town.book.state.balances().get(f"{name}.points", 0)


# ---------------------------------------------------------------- baselines


def test_what_was_saved_against_the_baseline_is_rewarded(town: Town) -> None:
    lived(town)
    award = made(town)
    assert (award.unadjusted, award.baseline, award.measured) == (4_000, 4_000, 2_000)
    town.desk.demand(award)
    assert points(town) == 2_000
    assert town.book.state.balances()["points.issued"] == -2_000
    assert not list(check_awards(town.community))
    peak = made(town, RewardKind.PEAK)
    assert (peak.baseline, peak.measured) == (4_000, 2_000)  # W
    town.desk.demand(peak, made(town, RewardKind.STABILITY), made(town, RewardKind.PARTICIPATION))
    assert [each.points for each in town.community.treasury.rewards.awards] == [2_000, 2_000, 2_000, 1_000]


def test_load_that_is_inflated_before_the_event_earns_nothing(town: Town) -> None:
    """In the knowledge of the event: not a point more, whatever is drawn between the notice and the event."""
    lived(town, lambda at_us: 4_000 if NOTICE_US <= at_us < EVENT.from_us else answered(at_us))
    award = made(town)
    assert (award.baseline, award.measured) == (4_000, 2_000)


def test_who_only_inflates_and_answers_not_gets_nothing(town: Town) -> None:
    lived(town, lambda at_us: 4_000 if NOTICE_US <= at_us < EVENT.from_us else USUAL_WH)
    town.refused("market", made(town), Reason.NEGATIVE, "did not do better")


def test_load_that_is_inflated_on_a_guess_moves_the_baseline_no_further_than_the_cap(town: Town) -> None:
    lived(town, lambda at_us: 4_000 if FRIDAY_US <= at_us < NOTICE_US else answered(at_us))
    award = made(town)
    assert (award.unadjusted, award.baseline) == (4_000, 4_800)
    # An operator that allows less holds it even there.
    town.desk.demand(replace(RULE, most_adjustment=0))
    town.refused("market", award, Reason.OVERFLOW, "4000 at most")


def test_a_baseline_that_the_readings_do_not_give_is_found(town: Town) -> None:
    lived(town)
    award = made(town)
    town.desk.demand(replace(award, unadjusted=4_500, baseline=5_000))
    ((entry, why),) = check_awards(town.community)
    assert entry == town.community.treasury.rewards.awards[0].entry
    assert "said 4500/5000/2000, the readings give 4000/4000/2000" in why


def test_readings_that_are_corrected_afterwards_show(town: Town) -> None:
    lived(town)
    town.desk.demand(made(town))
    at_us = MONDAY_US + 13 * HOUR_US
    kept = town.community.meters.reading("home1.meter", at_us)
    assert kept is not None
    fact = Reading("home1.meter", at_us, kept.import_wh - 500, 0, ReadingQuality.MEASURED)
    town.desk.demand(Reversal("home1.meter", at_us, kept.entry, "register"), fact)
    assert len(list(check_awards(town.community))) == 1


def test_bad_awards_are_void(town: Town) -> None:
    lived(town)
    award = made(town)
    for fact, reason in (
        (replace(award, participant="nobody"), Reason.UNKNOWN),
        (replace(award, participant="home2"), Reason.UNKNOWN),
        (replace(award, event="none"), Reason.UNKNOWN),
        (replace(award, measured=1_999), Reason.CONFLICT),
        (replace(award, baseline=4_801), Reason.OVERFLOW),
        (replace(award, baseline=1_000), Reason.NEGATIVE),
        (replace(award, evidence=bytes(32)), Reason.MALFORMED),
    ):
        town.refused("market", fact, reason)
    town.refused("home1", award, Reason.NOT_ALLOWED)
    town.desk.demand(award)
    town.refused("market", award, Reason.EXISTS)
    with pytest.raises(Refused):
        award_for(town.community, "home1", RewardKind.SAVING, "none")
    with pytest.raises(Refused):
        award_for(town.community, "home2", RewardKind.SAVING, "cold")


def test_estimated_readings_earn_nothing(town: Town) -> None:
    lived(town)
    award = made(town)
    kept = town.community.meters.reading("home1.meter", EVENT.to_us)
    assert kept is not None
    estimate = Reading("home1.meter", EVENT.to_us, kept.import_wh, 0, ReadingQuality.ESTIMATED)
    town.desk.demand(Reversal("home1.meter", EVENT.to_us, kept.entry, "register"), estimate)
    town.refused("market", award, Reason.CONFLICT, "is estimated")


def test_a_renewable_batch_is_rewarded_once(town: Town) -> None:
    lived(town)
    town.desk.demand(CertifiedSource("pv1.dev", "pv1.meter", "photovoltaics", 86_400))
    town.read("pv1", FRIDAY_US, 0, 0)
    town.read("pv1", FRIDAY_US + HOUR_US, 0, 5_000)
    batch = Batch("b1", "pv1.dev", FRIDAY_US, FRIDAY_US + HOUR_US, 5_000)
    town.desk.demand(batch)
    award = award_for(town.community, "pv1", RewardKind.RENEWABLE, "b1")
    assert award.evidence == batch_evidence(batch)
    town.refused("market", replace(award, measured=5_001), Reason.CONFLICT)
    town.refused("market", replace(award, participant="home1"), Reason.NOT_ALLOWED)
    town.refused("market", replace(award, event="none"), Reason.UNKNOWN)
    town.desk.demand(award)
    assert points(town, "pv1") == 5_000
    town.refused("market", award, Reason.EXISTS)
    assert not list(check_awards(town.community))


# ---------------------------------------------------------------- caps, expiry, events, rules


def test_caps_hold_for_an_award_and_for_a_period(town: Town) -> None:
    lived(town)
    town.desk.demand(replace(RULE, cap_each=1_500, cap_period=2_000))
    town.desk.demand(made(town))
    assert points(town) == 1_500
    later = RewardEvent("again", EVENT.to_us + HOUR_US, EVENT.to_us + 2 * HOUR_US, "UTC")
    town.desk.demand(later)
    town.now_us = later.to_us
    shown = town.community.meters.reading("home1.meter", EVENT.to_us)
    assert shown is not None
    facts, _ = readings(FRIDAY_US, 18, 20, lambda _: 0, shown.import_wh)
    town.desk.demand(*facts)
    award = Award("home1", RewardKind.SAVING, "again", 4_000, 4_000, 0, b"\1" * 32)
    town.desk.demand(award)
    assert points(town) == 2_000, "500 were left of the period's"
    overlapping = RewardEvent("third", later.to_us + HOUR_US, later.to_us + 2 * HOUR_US, "UTC")
    town.desk.demand(overlapping)
    town.now_us = overlapping.to_us
    facts, _ = readings(FRIDAY_US, 20, 22, lambda _: 0, shown.import_wh)
    town.desk.demand(*facts)
    town.refused("market", replace(award, event="third"), Reason.OVERFLOW, "2000 points of that period")


def test_events_that_overlap_are_rewarded_once(town: Town) -> None:
    lived(town)
    town.now_us = EVENT.to_us + 1
    town.desk.demand(made(town))
    start = EVENT.to_us + HOUR_US
    some = RewardEvent("some", start, start + HOUR_US, "UTC")
    wider = RewardEvent("wider", start, start + 2 * HOUR_US, "UTC")
    town.desk.demand(some, wider)
    town.now_us = wider.to_us
    shown = town.community.meters.reading("home1.meter", EVENT.to_us)
    assert shown is not None
    facts, _ = readings(FRIDAY_US, 18, 21, lambda _: 0, shown.import_wh)
    town.desk.demand(*facts)
    award = Award("home1", RewardKind.SAVING, "some", 4_000, 4_000, 0, b"\1" * 32)
    town.desk.demand(award)
    town.refused("market", replace(award, event="wider"), Reason.EXISTS, "for that time already")


def test_bad_events_and_rules_are_void(town: Town) -> None:
    start = town.now_us // QUARTER_US * QUARTER_US + DAY_US
    call = RewardEvent("e", start, start + HOUR_US, "UTC")
    for fact, reason in (
        (replace(call, to_us=start), Reason.MALFORMED),
        (replace(call, to_us=start + 2 * DAY_US), Reason.MALFORMED),
        (replace(call, from_us=start + 1), Reason.MALFORMED),
        (replace(call, from_us=start - 2 * DAY_US, to_us=start - 2 * DAY_US + HOUR_US), Reason.LATE),
        (replace(call, time_zone="Moon/Base"), Reason.UNKNOWN),
        (replace(RULE, rate=-1), Reason.NEGATIVE),
        (replace(RULE, rate=10**10), Reason.OVERFLOW),
        (replace(RULE, cap_each=-1), Reason.NEGATIVE),
        (replace(RULE, period_s=0), Reason.OVERFLOW),
        (replace(RULE, most_adjustment=2_000_000), Reason.OVERFLOW),
        (StakeRule(0, 5), Reason.OVERFLOW),
        (StakeRule(5, LONGEST_S + 1), Reason.OVERFLOW),
    ):
        town.refused("market", fact, reason)
    for fact in (call, RULE, StakeRule(1, 2)):
        town.refused("home1", fact, Reason.NOT_ALLOWED)
    town.desk.demand(call)
    town.refused("market", call, Reason.EXISTS)
    town.now_us = call.to_us
    award = Award("home1", RewardKind.SAVING, "e", 1, 1, 0, b"\1" * 32)
    town.refused("market", award, Reason.UNKNOWN, "no rule rewards")
    town.desk.demand(RULE, replace(call, event="f", from_us=start + DAY_US, to_us=start + DAY_US + HOUR_US))
    town.refused("market", replace(award, event="f"), Reason.EARLY)


# ---------------------------------------------------------------- what is done with points


@pytest.fixture
def rich(town: Town) -> Town:
    """home1 has 2000 points for 60 days; locks are a day to a year."""
    lived(town)
    town.desk.demand(made(town), StakeRule(86_400, 366 * 86_400))
    return town


def test_points_are_given_and_keep_their_time(rich: Town) -> None:
    (lot,) = rich.community.treasury.rewards.lots["home1"]
    rich.now_us += 30 * DAY_US
    rich.must("home1", PointTransfer("home2", 700))
    assert (points(rich), points(rich, "home2")) == (1_300, 700)
    assert rich.community.treasury.rewards.lots["home2"] == (Lot(lot.expires_us, 700),)
    for fact, reason in (
        (PointTransfer("home2", 1_301), Reason.NEGATIVE),
        (PointTransfer("home2", 0), Reason.NEGATIVE),
        (PointTransfer("home2", -5), Reason.NEGATIVE),
        (PointTransfer("home1", 5), Reason.CONFLICT),
        (PointTransfer("nobody", 5), Reason.UNKNOWN),
    ):
        rich.refused("home1", fact, reason)
    rich.now_us = lot.expires_us
    rich.refused("home2", PointTransfer("home1", 1), Reason.NEGATIVE, "home2 has 0 points")


def test_points_expire_and_leave_the_account(rich: Town) -> None:
    rich.refused("market", Expiry("home1"), Reason.EARLY)
    rich.now_us += 61 * DAY_US
    rich.refused("home1", Expiry("home1"), Reason.NOT_ALLOWED)
    rich.desk.demand(Expiry("home1"))
    assert (points(rich), rich.book.state.balances()["points.expired"]) == (0, 2_000)
    rich.refused("market", Expiry("home1"), Reason.EARLY)


def test_a_stake_is_locked_until_its_time_and_does_not_keep_points_young(rich: Town) -> None:
    until = rich.now_us + 90 * DAY_US
    rich.must("home1", Stake(1_500, until))
    (entry,) = rich.community.treasury.rewards.stakes
    balances = rich.book.state.balances()
    assert (balances["home1.points"], balances["home1.staked"]) == (500, 1_500)
    for who, fact, reason in (
        ("home1", PointTransfer("home2", 501), Reason.NEGATIVE),
        ("home1", Stake(501, until), Reason.NEGATIVE),
        ("home1", Stake(5, rich.now_us + 10**6), Reason.OVERFLOW),
        ("home1", Stake(5, rich.now_us + 400 * DAY_US), Reason.OVERFLOW),
        ("home1", Stake(5, rich.now_us - 5), Reason.NEGATIVE),
        ("home1", Release(entry), Reason.EARLY),
        ("market", Release(entry), Reason.EARLY),
        ("home1", Release(entry + 1), Reason.UNKNOWN),
    ):
        rich.refused(who, fact, reason)
    rich.now_us = until
    rich.refused("home2", Release(entry), Reason.NOT_ALLOWED)
    rich.must("home1", Release(entry))
    assert points(rich) == 2_000
    assert rich.community.treasury.rewards.available("home1", rich.now_us) == 0, "they expired meanwhile"
    rich.refused("home1", Release(entry), Reason.UNKNOWN)


def test_a_stake_can_be_slashed_and_by_no_more_than_it_has(rich: Town) -> None:
    rich.must("home1", Stake(1_500, rich.now_us + 2 * DAY_US))
    (entry,) = rich.community.treasury.rewards.stakes
    rich.refused("home1", Slash(entry, 5, "x"), Reason.NOT_ALLOWED)
    rich.refused("market", Slash(entry, 5, ""), Reason.MALFORMED)
    rich.refused("market", Slash(entry, 1_501, "x"), Reason.NEGATIVE)
    rich.refused("market", Slash(entry, 0, "x"), Reason.NEGATIVE)
    rich.desk.demand(Slash(entry, 500, "did not deliver"))
    balances = rich.book.state.balances()
    assert (balances["home1.staked"], balances["points.slashed"]) == (1_000, 500)
    rich.desk.demand(Slash(entry, 1_000, "again"))
    assert not rich.community.treasury.rewards.stakes


def test_without_a_rule_nothing_is_staked(town: Town) -> None:
    town.refused("home1", Stake(5, town.now_us + DAY_US), Reason.UNKNOWN, "no rule of staking")


STEPS = st.one_of(
    st.tuples(
        st.just("give"),
        st.sampled_from(["home1", "home2"]),
        st.sampled_from(["home1", "home2", "bat"]),
        st.integers(-5, 2_500),
    ),
    st.tuples(
        st.just("stake"), st.sampled_from(["home1", "home2"]), st.integers(0, 100), st.integers(-5, 2_500)
    ),
    st.tuples(st.just("release"), st.sampled_from(["home1", "home2"]), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("slash"), st.just("market"), st.integers(0, 3), st.integers(-5, 2_500)),
    st.tuples(st.just("expire"), st.just("market"), st.sampled_from(["home1", "home2", "bat"]), st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.integers(0, 40), st.just(0)),
)


@pytest.fixture(scope="module")
def rich_entries(tmp_path_factory: pytest.TempPathFactory, built_town: Town) -> Entries:
    town = Town(tmp_path_factory.mktemp("rich") / "town.ledger", built_town)
    lived(town)
    town.desk.demand(made(town), StakeRule(86_400, 366 * 86_400))
    entries = Entries(town.book.placed(-1))
    town.book.close()
    return entries


@given(steps=st.lists(STEPS, max_size=20))
def test_points_are_conserved_whatever_is_done_with_them(rich_entries: Entries, steps: list[object]) -> None:
    feed = Feed(rich_entries)
    feed.now_us = rich_entries[-1].placed_at_us
    for step in steps:
        what, who, which, many = step  # type: ignore[misc]  # a tuple of STEPS
        stakes = [*feed.community.treasury.rewards.stakes, 0]
        match what:
            case "give":
                feed.fact(who, PointTransfer(which, many))
            case "stake":
                feed.fact(who, Stake(many, feed.now_us + which * DAY_US))
            case "release":
                feed.fact(who, Release(stakes[which % len(stakes)]))
            case "slash":
                feed.fact(who, Slash(stakes[which % len(stakes)], many, "x"))
            case "expire":
                feed.fact(who, Expiry(which))
            case "wait":
                feed.now_us += which * DAY_US
    rewards = feed.community.treasury.rewards
    for name in ("home1", "home2", "bat"):
        held = sum(lot.points for lot in rewards.lots[name])
        assert held == feed.balances.get(f"{name}.points", 0)
        assert rewards.staked(name) == feed.balances.get(f"{name}.staked", 0)
        assert all(lot.points > 0 for lot in rewards.lots[name])
    assert sum(amount for account, amount in feed.balances.items() if feed.units[account] == "points") == 0
    assert feed.balances["points.issued"] == -2_000
    assert not feed.community.strays
