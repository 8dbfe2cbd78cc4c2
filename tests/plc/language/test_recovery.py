"""Faults: all of a file in one run, each once, each where it is."""

from __future__ import annotations

import pytest

from plc.language.diagnostics import Diagnostics, as_json, as_text
from plc.language.parser import parse
from plc.language.source import Source


def faults(text: str) -> list[str]:
    diagnostics = Diagnostics()
    parse(Source("test.st", text), diagnostics)
    return [f"{one.code} {one.span.position.line}:{one.span.position.column}" for one in diagnostics.found]


def program(body: str) -> str:
    return f"PROGRAM p\n{body}\nEND_PROGRAM\n"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("a := 1\nb := 2;", ["ST0111 2:6"]),
        ("a := ;\nb := 2;", ["ST0110 2:6"]),
        ("a = 3;", ["ST0115 2:3"]),
        ("IF a := 3 THEN b := 1; END_IF;", ["ST0116 2:6"]),
        ("IF a THEN b := 1; END_IF\nc := 1;", ["ST0150 2:19"]),
        ("IF a THEN b := 1;", ["ST0112 2:1"]),
        ("b := 1; END_IF;", ["ST0113 2:9"]),
        ("WHILE a DO b := 1; END_FOR;\nc := 2;", ["ST0112 2:20"]),
        ("a + 1;", ["ST0117 2:1"]),
        ("a;", ["ST0117 2:1"]),
        ("a b c;\nd := 1;", ["ST0110 2:3"]),
        ("f(a, , b);", ["ST0110 2:6"]),
        ("f(a;\nc := 1;", ["ST0110 2:4"]),
        ("a := (b + ;\nc := 1;", ["ST0110 2:11"]),
        ("a := 16#FG;", ["ST0103 2:6"]),
        ("a := T#5x;", ["ST0104 2:6"]),
        ("a := 'x$Q';", ["ST0105 2:6"]),
        ("a := %ZX1;", ["ST0118 2:6"]),
        ("ELSE a := 1;", ["ST0113 2:1"]),
        ("IF a THEN b := 1; ELSE IF c THEN b := 2; END_IF;", ["ST0110 2:19"]),
        ("IF a THEN b := 1; ELSE IF c THEN b := 2; END_IF; END_IF;", []),
        ("CASE a OF 1: b := 1;", ["ST0112 2:1"]),
        ("FOR i = 1 TO 3 DO a := i; END_FOR;", ["ST0115 2:7"]),
        ("a := b := c;", ["ST0812 2:1"]),
        ("REPEAT a := 1; END_REPEAT;", ["ST0112 2:1"]),
    ],
)
def test_one_fault_is_said_once(body: str, found: list[str]) -> None:
    assert faults(program(body)) == found


def test_every_fault_of_a_file_is_found_in_one_run() -> None:
    text = program("a := ;\nb := 1\nc := 16#Z;\nIF d THEN e := 1;\n") + program("x y;\nz == 1;")
    assert [fault[:6] for fault in faults(text)] == [
        "ST0110",
        "ST0111",
        "ST0103",
        "ST0112",
        "ST0110",
        "ST0115",
    ]


def test_a_reserved_word_as_a_variable_is_one_fault_however_often_it_is_used() -> None:
    body = "VAR to : INT; END_VAR\n" + "to := to + 1;\n" * 50 + "IF to > 3 THEN f(to); END_IF;"
    assert faults(program(body)) == ["ST0106 2:5"]


def test_a_fault_in_a_unit_leaves_the_next_unit_readable() -> None:
    assert faults("PROGRAM ) END_PROGRAM\nPROGRAM q\na = 1;\nEND_PROGRAM") == ["ST0110 1:9", "ST0115 3:3"]


def test_a_lost_end_of_a_unit_is_told_at_the_unit() -> None:
    assert faults("FUNCTION_BLOCK a\nx := 1;\nPROGRAM b\ny := 1;\nEND_PROGRAM") == ["ST0112 1:1"]


def test_a_declaration_that_can_not_be_read_leaves_the_others() -> None:
    text = "PROGRAM p VAR\na : ;\nb INT;\nc : ARRAY [1.3] OF INT;\nd : INT;\nEND_VAR END_PROGRAM"
    assert faults(text) == ["ST0110 2:5", "ST0110 3:3", "ST0110 4:15"]


@pytest.mark.parametrize(
    "text", ["(" * 3000, "NOT " * 3000, "IF a THEN " * 3000, "f(" * 3000, "a." * 3000, "[" * 3000]
)
def test_nesting_has_a_limit(text: str) -> None:
    assert faults(program(f"x := {text}"))
    assert faults(program(text))


def test_a_long_sum_has_a_limit() -> None:
    assert faults(program("x := " + " + ".join(["a"] * 100) + ";")) == []
    assert faults(program("x := " + " + ".join(["a"] * 1000) + ";")) == ["ST0114 2:608"]


def test_the_text_form_shows_the_line_with_a_caret() -> None:
    diagnostics = Diagnostics()
    parse(Source("site/main.st", program("\tIF a := 3 THEN b := 1; END_IF;")), diagnostics)
    assert as_text(diagnostics.found[0]) == (
        "site/main.st:2:7: error ST0116: := assigns; a comparison is written =\n"
        "    2 |     IF a := 3 THEN b := 1; END_IF;\n"
        "      |          ^^\n"
        "  mend: write ="
    )


def test_the_json_form_has_the_same_facts() -> None:
    diagnostics = Diagnostics()
    parse(Source("main.st", program("a = 3;")), diagnostics)
    assert as_json(diagnostics.found[0]) == {
        "code": "ST0115",
        "severity": "error",
        "message": "= compares; an assignment is written :=",
        "mend": "write :=",
        "file": "main.st",
        "line": 2,
        "column": 3,
        "end_line": 2,
        "end_column": 4,
        "related": [],
    }
