"""Daily patterns of a site: learned of history, told by tags as the day goes on, printed and drawn."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from historian_folder import NOON

from gateway.config.load import load_site
from gateway.node.cli import main
from gateway.tags.quality import Quality, is_good
from historian.forecast_job import library
from historian.forecast_job.patterns import learn
from historian.forecast_job.plan import S_NS

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_NS = 3600 * S_NS
DAY_NS = 24 * HOUR_NS
MIDNIGHT = NOON - 13 * HOUR_NS  # in Berlin; the day is a Saturday
DAYS = 28
SITE = """\
site: {name: plant, time_zone: Europe/Berlin}
areas: {loads: Demand}
devices:
  a:
    area: loads
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points: {power_kw: {table: input, address: 0, type: float64, unit: kW, decimals: 1}}
  b:
    area: loads
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points: {power_kw: {table: input, address: 0, type: float64, unit: kW, decimals: 1}}
forecasts:
  load: {target: a.power_kw, kind: load, area: loads, train_days: 28, short_min: 0,
         patterns: {homes: ["?.power_kw"], one: [b.power_kw]}}
"""


def kw(time_ns: int) -> float:
    """10 kW, at the week-end 5; twice that from 18:00 to 20:00; a little more each day."""
    local = datetime.fromtimestamp(time_ns // S_NS, BERLIN)
    level = 5 if local.weekday() > 4 else 10
    return level * (2 if local.hour in (18, 19) else 1) * (1 + 0.001 * (local.toordinal() % 5))


def record(plant, name, first, last, factor=1.0):
    times = list(range(first, last, 900 * S_NS))
    plant.folder.write(name, times, [factor * kw(time) for time in times])


def learn_now(plant):
    history = plant.folder.history()
    try:
        return learn(history, plant.forecasts, plant.site.forecasts[0], plant.site.time_zone, plant.clock())
    finally:
        history.close()


def look(plant):
    """As the part does, but nothing is trained."""
    plant.job.look(plant.clock())
    plant.teller.tell(plant.jobs.jobs, {"load"}, "")


@pytest.fixture
def homes(make_plant, tmp_path):
    """Two homes, one three times the other, with four weeks of history that ends at noon."""
    (tmp_path / "site.yaml").write_text(SITE)
    plant = make_plant(load_site(tmp_path / "site.yaml"))
    for name, factor in (("a.power_kw", 1), ("b.power_kw", 3)):
        record(plant, name, MIDNIGHT - DAYS * DAY_NS - HOUR_NS, NOON, factor)  # one day had 25 hours
    return plant


@pytest.fixture
def run(homes, capsys, monkeypatch):
    """`tieline forecast patterns` there: status, what it printed, what it complained of."""
    monkeypatch.setattr("time.time_ns", homes.clock)

    def patterns(*words):
        site = str(homes.state.parent / "site.yaml")
        status = main(["forecast", "patterns", site, "--state", str(homes.state), *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return patterns


def test_today_is_told_with_its_pattern_and_how_unusual_it_is(homes):
    look(homes)
    assert "patterns: none are learned yet" in homes.said("state").value
    assert homes.said("homes_pattern").status == Quality.BAD_NO_DATA
    assert learn_now(homes) == [
        "load, patterns of homes: 2 in 56 days",
        "load, patterns of one: 2 in 28 days",
    ]
    look(homes)
    assert homes.said("homes_pattern").value == "2 of 2: Sat, Sun, highest at 18:00 (2 of 2)"
    assert homes.said("one_pattern").value == "2 of 2: Sat, Sun, highest at 18:00"
    assert is_good(homes.said("homes_unusual_pct").status), "more than half of the day is known"
    assert homes.said("homes_unusual_pct").value < 99
    assert "patterns" not in homes.said("state").value


def test_a_day_that_is_like_no_other_is_told_with_whose_it_is(homes):
    learn_now(homes)
    look(homes)
    homes.clock.now = MIDNIGHT + 20 * HOUR_NS + 60 * S_NS
    record(homes, "a.power_kw", NOON, homes.clock.now)
    record(homes, "b.power_kw", NOON, homes.clock.now, 9)
    look(homes)
    assert homes.said("homes_unusual_pct").value == 100
    assert homes.said("homes_most_unusual").value == "b.power_kw"


def test_a_day_that_has_just_begun_has_no_pattern_and_then_an_uncertain_one(homes):
    learn_now(homes)
    for hours, status in (
        (1, Quality.BAD_NO_DATA),
        (5, Quality.UNCERTAIN_DATA_SUB_NORMAL),
        (12, Quality.GOOD),
    ):
        homes.clock.now = MIDNIGHT + hours * HOUR_NS + 60 * S_NS
        look(homes)
        assert homes.said("homes_pattern").status == status, hours


def test_a_class_without_days_enough_says_how_many_are_missing(make_plant, tmp_path):
    (tmp_path / "site.yaml").write_text(SITE)
    plant = make_plant(load_site(tmp_path / "site.yaml"))
    record(plant, "a.power_kw", MIDNIGHT - 10 * DAY_NS, NOON)
    assert learn_now(plant)[0] == "load, patterns of homes: not primed: 4 more whole days are needed"
    look(plant)
    assert "patterns of homes: not primed: 4 more whole days" in plant.said("state").value


def test_patterns_that_another_wrote_or_for_other_classes_are_not_used(homes):
    learn_now(homes)
    path = library.patterns_path(homes.forecasts, "load")
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b'"homes"', b'"hoses"'))
    look(homes)
    assert "is signed by none of" in homes.said("state").value
    assert homes.said("homes_pattern").status == Quality.BAD_NO_DATA
    path.write_bytes(sound)
    with pytest.raises(library.ModelError, match="other classes of consumers: train anew"):
        library.read_patterns(homes.forecasts, "load", "another")
    look(homes)
    assert homes.said("homes_pattern").value.startswith("2 of 2")


def test_patterns_are_printed_and_drawn_with_the_day_beside(run, homes, tmp_path):
    status, out, err = run("--class", "one")
    assert (status, out) == (1, "")
    assert "no patterns were learned yet" in err
    learn_now(homes)
    status, out, err = run("--class", "one")
    assert (status, err) == (0, "")
    assert "2026-11-21    2 of 2: Sat, Sun, highest at 18:00 so far (13 of 24 h)" in out
    png, page = tmp_path / "a.png", tmp_path / "a.html"
    status, out, _ = run("--class", "one", "--format", "csv", "--png", str(png), "--html", str(page))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [float(rows[18][name]) for name in ("1", "2")] == pytest.approx([60, 30], rel=0.01), "in its unit"
    assert float(rows[12]["day"]) == pytest.approx(15, rel=0.01)
    assert rows[13]["day"] == "", "it is still to come"
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "Sat, Sun" in page.read_text()
    told = json.loads(run("--class", "homes", "--day", "2026-11-20", "--format", "json")[1])
    assert [each["days"] for each in told["patterns"]] == [40, 16]
    assert [each["pattern"] for each in told["members"]] == [1, 1]
    assert told["unit"] == "of the usual level"
    assert told["profiles"][23]["day"] is not None


def test_wrong_questions_about_patterns_are_answered_with_what_there_is(run, homes):
    learn_now(homes)
    assert run()[2] == (
        "tieline forecast patterns: say which: --name load --class homes, --name load --class one\n"
    )
    assert "is no day: write one as in 2026-11-21" in run("--class", "one", "--day", "yesterday")[2]
    assert run("--class", "one", "--day", "2026-11-22")[2].endswith("2026-11-22 is still to come\n")
