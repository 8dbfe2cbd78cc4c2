"""Coverage as a table, as LCOV and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from plc.coverage.record import FileCoverage, rate

FORMAT = 1
_MOST_MISSING = 60  # characters of a list of lines in the table


def as_table(files: Sequence[FileCoverage], root: Path | None = None) -> str:
    """A line a file: lines, branches, and which lines never ran; then all together."""
    rows = [
        (
            shown_path(one.path, root),
            _share(one.lines_run, len(one.lines)),
            _share(one.outcomes_run, len(one.outcomes)),
            _shortened(ranges(one.missing_lines)),
        )
        for one in files
    ]
    total = (
        "all",
        _share(sum(one.lines_run for one in files), sum(len(one.lines) for one in files)),
        _share(sum(one.outcomes_run for one in files), sum(len(one.outcomes) for one in files)),
        "",
    )
    head = ("file", "lines", "branches", "lines that never ran")
    table = [head, *rows, total]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in table
    )


def ranges(lines: Iterable[int]) -> str:
    """Line numbers as people write them: ``3, 7-9``."""
    found: list[list[int]] = []
    for line in lines:
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def as_lcov(files: Sequence[FileCoverage]) -> str:
    """LCOV's tracefile (geninfo(1)), which editors, forges and genhtml read."""
    lines = ["TN:"]
    for one in files:
        lines.append(f"SF:{Path(one.path).resolve()}")
        bodies = sorted(one.bodies.values(), key=lambda body: (body.line, body.name))
        lines += [f"FN:{body.line},{body.name}" for body in bodies]
        lines += [f"FNDA:{body.count},{body.name}" for body in bodies]
        lines += [f"FNF:{len(bodies)}", f"FNH:{sum(body.count > 0 for body in bodies)}"]
        for block, (_, decision) in enumerate(sorted(one.decisions.items())):
            is_reached = any(outcome.count for outcome in decision.outcomes)
            lines += [
                f"BRDA:{decision.line},{block},{number},{outcome.count if is_reached else '-'}"
                for number, outcome in enumerate(decision.outcomes)
            ]
        lines += [f"BRF:{len(one.outcomes)}", f"BRH:{one.outcomes_run}"]
        lines += [f"DA:{line},{count}" for line, count in sorted(one.lines.items())]
        lines += [f"LF:{len(one.lines)}", f"LH:{one.lines_run}", "end_of_record"]
    return "\n".join(lines) + "\n"


def as_json(files: Sequence[FileCoverage]) -> dict[str, Any]:
    """Plain values; line numbers are keys, as text, for JSON has no others."""
    return {
        "format": FORMAT,
        "lines": {
            "run": sum(one.lines_run for one in files),
            "all": sum(len(one.lines) for one in files),
        },
        "branches": {
            "run": sum(one.outcomes_run for one in files),
            "all": sum(len(one.outcomes) for one in files),
        },
        "files": [
            {
                "path": one.path,
                "lines": {str(line): count for line, count in sorted(one.lines.items())},
                "missing": one.missing_lines,
                "decisions": [
                    {"line": decision.line, "ways": {way.name: way.count for way in decision.outcomes}}
                    for _, decision in sorted(one.decisions.items())
                ],
                "units": [
                    {"name": body.name, "line": body.line, "count": body.count}
                    for body in one.bodies.values()
                ],
            }
            for one in files
        ],
    }


def shown_path(path: str, root: Path | None = None) -> str:
    """A path from a folder on, where it lies in it."""
    base = (root or Path.cwd()).resolve()
    resolved = Path(path).resolve()
    return str(resolved.relative_to(base)) if resolved.is_relative_to(base) else path


def percent(run: int, all_: int) -> str:
    """A share for people: 100 % only where nothing is missing."""
    share = rate(run, all_)
    return "100 %" if share == 1.0 else f"{min(share * 100, 99.9):.1f} %"


def _share(run: int, all_: int) -> str:
    return f"{run}/{all_} {percent(run, all_):>6}"


def _shortened(text: str) -> str:
    if len(text) <= _MOST_MISSING:
        return text
    return f"{text[:_MOST_MISSING].rpartition(',')[0]}, …"
