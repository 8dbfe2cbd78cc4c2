"""What calculated tags are: values, qualities and times, over a snapshot of the image."""

from __future__ import annotations

import math

import pytest

BAD_COMMUNICATION, BAD_SENSOR, UNCERTAIN = 0x8005_0000, 0x808C_0000, 0x4090_0000
BAD_OUT_OF_RANGE, BAD_WAITING, BAD_NO_COMMUNICATION = 0x803C_0000, 0x8032_0000, 0x8031_0000
EXCEEDED = 0x4094_0000

VALUES = [
    ("m.x + 2 * 3", 10.0),
    ("-m.x ** 2", -16.0),
    ("2 ** 3 ** 2", 512.0),
    ("m.x / 8", 0.5),
    ("(m.x - 1) * (m.x + 1)", 15.0),
    ("if m.closed then m.x else -m.x", 4.0),
    ("if m.x > 5 then 1 else if m.x > 3 then 2 else 3", 2.0),
    ("if not m.closed or m.count == 7 and m.x != 4 then 1 else 2", 2.0),
    ("if 3 < m.x <= 4 then 1 else 0", 1.0),
    ("min(m.x, 3, 9) + max(m.x, 3)", 7.0),
    ("abs(-m.x) + sqrt(m.x) + round(2.5) + round(2.345, 2)", 10.35),
    ("clamp(m.x, 0, 3) + clamp(m.x, 5, 9)", 8.0),
    ("floor(-2.5) + ceil(2.1)", 0.0),
    ("ln(exp(m.x))", 4.0),
    ("sum('m.?_kw') / 1 kW", 7.0),
    ("mean('m.*_kw') / 1 kW", 3.5),
    ("sum(m.x, 1, 2)", 7.0),
    ("m.count / 2", 3.5),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_what_a_formula_gives(plant, text, value):
    here = plant(f'  p.z: {{expression: "{text}", period_ms: 100, area: grid}}\n')
    for name, now in {"m.a_kw": 5.0, "m.b_kw": 2.0, "m.x": 4.0, "m.count": 7, "m.closed": True}.items():
        here.set(name, now)
    here.reckon()
    found, status = here.get("p.z")
    assert math.isclose(found, value)
    assert status == 0


def test_the_worst_quality_is_that_of_the_result(plant):
    here = plant("  p.z_kw: {expression: m.a_kw + m.b_kw, area: grid, unit: kW}\n")
    here.set("m.a_kw", 1.0)
    here.set("m.b_kw", 2.0, UNCERTAIN)
    here.reckon()
    assert here.get("p.z_kw") == (3.0, UNCERTAIN)
    here.set("m.a_kw", 1.0, BAD_SENSOR)
    here.reckon()
    assert here.get("p.z_kw") == (3.0, BAD_SENSOR), "the value before stays, and is no zero"


def test_before_anything_is_known_nothing_is_written(plant):
    here = plant("  p.z_kw: {expression: m.a_kw + m.b_kw, area: grid, unit: kW}\n")
    assert here.reckon() == []
    here.set("m.a_kw", 1.0)
    assert here.reckon() == []
    here.set("m.b_kw", 1.0)
    assert here.reckon() == ["p.z_kw"]


@pytest.mark.parametrize(
    ("text", "x"),
    [("1 / m.x", 0.0), ("sqrt(m.x)", -1.0), ("ln(m.x)", 0.0), ("m.x * 1e308", 1e9), ("exp(m.x)", 1e9),
     ("m.x + 1", math.nan), ("m.x", math.inf), ("(0 - 8) ** m.x", 0.5)],
)  # fmt: skip
def test_what_has_no_value_is_bad_and_keeps_the_one_before(plant, text, x):
    here = plant(f'  p.z: {{expression: "{text}", area: grid}}\n')
    here.set("m.x", 1.0)
    here.reckon()
    before, status = here.get("p.z")
    assert status == 0
    here.set("m.x", x)
    here.reckon()
    assert here.get("p.z") == (before, BAD_OUT_OF_RANGE)


def test_what_is_not_needed_spoils_nothing(plant):
    here = plant(
        "  p.z_kw: {expression: if good(m.a_kw) then m.a_kw else m.b_kw, area: grid, unit: kW}\n"
        "  p.ok: {expression: bad(m.a_kw) or m.a_kw > 3, type: bool, area: grid}\n"
        "  p.vague: {expression: uncertain(m.a_kw), type: bool, area: grid}\n"
    )
    here.set("m.a_kw", 1.0, BAD_COMMUNICATION)
    here.set("m.b_kw", 2.0)
    here.reckon()
    assert here.get("p.z_kw") == (2.0, 0)
    assert here.get("p.ok") == (True, 0)
    here.set("m.a_kw", 1.0, UNCERTAIN)
    here.reckon()
    assert here.get("p.vague") == (True, 0)


def test_the_source_time_is_that_of_the_newest_input(plant):
    here = plant("  p.z_kw: {expression: m.a_kw + m.b_kw, area: grid, unit: kW}\n")
    here.set("m.a_kw", 1.0, at=here.now - 500)
    here.set("m.b_kw", 1.0, at=here.now - 300)
    here.reckon()
    assert here.source("p.z_kw") == here.now - 10**8 - 300


def test_what_is_calculated_of_calculated_tags_takes_one_pass_whatever_their_order(plant):
    here = plant(
        "  p.d: {expression: p.c + p.b, area: grid}\n"
        "  p.c: {expression: p.b * 2, area: grid}\n"
        "  p.b: {expression: m.x + 1, area: grid}\n"
    )
    here.set("m.x", 1.0)
    assert here.reckon() == ["p.b", "p.c", "p.d"]
    assert here.get("p.d") == (6.0, 0)
    here.set("m.x", 2.0, BAD_SENSOR)
    here.reckon()
    assert [here.get(name)[1] for name in ("p.b", "p.c", "p.d")] == [BAD_SENSOR] * 3


def test_only_what_changed_is_reckoned_and_what_stays_is_told_again_now_and_then(plant):
    here = plant(
        "  p.y_kw: {expression: m.a_kw * 2, area: grid, unit: kW}\n  p.z: {expression: m.x * 2, area: grid}\n"
    )
    here.set("m.a_kw", 1.0)
    here.set("m.x", 1.0)
    here.reckon()
    here.set("m.x", 2.0)
    assert here.reckon() == ["p.z"]
    here.set("m.x", 2.0)
    assert here.reckon() == []
    here.set("m.x", 2.0)
    assert here.reckon(after_s=0.95) == ["p.z"], "a second later it says that it still holds"


def test_it_is_not_told_again_when_its_inputs_stop_and_then_it_is_bad(plant):
    here = plant("  p.z: {expression: m.x * 2, area: grid}\n")
    here.set("m.x", 1.0)
    here.reckon()
    assert here.reckon(after_s=1.3) == []
    assert here.reckon(after_s=0.3) == ["p.z"]
    assert here.get("p.z") == (2.0, BAD_NO_COMMUNICATION)
    here.set("m.x", 1.0)
    here.reckon()
    assert here.get("p.z") == (2.0, 0)


def test_it_is_stale_soon_after_the_slowest_of_its_inputs(plant):
    here = plant(
        "  p.z: {expression: m.x * 2, area: grid}\n"
        "  p.y: {expression: p.z + age(m.x) / 1 s, area: grid, period_ms: 10000}\n"
    )
    limits = {tag.name: tag.stale_after_ms for tag in here.site.tags}
    assert limits["p.z"] == 3000
    assert limits["p.y"] == 30_000


def test_by_period_it_is_reckoned_when_due_and_not_when_a_tag_changes(plant):
    here = plant("  p.age: {expression: age(m.x), period_ms: 1000, area: grid, unit: s}\n")
    here.set("m.x", 1.0)
    assert here.reckon() == ["p.age"]
    here.set("m.x", 2.0)
    assert here.reckon() == []
    assert here.reckon(after_s=1.0) == ["p.age"]
    assert here.get("p.age")[0] == pytest.approx(1.1)
    assert here.source("p.age") == here.now


def test_the_value_before_and_the_rate(plant):
    here = plant(
        "  p.before: {expression: previous(m.x), area: grid}\n  p.rate: {expression: rate(m.x), area: grid}\n"
    )
    here.set("m.x", 1.0)
    assert here.reckon() == []
    here.set("m.x", 3.0, BAD_SENSOR)
    here.reckon()
    here.set("m.x", 7.0)
    here.reckon(after_s=0)
    assert here.get("p.before") == (1.0, 0), "a Bad sample is none"
    assert here.get("p.rate")[0] == pytest.approx(30.0)


def test_out_of_its_range_it_is_uncertain(plant):
    here = plant("  p.z: {expression: m.x * 2, area: grid, range: [0, 5]}\n")
    here.set("m.x", 3.0)
    here.reckon()
    assert here.get("p.z") == (6.0, EXCEEDED)


def test_an_event_with_start_and_end_holds_itself_also_after_a_restart(plant):
    here = plant("  p.z: {expression: m.x, area: grid}\nevents:\n  high: {start: m.x > 10, end: m.x < 5}\n")
    flag = "_system.events.high"
    told = []
    for value in (7.0, 11.0, 7.0, 4.0, 7.0, 12.0):
        here.set("m.x", value)
        here.reckon()
        told.append(here.get(flag)[0])
    assert told == [False, True, True, False, False, True]
    here.set("m.x", 12.0, BAD_SENSOR)
    here.reckon()
    assert here.get(flag) == (True, BAD_SENSOR)
    here.restart()
    here.set("m.x", 7.0)
    here.reckon()
    assert here.get(flag) == (True, 0)


def test_the_flag_of_an_event_is_told_again_once_a_minute(plant):
    here = plant("  p.z: {expression: m.x, area: grid}\nevents:\n  high: {while: m.x > 10}\n")
    written = 0
    for _ in range(600):
        here.set("m.x", 1.0)
        written += "_system.events.high" in here.reckon(after_s=0.2)
    assert written == 2
