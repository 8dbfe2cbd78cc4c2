"""OPC UA client: CPU a value of the driver, beside bare asyncua subscribed to the same nodes.

A server of asyncua's in a process of its own has 10,000 Doubles, all monitored, of which some change all the time.
"Read" is one finished notification of 1,000 values: ours goes on into image and journal, asyncua stops at its
objects. "Subscribed" is all of it behind the live server: ours with its image, asyncua with a handler that counts.
The server makes what it can, so the rate is its. CPU is this process's own. "Latency" is from the source time that
the server stamped to the receipt time in the image, the publishing interval included.

Usage: python benchmarks/opcua_client.py
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
from asyncua import Client, Server, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.drivers.opcua import wire
from gateway.drivers.opcua.driver import OpcUaDriver
from gateway.drivers.opcua.samples import Samples
from gateway.drivers.opcua.structures import Definitions
from gateway.tags.image import Region

ITEMS, FOLDER = 10_000, 100  # a folder of more makes the library slow
BATCH = 1_000
ROUNDS = 5
PERIOD_MS = 200
CHANGED = 200  # at once, so that the server's loop has time for its clients
MEASURED_S = 8.0
PATIENCE_S = 120.0


async def serve(port: int) -> None:
    """The server's process: tells when it is up, then changes values until its input ends."""
    logging.disable(logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace("urn:bench")
    nodes = []
    for first in range(0, ITEMS, FOLDER):
        folder = await server.nodes.objects.add_object(space, f"f{first}")
        for i in range(first, first + FOLDER):
            nodes.append((await folder.add_variable(ua.NodeId(f"v{i}", space), f"v{i}", 0.0)).nodeid)
    async with server:
        print(json.dumps("up"), flush=True)
        turn = 0
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not ended.done():
            stamp = datetime.now(UTC)
            for i in range(CHANGED):
                value = ua.Variant(float(turn + i), ua.VariantType.Double)
                told = ua.DataValue(value, ua.StatusCode(0), stamp, stamp)
                await server.write_attribute_value(nodes[(turn + i) % ITEMS], told)
            turn += CHANGED
            await asyncio.sleep(0.02)


def site(folder: Path, port: int) -> Site:
    points = "".join(f'      v{i}: {{node: "ns=2;s=v{i}"}}\n' for i in range(ITEMS))
    (folder / "site.yaml").write_text(
        "site: {name: bench}\nareas: {a: A}\ndevices:\n  d:\n    area: a\n    protocol: opcua\n"
        f'    connection: {{url: "opc.tcp://127.0.0.1:{port}/", security: None, timeout_ms: 60000, verify_s: 0}}\n'
        f"    groups: {{all: {{period_ms: {PERIOD_MS}, stale_after_ms: 60000}}}}\n    points:\n" + points
    )
    return load_site(folder / "site.yaml")


def notification() -> bytes:
    """An answer to Publish with a batch of Doubles, as most servers send them."""
    stamp = datetime.now(UTC)
    response = ua.PublishResponse()
    items = [
        ua.MonitoredItemNotification(i, ua.DataValue(ua.Variant(float(i)), ua.StatusCode(0), stamp, stamp))
        for i in range(BATCH)
    ]
    response.Parameters.NotificationMessage.NotificationData = [ua.DataChangeNotification(items, [])]
    return struct_to_binary(response)


def read(one: Site, region: Region) -> tuple[float, float]:
    """µs of CPU a value: ours from the bytes into the image, asyncua's from the bytes to its objects."""
    body = notification()
    samples = Samples(one.opcua_devices[0].points, region.claim("drivers"), print)
    definitions = Definitions({}, {})
    ours, theirs = [], []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(20):
            _, published = wire.publish_response(body)
            assert published is not None
            rows, numbers, statuses, sources = [], [], [], []
            for handle, reading in published.changes:
                rows.append(handle)
                numbers.append(reading.value)
                statuses.append(reading.status)
                sources.append(reading.source_ns)
            samples.take_numbers(rows, numbers, statuses, sources)
        ours.append((time.process_time() - start) / 20 / BATCH * 1e6)
        start = time.process_time()
        for _ in range(20):
            struct_from_binary(ua.PublishResponse, Buffer(body))
        theirs.append((time.process_time() - start) / 20 / BATCH * 1e6)
    assert definitions.structures == {}
    return statistics.median(ours), statistics.median(theirs)


async def ours(one: Site, region: Region, folder: Path) -> tuple[float, float, float, np.ndarray[Any, Any]]:
    """Seconds until all have a value, µs of CPU a value, values a second, and latencies in ms."""
    driver = OpcUaDriver(one.opcua_devices, region.claim("drivers"), folder / "pki", "bench", seed=1)
    told = driver.servers[0].told
    stop = asyncio.Event()
    begun = time.perf_counter()
    task = asyncio.create_task(driver.run(stop))
    while len(np.flatnonzero(region.read()["status"][:ITEMS] == 0)) < ITEMS:
        assert time.perf_counter() - begun < PATIENCE_S, told.last_error
        await asyncio.sleep(0.05)
    ready_s = time.perf_counter() - begun
    await asyncio.sleep(1.0)
    reader = region.reader("now")
    cpu, wall, count = time.process_time(), time.perf_counter(), told.notifications
    await asyncio.sleep(MEASURED_S)
    spent, lasted, came = time.process_time() - cpu, time.perf_counter() - wall, told.notifications - count
    stop.set()
    await task
    late: list[np.ndarray[Any, Any]] = []
    while len(rows := reader.take().records):
        mine = rows[(rows["tag"] < ITEMS) & (rows["status"] == 0)]
        late.append((mine["receipt_time"] - mine["source_time"]) / 1e6)
    fresh = np.concatenate(late)
    return ready_s, spent / came * 1e6, came / lasted, fresh[fresh < MEASURED_S * 1000]


class Counter:
    count = 0

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.count += 1


async def theirs(port: int) -> tuple[float, float, float]:
    """The same for bare asyncua."""
    begun = time.perf_counter()
    async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=60) as client:
        counter = Counter()
        subscription = await client.create_subscription(PERIOD_MS, counter)
        nodes = [client.get_node(ua.NodeId(f"v{i}", 2)) for i in range(ITEMS)]
        for first in range(0, ITEMS, 1_000):
            await subscription.subscribe_data_change(nodes[first : first + 1_000], queuesize=10)
        while counter.count < ITEMS:
            assert time.perf_counter() - begun < PATIENCE_S
            await asyncio.sleep(0.05)
        ready_s = time.perf_counter() - begun
        await asyncio.sleep(1.0)
        cpu, wall, count = time.process_time(), time.perf_counter(), counter.count
        await asyncio.sleep(MEASURED_S)
        spent, lasted, came = time.process_time() - cpu, time.perf_counter() - wall, counter.count - count
    return ready_s, spent / came * 1e6, came / lasted


