# ruff: noqa: E501  # lines of Structured Text
"""IEC 61131-3 7.3.3 and 6.5: statements, variables and their initial values, worked out by hand."""

from __future__ import annotations

import pytest

from plc import load


def program(declarations: str, statements: str, before: str = "") -> str:
    return f"{before}\nPROGRAM main\nVAR\n{declarations}\nEND_VAR\n{statements}\nEND_PROGRAM\n"


def test_if_takes_the_first_branch_that_holds() -> None:
    p = load(
        program(
            "x : INT; y : INT;",
            "IF x < 0 THEN y := 1; ELSIF x < 10 THEN y := 2; ELSIF x < 20 THEN y := 3; ELSE y := 4; END_IF;",
        )
    )
    for x, y in ((-1, 1), (0, 2), (9, 2), (10, 3), (20, 4)):
        p["main.x"] = x
        p.scan()
        assert p["main.y"] == y


def test_case_with_lists_ranges_and_enumerations() -> None:
    p = load(
        program(
            "x : DINT; y : INT; c : Colour; z : INT;",
            """CASE x OF 1: y := 1; 2, 5: y := 2; 10..20, -3..-1: y := 3; 1000..100000: y := 4; ELSE y := 9; END_CASE;
            CASE c OF Red: z := 1; Colour#Blue: z := 2; END_CASE;""",
            "TYPE Colour : (Red, Green := 5, Blue); END_TYPE",
        )
    )
    for x, y in ((1, 1), (2, 2), (5, 2), (10, 3), (20, 3), (21, 9), (-2, 3), (50000, 4), (100001, 9)):
        p["main.x"] = x
        p.scan()
        assert p["main.y"] == y, x
    assert p["main.z"] == 1
    p["main.c"] = "blue"
    p.scan()
    assert (p["main.c"], p["main.z"]) == (6, 2)


@pytest.mark.parametrize(
    ("type_", "start", "stop", "step", "turns"),
    [
        ("INT", 1, 10, 1, 10),
        ("INT", 10, 1, -3, 4),
        ("INT", 5, 4, 1, 0),
        ("USINT", 0, 255, 1, 256),
        ("USINT", 250, 255, 2, 3),
        ("SINT", 0, -128, -1, 129),
        ("SINT", 100, 127, 20, 2),
        ("UINT", 3, 0, -1, 4),
        ("LINT", 9223372036854775800, 9223372036854775807, 3, 3),
        ("ULINT", 18446744073709551610, 18446744073709551615, 1, 6),
    ],
)
@pytest.mark.parametrize("how", ["literal", "variable"])
def test_for_ends_also_at_the_edge_of_its_type(
    type_: str, start: int, stop: int, step: int, turns: int, how: str
) -> None:
    ends = "a, b, s" if how == "variable" else ""
    signed = {"USINT": "INT", "UINT": "DINT", "ULINT": "LINT"}.get(type_, type_)
    declared = f"i, a, b : {type_}; s : {signed}; n : DINT;" if ends else f"i : {type_}; n : DINT;"
    if how == "variable" and type_ in ("USINT", "UINT", "ULINT"):
        declared = declared.replace(f"s : {signed}", f"s : {type_[1:]}")
    bounds = ("a", "b", "s") if ends else (start, stop, step)
    p = load(
        program(
            declared, f"n := 0; FOR i := {bounds[0]} TO {bounds[1]} BY {bounds[2]} DO n := n + 1; END_FOR;"
        )
    )
    if ends:
        p["main.a"], p["main.b"], p["main.s"] = start, stop, step
    p.scan()
    assert p["main.n"] == turns


def test_exit_and_continue_mean_the_innermost_loop_also_from_within_case() -> None:
    p = load(
        program(
            "i, j, n, m : INT; k : INT;",
            """n := 0; m := 0; k := 0;
            FOR i := 1 TO 5 DO
              FOR j := 1 TO 5 DO
                CASE j OF 2: CONTINUE; 4: EXIT; END_CASE;
                n := n + 1;
              END_FOR;
              IF i = 4 THEN EXIT; END_IF;
              m := m + 1;
            END_FOR;
            REPEAT k := k + 1; IF k < 3 THEN CONTINUE; END_IF; UNTIL k >= 3 END_REPEAT;
            WHILE TRUE DO k := k + 1; IF k MOD 2 = 1 THEN CONTINUE; END_IF; CASE k OF 10: EXIT; END_CASE; END_WHILE;""",
        )
    )
    p.scan()
    assert (p["main.n"], p["main.m"], p["main.i"], p["main.k"]) == (8, 3, 4, 10)


def test_return_leaves_the_unit() -> None:
    p = load(program("x : INT;", "x := 1; IF x = 1 THEN RETURN; END_IF; x := 2;"))
    p.scan()
    assert p["main.x"] == 1


def test_set_and_reset_assignments() -> None:
    p = load(program("q, s, r : BOOL;", "q S= s; q R= r;"))
    for s, r, q in ((False, False, False), (True, False, True), (False, False, True), (True, True, False)):
        p["main.s"], p["main.r"] = s, r
        p.scan()
        assert p["main.q"] is q


def test_bits_and_pieces_are_written_in_place() -> None:
    p = load(
        program(
            "w : DWORD := 16#FFFFFFFF; i : INT;",
            "w.0 := FALSE; w.%B2 := 16#12; w.%X31 := FALSE; i.15 := TRUE;",
        )
    )
    p.scan()
    assert p["main.w"] == 0x7F12FFFE
    assert p["main.i"] == -32768


