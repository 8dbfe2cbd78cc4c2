"""All CAN devices of a site in one event loop: their buses, their counters as tags, and the commands to them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gateway.config.can import CanDevice, CanPoint
from gateway.drivers.can.bus import BusState
from gateway.drivers.can.channel import Channel, Device
from gateway.drivers.trace import Ring
from gateway.tags.image import Writer
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType

COUNTERS_PERIOD_S = 1.0


class CanDriver:
    """Reads ``devices`` into the image. It is a `gateway.tags.operate.DeviceDriver` for their tags."""

    def __init__(self, devices: Sequence[CanDevice], writer: Writer, *, seed: int | None = None) -> None:
        """``writer`` owns the devices' tags and system tags; ``seed`` makes the jitter repeatable."""
        chance = random.Random(seed)  # noqa: S311 - spreads retries, keeps no secret
        buses: dict[tuple[str, str, int, str | None], list[CanDevice]] = {}
        for device in devices:
            bus = device.bus
            buses.setdefault((bus.interface, bus.channel, bus.port, bus.file), []).append(device)
        self._writer = writer
        self._channels = tuple(Channel(together, writer, chance) for together in buses.values())
        self._points: dict[int, tuple[Channel, Device, CanPoint]] = {
            point.tag: (channel, device, point)
            for channel in self._channels
            for device in channel.devices
            for point in device.config.points
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then the points are Bad_CommunicationError, since nobody watches them."""
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(channel.run(), name=f"can {channel.bus.interface} {channel.bus.channel}")
                for channel in self._channels
            ]
            running.append(tasks.create_task(self._count(), name="can counters"))
            await stop.wait()
            for task in running:
                task.cancel()
        if self._points:
            tags = np.array(list(self._points), np.uint32)
            self._writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns(), tags)
            self._write_counters()

    def tags(self) -> Iterable[int]:
        """The tags it can operate and read back."""
        return self._points.keys()

    async def operate(self, tag: int, value: Value) -> None:
        """Send ``value``, once now and then in the message's cycle. Raises OperateError and as `Driver` says."""
        channel, _, point = self._find(tag)
        if not point.writable:
            raise OperateError(f"{point.name} is not writable")
        await channel.operate(point, value)

    async def read_back(self, tag: int) -> Value:
        """What the feedback point says next, else what was sent; it is in the image when this returns."""
        channel, _, point = self._find(tag)
        return await channel.read_back(point)

    def connections(self, tag: int) -> int:
        """How often the tag's device was heard again after a silence."""
        return self._find(tag)[1].connections

    def traces(self) -> Mapping[str, Ring]:
        """The last frames of each device's bus."""
        return {device.config.name: channel.ring for channel in self._channels for device in channel.devices}

    def _find(self, tag: int) -> tuple[Channel, Device, CanPoint]:
        try:
            return self._points[tag]
        except KeyError:
            raise OperateError(f"no CAN device has tag {tag}") from None

    async def _count(self) -> None:
        while True:
            self._write_counters()
            await asyncio.sleep(COUNTERS_PERIOD_S)

    def _write_counters(self) -> None:
        """All devices' system tags in one write."""
        words: list[tuple[int, int]] = []
        loads: list[tuple[int, float]] = []
        texts: list[tuple[int, str]] = []
        latencies: list[int] = []
        for channel in self._channels:
            inbox = channel.inbox
            if inbox is not None:
                channel.write_network(asyncio.get_running_loop().time())
            for device in channel.devices:
                system, bus, counts = device.config.system, device.config.bus_system, device.counts
                words += (
                    (system.connected, int(device.is_connected)),
                    (system.requests, counts.sent),
                    (system.errors_timeout, counts.missing),
                    (system.errors_exception, counts.refused),
                    (system.errors_connection, counts.broken),
                    (system.errors_protocol, counts.short),
                    (bus.frames, counts.frames),
                    (bus.bus_frames, 0 if inbox is None else inbox.received),
                    (bus.frames_lost, 0 if inbox is None else inbox.lost),
                    (bus.error_frames, 0 if inbox is None else inbox.errors),
                    (bus.bus_offs, 0 if inbox is None else inbox.bus_offs),
                    (bus.bus_state, int(BusState.ACTIVE if inbox is None else inbox.state)),
                )
                loads.append((bus.bus_load_pct, channel.load_pct))
                texts.append((system.last_error, counts.last_error))
                both = (system.latency_p50_ms, system.latency_p99_ms)
                timings = None if device.node is None else device.node.latencies_ms()
                if timings is None:
                    latencies += both
                else:
                    loads += zip(both, timings, strict=True)
                if device.node is not None:
                    device.node.tell(self._writer)
        if not words:
            return
        stamp = time.time_ns()
        tags = np.array([tag for tag, _ in (*words, *loads)], np.uint32)
        bits = np.concatenate(
            (
                np.array([word for _, word in words], np.uint64),
                to_bits(np.array([load for _, load in loads], np.float64), ValueType.DOUBLE),
            )
        )
        self._writer.write(tags, bits, Quality.GOOD, stamp, stamp)
        self._writer.write_texts(
            np.array([tag for tag, _ in texts], np.uint32),
            [text for _, text in texts],
            Quality.GOOD,
            stamp,
            stamp,
        )
        # Where nothing is asked, nothing is answered; said each time, or it would look as if nobody were there.
        none = np.zeros(len(latencies), np.uint64)
        self._writer.write(np.array(latencies, np.uint32), none, Quality.BAD_NOT_SUPPORTED, stamp, stamp)
