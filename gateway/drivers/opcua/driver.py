"""All OPC UA devices of a site in one event loop: their servers, their counters as tags, and the commands to them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gateway.config.opcua_device import OpcUaDevice, OpcUaPoint
from gateway.config.pki import Identity, TrustList, Usage, own_identity
from gateway.drivers.opcua.connection import ConnectError
from gateway.drivers.opcua.device import Server
from gateway.drivers.trace import Ring
from gateway.tags.image import Writer
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType

COUNTERS_PERIOD_S = 1.0
NO_SECURITY = "None"
PKI = (
    "servers"  # in the state folder's pki: who a server is, is another question than which client may come in
)
REMEDY = "if it is the right one: cd {trusted.parent} && mv rejected/{kept.name} trusted/"
_HOST = "127.0.0.1"  # a client's certificate needs no address of its own


class OpcUaDriver:
    """Reads ``devices`` into the image. It is a `gateway.tags.operate.DeviceDriver` for their tags."""

    def __init__(
        self,
        devices: Sequence[OpcUaDevice],
        writer: Writer,
        pki: Path,
        site: str,
        *,
        seed: int | None = None,
    ) -> None:
        """``writer`` owns the devices' tags; ``pki`` is the state folder's; ``seed`` makes the jitter repeatable."""
        chance = random.Random(seed)  # noqa: S311 - spreads retries, keeps no secret
        self._writer = writer
        self._certificates = Certificates(pki / PKI, site)
        self.servers = tuple(
            Server(
                device,
                writer,
                self._identity_for(device),
                self._certificates.trust(device.trusts_all),
                chance,
            )
            for device in devices
        )
        self._points: dict[int, tuple[Server, OpcUaPoint]] = {
            point.tag: (server, point) for server in self.servers for point in server.config.points
        }

    def _identity_for(self, device: OpcUaDevice) -> Callable[[], Awaitable[Identity | None]]:
        if device.security != NO_SECURITY:
            return self._certificates.identity
        # even without security, a password goes to none but a trusted server
        return self._certificates.nobody if device.user is not None else _nobody

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then the points are Bad_CommunicationError, since nobody watches them."""
        hush_library()
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(server.run(), name=f"opcua {server.config.name}")
                    for server in self.servers
                ]
                running.append(tasks.create_task(self._count(), name="opcua counters"))
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            for server in self.servers:
                server.lose()
            self._write_counters(is_over=True)

    def tags(self) -> Iterable[int]:
        """The tags it can operate and read back."""
        return self._points.keys()

    async def operate(self, tag: int, value: Value) -> None:
        """Send ``value``, once. Raises OperateError, NotConnectedError, TimeoutError."""
        server, point = self._find(tag)
        if not point.writable:
            raise OperateError(f"{point.name} is not writable")
        await server.operate(point, value)

    async def read_back(self, tag: int) -> Value:
        """What the server says now; it is in the image when this returns. Raises as `operate` does."""
        server, point = self._find(tag)
        return await server.read_back(point)

    def connections(self, tag: int) -> int:
        """How often a session with the tag's server was made."""
        return self._find(tag)[0].session.connections

    def traces(self) -> Mapping[str, Ring]:
        """The last messages to and from each device's server."""
        return {server.config.name: server.ring for server in self.servers}

    def _find(self, tag: int) -> tuple[Server, OpcUaPoint]:
        try:
            return self._points[tag]
        except KeyError:
            raise OperateError(f"no OPC UA device has tag {tag}") from None

    async def _count(self) -> None:
        while True:
            self._write_counters()
            await asyncio.sleep(COUNTERS_PERIOD_S)

    def _write_counters(self, *, is_over: bool = False) -> None:
        """All devices' system tags in one write."""
        words: list[tuple[int, int]] = []
        for server in self.servers:
            system, own, counts, told = server.config.system, server.config.own, server.counts, server.told
            words += (
                (system.connected, int(server.is_connected and not is_over)),
                (system.requests, counts.requests),
                (system.errors_timeout, counts.timeouts),
                (system.errors_exception, counts.refusals),
                (system.errors_connection, counts.losses),
                (system.errors_protocol, counts.garbled),
                (own.notifications, told.notifications),
                (own.monitored, told.monitored),
                (own.refused_nodes, len(server.samples.misfits)),
                (own.rebuilds, told.rebuilds),
                (own.overflows, told.overflows),
            )
            if counts.latencies:
                ordered = sorted(counts.latencies)
                quantiles = ordered[(len(ordered) - 1) // 2], ordered[-(-99 * len(ordered) // 100) - 1]
                bits = to_bits(np.array(quantiles), ValueType.DOUBLE)
                words += ((system.latency_p50_ms, int(bits[0])), (system.latency_p99_ms, int(bits[1])))
        if not words:
            return
        stamp = time.time_ns()
        tags, bits_of = zip(*words, strict=True)
        self._writer.write(
            np.array(tags, np.uint32), np.array(bits_of, np.uint64), Quality.GOOD, stamp, stamp
        )
        self._writer.write_texts(
            np.array([server.config.system.last_error for server in self.servers], np.uint32),
            [server.told.last_error for server in self.servers],
            Quality.GOOD,
            stamp,
            stamp,
        )


def hush_library() -> None:
    """What the library logs of broken connections, `last_error` says, once."""
    logging.getLogger("asyncua.client").setLevel(logging.CRITICAL)


class Certificates:
    """Ours as a client, made when first needed, and those of servers that are trusted, in the folder ``pki``."""

    def __init__(self, pki: Path, site: str) -> None:
        self._pki = pki
        self._site = site
        self._made: Identity | None = None
        self._making = asyncio.Lock()

    def trust(self, trusts_all: bool) -> TrustList:
        """The servers that are trusted."""
        return TrustList(self._pki, trusts_all, REMEDY)

    async def nobody(self) -> None:
        """Only the folders. Raises ConnectError."""
        try:
            await asyncio.to_thread(self.trust(False).prepare)
        except OSError as error:
            raise ConnectError(f"the folder of certificates cannot be made: {error}") from error

    async def identity(self) -> Identity:
        """Raises ConnectError."""
        await self.nobody()
        async with self._making:
            if self._made is None:
                try:
                    self._made = await asyncio.to_thread(
                        own_identity, self._pki, self._site, _HOST, Usage.CLIENT
                    )
                except (OSError, ValueError) as error:
                    raise ConnectError(f"our certificate cannot be used: {error}") from error
            return self._made


async def _nobody() -> None:
    return None
