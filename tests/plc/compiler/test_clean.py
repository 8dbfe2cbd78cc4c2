"""Generated C is clean under -Wall -Wextra -Werror and never undefined: UBSan would end the process that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plc import load
from plc.compiler.build import Options

Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]

LOOPS = """PROGRAM main
VAR a : ARRAY [-3..3, 0..2] OF REAL; i, j : SINT; u : USINT; l : LINT; s : STRING[5]; t : TON; c : CTUD; END_VAR
FOR i := -3 TO 3 DO FOR j := 2 TO 0 BY -1 DO a[i, j] := SINT_TO_REAL(i * j); END_FOR; END_FOR;
FOR u := 250 TO 255 DO l := l + u; END_FOR;
WHILE l > 0 DO l := l / 2; IF l = 3 THEN EXIT; END_IF; END_WHILE;
s := CONCAT(s, 'abc'); s := REPLACE(s, 'x', 1, 2); t(IN := TRUE, PT := T#1s); c(CU := TRUE, PV := 3);
END_PROGRAM
"""


def test_loops_are_clean(apart: Apart, clean_flags: tuple[str, ...]) -> None:
    assert apart(LOOPS, [{}, {}, {}], clean_flags) == "ran 3"


def test_the_sanitizer_would_have_seen_it(apart: Apart) -> None:
    """The same way of running, on C that is undefined without its checks: what a failure looks like."""
    text = "PROGRAM main VAR x : INT := 3; a : ARRAY [0..1] OF INT; END_VAR a[x] := 1;\nEND_PROGRAM\n"
    flags = ("-fsanitize=undefined,bounds-strict", "-fno-sanitize-recover=all", "unchecked")
    assert "runtime error" in apart(text, [{}], flags)


def test_lines_of_c_lead_back_to_structured_text() -> None:
    built = load(LOOPS, options=Options(with_calls=True)).built
    assert '#line 5 "source1.st"' in built.c.read_text()
