# ruff: noqa: E501  # lines of Structured Text
"""Every run-time check, raised: the fault names file and line, the host goes on, and nothing else was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from plc import CompileFault, RunTimeFault, load
from plc.compiler.build import Options

DECLARED = """PROGRAM main
VAR a : ARRAY [1..10] OF INT; m : ARRAY [0..1, -1..1] OF INT; i : INT; l : LINT; u : ULINT; x, y : INT; z : DINT; r : REAL; lr : LREAL;
 p : REF_TO INT; q : POINTER TO INT; n : Small; s, w : STRING; c : CHAR; done : BOOL; shape : IShape; sm : ARRAY [1..2] OF Small; end_ : INT := 5; END_VAR
"""
BEFORE = """TYPE Small : INT (0..100); END_TYPE INTERFACE IShape METHOD m END_METHOD END_INTERFACE FUNCTION_BLOCK B IMPLEMENTS IShape METHOD m END_METHOD END_FUNCTION_BLOCK
"""
FAULTS: list[tuple[int, str]] = [
    (1, "i := 11; x := a[i];"),
    (1, "i := 0; a[i] := 1;"),
    (1, "i := -32768; x := a[i + 1];"),
    (1, "l := 4294967297; x := a[l];"),
    (1, "u := 18446744073709551615; x := m[0, u];"),
    (1, "i := 2; x := m[i, 0];"),
    (1, "i := 2; x := m[0, i];"),
    (1, "x := a[11];"),
    (2, "x := 5 / y;"),
    (2, "z := z / INT_TO_DINT(y);"),
    (2, "l := l / y;"),
    (2, "u := u / INT_TO_ULINT(y);"),
    (2, "r := 1.0 / r;"),
    (2, "lr := 1.0 / lr;"),
    (3, "x := p^;"),
    (3, "p^ := 1;"),
    (3, "q := ADR(x); q := q + 2000000; x := q^;"),
    (3, "q := ADR(x); q := q + 1; x := q^;"),
    (3, "shape.m();"),
    (4, "x := 101; n := x;"),
    (4, "x := -1; sm[2] := x;"),
    (5, "i := -1; w := LEFT(s, i);"),
    (5, "i := 0; w := MID(s, 1, i);"),
    (5, "i := 1; c := s[i];"),
    (6, "WHILE NOT done DO x := x + 1; END_WHILE;"),
    (6, "REPEAT x := x + 1; UNTIL done END_REPEAT;"),
    (6, "FOR i := 1 TO 3 DO i := 1; END_FOR;"),
    (7, "i := REAL_TO_INT(SQRT(-1.0 - r));"),
    (7, "i := LREAL_TRUNC_INT(LN(-1.0 - lr));"),
]


@pytest.mark.parametrize(("fault", "statement"), FAULTS, ids=[one[1] for one in FAULTS])
def test_a_check_that_fails_names_fault_file_and_line(fault: int, statement: str, tmp_path: Path) -> None:
    path = tmp_path / "island.st"
    path.write_text(f"{BEFORE}{DECLARED}x := 7;\nx := 0;\n{statement}\nend_ := 9;\nEND_PROGRAM\n")
    p = load(path)
    line = path.read_text().splitlines().index(statement) + 1
    with pytest.raises(RunTimeFault) as raised:
        p.scan()
    assert (raised.value.fault, raised.value.file, raised.value.line) == (fault, str(path), line)
    assert f"island.st:{line}: " in str(raised.value)
    assert p["main.end_"] == 5


def test_mod_by_zero_is_zero_as_table_29_says() -> None:
    p = load("PROGRAM main VAR x : INT := 5; y, z : INT; END_VAR z := x MOD y; END_PROGRAM")
    p.scan()
    assert p["main.z"] == 0


def test_what_goes_before_a_fault_stays_and_the_next_scan_runs() -> None:
    p = load("PROGRAM main VAR n, x : INT; y : INT; END_VAR n := n + 1; x := 10 / y; END_PROGRAM")
    with pytest.raises(RunTimeFault):
        p.scan()
    p["main.y"] = 2
    p.scan()
    assert (p["main.n"], p["main.x"]) == (2, 5)


def test_a_call_from_outside_raises_as_a_scan_does() -> None:
    p = load("FUNCTION f : INT VAR_INPUT a : INT; END_VAR\nf := 10 / a;\nEND_FUNCTION\n")
    assert p.call("f", a=5) == 2
    with pytest.raises(RunTimeFault, match=r"source1\.st:2: a division by zero"):
        p.call("f", a=0)


def test_without_checks_nothing_is_undefined() -> None:
    p = load(
        "PROGRAM main VAR x, y : INT; z : DINT := -2147483648; d : DINT; i : INT; END_VAR\n"
        "x := 5 / y; d := z / -1; i := REAL_TO_INT(SQRT(REAL#-1.0 - INT_TO_REAL(y)));\nEND_PROGRAM\n",
        options=Options(checks=False, with_calls=True),
    )
    p.scan()
    assert (p["main.x"], p["main.d"], p["main.i"]) == (0, -2147483648, 0)


def test_all_diagnostics_come_in_one_error() -> None:
    with pytest.raises(CompileFault) as raised:
        load("PROGRAM main VAR x : INT; END_VAR\nx := y;\nx := 'a';\nEND_PROGRAM\n")
    assert [one.code for one in raised.value.diagnostics if str(one.severity) == "error"] == [
        "ST0200",
        "ST0300",
    ]
    assert "source1.st:2:6: error ST0200" in str(raised.value)


MAIN = "PROGRAM main END_PROGRAM "
REFUSED = [
    (
        "PROGRAM main VAR a AT %MW0 : WORD; b AT %MB1 : BYTE; END_VAR b := 1; a := 1; END_PROGRAM",
        "same memory",
    ),
    (
        "PROGRAM main VAR a, b : INT; END_VAR END_PROGRAM "
        "VAR_CONFIG main.a AT %MW0 : INT; main.b AT %MW0 : INT; END_VAR",
        "already the address",
    ),
    (
        MAIN + "VAR_GLOBAL go : BOOL; END_VAR CONFIGURATION c "
        "TASK t (INTERVAL := T#1ms, SINGLE := go); PROGRAM p WITH t : main; END_CONFIGURATION",
        "write two tasks|INTERVAL and a SINGLE",
    ),
    (
        MAIN + "VAR_GLOBAL w : WORD; END_VAR CONFIGURATION c "
        "TASK t (SINGLE := w.3); PROGRAM p WITH t : main; END_CONFIGURATION",
        "lies still",
    ),
    (
        MAIN
        + "CONFIGURATION c RESOURCE r ON x TASK t (INTERVAL := T#1ms); PROGRAM p WITH t : main; END_RESOURCE "
        "RESOURCE s ON x TASK u (INTERVAL := T#1ms); PROGRAM p WITH u : main; END_RESOURCE END_CONFIGURATION",
        "two program instances",
    ),
    ("PROGRAM main VAR a, b : TON; END_VAR a := b; END_PROGRAM", "assigned as a whole"),
    (
        "TYPE Both : STRUCT OVERLAP whole : BYTE; flag : BOOL; END_STRUCT; END_TYPE "
        "PROGRAM main VAR both : Both; r : REF_TO BOOL; END_VAR r := REF(both.flag); END_PROGRAM",
        "no address",
    ),
    (
        "PROGRAM main VAR a : INT; r, s : REF_TO INT; END_VAR r := REF(a); s ?= r; END_PROGRAM",
        "blocks and interfaces",
    ),
]


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[one[1] for one in REFUSED])
def test_what_is_not_compiled_yet_is_refused_at_its_place(text: str, why: str) -> None:
    with pytest.raises(CompileFault, match=why) as raised:
        load(text + "\n")
    assert all(str(one).startswith("source1.st:1:") for one in raised.value.diagnostics)
