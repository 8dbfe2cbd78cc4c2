"""What programs mean: names, declarations, expressions, calls, statements, blocks (IEC 61131-3 6.4 to 7.3).

Every test gives a text and the problems that it has, as code and line; the values are from the standard.
"""

from __future__ import annotations

import pytest

from plc.language.analysis import analyse
from plc.language.source import Source


def problems(text: str) -> list[str]:
    found = analyse([Source("test.st", text)]).diagnostics
    return [f"{one.code} {one.span.position.line}" for one in found]


def codes(declarations: str, body: str, before: str = "") -> list[str]:
    """The problems of a function block with these parts, each section's variables taken as used."""
    text = f"{before}\nFUNCTION_BLOCK fb\n{declarations}\n{body}\nEND_FUNCTION_BLOCK\n"
    return [one.code for one in analyse([Source("test.st", text)]).diagnostics]


VARIABLES = """
VAR_INPUT
    b, c : BOOL; byt : BYTE; w : WORD; dw : DWORD; lw : LWORD;
    si : SINT; i : INT; di : DINT; li : LINT; usi : USINT; ui : UINT; udi : UDINT; uli : ULINT;
    r : REAL; lr : LREAL; t : TIME; lt : LTIME; d : DATE; td : TOD; dt : DT; s : STRING[10]; ws : WSTRING[10];
    ch : CHAR; a : ARRAY [1..3] OF INT; m : ARRAY [0..1, 0..2] OF REAL; p : REF_TO INT;
END_VAR
"""


def body(statement: str) -> list[str]:
    return codes(VARIABLES, statement)


# ── literals (6.3) ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "statement",
    [
        "i := 32767;",
        "i := -32768;",
        "usi := 16#FF;",
        "byt := 2#1111_0000;",
        "w := WORD#16#FFFF;",
        "r := 5;",
        "r := 1.5;",
        "b := 1;",
        "b := BOOL#0;",
        "t := T#5d3h;",
        "lt := T#5ms;",
        "d := D#2026-03-29;",
        "td := TOD#23:59:59.999;",
        "dt := DT#2026-03-29-06:30:00;",
        "s := 'hello';",
        'ws := "hello";',
        "ch := 'x';",
        "i := INT#-5;",
        "lr := LREAL#1.0E300;",
    ],
)
def test_6_3_literals_fit_their_variables(statement: str) -> None:
    assert body(statement) == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("i := 32768;", "ST0311"),
        ("usi := -1;", "ST0311"),
        ("byt := 256;", "ST0311"),
        ("si := SINT#128;", "ST0311"),
        ("b := 2;", "ST0311"),
        ("r := 1.0E39;", "ST0311"),
        ("i := 1.5;", "ST0300"),
        ("t := 5;", "ST0300"),
        ("s := 5;", "ST0300"),
        ('s := "wide";', "ST0300"),
        ("i := T#5s;", "ST0300"),
        ("d := DT#2026-03-29-06:30:00;", "ST0300"),
        ("s := 'longer than ten';", "ST0804"),
        ("r := 16777217;", "ST0804"),
    ],
)
def test_6_3_literals_that_do_not_fit(statement: str, code: str) -> None:
    assert body(statement) == [code]


# ── conversion (6.6.1.6, 6.6.2.5.2) ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("li := si;", []),
        ("lr := di;", []),
        ("lw := b;", []),
        ("lt := t;", []),
        ("di := ui;", []),
        ("s := ch;", []),
        ("i := di;", ["ST0300"]),
        ("i := r;", ["ST0300"]),
        ("b := i;", ["ST0300"]),
        ("byt := w;", ["ST0300"]),
        ("t := lt;", ["ST0300"]),
        ("r := lr;", ["ST0804"]),
        ("r := di;", ["ST0804"]),
        ("w := ui;", ["ST0805"]),
        ("ui := i;", ["ST0805"]),
        ("i := DINT_TO_INT(di);", []),
        ("i := REAL_TO_INT(r);", []),
        ("i := TO_INT(lr);", []),
        ("di := TRUNC(r);", []),
        ("i := TRUNC(r);", []),
        ("i := REAL_TRUNC_INT(r);", []),
        ("s := INT_TO_STRING(i);", []),
        ("r := STRING_TO_REAL(s);", []),
        ("di := TIME_TO_DINT(t);", []),
        ("td := DT_TO_TOD(dt);", []),
        ("ui := WORD_BCD_TO_UINT(w);", []),
        ("i := INT_TO_INT(r);", ["ST0300"]),
        ("w := UINT_TO_BCD_WORD(ui);", []),
        ("ws := INT_TO_WSTRING(i);", []),
        ("s := INT_TO_WSTRING(i);", ["ST0300"]),
        ("usi := BOOL_BCD_TO_USINT(b);", ["ST0200"]),
        ("i := WORD_TRUNC_INT(w);", ["ST0200"]),
        ("i := REAL_TRUNC_DINT(r);", ["ST0300"]),
        ("d := TIME_TO_DATE(t);", ["ST0200"]),
        ("i := DINT_TO_INT(di, di);", ["ST0403"]),
        ("lr := INT_TO_LREAL(si);", []),
    ],
)
def test_6_6_2_5_2_conversions(statement: str, found: list[str]) -> None:
    assert body(statement) == found


