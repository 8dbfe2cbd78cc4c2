"""What a node says of itself: its state (CiA 301 7.2.8.3.2) and its emergencies (7.2.7)::

heartbeat   state                     05   operational
emergency   code(2) register own(5)   10 42 09 00 01 02 03 04   temperature, above what is allowed
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class NodeState(IntEnum):
    """As the heartbeat has it; UNKNOWN is ours."""

    BOOTING = 0
    STOPPED = 4
    OPERATIONAL = 5
    PRE_OPERATIONAL = 127
    UNKNOWN = 255


class NodeCommand(IntEnum):
    """NMT commands (7.2.8.2.1)."""

    START = 1
    STOP = 2
    ENTER_PRE_OPERATIONAL = 128


# High byte of the code (CiA 301, table 26)
_CLASSES = {
    0x00: "no error", 0x10: "generic error", 0x20: "current", 0x21: "current at the input", 0x22: "current inside",
    0x23: "current at the output", 0x30: "voltage", 0x31: "voltage of the mains", 0x32: "voltage inside",
    0x33: "voltage at the output", 0x40: "temperature", 0x41: "ambient temperature", 0x42: "device temperature",
    0x50: "hardware", 0x60: "software", 0x61: "internal software", 0x62: "user software", 0x63: "data set",
    0x70: "additional modules", 0x80: "monitoring", 0x81: "communication", 0x82: "protocol error",
    0x90: "external error", 0xF0: "additional functions", 0xFF: "error of this device's own",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Emergency:
    """``code`` 0: there is none any more."""

    code: int
    register: int
    own: bytes

    def text(self) -> str:
        what = _CLASSES.get(self.code >> 8, "unknown error")
        own = f", {self.own.hex(' ')}" if any(self.own) else ""
        return f"0x{self.code:04X} {what}{own}"


def read_emergency(data: bytes) -> Emergency | None:
    """An emergency, or None where it is too short to be one."""
    if len(data) != 8:
        return None
    return Emergency(int.from_bytes(data[:2], "little"), data[2], data[3:])


def read_state(data: bytes) -> NodeState | None:
    """The state in a heartbeat; None where it is none."""
    if len(data) != 1:
        return None
    try:
        return NodeState(data[0] & 0x7F)
    except ValueError:
        return None
