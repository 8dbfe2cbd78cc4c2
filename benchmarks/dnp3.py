"""DNP3: our master and our outstation beside opendnp3's (yadnp3), in all four pairs: events a second, CPU an event
on either side, and the time from a change at the outstation to the master's image, unsolicited.

1,000 analogs of class 1. "Flat out" is bursts of 5,000 changes, each burst told before the next is made. "Latency" is
single changes, 200 a second: from just before it is written (into the outstation's image, or its `Apply`) until the
driver's `Writer.write` is back; for bare opendnp3 until its value is in a dict. Master and outstation are processes
of their own; ours run on uvloop as their parts do, the master as its driver with its image, the outstation with its
image and the feed from it. Events are whole numbers of 32 bits without time in all pairs, since opendnp3's binding
can ask its outstation for nothing else; nothing is held back. The last row is ours as they are by default, with
times and held for 100 ms, so that neighbours come along.

Usage: python benchmarks/dnp3.py
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from uuid import uuid4

import numpy as np
import opendnp3
import uvloop

from gateway.config.dnp3 import Outstation, OutstationMaster, OutstationPoint, PointKind
from gateway.config.dnp3_protocol import OWNER
from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.drivers.dnp3.driver import Dnp3Driver
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.feed import PointFeed
from gateway.servers.dnp3.server import OutstationServer
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType

POINTS = 1_000
BURST, ROUNDS = 5_000, 4
HELD_ROUNDS = 1  # it takes seconds
RATE, LATENCY_S = 200, 2.0
START_UP_S = 0.5  # after everything was read: the rest of the start-up
STAMPED = 1 << 30  # values from here on are times in µs; below they are numbered
BARE, TIMED = 1, 3  # variations of an analog event
PATIENCE_S = 60.0  # the library tries again after 5 s where a start-up's request was late
US = 1_000


def now_us() -> int:
    return time.monotonic_ns() // US


# ── outstations: a process that makes changes as it is told ────────────────────────────────────────────────────────
def obey(tell: Callable[[list[int]], None], base: int) -> None:
    """Until the input ends: bursts of numbered changes, or stamped ones at a rate; or tell the CPU so far."""
    made = 0
    for line in sys.stdin:
        match json.loads(line):
            case "burst":
                tell(list(range(made + 1, made + BURST + 1)))
                made += BURST
            case "pace":
                begun = time.monotonic()
                for turn in range(round(RATE * LATENCY_S)):
                    time.sleep(max(0.0, begun + turn / RATE - time.monotonic()))
                    tell([STAMPED + now_us() - base])
                print(json.dumps("paced"), flush=True)
            case _:
                print(time.process_time(), flush=True)


async def serve_ours(folder: Path, port: int, base: int, variation: int, hold_ms: int) -> None:
    site = load_site(folder / "site.yaml")
    points = tuple(
        OutstationPoint(PointKind.ANALOG, i, i, f"d.p{i}", 1, event_variation=variation)
        for i in range(POINTS)
    )
    config = Outstation(
        "127.0.0.1",
        port,
        10,
        (OutstationMaster(1, ("127.0.0.1",), None),),
        points,
        unsolicited_hold_ms=hold_ms,
    )
    with Region.create(f"bench-{uuid4().hex[:8]}", [tag.spec() for tag in site.tags]) as region:
        writer = region.claim(OWNER)
        database = Database(points)
        feed = PointFeed(region, site.tags, points, database)
        turn = 0

        def tell(values: list[int]) -> None:
            nonlocal turn
            for first in range(0, len(values), POINTS):
                some = values[first : first + POINTS]
                tags = (np.arange(len(some), dtype=np.uint32) + turn) % POINTS
                turn += len(some)
                bits = to_bits(np.array(some, np.float64), ValueType.DOUBLE)
                stamp = time.time_ns()
                writer.write(tags.astype(np.uint32), bits, Quality.GOOD, stamp, stamp)

        tell([0] * POINTS)
        feed.fill()
        server = OutstationServer(config, database, cast(Any, None))
        await server.open()
        running = [asyncio.create_task(server.run()), asyncio.create_task(feed.run(server.changed))]
        print(json.dumps("up"), flush=True)
        await asyncio.to_thread(obey, tell, base)
        for task in running:
            task.cancel()
        await server.close()


class Commands(opendnp3.ICommandHandler):  # type: ignore[misc]  # the binding has no types
    """Nobody commands it."""

    def Begin(self) -> None:  # noqa: N802 - opendnp3's names
        return

    def End(self) -> None:  # noqa: N802
        return


class Station(opendnp3.IOutstationApplication):  # type: ignore[misc]
    def Now(self) -> Any:  # noqa: N802
        return opendnp3.DNPTime(time.time_ns() // 1_000_000)


def serve_bare(port: int, base: int) -> None:
    manager = opendnp3.DNP3Manager(1)
    channel = manager.AddTCPServer(
        "tcp", opendnp3.levels.NOTHING, opendnp3.ServerAcceptMode.CloseExisting,
        opendnp3.IPEndpoint("127.0.0.1", port), None,
    )  # fmt: skip
    config = opendnp3.OutstationStackConfig(opendnp3.DatabaseConfig(POINTS))
    config.outstation.eventBufferConfig = opendnp3.EventBufferConfig.AllTypes(2 * BURST)
    config.outstation.params.allowUnsolicited = True
    config.link.LocalAddr, config.link.RemoteAddr = 10, 1
    commands, site = Commands(), Station()
    station = channel.AddOutstation("outstation", commands, site, config)
    station.Enable()
    turn = 0

    def tell(values: list[int]) -> None:
        nonlocal turn
        builder = opendnp3.UpdateBuilder()
        for value in values:
            builder.Update(opendnp3.Analog(float(value)), turn % POINTS)
            turn += 1
        station.Apply(builder.Build())

    print(json.dumps("up"), flush=True)
    obey(tell, base)
    manager.Shutdown()


class Child:
    """An outstation's process."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def say(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def cpu(self) -> float:
        self.say("cpu")
        return float(self.answer())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# ── masters: in this process ───────────────────────────────────────────────────────────────────────────────────────
