"""Every encoding gives back the very bits it was given, and garbage gives the one allowed error."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn
from historian.store import columns
from historian.store.columns import Encoding

UNHURRIED = settings(deadline=None, max_examples=60)  # a loaded machine is no failure
NUMBERS = (ValueType.BOOL, ValueType.INT64, ValueType.UINT64, ValueType.DOUBLE)
WORDS = st.integers(0, 2**64 - 1)
SPECIAL_DOUBLES = (
    0.0,
    -0.0,
    float("inf"),
    float("-inf"),
    5e-324,
    -1.7976931348623157e308,
    2.0**53,
    0.1 + 0.2,
)
NAN_BITS = (0x7FF8_0000_0000_0000, 0x7FF0_0000_0000_0001, 0xFFF8_DEAD_BEEF_0001, 0x7FFF_FFFF_FFFF_FFFF)
# What plants send: decimals as parsed from text, registers times a scale, and whatever a float32 became.
PLANT_DOUBLES = (
    st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 5)).map(lambda n: n[0] / 10 ** n[1])
    | st.tuples(st.integers(-(2**31), 2**31), st.sampled_from((1.0, 0.1, 0.01, 0.001, 0.25))).map(
        lambda n: n[0] * n[1]
    )
    | st.floats(width=32)
    | st.floats()
    | st.sampled_from(SPECIAL_DOUBLES)
)


def bits_of(doubles: list[float]) -> np.ndarray:
    return np.array(doubles, np.float64).view(np.uint64)


def encoding_of(column: bytes) -> Encoding:
    return Encoding(column[1])


@UNHURRIED
@given(
    st.sampled_from(NUMBERS),
    st.lists(WORDS | st.integers(0, 1), max_size=300),
    st.none() | st.integers(-1, 30),
)
def test_words_of_every_type_come_back_to_the_bit(type, words, decimals):
    bits = np.array(words, np.uint64)
    assert columns.decode_values(type, columns.encode_values(type, bits, decimals)).tolist() == words


@UNHURRIED
@given(st.lists(PLANT_DOUBLES, min_size=1, max_size=300), st.none() | st.integers(0, 9))
def test_doubles_come_back_to_the_bit(doubles, decimals):
    bits = bits_of(doubles)
    decoded = columns.decode_values(ValueType.DOUBLE, columns.encode_values(ValueType.DOUBLE, bits, decimals))
    assert decoded.tolist() == bits.tolist()


@UNHURRIED
@given(st.integers(1, 400), st.lists(st.tuples(st.integers(0, 399), st.sampled_from(NAN_BITS)), max_size=40))
def test_nan_payloads_among_decimals_come_back_to_the_bit(count, exceptions):
    bits = bits_of([n / 10 for n in range(count)])
    for place, nan in exceptions:
        bits[place % count] = nan
    decoded = columns.decode_values(ValueType.DOUBLE, columns.encode_values(ValueType.DOUBLE, bits, 1))
    assert decoded.tolist() == bits.tolist()


@UNHURRIED
@given(
    st.lists(
        st.sampled_from(("", "idle", "charging", "Störung", "\U0001f50b", "x\0y")) | st.text(), max_size=120
    )
)
def test_strings_come_back(texts):
    values = np.empty(len(texts), object)
    values[:] = texts
    assert (
        columns.decode_values(ValueType.STRING, columns.encode_values(ValueType.STRING, values)).tolist()
        == texts
    )


@pytest.mark.parametrize("distinct", [256, 257, 65_536, 65_537])
def test_string_indexes_widen_where_the_dictionary_needs_it(distinct):
    values = np.array([f"n{i}" for i in range(distinct)], object)
    decoded = columns.decode_values(ValueType.STRING, columns.encode_values(ValueType.STRING, values))
    assert decoded.tolist() == values.tolist()


@UNHURRIED
@given(
    st.lists(
        st.sampled_from((0, 0x8005_0000, 0x4094_0000)) | st.integers(0, 2**32 - 1), min_size=1, max_size=300
    )
)
def test_status_codes_come_back_whole(statuses):
    array = np.array(statuses, np.uint32)
    assert columns.decode_statuses(columns.encode_statuses(array), len(array)).tolist() == statuses


def test_all_good_takes_no_bytes():
    assert columns.encode_statuses(np.zeros(100, np.uint32)) is None


@UNHURRIED
@given(
    st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=200),
    st.sampled_from((1, 100, 1000, 10**6, 10**9)),
)
def test_times_come_back_at_every_resolution(ticks, unit):
    limit = 2**63 - 1
    times = np.array(sorted({max(-limit, min(limit, tick // unit * unit)) for tick in ticks}), np.int64)
    assert columns.decode_times(columns.encode_times(times)).tolist() == times.tolist()


def test_a_regular_poll_takes_two_numbers():
    times = np.arange(3600, dtype=np.int64) * 10**9 + 1_763_683_200 * 10**9
    assert len(columns.encode_times(times)) == columns.HEAD_BYTES + 16


@pytest.mark.parametrize(
    ("type", "values", "encoding"),
    [
        (ValueType.DOUBLE, bits_of([n / 10 for n in range(1000)]), Encoding.QUOTIENT),
        (ValueType.DOUBLE, bits_of([n * 0.001 for n in range(1000)]), Encoding.PRODUCT),
        (ValueType.DOUBLE, bits_of([-0.0, *(n / 10 for n in range(1000))]), Encoding.QUOTIENT),
        (ValueType.DOUBLE, bits_of([n**0.5 for n in range(1000)]), Encoding.PCO),
        (ValueType.DOUBLE, bits_of([1.5, 2.5, 2.5]), Encoding.RAW),
        (ValueType.DOUBLE, bits_of([230.0] * 1000), Encoding.CONSTANT),
        (ValueType.INT64, np.arange(1000).view(np.uint64), Encoding.PCO),
        (ValueType.BOOL, np.arange(60, dtype=np.uint64) % 2, Encoding.BITS),
        (ValueType.BOOL, (np.arange(9999) > 5000).astype(np.uint64), Encoding.BITS_ZSTD),
        (ValueType.STRING, np.array(["a", "b"] * 50, object), Encoding.TEXTS),
    ],
)
def test_each_kind_of_data_gets_the_encoding_that_suits_it(type, values, encoding):
    column = columns.encode_values(type, values)
    assert encoding_of(column) is encoding
    assert columns.decode_values(type, column).tolist() == values.tolist()


def test_three_doubles_are_the_bytes_the_format_page_shows():
    column = columns.encode_values(ValueType.DOUBLE, bits_of([1.5, 2.5, 2.5]))
    assert column[:8] == bytes.fromhex("01 01 00 00 03 00 00 00")
    assert column[12:] == struct.pack("<3d", 1.5, 2.5, 2.5)


def test_four_times_are_the_bytes_the_format_page_shows():
    column = columns.encode_times(np.arange(1, 5, dtype=np.int64) * 10**9)
    assert column[:8] == bytes.fromhex("01 09 00 00 04 00 00 00")
    assert column[12:] == bytes.fromhex("00 ca 9a 3b 00 00 00 00 00 ca 9a 3b 00 00 00 00")


@UNHURRIED
@given(st.data())
def test_one_flipped_bit_is_damage(data):
    column = bytearray(columns.encode_values(ValueType.DOUBLE, bits_of([n / 10 for n in range(200)])))
    bit = data.draw(st.integers(0, len(column) * 8 - 1))
    column[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedColumn):
        columns.decode_values(ValueType.DOUBLE, bytes(column))


@UNHURRIED
@given(st.binary(max_size=200))
def test_garbage_is_damage(garbage):
    with pytest.raises(DamagedColumn):
        columns.decode_times(garbage)


@UNHURRIED
@given(
    st.sampled_from(list(ValueType)),
    st.sampled_from([e for e in Encoding if e not in (Encoding.PCO, Encoding.TICKS)]),
    st.integers(0, 255),
    st.integers(0, 2**16),
    st.binary(max_size=64),
)
def test_a_wrong_payload_under_a_right_crc_is_damage_or_a_column(type, encoding, parameter, count, payload):
    column = columns._column(encoding, parameter, count, payload)
    with contextlib.suppress(DamagedColumn):
        assert len(columns.decode_values(type, column)) == count


def test_a_type_that_does_not_fit_the_encoding_is_damage():
    column = columns.encode_values(ValueType.STRING, np.array(["a", "b"], object))
    with pytest.raises(DamagedColumn, match="holds no DOUBLE"):
        columns.decode_values(ValueType.DOUBLE, column)
