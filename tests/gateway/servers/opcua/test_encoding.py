"""Encoded samples are what somebody else's decoder reads back."""

from __future__ import annotations

import math
import struct

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given
from hypothesis import strategies as st

from gateway.servers.opcua import encoding
from gateway.servers.opcua.encoding import Stamps
from gateway.servers.opcua.values import VARIANT_TYPES, to_datetime, to_ns
from gateway.tags.history import Series
from gateway.tags.sample import SAMPLE, to_bits
from gateway.tags.tag import ValueType

NOW = 1_763_000_000_000_000_000
TIMES = st.integers(1, 4_000_000_000_000_000_000)
STATUSES = st.integers(0, 0xFFFF_FFFF)
VALUES = st.one_of(
    st.tuples(st.just(ValueType.BOOL), st.booleans()),
    st.tuples(st.just(ValueType.INT64), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(st.just(ValueType.UINT64), st.integers(0, (1 << 64) - 1)),
    st.tuples(st.just(ValueType.DOUBLE), st.floats()),
    st.tuples(st.just(ValueType.STRING), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)),
)
SAMPLES = st.lists(st.tuples(VALUES, STATUSES, TIMES, TIMES), min_size=1, max_size=20)


def encoded(samples: list[tuple[tuple[ValueType, object], int, int, int]]) -> list[bytes]:
    records = np.zeros(len(samples), SAMPLE)
    texts: dict[int, str | None] = {}
    for row, ((type, value), status, source, receipt) in enumerate(samples):
        records[row] = (0, status, 0, source, receipt)
        if type is ValueType.STRING:
            texts[row] = str(value)
        else:
            records["value"][row] = to_bits(np.array([value]), type)[0]
    types = np.array([type for (type, _), *_ in samples], np.uint8)
    return encoding.encode_samples(records, types, texts, NOW)


def decoded(raw: bytes) -> ua.DataValue:
    buffer = Buffer(raw)
    value = struct_from_binary(ua.DataValue, buffer)
    assert len(buffer) == 0
    return value


def same(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)


@given(SAMPLES)
def test_every_sample_is_read_back_by_the_librarys_decoder(samples: list[object]) -> None:
    for ((type, value), status, source, receipt), raw in zip(samples, encoded(samples), strict=True):
        found = decoded(raw)
        assert found.Value.VariantType == VARIANT_TYPES[type]
        assert same(found.Value.Value, value)
        assert found.StatusCode.value == status
        assert found.SourceTimestamp == to_datetime(source)
        assert found.ServerTimestamp == to_datetime(receipt)


@given(SAMPLES, st.sampled_from(Stamps))
def test_times_that_were_not_asked_for_are_left_out(samples: list[object], stamps: Stamps) -> None:
    for ((_, value), status, source, receipt), raw in zip(samples, encoded(samples), strict=True):
        found = decoded(encoding.trimmed(raw, stamps))
        assert same(found.Value.Value, value)
        assert found.StatusCode.value == status
        has_source, has_server = (
            stamps in (Stamps.SOURCE, Stamps.BOTH),
            stamps in (Stamps.SERVER, Stamps.BOTH),
        )
        assert found.SourceTimestamp == (to_datetime(source) if has_source else None)
        assert found.ServerTimestamp == (to_datetime(receipt) if has_server else None)


@given(SAMPLES)
def test_overflow_is_said_in_the_status_alone(samples: list[object]) -> None:
    for ((_, value), status, source, _), raw in zip(samples, encoded(samples), strict=True):
        found = decoded(encoding.overflowed(raw))
        assert found.StatusCode.value == status | 0x480
        assert same(found.Value.Value, value)
        assert found.SourceTimestamp == to_datetime(source)


def test_a_tag_without_a_value_yet_is_null_at_this_moment() -> None:
    (raw,) = encoded([((ValueType.DOUBLE, 0.0), 0x8032_0000, 0, 0)])
    found = decoded(raw)
    assert found.Value.Value is None
    assert found.StatusCode.value == 0x8032_0000
    assert found.ServerTimestamp == to_datetime(NOW)


def test_the_worked_bytes_of_the_module() -> None:
    at = 1_764_000_000_000_000_000
    (raw,) = encoded([((ValueType.DOUBLE, 1.0), 0, at, at)])
    assert raw[:14].hex(" ") == "0f 0b 00 00 00 00 00 00 f0 3f 00 00 00 00"
    assert struct.unpack("<qq", raw[14:]) == (at // 100 + 116_444_736_000_000_000,) * 2


@given(VALUES, st.lists(st.tuples(STATUSES, TIMES), max_size=5))
def test_history_is_read_back_by_the_librarys_decoder(
    typed: tuple[ValueType, object], rows: list[tuple[int, int]]
) -> None:
    type, value = typed
    kind = {
        ValueType.BOOL: np.bool_,
        ValueType.INT64: np.int64,
        ValueType.UINT64: np.uint64,
        ValueType.DOUBLE: np.float64,
        ValueType.STRING: np.object_,
    }[type]
    series = Series(
        type,
        np.array([at for _, at in rows], np.int64),
        np.array([value] * len(rows), kind),
        np.array([status for status, _ in rows], np.uint32),
    )
    raw = struct.pack("<i", len(rows)) + encoding.encode_history(series)
    buffer = Buffer(raw)
    found = struct_from_binary(ua.HistoryData, buffer)
    assert len(buffer) == 0
    for got, (status, at) in zip(found.DataValues, rows, strict=True):
        assert same(got.Value.Value, value)
        assert got.StatusCode.value == status
        assert got.SourceTimestamp == to_datetime(at)


@given(TIMES)
def test_times_come_back_to_the_microsecond(at: int) -> None:
    time = to_datetime(at)
    assert time is not None
    assert to_ns(time) == at // 1000 * 1000
    assert not math.isnan(time.timestamp())
