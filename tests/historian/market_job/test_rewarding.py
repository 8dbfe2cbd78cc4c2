"""What the part puts on record by itself: batches, certificates, events, awards; once, and again where corrected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from historian_folder import SECOND
from market_bench import SITE, START_US, Bench

from gateway.config.load import load_site
from historian.demand_response_job.store import Call, Calls
from historian.ledger.errors import Reason
from historian.ledger.evidence import check_awards
from historian.ledger.facts import Reading, ReadingQuality, Reversal
from historian.ledger.market_cli import community_of
from historian.ledger.reward_facts import RewardKind
from historian.ledger.verify import verify

HOUR_US = 3_600 * 10**6
DAY_US = 24 * HOUR_US
NOON_US = START_US - 60 * 10**6  # 2026-11-21T12:00Z, a Saturday; 13:00 in Berlin
MIDNIGHT_US = (
    NOON_US + 12 * HOUR_US
)  # 01:00 in Berlin: the first end of four hours that is not before midnight
SUN_WH = 300_000  # an hour, at night too
USUAL_WH = 2_000
EVENING_US = NOON_US + 6 * HOUR_US
TEXT = (
    SITE[: SITE.index("    car:\n")]
    .replace("  area: grid\n  price_low", "  area: grid\n  interval_min: INTERVAL\n  correct_h: 2\n  price_low")
    .replace("export_max_kw: 60, import_max_kw: 60", "export_max_kw: 900, import_max_kw: 60")
    .replace(
        "{kind: source, feeder: f1, export_max_kw: 20}",
        "{kind: source, feeder: f1, export_max_kw: 400, renewable: {technology: solar, meter: sun_m}}",
    )
    .replace("out_wh, feeder: f1, export_max_kw: 20,", "out_wh, feeder: f1, export_max_kw: 400,")
    .replace("  participants:\n", "  rewards: {saving: {points: 10}, participation: {points: 3}, "
             "renewable: {points: 1, most_each: 5000}}\n  participants:\n")
    + """
demand_response:
  area: grid
  participants: {home: {power: d.load_kw, committed_kw: 1}, sun: {power: d.load_kw, committed_kw: 1}}
  programmes: {dr: {participants: [home, sun]}}
