"""The plant's time, where the simulator runs faster than the clock on the wall: one mapping for the whole site.

``plant = anchor + (wall - anchor) * speed``, in whole nanoseconds. The anchor is when the state folder first ran at
this speed; a file there keeps it, so that parts and sites that start again go on in the same time:
``{"format": 1, "anchor_ns": 1795401000000000000, "speed": 60.0}``.

History, tags and journals are stamped by the wall, whatever the speed. Whoever reckons in steps of a day, or in
energy, asks for the plant's time; at speed 1 the two are the same.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from fractions import Fraction
from pathlib import Path
from typing import overload

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.config.site import Site

log = logging.getLogger(__name__)

FILE = "plant_time.json"  # in the state folder
FORMAT = 1
FINEST = 10**6  # of a speed's denominator: a remainder times the numerator then fits 64 bits
NS = 10**9
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlantTime:
    """``speed`` plant seconds a second of the wall, which showed the same time at ``anchor_ns`` (UTC).

    From a speed of 1 upwards ``plant_ns`` loses nothing: ``wall_ns`` gives back what it was given. Below 1 it is the
    other way round. Both are monotone.
    """

    anchor_ns: int = 0
    speed: float = 1.0

    @property
    def is_wall(self) -> bool:
        return self.speed == 1.0

    @overload
    def plant_ns(self, wall_ns: int) -> int: ...
    @overload
    def plant_ns(self, wall_ns: Times) -> Times: ...
    def plant_ns(self, wall_ns: int | Times) -> int | Times:
        """UTC ns of the plant, rounded down."""
        if self.is_wall:
            return wall_ns
        speed = _exact(self.speed)
        return self.anchor_ns + _scaled(wall_ns - self.anchor_ns, speed.numerator, speed.denominator)

    @overload
    def wall_ns(self, plant_ns: int) -> int: ...
    @overload
    def wall_ns(self, plant_ns: Times) -> Times: ...
    def wall_ns(self, plant_ns: int | Times) -> int | Times:
        """UTC ns of the wall, rounded up: the first at which it is so late in the plant."""
        if self.is_wall:
            return plant_ns
        speed = _exact(self.speed)
        return self.anchor_ns - _scaled(self.anchor_ns - plant_ns, speed.denominator, speed.numerator)

    def clock(self, wall: Callable[[], int] = time.time_ns) -> Callable[[], int]:
        """What the plant's clock shows."""
        return wall if self.is_wall else lambda: self.plant_ns(wall())

    def hour(self, wall_ns: int, zone: tzinfo) -> float:
        """Of the plant's day in ``zone``, 0 to 24."""
        there = datetime.fromtimestamp(self.plant_ns(wall_ns) / NS, zone)
        return there.hour + there.minute / 60 + (there.second + there.microsecond / 1e6) / 3600


WALL_TIME = PlantTime()


def speed_of(site: Site) -> float:
    """Of its simulator; 1 where it has none."""
    return 1.0 if site.simulator is None else site.simulator.speed


def keep_plant_time(state: Path, speed: float, wall: Callable[[], int] = time.time_ns) -> PlantTime:
    """For parts: as the state folder keeps it, which begins now where it keeps none of this speed. Raises OSError."""
    if speed == 1.0:
        return WALL_TIME
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # several parts begin at the same moment: the first decides
        content = file.read()
        known = _parse(content, state / FILE) if content else None
        if known is not None and known.speed == speed:
            return known
        if known is not None:
            log.warning(
                "THE PLANT'S TIME BEGINS ANEW: it went %g times as fast, now %g; history from before is read at the"
                " new speed: a new state folder is better",
                known.speed,
                speed,
            )
        begun = PlantTime(wall(), speed)
        file.seek(0)
        file.truncate()
        file.write(orjson.dumps({"format": FORMAT, "anchor_ns": begun.anchor_ns, "speed": speed}) + b"\n")
        file.flush()
        os.fsync(file.fileno())
        return begun


def plant_time(state: Path, speed: float, wall: Callable[[], int] = time.time_ns) -> PlantTime:
    """For those who only look: the same, and nothing is written. Raises OSError."""
    if speed == 1.0:
        return WALL_TIME
    try:
        with (state / FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            known = _parse(file.read(), state / FILE)
    except FileNotFoundError:
        known = None
    return known if known is not None and known.speed == speed else PlantTime(wall(), speed)


def _parse(content: bytes, path: Path) -> PlantTime | None:
    """None for what is torn or of another format."""
    try:
        kept = orjson.loads(content)
        if kept["format"] != FORMAT:
            raise ValueError(f"its format is {kept['format']}")
        return PlantTime(int(kept["anchor_ns"]), float(kept["speed"]))
    except (ValueError, KeyError, TypeError) as error:
        log.error("%s cannot be read (%s): the plant's time begins anew", path, error)
        return None


def _exact(speed: float) -> Fraction:
    return Fraction(speed).limit_denominator(FINEST)


def _scaled(length: int | Times, by: int, parts: int) -> int | Times:
    """``length * by / parts``, rounded down; nothing on the way is longer than the result."""
    whole = length // parts
    return whole * by + (length - whole * parts) * by // parts