# ── operators (7.3.2, Table 71) ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("di := i + ui;", []),
        ("i := i MOD 7 * -i;", []),
        ("r := r * 2 + i;", []),
        ("lr := lr ** 2;", []),
        ("b := i > 3 AND NOT c OR r <= 2.0;", []),
        ("b := b XOR c & TRUE;", []),
        ("b := b AND_THEN c OR_ELSE b;", []),
        ("w := w AND 16#FF OR byt;", []),
        ("b := s < 'm';", []),
        ("b := t > T#5s;", []),
        ("i := i AND 3;", ["ST0805"]),
        ("b := i AND c;", ["ST0301"]),
        ("i := b + c;", ["ST0301"]),
        ("i := s + s;", ["ST0301"]),
        ("r := r MOD 2.0;", ["ST0301"]),
        ("b := NOT r;", ["ST0301"]),
        ("i := -ui;", ["ST0301"]),
        ("b := w AND_THEN b;", ["ST0301"]),
        ("b := t > i;", ["ST0301"]),
        ("b := a = a;", ["ST0301"]),
        ("i := i / 0;", ["ST0318"]),
        ("i := i MOD (3 - 3);", ["ST0318"]),
        ("r := r / 0.0;", []),
        ("b := r = 0.1;", ["ST0809"]),
        ("b := usi < 256;", ["ST0808"]),
        ("b := 0 <= ui;", ["ST0808"]),
        ("b := si = 300;", ["ST0808"]),
        ("i := INT#30000 + INT#30000;", ["ST0806"]),
        ("ui := w + 1;", ["ST0805"]),
    ],
)
def test_7_3_2_operators(statement: str, found: list[str]) -> None:
    assert body(statement) == found


@pytest.mark.parametrize(
    ("comparison", "always"), [("usi < 256", "true"), ("ui < 0", "false"), ("si <> 300", "true")]
)
def test_what_a_comparison_always_is_is_said(comparison: str, always: str) -> None:
    text = f"FUNCTION f : BOOL VAR_INPUT si : SINT; usi : USINT; ui : UINT; END_VAR f := {comparison}; END_FUNCTION"
    (one,) = analyse([Source("t.st", text)]).diagnostics
    assert one.message.startswith(f"this is always {always}")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("t := t + T#5s - t;", []),
        ("td := td + t;", []),
        ("dt := dt - t;", []),
        ("t := dt - dt;", []),
        ("t := d - d;", []),
        ("t := t * 2;", []),
        ("t := 2.5 * t;", []),
        ("t := t / i;", []),
        ("t := td - td;", []),
        ("d := d + t;", ["ST0301"]),
        ("t := t * t;", ["ST0301"]),
        ("dt := dt + dt;", ["ST0301"]),
        ("t := ADD_TIME(t, T#1s);", []),
        ("td := ADD_TOD_TIME(td, t);", []),
        ("dt := CONCAT_DATE_TOD(d, td);", []),
        ("d := CONCAT_DATE(2026, 3, 29);", []),
        ("SPLIT_DATE(IN := d, YEAR => i, MONTH => i, DAY => i);", []),
        ("i := DAY_OF_WEEK(d);", []),
        ("t := MUL_TIME(t, 3);", []),
    ],
)
def test_6_6_2_5_15_times_and_dates(statement: str, found: list[str]) -> None:
    assert body(statement) == found


# ── access (6.5) ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("b := w.15;", []),
        ("w.%X0 := b;", []),
        ("byt := dw.%B3;", []),
        ("w := lw.%W3;", []),
        ("b := i.3;", []),
        ("b := w.16;", ["ST0307"]),
        ("byt := byt.%B0;", ["ST0307"]),
        ("b := r.3;", ["ST0307"]),
        ("i := a[1] + a[i];", []),
        ("r := m[1, 2];", []),
        ("r := m[1][2];", ["ST0304"]),
        ("i := a[0];", ["ST0807"]),
        ("r := m[2, 0];", ["ST0807"]),
        ("i := a[r];", ["ST0300"]),
        ("i := i[1];", ["ST0304"]),
        ("r := m[1];", ["ST0304"]),
        ("i := p^;", []),
        ("p^ := 3;", []),
        ("p := REF(i);", []),
        ("p := NULL;", []),
        ("b := p = NULL;", []),
        ("i := p;", ["ST0300"]),
        ("p := REF(r);", ["ST0300"]),
        ("p := REF(3);", ["ST0303"]),
        ("i := i^;", ["ST0306"]),
        ("ch := s[1];", []),
        ("di := UPPER_BOUND(a, 1);", []),
        ("i := UPPER_BOUND(a, 2);", ["ST0304"]),
        ("udi := SIZEOF(a);", []),
        ("b := %IX0.0;", []),
        ("w := %IW3;", []),
    ],
)
def test_6_5_access(statement: str, found: list[str]) -> None:
    assert body(statement) == found


