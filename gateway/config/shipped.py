"""The device templates that Tieline ships: `config/devices`, each with its name, what it is for, and its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "config" / "devices"  # of a checkout; it is no part of the packages
DEMO = "simulated device"  # what has no kind stands for no make: the demo's
_DESCRIPTION = re.compile(r"^    description: (.+)$", re.MULTILINE)
_KIND = re.compile(r"^# Kind: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A template; ``title`` says what it is for."""

    name: str
    title: str
    kind: str


def shipped(folder: Path = FOLDER) -> list[Shipped]:
    """By kind and name, the demo's last. Raises OSError where there is no such folder."""
    found = []
    for path in folder.iterdir():
        if path.suffix != ".yaml":
            continue
        head, _, body = path.read_text(encoding="utf-8").partition("\ntemplates:")
        kind, description = _KIND.search(head), _DESCRIPTION.search(body)
        if kind is not None:
            found.append(Shipped(path.stem, head.partition("\n")[0].removeprefix("#").strip(), kind[1]))
        else:
            found.append(Shipped(path.stem, "" if description is None else description[1], DEMO))
    return sorted(found, key=lambda one: (one.kind == DEMO, one.kind.lower(), one.name))


def as_text(templates: list[Shipped]) -> str:
    """A line each, below a line for each kind."""
    width = max((len(one.name) for one in templates), default=0)
    lines: list[str] = []
    kind = ""
    for one in templates:
        if one.kind != kind:
            kind = one.kind
            lines.append(f"{kind[0].upper()}{kind[1:]}s")
        lines.append(f"  {one.name:<{width}}  {one.title}")
    return "\n".join(lines)
