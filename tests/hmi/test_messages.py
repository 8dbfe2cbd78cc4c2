"""The feed's codec: what a sample looks like as JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tags.quality import Quality
from gateway.tags.sample import SAMPLE, to_bits
from gateway.tags.tag import ValueType
from hmi import messages

CLOCK = messages.Clock(server_time_ms=1_795_000_000_000, uptime_ms=1234)


def sample(value, type, status=Quality.GOOD, source=1_795_000_000_123_456_789):
    row = np.zeros(1, SAMPLE)
    row["status"] = status
    if type is not ValueType.STRING:
        row["value"] = to_bits(np.array([value]), type)
    row["source_time"] = row["receipt_time"] = source
    texts = [value] if type is ValueType.STRING else []
    return row, np.array([type], np.uint8), texts


def as_json(value, type, status=Quality.GOOD):
    row, types, texts = sample(value, type, status)
    text = messages.samples("changes", row, messages.json_values(row, types, texts), CLOCK)
    return json.loads(text, parse_constant=pytest.fail)["values"][0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_travels_as_null(value):
    assert as_json(value, ValueType.DOUBLE) is None


@pytest.mark.parametrize(
    ("value", "type", "expected"),
    [
        (2**53 - 1, ValueType.INT64, 2**53 - 1),
        (2**53, ValueType.INT64, "9007199254740992"),
        (-(2**53), ValueType.INT64, "-9007199254740992"),
        (2**64 - 1, ValueType.UINT64, "18446744073709551615"),
        (True, ValueType.BOOL, True),
        (-0.5, ValueType.DOUBLE, -0.5),
        ("größer <b>", ValueType.STRING, "größer <b>"),
    ],
)
def test_values_keep_their_type_and_large_integers_become_strings(value, type, expected):
    found = as_json(value, type)
    assert (found, found.__class__) == (expected, expected.__class__)


def test_a_tag_that_never_had_a_value_travels_as_null_not_as_zero():
    assert as_json(0.0, ValueType.DOUBLE, Quality.BAD_WAITING_FOR_INITIAL_DATA) is None
    assert as_json("", ValueType.STRING, Quality.BAD_WAITING_FOR_INITIAL_DATA) is None


def test_a_bad_value_keeps_its_number_and_its_status():
    row, types, texts = sample(42.5, ValueType.DOUBLE, Quality.BAD_COMMUNICATION_ERROR)
    message = json.loads(messages.samples("snapshot", row, messages.json_values(row, types, texts), CLOCK))
    assert message == {
        "type": "snapshot",
        "server_time_ms": 1_795_000_000_000,
        "uptime_ms": 1234,
        "tags": [0],
        "values": [42.5],
        "status": [0x80050000],
        "source_ms": [1_795_000_000_123],
        "receipt_ms": [1_795_000_000_123],
    }


@given(
    st.lists(st.floats(width=64) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text(max_size=20))
)
def test_any_mixture_of_types_is_json_and_keeps_its_order(values):
    kinds = {bool: ValueType.BOOL, int: ValueType.INT64, float: ValueType.DOUBLE, str: ValueType.STRING}
    types = [kinds[type(value)] for value in values]
    rows = np.zeros(len(values), SAMPLE)
    for i, (value, kind) in enumerate(zip(values, types, strict=True)):
        if kind is not ValueType.STRING:
            rows["value"][i] = to_bits(np.array([value]), kind)[0]
    texts = [value for value in values if isinstance(value, str)]
    listed = messages.json_values(rows, np.array(types, np.uint8), texts)
    found = json.loads(messages.samples("changes", rows, listed, CLOCK), parse_constant=pytest.fail)["values"]
    expected = [
        None
        if isinstance(value, float) and not math.isfinite(value)
        else str(value)
        if type(value) is int and abs(value) >= 2**53
        else value
        for value in values
    ]
    assert found == expected
