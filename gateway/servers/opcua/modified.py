"""HistoryRead of values that a later write replaced (OPC 10000-11, 6.5.3.3), page by page.

A continuation point is how many were sent; the client repeats the rest of its question with it.
"""

from __future__ import annotations

import struct

import numpy as np
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Tag
from gateway.servers.opcua import history
from gateway.servers.opcua.encoding import encode_history, ticks
from gateway.servers.opcua.processed import RefusedError
from gateway.servers.opcua.values import status
from gateway.tags.history import HistorySource, Modified, Series

_MODIFIED_DATA = ua.NodeId(ua.Int32(ObjectIds.HistoryModifiedData_Encoding_DefaultBinary))
_COUNT = struct.Struct("<i")
_POINT = struct.Struct("<BII")  # version, tag, how many were sent
_POINT_VERSION = 3
_INFO = np.dtype([("time", "<i8"), ("kind", "<i4"), ("user", "<i4")])
_NOBODY = -1  # a null string: history does not know who


def read(
    details: ua.ReadRawModifiedDetails, point: bytes | None, place: int, tag: Tag, source: HistorySource
) -> ua.HistoryReadResult:
    """One page. Blocks: call it off the loop. Raises RefusedError."""
    if details.ReturnBounds:
        raise RefusedError(StatusCodes.BadInvalidArgument)
    wish = history.wish_of(details, place)
    if wish is None:
        raise RefusedError(StatusCodes.BadHistoryOperationInvalid)
    first = 0 if point is None else _sent(point, place)
    try:
        found = source.modified(tag.name, wish.low, wish.high)
    except KeyError:  # nothing was ever stored
        return _result(None, None)
    rows = np.arange(len(found))[:: -1 if wish.backwards else 1][: None if wish.left < 0 else wish.left]
    some = rows[first : first + wish.page]
    after = first + len(some)
    rest = None if after >= len(rows) else _POINT.pack(_POINT_VERSION, place, after)
    return _result(_rows(found, some), rest)


def _sent(point: bytes, place: int) -> int:
    if len(point) == _POINT.size:
        version, found, sent = _POINT.unpack(point)
        if version == _POINT_VERSION and found == place:
            return int(sent)
    raise RefusedError(StatusCodes.BadContinuationPointInvalid)


def _rows(found: Modified, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Modified:
    kept = found.series
    series = Series(kept.type, kept.source_times[rows], kept.values[rows], kept.statuses[rows])
    return Modified(series, found.modified[rows], found.kinds[rows])


def _result(found: Modified | None, rest: bytes | None) -> ua.HistoryReadResult:
    count = 0 if found is None else len(found)
    infos = np.empty(count, _INFO)
    values = b""
    if found is not None:
        values = encode_history(found.series)
        infos["time"], infos["kind"], infos["user"] = ticks(found.modified), found.kinds, _NOBODY
    body = _COUNT.pack(count) + values + _COUNT.pack(count) + infos.tobytes()
    return ua.HistoryReadResult(
        StatusCode=status(StatusCodes.Good if count else StatusCodes.GoodNoData),
        ContinuationPoint=None if rest is None else ua.ByteString(rest),
        HistoryData=ua.ExtensionObject(_MODIFIED_DATA, Body=ua.ByteString(body)),
    )
