"""What records of the registry say: who takes part, with which devices, on which feeders, by which meters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from historian.ledger.fields import Digest, Name, Text


class ParticipantKind(IntEnum):
    """What somebody is in the community."""

    CONSUMER = 1
    PRODUCER = 2
    PROSUMER = 3
    VEHICLE = 4
    MICROGRID = 5
    UTILITY = 6


class DeviceKind(IntEnum):
    """What a device does with energy."""

    SOURCE = 1
    CONSUMER = 2
    STORAGE = 3
    VEHICLE = 4  # storage that trades only within a session
    METER = 5


class Status(IntEnum):
    """Where a participant or device stands."""

    APPLIED = 1
    ACTIVE = 2
    MAINTENANCE = 3
    SUSPENDED = 4
    RETIRED = 5


@dataclass(frozen=True, slots=True)
class Join:
    """The author wants to take part."""

    kind: ParticipantKind
    location: Text
    certificate: Digest


@dataclass(frozen=True, slots=True)
class Device:
    """The author has this device; what it can do. Powers in W at its terminals, 0: not at all."""

    device: Name
    kind: DeviceKind
    model: Text
    location: Text
    certificate: Digest
    feeder: Name
    max_export_w: int
    max_import_w: int
    storage_wh: int


@dataclass(frozen=True, slots=True)
class Feeder:
    """What a feeder carries either way."""

    feeder: Name
    max_export_w: int
    max_import_w: int


@dataclass(frozen=True, slots=True)
class Approval:
    """The operator lets a participant or device in."""

    subject: Name
    is_device: bool


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A participant or device changes its status; ``maintained_at_us`` 0: not maintained now."""

    subject: Name
    is_device: bool
    status: Status
    maintained_at_us: int
    note: Text


@dataclass(frozen=True, slots=True)
class MeterBinding:
    """Which tags a meter's registers are, who reads them, and whether it is its owner's connection.

    ``export_tag`` is empty where it has no such register: its owner gives nothing.
    """

    meter: Name
    import_tag: Text
    export_tag: Text
    reader: Name
    is_main: bool


RegistryFact = Join | Device | Feeder | Approval | StatusChange | MeterBinding

REGISTRY_TOPICS: dict[str, type[Any]] = {
    "registry.join": Join,
    "registry.device": Device,
    "registry.feeder": Feeder,
    "registry.approval": Approval,
    "registry.status": StatusChange,
    "registry.meter": MeterBinding,
}
