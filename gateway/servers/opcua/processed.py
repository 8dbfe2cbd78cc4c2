"""HistoryRead of aggregates and of values at given times (OPC 10000-11, 6.5.4 and 6.5.5), page by page.

A continuation point is where to go on: the time the next interval begins at, or the place of the next time asked for.
The client repeats the rest of its question with it, as the standard has it do; the server keeps nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from numpy.typing import NDArray

from gateway.config.site import Tag
from gateway.servers.opcua import limits
from gateway.servers.opcua.encoding import encode_processed
from gateway.servers.opcua.values import status, to_ns
from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from gateway.tags.history import HistorySource

_HISTORY_DATA = ua.NodeId(ua.Int32(ObjectIds.HistoryData_Encoding_DefaultBinary))
_COUNT = struct.Struct("<i")
_POINT = struct.Struct("<BIIq")  # version, tag, aggregate or 0, where to go on
_POINT_VERSION = 2
_AT_TIME = 0
_NS_PER_MS = 1_000_000
_LONGEST_INTERVAL_MS = float(2**62 // _NS_PER_MS)


Times = NDArray[np.int64]  # UTC ns


class RefusedError(Exception):
    """A question that cannot be answered, with the StatusCode that says why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Wish:
    """An aggregate from ``start`` to ``end``, UTC ns, over intervals of ``interval`` ns; 0: over one."""

    aggregate: Aggregate
    start: int
    end: int
    interval: int
    configuration: AggregateConfiguration


def wishes_of(details: ua.ReadProcessedDetails, count: int) -> Sequence[Wish | RefusedError]:
    """What is asked of each of ``count`` nodes. Raises RefusedError where that fails for all."""
    if len(details.AggregateType or ()) != count:
        raise RefusedError(StatusCodes.BadAggregateListMismatch)
    start, end = _given(details.StartTime), _given(details.EndTime)
    length = float(details.ProcessingInterval)
    if start is None or end is None or start == end or not 0 <= length <= _LONGEST_INTERVAL_MS:
        raise RefusedError(StatusCodes.BadInvalidArgument)
    interval = round(length * _NS_PER_MS)
    if length and not interval:
        raise RefusedError(StatusCodes.BadInvalidArgument)
    configuration = _configuration_of(details.AggregateConfiguration)
    wishes: list[Wish | RefusedError] = []
    for node in details.AggregateType:
        aggregate = _aggregate_of(node)
        if aggregate is None:
            wishes.append(RefusedError(StatusCodes.BadAggregateNotSupported))
        else:
            wishes.append(Wish(aggregate, start, end, interval, configuration))
    return wishes


def _configuration_of(given: ua.AggregateConfiguration) -> AggregateConfiguration:
    if given.UseServerCapabilitiesDefaults:
        return AggregateConfiguration()
    try:
        return AggregateConfiguration(
            bool(given.TreatUncertainAsBad),
            int(given.PercentDataBad),
            int(given.PercentDataGood),
            bool(given.UseSlopedExtrapolation),
        )
    except ValueError:
        raise RefusedError(StatusCodes.BadAggregateConfigurationRejected) from None


def _aggregate_of(node: ua.NodeId) -> Aggregate | None:
    if node.NamespaceIndex or not isinstance(node.Identifier, int):
        return None
    try:
        return Aggregate(node.Identifier)
    except ValueError:
        return None


def read(
    wish: Wish, point: bytes | None, place: int, tag: Tag, source: HistorySource
) -> ua.HistoryReadResult:
    """One page of an aggregate. Blocks: call it off the loop. Raises RefusedError."""
    start = wish.start if point is None else _next(point, place, wish.aggregate)
    is_backwards = wish.end < wish.start
    sign = -1 if is_backwards else 1
    length = wish.interval or abs(wish.end - wish.start)
    if sign * (start - wish.start) % length or not 0 <= sign * (start - wish.start) < sign * (
        wish.end - wish.start
    ):
        raise RefusedError(StatusCodes.BadContinuationPointInvalid)
    page = start + sign * min(sign * (wish.end - start), length * limits.HISTORY_VALUES)
    try:
        found = source.aggregate(tag.name, wish.aggregate, start, page, length, wish.configuration)
    except KeyError:  # nothing was ever stored
        return _result(None, None)
    except ValueError:  # strings have no average, or an interval holds more than can be read
        raise RefusedError(StatusCodes.BadAggregateInvalidInputs) from None
    rest = None if page == wish.end else _POINT.pack(_POINT_VERSION, place, wish.aggregate, page)
    return _result(found, rest)


def times_of(details: ua.ReadAtTimeDetails) -> Times:
    """The times asked for, UTC ns. Raises RefusedError."""
    times = [_given(time) for time in details.ReqTimes or ()]
    if not times or None in times:
        raise RefusedError(StatusCodes.BadInvalidArgument)
    if len(times) > limits.TIMES_PER_HISTORY_READ:
        raise RefusedError(StatusCodes.BadTooManyOperations)
    return np.array(times, np.int64)


def read_at(
    times: Times,
    use_simple_bounds: bool,
    point: bytes | None,
    place: int,
    tag: Tag,
    source: HistorySource,
) -> ua.HistoryReadResult:
    """One page of values at times. Blocks: call it off the loop. Raises RefusedError."""
    first = 0 if point is None else _next(point, place, _AT_TIME)
    if not 0 <= first < len(times):
        raise RefusedError(StatusCodes.BadContinuationPointInvalid)
    some = times[first : first + limits.HISTORY_VALUES]
    try:
        found = source.at_time(tag.name, some, AggregateConfiguration(), use_simple_bounds=use_simple_bounds)
    except KeyError:
        return _result(None, None)
    after = first + len(some)
    rest = None if after == len(times) else _POINT.pack(_POINT_VERSION, place, _AT_TIME, after)
    return _result(found, rest)


def _next(point: bytes, place: int, aggregate: int) -> int:
    if len(point) != _POINT.size:
        raise RefusedError(StatusCodes.BadContinuationPointInvalid)
    version, found, asked, after = _POINT.unpack(point)
    if version != _POINT_VERSION or found != place or asked != aggregate:
        raise RefusedError(StatusCodes.BadContinuationPointInvalid)
    return int(after)


def _result(found: Processed | None, rest: bytes | None) -> ua.HistoryReadResult:
    count = 0 if found is None else len(found)
    body = _COUNT.pack(count) + (b"" if found is None else encode_processed(found))
    return ua.HistoryReadResult(
        StatusCode=status(StatusCodes.Good if count else StatusCodes.GoodNoData),
        ContinuationPoint=None if rest is None else ua.ByteString(rest),
        HistoryData=ua.ExtensionObject(_HISTORY_DATA, Body=ua.ByteString(body)),
    )


def _given(time: datetime | None) -> int | None:
    """UTC ns, or None for a time that is missing (DateTime.MinValue) or beyond what history can hold."""
    if time is None or not 1824 <= time.year <= 2115:
        return None
    return to_ns(time)
