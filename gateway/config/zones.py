"""Time zones by their names in the IANA database."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass

from gateway.config.document import Hole, Node
from gateway.config.fault import nearest
from gateway.config.kinds import Reading, Schema, plain, wrong

UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone such as Europe/Berlin."""

    @property
    def what(self) -> str:
        return "a time zone such as Europe/Berlin, or UTC"

    def read(self, node: Node, name: str, reading: Reading) -> str | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if not isinstance(value, str):
            return wrong(node, name, value, self, reading)
        known = zoneinfo.available_timezones()
        if value in known:
            return value
        near = nearest(value, sorted(known))
        return wrong(node, name, value, self, reading, f"write '{near}'" if near else "")

    def schema(self, expressions: bool) -> Schema:
        return {"type": "string", "pattern": "^[A-Za-z0-9_+/-]+$"}
