"""Devices: registration, validation, performance, maintenance alerts (solidity/DeviceRegistry.sol)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from historian.ledger.contracts.abi import id_of
from historian.ledger.contracts.contract import DAY_S, Contract, Message, check_range, check_text
from historian.ledger.contracts.words import NO_ADDRESS, Reverted, add

ONE = 1_000_000


class DeviceStatus(IntEnum):
    """Where a device stands."""

    PENDING = 0
    ACTIVE = 1
    MAINTENANCE = 2
    SUSPENDED = 3
    RETIRED = 4


_IN_USE = (DeviceStatus.ACTIVE, DeviceStatus.MAINTENANCE)
_OWNERS_CHANGES = {
    DeviceStatus.PENDING: {DeviceStatus.RETIRED},
    DeviceStatus.ACTIVE: {DeviceStatus.MAINTENANCE, DeviceStatus.RETIRED},
    DeviceStatus.MAINTENANCE: {DeviceStatus.ACTIVE, DeviceStatus.RETIRED},
    DeviceStatus.SUSPENDED: {DeviceStatus.RETIRED},
}


@dataclass(frozen=True, slots=True)
class Device:
    """Certificate and manifest as SHA-256 of them; time in s."""

    id: bytes
    owner: bytes
    device_type: bytes
    certificate: bytes
    manifest: bytes
    last_maintenance: int = 0
    status: DeviceStatus = DeviceStatus.PENDING


@dataclass(frozen=True, slots=True)
class _Performance:
    last: int = 0
    sum: int = 0
    count: int = 0


class DeviceRegistry(Contract):
    """All devices."""

    MAINTAIN_EVERY = 180 * DAY_S
    LEAST_AVAILABILITY = 950_000

    def __init__(self, operator: bytes) -> None:
        super().__init__(operator)
        self._devices: dict[bytes, Device] = {}
        self._performances: dict[bytes, _Performance] = {}

    def register_device(
        self, message: Message, device_type: bytes, certificate: bytes, manifest: bytes
    ) -> bytes:
        """The sender's device applies."""
        check_text(device_type)
        device_id = id_of("device", message.sender, len(self._devices))
        self._devices[device_id] = Device(device_id, message.sender, device_type, certificate, manifest)
        self._tell(message, "DeviceRegistered", device_id, message.sender, device_type, certificate, manifest)
        return device_id

    def validate_device(self, message: Message, device_id: bytes) -> None:
        """Let a device in that applied; its time to maintenance begins."""
        self._only_operator(message)
        device = self.get_device(message, device_id)
        if device.status is not DeviceStatus.PENDING:
            raise Reverted("WrongStatus", device_id, device.status)
        self._devices[device_id] = replace(device, status=DeviceStatus.ACTIVE, last_maintenance=message.now)
        self._tell(message, "DeviceStatusChanged", device_id, DeviceStatus.ACTIVE, message.sender)

    def update_device_status(self, message: Message, device_id: bytes, status: DeviceStatus) -> None:
        """By its owner between active, maintenance and retired; by the operator otherwise."""
        device = self.get_device(message, device_id)
        before = device.status
        is_final = before is DeviceStatus.RETIRED or (before, status) == (
            DeviceStatus.PENDING,
            DeviceStatus.ACTIVE,
        )
        if is_final or status in (DeviceStatus.PENDING, before):
            raise Reverted("WrongStatus", device_id, before)
        if message.sender != self._operator:
            if message.sender != device.owner:
                raise Reverted("NotOwner", device_id, message.sender)
            if status not in _OWNERS_CHANGES[before]:
                raise Reverted("WrongStatus", device_id, before)
        self._devices[device_id] = replace(device, status=status)
        self._tell(message, "DeviceStatusChanged", device_id, status, message.sender)

    def record_performance(self, message: Message, device_id: bytes, availability: int) -> None:
        """How much of the time a device was there, in ppm; tells when it is due for maintenance."""
        self._only_operator(message)
        device = self.get_device(message, device_id)
        if device.status is not DeviceStatus.ACTIVE:
            raise Reverted("WrongStatus", device_id, device.status)
        check_range(availability, ONE)
        before = self._performances.get(device_id, _Performance())
        self._performances[device_id] = _Performance(
            availability, add(before.sum, availability), before.count + 1
        )
        self._tell(message, "PerformanceRecorded", device_id, availability)
        if self.is_maintenance_due(message, device_id):
            self._tell(message, "MaintenanceDue", device_id, device.last_maintenance, availability)

    def record_maintenance(self, message: Message, device_id: bytes) -> None:
        """A device was maintained, says its owner or the operator."""
        device = self.get_device(message, device_id)
        if message.sender not in (device.owner, self._operator):
            raise Reverted("NotOwner", device_id, message.sender)
        if device.status not in _IN_USE:
            raise Reverted("WrongStatus", device_id, device.status)
        self._devices[device_id] = replace(device, last_maintenance=message.now)
        self._performances.pop(device_id, None)
        self._tell(message, "MaintenanceRecorded", device_id, message.now)

    def transfer_device(self, message: Message, device_id: bytes, to: bytes) -> None:
        """Give a device to another; the operator validates it anew."""
        device = self.get_device(message, device_id)
        if message.sender != device.owner:
            raise Reverted("NotOwner", device_id, message.sender)
        if to == NO_ADDRESS:
            raise Reverted("NoAddress")
        if device.status not in _IN_USE:
            raise Reverted("WrongStatus", device_id, device.status)
        self._devices[device_id] = replace(device, owner=to, status=DeviceStatus.PENDING)
        self._tell(message, "DeviceTransferred", device_id, message.sender, to)

    def get_device(self, _: Message, device_id: bytes) -> Device:
        """A device."""
        device = self._devices.get(device_id)
        if device is None:
            raise Reverted("Unknown", device_id)
        return device

    def get_performance(self, message: Message, device_id: bytes) -> tuple[int, int]:
        """The mean availability since the last maintenance, and of how many records."""
        self.get_device(message, device_id)
        performance = self._performances.get(device_id, _Performance())
        return performance.sum // performance.count if performance.count else 0, performance.count

    def is_maintenance_due(self, message: Message, device_id: bytes) -> bool:
        """Whether a device that is in use is due for maintenance."""
        device = self.get_device(message, device_id)
        if device.status is not DeviceStatus.ACTIVE:
            return False
        performance = self._performances.get(device_id)
        is_poor = performance is not None and performance.last < self.LEAST_AVAILABILITY
        return is_poor or message.now >= device.last_maintenance + self.MAINTAIN_EVERY
