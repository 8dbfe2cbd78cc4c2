"""The `logic` section of a site as typed values: the programs that the scan runs, and how they meet the tags.

Variables are paths as written, checked by `plc.site`, which knows the programs. Every ``tag`` and every field named
after a tag is an index in the image, as in `Site.tags`. ``places`` tell where in the site file a key stands, by the
key's name; "tag" is the place of the tag's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path

from gateway.config.fault import Place

Number = bool | int | float
Places = Mapping[str, Place]


def written(value: Number) -> str:
    """As `tieline write` takes it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


class Start(StrEnum):
    """How the program begins when its process does."""

    WARM = "warm"  # retained variables keep their values
    COLD = "cold"


class Reason(IntEnum):
    """What the scan says of the setpoint it judged last (tag ``S.reason``). Numbers are in tags: never reuse one."""

    ACCEPTED = 0
    NONE_YET = 1
    EXPIRED = 2
    SEQUENCE_NOT_NEWER = 3
    OUT_OF_LIMITS = 4
    TOO_FAST = 5
    NOT_A_NUMBER = 6
    BAD_QUALITY = 7

    @property
    def text(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class LogicInput:
    """A tag that goes into a variable at the start of every scan.

    ``quality`` is a variable that gets the tag's StatusCode, ``good`` a BOOL that tells whether it is Good.
    """

    name: str
    tag: int
    variable: str
    quality: str | None
    good: str | None
    places: Places = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LogicTag:
    """A tag that the logic publishes at the end of every scan; ``safe`` is its value when no program runs.

    ``type`` is as written (``uint16``): what the variable holds must fit it.
    """

    name: str
    tag: int
    variable: str
    type: str
    safe: Number
    places: Places = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LogicOutput:
    """A writable point of a device that follows a variable: the scan writes ``demand``, the driver operates ``tag``.

    ``active`` is a BOOL variable that says whether the logic holds the point; without one it always does. ``safe`` is
    what the device gets when the program no longer runs; None leaves it as it is (``hold``). The value is operated
    again every ``refresh_ms`` while it is held; 0: on change only. ``released_by``: setpoints, and the value of each
    with which the program lets go.
    """

    name: str
    tag: int
    demand: int
    variable: str
    active: str | None
    safe: Number | None
    refresh_ms: int
    places: Places = field(compare=False, repr=False)
    released_by: Mapping[str, Number] = field(default_factory=dict)

    @property
    def release_words(self) -> str:
        """What to write to let the program let go: ``plan.follow false``; empty where nothing is declared."""
        return " and ".join(f"{setpoint} {written(value)}" for setpoint, value in self.released_by.items())


@dataclass(frozen=True, slots=True)
class LogicSetpoint:
    """A value from above that the scan judges before the logic sees it in ``variable``.

    Owner ``drivers`` writes ``tag`` (BOOL, INT64 or DOUBLE, with its limits in `Site.tags`), ``valid_until`` (INT64,
    ns since 1970) and ``sequence`` (UINT64); owner ``scan`` writes ``accepted``, ``answered`` (UINT64) and ``reason``
    (`Reason`). ``fallback`` is what holds once the accepted value has expired; None keeps it (``hold``). ``valid`` is
    a BOOL variable: an accepted value holds. A person's command is valid for ``valid_for_s``.
    """

    name: str
    tag: int
    valid_until: int
    sequence: int
    accepted: int
    answered: int
    reason: int
    variable: str
    valid: str | None
    low: float | None
    high: float | None
    max_rate_per_s: float | None
    valid_for_s: int
    initial: Number
    fallback: Number | None
    places: Places = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ScanTag:
    """A tag by which the scan tells of itself, ``_system.scan.<what>``; of a task: ``_system.scan.<task>.<what>``."""

    tag: int
    what: str
    task: str | None = None


@dataclass(frozen=True, slots=True)
class LogicSettings:
    """What the scan runs. ``programs`` are files, sorted, each once; those of plc/library are not among them.

    ``tasks`` are the programs' tasks whose counts and times are tags, by name as written.
    """

    programs: tuple[Path, ...]
    tasks: tuple[str, ...]
    watchdog_ms: int
    priority: int
    retain_ms: int
    start: Start
    inputs: tuple[LogicInput, ...]
    tags: tuple[LogicTag, ...]
    outputs: tuple[LogicOutput, ...]
    setpoints: tuple[LogicSetpoint, ...]
    scan: tuple[ScanTag, ...]
    places: Places = field(compare=False, repr=False)
