"""Amounts of storage as people write them: 50GB, 800MB, 1.5TB; 10^9 bytes are a GB, as disks are sold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.config.document import Hole, Node
from gateway.config.kinds import Reading, Schema, plain, wrong

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PATTERN = rf"([0-9]{{1,6}}(?:\.[0-9]{{1,3}})?) ?({'|'.join(UNITS)})"


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of storage with its unit, read as bytes; 0 is none."""

    @property
    def what(self) -> str:
        return f"a size such as 50GB (units: {', '.join(UNITS)}), or 0"

    def read(self, node: Node, name: str, reading: Reading) -> int | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if value == 0 and type(value) is int:
            return 0
        match = re.fullmatch(_PATTERN, value) if isinstance(value, str) else None
        return wrong(node, name, value, self, reading) if match is None else size_of(match)

    def schema(self, expressions: bool) -> Schema:
        return {"anyOf": [{"const": 0}, {"type": "string", "pattern": f"^(?:{_PATTERN})$"}]}


def size_of(match: re.Match[str]) -> int:
    """Bytes of a number and a unit."""
    return round(float(match[1]) * UNITS[match[2]])


def size_text(size: float) -> str:
    """For people, as disks are sold: 1.23 GB."""
    for unit in ("TB", "GB", "MB", "kB"):
        if abs(size) >= UNITS[unit]:
            return f"{size / UNITS[unit]:.3g} {unit}"
    return f"{size:.0f} bytes"
