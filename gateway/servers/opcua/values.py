"""One sample or value between Tieline and the OPC UA library's objects, for the services where one is looked at."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import cast

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Tag
from gateway.servers.opcua.encoding import Stamps
from gateway.tags.sample import Sample, Value
from gateway.tags.tag import ValueType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

VARIANT_TYPES = {
    ValueType.BOOL: ua.VariantType.Boolean,
    ValueType.INT64: ua.VariantType.Int64,
    ValueType.UINT64: ua.VariantType.UInt64,
    ValueType.DOUBLE: ua.VariantType.Double,
    ValueType.STRING: ua.VariantType.String,
}
DATA_TYPES = {type: ua.NodeId(ua.Int32(variant.value)) for type, variant in VARIANT_TYPES.items()}


def status(code: int) -> ua.StatusCode:
    """A StatusCode of the library from its number."""
    return ua.StatusCode(ua.UInt32(code))


def to_datetime(time_ns: int) -> ua.DateTime | None:
    """UTC ns as a datetime, to the microsecond that the library keeps; None for 0, which means no time."""
    if not time_ns:
        return None
    return cast("ua.DateTime", _EPOCH + timedelta(microseconds=time_ns // 1000))


def to_ns(time: datetime) -> int:
    """A datetime from the library as UTC ns."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def data_value(sample: Sample, type: ValueType, stamps: Stamps, now_ns: int) -> ua.DataValue:
    """A sample for Read. One that has no source time has never had a value: null, with the time it is asked."""
    variant = ua.Variant(sample.value, VARIANT_TYPES[type]) if sample.source_time else ua.Variant()
    return ua.DataValue(
        variant,
        StatusCode=status(sample.status),
        SourceTimestamp=to_datetime(sample.source_time) if stamps in (Stamps.BOTH, Stamps.SOURCE) else None,
        ServerTimestamp=to_datetime(sample.receipt_time or now_ns)
        if stamps in (Stamps.BOTH, Stamps.SERVER)
        else None,
    )


def written_value(given: ua.DataValue, tag: Tag) -> Value | ua.StatusCode:
    """What a client wants written, or why it is no value of this tag (OPC 10000-4, 5.11.4).

    Times that a client gives are left aside: the device's report decides them. A status cannot be written.
    """
    if given.StatusCode is not None and given.StatusCode.value != StatusCodes.Good:
        return status(StatusCodes.BadWriteNotSupported)
    variant = given.Value
    if variant is None or variant.is_array or variant.VariantType != VARIANT_TYPES[tag.type]:
        return status(StatusCodes.BadTypeMismatch)
    value = variant.Value
    if value is None:  # a null string
        return status(StatusCodes.BadTypeMismatch)
    if isinstance(value, float) and not math.isfinite(value):
        return status(StatusCodes.BadOutOfRange)
    if isinstance(value, str):
        try:
            fits = len(value.encode()) <= tag.string_bytes
        except UnicodeEncodeError:  # bytes that were no UTF-8
            fits = False
        if not fits:
            return status(StatusCodes.BadOutOfRange)
    assert isinstance(value, bool | int | float | str), value
    return value
