"""CAN: CPU a frame of the driver, beside bare cantools decoding the same frames into dicts.

The bus: 200 messages of eight signals of 8 bits each, 20,000 frames a second, which is more than four full buses at
500 kbit/s. "Decode" is frames to values: ours goes on into image and journal, cantools stops at its dict. "Paced" is
the whole driver, thread, queue, counters and staleness included, behind a bus that hands over finished messages of
python-can: what an interface takes to make them comes on top, whoever decodes. CPU is this process's own.

"Latency" is from the frame's time on the wire to its values being there: `Writer.write` is back, or the dict has
them. The wire is a socket, on which another process puts stamped frames, a millisecond's worth at once, and from
which a source of python-can's messages reads one at a time, as from SocketCAN. Bare is a loop of `recv` and cantools;
ours is the whole driver. A frame that finds the socket full is lost.

Usage: python benchmarks/can_bus.py (not can.py: it would stand before python-can)
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest.mock import patch
from uuid import uuid4

import can
import numpy as np
import uvloop
from cantools.database.can import Database

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.drivers.can import channel
from gateway.drivers.can.decode import Decoder, Frame
from gateway.drivers.can.driver import CanDriver
from gateway.tags.image import Region, Writer

MESSAGES, SIGNALS = 200, 8
RATE = 20_000
BATCH = 200  # what comes in 10 ms
ROUNDS = 5
DECODED = 20_000  # frames a round
PACED_S = 5.0
PACED_RATES = (1_000, 5_000, RATE)  # at the first, every frame is a batch of its own
GOAL = 0.5
LATENCY_RATES = (1_000, RATE)
LATENCY_S, LATENCY_ROUNDS = 2.0, 3
RECEIVE_S = 0.1
SETTLE_S = 0.5
WIRE = struct.Struct("<qI8s")  # ns since 1970, identifier, data
WIRE_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Bus:
    """Finished messages at a steady rate, a millisecond's worth at once as a controller's buffer has them."""

    messages: tuple[can.Message, ...]
    turns: Iterator[can.Message]

    def recv(self, timeout: float | None = None) -> can.Message | None:
        return next(self.turns)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        raise can.CanOperationError("this bus takes nothing")

    def shutdown(self) -> None:
        return


def paced(messages: tuple[can.Message, ...], rate: int) -> Iterator[can.Message]:
    start, sent = time.perf_counter(), 0
    while True:
        ahead_s = sent / rate - (time.perf_counter() - start)
        if ahead_s > 0:
            time.sleep(max(ahead_s, 0.001))
        for _ in range(rate // 1000):
            yield messages[sent % len(messages)]
            sent += 1


def dbc() -> str:
    lines = ['VERSION ""', "NS_ :", "BS_:", "BU_: A"]
    for message in range(MESSAGES):
        lines.append(f"BO_ {message + 256} M{message}: 8 A")
        lines += [
            f' SG_ S{i} : {i * 8}|8@1{"-" if i % 2 else "+"} (0.5,-10) [0|0] "" A' for i in range(SIGNALS)
        ]
    return "\n".join(lines) + "\n"


def site(folder: Path) -> Site:
    (folder / "bus.dbc").write_text(dbc())
    points = "".join(
        f"      m{m}s{s}: {{message: M{m}, signal: S{s}}}\n" for m in range(MESSAGES) for s in range(SIGNALS)
    )
    (folder / "site.yaml").write_text(
        "site: {name: bench}\nareas: {a: A}\ndevices:\n  d:\n    area: a\n    protocol: can\n"
        "    connection: {interface: virtual, channel: bench, database: bus.dbc}\n"
        "    groups: {fast: {period_ms: 100}}\n    points:\n" + points
    )
    return load_site(folder / "site.yaml")


def decode(one: Site, frames: list[Frame], region: Region) -> float:
    """CPU seconds a frame, into the image."""
    writer = region.claim("drivers")
    points = one.can_devices[0].points
    tags = np.array([point.tag for point in points], np.uint32)
    decoder = Decoder(points)
    start = time.process_time()
    for first in range(0, DECODED, BATCH):
        batch = frames[first : first + BATCH]
        decoded = decoder.decode(batch)
        times = np.array([frame.time_ns for frame in batch], np.int64)[decoded.frame]
        writer.write(tags[decoded.point], decoded.bits, decoded.status, times, time.time_ns())
    spent = time.process_time() - start
    writer.release()
    return spent / DECODED


def bare(folder: Path, frames: list[Frame]) -> float:
    """CPU seconds a frame of cantools alone."""
    database = Database()
    database.add_dbc_file(folder / "bus.dbc")
    start = time.process_time()
    for frame in frames:
        database.decode_message(frame.key, frame.data, decode_choices=False)
    return (time.process_time() - start) / DECODED


async def whole(
    one: Site, region: Region, messages: tuple[can.Message, ...], rate: int
) -> tuple[float, float]:
    """CPU of the driver at the rate as a share of a core, and frames a second that arrived."""
    driver = CanDriver(one.can_devices, region.claim("drivers"))
    stop = asyncio.Event()
    with patch.object(channel, "open_source", lambda bus: Bus(messages, paced(messages, rate))):
        task = asyncio.create_task(driver.run(stop))
        await asyncio.sleep(1.5)
        counts = driver._channels[0].devices[0].counts
        cpu, wall, frames = time.process_time(), time.perf_counter(), counts.frames
        await asyncio.sleep(PACED_S)
        spent, lasted = time.process_time() - cpu, time.perf_counter() - wall
        arrived = (counts.frames - frames) / lasted
        stop.set()
        await task
    return spent / lasted, arrived


# ── latency ────────────────────────────────────────────────────────────────────────────────────────────────────────
def put(descriptor: int) -> None:
    """The process at the other end of the wire: frames for `LATENCY_S` at each rate that is read; tells the lost."""
    chance = random.Random(2)
    chosen = [(256 + chance.randrange(MESSAGES), chance.randbytes(8)) for _ in range(1_000)]
    with socket.socket(fileno=descriptor) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WIRE_BUFFER)
        wire.setblocking(False)
        for line in sys.stdin:
            rate, sent, lost = int(line), 0, 0
            begun = time.perf_counter()
            while sent < rate * LATENCY_S:
                time.sleep(max(0.0, begun + sent / rate - time.perf_counter()))
                stamp = time.time_ns()
                for _ in range(rate // 1000):
                    try:
                        wire.send(WIRE.pack(stamp, *chosen[sent % len(chosen)]))
                    except BlockingIOError:
                        lost += 1
                    sent += 1
            print(lost, flush=True)


@dataclass(frozen=True, slots=True)
class Wire:
    """What another process puts on it, as messages with the times of the wire."""

    end: socket.socket
    process: subprocess.Popen[str]

    def fill(self, rate: int) -> int:
        """Have frames put on it for `LATENCY_S`; how many found it full."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{rate}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def recv(self, timeout: float | None = None) -> can.Message | None:
        try:
            data = self.end.recv(WIRE.size)
        except TimeoutError:
            return None
        stamp, identifier, octets = WIRE.unpack(data)
        return can.Message(
            timestamp=stamp / 1e9, arbitration_id=identifier, is_extended_id=False, data=octets
        )

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        raise can.CanOperationError("this bus takes nothing")

    def shutdown(self) -> None:
        return