class Seen:
    """What has arrived: values only grow, so what is told again is not counted again."""

    def __init__(self, base: int) -> None:
        self._base = base
        self.last = 0
        self.count = 0
        self.told = 0  # with those of before
        self.ages_us: list[int] = []
        self.target = 0
        self.reached = threading.Event()

    def expect(self, value: int) -> None:
        self.reached.clear()
        self.target = value

    def note(self, values: list[int]) -> None:
        at = now_us() - self._base
        self.told += len(values)
        for value in values:
            if value <= self.last:
                continue
            self.last = value
            self.count += 1
            if value >= STAMPED:
                self.ages_us.append(at - (value - STAMPED))
        if self.last >= self.target:
            self.reached.set()


class Watched:
    """The driver's writer; what it wrote is seen when it is in the image."""

    def __init__(self, writer: Writer, seen: Seen) -> None:
        self._writer = writer
        self._seen = seen

    def write(self, tags: Any, bits: Any, *others: Any) -> None:
        self._writer.write(tags, bits, *others)
        if tags[0] < POINTS:
            self._seen.note(bits.view(np.float64).astype(np.int64).tolist())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


@contextmanager
def our_master(site: Site, seen: Seen, port: int) -> Iterator[None]:
    """The driver on a loop in a thread of its own, so that both masters are waited for in the same way."""
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run(region: Region) -> None:
        stop = asyncio.Event()
        writer = cast(Writer, Watched(region.claim(OWNER), seen))
        started.append((asyncio.get_running_loop(), stop))
        await Dnp3Driver(site.dnp3_devices, region, writer).run(stop)

    with Region.create(f"bench-{uuid4().hex[:8]}", [tag.spec() for tag in site.tags]) as region:
        thread = threading.Thread(target=lambda: uvloop.run(run(region)))
        thread.start()
        try:
            yield
        finally:
            loop, stop = started[0]
            loop.call_soon_threadsafe(stop.set)
            thread.join()


