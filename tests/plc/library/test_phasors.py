"""Phasors against complex numbers, frequency of a turning phasor, dead bus, load sharing."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plc.bench import Bench

Blocks = Callable[[str], Any]
Library = tuple[Bench, dict[str, int]]
SECOND = 10**9
MS = 10**6
TURN = cmath.rect(1.0, math.radians(120))
# A nano-unit is none; below it products and roots leave the range in which a REAL keeps its 24 bits.
magnitudes = st.just(0.0) | st.floats(2.0**-30, 1000.0, width=32)
angles = st.floats(-720.0, 720.0, width=32)
phasors = st.tuples(magnitudes, angles)
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.005, 0.02])


def number(phasor: tuple[float, float]) -> complex:
    return cmath.rect(phasor[0], math.radians(phasor[1]))


def stored(values: Sequence[tuple[float, float]], size: int) -> list[dict[str, float]]:
    filled = [*values, *[(0.0, 0.0)] * (size - len(values))]
    return [{"magnitude": magnitude, "angle_deg": angle} for magnitude, angle in filled]


def told(phasor: dict[str, float]) -> complex:
    return number((phasor["magnitude"], phasor["angle_deg"]))


def run_once(library: Library, name: str, **inputs: Any) -> dict[str, Any]:
    bench, numbers = library
    bench["main.which"] = numbers[name]
    for key, value in inputs.items():
        bench[f"main.{name}_.{key}"] = value
    bench.scan(at_us=bench.clock_ns // 1000)
    found: dict[str, Any] = bench[f"main.{name}_"]
    return found


# ── PHASOR_SUM ───────────────────────────────────────────────────────────────────────────────────────────────────
@settings(max_examples=200, deadline=None)
@given(terms=st.lists(phasors, max_size=8), signs=st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_sum_is_that_of_complex_numbers(
    library: Library, terms: list[tuple[float, float]], signs: list[bool]
) -> None:
    found = run_once(library, "PHASOR_SUM", terms=stored(terms, 8), count=len(terms), is_negative=signs)
    whole = sum(term[0] for term in terms)
    right = sum((-number(one) if sign else number(one)) for one, sign in zip(terms, signs, strict=False))
    assert abs(told(found["sum"]) - right) <= 2e-6 * whole
    assert complex(found["real_part"], found["imaginary_part"]) == pytest.approx(
        right, abs=1e-6 * whole + 1e-30
    )
    assert -180.0 <= found["sum"]["angle_deg"] <= 180.0


def test_three_equal_phases_cancel_and_only_counted_terms_count(library: Library) -> None:
    balanced = [(10.0, 0.0), (10.0, -120.0), (10.0, 120.0)]
    found = run_once(
        library, "PHASOR_SUM", terms=stored([*balanced, (5.0, 0.0)], 8), count=3, is_negative=[False] * 8
    )
    assert found["sum"] == {"magnitude": 0.0, "angle_deg": 0.0}
    found = run_once(library, "PHASOR_SUM", count=99)
    assert found["sum"]["magnitude"] == pytest.approx(5.0, rel=1e-5)


# ── SYMMETRICAL_COMPONENTS ───────────────────────────────────────────────────────────────────────────────────────
@settings(max_examples=200, deadline=None)
@given(a=phasors, b=phasors, c=phasors)
def test_components_are_fortescues_and_add_up_to_the_phases(
    library: Library, a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]
) -> None:
    found = run_once(library, "SYMMETRICAL_COMPONENTS", phases=stored([a, b, c], 3))
    zero, positive, negative = (told(found[name]) for name in ("zero", "positive", "negative"))
    tolerance = 3e-6 * (a[0] + b[0] + c[0])
    assert abs(zero + positive + negative - number(a)) <= tolerance
    assert abs(zero + TURN**2 * positive + TURN * negative - number(b)) <= tolerance
    assert abs(zero + TURN * positive + TURN**2 * negative - number(c)) <= tolerance


@pytest.mark.parametrize(
    ("phases", "name", "magnitude", "angle_deg"),
    [
        ([(230.0, 10.0), (230.0, -110.0), (230.0, 130.0)], "positive", 230.0, 10.0),
        ([(230.0, 10.0), (230.0, 130.0), (230.0, -110.0)], "negative", 230.0, 10.0),
        ([(230.0, 10.0), (230.0, 10.0), (230.0, 10.0)], "zero", 230.0, 10.0),
    ],
)
def test_pure_sequences(
    library: Library, phases: list[tuple[float, float]], name: str, magnitude: float, angle_deg: float
) -> None:
    found = run_once(library, "SYMMETRICAL_COMPONENTS", phases=stored(phases, 3))
    assert (found[name]["magnitude"], found[name]["angle_deg"]) == (
        pytest.approx(magnitude),
        pytest.approx(angle_deg),
    )
    others = {"positive", "negative", "zero"} - {name}
    assert [found[other]["magnitude"] for other in others] == [0.0, 0.0]


def test_unbalance_of_one_lost_phase_is_half(library: Library) -> None:
    # a, b of 1 and c of 0: positive 2/3, negative and zero 1/3
    found = run_once(
        library, "SYMMETRICAL_COMPONENTS", phases=stored([(230.0, 0.0), (230.0, -120.0), (0.0, 0.0)], 3)
    )
    assert found["positive"]["magnitude"] == pytest.approx(230 * 2 / 3)
    assert found["unbalance_pct"] == pytest.approx(50.0)
    assert found["zero_unbalance_pct"] == pytest.approx(50.0)
    dark = run_once(library, "SYMMETRICAL_COMPONENTS", phases=stored([], 3))
    assert (dark["unbalance_pct"], dark["positive"]["magnitude"]) == (0.0, 0.0)


# ── THREE_PHASE_POWER ────────────────────────────────────────────────────────────────────────────────────────────
@settings(max_examples=200, deadline=None)
@given(voltages=st.tuples(phasors, phasors, phasors), currents=st.tuples(phasors, phasors, phasors))
def test_powers_are_those_of_complex_numbers(
    library: Library, voltages: Sequence[tuple[float, float]], currents: Sequence[tuple[float, float]]
) -> None:
    found = run_once(
        library, "THREE_PHASE_POWER", voltages_v=stored(voltages, 3), currents_a=stored(currents, 3)
    )
    powers = [
        number(volts) * number(amps).conjugate() / 1000
        for volts, amps in zip(voltages, currents, strict=True)
    ]
    whole = sum(volts[0] * amps[0] for volts, amps in zip(voltages, currents, strict=True)) / 1000
    slack = 2e-6 * whole
    assert abs(complex(found["active_kw"], found["reactive_kvar"]) - sum(powers)) <= slack
    assert found["apparent_kva"] == pytest.approx(abs(sum(powers)), abs=slack)
    assert found["arithmetic_kva"] == pytest.approx(whole, rel=1e-6)
    for phase in range(3):
        split = complex(found["phase_kw"][phase], found["phase_kvar"][phase])
        assert abs(split - powers[phase]) <= slack


@pytest.mark.parametrize(
    ("lag_deg", "kw", "kvar", "factor"),
    [
        (0.0, 6.9, 0.0, 1.0),
        (60.0, 3.45, 5.9756, 0.5),
        (-60.0, 3.45, -5.9756, 0.5),
        (180.0, -6.9, 0.0, -1.0),
    ],
)
def test_a_lagging_current_draws_reactive_power(
    library: Library, lag_deg: float, kw: float, kvar: float, factor: float
) -> None:
    found = run_once(
        library,
        "THREE_PHASE_POWER",
        voltages_v=stored([(230.0, turn) for turn in (0.0, -120.0, 120.0)], 3),
        currents_a=stored([(10.0, turn - lag_deg) for turn in (0.0, -120.0, 120.0)], 3),
    )
    assert found["active_kw"] == pytest.approx(kw, rel=1e-4)
    assert found["reactive_kvar"] == pytest.approx(kvar, rel=1e-4, abs=1e-5)
    assert found["power_factor"] == pytest.approx(factor, rel=1e-5)


def test_no_power_has_no_factor(library: Library) -> None:
    bench, _ = library
    assert bench.call("POWER_FACTOR_OF", active_kw=0.0, reactive_kvar=0.0) == 0.0
    assert bench.call("POWER_FACTOR_OF", active_kw=-3.0, reactive_kvar=4.0) == pytest.approx(-0.6)


# ── FREQUENCY_OF_ANGLE ───────────────────────────────────────────────────────────────────────────────────────────
def wrapped(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0


@at_periods
@pytest.mark.parametrize("off_hz", [0.0, 0.3, -1.7, 4.0])
def test_a_constant_frequency_is_exact_once_the_window_is_full(
    block: Blocks, period_s: float, off_hz: float
) -> None:
    measured = block("FREQUENCY_OF_ANGLE")
    measured.set(nominal_hz=60.0)
    signal = lambda t: {"angle_deg": wrapped(33.0 + 360.0 * off_hz * t)}  # noqa: E731  # reads as the formula it is
    valid = measured.follow(signal, 0.15, period_s, "is_valid")
    filled_s = (valid.index(True)) * period_s  # since the first scan, which only begins
    assert 0.1 - 1e-9 <= filled_s < 0.1 + period_s
    seen = measured.follow(signal, 3.0, period_s, "frequency_hz")
    # an angle of REAL has 7 digits: 1E-5 degrees of 180 at both ends of a tenth of a second
    assert seen == pytest.approx([60.0 + off_hz] * len(seen), abs=2 * 1.6e-5 / 36 + 4e-6)


@at_periods
def test_a_ramp_is_shown_half_a_window_late(block: Blocks, period_s: float) -> None:
    measured = block("FREQUENCY_OF_ANGLE")
    measured.set(nominal_hz=50.0, window=200 * MS)
    # -2 Hz/s: the angle is 360 * (-2) * t^2 / 2
    measured.follow(lambda t: {"angle_deg": wrapped(-360.0 * t * t)}, 1.5, period_s)
    late_s = 0.5 * 0.2
    added_s = 0.5 * (0.2 / 31 + period_s)  # what the window may be longer, at the middle
    assert 50.0 - 2.0 * (1.5 - late_s) - 1e-3 <= measured["frequency_hz"]
    assert measured["frequency_hz"] <= 50.0 - 2.0 * (1.5 - late_s - added_s) + 1e-3


def test_a_jump_is_told_and_no_frequency(block: Blocks) -> None:
    measured = block("FREQUENCY_OF_ANGLE")
    measured.set(jump_limit_deg=8.0)
    measured.run(0.3, 0.005, angle_deg=20.0)
    assert (measured["is_valid"], measured["frequency_hz"]) == (True, 50.0)
    measured.at(0.305, angle_deg=30.0)
    assert measured["has_jumped"]
    assert measured["turned_deg"] == pytest.approx(10.0)
    assert (measured["is_valid"], measured["frequency_hz"]) == (False, 50.0)
    assert measured.when("is_valid", 0.005, 1.0) == pytest.approx(0.405)
    measured.at(0.41, angle_deg=37.0)  # 7 degrees turn
    assert not measured["has_jumped"]


def test_a_bad_angle_begins_anew(block: Blocks) -> None:
    measured = block("FREQUENCY_OF_ANGLE")
    measured.run(0.3, 0.005, angle_deg=20.0)
    measured.at(0.305, is_good=False)
    assert (measured["is_valid"], measured["frequency_hz"]) == (False, 50.0)
    measured.at(0.4, is_good=True, angle_deg=170.0)
    assert not measured["has_jumped"]
    assert measured.when("is_valid", 0.005, 1.0) == pytest.approx(0.5)
    assert measured["deviation_hz"] == 0.0


# ── DEAD_BUS ─────────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_a_bus_is_dead_after_its_time_and_not_before(block: Blocks, period_s: float) -> None:
    bus = block("DEAD_BUS")
    bus.at(0, l1_v=230.0, l2_v=230.0, l3_v=230.0)
    assert (bus["is_live"], bus["is_dead"]) == (True, False)
    bus.at(1.0, l1_v=46.0, l2_v=0.0, l3_v=0.0)
    assert not bus["is_live"]
    assert -1e-9 <= bus.when("is_dead", period_s, 5.0) - 3.0 < period_s
    bus.at(5.0, l3_v=46.1)
    assert not bus["is_dead"]


@pytest.mark.parametrize(
    "change",
    [{"l2_v": 100.0}, {"is_good": False}, {"has_source": True}, {"nominal_v": 0.0}, {"dead_pct": 80.0}],
)
def test_what_speaks_against_a_dead_bus(block: Blocks, change: dict[str, Any]) -> None:
    bus = block("DEAD_BUS")
    bus.run(10.0, 0.5, **{"l1_v": 0.0, "l2_v": 0.0, "l3_v": 0.0} | change)
    assert (bus["is_dead"], bus["is_live"]) == (False, False)
    assert bus["is_contradicted"] == ("has_source" in change)


def test_a_bus_that_lacks_one_phase_is_neither(block: Blocks) -> None:
    bus = block("DEAD_BUS")
    bus.run(10.0, 0.5, l1_v=230.0, l2_v=230.0, l3_v=10.0)
    assert (bus["is_dead"], bus["is_live"]) == (False, False)
    bus.at(11.0, l3_v=184.0)
    assert bus["is_live"]


# ── LOAD_SHARE ───────────────────────────────────────────────────────────────────────────────────────────────────
def unit(rated_kw: float, least_kw: float, most_kw: float, is_on_line: bool = True) -> dict[str, Any]:
    return {"is_on_line": is_on_line, "rated_kw": rated_kw, "least_kw": least_kw, "most_kw": most_kw}


OFF = unit(0.0, 0.0, 0.0, False)


@pytest.mark.parametrize(
    ("total_kw", "shares"),
    [
        (150.0, [100.0, 50.0]),
        (60.0, [30.0, 30.0]),  # the second may not go below 30
        (300.0, [200.0, 100.0]),
        (400.0, [200.0, 110.0]),  # both at their most
        (0.0, [0.0, 30.0]),
        (-500.0, [-50.0, 30.0]),
    ],
)
def test_units_run_at_one_loading_but_for_their_limits(
    library: Library, total_kw: float, shares: list[float]
) -> None:
    units = [unit(200.0, -50.0, 200.0), unit(100.0, 30.0, 110.0), unit(80.0, 0.0, 80.0, False), *[OFF] * 5]
    found = run_once(library, "LOAD_SHARE", units=units, total_kw=total_kw)
    if total_kw == 0.0:
        shares = [-30.0, 30.0]  # one takes what the other must give
    assert found["share_kw"][:2] == pytest.approx(shares, abs=1e-3)
    assert found["share_kw"][2:] == [0.0] * 6
    assert found["rest_kw"] == pytest.approx(total_kw - sum(shares), abs=1e-3)
    assert found["spare_kw"] == pytest.approx(310.0 - sum(shares), abs=1e-3)


units_of_one = st.builds(
    lambda rated, low, span, on: unit(rated, low, low + span, on),
    st.floats(1.0, 500.0, width=32),
    st.floats(-200.0, 100.0, width=32),
    st.floats(0.0, 500.0, width=32),
    st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(units=st.lists(units_of_one, min_size=8, max_size=8), total_kw=st.floats(-3000.0, 5000.0, width=32))
def test_shares_stay_within_limits_and_add_up_where_they_can(
    library: Library, units: list[dict[str, Any]], total_kw: float
) -> None:
    found = run_once(library, "LOAD_SHARE", units=units, total_kw=total_kw)
    running = [one for one in units if one["is_on_line"]]
    shares = [kw for kw, one in zip(found["share_kw"], units, strict=True) if one["is_on_line"]]
    assert all(
        one["least_kw"] - 1e-3 <= kw <= one["most_kw"] + 1e-3 for kw, one in zip(shares, running, strict=True)
    )
    possible = min(
        max(total_kw, sum(one["least_kw"] for one in running)), sum(one["most_kw"] for one in running)
    )
    assert sum(shares) == pytest.approx(possible, abs=0.01)