# ── statements (7.3.3) ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("IF i THEN b := c; END_IF;", ["ST0302"]),
        ("WHILE 1 DO EXIT; END_WHILE;", []),
        ("REPEAT i := i + 1; UNTIL r END_REPEAT;", ["ST0302"]),
        ("FOR i := 1 TO 10 BY 2 DO b := c; END_FOR;", []),
        ("FOR usi := 10 TO 0 BY -1 DO b := c; END_FOR;", []),
        ("FOR r := 1 TO 10 DO b := c; END_FOR;", ["ST0309"]),
        ("FOR i := 1 TO 100000 DO b := c; END_FOR;", ["ST0311"]),
        ("FOR i := 1 TO 10 BY 0 DO b := c; END_FOR;", ["ST0309"]),
        ("CASE i OF 1: b := c; 2, 5..7: b := c; END_CASE;", []),
        ("CASE i OF 1: b := c; 0..3: b := c; END_CASE;", ["ST0308"]),
        ("CASE i OF 3..1: b := c; END_CASE;", ["ST0308"]),
        ("CASE i OF i: b := c; END_CASE;", ["ST0312"]),
        ("CASE i OF 70000: b := c; END_CASE;", ["ST0311"]),
        ("CASE r OF 1: b := c; END_CASE;", ["ST0300"]),
        ("EXIT;", ["ST0310"]),
        ("FOR i := 1 TO 3 DO CONTINUE; END_FOR;", []),
        ("RETURN; b := c;", ["ST0802"]),
        ("IF b THEN RETURN; ELSE RETURN; END_IF; b := c;", ["ST0802"]),
        ("WHILE TRUE DO b := c; END_WHILE; b := c;", ["ST0802"]),
        ("WHILE TRUE DO IF b THEN EXIT; END_IF; END_WHILE; b := c;", []),
        ("IF FALSE THEN b := c; END_IF;", ["ST0802"]),
        ("b S= c; b R= c;", []),
        ("i S= c;", ["ST0301"]),
        ("3 := i;", ["ST0303"]),
        ("i + 1 := 3;", ["ST0110"]),
        ("nothing := 3;", ["ST0200"]),
    ],
)
def test_7_3_3_statements(statement: str, found: list[str]) -> None:
    assert body(statement) == found


# ── standard functions (6.6.2) ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("i := ABS(i);", []),
        ("r := SQRT(r) + SIN(r) + LN(r) + EXP(r) + ATAN2(r, r);", []),
        ("r := SQRT(2.0);", []),
        ("lr := SQRT(di);", []),
        ("i := ADD(i, i, 3);", []),
        ("i := MAX(i, 3, si);", []),
        ("i := LIMIT(0, i, 100);", []),
        ("i := LIMIT(MN := 0, IN := i, MX := 100);", []),
        ("i := SEL(b, i, 3);", []),
        ("r := MUX(i, r, r, 1.0);", []),
        ("w := SHL(w, 3);", []),
        ("w := ROL(IN := w, N := i);", []),
        ("b := GT(i, 3, -2);", []),
        ("b := AND(b, c, TRUE);", []),
        ("i := LEN(s);", []),
        ("s := CONCAT(s, '-', s);", []),
        ("s := MID(IN := s, L := 2, P := 3);", []),
        ("i := FIND(s, 'x');", []),
        ("s := REPLACE(s, 'x', 1, 2);", []),
        ("r := EXPT(r, 2);", []),
        ("r := SQRT(s);", ["ST0300"]),
        ("i := MAX(i, b);", ["ST0300"]),
        ("w := SHL(r, 3);", ["ST0300"]),
        ("i := LIMIT(0, i);", ["ST0402"]),
        ("i := ABS(i, i);", ["ST0403"]),
        ("i := LIMIT(MN := 0, IM := i, MX := 100);", ["ST0401"]),
        ("i := ABS(IN := i, IN := i);", ["ST0404"]),
        ("s := LEFT(s, 'x');", ["ST0300"]),
        ("i := LEN;", ["ST0315"]),
        ("b := EQ(r, r);", ["ST0809"]),
    ],
)
def test_6_6_2_standard_functions(statement: str, found: list[str]) -> None:
    assert body(statement) == found


@pytest.mark.parametrize("base", ["CTU", "CTD", "CTUD"])
@pytest.mark.parametrize("suffix", ["", "_INT", "_DINT", "_LINT", "_UDINT", "_ULINT"])
def test_6_6_3_5_3_counters_for_every_type(base: str, suffix: str) -> None:
    output = "QU" if base == "CTUD" else "Q"
    text = f"VAR x : {base}{suffix}; END_VAR VAR_OUTPUT q : BOOL; END_VAR"
    assert codes(text, f"x(PV := 5, {output} => q);") == []


@pytest.mark.parametrize("name", ["TP", "TON", "TOF", "TON_TIME", "TP_LTIME"])
def test_6_6_3_5_4_timers(name: str) -> None:
    assert (
        codes(f"VAR x : {name}; END_VAR VAR_OUTPUT q : BOOL; END_VAR", "x(IN := TRUE, PT := T#5s); q := x.Q;")
        == []
    )


