"""IEC 61131-3 6.7 clause by clause: what a chart does scan by scan, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plc import load
from plc.bench import Bench

Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]
MS = 1_000_000


def active(p: Bench, *steps: str) -> str:
    """The names of the steps that hold, in one word."""
    return "".join(step for step in steps if p[f"main.{step}.X"])


def course(p: Bench, scans: int, *steps: str) -> list[str]:
    """Which steps hold after each of so many scans, 100 ms apart."""
    found = []
    for _ in range(scans):
        p.scan(period_us=100_000)
        found.append(active(p, *steps))
    return found


# ── steps (6.7.2) ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_6_7_2_the_initial_step_holds_before_anything_ran() -> None:
    p = load(
        "PROGRAM main VAR go : BOOL; END_VAR INITIAL_STEP A: END_STEP STEP B: END_STEP "
        "TRANSITION FROM A TO B := go; END_TRANSITION END_PROGRAM"
    )
    assert active(p, "A", "B") == "A"
    assert p["main.A.T"] == 0


def test_6_7_2_elapsed_time_counts_while_the_step_holds_and_then_stays() -> None:
    p = load(
        "PROGRAM main VAR go, back : BOOL; END_VAR INITIAL_STEP A: END_STEP STEP B: END_STEP "
        "TRANSITION FROM A TO B := go; END_TRANSITION TRANSITION FROM B TO A := back; END_TRANSITION END_PROGRAM"
    )
    p.scan(count=3, period_us=100_000)
    assert p["main.A.T"] == 200 * MS
    p["main.go"] = True
    p.scan(count=2, period_us=100_000)
    assert (p["main.A.T"], p["main.B.T"]) == (300 * MS, 100 * MS)
    p["main.go"], p["main.back"] = False, True
    p.scan(period_us=100_000)
    assert (p["main.A.T"], p["main.B.T"]) == (0, 200 * MS)


# ── evolution (6.7.5) ──────────────────────────────────────────────────────────────────────────────────────────────
def test_6_7_5_a_token_takes_one_transition_a_scan() -> None:
    p = load(
        "PROGRAM main INITIAL_STEP A: END_STEP STEP B: END_STEP STEP C: END_STEP "
        "TRANSITION FROM A TO B := TRUE; END_TRANSITION TRANSITION FROM B TO C := TRUE; END_TRANSITION "
        "TRANSITION FROM C TO A := TRUE; END_TRANSITION END_PROGRAM"
    )
    assert course(p, 6, "A", "B", "C") == ["A", "B", "C", "A", "B", "C"]


def test_6_7_5_actions_of_the_initial_step_run_before_it_is_left() -> None:
    p = load(
        "PROGRAM main VAR n : INT; END_VAR INITIAL_STEP A: count(P1); END_STEP STEP B: END_STEP "
        "TRANSITION FROM A TO B := TRUE; END_TRANSITION ACTION count: n := n + 1; END_ACTION END_PROGRAM"
    )
    assert course(p, 2, "A", "B") == ["A", "B"]
    assert p["main.n"] == 1


FORK = """PROGRAM main VAR left, right : BOOL; END_VAR
    INITIAL_STEP A: END_STEP STEP B: END_STEP STEP C: END_STEP STEP D: END_STEP STEP E: END_STEP
    TRANSITION FROM A TO (B, C) := left; END_TRANSITION
    TRANSITION FROM B TO D := right; END_TRANSITION
    TRANSITION FROM C TO E := left; END_TRANSITION
    TRANSITION FROM (D, E) TO A := TRUE; END_TRANSITION
