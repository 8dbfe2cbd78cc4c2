"""What is said of a failed test: the line of Structured Text, the values, and what the watched variables did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plc.bench import FAULTS, AssertFault, RunTimeFault
from plc.language.analysis import read_source

NS_PER_MS = 1_000_000
_AROUND = 3  # lines before the one that failed


def fault_text(fault: RunTimeFault) -> str:
    """Why in one line, then the lines up to the one that failed."""
    why = fault.message if isinstance(fault, AssertFault) else ""
    why = why or FAULTS.get(fault.fault, f"fault {fault.fault}")
    if isinstance(fault, AssertFault) and (fault.expected or fault.actual):
        why = f"{why}: expected {fault.expected}, but it is {fault.actual}"
    return "\n".join(
        [why, "", *_excerpt(fault.file, fault.line), "", f"{fault.file}:{fault.line}: {type(fault).__name__}"]
    )


def trace_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of the last changes, times in ms of the program's clock."""
    if not rows:
        return ""
    names = [name for name in rows[0] if name != "clock_ns"]
    table = [["ms", *names]]
    table += [[f"{row['clock_ns'] / NS_PER_MS:g}", *(_shown(row[name]) for name in names)] for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in table
    )


def _excerpt(file: str, line: int) -> list[str]:
    try:
        source = read_source(Path(file))
        first = max(1, line - _AROUND)
        lines = [source.line(number) for number in range(first, line + 1)]
    except (OSError, IndexError):  # a text that was no file
        return []
    return [*(f"  {text}" for text in lines[:-1]), f"> {lines[-1]}"]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