@contextmanager
def wired() -> Iterator[Wire]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here:
        here.settimeout(RECEIVE_S)  # once: the driver's own patience
        with there:
            process = subprocess.Popen(
                [sys.executable, __file__, "put", str(there.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=[there.fileno()],
            )
        with process:
            yield Wire(here, process)
            assert process.stdin is not None
            process.stdin.close()


class Watched:
    """The driver's writer, and how old each frame was when the image had its values, in ns."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.ages: list[Any] = []

    def write(self, tags: Any, bits: Any, status: Any, times: Any, receipt: Any) -> None:
        self._writer.write(tags, bits, status, times, receipt)
        if isinstance(times, np.ndarray):
            self.ages.append(time.time_ns() - times[::SIGNALS])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


async def our_ages(one: Site, region: Region, wire: Wire, rate: int) -> tuple[Any, int]:
    """Ages in ns of all frames that came, and how many were lost on the wire."""
    writer = region.claim("drivers")
    watched = Watched(writer)
    driver = CanDriver(one.can_devices, cast(Writer, watched))
    stop = asyncio.Event()
    with patch.object(channel, "open_source", lambda bus: wire):
        task = asyncio.create_task(driver.run(stop))
        await asyncio.sleep(SETTLE_S)
        lost = await asyncio.to_thread(wire.fill, rate)
        batches = -1
        while batches != len(watched.ages):  # what still lies on the wire
            batches = len(watched.ages)
            await asyncio.sleep(SETTLE_S)
        stop.set()
        await task
    writer.release()
    return np.concatenate(watched.ages), lost


def bare_ages(database: Database, wire: Wire, rate: int) -> tuple[Any, int]:
    """The same for a loop of python-can's and cantools'."""
    ages: list[int] = []
    values: dict[tuple[int, str], object] = {}
    closed = threading.Event()

    def read() -> None:
        while True:
            message = wire.recv(RECEIVE_S)
            if message is None:
                if closed.is_set():
                    return
                continue
            key = message.arbitration_id
            found = database.decode_message(key, message.data, decode_choices=False)
            for name, value in cast(dict[str, object], found).items():
                values[key, name] = value
            ages.append(time.time_ns() - int(message.timestamp * 1e9))

    thread = threading.Thread(target=read)
    thread.start()
    lost = wire.fill(rate)
    closed.set()
    thread.join()
    return np.array(ages), lost


def latency(one: Site, region: Region, wire: Wire, folder: Path) -> None:
    database = Database()
    database.add_dbc_file(folder / "bus.dbc")
    print("from the wire to the values, p50 / p99:")
    for rate in LATENCY_RATES:
        quantiles: dict[str, list[Any]] = {"ours": [], "bare": []}
        lost = dict.fromkeys(quantiles, 0)
        missing = dict.fromkeys(quantiles, 0)
        for _ in range(LATENCY_ROUNDS):
            for who in quantiles:
                if who == "ours":
                    ages, dropped = uvloop.run(our_ages(one, region, wire, rate))
                else:
                    ages, dropped = bare_ages(database, wire, rate)
                quantiles[who].append(np.percentile(ages / 1e6, (50, 99)))
                lost[who] += dropped
                missing[who] += round(rate * LATENCY_S) - dropped - len(ages)
        ours, bare = (np.median(np.array(quantiles[who]), axis=0) for who in ("ours", "bare"))
        print(
            f"  {rate:6,} frames/s: into the image {ours[0]:.2f} / {ours[1]:.2f} ms, python-can and cantools into "
            f"a dict {bare[0]:.2f} / {bare[1]:.2f} ms: {ours[0] / bare[0]:.1f} x / {ours[1] / bare[1]:.1f} x; "
            f"lost on the wire {lost['ours']:,} and {lost['bare']:,}, elsewhere {missing['ours']:,} and "
            f"{missing['bare']:,}, of {round(rate * LATENCY_S) * LATENCY_ROUNDS:,}"
        )


def main() -> None:
    if sys.argv[1:2] == ["put"]:
        put(int(sys.argv[2]))
        return
    chance = random.Random(1)
    chosen = [(256 + chance.randrange(MESSAGES), chance.randbytes(8)) for _ in range(DECODED)]
    frames = [Frame(key, data, time.time_ns()) for key, data in chosen]
    messages = tuple(can.Message(arbitration_id=key, is_extended_id=False, data=data) for key, data in chosen)
    with TemporaryDirectory() as name:
        folder = Path(name)
        one = site(folder)
        with Region.create(f"bench-{uuid4().hex[:8]}", [tag.spec() for tag in one.tags]) as region:
            ours, theirs = [], []
            for _ in range(ROUNDS):
                ours.append(decode(one, frames, region) * 1e6)
                theirs.append(bare(folder, frames) * 1e6)
            print(f"µs of CPU a frame of {SIGNALS} signals, and the share of a core at {RATE:,} frames/s:")
            for what, spent in (("ours into the image", ours), ("cantools into a dict", theirs)):
                print(
                    f"  {what:22} {statistics.median(spent):6.2f} {statistics.median(spent) * RATE / 1e6:6.0%}"
                )
        for rate in PACED_RATES:
            paced_region = Region.create(f"bench-{uuid4().hex[:8]}", [tag.spec() for tag in one.tags])
            with paced_region as region:
                share, arrived = asyncio.run(whole(one, region, messages, rate))
            print(
                f"paced: {arrived:7,.0f} frames/s take {share:.0%} of a core (goal at {RATE:,}: {GOAL:.0%})"
            )
        # anew: the driver above keeps its writer
        again = Region.create(f"bench-{uuid4().hex[:8]}", [tag.spec() for tag in one.tags])
        with again as region, wired() as wire:
            latency(one, region, wire, folder)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