# ── declarations (6.4.4, 6.5) ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TYPE A : INT (0..10) := 11; END_TYPE", ["ST0311"]),
        ("TYPE A : INT (10..0); END_TYPE", ["ST0313"]),
        ("TYPE A : SINT (0..200); END_TYPE", ["ST0313"]),
        ("TYPE A : (x, y, x); END_TYPE", ["ST0202"]),
        ("TYPE A : SINT (x := 127, y); END_TYPE", ["ST0311"]),
        ("TYPE A : STRUCT a : INT; A : REAL; END_STRUCT; END_TYPE", ["ST0202"]),
        ("TYPE A : ARRAY [0..1] OF B; B : STRUCT a : A; END_STRUCT; END_TYPE", ["ST0207"]),
        ("TYPE A : B; B : A; END_TYPE", ["ST0207"]),
        ("TYPE A : STRING[0]; END_TYPE", ["ST0313"]),
        ("TYPE A : ARRAY [0..100000, 0..100000] OF INT; END_TYPE", ["ST0313"]),
        ("TYPE A : REF_TO A; END_TYPE", ["ST0207"]),
        ("TYPE A : Nope; END_TYPE", ["ST0201"]),
        ("TYPE A : (x := 1 + 1, y := x * 3, z); END_TYPE", []),
        ("VAR_GLOBAL CONSTANT n : INT := m; m : INT := 3; END_VAR TYPE A : ARRAY [0..n] OF INT; END_TYPE", []),
        ("VAR_GLOBAL CONSTANT n : INT := m; m : INT := n; END_VAR", ["ST0207"]),
        ("VAR_GLOBAL x : INT; X : REAL; END_VAR", ["ST0202"]),
        ("VAR_GLOBAL a : ARRAY [1..3] OF INT := [1, 2(5)]; END_VAR", []),
        ("VAR_GLOBAL a : ARRAY [1..3] OF INT := [1, 3(5)]; END_VAR", ["ST0317"]),
        ("VAR_GLOBAL a : ARRAY [1..2, 1..2] OF INT := [[1, 2], [3, 4]]; END_VAR", []),
        ("VAR_GLOBAL a : INT := [1]; END_VAR", ["ST0317"]),
        ("VAR_GLOBAL a : ARRAY [*] OF INT; END_VAR", ["ST0313"]),
        ("VAR_GLOBAL t : TON := (PT := T#5s); END_VAR", []),
        ("VAR_GLOBAL t : TON := (PX := T#5s); END_VAR", ["ST0203"]),
        ("VAR_GLOBAL t : TON(PT := 5); END_VAR", ["ST0300"]),
        ("TYPE P : STRUCT x : INT; END_STRUCT; END_TYPE VAR_GLOBAL v : P := (x := 1, x := 2); END_VAR", ["ST0404"]),
        ("TYPE P : STRUCT x : INT; END_STRUCT; C EXTENDS P : STRUCT y : INT; END_STRUCT; END_TYPE "
         "VAR_GLOBAL v : C := (x := 1, y := 2); END_VAR", []),
        ("FUNCTION f : INT VAR_GLOBAL x : INT; END_VAR f := 1; END_FUNCTION", ["ST0208"]),
        ("FUNCTION f : INT VAR f : INT; END_VAR f := 1; END_FUNCTION", ["ST0202"]),
        ("PROGRAM p END_PROGRAM PROGRAM P END_PROGRAM", ["ST0202"]),
        ("FUNCTION_BLOCK a VAR b : a; END_VAR END_FUNCTION_BLOCK", ["ST0207", "ST0801"]),
        ("FUNCTION_BLOCK a VAR x : INT R_EDGE; END_VAR x := 1; END_FUNCTION_BLOCK", ["ST0300"]),
    ],
)  # fmt: skip
def test_6_4_and_6_5_declarations(text: str, found: list[str]) -> None:
    assert [one.code for one in analyse([Source("test.st", text)]).diagnostics] == found


# ── names (6.1.2, 6.5.2.2, 6.6.4) ───────────────────────────────────────────────────────────────────
def test_6_1_2_case_of_letters_does_not_matter() -> None:
    assert (
        codes("VAR_INPUT Speed : REAL; END_VAR VAR_OUTPUT out : REAL; END_VAR", "OUT := SPEED + speed;") == []
    )


def test_the_nearest_name_is_offered() -> None:
    (one,) = analyse(
        [Source("t.st", "FUNCTION f : REAL VAR_INPUT level : REAL; END_VAR f := levle; END_FUNCTION")]
    ).diagnostics
    assert one.mend == "did you mean level?"


def test_an_inner_name_hides_a_global_one() -> None:
    text = "VAR_GLOBAL x : STRING; END_VAR FUNCTION f : INT VAR_INPUT x : INT; END_VAR f := x; END_FUNCTION"
    assert problems(text) == []
    assert problems(text.replace("f := x", "f := LEN(.x)")) == []


