"""CAN: CPU a frame of the driver, beside bare cantools decoding the same frames into dicts.

The bus: 200 messages of eight signals of 8 bits each, 20,000 frames a second, which is more than four full buses at
500 kbit/s. "Decode" is frames to values: ours goes on into image and journal, cantools stops at its dict. "Paced" is
the whole driver, thread, queue, counters and staleness included, behind a bus that hands over finished messages of
python-can: what an interface takes to make them comes on top, whoever decodes. CPU is this process's own.

Usage: python benchmarks/can_bus.py (not can.py: it would stand before python-can)
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from uuid import uuid4

import can
import numpy as np
from cantools.database.can import Database

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.drivers.can import channel
from gateway.drivers.can.decode import Decoder, Frame
from gateway.drivers.can.driver import CanDriver
from gateway.tags.image import Region

MESSAGES, SIGNALS = 200, 8
RATE = 20_000
BATCH = 200  # what comes in 10 ms
ROUNDS = 5
DECODED = 20_000  # frames a round
PACED_S = 5.0
GOAL = 0.5


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


def paced(messages: tuple[can.Message, ...]) -> Iterator[can.Message]:
    start, sent = time.perf_counter(), 0
    while True:
        ahead_s = sent / RATE - (time.perf_counter() - start)
        if ahead_s > 0:
            time.sleep(max(ahead_s, 0.001))
        for _ in range(RATE // 1000):
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


async def whole(one: Site, region: Region, messages: tuple[can.Message, ...]) -> tuple[float, float]:
    """CPU of the driver at the rate as a share of a core, and frames a second that arrived."""
    driver = CanDriver(one.can_devices, region.claim("drivers"))
    stop = asyncio.Event()
    with patch.object(channel, "open_source", lambda bus: Bus(messages, paced(messages))):
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


def main() -> None:
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
            share, arrived = asyncio.run(whole(one, region, messages))
            print(f"paced: {arrived:,.0f} frames/s take {share:.0%} of a core (goal: {GOAL:.0%})")


if __name__ == "__main__":
    main()
