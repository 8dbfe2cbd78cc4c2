"""IEC 61131-3, third edition, clause by clause: the texts beside this file say what they must give.

A text is one program. At the end of a line:

    //= 5              the variable the line begins with is 5 after the scan; of ``main``, where no path is given
    //= 1 | 2 | 3      after the first, second and third scan
    //= a.b: 5; c: 6   these paths instead
    //! ST0300         this line is a fault: without it the text is right, with it (and no other such line) it
                       has that code there

Values are Python's, or a duration (``5s``, ``-1500ms``, ``2us``, ``3ns``), or a date (``2000-02-29``,
``2000-02-29T12:00:00``).
A line ``//scans 4, every 10ms`` says how often the program runs; otherwise once. All values were worked out by hand
from the standard, never from what the compiler gave.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from plc import load
from plc.bench import Bench
from plc.compiler.symbols import UnknownPathError
from plc.language.analysis import analyse
from plc.language.source import Source

TEXTS = sorted(Path(__file__).parent.glob("*.st"))
_EXPECTED = re.compile(r"//= ?(.*)$")
_FAULTY = re.compile(r"//! ?(ST\d{4})")
_SCANS = re.compile(r"^//scans (\d+)(?:, every (\S+))?$", re.MULTILINE)
_PATH = re.compile(r"^\s*([A-Za-z_]\w*)")
_PLACED = re.compile(r"([A-Za-z_%][\w.,\[\]%-]*): ?([^;]+)")
_DURATION = re.compile(r"^(-?[\d.]+)(ns|us|ms|s|min|h|d)$")
_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a variable is after each scan."""

    line: int
    path: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A conformance text, with and without its faulty lines."""

    name: str
    lines: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    faulty: tuple[tuple[int, str], ...]  # line, code
    scans: int
    every_us: int

    def with_fault(self, kept: int | None) -> str:
        """The source with one of the faulty lines, or with none."""
        out = {line for line, _ in self.faulty if line != kept}
        return "\n".join("" if number in out else line for number, line in enumerate(self.lines, 1))


def value_of(text: str) -> object:
    text = text.strip()
    if found := _DURATION.match(text):
        return round(float(found[1]) * _NS[found[2]])
    if re.match(r"^\d{4}-\d\d-\d\d", text):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
    if text in ("inf", "-inf", "nan"):
        return float(text)
    value: object = ast.literal_eval(text)
    return value


def values_of(text: str) -> tuple[object, ...]:
    return tuple(value_of(part) for part in text.split("|"))


def expectations_of(number: int, line: str) -> list[Expectation]:
    found = _EXPECTED.search(line)
    if found is None:
        return []
    placed = _PLACED.findall(found[1]) if _PLACED.match(found[1]) else []
    if placed:
        return [Expectation(number, path, values_of(values)) for path, values in placed]
    path = _PATH.match(line)
    assert path is not None, f"line {number} begins with no variable"
    return [Expectation(number, path[1], values_of(found[1]))]


@cache
def text_of(path: Path) -> Text:
    source = path.read_text()
    lines = tuple(source.splitlines())
    scans = _SCANS.search(source)
    return Text(
        path.stem,
        lines,
        tuple(one for number, line in enumerate(lines, 1) for one in expectations_of(number, line)),
        tuple((number, found[1]) for number, line in enumerate(lines, 1) if (found := _FAULTY.search(line))),
        int(scans[1]) if scans else 1,
        int(str(value_of(scans[2]))) // 1000 if scans and scans[2] else 1000,
    )


def is_equal(found: object, wanted: object) -> bool:
    """A REAL is the nearest one to the decimal; everything else is exact, with its type."""
    if isinstance(wanted, float) and isinstance(found, float):
        return (
            found == wanted
            or found == float(np.float32(wanted))
            or (math.isnan(found) and math.isnan(wanted))
        )
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def read(bench: Bench, path: str) -> object:
    """A variable of ``main``, or one of the whole program by its path."""
    try:
        return bench[f"main.{path}"]
    except UnknownPathError:
        return bench[path]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_clause(path: Path) -> None:
    text = text_of(path)
    bench = load(text.with_fault(None))
    wrong = []
    for scan in range(text.scans):
        bench.scan(period_us=text.every_us)
        for one in text.expectations:
            if len(one.values) == 1 and scan + 1 < text.scans:
                continue
            wanted = one.values[min(scan, len(one.values) - 1)]
            found = read(bench, one.path)
            if not is_equal(found, wanted):
                wrong.append(
                    f"{text.name}.st:{one.line} scan {scan + 1}: {one.path} is {found!r}, not {wanted!r}"
                )
    assert wrong == []


FAULTS = [
    pytest.param(path, line, code, id=f"{path.stem}:{line}")
    for path in TEXTS
    for line, code in text_of(path).faulty
]


@pytest.mark.parametrize(("path", "line", "code"), FAULTS)
def test_fault(path: Path, line: int, code: str) -> None:
    program = analyse([Source(path.name, text_of(path).with_fault(line))])
    assert (code, line) in [(one.code, one.span.position[0]) for one in program.diagnostics], [
        str(one) for one in program.diagnostics
    ]


def test_every_text_expects_something() -> None:
    assert len(TEXTS) >= 30
    for path in TEXTS:
        text = text_of(path)
        assert re.match(r"// \d\.\d", text.lines[0]), f"{path.name} does not name its clause"
        assert text.expectations or text.faulty, path.name