def test_6_6_4_namespaces_nest_and_are_used() -> None:
    text = """
    NAMESPACE A.B FUNCTION f : INT f := 1; END_FUNCTION END_NAMESPACE
    NAMESPACE A NAMESPACE C FUNCTION g : INT g := B.f() + A.B.f(); END_FUNCTION END_NAMESPACE END_NAMESPACE
    FUNCTION h : INT USING A.B; h := f() + A.C.g(); END_FUNCTION
    FUNCTION k : INT k := f(); END_FUNCTION
    """
    assert problems(text) == ["ST0200 5"]


def test_enumeration_values_by_bare_name_by_type_and_by_what_is_expected() -> None:
    text = """
    TYPE Pump : (Off, On); Lamp : (Off, Dim); END_TYPE
    FUNCTION f : INT
        VAR_INPUT pump_in : Pump; lamp_in : Lamp; END_VAR
        IF pump_in = Off AND lamp_in = Off AND Pump#On = pump_in AND lamp_in <> Lamp.Dim THEN f := 1; END_IF;
        CASE lamp_in OF Off: f := 2; Dim: f := 3; END_CASE;
        IF pump_in = Dim THEN f := 4; END_IF;
    END_FUNCTION
    """
    assert problems(text) == ["ST0301 7"]


def test_qualified_only_enumerations_need_their_type() -> None:
    text = "{attribute 'qualified_only'}\nTYPE E : (a, b); END_TYPE\nFUNCTION f : E f := a; END_FUNCTION"
    assert problems(text) == ["ST0200 3"]
    assert problems(text.replace("f := a", "f := E.a")) == []


def test_global_lists_go_by_the_name_of_their_file() -> None:
    listed = Source("lib/GVL.st", "{attribute 'qualified_only'} VAR_GLOBAL limit : INT; END_VAR")
    user = Source("main.st", "FUNCTION f : INT f := GVL.limit; END_FUNCTION")
    assert analyse([listed, user]).diagnostics == ()


def test_6_5_2_2_externals_are_their_globals() -> None:
    text = "VAR_GLOBAL CONSTANT n : INT := 3; END_VAR\nFUNCTION f : INT\nVAR_EXTERNAL CONSTANT n : INT; END_VAR\n"
    assert problems(text + "f := n; END_FUNCTION") == []
    assert problems(text + "n := 1; f := n; END_FUNCTION") == ["ST0303 4"]
    assert problems(text + "CASE f OF n: f := 1; END_CASE; END_FUNCTION") == []
    assert problems(text.replace("n : INT; END_VAR\n", "m : INT; END_VAR\n") + "f := 1; END_FUNCTION") == [
        "ST0206 3"
    ]


# ── calls (6.6.1.4, 6.6.3) ──────────────────────────────────────────────────────────────────────────
FUNCTION = """
FUNCTION f : INT
    VAR_INPUT x : INT; y : INT := 5; END_VAR
    VAR_OUTPUT z : INT; END_VAR
    VAR_IN_OUT u : INT; END_VAR
    f := x + y; z := u; u := u + 1;
END_FUNCTION
FUNCTION nothing VAR_INPUT x : INT; END_VAR RETURN; END_FUNCTION
"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("i := f(x := 1, y := 2, z => j, u := k);", []),
        ("i := f(1, 2, j, k);", []),
        ("i := f(1, u := k);", []),
        ("i := f(x := 1, u := k, z =>);", []),
        ("i := f(x := 1);", ["ST0402"]),
        ("i := f(1, 2, j, k, 5);", ["ST0403"]),
        ("i := f(x := 1, u := 3);", ["ST0406"]),
        ("i := f(x := 1, u := r);", ["ST0406"]),
        ("i := f(x := 1.5, u := k);", ["ST0300"]),
        ("i := f(x := 1, z := j, u := k);", ["ST0407"]),
        ("i := f(x => j, u := k);", ["ST0407"]),
        ("i := f(x := 1, v := 2, u := k);", ["ST0401"]),
        ("i := f(x := 1, x := 2, u := k);", ["ST0404"]),
        ("i := f(x := 1, 2, u := k);", ["ST0405"]),
        ("i := f(x := 1, z => b, u := k);", ["ST0300"]),
        ("i := nothing(1);", ["ST0315"]),
        ("nothing(1);", []),
        ("f(1, 2, j, k);", []),
        ("i();", ["ST0400"]),
        ("fb();", ["ST0400"]),
    ],
)
def test_6_6_1_4_calls(statement: str, found: list[str]) -> None:
    assert codes("VAR_INPUT i, j, k : INT; r : REAL; b : BOOL; END_VAR", statement, before=FUNCTION) == found


def test_arguments_of_what_can_not_be_called_are_checked_too() -> None:
    assert body("nowhere(nothing, i, x := neither);") == ["ST0200"] * 3
    assert body("i(nothing);") == ["ST0400", "ST0200"]


def test_all_missing_arguments_are_said_at_once() -> None:
    text = "FUNCTION g : INT VAR_INPUT x, y : INT; END_VAR g := x + y; END_FUNCTION "
    text += "FUNCTION f : INT f := g(); END_FUNCTION"
    (one,) = analyse([Source("t.st", text)]).diagnostics
    assert one.message == "g needs x and y"


def test_6_6_3_blocks_keep_their_outputs_to_themselves() -> None:
    before = (
        "FUNCTION_BLOCK g VAR_INPUT x : INT; END_VAR VAR_OUTPUT y : INT; END_VAR y := x; END_FUNCTION_BLOCK"
    )
    declared = "VAR inner : g; END_VAR VAR_OUTPUT q : INT; END_VAR"
    assert codes(declared, "inner.x := 3; inner(); q := inner.y;", before) == []
    assert codes(declared, "inner.y := 3; q := inner.y;", before) == ["ST0303"]
    assert codes(declared, "q := inner();", before) == ["ST0408"]


# ── blocks, classes, interfaces (6.6.5 to 6.6.7) ────────────────────────────────────────────────────
BASE = """
INTERFACE IRun METHOD Run : BOOL VAR_INPUT speed : INT; END_VAR END_METHOD END_INTERFACE
FUNCTION_BLOCK ABSTRACT Base IMPLEMENTS IRun
    VAR_INPUT enable : BOOL; END_VAR
    VAR count : INT; END_VAR
    VAR PUBLIC open : INT; END_VAR
    METHOD PUBLIC Run : BOOL VAR_INPUT speed : INT; END_VAR count := speed; Run := enable; END_METHOD
    METHOD PUBLIC ABSTRACT Stop END_METHOD
    METHOD PRIVATE Hidden count := 0; END_METHOD
    METHOD PROTECTED Inner Hidden(); END_METHOD
    METHOD PUBLIC FINAL Last count := 1; END_METHOD
    PROPERTY PUBLIC Level : INT GET Level := count; END_GET SET count := Level; END_SET END_PROPERTY
    PROPERTY PUBLIC Fixed : INT GET Fixed := 1; END_GET END_PROPERTY
