"""ISLANDING and its companions one by one: every transition, by what brings it about."""

from __future__ import annotations

from typing import Any

import pytest

from plc import load
from plc.library import FILES

MS, SECOND = 10**6, 10**9
(
    CONNECTED,
    PREPARING,
    OPENING,
    FORMING,
    ISLANDED,
    RESYNCHRONISING,
    CLOSING,
    RETURNING,
    DEAD,
    BLACK_START,
    LOCKED_OUT,
) = range(11)
MAIN = """
PROGRAM main
    VAR
        islanding : ISLANDING;
        detection : ISLAND_DETECTION;
        frequency : ISLAND_FREQUENCY;
        before : VALUE_BEFORE;
        genset : GENSET_REQUEST;
        which : INT;
    END_VAR
    CASE which OF
        0: islanding();
        1: detection();
        2: frequency();
        3: before();
        4: genset();
    END_CASE;
END_PROGRAM
"""


@pytest.fixture(scope="module")
def bench() -> Any:
    return load(*FILES, MAIN)


class Block:
    """One instance that is called every ``period_ms``; inputs keep their values."""

    def __init__(self, bench: Any, name: str, which: int, period_ms: int = 10, **inputs: Any) -> None:
        bench.restart()
        self._period_ms = period_ms
        self._bench, self._name = bench, f"main.{name}"
        bench["main.which"] = which
        self.run(0.01, **inputs)

    def __getitem__(self, name: str) -> Any:
        return self._bench[f"{self._name}.{name}"]

    def run(self, seconds: float, **inputs: Any) -> None:
        for name, value in inputs.items():
            self._bench[f"{self._name}.{name.replace('__', '.')}"] = value
        self._bench.scan(round(seconds * 1000 / self._period_ms), period_us=1000 * self._period_ms)


@pytest.fixture
def islanding(bench: Any) -> Block:
    """Connected to a utility in order, 480 V and 60 Hz."""
    return Block(
        bench, "islanding", 0, is_closed=True, bus_v=480.0, bus_hz=60.0, grid_v=480.0, grid_hz=60.0, nominal_v=480.0,
        tie_kw=120.0,
    )  # fmt: skip


def go_to(block: Block, state: int) -> None:
    """The usual way there."""
    if state in (OPENING, FORMING, ISLANDED, RESYNCHRONISING, CLOSING, RETURNING, DEAD, BLACK_START):
        block.run(0.05, is_lost=True, loss=2)
    if state in (FORMING, ISLANDED, RESYNCHRONISING, CLOSING, RETURNING, DEAD, BLACK_START):
        block.run(0.05, is_closed=False, is_lost=False, grid_v=0.0, grid_hz=0.0)
    if state in (ISLANDED, RESYNCHRONISING, CLOSING, RETURNING, DEAD, BLACK_START):
        block.run(0.3)
    if state in (DEAD, BLACK_START):
        block.run(0.6, bus_v=0.0, bus_hz=0.0)
    if state == BLACK_START:
        block.run(3.0)
    if state in (RESYNCHRONISING, CLOSING, RETURNING):
        block.run(300.1, grid_v=480.0, grid_hz=60.0, phase_deg=90.0)
    if state in (CLOSING, RETURNING):
        block.run(0.5, phase_deg=2.0)
    if state == RETURNING:
        block.run(0.05, is_closed=True)
    if state == PREPARING:
        block.run(0.05, is_request=True)
    assert block["state"] == state