"""
)  # fmt: skip


class LongBench(Bench):
    """A market of hours, each with its energy."""

    first_wh = 1_000_000

    def step(self, at_us: int, sun_wh: int, home_wh: int, *missing: str) -> None:
        """What went through the meters until an interval's end; a look then, and after what waits for readings."""
        self.registers["sun_out_wh"] += sun_wh
        self.registers["home_in_wh"] += home_wh
        self.now_us = at_us
        self.meter(*missing)
        self.look()
        self.now_us += self.settings.settle_delay_s * 10**6 + 1
        self.look()

    def until_end(self, to_us: int, *missing: str) -> None:
        """Interval by interval: home takes less in the evening's event."""
        interval_us = self.settings.interval_s * 10**6
        hours = interval_us // HOUR_US
        at_us = self.now_us // interval_us * interval_us + interval_us
        while at_us <= to_us:
            home_wh = 1_500 if at_us == EVENING_US + HOUR_US else USUAL_WH * hours
            self.step(at_us, SUN_WH * hours, home_wh, *missing)
            at_us += interval_us

    def entries(self) -> int:
        assert self.office is not None
        return self.office.desk.book.state.head.sequence

    def say(self, *facts: Any) -> None:  # type: ignore[override]  # the operator says it here
        assert self.office is not None
        self.office.desk.demand(*facts)

    def batches(self) -> dict[str, tuple[int, int, int]]:
        certificates = self.community.treasury.certificates
        return {
            name: ((batch.from_us - NOON_US) // HOUR_US, (batch.to_us - NOON_US) // HOUR_US, batch.wh)
            for name, (_, batch) in certificates.batches.items()
        }

    def is_sound(self) -> bool:
        """The file by itself: every signature, and every posting just what the facts ask for."""
        self.close()
        audited = community_of(self.state / "market.ledger")
        sound = verify(self.state / "market.ledger", processes=1).is_sound
        self.open()
        return sound and not audited.strays and not audited.owed


@pytest.fixture
def town(request: pytest.FixtureRequest, tmp_path: Path, folder: Any) -> Iterator[LongBench]:
    path = tmp_path / "site.yaml"
    path.write_text(TEXT.replace("INTERVAL", str(request.param)), encoding="utf-8")
    folder.clock.now = START_US * 1_000 - SECOND
    made = LongBench(load_site(path), tmp_path, folder)
    made.look()
    made.join_home()
    yield made
    made.close()
    made.history.close()


by_four_hours = pytest.mark.parametrize("town", [240], indirect=True)
by_hours = pytest.mark.parametrize("town", [60], indirect=True)


def correct(town: LongBench, at_us: int, less_wh: int) -> None:
    """The reading of the sun's meter is taken back, and said again."""
    kept = town.community.meters.reading("sun_m", at_us)
    assert kept is not None
    town.say(
        Reversal("sun_m", at_us, kept.entry, "misread"),
        Reading("sun_m", at_us, kept.import_wh, kept.export_wh - less_wh, ReadingQuality.MEASURED),
    )


@by_four_hours
def test_each_day_of_a_renewable_source_is_a_batch_once_and_corrected_with_its_meter(town: LongBench) -> None:
    assert town.community.treasury.certificates.sources["roof"].technology == "solar"
    town.until_end(MIDNIGHT_US - 4 * HOUR_US)
    assert town.batches() == {}, "the day is not over"
    town.until_end(MIDNIGHT_US)
    first = {"roof/2026-11-21": (4, 12, 8 * SUN_WH)}  # from its first reading as certified, 16:00 UTC
    assert town.batches() == first
    before = town.entries()
    for _ in range(3):
        town.restart()
        town.look()
    assert (town.batches(), town.entries()) == (first, before), "neither restarts nor looks say it twice"
    # The next midnight is not read, and estimated; the one after is: one batch of both days.
    town.until_end(MIDNIGHT_US + DAY_US - 4 * HOUR_US)
    town.until_end(MIDNIGHT_US + DAY_US, "sun_in_wh", "sun_out_wh")
    town.until_end(MIDNIGHT_US + DAY_US + 4 * HOUR_US)
    assert town.community.meters.estimates("sun_m", 0) == [MIDNIGHT_US + DAY_US]
    assert town.batches() == first, "what is estimated proves nothing"
    town.until_end(MIDNIGHT_US + 2 * DAY_US)
    both = {"roof/2026-11-22": (12, 60, 48 * SUN_WH)}
    assert town.batches() == first | both
    treasury = town.community.treasury
    assert treasury.certificates.issued["roof"] == 56 * SUN_WH // 10**6 == 16
    assert treasury.rewards.available("sun", town.now_us) == 2_400 + 5_000, (
        "a point a kWh, and the most of an award"
    )
    # A register that was read too high by 400 Wh at a midnight: both days are restated, and nothing is lost.
    correct(town, MIDNIGHT_US, 400)
    town.until_end(town.now_us + 4 * HOUR_US)
    corrected = {"roof/2026-11-21": (4, 12, 8 * SUN_WH - 400), "roof/2026-11-22": (12, 60, 48 * SUN_WH + 400)}
    assert town.batches() == corrected
    correct(town, MIDNIGHT_US, -400)
    town.until_end(town.now_us + 4 * HOUR_US)
    assert town.batches() == first | both, "and back again, as a restatement of its own"
    certificates = town.community.treasury.certificates
    assert certificates.issued["roof"] * 10**6 + sum(certificates.left["roof"].values()) == 56 * SUN_WH
    assert not [why for why in town.community.voids.values() if why.reason is not Reason.EXISTS]
    assert town.is_sound()


def call(town: LongBench, name: str, start_us: int, to_us: int, *, announced_us: int | None = None) -> None:
    programme = town.site.demand_response.programmes[0]  # type: ignore[union-attr]  # the site has one
    with Calls.to_write(town.state / "demand_response.sqlite") as calls:
        announced = (town.now_us if announced_us is None else announced_us) * 1_000
        calls.add(Call(name, "dr", start_us * 1_000, to_us * 1_000, 1, announced, "ops"), programme)


def seed(town: LongBench) -> None:
    """Home's usual days before, by its readings."""
    town.step(NOON_US + HOUR_US, 0, USUAL_WH)
    shown = town.community.meters.reading("home_m", NOON_US + HOUR_US)
    assert shown is not None
    hours = range(16 * 24, 0, -1)
    for some in (hours[:200], hours[200:]):
        town.say(
            *(
                Reading(
                    "home_m",
                    NOON_US + HOUR_US - ago * HOUR_US,
                    shown.import_wh - ago * USUAL_WH,
                    shown.export_wh,
                    ReadingQuality.MEASURED,
                )
                for ago in some
                if ago != 1  # history had it
            )
        )


@by_hours
def test_who_takes_less_in_an_event_has_points_once_and_who_does_not_has_none(town: LongBench) -> None:
    seed(town)
    evening = EVENING_US
    call(town, "evening", evening, evening + HOUR_US)
    call(town, "crooked", evening + 3 * HOUR_US + 60 * 10**6, evening + 4 * HOUR_US)
    call(town, "off", evening + HOUR_US, evening + 2 * HOUR_US)
    town.until_end(NOON_US + 3 * HOUR_US)
    rewards = town.community.treasury.rewards
    announced = {name: (event.from_us, event.to_us) for name, (_, event) in rewards.events.items()}
    assert announced["evening"] == (evening, evening + HOUR_US)
    assert set(announced) == {"evening", "off"}
    assert town.office is not None
    assert "event crooked is not rewarded: it is no whole intervals of the market" in town.office.troubles()
    with Calls.to_write(town.state / "demand_response.sqlite") as calls:
        calls.cancel("off", "ops", town.now_us * 1_000)
    town.until_end(evening)
    before = town.entries()
    town.restart()
    town.look()
    assert (town.entries(), len(town.community.treasury.rewards.events)) == (before, 2)
    town.until_end(evening + 3 * HOUR_US)
    rewards = town.community.treasury.rewards
    awards = [
        (a.award.participant, a.award.kind, a.award.event, a.quantity, a.points) for a in rewards.awards
    ]
    assert awards == [
        ("home", RewardKind.SAVING, "evening", 500, 5),
        ("home", RewardKind.PARTICIPATION, "evening", 1, 3),
    ], "the sun took nothing to save; the event that was called off is none"
    assert not list(check_awards(town.community)), "made again from the readings"
    assert not town.community.voids, "what earns nothing is no entry"
    before = town.entries()
    for _ in range(2):
        town.restart()
        town.look()
    assert (town.entries(), len(town.community.treasury.rewards.awards)) == (before, 2)
    assert town.is_sound()


@by_hours
def test_who_left_an_event_is_not_judged_and_one_that_came_too_late_is_told(town: LongBench) -> None:
    seed(town)
    evening = EVENING_US
    call(town, "evening", evening, evening + HOUR_US)
    programme = town.site.demand_response.programmes[0]  # type: ignore[union-attr]  # the site has one
    with Calls.to_write(town.state / "demand_response.sqlite") as calls:
        calls.opt_out("evening", programme, "home", "home", evening * 1_000)
    begun_us = NOON_US + HOUR_US
    call(town, "missed", begun_us, begun_us + HOUR_US, announced_us=NOON_US)
    town.until_end(evening + 2 * HOUR_US)
    rewards = town.community.treasury.rewards
    assert list(rewards.events) == ["evening"], "nobody is judged by what it could not know of"
    assert rewards.awards == []
