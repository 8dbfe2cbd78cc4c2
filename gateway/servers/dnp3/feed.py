"""From the site's tags to the outstation's points: every change of the journal, in order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gateway.config.dnp3 import OutstationPoint
from gateway.config.site import Tag
from gateway.servers.dnp3.database import Database, Point
from gateway.servers.dnp3.objects import KINDS, Flag, Kind, Measurement, Number
from gateway.servers.freshness import LOOK_S, Freshness
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_bad, is_good
from gateway.tags.sample import Samples, from_bits
from gateway.tags.tag import ValueType

REST_S = 0.01  # a site writes hundreds of times a second: waking for each took a sixth of a core
WAIT_S = 0.5  # of a quiet journal, before looking whether to stop
RECORDS = 512  # at once, an owner: between, what is due goes out
NS_A_MS = 1_000_000
LONGEST_STRING = 255  # octets of an octet string (A.45)
_LINK_LOST = frozenset(
    {Quality.BAD_COMMUNICATION_ERROR, Quality.BAD_NO_COMMUNICATION, Quality.BAD_NOT_CONNECTED}
)
_ANALOGS = frozenset({Kind.ANALOG, Kind.ANALOG_OUTPUT})
_Target = tuple[
    Point, Callable[[bool | int | float | str], Number], bool
]  # how its value is made, is it an analog


class PointFeed:
    """Keeps ``database`` as the image is. `fill` it once, then `run`; ``changed`` is called after each batch."""

    def __init__(
        self, region: Region, tags: Sequence[Tag], points: Iterable[OutstationPoint], database: Database
    ) -> None:
        self._region = region
        self._database = database
        self._freshness = Freshness(region, tags)
        self._points: dict[int, list[_Target]] = {}  # by tag
        for one in points:
            point = database.find(KINDS[one.kind], one.index)
            assert point is not None, one
            target = point, _conversion(point.kind, one.scale), point.kind in _ANALOGS
            self._points.setdefault(one.tag, []).append(target)
        self._tags = np.array(sorted(self._points), np.uint32)
        self._is_ours = np.zeros(region.tag_count, np.bool_)
        self._is_ours[self._tags] = True
        self._reader = region.reader("now")

    def fill(self) -> None:
        """Every point as its tag is now."""
        self._freshness.look(time.monotonic_ns())
        self._present(self._tags)

    def step(self) -> bool:
        """Take the next changes; False where there were none."""
        taken = self._reader.take(RECORDS)
        rows = np.flatnonzero(self._is_ours[taken.records["tag"]])
        if not len(rows) and not taken.lost:
            return bool(len(taken.records))
        texts = {new: taken.texts[old] for new, old in enumerate(rows.tolist()) if old in taken.texts}
        self._update(taken.records[rows], texts)
        if taken.lost or any(text is None for text in texts.values()):
            self._present(self._tags)  # what was between is lost; what is now is not
        return bool(len(taken.records))

    async def run(self, changed: asyncio.Event) -> None:
        """Follow the journal until cancelled; sets ``changed`` where points were updated."""
        loop = asyncio.get_running_loop()
        looked_at = 0.0
        with ThreadPoolExecutor(1, "dnp3-journal") as thread:
            while True:
                await loop.run_in_executor(thread, self._reader.wait, WAIT_S)
                while self.step():
                    changed.set()
                    await asyncio.sleep(0)
                await asyncio.sleep(REST_S)
                if time.monotonic() - looked_at >= LOOK_S:
                    looked_at = time.monotonic()
                    gone = self._freshness.look(time.monotonic_ns())
                    stale = gone[self._is_ours[gone]]
                    if len(stale):
                        self._present(stale)
                        changed.set()

    def _present(self, tags: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> None:
        records = self._region.read(tags)
        is_text = self._region.types[tags] == ValueType.STRING
        rows = np.flatnonzero(is_text)
        texts: dict[int, str | None] = {}
        if len(rows):
            found, strings = self._region.texts(tags[rows])
            records[rows] = found
            texts = dict(zip(rows.tolist(), strings, strict=True))
        self._freshness.mark(records, time.time_ns())
        self._update(records, texts)

    def _update(self, records: Samples, texts: dict[int, str | None]) -> None:
        flags = {
            is_analog: {
                status: int(flags_of(kind, status)) for status in np.unique(records["status"]).tolist()
            }
            for is_analog, kind in ((True, Kind.ANALOG), (False, Kind.BINARY))
        }
        update = self._database.update_point
        for row, (tag, status, raw, time_ms) in enumerate(
            zip(
                records["tag"].tolist(),
                records["status"].tolist(),
                self._values(records),
                (records["source_time"] // NS_A_MS).tolist(),
                strict=True,
            )
        ):
            value: bool | int | float | str = raw
            if row in texts:
                text = texts[row]
                if text is None:
                    continue  # overwritten meanwhile: the newer value comes
                value = text
            for point, convert, is_analog in self._points[tag]:
                update(point, Measurement(convert(value), flags[is_analog][status], time_ms))

    def _values(self, records: Samples) -> list[bool | int | float | str]:
        """Of numbers what they are; of strings "", for theirs come apart."""
        types = self._region.types[records["tag"]]
        found: list[bool | int | float | str] = [""] * len(records)
        for code in np.unique(types).tolist():
            type_ = ValueType(code)
            if type_ is ValueType.STRING:
                continue
            rows = np.flatnonzero(types == code)
            values = from_bits(records["value"][rows], type_).tolist()
            if len(rows) == len(records):
                return list(values)
            for row, value in zip(rows.tolist(), values, strict=True):
                found[row] = value
        return found


def flags_of(kind: Kind, status: int) -> int:
    """A StatusCode as the flag octet (11.6): what is Bad is not online, and a lost link says so."""
    if status == Quality.BAD_WAITING_FOR_INITIAL_DATA:
        return Flag.RESTART
    if is_bad(status):
        return Flag.COMM_LOST if status & 0xFFFF_0000 in _LINK_LOST else Flag(0)
    if is_good(status) or kind not in _ANALOGS:
        return Flag.ONLINE
    if status & 0xFFFF_0000 == Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED:
        return Flag.ONLINE | Flag.OVER_RANGE
    return Flag.ONLINE | Flag.REFERENCE_ERROR


def _conversion(kind: Kind, scale: float) -> Callable[[bool | int | float | str], Number]:
    """From a tag's value to what a point of the type holds."""
    if kind is Kind.OCTET_STRING:
        return lambda raw: str(raw).encode()[:LONGEST_STRING]
    if kind in (Kind.BINARY, Kind.BINARY_OUTPUT):
        return bool
    if kind is Kind.DOUBLE_BIT:
        return lambda raw: int(raw) & 3
    if kind in _ANALOGS:
        return _as_it_is if scale == 1.0 else lambda raw: raw * scale  # type: ignore[operator]  # a number
    return lambda raw: _counted(raw, scale)  # type: ignore[arg-type]  # a number


def _as_it_is(raw: bool | int | float | str) -> Number:
    assert not isinstance(raw, str)
    return raw


def _counted(raw: bool | int | float, scale: float) -> int:
    """Whole units; a fraction more is no change."""
    if scale == 1.0 and isinstance(raw, int):
        return int(raw)
    number = raw * scale
    return int(number) if math.isfinite(number) else 0