# state, inputs, seconds, state after, reason
TRANSITIONS = [
    (CONNECTED, {"is_lost": True, "loss": 2}, 0.02, OPENING, 2),
    (CONNECTED, {"is_lost": True, "loss": 6}, 0.02, OPENING, 6),
    (CONNECTED, {"is_closed": False}, 0.02, FORMING, 1),
    (CONNECTED, {"is_closed": False, "is_closed_good": False}, 5.0, CONNECTED, 0),
    (CONNECTED, {"is_request": True}, 0.02, PREPARING, 10),
    (CONNECTED, {"is_request": True, "is_former_ready": False}, 5.0, CONNECTED, 0),
    (PREPARING, {"tie_kw": -8.0}, 0.6, OPENING, 12),
    (PREPARING, {"tie_kw": 8.0, "is_tie_good": False}, 5.0, PREPARING, 10),
    (PREPARING, {"is_request": False}, 0.02, CONNECTED, 11),
    (PREPARING, {}, 61.0, CONNECTED, 30),
    (PREPARING, {"is_lost": True, "loss": 4}, 0.02, OPENING, 4),
    (OPENING, {"is_closed": False}, 0.02, FORMING, 13),
    (OPENING, {}, 0.6, LOCKED_OUT, 31),
    (FORMING, {}, 0.2, ISLANDED, 14),
    (FORMING, {"bus_hz": 61.5}, 6.0, DEAD, 35),
    (FORMING, {"bus_v": 40.0}, 0.6, DEAD, 19),
    (FORMING, {"is_bus_good": False}, 3.0, FORMING, 13),
    (FORMING, {"is_closed": True}, 0.02, RETURNING, 17),
    (ISLANDED, {"bus_v": 40.0}, 0.5, DEAD, 19),
    (ISLANDED, {"is_closed": True}, 0.02, RETURNING, 17),
    (ISLANDED, {"grid_v": 480.0, "grid_hz": 60.0}, 299.0, ISLANDED, 14),
    (ISLANDED, {"grid_v": 480.0, "grid_hz": 60.0, "phase_deg": 90.0}, 300.1, RESYNCHRONISING, 15),
    (ISLANDED, {"grid_v": 480.0, "grid_hz": 60.0, "is_request": True}, 400.0, ISLANDED, 14),
    (ISLANDED, {"grid_v": 480.0, "grid_hz": 60.0, "is_grid_good": False}, 400.0, ISLANDED, 14),
    (ISLANDED, {"grid_v": 480.0, "grid_hz": 60.2}, 400.0, ISLANDED, 14),
    (RESYNCHRONISING, {"phase_deg": 5.0}, 0.4, CLOSING, 16),
    (RESYNCHRONISING, {"phase_deg": 15.0}, 60.0, RESYNCHRONISING, 15),
    (RESYNCHRONISING, {"phase_deg": 5.0, "bus_hz": 60.15}, 60.0, RESYNCHRONISING, 15),
    (RESYNCHRONISING, {"phase_deg": 5.0, "bus_v": 460.0}, 60.0, RESYNCHRONISING, 15),
    (RESYNCHRONISING, {"phase_deg": 5.0, "is_phase_good": False}, 60.0, RESYNCHRONISING, 15),
    (RESYNCHRONISING, {}, 121.0, ISLANDED, 33),
    (RESYNCHRONISING, {"grid_v": 300.0}, 0.02, ISLANDED, 34),
    (RESYNCHRONISING, {"is_request": True}, 0.02, ISLANDED, 11),
    (RESYNCHRONISING, {"bus_v": 0.0, "bus_hz": 0.0}, 0.5, DEAD, 19),
    (CLOSING, {"is_closed": True}, 0.02, RETURNING, 17),
    (CLOSING, {}, 1.1, ISLANDED, 32),
    (CLOSING, {"is_grid_good": False}, 0.5, CLOSING, 16),
    (CLOSING, {"grid_v": 0.0, "grid_hz": 0.0}, 0.02, ISLANDED, 34),
    (RETURNING, {}, 2.1, CONNECTED, 18),
    (RETURNING, {"is_lost": True, "loss": 2}, 0.02, OPENING, 2),
    (RETURNING, {"is_closed": False, "loss": 1}, 0.02, FORMING, 1),
    (DEAD, {}, 2.1, BLACK_START, 20),
    (DEAD, {"is_former_ready": False}, 60.0, DEAD, 19),
    (DEAD, {"bus_v": 480.0, "bus_hz": 60.0}, 2.1, ISLANDED, 14),
    (DEAD, {"is_former_ready": False, "grid_v": 480.0, "grid_hz": 60.0}, 300.4, CLOSING, 21),
    (BLACK_START, {"bus_v": 480.0, "bus_hz": 60.0}, 0.2, ISLANDED, 14),
    (BLACK_START, {}, 30.1, DEAD, 35),
    (BLACK_START, {"is_closed": True}, 0.02, RETURNING, 17),
]


