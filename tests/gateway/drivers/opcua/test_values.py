"""From a node's value to a tag's, and back."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.opcua_device import OpcUaPoint, ReadBy
from gateway.drivers.opcua import wire
from gateway.drivers.opcua.values import WHOLE_TYPES, Unfit, node_value, status_of, tag_value, typed
from gateway.drivers.opcua.wire import Moment, Raw
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType

POINT = OpcUaPoint(
    name="genset.power_kw", tag=0, type=ValueType.DOUBLE, string_bytes=0, node=None, field=(),
    read=ReadBy.SUBSCRIPTION, sampling_ms=None, queue=10, absolute_deadband=None, percent_deadband=None, scale=0.1,
    offset=-5.0, low=-10.0, high=100.0, group=0, writable=True, method=None, method_false=None,
)  # fmt: skip
OF = {type: replace(POINT, type=type, scale=1.0, offset=0.0, low=None, high=None) for type in ValueType}


@pytest.mark.parametrize(
    ("type", "value", "wanted"),
    [
        (ValueType.DOUBLE, 7, 7.0),
        (ValueType.DOUBLE, True, 1.0),
        (ValueType.DOUBLE, Moment(1_500_000_000), 1.5),
        (ValueType.INT64, -3, -3),
        (ValueType.INT64, 3.0, 3),
        (ValueType.UINT64, 2**64 - 1, 2**64 - 1),
        (ValueType.BOOL, 0, False),
        (ValueType.BOOL, 4, True),
        (ValueType.STRING, None, ""),
        (ValueType.STRING, True, "true"),
        (ValueType.STRING, 1.5, "1.5"),
        (ValueType.STRING, b"\x01\xff", "01ff"),
        (ValueType.STRING, (2, "Power"), "ns=2;s=Power"),
        (ValueType.STRING, (0, uuid.UUID(int=1)), "g=00000000-0000-0000-0000-000000000001"),
        (ValueType.STRING, Moment(1_795_262_400_123_000_000), "2026-11-21T12:00:00.123Z"),
        (ValueType.STRING, Moment(None), ""),
    ],
)
def test_what_fits_becomes_the_tags_value(type: ValueType, value: object, wanted: object) -> None:
    found = tag_value(OF[type], value)
    assert found == wanted
    assert found.__class__ is wanted.__class__


@pytest.mark.parametrize(
    ("type", "value", "why"),
    [
        (ValueType.DOUBLE, "x", "it is a text, not a number"),
        (ValueType.DOUBLE, Moment(None), "it is empty, not a number"),
        (ValueType.DOUBLE, [1.0], "it is an array of 1, not a number"),
        (ValueType.INT64, 1.5, "it is the number 1.5, not a whole one"),
        (ValueType.UINT64, -1, "-1 is beyond what an uint64 holds"),
        (ValueType.INT64, 2**63, "is beyond what an int64 holds"),
        (ValueType.BOOL, "true", "it is a text, not a truth value"),
        (ValueType.STRING, Raw((0, 1), b""), "it is a structure, of which 'field' names a part"),
    ],
)
def test_what_does_not_fit_says_so(type: ValueType, value: object, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        tag_value(OF[type], value)


@pytest.mark.parametrize(
    ("value", "status", "wanted"),
    [
        (5.0, 0, Quality.GOOD),
        (101.0, 0, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED),
        (math.nan, 0, Quality.BAD_SENSOR_FAILURE),
        (math.inf, 0, Quality.BAD_SENSOR_FAILURE),
        (101.0, 0x4090_0000, 0x4090_0000),
        (5.0, 0x0000_0480, Quality.GOOD),
        (math.nan, 0x808C_0480, 0x808C_0000),
        (200, 0, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED),
        (True, 0, Quality.GOOD),
        ("x", 0, Quality.GOOD),
    ],
)
def test_quality_is_the_servers_and_what_is_wrong_with_the_number(
    value: Any, status: int, wanted: int
) -> None:
    assert status_of(POINT, value, status) == wanted


@given(st.sampled_from(sorted(WHOLE_TYPES)), st.data())
def test_what_is_written_comes_back(type: int, data: st.DataObject) -> None:
    low, high = WHOLE_TYPES[type]
    raw = data.draw(st.integers(max(low, -(2**40)), min(high, 2**40)))
    assert node_value(POINT, raw * POINT.scale + POINT.offset, type) == raw


@pytest.mark.parametrize(
    ("raw", "type", "wanted"),
    [
        (True, wire.BOOLEAN, True),
        (1.0, wire.BOOLEAN, True),
        (2.0, wire.INT16, 2),
        (1, wire.DOUBLE, 1.0),
        ("x", wire.LOCALIZED_TEXT, "x"),
        (1.5, wire.DATE_TIME, datetime(1970, 1, 1, 0, 0, 1, 500_000)),
    ],
)
def test_a_value_takes_the_nodes_type(raw: Any, type: int, wanted: object) -> None:
    found = typed(raw, type)
    assert found == wanted
    assert found.__class__ is wanted.__class__


@pytest.mark.parametrize(
    ("raw", "type", "why"),
    [
        (2, wire.BOOLEAN, "the node is Boolean, which the number 2 is not"),
        (0.5, wire.INT32, "0.5 is no whole number, and the node is Int32"),
        (math.nan, wire.INT32, "nan is no whole number"),
        (300, wire.BYTE, r"300 is beyond what the node holds, Byte: 0\.\.255"),
        (1e39, wire.FLOAT, "beyond what the node holds, Float"),
        ("1", wire.DOUBLE, "the node is Double, which a text is not"),
        (1.0, wire.STRING, "the node is String"),
        (1e300, wire.DATE_TIME, "is no time"),
        (1.0, wire.EXTENSION_OBJECT, "the node is of the built-in type 22"),
    ],
)
def test_what_the_node_cannot_hold_is_not_sent(raw: Any, type: int, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        typed(raw, type)