async def live(one: Site, folder: Path, port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "serve",
        str(port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        name = f"bench-{uuid4().hex[:8]}"
        with (
            Region.create(name, [tag.spec() for tag in one.tags]) as region,
            Region.attach(name) as attached,
        ):
            *mine, late = await ours(one, attached, folder)
            assert region.tag_count > ITEMS
        print(f"subscribed to {ITEMS:,} items:")
        for who, (ready_s, spent, rate) in (("ours", mine), ("asyncua", await theirs(port))):
            print(
                f"  {who:8} all known after {ready_s:5.1f} s, {spent:6.1f} µs of CPU a value, {rate:,.0f} values/s"
            )
        p50, p99 = np.percentile(late, [50, 99])
        print(f"latency at a publishing interval of {PERIOD_MS} ms: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2])))
        return
    logging.disable(logging.CRITICAL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with TemporaryDirectory() as name:
        folder = Path(name)
        one = site(folder, port)
        with Region.create(f"bench-{uuid4().hex[:8]}", [tag.spec() for tag in one.tags]) as region:
            mine, library = read(one, region)
        print(f"µs of CPU a value read: ours into the image {mine:.2f}, asyncua into objects {library:.2f}")
        asyncio.run(live(one, folder, port))


if __name__ == "__main__":
    main()