@pytest.mark.parametrize(("state", "inputs", "seconds", "after", "reason"), TRANSITIONS)
def test_transitions(
    islanding: Block, state: int, inputs: dict[str, Any], seconds: float, after: int, reason: int
) -> None:
    go_to(islanding, state)
    islanding.run(seconds, **inputs)
    assert (islanding["state"], islanding["reason"]) == (after, reason)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (CONNECTED, {"form"}),
        (PREPARING, {"form", "balance"}),
        (OPENING, {"form", "open_tie", "is_separating"}),
        (FORMING, {"form", "is_separating", "is_islanded"}),
        (ISLANDED, {"form", "is_separating", "is_islanded", "is_stable"}),
        (RESYNCHRONISING, {"form", "is_separating", "is_islanded", "steer"}),
        (CLOSING, {"form", "is_separating", "is_islanded", "steer", "close_tie"}),
        (RETURNING, {"form"}),
        (DEAD, {"is_separating", "is_islanded", "clear_loads"}),
        (BLACK_START, {"form", "is_separating", "is_islanded", "clear_loads"}),
    ],
)
def test_what_each_state_tells_the_others(islanding: Block, state: int, told: set[str]) -> None:
    go_to(islanding, state)
    names = (
        "form",
        "balance",
        "open_tie",
        "close_tie",
        "is_separating",
        "is_islanded",
        "is_stable",
        "steer",
        "clear_loads",
    )
    assert {name for name in names if islanding[name]} == told
    assert islanding["settings_group"] == (2 if "is_islanded" in told else 1)


def test_counters_tell_how_often(islanding: Block) -> None:
    go_to(islanding, RETURNING)
    islanding.run(3.0)
    islanding.run(0.05, is_request=True)
    islanding.run(0.6, tie_kw=0.0)
    counted = {
        name: islanding[name]
        for name in ("planned", "unplanned", "reconnections", "black_starts", "failures")
    }
    assert counted == {"planned": 1, "unplanned": 1, "reconnections": 1, "black_starts": 0, "failures": 0}
    assert islanding["transitions"] == 9


def test_three_failed_returns_block_the_way_back_until_reset(islanding: Block) -> None:
    go_to(islanding, RESYNCHRONISING)
    islanding.run(3 * (121.0 + 31.0))
    assert islanding["state"] == ISLANDED
    assert islanding["is_blocked"]
    assert islanding["failures"] == 3
    islanding.run(600.0)
    assert islanding["state"] == ISLANDED
    islanding.run(0.02, reset=True)
    islanding.run(0.02, reset=False)
    assert islanding["state"] == RESYNCHRONISING


def test_three_failed_black_starts_lock_out_and_a_reset_tries_again(islanding: Block) -> None:
    go_to(islanding, BLACK_START)
    islanding.run(3 * 33.0)
    assert (islanding["state"], islanding["reason"]) == (LOCKED_OUT, 36)
    islanding.run(0.02, reset=True)
    assert islanding["state"] == DEAD


def test_forming_is_withdrawn_on_a_dead_bus_so_that_the_start_is_an_edge(islanding: Block) -> None:
    go_to(islanding, DEAD)
    assert not islanding["form"]
    islanding.run(2.1)
    assert islanding["form"]


def test_a_request_that_could_not_be_balanced_is_not_tried_again_by_itself(islanding: Block) -> None:
    go_to(islanding, PREPARING)
    islanding.run(200.0)
    assert islanding["state"] == CONNECTED
    islanding.run(0.05, is_request=False)
    islanding.run(0.05, is_request=True)
    assert islanding["state"] == PREPARING


# ── ISLAND_DETECTION ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def detection(bench: Any) -> Block:
    block = Block(
        bench, "detection", 1, period_ms=1, grid_v=480.0, grid_hz=60.0, nominal_v=480.0, is_closed=True
    )
    block.run(1.0)
    assert not block["is_lost"]
    assert block["is_inside"]
    return block


@pytest.mark.parametrize(
    ("inputs", "reason", "within_s"),
    [
        ({"grid_v": 0.45 * 480}, 2, 0.05),
        ({"grid_v": 0.85 * 480}, 2, 1.05),
        ({"grid_v": 1.12 * 480}, 3, 1.05),
        ({"grid_v": 1.25 * 480}, 3, 0.05),
        ({"is_closed": False}, 1, 0.02),
        ({"is_voltage_good": False}, 7, 2.05),
        ({"is_frequency_good": False}, 7, 2.05),
    ],
)
def test_each_window_finds_its_loss_in_its_time(
    detection: Block, inputs: dict[str, Any], reason: int, within_s: float
) -> None:
    detection.run(0.001, **inputs)
    assert not detection["is_lost"] or within_s <= 0.02
    detection.run(max(within_s - 0.1, 0.0))
    assert not detection["is_lost"] or within_s <= 0.02
    detection.run(0.1)
    assert detection["is_lost"]
    assert detection["reason"] == reason


