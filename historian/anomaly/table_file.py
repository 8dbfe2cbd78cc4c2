"""Tables and labels as CSV: a column of times first, numbers after it. A fault names file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np

from historian.anomaly.detector import Floats, Times
from historian.anomaly.judge import Window
from historian.times import parse_time

MOST_BYTES = 2 << 30  # read whole; a day of 100 tags a second has about 100 MB


class BadTable(ValueError):  # noqa: N818 - reads as the claim it makes
    """A file that is no such table."""


@dataclass(frozen=True, slots=True)
class Table:
    """``values`` (rows, names), NaN where a cell is empty."""

    names: tuple[str, ...]
    times_ns: Times
    values: Floats


def read_table(path: Path, zone: tzinfo = UTC) -> Table:
    """Times are ISO 8601, of ``zone`` where they name no offset. Raises BadTable, OSError."""
    lines = _lines(path)
    _, head = next(lines, (1, []))
    names = tuple(name.strip() for name in head[1:])
    if not names:
        raise BadTable(f"{path}, line 1: no columns; write a head line such as time,pcc.power_kw")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadTable(f"{path}, line 1: the column {twice!r} a second time; rename one of the two")
    times: list[int] = []
    rows: list[list[float]] = []
    for number, cells in lines:
        if len(cells) != len(names) + 1:
            raise BadTable(f"{path}, line {number}: {len(cells)} cells; the head line has {len(names) + 1}")
        times.append(_time(path, number, head[0], cells[0], zone))
        if len(times) > 1 and times[-1] <= times[-2]:
            raise BadTable(
                f"{path}, line {number}: {cells[0]} is not after the line before; sort it, drop duplicates"
            )
        rows.append([_number(path, number, *pair) for pair in zip(names, cells[1:], strict=True)])
    if not rows:
        raise BadTable(f"{path}: a head line and nothing below it")
    return Table(names, np.array(times, np.int64), np.array(rows, np.float64))


def read_labels(path: Path, zone: tzinfo = UTC) -> list[Window]:
    """Columns ``start`` and ``end``, and ``what`` where there is one; others are not looked at. Raises as above."""
    lines = _lines(path)
    _, head = next(lines, (1, []))
    places = {name.strip(): place for place, name in enumerate(head)}
    for name in ("start", "end"):
        if name not in places:
            raise BadTable(f"{path}, line 1: no column {name!r}; write a head line such as start,end,what")
    found: list[Window] = []
    for number, cells in lines:
        if len(cells) != len(head):
            raise BadTable(f"{path}, line {number}: {len(cells)} cells; the head line has {len(head)}")
        start, end = (_time(path, number, name, cells[places[name]], zone) for name in ("start", "end"))
        if end <= start:
            raise BadTable(f"{path}, line {number}: the end {cells[places['end']]} is not after the start")
        found.append(Window(start, end, cells[places["what"]].strip() if "what" in places else ""))
    if not found:
        raise BadTable(f"{path}: a head line and nothing below it; without labels nothing can be missed")
    return sorted(found, key=lambda window: window.start_ns)


def _lines(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Lines that are not empty, with their numbers."""
    if path.stat().st_size > MOST_BYTES:
        raise BadTable(f"{path}: more than {MOST_BYTES >> 30} GiB; split it")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadTable(f"{path}, line {reader.line_num + 1}: no CSV in UTF-8 ({error})") from None


def _time(path: Path, number: int, column: str, text: str, zone: tzinfo) -> int:
    try:
        if text.strip() == "now" or text.strip().startswith("-"):
            raise ValueError(f"{text!r} is not a time of a file: write ISO 8601 as in 2026-11-21T14:30:00Z")
        return parse_time(text, 0, zone)
    except ValueError as error:
        raise BadTable(f"{path}, line {number}, column {column.strip()!r}: {error}") from None


def _number(path: Path, number: int, name: str, text: str) -> float:
    if not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise BadTable(
            f"{path}, line {number}, column {name!r}: {text!r} is not a number;"
            " leave the cell empty where there is none"
        ) from None
