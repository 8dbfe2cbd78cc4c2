"""``tieline plc fmt``: the same program, one layout, every comment kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plc.language.ast import same_tree
from plc.language.diagnostics import Diagnostics
from plc.language.formatter import format_source
from plc.language.parser import Parsed, parse
from plc.language.source import Source

SNIPPETS = sorted((Path(__file__).parent / "snippets").glob("*.st"))


def read(text: str) -> Parsed:
    diagnostics = Diagnostics()
    parsed = parse(Source("test.st", text), diagnostics)
    assert [str(one) for one in diagnostics.found if one.severity == "error"] == []
    return parsed


def formatted(text: str) -> str:
    return format_source(read(text))


def comments(parsed: Parsed) -> list[list[str]]:
    text = parsed.tokens.source.text
    return [text[one.start : one.end].split() for one in parsed.tokens.trivia]


def assert_kept(text: str) -> None:
    before = read(text)
    once = format_source(before)
    after = read(once)
    assert same_tree(before.file, after.file)
    assert comments(before) == comments(after)
    assert format_source(after) == once


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_a_formatted_file_is_the_same_program_with_all_its_comments(path: Path) -> None:
    assert_kept(path.read_text())


def test_the_layout() -> None:
    text = """
program   Main
var a,b:int:=3; (* start *) t:ton:=(PT:=t#5s);end_var
if a>b then a:=-b**2;// power
elsif not(a=b)then f(1,
x=>b); else
// nothing
; end_if
case a of 1,2..5:b:=1; 3:b:=2;a:=b;end_case;
p^.q[1,2].3:=w.%X1;z s=true;


for i:=10 to 1 by-1 do exit;end_for;
end_program
"""
    assert formatted(text) == (
        """PROGRAM Main
    VAR
        a, b : INT := 3;  (* start *)
        t : ton := (PT := t#5s);
    END_VAR
    IF a > b THEN
        a := -b ** 2;  // power
    ELSIF NOT (a = b) THEN
        f(1,
            x => b);
    ELSE
        // nothing
        ;
    END_IF;
    CASE a OF
        1, 2..5: b := 1;
        3:
            b := 2;
            a := b;
    END_CASE;
    p^.q[1, 2].3 := w.%X1;
    z S= TRUE;

    FOR i := 10 TO 1 BY -1 DO
        EXIT;
    END_FOR;
END_PROGRAM
"""
    )


SPACES = st.sampled_from(
    [" ", "\n", "  ", "\t", "\n\n\n", " (* c *) ", " // d\n", "\n(* e\n   f *)\n", " {p} "]
)


@settings(deadline=None)  # a long text on a busy machine
@given(data=st.data(), path=st.sampled_from(SNIPPETS))
def test_any_spacing_and_any_comments_give_the_same_program(data: st.DataObject, path: Path) -> None:
    tokens = read(path.read_text()).tokens
    words = [tokens.source.text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]
    first = data.draw(st.integers(0, max(0, len(words) - 30)))
    pieces: list[str] = []
    for index, word in enumerate(words):
        near = first <= index < first + 30
        tight = index > 0 and (
            tokens.kinds[index - 1] == "type prefix"
            or (tokens.kinds[index] == "=" and words[index - 1].upper() in ("S", "R", "REF"))
        )
        pieces.append("" if tight else data.draw(SPACES) if near else " ")
        pieces.append(word)
    assert_kept("".join(pieces))
