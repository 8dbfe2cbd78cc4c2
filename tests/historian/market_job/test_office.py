"""What the market does by itself: brings the section into the ledger, closes gates, reads, prices, settles, bills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from market_bench import FIRST_US, QUARTER_US, START_US, Bench

from gateway.config.site import Site
from historian.ledger.coding import record_of
from historian.ledger.errors import NotALedger
from historian.ledger.facts import ReadingQuality, Side, Status, Venue
from historian.ledger.market_cli import community_of
from historian.ledger.verify import verify
from historian.market_job.registrar import devices_of, join_of, rules_of
from historian.market_job.wire import Submit, Turned

KWH = 1_000


def entries(bench: Bench) -> int:
    assert bench.office is not None
    return bench.office.desk.book.state.head.sequence + 1


def traded(bench: Bench) -> None:
    """home joins, and buys a kWh of the sun's."""
    bench.look()
    bench.join_home()
    for name, side in (("sun", Side.SELL), ("home", Side.BUY)):
        (outcome,) = bench.say(name, bench.order(side, KWH, 200_000))
        assert not outcome.reason, outcome


def used(bench: Bench, at_us: int, wh: int = KWH) -> None:
    """The sun gives it, the home takes it, in the interval."""
    bench.until(at_us)
    bench.registers["sun_out_wh"] += wh
    bench.registers["home_in_wh"] += wh


def test_the_first_start_brings_the_section_into_a_ledger_of_its_own(bench: Bench) -> None:
    bench.look()
    community = bench.community
    assert community.market.rules == rules_of(bench.settings)
    assert {name: who.status for name, who in community.registry.participants.items()} == {
        "sun": Status.ACTIVE,
        "car": Status.ACTIVE,
    }, "home applies for itself"
    assert community.registry.mains == {"sun": ["sun_m"], "car": ["car_m"]}
    assert community.market.deposits["sun"] == 100_000_000
    assert (bench.state / "keys" / "sun.pem").stat().st_mode & 0o777 == 0o600
    before = entries(bench)
    bench.restart()
    bench.now_us += 61_000_000
    bench.look()
    assert entries(bench) == before, "what stands there is not said again"


def test_members_that_say_the_same_of_themselves_all_join(bench: Bench) -> None:
    sun = next(member for member in bench.settings.members if member.name == "sun")
    twins = tuple(
        replace(
            sun,
            name=name,
            key=f"keys/{name}.pem",
            devices=tuple(replace(device, name=f"{name}_{device.name}") for device in sun.devices),
            meters=(),
        )
        for name in ("moon", "star")
    )
    bench.restart(members=(*bench.settings.members, *twins))
    bench.look()
    statuses = {name: who.status for name, who in bench.community.registry.participants.items()}
    assert statuses == dict.fromkeys(("sun", "car", "moon", "star"), Status.ACTIVE)
    assert not bench.community.voids


def test_a_member_with_its_own_key_applies_and_is_let_in_as_the_section_says(bench: Bench) -> None:
    bench.look()
    bench.join_home()
    assert bench.community.registry.participants["home"].status is Status.ACTIVE
    assert bench.community.registry.devices["house"].status is Status.ACTIVE
    assert bench.community.market.deposits["home"] == 50_500_000
    assert not bench.community.voids


def test_who_applies_with_more_than_the_section_says_waits_for_the_operator(bench: Bench) -> None:
    bench.look()
    home = next(member for member in bench.settings.members if member.name == "home")
    greedy = replace(devices_of(home)[0], max_import_w=90_000)
    assert not any(outcome.reason for outcome in bench.say("home", join_of(home), greedy))
    bench.look()
    assert bench.community.registry.participants["home"].status is Status.ACTIVE
    assert bench.community.registry.devices["house"].status is Status.APPLIED
    assert bench.office is not None
    assert any("house" in trouble for trouble in bench.office.troubles())


class LateBench(Bench):
    """Of which history has nothing before it began."""

    def meter(self, *missing: str, at_us: int | None = None) -> None:
        if at_us is None:
            super().meter(*missing)


