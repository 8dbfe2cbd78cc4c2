"""All Modbus devices of a site in one event loop: their lines, their counters as tags, and the commands to them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gateway.config.modbus import TAGGED, ModbusDevice, ModbusPoint, Transport
from gateway.drivers.modbus.client import TCP_FRAMES, connect
from gateway.drivers.modbus.counters import ErrorKind
from gateway.drivers.modbus.device import Device
from gateway.drivers.modbus.line import Line
from gateway.drivers.modbus.serial_port import open_serial
from gateway.drivers.modbus.untagged import (
    ASCII_FRAMES,
    RTU_FRAMES,
    UntaggedConnection,
    connect_untagged,
)
from gateway.drivers.trace import Ring
from gateway.tags.image import Region, Writer
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType

COUNTERS_PERIOD_S = 1.0


class ModbusDriver:
    """Polls ``devices`` into the image. It is a `gateway.tags.operate.Driver` for their tags."""

    def __init__(
        self, devices: Sequence[ModbusDevice], region: Region, writer: Writer, *, seed: int | None = None
    ) -> None:
        """``writer`` owns the devices' tags and system tags; ``seed`` makes the jitter repeatable."""
        self._chance = random.Random(seed)  # noqa: S311 - spreads retries, keeps no secret
        self._shared: dict[tuple[str, int] | str, Line] = {}
        self._region = region
        self._writer = writer
        self._tasks: asyncio.TaskGroup | None = None  # while it runs
        self._running: dict[Device, asyncio.Task[None]] = {}
        self.devices: tuple[Device, ...] = tuple(self._device(device) for device in devices)
        self._points = _points_of(self.devices)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then the points are Bad_CommunicationError, since nobody watches them."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._start()
            counting = tasks.create_task(self._count(), name="modbus counters")
            await stop.wait()
            self._tasks = None
            for task in (*self._running.values(), counting):
                task.cancel()
        self._write_counters()
        if self._points:
            tags = np.array(list(self._points), np.uint32)
            self._writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns(), tags)

    async def take(self, devices: Sequence[ModbusDevice]) -> None:
        """Go on with these: what is the same is not touched, what is not is stopped, and what is new started.

        Tags keep what they are until the next poll.
        """
        before = {device.config.name: device for device in self.devices}
        wanted = {config.name: config for config in devices}
        ending = [device for name, device in before.items() if wanted.get(name) != device.config]
        await self._end(ending)
        self._shared = {place: line for place, line in self._shared.items() if line.users}
        following: list[Device] = []
        for config in devices:
            known = before.get(config.name)
            if known is None or known in ending:
                device = self._device(config)
                if known is not None:
                    device.succeed(known)
            else:
                device = known
            following.append(device)
        self.devices = tuple(following)
        self._points = _points_of(self.devices)
        self._start()
        self._write_counters()

    def _device(self, config: ModbusDevice) -> Device:
        return Device(config, _line_of(config, self._shared), self._region, self._writer, self._chance)

    def _start(self) -> None:
        """Those devices that do not run yet."""
        if self._tasks is None:
            return
        for place, device in enumerate(self.devices):
            if device not in self._running:
                task = self._tasks.create_task(
                    device.run(place / len(self.devices)), name=f"modbus {device.config.name}"
                )
                self._running[device] = task

    async def _end(self, devices: Iterable[Device]) -> None:
        tasks = [self._running.pop(device) for device in devices if device in self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def tags(self) -> Iterable[int]:
        """The tags it can operate and read back."""
        return self._points.keys()

    async def operate(self, tag: int, value: Value) -> None:
        """Send ``value``, once. Raises OperateError, NotConnectedError, TimeoutError."""
        device, point = self._find(tag)
        if not point.writable:
            raise OperateError(f"{point.name} is not writable")
        await device.operate(point, value)

    async def read_back(self, tag: int) -> Value:
        """What the device says now; it is in the image when this returns. Raises as `operate` does."""
        device, point = self._find(tag)
        return await device.read_back(point)

    def connections(self, tag: int) -> int:
        """How many connections to the tag's device were made over which it answered."""
        return self._find(tag)[0].session.connections

    def traces(self) -> Mapping[str, Ring]:
        """The last frames, by device."""
        return {device.config.name: device.ring for device in self.devices}

    def _find(self, tag: int) -> tuple[Device, ModbusPoint]:
        try:
            return self._points[tag]
        except KeyError:
            raise OperateError(f"no Modbus device has tag {tag}") from None

    async def _count(self) -> None:
        while True:
            self._write_counters()
            await asyncio.sleep(COUNTERS_PERIOD_S)

    def _write_counters(self) -> None:
        """All devices' system tags in one write; the percentiles stay as they are until there is an answer."""
        if not self.devices:
            return
        words: list[tuple[int, int]] = []
        latencies: list[tuple[int, float]] = []
        error_tags: list[int] = []
        errors: list[str] = []
        for device in self.devices:
            system = device.config.system
            counters = device.station.counters
            words += (
                (system.connected, int(device.session.is_connected)),
                (system.requests, counters.requests),
                (system.errors_timeout, counters.errors_of(ErrorKind.TIMEOUT)),
                (system.errors_exception, counters.errors_of(ErrorKind.EXCEPTION)),
                (system.errors_connection, counters.errors_of(ErrorKind.CONNECTION)),
                (system.errors_protocol, counters.errors_of(ErrorKind.PROTOCOL)),
            )
            latency_ms = counters.latency_ms()
            if latency_ms is not None:
                latencies += zip((system.latency_p50_ms, system.latency_p99_ms), latency_ms, strict=True)
            error_tags.append(system.last_error)
            errors.append(counters.last_error)
        stamp = time.time_ns()
        tags = np.array([tag for tag, _ in words] + [tag for tag, _ in latencies], np.uint32)
        bits = np.concatenate(
            (
                np.array([word for _, word in words], np.uint64),
                to_bits(np.array([latency for _, latency in latencies], np.float64), ValueType.DOUBLE),
            )
        )
        self._writer.write(tags, bits, Quality.GOOD, stamp, stamp)
        # unchanged or not, like the counters: a tag that nobody refreshes is stale after `stale_after_ms`
        self._writer.write_texts(np.array(error_tags, np.uint32), errors, Quality.GOOD, stamp, stamp)


def _points_of(devices: Iterable[Device]) -> dict[int, tuple[Device, ModbusPoint]]:
    return {point.tag: (device, point) for device in devices for point in device.config.points}


def _line_of(device: ModbusDevice, shared: dict[tuple[str, int] | str, Line]) -> Line:
    """The device's own line, or the one it must share."""
    if device.transport in TAGGED and not device.single_connection:
        return _new_line(device)
    place = (device.host, device.port) if device.serial is None else device.serial.path
    if place not in shared:
        shared[place] = _new_line(device)
    else:
        shared[place].users += 1
    return shared[place]


def _new_line(device: ModbusDevice) -> Line:
    host, port, serial = device.host, device.port, device.serial
    if device.transport in TAGGED:
        ring = Ring(TCP_FRAMES, f"{host}:{port}")
        return Line(lambda timeout_s: connect(host, port, timeout_s, device.tls, device.names, ring), ring)
    turnaround_s = device.turnaround_ms / 1000
    if serial is None:
        ring = Ring(RTU_FRAMES, f"{host}:{port}")
        return Line(lambda timeout_s: connect_untagged(host, port, timeout_s, turnaround_s, ring), ring)
    ring = Ring(RTU_FRAMES if device.transport is Transport.RTU else ASCII_FRAMES, serial.path)

    async def open_port(_: float) -> UntaggedConnection:
        return open_serial(serial, device.transport, turnaround_s, ring)

    return Line(open_port, ring, bears_silence=True)