END_FUNCTION_BLOCK
FUNCTION_BLOCK Child EXTENDS Base
    METHOD PUBLIC OVERRIDE Stop SUPER.Inner(); count := 2; THIS.Last(); END_METHOD
END_FUNCTION_BLOCK
"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("child(enable := b); b := child.Run(speed := 3);", []),
        ("runner := child; b := runner.Run(3);", []),
        ("child.Level := 3; i := child.Level + child.Fixed;", []),
        ("child.Fixed := 3;", ["ST0303"]),
        ("i := child.open;", []),
        ("i := child.count;", ["ST0204"]),
        ("child.Hidden();", ["ST0204"]),
        ("child.Inner();", ["ST0204"]),
        ("child.Rnu(3);", ["ST0203"]),
        ("runner.Stop();", ["ST0203"]),
        ("b := runner <> NULL;", []),
        ("IF runner = 0 THEN runner := 0; END_IF; RETURN(runner = 0);", []),
        ("RETURN(i);", ["ST0302"]),
        ("runner := NULL;", []),
        ("child := runner;", ["ST0300"]),
        ("runner ?= child;", []),
        ("i ?= child;", ["ST0301"]),
        ("runner();", ["ST0400"]),
        ("i := child.Run;", ["ST0315"]),
        ("SUPER();", ["ST0314"]),
    ],
)
def test_6_6_5_members(statement: str, found: list[str]) -> None:
    declared = "VAR child : Child; runner : IRun; END_VAR VAR_INPUT b : BOOL; i : INT; END_VAR"
    used = "child(); runner := child;"
    assert codes(declared, used + statement, before=BASE) == found


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("FUNCTION_BLOCK X EXTENDS Base END_FUNCTION_BLOCK", ["ST0501"]),
        ("FUNCTION_BLOCK X IMPLEMENTS IRun END_FUNCTION_BLOCK", ["ST0501"]),
        ("FUNCTION_BLOCK ABSTRACT X IMPLEMENTS IRun END_FUNCTION_BLOCK", []),
        ("FUNCTION_BLOCK X EXTENDS IRun END_FUNCTION_BLOCK", ["ST0503"]),
        ("FUNCTION_BLOCK X IMPLEMENTS Child END_FUNCTION_BLOCK", ["ST0503"]),
        ("FUNCTION_BLOCK X EXTENDS X END_FUNCTION_BLOCK", ["ST0207"]),
        (
            "FUNCTION_BLOCK X EXTENDS Child METHOD Last x(); END_METHOD METHOD x END_METHOD END_FUNCTION_BLOCK",
            ["ST0502"],
        ),
        ("FUNCTION_BLOCK X EXTENDS Child METHOD OVERRIDE Sotp END_METHOD END_FUNCTION_BLOCK", ["ST0502"]),
        (
            "FUNCTION_BLOCK X EXTENDS Child METHOD Stop : INT Stop := 1; END_METHOD END_FUNCTION_BLOCK",
            ["ST0502"],
        ),
        (
            "FUNCTION_BLOCK X EXTENDS Child VAR count : INT; END_VAR count := 1; END_FUNCTION_BLOCK",
            ["ST0202"],
        ),
        ("FUNCTION_BLOCK X METHOD ABSTRACT m END_METHOD END_FUNCTION_BLOCK", ["ST0505", "ST0501"]),
        ("FUNCTION_BLOCK ABSTRACT X METHOD ABSTRACT m RETURN; END_METHOD END_FUNCTION_BLOCK", ["ST0505"]),
        ("CLASS X METHOD m : INT m := 1; END_METHOD END_CLASS", []),
        ("FUNCTION_BLOCK X VAR b : Base; END_VAR b(); END_FUNCTION_BLOCK", ["ST0500"]),
    ],
)
def test_6_6_5_to_6_6_7_promises(block: str, found: list[str]) -> None:
    assert sorted(problem[:6] for problem in problems(BASE + block)) == sorted(found)