def test_a_meter_that_never_was_read_is_a_trouble_only_for_what_came_since_the_market_began(
    market_site: Site, tmp_path: Path, folder: Any
) -> None:
    folder.clock.now = START_US * 1_000 - 10**9
    bench = LateBench(market_site, tmp_path, folder)
    bench.look()
    bench.join_home()
    assert bench.office is not None
    assert bench.office.troubles() == [], "at 12:00 nobody was there to read it"
    bench.until(FIRST_US + 60 * 10**6, "home_out_wh")
    (trouble,) = bench.office.troubles()
    assert "d.home_out_wh has no sample within 120 s before" in trouble
    bench.close()
    bench.history.close()


def test_a_trade_is_cleared_at_its_gate_measured_and_settled(bench: Bench) -> None:
    traded(bench)
    bench.until(FIRST_US - 300 * 10**6)
    interval = bench.community.market.intervals[FIRST_US]
    assert interval.clearing is not None
    assert (interval.clearing.volume_wh, interval.clearing.price) == (KWH, 200_000)
    price = bench.community.market.prices[FIRST_US]
    assert (price.load_w, price.time_of_day, price.price) == (50_000, 1_500_000, 300_000)
    used(bench, FIRST_US + 60 * 10**6)
    bench.until(FIRST_US + QUARTER_US + 60 * 10**6)
    lines = bench.community.settled[FIRST_US].lines
    assert (lines["sun"].traded_wh, lines["sun"].metered_wh, lines["sun"].imbalance) == (KWH, KWH, 0)
    assert lines["sun"].sale == 200_000
    assert not lines["sun"].is_estimated
    assert bench.office is not None
    assert bench.office.troubles() == []
    assert not bench.community.voids
    file = bench.state / "market.ledger"
    bench.close()
    assert verify(file, processes=1).is_sound
    audited = community_of(file)
    assert not audited.strays
    assert not audited.owed
    bench.open()


def test_a_killed_market_goes_on_and_does_nothing_twice(bench: Bench) -> None:
    traded(bench)
    for at_us in range(START_US, FIRST_US + 2 * QUARTER_US, 240 * 10**6):
        bench.until(at_us)
        bench.restart()
    bench.look()
    assert not bench.community.voids
    settled = bench.community.settled
    assert [(at_us, done.version) for at_us, done in settled.items()] == [(FIRST_US, 1)]
    assert bench.community.market.deposits["home"] == 50_500_000 - 200_000


def test_intervals_that_passed_while_it_was_away_have_no_auction(bench: Bench) -> None:
    traded(bench)
    bench.close()
    for _ in range(3 * 15):
        bench.now_us += 60 * 10**6
        bench.meter()
    bench.open()
    bench.look()
    for at_us in (FIRST_US, FIRST_US + QUARTER_US):
        interval = bench.community.market.intervals[at_us]
        assert interval.is_gated
        assert not interval.trades
    assert bench.community.market.reserved["home"] == 0
    bench.until(bench.now_us + QUARTER_US)
    assert FIRST_US in bench.community.settled


def test_without_history_nothing_is_traded_and_gates_have_no_auction(bench: Bench) -> None:
    traded(bench)
    bench.until(START_US + 60 * 10**6)
    bench.now_us += 240 * 10**6  # no register is read any more
    bench.look()
    assert bench.office is not None
    assert not bench.office.can_trade
    key = bench.key("home")
    late = bench.pen(key).sign([record_of(bench.order(Side.BUY, KWH, 200_000))])
    turned = bench.ask(Submit("2", late))
    assert isinstance(turned, Turned)
    assert turned.reason == "stopped"
    bench.now_us = FIRST_US - 299 * 10**6
    bench.look()
    interval = bench.community.market.intervals[FIRST_US]
    assert interval.is_gated
    assert not interval.positions
    bench.until(FIRST_US + 60 * 10**6)
    assert bench.office.can_trade, "history is back"


