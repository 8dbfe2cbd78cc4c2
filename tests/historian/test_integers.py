"""Columns as integers and a factor say the same as their values; what is no such column is said to be none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn
from historian.store import columns
from historian.store.integers import decode_integers

STEPS = np.arange(300)
READINGS = np.round(20 + np.sin(STEPS / 9), 1)
COUNTED = STEPS * 3 + STEPS % 7


def bits(values, dtype=np.float64):
    return np.asarray(values, dtype).view(np.uint64)


SAID = {
    "quotient": (ValueType.DOUBLE, bits(READINGS)),
    "product": (ValueType.DOUBLE, bits(np.rint(READINGS * 1000) * 0.001)),
    "counter": (ValueType.INT64, bits(COUNTED - 400, np.int64)),
    "unsigned": (ValueType.UINT64, bits(COUNTED, np.uint64)),
    "switch": (ValueType.BOOL, bits(STEPS // 40 % 2, np.uint64)),
    "busy switch": (ValueType.BOOL, bits(STEPS * STEPS // 7 % 2, np.uint64)),
    "setpoint": (ValueType.DOUBLE, bits(np.full(300, -12.75))),
    "greatest": (ValueType.UINT64, bits(np.full(300, 2**64 - 1), np.uint64)),
    "negative": (ValueType.INT64, bits(np.full(300, -(2**63)), np.int64)),
    "on": (ValueType.BOOL, bits(np.ones(300), np.uint64)),
}
NOT_SAID = {
    "measured": (ValueType.DOUBLE, bits(np.sin(STEPS))),
    "with a NaN": (ValueType.DOUBLE, bits([*READINGS[:-1], math.nan])),
    "with a negative zero": (ValueType.DOUBLE, bits([*READINGS[:-1], -0.0])),
    "constant infinity": (ValueType.DOUBLE, bits(np.full(300, math.inf))),
    "beyond an int64": (ValueType.UINT64, bits(COUNTED, np.uint64) + np.uint64(2**63 - 200)),
}


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("effort", columns.Effort)
def test_integers_times_the_factor_are_the_values(name, effort):
    type, words = SAID[name]
    out = np.full(300, 99, np.int64)
    factor = decode_integers(type, columns.encode_values(type, words, effort=effort), out)
    assert factor is not None
    np.testing.assert_allclose(out * factor, from_bits(words, type).astype(float), rtol=1e-15)


@pytest.mark.parametrize("name", NOT_SAID)
def test_what_is_no_whole_number_of_finite_integers_is_left_to_the_values(name):
    type, words = NOT_SAID[name]
    assert decode_integers(type, columns.encode_values(type, words), np.empty(300, np.int64)) is None


def test_a_column_of_another_count_is_damage():
    type, words = SAID["counter"]
    with pytest.raises(DamagedColumn, match="300 values for 299 samples"):
        decode_integers(type, columns.encode_values(type, words), np.empty(299, np.int64))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(SAID)), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_damage(name, place, change):
    type, words = SAID[name]
    column = bytearray(columns.encode_values(type, words))
    column[place % len(column)] ^= change
    with pytest.raises(DamagedColumn):
        decode_integers(type, bytes(column), np.empty(300, np.int64))


def test_a_payload_of_another_count_than_its_head_is_damage():
    words = SAID["counter"][1]
    payload = columns.encode_values(ValueType.INT64, words)[columns.HEAD_BYTES :]
    column = columns._column(columns.Encoding.PCO, 0, 200, payload)
    with pytest.raises(DamagedColumn):
        decode_integers(ValueType.INT64, column, np.empty(200, np.int64))
    column = columns._column(columns.Encoding.PCO, 0, 400, payload)
    with pytest.raises(DamagedColumn, match="not 400 numbers"):
        decode_integers(ValueType.INT64, column, np.empty(400, np.int64))