def test_6_6_6_properties_that_an_interface_promises_have_the_same_accessors() -> None:
    promised = "INTERFACE I PROPERTY p : INT GET END_GET SET END_SET END_PROPERTY END_INTERFACE\n"
    getter = "GET p := x; END_GET"
    block = f"FUNCTION_BLOCK b IMPLEMENTS I VAR x : INT; END_VAR PROPERTY p : INT {getter} ? END_PROPERTY "
    block += "END_FUNCTION_BLOCK"
    assert problems(promised + block.replace("?", "SET x := p; END_SET")) == []
    assert problems(promised + block.replace("?", "")) == ["ST0501 2"]
    assert problems(promised + block.replace(getter, "SET x := p; END_SET").replace("?", "")) == ["ST0501 2"]
    assert problems(promised.replace("SET END_SET ", "") + block.replace("?", "")) == []


# ── references of vendors ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ptr := ADR(bytes); byt := ptr^; ptr := ptr + 1;", []),
        ("byt := ptr[3];", []),
        ("IF ptr <> 0 THEN ptr := 0; END_IF;", []),
        ("IF ptr <> 5 THEN ptr := NULL; END_IF;", ["ST0301"]),
        ("ptr := 5;", ["ST0300"]),
        ("link REF= byt; link := 5; byt := link + 1;", ["ST0805"]),
        ("IF __ISVALIDREF(link) THEN link := byt; END_IF;", []),
        ("any := ADR(i); ptr := any;", []),
        ("byt REF= byt;", ["ST0306"]),
        ("link REF= i;", ["ST0300"]),
        ("di := ptr - ptr;", ["ST0300"]),
    ],
)
def test_pointers_and_references_as_libraries_use_them(statement: str, found: list[str]) -> None:
    declared = """
    VAR_INPUT ptr : POINTER TO BYTE; link : REFERENCE TO BYTE; byt : BYTE; i : INT; di : DINT; any : PVOID; END_VAR
    VAR PUBLIC bytes : ARRAY [0..7] OF BYTE; END_VAR
    """
    assert codes(declared, statement) == found


# ── warnings ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FUNCTION f : INT VAR x : INT; END_VAR f := 1; END_FUNCTION", ["ST0801 1"]),
        ("FUNCTION f : INT VAR x : INT; END_VAR x := 1; f := x; END_FUNCTION", []),
        ("FUNCTION f : INT VAR_TEMP x : INT; END_VAR f := x; END_FUNCTION", ["ST0803 1"]),
        ("FUNCTION f : INT VAR_TEMP x : INT := 3; END_VAR f := x; END_FUNCTION", []),
        ("FUNCTION f : INT VAR_INPUT c : BOOL; END_VAR VAR_TEMP x : INT; END_VAR\n"
         "IF c THEN x := 1; END_IF; f := x; END_FUNCTION", []),
        ("FUNCTION f : INT VAR p : REF_TO INT; END_VAR f := p^; END_FUNCTION", ["ST0803 1"]),
        ("FUNCTION g VAR_IN_OUT a : INT; END_VAR a := 1; END_FUNCTION\n"
         "FUNCTION f : INT VAR_TEMP x : INT; END_VAR g(x); f := x; END_FUNCTION", []),
        ("FUNCTION g VAR_INPUT a : INT; END_VAR RETURN; END_FUNCTION\n"
         "FUNCTION f : INT VAR_TEMP x : INT; END_VAR g(x); f := x; END_FUNCTION", ["ST0803 2"]),
        ("FUNCTION g VAR_OUTPUT a : INT; END_VAR a := 1; END_FUNCTION\n"
         "FUNCTION f : INT VAR_TEMP x : INT; END_VAR g(a => x); f := x; END_FUNCTION", []),
        ("FUNCTION f : INT VAR_TEMP x, i : INT; END_VAR\n"
         "FOR i := 1 TO 3 DO f := f + x; x := i; END_FOR; END_FUNCTION", []),
        ("FUNCTION f : INT VAR_TEMP a : ARRAY [0..1] OF INT; END_VAR a[0] := 1; f := a[0]; END_FUNCTION", []),
        ("FUNCTION f : INT f := g(); END_FUNCTION\nFUNCTION g : INT g := f(); END_FUNCTION", ["ST0504 2"]),
        ("FUNCTION_BLOCK b METHOD m : INT m := m(); END_METHOD END_FUNCTION_BLOCK", ["ST0504 1"]),
    ],
)  # fmt: skip
def test_warnings_about_whole_units(text: str, found: list[str]) -> None:
    assert problems(text) == found