def test_a_missing_reading_is_estimated_and_later_replaced(bench: Bench) -> None:
    traded(bench)
    bench.until(FIRST_US + QUARTER_US - 180 * 10**6)
    end_us = FIRST_US + QUARTER_US
    bench.registers["home_in_wh"] += KWH
    bench.registers["sun_out_wh"] += KWH
    bench.until(end_us + 60 * 10**6, "home_in_wh")
    assert FIRST_US not in bench.community.settled
    bench.until(end_us + 660 * 10**6)
    first = bench.community.settled[FIRST_US]
    assert (first.lines["home"].is_estimated, first.lines["home"].metered_wh) == (True, 0)
    bench.meter(at_us=end_us)
    bench.until(end_us + 2_400 * 10**6)
    kept = bench.community.meters.reading("home_m", end_us)
    assert kept is not None
    assert kept.quality is ReadingQuality.MEASURED
    again = bench.community.settled[FIRST_US]
    assert (again.version, again.lines["home"].metered_wh) == (2, -KWH)
    assert not bench.community.voids


def test_a_price_waits_for_its_tags_and_is_told_at_last_as_the_one_before(bench: Bench) -> None:
    bench.look()
    bench.until(FIRST_US)
    bench.values["d.hz"] = None
    second_us = FIRST_US + QUARTER_US
    bench.until(second_us)
    assert bench.office is not None
    assert bench.office.troubles() == ["no price: d.hz is not Good"]
    assert second_us not in bench.community.market.prices
    bench.until(second_us + QUARTER_US + 660 * 10**6)
    assert bench.community.market.prices[second_us].load_w == bench.community.market.prices[FIRST_US].load_w
    assert second_us in bench.community.settled


def test_a_vehicle_trades_only_while_it_is_there(bench: Bench) -> None:
    bench.look()
    offer = bench.order(Side.SELL, 2 * KWH, 200_000, device="pack", venue=Venue.CONTINUOUS)
    (outcome,) = bench.say("car", offer)
    assert outcome.why == "pack has no session there"
    bench.values["d.connected"] = 1.0
    bench.look()
    session = bench.community.limits.sessions["pack"]
    assert (session.export_wh, session.import_wh) == (10 * KWH, 30 * KWH)
    (outcome,) = bench.say("car", offer)
    assert not outcome.reason
    bench.values["d.connected"] = 0.0
    bench.look()
    assert not bench.community.market.orders, "it left, and its orders with it"
    (outcome,) = bench.say("car", offer)
    assert outcome.why == "pack has no session there"
    before = entries(bench)
    bench.look()
    assert entries(bench) == before


def test_days_are_billed_once_they_are_settled(bench: Bench) -> None:
    bench.site = replace(bench.site, time_zone="Pacific/Guadalcanal")
    bench.restart()
    traded(bench)
    midnight_us = START_US - 60 * 10**6 + 3_600 * 10**6  # there
    bench.until(midnight_us + 120 * 10**6)
    ((_, bill),) = bench.community.billing.bills
    assert (bill.participant, bill.to_us) == ("sun", midnight_us)
    assert bill.from_us == FIRST_US


def test_a_ledger_that_is_gone_is_not_begun_anew(bench: Bench) -> None:
    bench.close()
    for file in bench.state.glob("market.ledger*"):
        if file.suffix != ".id":
            file.unlink()
    with pytest.raises(NotALedger, match="is gone"):
        bench.open()
    bench.office = None


def test_who_is_no_longer_named_is_out(bench: Bench) -> None:
    traded(bench)
    members = tuple(member for member in bench.settings.members if member.name != "home")
    bench.restart(members=members, member_tags=bench.settings.member_tags[: len(members)])
    assert bench.community.registry.participants["home"].status is Status.SUSPENDED
    assert [order.author for order in bench.community.market.orders.values()] == ["sun"]


def test_a_changed_tariff_is_a_version_from_the_next_day_on(bench: Bench) -> None:
    bench.look()
    (tariff,) = bench.settings.tariffs
    bench.restart(tariffs=(replace(tariff, base_rate=300_000),))
    first, second = bench.community.billing.tariffs["all"]
    assert (first.valid_from_us, first.base_rate) == (FIRST_US, 250_000)
    assert second.valid_from_us == START_US - 60 * 10**6 + 11 * 3_600 * 10**6
    bench.restart()
    assert len(bench.community.billing.tariffs["all"]) == 2
