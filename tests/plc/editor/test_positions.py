"""Places in a text, there and back, in every encoding that the protocol knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types as lsp

from plc.editor.positions import Text, moved
from plc.language.source import Source, Span

# Line ends of the protocol, characters that look like some, and characters of one to four bytes.
TEXTS = st.text(alphabet="ab\n\r\u2028\x0cäß→😀", max_size=40)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 7), ("utf-16", 4), ("utf-32", 3)])
def test_columns_are_code_units(encoding: str, column: int) -> None:
    text = Text("x\n😀äb\n", encoding)
    # 😀 is 4 bytes, 2 units of 16 bits, 1 character; ä is 2, 1, 1; b is one of each
    assert text.position(5) == lsp.Position(1, column)
    assert text.offset(lsp.Position(1, column)) == 5


def test_a_place_inside_a_character_is_its_start() -> None:
    assert Text("😀b", "utf-16").offset(lsp.Position(0, 1)) == 0


def test_places_past_the_end_are_the_end() -> None:
    text = Text("ab\ncd", "utf-16")
    assert text.offset(lsp.Position(0, 99)) == 2
    assert text.offset(lsp.Position(99, 0)) == 5
    assert text.position(99) == lsp.Position(1, 2)


def test_a_span_is_a_range() -> None:
    source = Source("a.st", "😀 ab")
    assert Text(source.text, "utf-16").range(Span(source, 2, 4)) == lsp.Range(
        lsp.Position(0, 3), lsp.Position(0, 5)
    )


@given(TEXTS, ENCODINGS)
def test_every_offset_comes_back(content: str, encoding: str) -> None:
    text = Text(content, encoding)
    for offset in range(len(content) + 1):
        is_between_cr_and_lf = content[offset - 1 : offset + 1] == "\r\n"
        expected = offset - is_between_cr_and_lf
        assert text.offset(text.position(offset)) == expected


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_what_stands_before_and_behind_a_change_is_found_again(
    before: str, old: str, new: str, behind: str
) -> None:
    then, now = (
        f"{before}1{old}{behind}",
        f"{before}2{new}{behind}",
    )  # so that it is clear where the change begins
    assert [moved(offset, now, then) for offset in range(len(before) + 1)] == list(range(len(before) + 1))
    for offset in range(len(now) - len(behind), len(now) + 1):
        assert then[moved(offset, now, then) :] == now[offset:]
