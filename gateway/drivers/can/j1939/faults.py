"""Active faults of a device (DM1, SAE J1939-73 5.7.1)::

byte 0   lamps:    malfunction 7..6  stop 5..4  warning 3..2  protect 1..0     00 no  01 yes
byte 1   flashing: likewise                                                    00 slowly  01 fast
then faults of four bytes:   SPN low, SPN middle, SPN high 7..5 and FMI 4..0, method 7 and occurrences 6..0

04 ff 6e 00 03 02 ff ff   warning lamp; SPN 110 (coolant temperature), FMI 3, seen twice
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MAX_SHOWN = 40  # faults in a text; the tag is shorter still
_NO_FAULT = (0, 0)
_NO_FAULT_BEFORE_2001 = (0x7FFFF, 31)
_OCCURRENCES_UNKNOWN = 127


class Lamp(IntEnum):
    """What a lamp does."""

    OFF = 0
    LIT = 1
    SLOW = 2  # flashes once a second
    FAST = 3  # twice or more
    UNKNOWN = 4


@dataclass(frozen=True, slots=True)
class Fault:
    """``occurrences`` 127: not told. ``is_old``: numbered by one of the three ways before 1996."""

    spn: int
    fmi: int
    occurrences: int
    is_old: bool

    def text(self) -> str:
        seen = "" if self.occurrences in (0, _OCCURRENCES_UNKNOWN) else f" x{self.occurrences}"
        return f"SPN {self.spn}{' (old numbering)' if self.is_old else ''} FMI {self.fmi}{seen}"


@dataclass(frozen=True, slots=True)
class ActiveFaults:
    """Lamps in the order malfunction, stop, warning, protect."""

    lamps: tuple[Lamp, Lamp, Lamp, Lamp]
    faults: tuple[Fault, ...]

    def text(self) -> str:
        return "; ".join(fault.text() for fault in self.faults[:MAX_SHOWN])


def read_faults(data: bytes) -> ActiveFaults | None:
    """A DM1, or None where it is too short to be one."""
    if len(data) < 2:
        return None
    lamps = [_lamp(data[0] >> shift & 3, data[1] >> shift & 3) for shift in (6, 4, 2, 0)]
    faults: list[Fault] = []
    for at in range(2, len(data) - 3, 4):
        low, middle, third, last = data[at : at + 4]
        fault = Fault(low | middle << 8 | third >> 5 << 16, third & 0x1F, last & 0x7F, bool(last & 0x80))
        if (fault.spn, fault.fmi) not in (_NO_FAULT, _NO_FAULT_BEFORE_2001):
            faults.append(fault)
    return ActiveFaults((lamps[0], lamps[1], lamps[2], lamps[3]), tuple(faults))


def _lamp(status: int, flashing: int) -> Lamp:
    if status == 1:
        return {0: Lamp.SLOW, 1: Lamp.FAST}.get(flashing, Lamp.LIT)
    return Lamp.OFF if status == 0 else Lamp.UNKNOWN
