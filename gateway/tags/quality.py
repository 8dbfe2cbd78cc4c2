"""Quality of a sample: the OPC UA StatusCode, whole (OPC 10000-4 7.39, codes of OPC 10000-6 A.2).

The two top bits are the severity: 00 Good, 01 Uncertain, 10 Bad. The names below are those Tieline itself
sets; a code that came from a device is kept as it came.
"""

from __future__ import annotations

from enum import IntEnum

SEVERITY_MASK = 0xC000_0000
SEVERITY_UNCERTAIN = 0x4000_0000
SEVERITY_BAD = 0x8000_0000


class Quality(IntEnum):
    """StatusCodes that Tieline sets; compare and store them as plain 32-bit integers."""

    GOOD = 0x0000_0000
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 0x4094_0000
    UNCERTAIN_DATA_SUB_NORMAL = 0x40A4_0000  # OPC 10000-13 4.2.2.2: made from less than all good data
    BAD = 0x8000_0000
    BAD_COMMUNICATION_ERROR = 0x8005_0000
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
    BAD_DATA_ENCODING_INVALID = 0x8038_0000
    BAD_NO_COMMUNICATION = 0x8031_0000
    BAD_NODE_ID_UNKNOWN = 0x8034_0000
    BAD_OUT_OF_RANGE = 0x803C_0000
    BAD_NOT_SUPPORTED = 0x803D_0000
    BAD_CONFIGURATION_ERROR = 0x8089_0000
    BAD_NOT_CONNECTED = 0x808A_0000
    BAD_DEVICE_FAILURE = 0x808B_0000
    BAD_SENSOR_FAILURE = 0x808C_0000
    BAD_OUT_OF_SERVICE = 0x808D_0000
    BAD_NO_DATA = 0x809B_0000


def is_good(status: int) -> bool:
    """True where the severity bits are 00."""
    return (status & SEVERITY_MASK) == 0


def is_uncertain(status: int) -> bool:
    """True where the severity bits are 01."""
    return (status & SEVERITY_MASK) == SEVERITY_UNCERTAIN


def is_bad(status: int) -> bool:
    """True where the top bit is set (10, and the reserved 11)."""
    return bool(status & SEVERITY_BAD)


def name_of(status: int) -> str:
    """The standard's name, e.g. ``Bad_CommunicationError``; ``0x8ABC0000`` where Tieline knows none."""
    try:
        word, *rest = Quality(status & 0xFFFF_0000).name.split("_")
    except ValueError:
        return f"0x{status:08X}"
    tail = "".join(part.capitalize() for part in rest)
    return f"{word.capitalize()}_{tail}" if tail else word.capitalize()
