# ruff: noqa: E501  # lines of Structured Text
"""What existing sources rely on and the standard does not have: it runs here as in the vendors' tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from plc.bench import Bench
from plc.compiler.build import build
from plc.compiler.refusals import CompileFault
from plc.language.analysis import source_of
from plc.language.source import Source

WRAPPED = """<?xml version="1.0" encoding="utf-8"?>
<TcPlcObject Version="1.1.0.1">
  <POU Name="unit" Id="{{1}}">
    <Declaration><![CDATA[{declaration}
]]></Declaration>
    <Implementation>
      <ST><![CDATA[{body}]]></ST>
    </Implementation>
    {members}
  </POU>
</TcPlcObject>
"""


def twincat(declaration: str, body: str, members: str = "", library: str = "") -> Source:
    text = WRAPPED.format(declaration=declaration, body=body, members=members)
    return source_of("unit.TcPOU", text, library)


def run(*sources: Source) -> Bench:
    bench = Bench(build(sources))
    bench.scan()
    return bench


def codes(bench_or_fault: CompileFault) -> list[str]:
    return [one.code for one in bench_or_fault.diagnostics if one.severity == "error"]


STARTED = """
FUNCTION_BLOCK Base
VAR a : INT := 3; END_VAR
VAR_OUTPUT o : INT; END_VAR
METHOD FB_init : BOOL
VAR_INPUT bInitRetains, bInCopyCode : BOOL; seed : INT; END_VAR
a := a + seed + SEL(bInitRetains AND NOT bInCopyCode, 1000, 0);
END_METHOD
o := a;
END_FUNCTION_BLOCK
FUNCTION_BLOCK Derived EXTENDS Base
VAR_INPUT i : INT; END_VAR
VAR_OUTPUT b : INT; END_VAR
METHOD FB_init : BOOL
VAR_INPUT bInitRetains, bInCopyCode : BOOL; other : INT := 7; END_VAR
b := SUPER^.a + other;
END_METHOD
o := a;
END_FUNCTION_BLOCK
"""


def test_fb_init_runs_with_what_the_declaration_gives_that_of_the_base_first() -> None:
    p = run(
        Source(
            "main.st",
            f"""{STARTED} PROGRAM main VAR x : Base(4); y : Derived(seed := 1) := (i := 5);
            z : ARRAY [1..3] OF Derived[(seed := 10, i := 2), (20, 1), (seed := 30)] := [(i := 8), (i := 9), (b := 6)];
            END_VAR x(); y(); z[1](); z[2](); z[3](); END_PROGRAM""",
        )
    )
    assert (p["main.x.o"], p["main.y.o"], p["main.y.b"], p["main.y.i"]) == (7, 4, 11, 5)
    assert (p["main.z[1].o"], p["main.z[1].b"], p["main.z[1].i"]) == (13, 20, 8)
    assert (p["main.z[2].o"], p["main.z[2].b"], p["main.z[2].i"]) == (23, 24, 9)
    assert (p["main.z[3].o"], p["main.z[3].b"], p["main.z[3].i"]) == (33, 6, 0)


def test_fb_init_without_its_argument_is_said() -> None:
    with pytest.raises(CompileFault, match="FB_init of Base needs seed"):
        build([Source("main.st", f"{STARTED} PROGRAM main VAR x : Base(); END_VAR x(); END_PROGRAM")])


def test_a_declaration_without_arguments_leaves_out_none_that_fb_init_needs() -> None:
    with pytest.raises(CompileFault, match="FB_init of Base needs seed"):
        build([Source("main.st", f"{STARTED} PROGRAM main VAR x : Base; END_VAR x(); END_PROGRAM")])


def test_more_start_values_than_elements_are_said() -> None:
    with pytest.raises(CompileFault, match="2 values for an array of 1"):
        build(
            [
                Source(
                    "main.st",
                    f"{STARTED} PROGRAM main VAR x : ARRAY [1..1] OF Base[(1), (2)]; END_VAR x[1](); END_PROGRAM",
                )
            ]
        )


def test_one_assignment_to_several_targets_goes_from_the_right() -> None:
    p = run(
        Source(
            "main.st", "PROGRAM main VAR a : DINT; b : INT; c : SINT; END_VAR a := b := c := 7; END_PROGRAM"
        )
    )
    assert (p["main.a"], p["main.b"], p["main.c"]) == (7, 7, 7)


def test_a_comma_before_the_closing_parenthesis_of_a_call() -> None:
    p = run(
        Source(
            "main.st",
            "PROGRAM main VAR t : TON; q : BOOL; n : INT; END_VAR t(IN := TRUE, PT := T#0s, Q => q,); n := MAX(1, 2,); END_PROGRAM",
        )
    )
    assert (p["main.q"], p["main.n"]) == (True, 2)


def test_a_string_over_several_lines_keeps_its_line_break() -> None:
    p = run(Source("main.st", "PROGRAM main VAR s : STRING := 'one\n  two'; END_VAR s := s; END_PROGRAM"))
    assert p["main.s"] == "one\n  two"


def test_a_forgotten_quote_is_still_said_on_its_line() -> None:
    with pytest.raises(CompileFault, match="no end on its line"):
        build(
            [Source("main.st", "PROGRAM main VAR s, t : STRING; END_VAR s := 'one;\nt := 'two'; END_PROGRAM")]
        )


def test_an_action_called_with_its_blocks_inputs_and_outputs() -> None:
    p = run(
        Source(
            "main.st",
            """FUNCTION_BLOCK Table VAR_INPUT key : INT; END_VAR VAR_OUTPUT found : INT; END_VAR
            ACTION Lookup: found := key * 2; END_ACTION
            found := -1;
            END_FUNCTION_BLOCK
            PROGRAM main VAR t : ARRAY [0..1] OF Table; n, i : INT := 1; END_VAR
            t[i].Lookup(key := 21, found => n);
            END_PROGRAM""",
        )
    )
    assert (p["main.n"], p["main.t[1].key"], p["main.t[0].key"]) == (42, 21, 0)


def test_an_inherited_action_with_arguments_is_that_of_the_instance() -> None:
    p = run(
        Source(
            "main.st",
            """FUNCTION_BLOCK Base VAR_INPUT k : INT; END_VAR VAR_OUTPUT r : INT; END_VAR
            ACTION Go: r := k + 1; END_ACTION
            END_FUNCTION_BLOCK
            FUNCTION_BLOCK Twice EXTENDS Base
            ACTION Go: r := k * 2; END_ACTION
            END_FUNCTION_BLOCK
            PROGRAM main VAR a : Base; b : Twice; x, y : INT; END_VAR
            a.Go(k := 5, r => x); b.Go(k := 5, r => y);
            END_PROGRAM""",
        )
    )
    assert (p["main.x"], p["main.y"]) == (6, 10)


def test_in_twincats_files_local_variables_and_outputs_of_others_are_open_with_a_warning() -> None:
    tank = "FUNCTION_BLOCK Tank\nVAR level : INT := 4; END_VAR\nVAR_OUTPUT full : BOOL; END_VAR"
    main = "PROGRAM main\nVAR t : Tank; n : INT; END_VAR"
    body = "n := t.level; t.level := 9; t.full := TRUE;"
    p = run(twincat(tank, ""), twincat(main, body))
    assert (p["main.n"], p["main.t.level"], p["main.t.full"]) == (4, 9, True)
    plain = [Source("a.st", f"{tank}\nEND_FUNCTION_BLOCK\n{main}\n{body}\nEND_PROGRAM")]
    with pytest.raises(CompileFault) as raised:
        build(plain)
    assert codes(raised.value) == ["ST0204", "ST0204", "ST0303"]


def test_in_twincats_files_private_stays_private() -> None:
    tank = "FUNCTION_BLOCK Tank\nVAR PRIVATE level : INT; END_VAR"
    with pytest.raises(CompileFault) as raised:
        build([twincat(tank, ""), twincat("PROGRAM main\nVAR t : Tank; n : INT; END_VAR", "n := t.level;")])
    assert codes(raised.value) == ["ST0204"]


def test_in_twincats_files_integers_narrow_and_become_enumerations_with_a_warning() -> None:
    kinds = "TYPE Mode : (Off := 0, Auto := 3) UINT; END_TYPE"
    setter = "FUNCTION_BLOCK Setter\nVAR_IN_OUT mode : UINT; END_VAR\nVAR_OUTPUT o : INT; END_VAR"
    p = run(
        Source("kinds.st", kinds),
        twincat(setter, "mode := 3; o := 3;"),
        twincat(
            "PROGRAM main\nVAR b : BYTE; n : INT := 260; m, k, l : Mode; s : Setter; END_VAR",
            "b := n; s(mode := m, o => k); l := n - 257;",
        ),
    )
    assert (p["main.b"], p["main.m"], p["main.k"], p["main.l"]) == (4, 3, 3, 3)


def test_in_twincats_files_an_action_may_have_a_variables_name() -> None:
    action = """<Action Name="Start" Id="{2}"><Implementation><ST><![CDATA[Start := FALSE;]]></ST></Implementation></Action>"""
    p = run(
        twincat(
            "PROGRAM main\nVAR Start : BOOL := TRUE; n : INT; END_VAR", "IF Start THEN n := 2; END_IF", action
        )
    )
    assert p["main.n"] == 2


def test_whether_an_in_out_was_ever_given() -> None:
    p = run(
        Source(
            "main.st",
            """FUNCTION_BLOCK Row VAR_IN_OUT n : INT; END_VAR
            METHOD Known : BOOL Known := __ISVALIDREF(n); END_METHOD
            n := n + 1;
            END_FUNCTION_BLOCK
            PROGRAM main VAR r : Row; n : INT; before, after : BOOL; END_VAR
            before := r.Known(); r(n := n); after := r.Known();
            END_PROGRAM""",
        )
    )
    assert (p["main.before"], p["main.after"], p["main.n"]) == (False, True, 1)


def test_a_drawn_body_is_refused() -> None:
    text = WRAPPED.format(declaration="FUNCTION_BLOCK Lamp", body="", members="").replace(
        "<ST><![CDATA[]]></ST>", "<CFC />"
    )
    with pytest.raises(CompileFault) as raised:
        build([source_of("lamp.TcPOU", text)])
    assert codes(raised.value) == ["ST0120"]


LIBRARY = """TYPE State : (Idle, Busy); END_TYPE
VAR_GLOBAL CONSTANT limit : INT := 40; END_VAR
FUNCTION Doubled : INT VAR_INPUT n : INT; END_VAR Doubled := 2 * n; END_FUNCTION
FUNCTION_BLOCK Counter VAR_OUTPUT n : INT; END_VAR n := n + Doubled(1); END_FUNCTION_BLOCK
"""


def test_a_librarys_names_are_seen_bare_and_by_its_name_and_give_way_to_the_programs_own(
    tmp_path: Path,
) -> None:
    p = run(
        source_of(str(tmp_path / "Parts.st"), LIBRARY, "Tc9_Parts"),
        Source(
            "main.st",
            """TYPE State : (Other, Idle, Busy); END_TYPE
            FUNCTION Doubled : INT VAR_INPUT n : INT; END_VAR Doubled := 200 * n; END_FUNCTION
            PROGRAM main VAR c : Counter; d : Tc9_Parts.Counter; own, theirs, a, b : INT; s : State := State#Idle; t : INT; END_VAR
            c(); d(); own := Doubled(1); theirs := Tc9_Parts.Doubled(1);
            a := limit; b := Tc9_Parts.Parts.limit; t := s;
            END_PROGRAM""",
        ),
    )
    assert (p["main.c.n"], p["main.d.n"], p["main.own"], p["main.theirs"]) == (2, 2, 200, 2)
    assert (p["main.a"], p["main.b"], p["main.t"]) == (40, 40, 1)


def test_a_start_value_for_a_reference_to_is_the_variable_itself() -> None:
    p = run(
        Source(
            "main.st",
            """FUNCTION_BLOCK User VAR_INPUT r : REFERENCE TO INT; END_VAR r := r + 1; END_FUNCTION_BLOCK
            PROGRAM main VAR n : INT := 5; u : User := (r := n); v : ARRAY [1..1] OF User[(r := n)]; w : REFERENCE TO INT REF= n; END_VAR
            u(); v[1](); w := w + 10;
            END_PROGRAM""",
        )
    )
    assert p["main.n"] == 17