def test_a_variable_written_by_two_programs_through_a_function_is_found() -> None:
    text = """
    VAR_GLOBAL valve : BOOL; END_VAR
    FUNCTION close valve := FALSE; END_FUNCTION
    PROGRAM a valve := TRUE; END_PROGRAM
    PROGRAM b close(); END_PROGRAM
    """
    assert problems(text) == ["ST0810 3"]


# ── charts and configurations (6.7, 6.8) ────────────────────────────────────────────────────────────
CHART = """
PROGRAM p
    VAR_INPUT go : BOOL; END_VAR
    VAR_OUTPUT out : BOOL; n : INT; END_VAR
    INITIAL_STEP A: out(N); END_STEP
    STEP B: Count(P); END_STEP
    TRANSITION FROM A TO B := go AND A.T > T#1s; END_TRANSITION
    TRANSITION FROM B TO A := B.X; END_TRANSITION
    ACTION Count: n := n + 1; END_ACTION
END_PROGRAM
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("A.T", "A.T", []),
        ("TO B", "TO C", ["ST0600 7"]),
        ("INITIAL_STEP A", "STEP A", ["ST0601 5"]),
        ("STEP B", "INITIAL_STEP B", ["ST0601 6"]),
        ("Count(P)", "Cuont(P)", ["ST0602 6"]),
        ("out(N)", "n(N)", ["ST0602 5"]),
        ("B.X", "n", ["ST0302 8"]),
        ("B.X", "B.Y", ["ST0203 8"]),
        ("out(N)", "out(L, 5)", ["ST0300 5"]),
        ("out(N)", "out(N, go)", []),
        ("out(N)", "out(, go)", []),
        ("out(N)", "out()", []),
        ("out(N)", "out(N, n)", ["ST0300 5"]),
        ("out(N)", "out(N, gone)", ["ST0200 5"]),
        ("out(N)", "out(L, T#1s); out(D, T#1s)", ["ST0604 5"]),
        ("FROM B TO A", "FROM B TO B", []),
        ("FROM A TO B", "FROM A TO (A, B)", ["ST0603 7", "ST0603 8"]),
        ("FROM A TO B", "FROM A TO A", ["ST0811 6"]),
        ("n := n + 1;", "IF Count.Q THEN n := n + 1; END_IF;", []),
        ("n := n + 1;", "n := n + 1; Count.Q := TRUE;", ["ST0303 9"]),
        ("n := n + 1;", "n := n + 1; B.X := TRUE;", ["ST0303 9"]),
        ("n := n + 1;", "IF Count.Z THEN n := n + 1; END_IF;", ["ST0203 9"]),
    ],
)
def test_6_7_charts(old: str, new: str, found: list[str]) -> None:
    assert problems(CHART.replace(old, new, 1)) == found


CONFIGURATION = """
PROGRAM Main VAR_INPUT x : INT; END_VAR VAR_OUTPUT y : INT; z : BOOL; END_VAR y := x; END_PROGRAM
CONFIGURATION c
    VAR_GLOBAL g : INT; END_VAR
    RESOURCE r ON PLC
        TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
        PROGRAM p WITH fast : Main (x := 3, y => g);
    END_RESOURCE
    VAR_CONFIG r.p.z AT %QX0.0 : BOOL; END_VAR
END_CONFIGURATION
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("x := 3", "x := 3", []),
        ("WITH fast", "WITH slow", ["ST0610 7"]),
        (": Main", ": Mian", ["ST0201 7"]),
        ("T#10ms", "10", ["ST0611 6"]),
        ("INTERVAL", "INTERVALL", ["ST0611 6"]),
        ("x := 3", "x := 3.5", ["ST0300 7"]),
        ("x := 3", "w := 3", ["ST0401 7"]),
        ("y => g", "y := g", ["ST0407 7"]),
        ("r.p.z", "r.p.q", ["ST0203 9"]),
        ("r.p.z", "r.q.z", ["ST0610 9"]),
        ("%QX0.0 : BOOL", "%QX0.0 : INT", ["ST0300 9"]),
    ],
)
def test_6_8_configurations(old: str, new: str, found: list[str]) -> None:
    assert problems(CONFIGURATION.replace(old, new, 1))[: max(1, len(found))] == found


TEMPLATE = """
FUNCTION_BLOCK Base
    METHOD PUBLIC run : INT run := step() + 1; END_METHOD
    METHOD PROTECTED step : INT step := 1; END_METHOD
END_FUNCTION_BLOCK
FUNCTION_BLOCK Derived EXTENDS Base
    METHOD PROTECTED OVERRIDE step : INT step := 2; END_METHOD
END_FUNCTION_BLOCK
"""


def test_6_6_1_a_circle_through_an_overriding_method_is_recursion() -> None:
    assert problems(TEMPLATE) == []
    assert problems(TEMPLATE.replace("step := 2;", "step := run();")) == ["ST0504 7"]
    assert problems(TEMPLATE.replace("step := 2;", "step := SUPER^.step();")) == []
