"""Forwarding as a part: a thread a target, and the tags that tell how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from gateway.config.forward import ForwardKind, ForwardTarget
from gateway.config.part import PartContext
from gateway.config.system import FORWARD_OWNER, STATUS_TEXT_BYTES
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.forward.influx1 import InfluxDb1
from historian.forward.influx2 import InfluxDb2
from historian.forward.sender import Catalogue, Folder, Sender
from historian.forward.spool import Spool
from historian.forward.target import Target

log = logging.getLogger(__name__)

LOOK_S = (
    1.0  # how often new segments get their second name, and tags their values; a segment lives for a minute
)
# What stopping may take: the part has 3 s. A thread that waits for a target longer is left behind.
LAST_S = 2.0
TELL_S = 5.0  # tags are refreshed so often at least: they are stale after 15 s


async def run(context: PartContext) -> None:
    """Forward until stopped. Raises RegionError where there is no region, and OSError."""
    folder = Folder(context.paths.history)
    spool = Spool(folder.directory, folder.own)
    tags = {tag.name: tag for tag in context.site.tags if tag.name}
    with Region.attach(context.region_name) as region:
        writer = region.claim(FORWARD_OWNER)
        await asyncio.to_thread(spool.refresh)
        lanes = []
        for settings in context.site.forward:
            lane = Lane(settings)
            catalogue = Catalogue(folder.directory, settings, context.site.name, tags)
            lane.sender = Sender(
                target_of(settings), settings, folder, spool, catalogue, time.time_ns, lane.stop.wait
            )
            lane.sender.open()
            lanes.append(lane)
        for lane in lanes:
            lane.thread.start()
        context.ready.set()
        try:
            while not context.stop.is_set() and not any(lane.failure for lane in lanes):
                await asyncio.to_thread(_keep, spool, lanes)
                _tell(writer, lanes)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await context.stop.wait()
        finally:
            for lane in lanes:
                lane.stop.set()
            await asyncio.to_thread(_join, lanes)
            _tell(writer, lanes)
            writer.release()
        for lane in lanes:
            if lane.failure:
                raise lane.failure


@dataclass(slots=True)
class Lane:
    """One target's thread. What it raises unexpectedly ends the part, which is started again."""

    settings: ForwardTarget
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(init=False)
    sender: Sender = field(init=False)
    failure: BaseException | None = None
    told: tuple[bool, int, str] | None = None
    told_at: float = 0.0

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f"forward {self.settings.name}", daemon=True)

    def _run(self) -> None:
        try:
            self.sender.run()
            self.sender.close()
        except BaseException as error:  # noqa: BLE001 - raised again by run(), in the part's own thread
            self.failure = error


def target_of(settings: ForwardTarget) -> Target:
    """Who speaks to it."""
    return InfluxDb1(settings) if settings.kind is ForwardKind.INFLUXDB1 else InfluxDb2(settings)


def _keep(spool: Spool, lanes: list[Lane]) -> None:
    """What anybody still needs of the journal, as far as the widest bound goes."""
    try:
        spool.refresh()
        needed = min(lane.sender.needed for lane in lanes)
        dropped = spool.trim(needed, max(lane.settings.max_kept for lane in lanes))
    except OSError as error:
        log.warning("the journal is not kept for targets that are behind: %s", error)
        return
    if dropped:
        log.warning("journal segments %s are let go of, not sent: day files will serve", dropped)


def _tell(writer: Writer, lanes: list[Lane]) -> None:
    now = time.time_ns()
    for lane in lanes:
        system, sender = lane.settings.system, lane.sender
        text = sender.link.last_error.encode()[:STATUS_TEXT_BYTES].decode(errors="ignore")
        telling = (sender.link.is_connected, sender.set_aside, text)
        if telling == lane.told and time.monotonic() - lane.told_at < TELL_S:
            continue  # each is a sample of history
        lane.told, lane.told_at = telling, time.monotonic()
        since = sender.waits_since
        lag = max(0.0, (now - since) * 1e-9) if since else 0.0
        numbers = [
            (system.connected, to_bits(np.array([sender.link.is_connected]), ValueType.BOOL)),
            (system.lag_s, to_bits(np.array([lag]), ValueType.DOUBLE)),
            (system.sent, np.array([sender.link.sent], np.uint64)),
            (system.set_aside, np.array([sender.set_aside], np.uint64)),
        ]
        writer.write(
            np.array([tag for tag, _ in numbers], np.uint32),
            np.concatenate([bits for _, bits in numbers]),
            Quality.GOOD,
            now,
            now,
        )
        writer.write_texts(np.array([system.last_error], np.uint32), [text], Quality.GOOD, now, now)


def _join(lanes: list[Lane]) -> None:
    until = time.monotonic() + LAST_S
    for lane in lanes:
        lane.thread.join(max(0.0, until - time.monotonic()))
