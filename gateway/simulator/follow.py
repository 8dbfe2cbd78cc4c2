"""What the logic makes of a lost utility, change by change for people, from the journal of the running site."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config.paths import RunPaths
from gateway.tags.image import Region
from gateway.tags.sample import value_from_bits
from gateway.tags.tag import ValueType

STATE, REASON, NADIR = "island.state", "island.reason", "island.nadir_hz"
FREQUENCY, TIE = "pcc.frequency_hz", "pcc.breaker_closed"
CONNECTED, ISLANDED = 0, 4
# As the demo's logic.yaml has them; a test holds the two together.
STATES = {
    0: "connected",
    1: "preparing an island",
    2: "opening the tie",
    3: "forming the bus",
    4: "islanded",
    5: "resynchronising",
    6: "closing the tie",
    7: "returning",
    8: "dead bus",
    9: "black start",
    10: "locked out",
}
REASONS = {
    0: "none",
    1: "tie breaker opened by itself",
    2: "under-voltage",
    3: "over-voltage",
    4: "under-frequency",
    5: "over-frequency",
    6: "rate of change of frequency",
    7: "utility not seen",
    10: "requested",
    11: "request withdrawn",
    12: "tie balanced",
    13: "tie open",
    14: "bus formed",
    15: "utility is back",
    16: "in step",
    17: "tie closed",
    18: "settled",
    19: "bus dead",
    20: "loads cleared",
    21: "dead bus, utility live",
    22: "reset",
    30: "not balanced in time",
    31: "tie failed to open",
    32: "tie failed to close",
    33: "not in step in time",
    34: "utility lost again",
    35: "bus not formed in time",
    36: "black start failed",
}
LOOK_S = 0.1
SEVERITY = 0xC000_0000  # of a StatusCode: zero is Good


@dataclass(frozen=True, slots=True)
class Change:
    """A line to be told: seconds since the beginning, and what happened."""

    seconds: float
    said: str


class NotFollowedError(Exception):
    """There is nothing to follow here; the message says why."""


class Follower:
    """Follows the changes of one running site from now on. ``state`` is the last seen; None without logic."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._started_ns = time.time_ns()
        self._names = {tag: name for tag in range(region.tag_count) if _is_told(name := region.name_of(tag))}
        if STATE not in self._names.values():
            raise NotFollowedError("this site has no logic that would tell (there is no tag island.state)")
        self._last: dict[int, object] = {}
        for tag in self._names:
            self._last[tag] = region.sample(self._names[tag]).value
        self.state = int(str(self._value(STATE)))
        self.until_s = 0.0
        self.lowest_hz: float | None = None
        self._reader = region.reader("now")

    def begin(self) -> None:
        """Seconds count from here."""
        self._started_ns = time.time_ns()

    @property
    def seconds(self) -> float:
        return (time.time_ns() - self._started_ns) / 1e9

    def changes(self) -> Iterator[Change]:
        """What changes, until ``until_s``, which the caller may move as it sees the changes."""
        while self.seconds < self.until_s:
            self._reader.wait(LOOK_S)
            records = self._reader.take().records
            told = [row for row in records if int(row["tag"]) in self._names]
            # Owners have journals of their own: in the order in which things happened, reasons before states.
            for row in sorted(told, key=lambda row: (int(row["source_time"]), self._names[int(row["tag"])])):
                yield from self._one(row)

    def _one(self, row: object) -> Iterator[Change]:
        tag = int(row["tag"])  # type: ignore[index] # a row of a structured array
        if int(row["status"]) & SEVERITY:  # type: ignore[index]
            return
        value = value_from_bits(int(row["value"]), ValueType(int(self._region.types[tag])))  # type: ignore[index]
        seconds = (int(row["source_time"]) - self._started_ns) / 1e9  # type: ignore[index]
        name = self._names[tag]
        if name == FREQUENCY:
            if self.state != CONNECTED and isinstance(value, float) and value > 0.0:
                self.lowest_hz = value if self.lowest_hz is None else min(self.lowest_hz, value)
            return
        if value == self._last[tag]:
            return
        self._last[tag] = value
        if name == STATE:
            self.state = int(value)
            why = REASONS.get(int(str(self._value(REASON))), "?")
            yield Change(seconds, f"{STATES.get(self.state, value)} ({why})")
        elif name.endswith(".breaker_closed"):
            yield Change(seconds, f"{name.removesuffix('.breaker_closed')} {'closed' if value else 'open'}")
        elif name == "genset1.running":
            yield Change(seconds, f"genset1 {'runs' if value else 'stands'}")

    def _value(self, name: str) -> object:
        return self._last[self._region.index_of(name)]


def running_region(paths: RunPaths) -> Region:
    """The image of the site that runs in this state folder. Raises NotFollowedError, RegionError."""
    try:
        return Region.attach(json.loads(paths.run_record.read_bytes())["region"])
    except (OSError, ValueError, KeyError) as error:
        raise NotFollowedError(f"no site runs in {paths.state}") from error


def _is_told(name: str) -> bool:
    return name in (STATE, REASON, FREQUENCY, TIE, "genset1.running") or (
        name.startswith("feeder") and name.endswith(".breaker_closed")
    )
