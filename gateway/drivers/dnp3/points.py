"""DNP3 values as samples and back: scaling, and flags as StatusCodes (IEEE 1815 11.6)."""

from __future__ import annotations

import math

from gateway.config.dnp3_device import AnalogForm, DevicePointKind, Dnp3Point
from gateway.drivers.dnp3.notices import Reading
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Value

_K = DevicePointKind
STATIC_GROUP = {
    _K.BINARY: 1,
    _K.DOUBLE_BIT: 3,
    _K.BINARY_OUTPUT: 10,
    _K.COUNTER: 20,
    _K.FROZEN_COUNTER: 21,
    _K.ANALOG: 30,
    _K.ANALOG_OUTPUT: 40,
    _K.OCTET_STRING: 110,
}
KIND_OF_GROUP = {group: kind for kind, group in STATIC_GROUP.items()} | {
    2: _K.BINARY,
    4: _K.DOUBLE_BIT,
    11: _K.BINARY_OUTPUT,
    22: _K.COUNTER,
    23: _K.FROZEN_COUNTER,
    32: _K.ANALOG,
    42: _K.ANALOG_OUTPUT,
    111: _K.OCTET_STRING,
}
_COUNTERS = frozenset({_K.COUNTER, _K.FROZEN_COUNTER})
_ANALOGS = frozenset({_K.ANALOG, _K.ANALOG_OUTPUT})
_ONLINE, _RESTART, _COMM_LOST, _FORCED = 0x01, 0x02, 0x04, 0x18
_OVER_RANGE, _REFERENCE_ERROR = 0x20, 0x40
GOOD_LOCAL_OVERRIDE = 0x0096_0000  # Good_LocalOverride
_SPAN = {AnalogForm.INT16: (-0x8000, 0x7FFF), AnalogForm.INT32: (-0x8000_0000, 0x7FFF_FFFF)}


def value_of(point: Dnp3Point, reading: Reading) -> Value:
    """The engineering value of what came."""
    raw = reading.value
    if isinstance(raw, bytes):
        return raw.rstrip(b"\0").decode("utf-8", "replace")
    if point.kind in (_K.BINARY, _K.BINARY_OUTPUT):
        return bool(raw)
    if point.kind is _K.DOUBLE_BIT:
        return int(raw)
    if point.scale == 1.0 and point.offset == 0.0:
        return int(raw) if point.kind in _COUNTERS else float(raw)
    return raw * point.scale + point.offset


def status_of(point: Dnp3Point, reading: Reading, value: Value) -> int:
    """The StatusCode of what came. Without flags it is online, for a point that is not must carry them (11.6.1)."""
    if isinstance(value, float) and math.isnan(value):
        return Quality.BAD_SENSOR_FAILURE
    flags = reading.flags
    if flags is None:
        return Quality.GOOD
    if not flags & _ONLINE:
        if flags & _COMM_LOST:
            return Quality.BAD_NO_COMMUNICATION
        return Quality.BAD_WAITING_FOR_INITIAL_DATA if flags & _RESTART else Quality.BAD_OUT_OF_SERVICE
    if flags & _COMM_LOST:
        return Quality.UNCERTAIN_LAST_USABLE_VALUE
    if point.kind in _ANALOGS:
        if flags & _REFERENCE_ERROR:
            return Quality.BAD_SENSOR_FAILURE
        if flags & _OVER_RANGE:
            return Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    if (
        point.low is not None
        and point.high is not None
        and not isinstance(value, str)
        and not point.low <= value <= point.high
    ):
        return Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    return GOOD_LOCAL_OVERRIDE if flags & _FORCED else Quality.GOOD


def raw_of(point: Dnp3Point, value: Value) -> bool | float:
    """What a command sends for an engineering value. Raises OperateError where the form can not hold it."""
    if isinstance(value, str):
        raise OperateError("a string can not be written over DNP3")
    if isinstance(value, bool):
        return value
    raw = (value - point.offset) / point.scale
    span = _SPAN.get(point.form)
    if span is not None and not span[0] <= round(raw) <= span[1]:
        raise OperateError(f"{raw:g} on the wire does not fit {point.form}")
    return raw
