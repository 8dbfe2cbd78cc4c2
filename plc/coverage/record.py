"""What ran, by file: lines, branches and units, added up over scans, benches and tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plc.compiler.symbols import Symbols


@dataclass(slots=True)
class Outcome:
    """One way that a decision turns out, with how often it did."""

    name: str
    count: int = 0


@dataclass(slots=True)
class Decision:
    """A condition (TRUE, FALSE) or a CASE (its labels and ELSE) that begins on a line."""

    line: int
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        """The ways it never went."""
        return [one.name for one in self.outcomes if one.count == 0]


@dataclass(slots=True)
class Body:
    """A program, block, function, method or action, with how often it began."""

    name: str
    line: int
    count: int = 0


@dataclass(slots=True)
class FileCoverage:
    """One file. ``lines`` has those with something to run, ``ends`` the last line of a statement over several."""

    path: str
    lines: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    decisions: dict[tuple[int, int], Decision] = field(default_factory=dict)
    bodies: dict[str, Body] = field(default_factory=dict)

    @property
    def lines_run(self) -> int:
        return sum(count > 0 for count in self.lines.values())

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for one in self.decisions.values() for outcome in one.outcomes]

    @property
    def outcomes_run(self) -> int:
        return sum(one.count > 0 for one in self.outcomes)

    @property
    def missing_lines(self) -> list[int]:
        return [line for line, count in sorted(self.lines.items()) if count == 0]

    def decisions_at(self, line: int) -> list[Decision]:
        """Those that begin on a line."""
        return [one for (at, _), one in sorted(self.decisions.items()) if at == line]


@dataclass(slots=True)
class Coverage:
    """The counts of one program by place; `files` says what they mean."""

    paths: tuple[str, ...]
    places: list[dict[str, Any]]
    counts: NDArray[np.uint64]

    @classmethod
    def of(cls, symbols: Symbols) -> Coverage:
        """Nothing has run yet."""
        places = symbols.coverage
        return cls(tuple(symbols.files), places, np.zeros(len(places), np.uint64))

    def add(self, counts: bytes) -> None:
        """What one run of a task counted: a byte a place, which stops at 255."""
        self.counts += np.frombuffer(counts, np.uint8)

    def files(self) -> list[FileCoverage]:
        """By path, those without anything to run left out."""
        return merged([self])

    @property
    def line_rate(self) -> float:
        """Lines that ran, of those with something to run: 0 to 1."""
        return rate(sum(one.lines_run for one in self.files()), sum(len(one.lines) for one in self.files()))

    @property
    def branch_rate(self) -> float:
        """Ways that decisions went, of those they could: 0 to 1."""
        files = self.files()
        return rate(sum(one.outcomes_run for one in files), sum(len(one.outcomes) for one in files))


def merged(records: Iterable[Coverage]) -> list[FileCoverage]:
    """Several records as one: the same file in several programs counts together."""
    files: dict[str, FileCoverage] = {}
    for record in records:
        ordinal: dict[
            tuple[int, int], int
        ] = {}  # of a decision among those of its line, alike in all programs
        numbers: dict[int, tuple[int, int]] = {}
        for place, count in zip(record.places, record.counts.tolist(), strict=True):
            path = record.paths[place["file"]]
            file = files.setdefault(path, FileCoverage(path))
            line = place["line"]
            match place["kind"]:
                case "line":
                    file.lines[line] = max(file.lines.get(line, 0), count)
                    file.ends[line] = max(file.ends.get(line, line), place["last"])
                case "unit":
                    body = file.bodies.setdefault(place["name"], Body(place["name"], line))
                    body.count += count
                case "branch":
                    _add_outcome(file, place, count, numbers, ordinal)
    for file in files.values():
        for (line, _), decision in file.decisions.items():  # ELSIF and UNTIL, which begin no statement
            file.lines.setdefault(line, sum(one.count for one in decision.outcomes))
    return sorted(files.values(), key=lambda one: one.path)


def _add_outcome(
    file: FileCoverage,
    place: dict[str, Any],
    count: int,
    numbers: dict[int, tuple[int, int]],
    ordinal: dict[tuple[int, int], int],
) -> None:
    line, number = place["line"], place["decision"]
    if number not in numbers:
        at = (place["file"], line)
        ordinal[at] = ordinal.get(at, 0) + 1
        numbers[number] = (line, ordinal[at])
    decision = file.decisions.setdefault(numbers[number], Decision(line))
    known = next((one for one in decision.outcomes if one.name == place["outcome"]), None)
    if known is None:
        known = Outcome(place["outcome"])
        decision.outcomes.append(known)
    known.count += count


def rate(run: int, all_: int) -> float:
    """A share; of nothing, all of it."""
    return run / all_ if all_ else 1.0