END_PROGRAM"""


def test_6_7_5_simultaneous_sequences_begin_together_and_wait_for_each_other() -> None:
    p = load(FORK)
    p["main.left"] = True
    assert course(p, 4, *"ABCDE") == ["A", "BC", "BE", "BE"]
    p["main.right"] = True
    assert course(p, 3, *"ABCDE") == ["DE", "A", "BC"]


def test_6_7_5_transitions_that_can_clear_at_once_clear_at_once() -> None:
    p = load(FORK)
    p["main.left"] = p["main.right"] = True
    assert course(p, 4, *"ABCDE") == ["A", "BC", "DE", "A"]


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [("", "", "B"), ("(PRIORITY := 2)", "(PRIORITY := 1)", "C"), ("", "(PRIORITY := 9)", "C")],
    ids=["order of the text", "lowest number first", "a priority before none"],
)
def test_table_61_one_branch_of_a_selection_is_taken(first: str, second: str, taken: str) -> None:
    p = load(
        "PROGRAM main INITIAL_STEP A: END_STEP STEP B: END_STEP STEP C: END_STEP "
        f"TRANSITION {first} FROM A TO B := TRUE; END_TRANSITION "
        f"TRANSITION {second} FROM A TO C := TRUE; END_TRANSITION END_PROGRAM"
    )
    assert course(p, 2, *"ABC") == ["A", taken]


def test_6_7_5_conditions_are_tested_on_the_steps_as_they_were() -> None:
    p = load(
        """PROGRAM main VAR go : BOOL; END_VAR
        INITIAL_STEP A: END_STEP STEP B: END_STEP INITIAL_STEP C: END_STEP STEP D: END_STEP
        TRANSITION FROM A TO B := go; END_TRANSITION
        TRANSITION FROM C TO D := B.X; END_TRANSITION
        END_PROGRAM"""
    )
    p["main.go"] = True
    assert course(p, 3, *"ABCD") == ["AC", "BC", "BD"]


def test_6_7_5_a_step_that_leads_to_itself_begins_anew() -> None:
    p = load(
        "PROGRAM main VAR n : INT; END_VAR INITIAL_STEP A: count(N); END_STEP "
        "TRANSITION FROM A TO A := A.T >= T#200ms; END_TRANSITION ACTION count: n := n + 1; END_ACTION END_PROGRAM"
    )
    times = []
    for _ in range(5):
        p.scan(period_us=100_000)
        times.append(p["main.A.T"] // MS)
    assert times == [0, 100, 0, 100, 0]
    assert p["main.n"] == 5


def test_a_condition_is_asked_only_where_its_transition_is_enabled() -> None:
    p = load(
        """FUNCTION_BLOCK Asked VAR_OUTPUT n : INT; END_VAR
        METHOD ask : BOOL n := n + 1; ask := n > 2; END_METHOD END_FUNCTION_BLOCK
        PROGRAM main VAR one, two : Asked; END_VAR INITIAL_STEP A: END_STEP STEP B: END_STEP
        TRANSITION FROM A TO B := one.ask(); END_TRANSITION
        TRANSITION FROM B TO A := two.ask(); END_TRANSITION END_PROGRAM"""
    )
    assert course(p, 5, "A", "B") == ["A", "A", "A", "B", "B"]
    assert (p["main.one.n"], p["main.two.n"]) == (3, 1)


# ── actions (6.7.4) ────────────────────────────────────────────────────────────────────────────────────────────────
# Step B holds in scans 1 to 6, C in 7 to 9, from 10 on D, which resets. A scan is 100 ms.
# qualifier: scans with Q, scans in which an action runs (6.7.4.6: once more after Q; P1 and P0 without Q)
QUALIFIERS = {
    "": ((1, 6), (1, 7)),
    "N": ((1, 6), (1, 7)),
    "S": ((1, 9), (1, 10)),
    "L, T#250ms": ((1, 3), (1, 4)),
    "L, T#5s": ((1, 6), (1, 7)),
    "L, T#0s": (None, None),
    "D, T#250ms": ((4, 6), (4, 7)),
    "D, T#5s": (None, None),
    "D, T#0s": ((1, 6), (1, 7)),
    "P": ((1, 1), (1, 2)),
    "P1": (None, (1, 1)),
    "P0": (None, (7, 7)),
    "SD, T#250ms": ((4, 9), (4, 10)),
    "SD, T#800ms": ((9, 9), (9, 10)),
    "SD, T#5s": (None, None),
    "DS, T#250ms": ((4, 9), (4, 10)),
    "DS, T#800ms": (None, None),
    "SL, T#250ms": ((1, 3), (1, 4)),
    "SL, T#800ms": ((1, 8), (1, 9)),
    "SL, T#5s": ((1, 9), (1, 10)),
}
LAST = 12


def scans_of(span: tuple[int, int] | None) -> list[int]:
    return [] if span is None else list(range(span[0], span[1] + 1))


def qualified(qualifier: str) -> str:
    return f"""PROGRAM main VAR out, flag, ran : BOOL; delay : TIME := T#250ms; END_VAR
    INITIAL_STEP A: END_STEP
    STEP B: out({qualifier}); act({qualifier}); END_STEP
    STEP C: END_STEP
    STEP D: out(R); act(R); END_STEP
    TRANSITION FROM A TO B := TRUE; END_TRANSITION
    TRANSITION FROM B TO C := B.T >= T#600ms; END_TRANSITION
    TRANSITION FROM C TO D := C.T >= T#300ms; END_TRANSITION
    ACTION act: ran := TRUE; flag := act.Q; END_ACTION
    END_PROGRAM"""


@pytest.mark.parametrize("qualifier", QUALIFIERS)
def test_6_7_4_5_a_qualifier_decides_when_a_bool_variable_holds(qualifier: str) -> None:
    p = load(qualified(qualifier))
    held = []
    for scan in range(LAST):
        p.scan(period_us=100_000)
        held += [scan] if p["main.out"] else []
    assert held == scans_of(QUALIFIERS[qualifier][0])


@pytest.mark.parametrize("qualifier", QUALIFIERS)
def test_6_7_4_6_a_qualifier_decides_when_an_action_runs(qualifier: str) -> None:
    p = load(qualified(qualifier))
    ran, flagged = [], []
    for scan in range(LAST):
        p["main.ran"] = p["main.flag"] = False
        p.scan(period_us=100_000)
        ran += [scan] if p["main.ran"] else []
        flagged += [scan] if p["main.flag"] else []
    assert ran == scans_of(QUALIFIERS[qualifier][1])
    assert flagged == scans_of(QUALIFIERS[qualifier][0])


def test_6_7_4_a_duration_may_be_a_variable() -> None:
    p = load(qualified("L, delay"))
    held = []
    for scan in range(LAST):
        p.scan(period_us=100_000)
        held += [scan] if p["main.out"] else []
    assert held == [1, 2, 3]


def test_6_7_4_6_an_action_of_several_steps_has_one_control() -> None:
    p = load(
        """PROGRAM main VAR n : INT; out : BOOL; END_VAR
        INITIAL_STEP A: act(N); out(S); END_STEP STEP B: act(N); END_STEP STEP C: out(R); END_STEP
        TRANSITION FROM A TO B := TRUE; END_TRANSITION
        TRANSITION FROM B TO C := TRUE; END_TRANSITION
        ACTION act: n := n + 1; IF NOT act.Q THEN n := n + 100; END_IF; END_ACTION
        END_PROGRAM"""
    )
    seen = []
    for _ in range(4):
        p.scan()
        seen.append((p["main.n"], p["main.out"]))
    assert seen == [(1, True), (2, True), (103, False), (103, False)]


def test_6_7_4_6_a_reset_goes_before_all() -> None:
    p = load(
        """PROGRAM main VAR out : BOOL; END_VAR
        INITIAL_STEP A: out(N); END_STEP STEP B: out(S); END_STEP STEP C: out(R); END_STEP
        TRANSITION FROM A TO (B, C) := TRUE; END_TRANSITION END_PROGRAM"""
    )
    p.scan()
    assert p["main.out"] is True
    p.scan()
    assert p["main.out"] is False


def test_6_7_4_indicators_are_written_by_the_action() -> None:
    p = load(
        """PROGRAM main VAR done : BOOL; n : INT; END_VAR
        INITIAL_STEP A: act(N, done); END_STEP STEP B: END_STEP
        TRANSITION FROM A TO B := done; END_TRANSITION
        ACTION act: n := n + 1; done := n >= 2; END_ACTION END_PROGRAM"""
    )
    assert course(p, 3, "A", "B") == ["A", "A", "B"]


# ── where charts stand ─────────────────────────────────────────────────────────────────────────────────────────────
def test_each_instance_of_a_block_has_a_chart_of_its_own() -> None:
    p = load(
        """FUNCTION_BLOCK Sequence VAR_INPUT go : BOOL; END_VAR VAR_OUTPUT busy : BOOL; END_VAR
        INITIAL_STEP Idle: END_STEP STEP Busy_: busy(N); END_STEP
        TRANSITION FROM Idle TO Busy_ := go; END_TRANSITION
        TRANSITION FROM Busy_ TO Idle := NOT go; END_TRANSITION END_FUNCTION_BLOCK
        PROGRAM main VAR one, two : Sequence; END_VAR one(go := TRUE); two(go := one.Busy_.T >= T#1ms); END_PROGRAM"""
    )
    seen = []
    for _ in range(4):
        p.scan()
        seen.append((p["main.one.busy"], p["main.two.busy"]))
    assert seen == [(False, False), (True, False), (True, True), (True, True)]


