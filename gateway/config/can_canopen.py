"""CANopen as typed values: a node, its objects, and what is written to it before it is started (CiA 301)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Function codes of the predefined connection set (CiA 301 7.3.3), to which the node's number is added.
EMERGENCY, HEARTBEAT = 0x080, 0x700
SDO_ANSWER, SDO_REQUEST = 0x580, 0x600
TPDO_COBS, RPDO_COBS = (0x180, 0x280, 0x380, 0x480), (0x200, 0x300, 0x400, 0x500)
HEARTBEAT_TIME = 0x1017
RPDO_SETTINGS, RPDO_MAPPING, TPDO_SETTINGS, TPDO_MAPPING = 0x1400, 0x1600, 0x1800, 0x1A00
MAX_PDOS = 512
PDO_BITS = 64
COB_INVALID = 1 << 31
COB_MASK = 0x7FF


class ObjectType(StrEnum):
    """Type of an object; how many bits it has is `BITS`."""

    BOOLEAN = "boolean"
    INT8 = "int8"
    INT16 = "int16"
    INT24 = "int24"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT24 = "uint24"
    UINT32 = "uint32"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


BITS = {
    ObjectType.BOOLEAN: 1, ObjectType.INT8: 8, ObjectType.INT16: 16, ObjectType.INT24: 24, ObjectType.INT32: 32,
    ObjectType.INT64: 64, ObjectType.UINT8: 8, ObjectType.UINT16: 16, ObjectType.UINT24: 24, ObjectType.UINT32: 32,
    ObjectType.UINT64: 64, ObjectType.FLOAT32: 32, ObjectType.FLOAT64: 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SdoObject:
    """An object of a node that is read and written by SDO. ``size``: its bytes."""

    node: int
    index: int
    subindex: int
    size: int


@dataclass(frozen=True, slots=True)
class ObjectWrite:
    """A value that is written before the node is started, little-endian."""

    index: int
    subindex: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CanopenSystemTags:
    """Image indexes of what a CANopen device's own tags have beyond those of CAN."""

    node_state: int
    boots: int
    heartbeats_lost: int
    emergencies: int
    emergency_code: int
    error_register: int
    emergency_text: int


@dataclass(frozen=True, slots=True)
class CanopenLink:
    """A node. ``lost_after_ms`` 0: it tells no heartbeat, and is there while it is heard."""

    node: int
    heartbeat_ms: int
    lost_after_ms: int
    timeout_ms: int
    is_started: bool  # by us
    setup: tuple[ObjectWrite, ...]
    system: CanopenSystemTags
