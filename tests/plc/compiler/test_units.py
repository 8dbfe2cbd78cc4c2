# ruff: noqa: E501  # lines of Structured Text
"""IEC 61131-3 6.6 and 6.8: functions, blocks, methods, inheritance, references, tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plc import CompileFault, RunTimeFault, load

Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]


def test_function_with_inputs_in_outs_outputs_and_defaults() -> None:
    p = load(
        """FUNCTION f : INT
        VAR_INPUT a : INT; b : INT := 5; END_VAR VAR_IN_OUT io : INT; END_VAR VAR_OUTPUT o : DINT; no : BOOL; END_VAR
        VAR local : INT := 2; END_VAR
        io := io + a; o := a * b; no := TRUE; a := 0; f := a + b + local; local := 99;
        END_FUNCTION
        PROGRAM main VAR x, r, r2 : INT; o : LINT; q : BOOL; END_VAR
        r := f(a := 3, io := x, o => o, NOT no => q); r2 := f(1, 10, x);
        END_PROGRAM"""
    )
    p.scan()
    assert (p["main.r"], p["main.r2"], p["main.x"], p["main.o"], p["main.q"]) == (7, 12, 4, 15, False)


def test_functions_take_and_give_strings_arrays_and_structures() -> None:
    p = load(
        """TYPE P : STRUCT x, y : INT; END_STRUCT; Row : ARRAY [1..3] OF INT; END_TYPE
        FUNCTION swapped : P VAR_INPUT p : P; END_VAR swapped.x := p.y; swapped.y := p.x; p.x := 0; END_FUNCTION
        FUNCTION twice : STRING[10] VAR_INPUT s : STRING[4]; END_VAR twice := CONCAT(s, s); END_FUNCTION
        FUNCTION grown : Row VAR_INPUT r : Row; END_VAR VAR i : INT; END_VAR
        FOR i := 1 TO 3 DO grown[i] := r[i] + 1; END_FOR; END_FUNCTION
        FUNCTION shout VAR_IN_OUT s : STRING; END_VAR s := CONCAT(s, '!'); END_FUNCTION
        PROGRAM main VAR p : P := (x := 1, y := 2); q : P; s : STRING := 'abcdef'; r : Row := [1, 2, 3]; t : STRING[3]; END_VAR
        q := swapped(p); s := twice(s); r := grown(grown(r)); t := 'ab'; shout(t); shout(t);
        END_PROGRAM"""
    )
    p.scan()
    assert p["main.p"] == {"x": 1, "y": 2}
    assert p["main.q"] == {"x": 2, "y": 1}
    assert p["main.s"] == "abcdabcd"
    assert p["main.r"] == [3, 4, 5]
    assert p["main.t"] == "ab!"
    assert p.call("twice", s="xy") == "xyxy"
    assert p.call("GROWN", R=[5, 6, 7]) == [6, 7, 8]
    assert p.call("swapped", p={"x": 8}) == {"x": 0, "y": 8}


def test_arrays_of_variable_length() -> None:
    p = load(
        """FUNCTION total : DINT VAR_IN_OUT a : ARRAY [*] OF INT; END_VAR VAR i : DINT; END_VAR
        FOR i := LOWER_BOUND(a, 1) TO UPPER_BOUND(a, 1) DO total := total + a[i]; END_FOR; END_FUNCTION
        FUNCTION last : INT VAR_INPUT a : ARRAY [*, *] OF INT; END_VAR
        last := a[UPPER_BOUND(a, 1), UPPER_BOUND(a, 2)]; END_FUNCTION
        PROGRAM main VAR a : ARRAY [-2..2] OF INT := [1, 2, 3, 4, 5]; b : ARRAY [1..2, 1..2] OF INT := [1, 2, 3, 4];
        x : DINT; y : INT; END_VAR
        x := total(a); y := last(b); END_PROGRAM"""
    )
    p.scan()
    assert (p["main.x"], p["main.y"]) == (15, 4)


def test_instances_keep_their_variables_and_inputs() -> None:
    p = load(
        """FUNCTION_BLOCK Sum VAR_INPUT add : INT := 2; END_VAR VAR_OUTPUT total : INT := 100; END_VAR
        VAR_IN_OUT seen : INT; END_VAR
        total := total + add; seen := seen + 1; END_FUNCTION_BLOCK
        PROGRAM main VAR a : Sum; b : Sum := (add := 7); many : ARRAY [1..3] OF Sum; n : INT; i : INT; x : INT; END_VAR
        a(seen := n, total => x); b(add := b.add + 1, seen := n);
        FOR i := 1 TO 3 DO many[i](add := i, seen := n); END_FOR; END_PROGRAM"""
    )
    p.scan(count=2)
    assert (p["main.a.total"], p["main.b.total"], p["main.x"], p["main.n"]) == (104, 117, 104, 10)
    assert [p[f"main.many[{i}].total"] for i in (1, 2, 3)] == [102, 104, 106]


def test_edge_inputs_see_the_change() -> None:
    p = load(
        """FUNCTION_BLOCK E VAR_INPUT up : BOOL R_EDGE; down : BOOL F_EDGE; END_VAR VAR_OUTPUT ups, downs : INT; END_VAR
        IF up THEN ups := ups + 1; END_IF; IF down THEN downs := downs + 1; END_IF; END_FUNCTION_BLOCK
        PROGRAM main VAR e : E; x : BOOL; END_VAR e(up := x, down := x); END_PROGRAM"""
    )
    for x in (False, True, True, False, False, True):
        p["main.x"] = x
        p.scan()
    assert (p["main.e.ups"], p["main.e.downs"], p["main.e.up"]) == (2, 1, True)


def test_timers_on_virtual_time() -> None:
    p = load("PROGRAM main VAR t : TON; x : BOOL; END_VAR t(IN := x, PT := T#10ms); END_PROGRAM")
    p.scan(at_us=0)
    p["main.x"] = True
    p.scan(at_us=5_000)
    assert (p["main.t.q"], p["main.t.et"]) == (False, 0)
    p.scan(at_us=14_999)
    assert (p["main.t.q"], p["main.t.et"]) == (False, 9_999_000)
    p.scan(at_us=15_000)
    assert (p["main.t.q"], p["main.t.et"]) == (True, 10_000_000)


OBJECTS = """
INTERFACE IShape METHOD area : REAL VAR_INPUT k : REAL; END_VAR END_METHOD PROPERTY name : STRING GET END_GET END_PROPERTY END_INTERFACE
FUNCTION_BLOCK ABSTRACT Shape IMPLEMENTS IShape
VAR PROTECTED size : REAL := 2.0; calls : INT; END_VAR
METHOD PUBLIC ABSTRACT area : REAL VAR_INPUT k : REAL; END_VAR END_METHOD
METHOD PUBLIC grow : REAL VAR_INPUT more : REAL; END_VAR size := size + more; calls := calls + 1; grow := THIS^.area(1.0); END_METHOD
PROPERTY PUBLIC name : STRING GET name := 'shape'; END_GET END_PROPERTY
PROPERTY PUBLIC Size2 : REAL GET Size2 := size; END_GET SET size := Size2; END_SET END_PROPERTY
END_FUNCTION_BLOCK
FUNCTION_BLOCK Square EXTENDS Shape
METHOD PUBLIC OVERRIDE area : REAL VAR_INPUT k : REAL; END_VAR area := size * size * k; END_METHOD
END_FUNCTION_BLOCK
FUNCTION_BLOCK Cube EXTENDS Square
VAR_INPUT extra : INT; END_VAR
METHOD PUBLIC OVERRIDE area : REAL VAR_INPUT k : REAL; END_VAR area := 6.0 * SUPER^.area(k); END_METHOD
PROPERTY PUBLIC name : STRING GET name := 'cube'; END_GET END_PROPERTY
END_FUNCTION_BLOCK
FUNCTION measure : REAL VAR_INPUT s : IShape; END_VAR IF s <> NULL THEN measure := s.area(10.0); END_IF; END_FUNCTION
PROGRAM main
VAR sq : Square; cu : Cube; s : IShape; a, b, c, d, e : REAL; n, m : STRING; back : REF_TO Cube; is_cube : BOOL; END_VAR
a := sq.grow(1.0); b := cu.grow(1.0); c := measure(sq); s := cu; d := s.area(1.0); n := s.name; s := sq; m := s.name;
cu.Size2 := 5.0; e := cu.Size2;
s := cu; back ?= s; is_cube := back <> NULL; IF is_cube THEN back^.extra := 7; END_IF;
s := sq; back ?= s;
END_PROGRAM
"""


def test_methods_are_those_of_the_instances_own_type() -> None:
    p = load(OBJECTS)
    p.scan()
    assert [p[f"main.{name}"] for name in "abcde"] == [9.0, 54.0, 90.0, 54.0, 5.0]
    assert (p["main.n"], p["main.m"]) == ("cube", "shape")
    assert p["main.is_cube"] is True
    assert p["main.cu.extra"] == 7
    assert p["main.back"] == 0
    assert (p["main.cu.size"], p["main.cu.calls"]) == (5.0, 1)


def test_objects_are_clean_c(apart: Apart, clean_flags: tuple[str, ...]) -> None:
    assert apart(OBJECTS, [{}, {}], clean_flags) == "ran 2"


def test_method_inputs_statics_and_instance_variables() -> None:
    p = load(
        """FUNCTION_BLOCK B
        METHOD count : INT VAR_INPUT more : INT := 1; END_VAR VAR_INST n : INT; END_VAR VAR_STAT all_ : INT; END_VAR
        n := n + more; all_ := all_ + 1; count := n * 100 + all_; END_METHOD
        END_FUNCTION_BLOCK
        PROGRAM main VAR a, b : B; x, y : INT; END_VAR x := a.count(); y := b.count(more := 5); END_PROGRAM"""
    )
    p.scan()
    assert (p["main.x"], p["main.y"]) == (101, 502)
    p.scan()
    assert (p["main.x"], p["main.y"]) == (203, 1004)


def test_actions_work_on_the_blocks_own_variables() -> None:
    p = load(
        """PROGRAM main VAR x : INT; END_VAR VAR_TEMP t : INT; END_VAR
        t := 5; bump(); bump();
        ACTION bump: x := x + t; END_ACTION
        END_PROGRAM"""
    )
    p.scan()
    assert p["main.x"] == 10


def test_references_reach_what_they_refer_to() -> None:
    p = load(
        """TYPE P : STRUCT x : INT; next : REF_TO P; END_STRUCT; END_TYPE
        FUNCTION bump VAR_INPUT r : REF_TO INT; END_VAR r^ := r^ + 1; END_FUNCTION
        FUNCTION local : INT VAR n : INT := 4; r : REF_TO INT; END_VAR r := REF(n); r^ := r^ + 1; local := n; END_FUNCTION
        PROGRAM main VAR a : INT := 5; r : REF_TO INT; s : ARRAY [1..4] OF INT := [1, 2, 3, 4]; p : POINTER TO INT;
        one, two : P; x, y, z : INT; alias : REFERENCE TO INT; is_null : BOOL; n : INT; END_VAR
        is_null := r = NULL;
        r := REF(a); r^ := r^ * 2; bump(r); bump(REF(s[2]));
        p := ADR(s); p := p + SIZEOF(INT) * 2; x := p^;
        one.next := REF(two); two.x := 9; y := one.next^.x;
        alias REF= s[4]; alias := alias + 10; z := local(); n := local();
        END_PROGRAM"""
    )
    p.scan()
    assert (p["main.a"], p["main.x"], p["main.y"], p["main.z"], p["main.n"]) == (11, 3, 9, 5, 5)
    assert p["main.s"] == [1, 3, 3, 14]
    assert p["main.is_null"] is True


def test_classes_namespaces_and_globals() -> None:
    p = load(
        """NAMESPACE Site.Tools
        CLASS Adder VAR total : DINT; END_VAR
        METHOD PUBLIC add : DINT VAR_INPUT x : DINT; END_VAR total := total + x; add := total; END_METHOD END_CLASS
        FUNCTION twice : DINT VAR_INPUT x : DINT; END_VAR twice := 2 * x; END_FUNCTION
        END_NAMESPACE
        USING Site.Tools;
        VAR_GLOBAL shared : DINT := 1; END_VAR
        PROGRAM main VAR a : Adder; x : DINT; END_VAR
        shared := shared + 1; x := a.add(twice(shared)) + Site.Tools.twice(1); END_PROGRAM"""
    )
    p.scan()
    assert (p["main.x"], p["shared"], p["SHARED"]) == (6, 2, 2)
    assert p.call("Site.Tools.twice", x=4) == 8


def test_tasks_of_a_configuration_run_by_interval_priority_and_event() -> None:
    p = load(
        """PROGRAM P VAR_INPUT step : INT; END_VAR VAR_OUTPUT n : INT; END_VAR VAR_EXTERNAL trace : STRING; END_VAR
        n := n + step; trace := CONCAT(trace, INT_TO_STRING(step)); END_PROGRAM
        CONFIGURATION c
        VAR_GLOBAL trace : STRING; go : BOOL; out : INT; END_VAR
        RESOURCE r ON cpu
        TASK slow (INTERVAL := T#10ms, PRIORITY := 1);
        TASK fast (INTERVAL := T#1ms, PRIORITY := 2);
        TASK event (SINGLE := go, PRIORITY := 0);
        PROGRAM one WITH slow : P (step := 1);
        PROGRAM two WITH fast : P (step := 2, n => out);
        PROGRAM three WITH event : P (step := 3);
        END_RESOURCE END_CONFIGURATION"""
    )
    p.scan(count=11)
    assert (p["one.n"], p["two.n"], p["three.n"], p["out"]) == (2, 22, 0, 22)
    assert p["trace"] == "12" + "2" * 9 + "12"
    p["go"] = True
    p.scan(count=2)
    assert p["three.n"] == 3
    assert p["trace"].endswith("322")


def test_a_base_body_is_called_through_super() -> None:
    p = load(
        """FUNCTION_BLOCK A VAR_INPUT i : INT; END_VAR VAR_OUTPUT o : INT; END_VAR o := i + 1; END_FUNCTION_BLOCK
        FUNCTION_BLOCK B EXTENDS A VAR_OUTPUT p : INT; END_VAR SUPER^(); p := o * 10; END_FUNCTION_BLOCK
        PROGRAM main VAR b : B; x : INT; END_VAR b(i := 4, p => x); END_PROGRAM"""
    )
    p.scan()
    assert (p["main.x"], p["main.b.o"]) == (50, 5)


@pytest.mark.parametrize(
    "block", ["CTU", "CTU_DINT", "CTD", "CTUD_ULINT", "TP_LTIME", "TOF", "SR", "RS", "F_TRIG"]
)
def test_every_standard_block_is_where_its_symbols_say(block: str) -> None:
    p = load(f"PROGRAM main VAR b : {block}; after : INT := 77; END_VAR b(); END_PROGRAM")
    before = p["main.b"]
    p.scan()
    assert set(p["main.b"]) == set(before)
    assert p["main.after"] == 77


def test_counters_count_down_below_zero() -> None:
    p = load("PROGRAM main VAR c : CTD; x : BOOL; END_VAR c(CD := x, PV := 1); x := NOT x; END_PROGRAM")
    p.scan(count=5)
    assert (p["main.c.cv"], p["main.c.q"]) == (-2, True)


# ── configurations (6.8) ───────────────────────────────────────────────────────────────────────────────────────────
def test_6_8_1_var_config_gives_instances_values_and_addresses() -> None:
    p = load(
        """FUNCTION_BLOCK Valve VAR position AT %I* : INT; END_VAR VAR PUBLIC limit : INT := 1; name : STRING[8]; END_VAR
        VAR_OUTPUT high : BOOL; END_VAR high := position > limit; END_FUNCTION_BLOCK
        PROGRAM Main VAR one, two : Valve; seen : INT; END_VAR one(); two(); seen := %IW4; END_PROGRAM
        CONFIGURATION c
        VAR_GLOBAL raw AT %IW4 : WORD; END_VAR
        RESOURCE r ON cpu TASK t (INTERVAL := T#1ms); PROGRAM left WITH t : Main; PROGRAM right WITH t : Main; END_RESOURCE
        VAR_CONFIG
            r.left.one.position AT %IW4 : INT;
            r.left.one.limit : INT := 10;
            right.two.limit : INT := -5;
            right.two.name : STRING[8] := 'tank';
        END_VAR
        END_CONFIGURATION"""
    )
    p["left.one.position"] = 11
    p.scan()
    assert (p["%IW4"], p["raw"], p["left.seen"]) == (11, 11, 11)
    assert [p[f"{name}.high"] for name in ("left.one", "left.two", "right.one", "right.two")] == [
        True,
        False,
        False,
        True,
    ]
    assert (p["right.two.name"], p["left.two.name"]) == ("tank", "")
    p["%IW4"] = -3
    p.scan()
    assert (p["left.one.position"], p["raw"], p["left.one.high"]) == (-3, 65533, False)


def test_6_8_1_var_config_without_a_configuration_names_the_program() -> None:
    p = load("PROGRAM Main VAR x : INT; END_VAR END_PROGRAM VAR_CONFIG Main.x AT %QW2 : INT := 7; END_VAR")
    assert (p["Main.x"], p["%QW2"]) == (7, 7)


BLOCK_TASKS = """FUNCTION_BLOCK Counter VAR_INPUT step : INT; END_VAR VAR_OUTPUT n : INT; END_VAR n := n + step; END_FUNCTION_BLOCK
    PROGRAM Main VAR_INPUT inc : INT; END_VAR VAR own, other : Counter; timer : TON; n : INT; END_VAR
    own(step := inc); other(step := inc, n => n); timer(IN := TRUE, PT := T#5ms); END_PROGRAM
    CONFIGURATION c RESOURCE r ON cpu
    TASK fast (INTERVAL := T#1ms, PRIORITY := 1); TASK slow (INTERVAL := T#4ms, PRIORITY := 2);
    PROGRAM left WITH fast : Main (inc := 1, other WITH slow, timer WITH slow);
    PROGRAM right WITH fast : Main (inc := 10);
    END_RESOURCE END_CONFIGURATION"""


def test_6_8_2_a_block_of_a_program_runs_in_a_task_of_its_own() -> None:
    p = load(BLOCK_TASKS)
    p.scan(count=9)
    assert (p["left.own.n"], p["left.other.n"], p["left.n"]) == (9, 3, 2)
    assert (p["right.own.n"], p["right.other.n"]) == (90, 90)
    assert (p["left.timer.ET"], p["right.timer.ET"]) == (5_000_000, 5_000_000)


@pytest.mark.parametrize(
    ("single", "path"),
    [
        ("go", "go"),
        ("%IX1.2", "%IX1.2"),
        ("signals.go", "signals.go"),
        ("many[2].go", "many[2].go"),
        ("other.start", "other.start"),
    ],
)
def test_6_8_2_single_is_any_bool_that_lies_still(single: str, path: str) -> None:
    p = load(
        f"""TYPE Pair : STRUCT x : INT; go : BOOL; END_STRUCT; END_TYPE
        PROGRAM P VAR_OUTPUT n : INT; END_VAR n := n + 1; END_PROGRAM
        PROGRAM Q VAR_OUTPUT start : BOOL; seen : INT; END_VAR VAR_INPUT n : INT; END_VAR seen := n; END_PROGRAM
        CONFIGURATION c
        VAR_GLOBAL go : BOOL; signals : Pair; many : ARRAY [1..3] OF Pair; END_VAR
        RESOURCE r ON cpu
        TASK event (SINGLE := {single}, PRIORITY := 0); TASK fast (INTERVAL := T#1ms, PRIORITY := 1);
        PROGRAM one WITH event : P; PROGRAM other WITH fast : Q (n := one.n);
        END_RESOURCE END_CONFIGURATION"""
    )
    p.scan(count=2)
    p[path] = True
    p.scan(count=3)
    assert (p["one.n"], p["other.seen"]) == (1, 1)


def test_6_5_5_variables_of_one_size_share_the_bits_of_their_address() -> None:
    p = load(
        """VAR_GLOBAL a AT %MD0 : REAL; b AT %MD0 : DWORD; END_VAR
        PROGRAM main VAR x : DINT; END_VAR a := 1.0; x := DWORD_TO_DINT(%MD0 OR 1); END_PROGRAM"""
    )
    p.scan()
    assert (p["b"], p["main.x"]) == (0x3F800000, 0x3F800001)


@pytest.mark.parametrize(
    "text",
    [
        "VAR_GLOBAL a AT %MW0 : ARRAY [0..3] OF WORD; b AT %MW2 : WORD; END_VAR PROGRAM p END_PROGRAM",
        "VAR_GLOBAL a AT %MW0 : WORD; b AT %MB1 : BYTE; END_VAR PROGRAM p END_PROGRAM",
        "VAR_GLOBAL a AT %MW0 : ARRAY [0..3] OF WORD; b AT %MW0 : WORD; END_VAR PROGRAM p END_PROGRAM",
    ],
)
def test_variables_that_would_share_some_bytes_are_refused(text: str) -> None:
    with pytest.raises(CompileFault, match=r"ST0900.*lies in the same memory"):
        load(text)


ACCESS = """FUNCTION_BLOCK Inner VAR a : ARRAY [1..2] OF INT; END_VAR a[2] := 5; END_FUNCTION_BLOCK
    PROGRAM Main VAR inner : Inner; END_VAR VAR_INPUT x : INT; END_VAR inner(); END_PROGRAM
    CONFIGURATION c VAR_GLOBAL g : REAL := 1.5; END_VAR
    RESOURCE r ON cpu TASK t (INTERVAL := T#1ms); PROGRAM one WITH t : Main; PROGRAM two WITH t : Main; END_RESOURCE
    VAR_ACCESS level : r.two.x : INT READ_WRITE; second : two.inner.a[2] : INT; gain : g : REAL READ_ONLY; raw : %IW0 : WORD; END_VAR
    END_CONFIGURATION"""


def test_6_8_1_an_access_path_is_one_more_name() -> None:
    p = load(ACCESS)
    p["level"] = 7
    p.scan()
    assert (p["two.x"], p["one.x"], p["second"], p["gain"], p["raw"]) == (7, 0, 5, 1.5, 0)
    assert p.symbols.find("gain").flags == {"access", "read_only"}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("r.two.x : INT", "r.two.x : DINT", "ST0300"),
        ("r.two.x", "r.two.y", "ST0203"),
        ("r.two.x", "r.three.x", "ST0200"),
        ("g : REAL READ", "g + 1.0 : REAL READ", "ST0303"),
        ("second :", "level :", "ST0202"),
    ],
)
def test_6_8_1_access_paths_are_checked(old: str, new: str, code: str) -> None:
    with pytest.raises(CompileFault, match=f"error {code}"):
        load(ACCESS.replace(old, new))


# ── ARRAY [*] (6.5.3) ──────────────────────────────────────────────────────────────────────────────────────────────
OPEN_ARRAYS = """FUNCTION Sum : DINT VAR_INPUT a : ARRAY [*] OF INT; END_VAR VAR i : DINT; END_VAR
    FOR i := LOWER_BOUND(a, 1) TO UPPER_BOUND(a, 1) DO Sum := Sum + a[i]; END_FOR; END_FUNCTION
    FUNCTION Fill VAR_INPUT with : INT; END_VAR VAR_OUTPUT a : ARRAY [*, *] OF INT; END_VAR VAR i, j : DINT; END_VAR
    FOR i := LOWER_BOUND(a, 1) TO UPPER_BOUND(a, 1) DO
        FOR j := LOWER_BOUND(a, 2) TO UPPER_BOUND(a, 2) DO a[i, j] := with; END_FOR;
    END_FOR; END_FUNCTION
    FUNCTION_BLOCK Filter VAR_IN_OUT a : ARRAY [*] OF INT; END_VAR VAR_OUTPUT total : DINT; size : UDINT; END_VAR
    METHOD first : INT first := a[LOWER_BOUND(a, 1)]; END_METHOD
    METHOD copy VAR_INPUT from : ARRAY [*] OF INT; END_VAR a := from; END_METHOD
    a[UPPER_BOUND(a, 1)] := 100; total := Sum(a); size := SIZEOF(a); END_FUNCTION_BLOCK
    FUNCTION_BLOCK Outer VAR_IN_OUT a : ARRAY [*] OF INT; END_VAR VAR inner : Filter; END_VAR VAR_OUTPUT total : DINT; END_VAR
    inner(a := a, total => total); END_FUNCTION_BLOCK
    FUNCTION Through : DINT VAR_IN_OUT a : ARRAY [*] OF INT; END_VAR VAR f : Filter; END_VAR
    f(a := a); Through := f.total; END_FUNCTION
    PROGRAM main VAR short : ARRAY [1..3] OF INT := [1, 2, 3]; long : ARRAY [-2..2] OF INT := [5(1)]; f : Filter; o : Outer;
    grid : ARRAY [0..1, 5..7] OF INT; total, first, thru, outer, outside : DINT; other : ARRAY [7..9] OF INT := [7, 8, 9];
    END_VAR
    total := Sum(short); f(a := long); first := f.first(); outside := f.a[-2]; o(a := short, total => outer);
    thru := Through(other); Fill(with := 4, a => grid); f(a := short);
    END_PROGRAM"""


def test_6_5_3_arrays_of_any_size_go_to_functions_methods_and_blocks() -> None:
    p = load(OPEN_ARRAYS)
    p.scan()
    assert (p["main.total"], p["main.first"], p["main.outside"]) == (6, 1, 1)
    assert (p["main.long"], p["main.short"]) == ([1, 1, 1, 1, 100], [1, 2, 100])
    assert (p["main.outer"], p["main.f.total"], p["main.f.size"]) == (103, 103, 6)
    assert (p["main.thru"], p["main.other"]) == (115, [7, 8, 100])
    assert p["main.grid"] == [[4, 4, 4], [4, 4, 4]]


def test_6_5_3_an_open_array_takes_one_of_just_its_size() -> None:
    text = OPEN_ARRAYS.replace("    END_PROGRAM", "    f.copy({}); END_PROGRAM")
    p = load(text.format("other"))
    p.scan()
    assert p["main.short"] == p["main.other"]
    with pytest.raises(RunTimeFault) as raised:
        load(text.format("long")).scan()
    assert raised.value.fault == 1


def test_6_5_3_an_index_outside_of_an_open_array_is_a_fault() -> None:
    p = load(OPEN_ARRAYS.replace("first := a[LOWER_BOUND(a, 1)]", "first := a[LOWER_BOUND(a, 1) - 1]"))
    with pytest.raises(RunTimeFault) as raised:
        p.scan()
    assert raised.value.fault == 1


# ── instances and pieces as parameters (6.6.3.4, 6.5.5) ────────────────────────────────────────────────────────────
def test_6_6_3_4_an_instance_as_an_input_is_a_copy() -> None:
    p = load(
        """FUNCTION_BLOCK Inside VAR_INPUT timer : TON; END_VAR VAR_OUTPUT expired : BOOL; END_VAR
        expired := timer.Q; END_FUNCTION_BLOCK
        FUNCTION Elapsed : TIME VAR_INPUT timer : TON; END_VAR timer(IN := FALSE); Elapsed := timer.PT; END_FUNCTION
        PROGRAM main VAR timer : TON; inside : Inside; pt : TIME; END_VAR
        timer(IN := TRUE, PT := T#2ms); pt := Elapsed(timer); inside(timer := timer); END_PROGRAM"""
    )
    p.scan(count=2)
    assert (p["main.inside.expired"], p["main.pt"], p["main.timer.ET"]) == (False, 2_000_000, 1_000_000)
    p.scan()
    assert p["main.inside.expired"] is True


LENT = """TYPE Both : STRUCT OVERLAP whole : BYTE; flag : BOOL; END_STRUCT; END_TYPE
    FUNCTION Flip : BOOL VAR_IN_OUT x : BOOL; END_VAR VAR_INPUT n : INT; END_VAR x := NOT x; Flip := x; END_FUNCTION
    FUNCTION Raise VAR_IN_OUT x : BYTE; END_VAR x := BYTE#16#80 OR x; END_FUNCTION
    FUNCTION_BLOCK Toggle VAR_IN_OUT x : BOOL; END_VAR VAR n : INT; END_VAR x := NOT x; n := n + 1; END_FUNCTION_BLOCK
    PROGRAM main VAR w : WORD; d : DWORD; both : Both; t : Toggle; a : ARRAY [0..2] OF WORD; i : INT; now : BOOL; END_VAR
    now := Flip(w.3, 1); Raise(d.%B2); now := Flip(x := d.%X1, n := 0); t(x := w.15); t(x := a[i].0); t(both.flag); i := i + 1;
    END_PROGRAM"""


def test_6_5_5_a_bit_is_lent_and_comes_back() -> None:
    p = load(LENT)
    p.scan(count=2)
    assert (p["main.w"], p["main.d"], p["main.a"]) == (0, 0x800000, [1, 1, 0])
    assert p["main.both.whole"] == 0
    p.scan()
    assert (p["main.w"], p["main.d"], p["main.a"]) == (0x8008, 0x800002, [1, 1, 1])
    assert (p["main.both.whole"], p["main.t.n"], p["main.now"]) == (1, 9, True)


def test_all_of_that_is_clean_c(apart: Apart, clean_flags: tuple[str, ...]) -> None:
    for text in (OPEN_ARRAYS, LENT):
        assert apart(text, [{}, {}], clean_flags) == "ran 2"


# ── EN and ENO (6.6.1.5) ───────────────────────────────────────────────────────────────────────────────────────────
ENABLED = """FUNCTION Double : DINT VAR_INPUT x : DINT; END_VAR VAR_IN_OUT n : INT; END_VAR n := n + 1; Double := 2 * x; END_FUNCTION
    FUNCTION Greet : STRING[10] VAR_INPUT x : STRING[5]; END_VAR Greet := CONCAT('hi ', x); END_FUNCTION
    FUNCTION_BLOCK Count VAR_OUTPUT n : INT; END_VAR n := n + 1; END_FUNCTION_BLOCK
    FUNCTION_BLOCK Own VAR_INPUT EN : BOOL; END_VAR VAR_OUTPUT n : INT; END_VAR IF NOT EN THEN n := n + 1; END_IF; END_FUNCTION_BLOCK
    PROGRAM main VAR on : BOOL; x, sum : DINT; n : INT; ok, blockok, plainok, notok : BOOL; s : STRING := 'before'; c : Count; o : Own; END_VAR
    x := Double(EN := on, x := 4, n := n, ENO => ok) + 1; sum := ADD(EN := on, IN1 := x, IN2 := 10);
    s := Greet(EN := on, x := 'you'); c(EN := on, ENO => blockok); o(EN := on);
    Double(x := 1, n := n, ENO => plainok); c(EN := on, NOT ENO => notok); x := ABS(EN := on, IN := DINT#-7) + x;
    END_PROGRAM"""


def test_6_6_1_5_a_call_that_is_not_enabled_is_not_made() -> None:
    p = load(ENABLED)
    p.scan()
    assert (p["main.x"], p["main.sum"], p["main.s"], p["main.n"]) == (1, 0, "", 1)
    assert (p["main.ok"], p["main.blockok"], p["main.plainok"], p["main.notok"]) == (False, False, True, True)
    assert (p["main.c.n"], p["main.o.n"]) == (0, 1)
    p["main.on"] = True
    p.scan()
    assert (p["main.x"], p["main.sum"], p["main.s"], p["main.n"]) == (16, 19, "hi you", 3)
    assert (p["main.ok"], p["main.blockok"], p["main.plainok"], p["main.notok"]) == (True, True, True, False)
    assert (p["main.c.n"], p["main.o.n"]) == (2, 1)


def test_a_method_behind_the_end_of_its_block_belongs_to_it() -> None:
    p = load(
        """FUNCTION_BLOCK A VAR x : INT := 4; END_VAR END_FUNCTION_BLOCK
        METHOD half : INT half := x / 2; END_METHOD
        ACTION bump x := x + 2; END_ACTION
        PROGRAM main VAR a : A; y : INT; END_VAR a.bump(); y := a.half(); END_PROGRAM"""
    )
    p.scan()
    assert p["main.y"] == 3


# ── recursion (6.6.1) ──────────────────────────────────────────────────────────────────────────────────────────────
NODES = """INTERFACE Node METHOD depth : INT END_METHOD END_INTERFACE
    FUNCTION_BLOCK Leaf IMPLEMENTS Node METHOD PUBLIC depth : INT depth := 1; END_METHOD END_FUNCTION_BLOCK
    FUNCTION_BLOCK Branch IMPLEMENTS Node VAR PUBLIC below : Node; END_VAR
    METHOD PUBLIC depth : INT depth := below.depth() + 1; END_METHOD END_FUNCTION_BLOCK
    PROGRAM main VAR leaf : Leaf; many : ARRAY [1..40] OF Branch; i : INT; n : INT; last : INT := 3; END_VAR
    many[1].below := leaf;
    FOR i := 2 TO 40 DO many[i].below := many[i - 1]; END_FOR;
    n := many[last].depth(); END_PROGRAM"""


def test_6_6_1_calls_through_an_interface_may_nest_so_deep() -> None:
    p = load(NODES)
    p.scan()
    assert p["main.n"] == 4
    p["main.last"] = 32
    p.scan()
    assert p["main.n"] == 33


def test_6_6_1_calls_through_an_interface_that_nest_deeper_are_a_fault() -> None:
    p = load(NODES)
    p["main.last"] = 40
    with pytest.raises(RunTimeFault) as raised:
        p.scan()
    assert raised.value.fault == 6
    p["main.last"] = 2
    p.scan()
    assert p["main.n"] == 3


def test_6_6_1_a_circle_of_interfaces_is_a_fault_and_no_crash() -> None:
    p = load(NODES.replace("many[1].below := leaf", "many[1].below := many[40]"))
    with pytest.raises(RunTimeFault) as raised:
        p.scan()
    assert raised.value.fault == 6
