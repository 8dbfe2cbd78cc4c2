"""docs/library.md from the sources of the library: ``python -m plc.library.reference > docs/library.md``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plc.language import ast
from plc.language.analysis import read_source
from plc.language.diagnostics import Diagnostics
from plc.language.parser import parse
from plc.language.source import Span

FOLDER = Path(__file__).parent
# The order of the page: a heading with its files.
GROUPS = {
    "Time and signals": (
        "elapsed_time",
        "hysteresis",
        "ramp",
        "lowpass",
        "moving_average",
        "statistics",
        "totalizer",
        "calendar",
    ),
    "Quality of tags": ("is_good",),
    "Control and alarms": ("pid", "limit_alarm"),
    "Power, voltage and frequency": ("phasor", "frequency", "rocof", "droop_p_f", "volt_var", "load_share"),
    "Protection": (
        "trip_timer",
        "der_settings",
        "der_trips",
        "der_ride_through",
        "der_enter_service",
        "sync_check",
        "dead_bus",
    ),
    "Load": ("load_arrays", "ufls", "contingency_shed", "restoration", "shedding"),
    "Islanding": ("island_detection", "islanding", "island_frequency", "value_before", "genset_request"),
    "Storage, generating sets and vehicles": (
        "peak_limit",
        "soc_limit",
        "ev_charge_point",
        "vehicle_to_grid",
        "plan_tracking",
        "genset_start",
    ),
}
INTRODUCTION = """\
# Block library

Function blocks in plain Structured Text (IEC 61131-3, third edition), under `plc/library/`. They use nothing
of a vendor's own, so they can be read, changed and taken elsewhere. Each is tested on the compiled code
against closed forms, at several scan periods (`tests/plc/library/`). This page is written from the sources by
`python -m plc.library.reference`.

To use them, give their files to the compiler beside your own:

```python
from plc import load
from plc.library import FILES

island = load(*FILES, "island.st")
```

What holds for all:

- **Time.** A block measures the time since its last call by the PLC's clock (`ELAPSED_TIME`, a `TON`). The
  interval of the task is nowhere set and changes no result beyond the moment at which a scan can see
  something. Call a block in every scan; one that is called again after a pause counts the pause.
- **Sign of power.** Sources are positive when they give: generation +, discharging +, importing +, a vehicle
  that gives back +. Loads are demand, positive. Limits of charging and discharging are both positive numbers.
- **Bad inputs.** `is_good` (or `is_…_good`) says whether the measurement can be trusted; wire the tag's
  quality to it. Each block tells what it does without: hold, or fail to its safe side.
- **Numbers.** Inputs and outputs are `REAL`; what is summed up over scans is kept as `LREAL`, since at 1 ms
  the parts would vanish in a `REAL`. No block makes a NaN of finite inputs, and a driver turns a NaN into Bad
  quality.
- **Latches.** What trips, sheds or fails stays so until `reset`, and reset does nothing while the cause is
  there.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One input, output or member."""

    name: str
    type: str
    initial: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One block, function or type of the library as its source describes it. ``example`` is empty for types."""

    kind: str
    name: str
    result: str
    text: str
    example: str
    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]


def entries(path: Path) -> Iterator[Entry]:
    """All that a file declares, in its order."""
    parsed = parse(read_source(path), Diagnostics())
    for declared in parsed.file.declarations:
        match declared:
            case ast.Unit():
                text, example = _split(_comment_above(declared.span))
                yield Entry(
                    declared.kind.value,
                    declared.name.text,
                    declared.result.span.text if declared.result is not None else "",
                    text,
                    example,
                    tuple(_rows(declared, "VAR_INPUT")),
                    tuple(_rows(declared, "VAR_OUTPUT")),
                )
            case ast.TypeBlock():
                for one in declared.types:
                    yield Entry(
                        "TYPE",
                        one.name.text,
                        "",
                        " ".join(_comment_above(one.span)),
                        textwrap.dedent(" " * (one.span.position.column - 1) + one.span.text),
                        (),
                        (),
                    )


def page() -> str:
    """The whole of docs/library.md."""
    parts = [INTRODUCTION]
    for heading, stems in GROUPS.items():
        parts.append(f"## {heading}\n")
        for stem in stems:
            parts.extend(_section(entry) for entry in entries(FOLDER / f"{stem}.st"))
    return "\n".join(parts)


def _section(entry: Entry) -> str:
    lines = [f"### {entry.name}", "", entry.text, ""]
    if entry.kind == "TYPE":
        lines += ["```iec", entry.example, "```", ""]
        return "\n".join(lines)
    if entry.result:
        lines += [f"A function that returns {entry.result}.", ""]
    for title, rows in (("Input", entry.inputs), ("Output", entry.outputs)):
        if rows:
            lines += [f"| {title} | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
            lines += [
                f"| `{row.name}` | {row.type} | {f'`{row.initial}`' if row.initial else ''} | {row.meaning} |"
                for row in rows
            ]
            lines.append("")
    lines += ["```iec", entry.example, "```", ""]
    return "\n".join(lines)


def _rows(unit: ast.Unit, section: str) -> Iterator[Row]:
    for block in unit.blocks:
        if block.section == section:
            for one in block.variables:
                initial = " ".join(one.initial.span.text.split()) if one.initial is not None else ""
                meaning = _comment_behind(one.span)
                for name in one.names:
                    yield Row(name.text, one.type.span.text, initial, meaning)


def _comment_above(span: Span) -> list[str]:
    """The lines of the ``//`` comment directly above a declaration, without their slashes."""
    lines: list[str] = []
    number = span.position.line - 1
    while number > 0 and span.source.line(number).lstrip().startswith("//"):
        lines.insert(0, span.source.line(number).lstrip()[2:].removeprefix(" "))
        number -= 1
    return lines


def _comment_behind(span: Span) -> str:
    last = span.source.position(span.end - 1)
    _, found, text = span.source.line(last.line)[last.column :].partition("//")
    return text.strip() if found else ""


def _split(lines: list[str]) -> tuple[str, str]:
    """A header comment as Markdown, and its example."""
    text, _, example = "\n".join(lines).partition("\nExample:\n")
    # Drawings are indented by four, which is code in Markdown too.
    return text.strip("\n"), textwrap.dedent(example).rstrip()


if __name__ == "__main__":
    sys.stdout.write(page())
