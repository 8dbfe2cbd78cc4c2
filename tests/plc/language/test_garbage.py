"""Whatever the text is: an answer, soon, with a place for every fault, and never a crash."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from plc.language.analysis import analyse
from plc.language.diagnostics import Diagnostics, as_json, as_text
from plc.language.formatter import format_source
from plc.language.lexer import lex
from plc.language.parser import parse
from plc.language.source import Source
from plc.language.tokens import RESERVED

SNIPPETS = [path.read_text() for path in sorted((Path(__file__).parent / "snippets").glob("*.st"))]
SOFT_WORDS = """
    METHOD PROPERTY GET SET ACTION STEP INITIAL_STEP TRANSITION FROM CLASS INTERFACE NAMESPACE USING
    CONFIGURATION RESOURCE TASK ON WITH AT EXTENDS IMPLEMENTS THIS SUPER NULL REF_TO POINTER STRING INT x y S R
"""
SIGNS = """
    ( ) [ ] ; : := = => , . .. ^ + - * / ** < > <> & # %IX0.0 %X1 1 2.5 16#FF T#5s D#2026-01-01 'a' {p} INT# (* ' " {
"""
WORDS = [*sorted(RESERVED), *SOFT_WORDS.split(), *SIGNS.split(), "(* c *)", "// c\n", "\n"]


def examine(text: str) -> None:
    source = Source("test.st", text)
    program = analyse([source])
    for one in program.diagnostics:
        assert one.span.source is source
        assert 0 <= one.span.start <= one.span.end <= len(text)
        assert as_text(one)
        assert as_json(one)["line"] >= 1
    diagnostics = Diagnostics()
    parsed = parse(source, diagnostics)
    if not diagnostics.has_errors:
        again = Diagnostics()
        parse(Source("again.st", format_source(parsed)), again)
        assert not again.has_errors


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    examine(text)


@given(st.lists(st.sampled_from(WORDS), max_size=80))
def test_any_words(words: list[str]) -> None:
    examine(" ".join(words))


@given(st.data())
def test_a_program_with_something_cut_out_or_put_in(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SNIPPETS))
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.text(max_size=5)))
    examine(text[:at] + put + text[at + length :])


@given(st.data())
def test_a_program_cut_short(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SNIPPETS))
    examine(text[: data.draw(st.integers(0, len(text)))])


def _pool() -> dict[str, list[str]]:
    """The tokens of all snippets by kind."""
    pool: dict[str, set[str]] = {}
    for text in SNIPPETS:
        tokens = lex(Source("snippet.st", text), Diagnostics())
        for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True):
            pool.setdefault(_exchange(kind), set()).add(text[start:end])
    return {kind: sorted(words) for kind, words in pool.items()}


def _exchange(kind: str) -> str:
    """Kinds that may stand for each other and leave a text readable."""
    if kind in ("+", "-", "*", "/", "MOD", "AND", "OR", "XOR", "=", "<>", "<", ">", "<=", ">=", "**"):
        return "operator"
    if kind in ("integer", "real", "string", "duration", "date", "TRUE", "FALSE", "name"):
        return "operand"
    return kind


POOL = _pool()


@given(st.data())
def test_a_readable_program_that_means_nonsense(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SNIPPETS))
    tokens = lex(Source("snippet.st", text), Diagnostics())
    exchangeable = [
        index for index, kind in enumerate(tokens.kinds) if _exchange(kind) in ("operator", "operand")
    ]
    chosen = data.draw(st.lists(st.sampled_from(exchangeable), min_size=1, max_size=6, unique=True))
    for index in sorted(chosen, reverse=True):
        word = data.draw(st.sampled_from(POOL[_exchange(tokens.kinds[index])]))
        text = text[: tokens.starts[index]] + word + text[tokens.ends[index] :]
    examine(text)