@pytest.mark.parametrize(("hz_s", "reason"), [(-4.0, 6), (4.0, 6), (-2.5, 4), (2.5, 5)])
def test_a_frequency_that_runs_away_is_lost_by_its_rate_or_by_its_window(
    detection: Block, hz_s: float, reason: int
) -> None:
    hz = 60.0
    while not detection["is_lost"]:
        hz += hz_s * 0.001
        detection.run(0.001, grid_hz=hz)
        assert 59.0 < hz < 61.0
    assert detection["reason"] == reason


@pytest.mark.parametrize(
    "inputs",
    [
        {"is_closed": False, "is_told_to_open": True},
        {"is_closed": False, "is_closed_good": False},
        {"is_voltage_good": False, "is_frequency_good": False, "is_closed_good": False},
        {"grid_v": 0.2 * 480, "grid_hz": 12.0, "is_closed": False, "is_told_to_open": True},
    ],
)
def test_no_loss_is_seen_where_none_is(detection: Block, inputs: dict[str, Any]) -> None:
    detection.run(10.0, **inputs)
    assert not detection["is_lost"]


def test_three_hertz_a_second_are_ridden_through_inside_the_window(
    detection: Block,
) -> None:
    hz = 60.0
    for _ in range(200):
        hz += 0.003
        detection.run(0.001, grid_hz=hz)
    detection.run(1.0)
    assert not detection["is_lost"], "IEEE 1547-2018 6.5.2.5, Category III: 3 Hz/s"


# ── ISLAND_FREQUENCY, VALUE_BEFORE, GENSET_REQUEST ───────────────────────────────────────────────────────────────
def test_the_setpoint_brings_frequency_back_and_phase_into_step(bench: Any) -> None:
    block = Block(
        bench, "frequency", 2, enable=False, droop_kw_per_hz=208.0, track_kw=10.0, min_kw=-250.0, max_kw=250.0
    )
    assert block["setpoint_kw"] == 10.0
    load_kw, phase_deg = 120.0, 90.0
    block.run(0.01, enable=True, use_phase=True, target_hz=60.02)
    for _ in range(2000):
        hz = 60.0 + (block["setpoint_kw"] - load_kw) / 208.0
        phase_deg += 360.0 * (hz - 60.02) * 0.01
        block.run(0.01, frequency_hz=hz, phase_deg=phase_deg)
    assert hz == pytest.approx(60.02, abs=0.005)
    assert phase_deg == pytest.approx(0.0, abs=1.0)


def test_a_bad_frequency_holds_the_setpoint_and_limits_hold_it_too(bench: Any) -> None:
    block = Block(
        bench,
        "frequency",
        2,
        enable=True,
        frequency_hz=59.0,
        droop_kw_per_hz=208.0,
        min_kw=-50.0,
        max_kw=50.0,
    )
    block.run(5.0)
    assert block["setpoint_kw"] == 50.0
    assert block["is_limited"]
    block.run(1.0, frequency_hz=61.0, is_good=False)
    assert block["setpoint_kw"] == 50.0
    block.run(0.01, preset=True, preset_kw=20.0)
    assert block["setpoint_kw"] == 20.0


def test_the_value_before_is_as_old_as_it_says_and_stands_still_in_the_event(bench: Any) -> None:
    block = Block(bench, "before", 3, value=100.0)
    block.run(3.0)
    block.run(0.4, value=7.0)
    assert block["before"] == 100.0
    block.run(5.0, freeze=True)
    assert block["before"] == 100.0
    block.run(1.5, freeze=False)
    assert block["before"] == 7.0


def test_a_genset_that_does_not_come_is_asked_three_times(bench: Any) -> None:
    block = Block(bench, "genset", 4, is_allowed=True, soc_pct=80.0)
    block.run(10.0)
    assert not block["run"]
    block.run(59.0, soc_pct=25.0)
    assert block["run"]
    block.run(600.0)
    assert not block["run"]
    assert block["has_failed"]
    assert (block["starts"], block["failures"]) == (3, 3)
    block.run(0.02, reset=True)
    assert block["run"]


def test_a_genset_runs_its_least_time_and_until_the_battery_is_up(bench: Any) -> None:
    block = Block(bench, "genset", 4, is_allowed=True, soc_pct=80.0, is_needed=True)
    block.run(3.0)
    block.run(0.05, is_on_line=True, is_needed=False)
    block.run(299.0)
    assert block["run"]
    block.run(2.0)
    assert not block["run"]
    block.run(400.0, soc_pct=29.0, is_on_line=True)
    block.run(400.0, soc_pct=59.0)
    assert block["run"]
    block.run(1.0, soc_pct=60.0)
    assert not block["run"]
