"""HistoryRead of raw values (OPC 10000-11, 6.5.3.2), page by page, losing none.

A continuation point is the request itself, with the time to go on from in ns; the server keeps nothing for it, so
none runs out. Source times are unique within a tag, so "after the last one sent" misses nothing.

Where what is stored cannot be read, an answer has a null value of status Bad_DataLost at the edge of that span which
it comes to first, so that nobody takes it for all there was. The operation itself stays Good: clients drop the values
of one that is not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

import numpy as np
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Tag
from gateway.servers.opcua import limits
from gateway.servers.opcua.encoding import encode_history, encode_missing
from gateway.servers.opcua.values import status, to_ns
from gateway.tags.history import HistorySource, Series

END_OF_TIME = (1 << 63) - 1  # UTC ns; the year 2262
_HISTORY_DATA = ua.NodeId(ua.Int32(ObjectIds.HistoryData_Encoding_DefaultBinary))
_POINT = struct.Struct("<BIqqq?BIq")  # version, then the fields of a Wish
_POINT_VERSION = 2
_MICROSECOND = 1000  # times come from the library cut to it: a sample of 12:00:00.0000004 is one "at 12:00"
_COUNT = struct.Struct("<i")


class Bounds(IntEnum):
    """Which bounding values are still to be sent."""

    NONE = 0
    END = 1
    BOTH = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """Samples of ``low <= source time < high`` (UTC ns), the newest first where ``backwards``.

    At most ``page`` in an answer, and ``left`` in all; -1 for no bound. Up to ``told`` (down to it, where backwards)
    it was said what cannot be read; -1 where nothing was.
    """

    tag: int
    low: int
    high: int
    backwards: bool
    page: int
    left: int = -1
    bounds: Bounds = Bounds.NONE
    told: int = -1

    def point(self) -> bytes:
        """As a continuation point."""
        span = (self.tag, self.low, self.high, self.left, self.backwards, self.bounds, self.page)
        return _POINT.pack(_POINT_VERSION, *span, self.told)


def wish_of_point(point: bytes, tag: int) -> Wish | None:
    """The wish that a continuation point of this tag goes on with; None where it is not one."""
    if len(point) != _POINT.size:
        return None
    version, found, low, high, left, backwards, bounds, page, told = _POINT.unpack(point)
    if version != _POINT_VERSION or found != tag or not 0 < page <= limits.HISTORY_VALUES or left == 0:
        return None
    if bounds not in tuple(Bounds):
        return None
    return Wish(tag, low, high, backwards, page, left, Bounds(bounds), told)


def wish_of(details: ua.ReadRawModifiedDetails, tag: int) -> Wish | None:
    """What a client asks for; None where two of start, end and number are missing.

    The first time given is included, the last is not (OPC 10000-11, 6.5.3.2). A time of 1601 is a missing one.
    """
    start, end = _given(details.StartTime), _given(details.EndTime)
    number = int(details.NumValuesPerNode)
    page = min(number or limits.HISTORY_VALUES, limits.HISTORY_VALUES)
    bounds = Bounds.BOTH if details.ReturnBounds else Bounds.NONE
    if start is not None and end is not None:
        if start == end:
            return Wish(tag, start, start + _MICROSECOND, False, page, -1, bounds)
        if start < end:
            return Wish(tag, start, end, False, page, -1, bounds)
        return Wish(tag, end + _MICROSECOND, start + _MICROSECOND, True, page, -1, bounds)
    if number == 0:
        return None
    if start is not None:
        return Wish(tag, start, END_OF_TIME, False, page, number)
    if end is not None:
        return Wish(tag, 0, end + _MICROSECOND, True, page, number)
    return None


def read(wish: Wish, tag: Tag, source: HistorySource) -> ua.HistoryReadResult:
    """One page. Blocks: call it off the loop."""

    def raw(low: int, high: int, limit: int, newest_first: bool) -> Series:
        try:
            return source.raw(tag.name, low, high, limit=limit, newest_first=newest_first)
        except KeyError:  # nothing was ever stored
            nothing = np.empty(0, np.int64)
            return Series(tag.type, nothing, nothing, np.empty(0, np.uint32))

    def bound(is_low: bool) -> bytes:
        """The value just outside the span, at its low or high end (OPC 10000-11, 3.1.5)."""
        near = raw(0, wish.low, 1, True) if is_low else raw(wish.high, END_OF_TIME, 1, False)
        edge = wish.low if is_low else wish.high
        if near.damaged:
            return encode_missing(StatusCodes.BadDataLost, edge)  # a nearer one may be lost
        return encode_history(near) or encode_missing(StatusCodes.BadBoundNotFound, edge)

    page = wish.page if wish.left < 0 else min(wish.page, wish.left)
    parts: list[bytes] = []
    if wish.bounds is Bounds.BOTH:
        first = raw(wish.low, wish.high, 1, wish.backwards)
        edge = wish.high - _MICROSECOND if wish.backwards else wish.low
        if not len(first) or not edge <= first.source_times[0] < edge + _MICROSECOND:
            parts.append(bound(is_low=not wish.backwards))
    room = page - len(parts)
    found = raw(wish.low, wish.high, room + 1, wish.backwards)
    lost = _lost(wish, found)
    is_whole = len(found) + len(lost) <= room
    count, told = _append(parts, wish, found, lost, room)
    taken = count + told
    sent = taken + (1 if wish.bounds is Bounds.BOTH and room < page else 0)
    if is_whole and wish.bounds is not Bounds.NONE and sent < page:
        parts.append(bound(is_low=wish.backwards))
        sent += 1
        is_finished = True
    else:
        is_finished = is_whole and wish.bounds is Bounds.NONE
    if wish.left == taken:
        is_finished = True
    point = None if is_finished else _rest(wish, found, count, lost[:told]).point()
    return ua.HistoryReadResult(
        StatusCode=status(StatusCodes.Good if sent else StatusCodes.GoodNoData),
        ContinuationPoint=None if point is None else ua.ByteString(point),
        HistoryData=ua.ExtensionObject(
            _HISTORY_DATA, Body=ua.ByteString(_COUNT.pack(sent) + b"".join(parts))
        ),
    )


def refusal(code: int) -> ua.HistoryReadResult:
    """A result that holds nothing but why."""
    return ua.HistoryReadResult(StatusCode=status(code), ContinuationPoint=None)


def _lost(wish: Wish, found: Series) -> list[tuple[int, int]]:
    """Spans [from, to) that cannot be read and were not told of yet, in the order of the answer."""
    if wish.backwards:
        end = END_OF_TIME if wish.told < 0 else wish.told
        return [(low, min(high, end)) for low, high in reversed(found.damaged) if low < end]
    return [(max(low, wish.told), high) for low, high in found.damaged if high > wish.told]


def _append(
    parts: list[bytes], wish: Wish, found: Series, lost: list[tuple[int, int]], room: int
) -> tuple[int, int]:
    """Samples, and before those at or beyond it what tells of each span; how many of both, ``room`` together."""
    count = told = 0
    times = found.source_times
    for low, high in lost:
        edge = high - 1 if wish.backwards else low
        nearer = int((times > edge).sum() if wish.backwards else (times < edge).sum())
        until = min(max(nearer, count), room - told)
        parts.append(encode_history(_between(found, count, until)))
        count = until
        if count + told == room:
            return count, told
        parts.append(encode_missing(StatusCodes.BadDataLost, edge))
        told += 1
    until = min(len(found), room - told)
    parts.append(encode_history(_between(found, count, until)))
    return until, told


def _rest(wish: Wish, found: Series, count: int, told: list[tuple[int, int]]) -> Wish:
    """What is left of a wish after the first ``count`` samples found, and the spans ``told`` of."""
    rest = replace(
        wish,
        left=wish.left - count - len(told) if wish.left > 0 else -1,
        told=wish.told if not told else told[-1][0] if wish.backwards else told[-1][1],
        bounds=Bounds.NONE if wish.bounds is Bounds.NONE else Bounds.END,
    )
    if not count:
        return rest
    last = int(found.source_times[count - 1])
    return replace(rest, high=last) if wish.backwards else replace(rest, low=last + 1)


def _between(series: Series, first: int, end: int) -> Series:
    rows = slice(first, end)
    return Series(series.type, series.source_times[rows], series.values[rows], series.statuses[rows])


def _given(time: datetime | None) -> int | None:
    """UTC ns, or None for a time that is missing (OPC 10000-11, 6.5.3.2: DateTime.MinValue)."""
    if time is None or time.year <= 1601:
        return None
    return min(max(to_ns(time), 0), END_OF_TIME - 2 * _MICROSECOND)