def test_arrays_of_any_rank_and_bounds() -> None:
    p = load(
        program(
            """a : ARRAY [-1..1, 2..4] OF INT := [[1, 2, 3], [4], 3(7)];
            b : ARRAY [1..2] OF ARRAY [0..1] OF INT; c : ARRAY [1..4] OF INT := [2(5, 6)]; copy : ARRAY [0..3] OF INT;
            i : INT; sum : INT;""",
            """sum := 0;
            FOR i := -1 TO 1 DO sum := sum + a[i, 2]; END_FOR;
            b[1][1] := 9; b[2, 0] := 8; copy := c; c[1] := 1;""",
        )
    )
    assert p["main.a"] == [[1, 2, 3], [4, 0, 0], [7, 7, 7]]
    p.scan()
    assert p["main.sum"] == 12
    assert p["main.b"] == [[0, 9], [8, 0]]
    assert p["main.copy"] == [5, 6, 5, 6]
    assert p["main.c[1]"] == 1
    assert p["MAIN.A[ -1 , 4 ]"] == 3


def test_structures_are_copied_and_start_as_declared() -> None:
    p = load(
        program(
            "p : Point := (y := 4.0); q, r : Point; all : ARRAY [1..2] OF Point := [(x := 7.0)]; inner : Line;",
            "r := p; r.x := 9.0; inner.b := r; inner.name := 'long enough to be cut';",
            """TYPE Point : STRUCT x : REAL := 1.5; y : REAL; END_STRUCT;
            Line : STRUCT a, b : Point; name : STRING[8]; END_STRUCT; END_TYPE""",
        )
    )
    assert p["main.q"] == {"x": 1.5, "y": 0.0}
    assert p["main.all"] == [{"x": 7.0, "y": 0.0}, {"x": 1.5, "y": 0.0}]
    p.scan()
    assert p["main.p"] == {"x": 1.5, "y": 4.0}
    assert p["main.inner.b"] == {"x": 9.0, "y": 4.0}
    assert p["main.inner.name"] == "long eno"


def test_overlapped_structures_share_their_bytes() -> None:
    p = load(
        program(
            "u : Either; q : BOOL;",
            "u.whole := 16#12345678; q := u.flag;",
            "TYPE Either : STRUCT OVERLAP whole : DWORD; low : WORD; flag : BOOL; END_STRUCT; END_TYPE",
        )
    )
    p.scan()
    assert (p["main.u.low"], p["main.q"]) == (0x5678, True)


def test_initial_values_of_all_kinds() -> None:
    p = load(
        program(
            "c : Colour; d : Colour := Blue; n : Small; s : STRING; w : STRING := 'a$Nb'; t : TIME := T#1d; l : LREAL := 0.1;"
            "k : INT := 2 * LIMIT_OF; CHARACTER : CHAR := 'x';",
            ";",
            "VAR_GLOBAL CONSTANT LIMIT_OF : INT := 21; END_VAR VAR_GLOBAL g : DINT := -5; END_VAR "
            "TYPE Colour : (Red := 3, Green, Blue); Small : INT (2..9); END_TYPE",
        )
    )
    assert p["main.c"] == 3
    assert p["main.d"] == 5
    assert p["main.n"] == 2
    assert p["main.w"] == "a\nb"
    assert p["main.t"] == 86_400_000_000_000
    assert p["main.l"] == 0.1
    assert p["main.k"] == 42
    assert p["main.character"] == "x"
    assert p["g"] == -5


def test_named_addresses_are_one_variable_by_any_name() -> None:
    p = load(program("a AT %QX0.1 : BOOL; b : BOOL;", "b := %IX0.0; %QX0.1 := NOT b;"))
    p["%IX0.0"] = True
    p.scan()
    assert (p["main.b"], p["main.a"], p["%QX0.1"]) == (True, False, False)


def test_strings_index_from_one() -> None:
    p = load(program("s : STRING[5] := 'abc'; c : CHAR;", "s[1] := 'X'; c := s[3];"))
    p.scan()
    assert (p["main.s"], p["main.c"]) == ("Xbc", "c")


def test_temporary_variables_start_anew_every_call() -> None:
    p = load(
        "PROGRAM main VAR_TEMP t : INT := 5; END_VAR VAR x : INT; END_VAR t := t + 1; x := t; END_PROGRAM"
    )
    p.scan(count=3)
    assert p["main.x"] == 6


def test_operands_are_evaluated_from_left_to_right() -> None:
    p = load(
        """VAR_GLOBAL g : INT; END_VAR
        FUNCTION bump : INT VAR_EXTERNAL g : INT; END_VAR g := g + 1; bump := g; END_FUNCTION
        PROGRAM main VAR x, y, z : INT; b : BOOL; END_VAR VAR_EXTERNAL g : INT; END_VAR
        g := 10; x := g + bump() * 100 + g; y := 0;
        b := g = 99 AND_THEN bump() > 0;
        WHILE bump() < 15 DO y := y + 1; END_WHILE;
        IF FALSE THEN z := 1; ELSIF bump() = 16 THEN z := 2; END_IF;
        END_PROGRAM"""
    )
    p.scan()
    assert p["main.x"] == 10 + 11 * 100 + 11
    assert (p["main.y"], p["main.z"], p["g"]) == (3, 2, 16)