def test_an_action_may_be_a_chart_which_stands_still_without_it() -> None:
    p = load(
        """PROGRAM main VAR go : BOOL; END_VAR
        INITIAL_STEP A: inner(N); END_STEP STEP B: END_STEP
        TRANSITION FROM A TO B := go; END_TRANSITION
        ACTION inner:
            INITIAL_STEP C: END_STEP STEP D: END_STEP
            TRANSITION FROM C TO D := TRUE; END_TRANSITION TRANSITION FROM D TO C := TRUE; END_TRANSITION
        END_ACTION END_PROGRAM"""
    )
    assert course(p, 3, *"ABCD") == ["AC", "AD", "AC"]
    p["main.go"] = True
    assert course(p, 3, *"ABCD") == ["BD", "BD", "BD"]


def test_a_body_may_hold_several_networks() -> None:
    p = load(
        """PROGRAM main VAR go : BOOL; END_VAR
        INITIAL_STEP A: END_STEP STEP B: END_STEP TRANSITION FROM A TO B := go; END_TRANSITION
        INITIAL_STEP C: END_STEP STEP D: END_STEP TRANSITION FROM C TO D := TRUE; END_TRANSITION
        END_PROGRAM"""
    )
    assert course(p, 2, *"ABCD") == ["AC", "AD"]


