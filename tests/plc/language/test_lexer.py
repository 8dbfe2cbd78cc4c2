"""Tokens (IEC 61131-3 6.1 to 6.3)."""

from __future__ import annotations

import pytest

from plc.language.diagnostics import Diagnostics
from plc.language.lexer import lex
from plc.language.source import Source


def kinds(text: str) -> list[str]:
    diagnostics = Diagnostics()
    tokens = lex(Source("test.st", text), diagnostics)
    assert diagnostics.found == []
    return tokens.kinds[:-1]


def faults(text: str) -> list[str]:
    diagnostics = Diagnostics()
    lex(Source("test.st", text), diagnostics)
    return [f"{one.code} {one.span.position.line}:{one.span.position.column}" for one in diagnostics.found]


@pytest.mark.parametrize("word", ["if", "If", "IF"])
def test_6_1_2_letter_case_of_reserved_words_does_not_matter(word: str) -> None:
    assert kinds(word) == ["IF"]


@pytest.mark.parametrize("word", ["DT", "TOD", "T", "step", "Task", "INT", "method", "on", "R_EDGE", "größe"])
def test_6_1_2_words_without_a_fixed_place_are_names(word: str) -> None:
    assert kinds(word) == ["name"]


def test_6_1_5_comments_nest() -> None:
    assert kinds("a (* one (* two *) still *) b") == ["name", "name"]
    assert kinds("a /* one /* two */ still */ b // c") == ["name", "name"]


def test_6_1_5_a_comment_without_end_is_told_where_it_begins() -> None:
    assert faults("a := 1;\n  (* never (* closed *)") == ["ST0101 2:3"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-12", ["-", "integer"]),
        ("1_000", ["integer"]),
        ("2#1111_0000", ["integer"]),
        ("16#Ff", ["integer"]),
        ("1.5E-3", ["real"]),
        ("1E6", ["real"]),
        ("1..5", ["integer", "..", "integer"]),
        ("INT#16#7F", ["type prefix", "integer"]),
        ("T#1d2h_3.5m", ["duration"]),
        ("LTIME#-5us", ["duration"]),
        ("D#2026-03-29", ["date"]),
        ("LTOD#06:30:00.25", ["time of day"]),
        ("DATE_AND_TIME#2026-03-29-06:30:00", ["date and time"]),
        ("'a $'quoted$' b'", ["string"]),
        ('"wide"', ["wide string"]),
        ("%IX0.0", ["address"]),
        ("w.%B1", ["name", ".", "address"]),
        ("a**b", ["name", "**", "name"]),
        ("T#5s-T#3s", ["duration", "-", "duration"]),
    ],
)
def test_6_3_literals_and_operators_are_single_tokens(text: str, kind: list[str]) -> None:
    assert kinds(text) == kind


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a := 'open\nb", ["ST0102 1:6"]),
        ("a != b", ["ST0100 1:3"]),
        ("T#", ["ST0104 1:1"]),
        ("{attribute 'x'", ["ST0101 1:1"]),
        ("D#2026-3", ["ST0104 1:1"]),
    ],
)
def test_what_is_no_token_is_located(text: str, fault: list[str]) -> None:
    assert faults(text) == fault
