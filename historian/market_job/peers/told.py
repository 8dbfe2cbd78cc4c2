"""What another site's market told us, read once: values of the right kinds, or ValueError. Pure.

The other site is somebody else's: whatever it answers may end a round of our link, never its thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from historian.ledger.facts import Side

LEDGER_BYTES, ID_BYTES = 32, 16
MOST_INTEGER = 1 << 62  # of what our statements take over: numbers are 64 bits
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class PeerDevice:
    """A device of ours there: what its section says of it, and whether its ledger says so too."""

    name: str
    kind: str
    status: str
    max_export_w: int
    max_import_w: int
    manifest: bytes
    is_as_said: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """How we stand there. ``rules``: currency, interval and gate in s; None where its market has not begun."""

    ledger: bytes
    number: int
    author: str
    status: str
    join: bytes
    devices: tuple[PeerDevice, ...]
    rules: tuple[str, int, int] | None
    trader: str
    imbalance_price: int | None
    stated_us: int
    since_us: int | None

    def device(self, side: Side) -> str:
        """Ours there that can do it; the first by name where there are more, nothing where there is none."""
        found = [
            device.name
            for device in self.devices
            if device.kind != "meter"
            and device.status == "active"
            and (device.max_export_w if side is Side.SELL else device.max_import_w)
        ]
        return min(found, default="")


@dataclass(frozen=True, slots=True)
class Standing:
    """Offers between us there: ours that are open, those to us with who makes them, and those that we took."""

    own: frozenset[bytes]
    to_us: Mapping[bytes, str]
    taken: frozenset[bytes]


def terms_from(said: Mapping[str, Any]) -> Terms:
    """Raises ValueError."""
    author, rules = _field(said, "author", str), said.get("rules")
    is_known = bool(author)
    return Terms(
        ledger=_bytes(said, "ledger", LEDGER_BYTES),
        number=_integer(said, "number"),
        author=author,
        status=_field(said, "status", str),
        join=_bytes(said, "join") if is_known else b"",
        devices=tuple(map(_device, _field(said, "devices", list))),
        rules=None if rules is None else _rules(rules),
        trader=_field(said, "trader", str) if is_known else "",
        imbalance_price=_maybe(said, "imbalance_price") if is_known else None,
        stated_us=_integer(said, "stated_us") if is_known else 0,
        since_us=_maybe(said, "since_us") if is_known else None,
    )


def standing_from(said: Mapping[str, Any]) -> Standing:
    """Raises ValueError."""
    own = [order for order in _mappings(said, "orders") if _field(order, "venue", str) == "bilateral"]
    return Standing(
        own=frozenset(_bytes(order, "id", ID_BYTES) for order in own),
        to_us={
            _bytes(order, "id", ID_BYTES): _field(order, "from", str) for order in _mappings(said, "offers")
        },
        taken=frozenset(_bytes({"taken": id}, "taken", ID_BYTES) for id in _field(said, "taken", list)),
    )


def _device(said: object) -> PeerDevice:
    if not isinstance(said, dict):
        raise ValueError("a device is no mapping")
    return PeerDevice(
        name=_field(said, "device", str),
        kind=_field(said, "kind", str),
        status=_field(said, "status", str),
        max_export_w=_integer(said, "max_export_w"),
        max_import_w=_integer(said, "max_import_w"),
        manifest=_bytes(said, "manifest"),
        is_as_said=_field(said, "is_as_said", bool),
    )


def _rules(said: object) -> tuple[str, int, int]:
    if not isinstance(said, dict):
        raise ValueError("'rules' are no mapping")
    return _field(said, "currency", str), _integer(said, "interval_s"), _integer(said, "gate_lead_s")


def _mappings(said: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = _field(said, name, list)
    if not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{name!r} holds what is no mapping")
    return found


def _maybe(said: Mapping[str, Any], name: str) -> int | None:
    return None if said.get(name) is None else _integer(said, name)


def _integer(said: Mapping[str, Any], name: str) -> int:
    value = _field(said, name, int)
    if isinstance(value, bool) or not 0 <= value <= MOST_INTEGER:
        raise ValueError(f"{name!r} is {value}")
    return value


def _bytes(said: Mapping[str, Any], name: str, size: int | None = None) -> bytes:
    value = bytes.fromhex(_field(said, name, str))
    if size is not None and len(value) != size:
        raise ValueError(f"{name!r} has {len(value)} bytes, not {size}")
    return value


def _field(said: Mapping[str, Any], name: str, kind: type[_Value]) -> _Value:
    value = said.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"{name!r} is missing, or of the wrong kind")
    return value