def test_an_inherited_action_runs_in_the_chart_of_the_extending_block() -> None:
    p = load(
        """FUNCTION_BLOCK Base VAR_OUTPUT n : INT; END_VAR ACTION count: n := n + 1; END_ACTION END_FUNCTION_BLOCK
        FUNCTION_BLOCK Derived EXTENDS Base INITIAL_STEP A: count(N); END_STEP END_FUNCTION_BLOCK
        PROGRAM main VAR d : Derived; END_VAR d(); END_PROGRAM"""
    )
    p.scan(count=3)
    assert p["main.d.n"] == 3


def test_steps_and_action_flags_are_in_the_table_of_symbols() -> None:
    p = load(qualified("N"))
    p.scan(count=2)
    shown = {place.path.upper(): place for place in p.symbols.walk()}
    assert {"MAIN.B.X", "MAIN.B.T", "MAIN.ACT.Q", "MAIN.ACT.A"} <= set(shown)
    assert (p["main.B.X"], p["main.act.Q"]) == (True, True)
    assert "tl_control_out" not in p["main"]


def test_6_7_2_a_retained_chart_keeps_its_steps_times_and_controls() -> None:
    p = load(
        """FUNCTION_BLOCK Sequence VAR_OUTPUT busy : BOOL; END_VAR
        INITIAL_STEP Idle: END_STEP STEP Run: busy(SD, T#5s); END_STEP
        TRANSITION FROM Idle TO Run := TRUE; END_TRANSITION END_FUNCTION_BLOCK
        PROGRAM main VAR RETAIN kept : Sequence; END_VAR VAR lost : Sequence; END_VAR kept(); lost(); END_PROGRAM"""
    )
    kept = {one.path for one in p.symbols.retained()}
    assert {"main.kept.Run.X", "main.kept.Run.T", "main.kept.tl_running"} <= kept
    assert any(one.startswith("main.kept.tl_control_busy.") for one in kept)
    assert not any("lost" in one for one in kept)


def test_charts_are_clean_c(apart: Apart, clean_flags: tuple[str, ...]) -> None:
    assert apart(qualified("SD, T#250ms"), [{}] * 20, clean_flags) == "ran 20"
    assert apart(FORK, [{"left": True, "right": True}] * 5, clean_flags) == "ran 5"
