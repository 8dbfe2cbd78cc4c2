"""What must outlive this process and is not the audit trail's: small JSON files, replaced whole.

``outputs.json`` tells which points the logic holds, so that a device gets its safe value also where the logic and
this process were gone together::

    {"version": 1, "held": {"battery1.power_setpoint_kw": null, "genset1.start_pulse": true}, "overridden": []}

A value stands with points that are written on change only: the one that was sent last (docs/commands.md).
``overridden`` names those that an emergency command took from the logic. ``control.json`` tells who has control::

    {"version": 1, "areas": {"storage": {"seat": "local", "user": "olga", "origin": "cli", "until_ns": 0}}}

``setpoints.json`` tells up to which number sequences of setpoints may have been given out::

    {"version": 1, "reserved": 3000}

Both block; use them off the loop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.config.control import Seat
from gateway.tags.sample import Value

VERSION = 1
RESERVED_AT_ONCE = 1000  # sequence numbers a write of the file: a person gives no thousand setpoints an hour
_MODE = 0o600

Held = Mapping[str, Value | None]


class KeptError(Exception):
    """The file cannot be read or written now."""


class HeldFile:
    """The points that the logic holds or left unsafe, with the value sent last where it is sent only once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Value | None]:
        """Empty where there is no file. Raises KeptError."""
        held = _read(self._path).get("held", {})
        if not isinstance(held, dict) or any(
            value is not None and not isinstance(value, bool | int | float | str) for value in held.values()
        ):
            raise KeptError(f"{self._path}: not what this program writes")
        return held

    def load_overridden(self) -> frozenset[str]:
        """The points that an emergency command took from the logic. Raises KeptError."""
        overridden = _read(self._path).get("overridden", [])
        if not isinstance(overridden, list) or not all(isinstance(name, str) for name in overridden):
            raise KeptError(f"{self._path}: not what this program writes")
        return frozenset(overridden)

    def save(self, held: Held, overridden: Iterable[str] = ()) -> None:
        """Raises KeptError."""
        _replace(self._path, {"held": dict(held), "overridden": sorted(overridden)})


@dataclass(frozen=True, slots=True)
class Hold:
    """Who has control of an area, and until when (UTC ns; 0: until it is released)."""

    seat: Seat
    user: str
    origin: str
    until_ns: int


class ControlFile:
    """Who has control of which area."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Hold]:
        """By path of the area; empty where there is no file. Raises KeptError."""
        areas = _read(self._path).get("areas", {})
        try:
            return {
                path: Hold(Seat(hold["seat"]), str(hold["user"]), str(hold["origin"]), int(hold["until_ns"]))
                for path, hold in areas.items()
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise KeptError(f"{self._path}: not what this program writes") from error

    def save(self, holds: Mapping[str, Hold]) -> None:
        """Raises KeptError."""
        _replace(self._path, {"areas": {path: asdict(hold) for path, hold in holds.items()}})


class Sequence:
    """Numbers that only ever grow, whatever the clock does and however often the process is started again.

    A thousand are written down as given out before the first of them is, so that a start goes on above all of them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: int | None = None
        self._reserved = 0

    def next(self, above: int) -> int:
        """The next number; above ``above`` too, which is still in use where the file was lost. Raises KeptError."""
        if self._last is None:
            reserved = _read(self._path).get("reserved", 0)
            if not isinstance(reserved, int) or reserved < 0:
                raise KeptError(f"{self._path}: not what this program writes")
            self._last = self._reserved = reserved
        number = max(self._last, above) + 1
        if number > self._reserved:
            _replace(self._path, {"reserved": number + RESERVED_AT_ONCE})
            self._reserved = number + RESERVED_AT_ONCE
        self._last = number
        return number


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KeptError(f"{path}: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise KeptError(f"{path}: not what this program writes")
    return content


def _replace(path: Path, fields: Mapping[str, Any]) -> None:
    """Whole or not at all, and on the disk when this returns."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):  # of a run that died here
            fresh.unlink()
        descriptor = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE
        )
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"version": VERSION, **fields}, file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeptError(f"{path}: {error.strerror}") from error