class Heard(opendnp3.ISOEHandler):  # type: ignore[misc]  # the binding has no types
    """Values and their times into a dict."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        self.values: dict[int, tuple[float, int, int]] = {}
        self._fresh: list[int] = []

    def BeginFragment(self, info: Any) -> None:  # noqa: N802 - opendnp3's names
        self._fresh = []

    def Process(self, info: Any, values: Any) -> None:  # noqa: N802
        for one in values:
            value = one.value
            if isinstance(value, opendnp3.Analog):
                self.values[one.index] = value.value, value.flags.value, value.time.value
                self._fresh.append(int(value.value))

    def EndFragment(self, info: Any) -> None:  # noqa: N802
        self._seen.note(self._fresh)


class Application(opendnp3.IMasterApplication):  # type: ignore[misc]
    def Now(self) -> Any:  # noqa: N802
        return opendnp3.UTCTimestamp(time.time_ns() // 1_000_000)


@contextmanager
def bare_master(site: Site, seen: Seen, port: int) -> Iterator[None]:
    milliseconds = opendnp3.TimeDuration.Milliseconds
    manager = opendnp3.DNP3Manager(1)
    channel = manager.AddTCPClient(
        "tcp", opendnp3.levels.NOTHING, opendnp3.ChannelRetry(milliseconds(500), milliseconds(500)),
        [opendnp3.IPEndpoint("127.0.0.1", port)], "0.0.0.0", None,  # noqa: S104 - the adapter it connects from: any
    )  # fmt: skip
    config = opendnp3.MasterStackConfig()
    config.link.LocalAddr, config.link.RemoteAddr = 1, 10
    heard, application = Heard(seen), Application()
    master = channel.AddMaster("master", heard, application, config)
    master.Enable()
    try:
        yield
    finally:
        manager.Shutdown()


MASTERS: dict[str, Callable[[Site, Seen, int], AbstractContextManager[None]]] = {
    "ours": our_master,
    "opendnp3": bare_master,
}


# ── the measurement ────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Found:
    rate: float  # events a second
    master_us: float  # of CPU an event
    outstation_us: float
    p50_ms: float
    p99_ms: float
    lost: int


def site_of(folder: Path, port: int) -> Site:
    points = "".join(f"      p{i}: {{type: analog, index: {i}}}\n" for i in range(POINTS))
    (folder / "site.yaml").write_text(
        "site: {name: bench}\nareas: {a: A}\ndevices:\n  d:\n    area: a\n    protocol: dnp3\n"
        f"    connection: {{host: 127.0.0.1, port: {port}, address: 10, integrity_s: 0}}\n"
        "    groups: {events: {period_ms: 600000, stale_after_ms: 3600000}}\n    points:\n" + points
    )
    return load_site(folder / "site.yaml")


def wait_for_start_up(seen: Seen) -> None:
    """Until everything was read.

    What changes during the start-up may take 5 s and more: opendnp3's outstation now and then overhears the confirm
    of its first unsolicited response, lets the read wait for it until its time for confirms is over, 5 s, and answers
    just when the master, whose time for answers is the same 5 s, has given up.
    """
    end = time.monotonic() + PATIENCE_S
    while seen.told < POINTS:
        assert time.monotonic() < end, "no start-up"
        time.sleep(0.01)
    time.sleep(START_UP_S)


def measure(folder: Path, master: str, outstation: str, variation: int, hold_ms: int) -> Found:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    site, base = site_of(folder, port), now_us()
    seen = Seen(base)
    child = Child(outstation, folder, port, base, variation, hold_ms)
    rates, mine, theirs = [], [], []
    try:
        with MASTERS[master](site, seen, port):
            wait_for_start_up(seen)
            for turn in range((HELD_ROUNDS if hold_ms else ROUNDS) + 1):
                there, here, count = child.cpu(), time.process_time(), seen.count
                seen.expect((turn + 1) * BURST)
                begun = time.perf_counter()
                child.say("burst")
                assert seen.reached.wait(PATIENCE_S), f"{seen.last} of {seen.target}"
                lasted = time.perf_counter() - begun
                time.sleep(0.1)  # the last confirm
                if turn == 0:
                    continue  # of the start-up
                assert seen.count - count == BURST, "events were lost"
                rates.append(BURST / lasted)
                mine.append((time.process_time() - here) / BURST * 1e6)
                theirs.append((child.cpu() - there) / BURST * 1e6)
            child.say("pace")
            child.answer()
            time.sleep(0.5)
    finally:
        child.close()
    p50, p99 = np.percentile(np.array(seen.ages_us) / 1e3, (50, 99))
    median = statistics.median
    lost = round(RATE * LATENCY_S) - len(seen.ages_us)
    return Found(median(rates), median(mine), median(theirs), float(p50), float(p99), lost)


def main() -> None:
    if len(sys.argv) > 1:
        kind, folder, port, base, variation, hold_ms = sys.argv[1:]
        if kind == "ours":
            uvloop.run(serve_ours(Path(folder), int(port), int(base), int(variation), int(hold_ms)))
        else:
            serve_bare(int(port), int(base))
        return
    begun = time.perf_counter()
    print(f"{'master':10} {'outstation':10}  events/s   µs of CPU an event      latency p50 / p99")
    found: dict[tuple[str, str], Found] = {}
    with TemporaryDirectory() as name:
        pairs = [(master, station, BARE, 0) for station in ("ours", "opendnp3") for master in MASTERS]
        for master, station, variation, hold_ms in [*pairs, ("ours", "ours", TIMED, 100)]:
            one = measure(Path(name), master, station, variation, hold_ms)
            found.setdefault((master, station), one)
            note = ", with times and the hold of 100 ms" if hold_ms else ""
            print(
                f"{master:10} {station:10} {one.rate:9,.0f}   master {one.master_us:5.1f}, "
                f"outstation {one.outstation_us:5.1f}   {one.p50_ms:6.2f} / {one.p99_ms:6.2f} ms"
                f"{f', {one.lost} LOST' if one.lost else ''}{note}",
                flush=True,
            )
    ours, bare = found["ours", "ours"], found["opendnp3", "opendnp3"]
    master = found["ours", "opendnp3"].master_us / bare.master_us
    station = found["opendnp3", "ours"].outstation_us / bare.outstation_us
    print(f"CPU against opendnp3 beside opendnp3: master {master:.2f} x, outstation {station:.2f} x")
    print(
        f"both ours against both opendnp3: events/s {ours.rate / bare.rate:.2f} x, latency p50 "
        f"{ours.p50_ms / bare.p50_ms:.2f} x, p99 {ours.p99_ms / bare.p99_ms:.2f} x; "
        f"load {os.getloadavg()[0]:.1f}, {time.perf_counter() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
