"""Forms of registers against pymodbus' own conversion, and maps that serve whole values only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.constants import ExcCodes

from gateway.simulator.devices import registers as r
from gateway.simulator.devices.registers import Gap, RegisterMap, Row, Table

TYPES = ModbusClientMixin.DATATYPE
INTEGERS = [
    (r.INT16, TYPES.INT16),
    (r.UINT16, TYPES.UINT16),
    (r.INT32, TYPES.INT32),
    (r.UINT32, TYPES.UINT32),
]
FORMS = [*INTEGERS, (r.UINT64, TYPES.UINT64), (r.FLOAT32, TYPES.FLOAT32), (r.FLOAT64, TYPES.FLOAT64)]


@pytest.mark.parametrize(("form", "theirs"), FORMS)
@pytest.mark.parametrize("low_word_first", [False, True])
@given(number=st.integers(0, 30_000))
def test_numbers_read_as_pymodbus_reads_them(form, theirs, low_word_first: bool, number: int) -> None:
    if low_word_first:
        form = form.low_words_first()
    words = form.encode(number * 0.1, 0.1)
    order = "little" if low_word_first else "big"
    assert ModbusClientMixin.convert_from_registers(words, theirs, order) == pytest.approx(number)
    assert form.decode(words, 0.1) == pytest.approx(number * 0.1, rel=1e-6)


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        (r.INT32, -2, [0xFFFF, 0xFFFE]),
        (r.INT32.low_words_first(), -2, [0xFFFE, 0xFFFF]),
        (r.INT32.low_bytes_first(), 0x01020304, [0x0201, 0x0403]),
        (r.UINT32.low_bytes_first().low_words_first(), 0x01020304, [0x0403, 0x0201]),
        (r.BCD16, 1500, [0x1500]),
        (r.BCD32, 12345678, [0x1234, 0x5678]),
        (r.text(3), "AB", [0x4142, 0, 0]),
        (r.text(1), "ABC", [0x4142]),
        (r.FLOAT32, 1.0, [0x3F80, 0x0000]),
        (r.BIT, True, [1]),
        (r.INT16, 40_000, [0x7FFF]),  # beyond what it holds
        (r.UINT16, -1, [0]),
        (r.BCD16, 10_000, [0x9999]),
    ],
)
def test_worked_bytes(form, value, words) -> None:
    assert form.encode(value, 1.0) == words


class Box:
    low, high = 1, 2


def a_map() -> RegisterMap[Box]:
    return RegisterMap(
        [
            Row(Table.HOLDING, 10, r.UINT16, lambda b: b.low, r.within(0, 9, "low")),
            Row(Table.HOLDING, 11, r.UINT32, lambda b: b.high, r.within(0, 9, "high")),
            Row(Table.HOLDING, 13, r.UINT16, lambda b: None, absent=0x8000),
        ],
        [Gap(Table.HOLDING, 14, 2, 0xABCD)],
    )


def read(address: int, count: int) -> list[int] | ExcCodes:
    box = Box()
    return a_map().read(Table.HOLDING, address, count, lambda row: row.words(box))


def test_a_read_may_begin_and_end_inside_a_value() -> None:
    assert read(10, 6) == [1, 0, 2, 0x8000, 0xABCD, 0xABCD]
    assert read(12, 1) == [2]
    assert read(11, 1) == [0]


@pytest.mark.parametrize(("address", "count"), [(9, 1), (9, 2), (15, 2), (65535, 2)])
def test_what_no_row_covers_is_an_illegal_address(address: int, count: int) -> None:
    assert read(address, count) is ExcCodes.ILLEGAL_ADDRESS


@pytest.mark.parametrize(
    ("address", "words", "outcome", "left"),
    [
        (10, [7, 0, 8], None, (7, 8)),
        (11, [0, 5], None, (1, 5)),
        (11, [5], ExcCodes.ILLEGAL_ADDRESS, (1, 2)),  # half a value
        (12, [5], ExcCodes.ILLEGAL_ADDRESS, (1, 2)),
        (10, [7, 0, 8, 9], ExcCodes.ILLEGAL_ADDRESS, (1, 2)),  # reaches what is read only: nothing is set
        (10, [70], ExcCodes.ILLEGAL_VALUE, (1, 2)),
        (14, [1], ExcCodes.ILLEGAL_ADDRESS, (1, 2)),
    ],
)
def test_a_write_sets_whole_values_within_the_nameplate(address, words, outcome, left) -> None:
    box = Box()
    assert a_map().write(box, Table.HOLDING, address, words) is outcome
    assert (box.low, box.high) == left


def test_overlapping_rows_are_a_fault_of_the_map() -> None:
    rows = [Row(Table.INPUT, 0, r.UINT32, lambda b: 0), Row(Table.INPUT, 1, r.UINT16, lambda b: 0)]
    with pytest.raises(ValueError, match="input 1 is given twice"):
        RegisterMap(rows)
