"""Registers to values and back: every type in every order, and every way a value can be no value."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.config.modbus import ModbusPoint, Order, RegisterType, Table
from gateway.config.registers import REGISTERS, EncodeError, encode
from gateway.drivers.modbus.codec import Decoder
from gateway.drivers.modbus.plan import Block
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, value_from_bits
from gateway.tags.tag import ValueType

SIGNED = (RegisterType.INT16, RegisterType.INT32, RegisterType.INT64)
UNSIGNED = (RegisterType.UINT16, RegisterType.UINT32, RegisterType.UINT64)
BCD = (RegisterType.BCD16, RegisterType.BCD32)
FLOATS = (RegisterType.FLOAT32, RegisterType.FLOAT64)
ORDERS = st.sampled_from(Order)


def point(type: RegisterType, **changes: object) -> ModbusPoint:
    plain = ModbusPoint(
        name="device.point",
        tag=0,
        table=Table.HOLDING,
        address=0,
        registers=REGISTERS.get(type, 1),
        type=type,
        word_order=Order.BIG,
        byte_order=Order.BIG,
        bit=None,
        scale=1.0,
        offset=0.0,
        not_implemented=(),
        low=None,
        high=None,
        group=0,
        writable=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the fields of ModbusPoint, by name


def image_type(point: ModbusPoint) -> ValueType:
    if point.type is RegisterType.STRING:
        return ValueType.STRING
    if point.type is RegisterType.BOOL:
        return ValueType.BOOL
    if point.type in FLOATS or point.scale != 1 or point.offset != 0:
        return ValueType.DOUBLE
    return ValueType.INT64 if point.type in SIGNED else ValueType.UINT64


def decode_one(point: ModbusPoint, wire: bytes) -> tuple[Value, int]:
    type = image_type(point)
    count = len(wire) * 8 if point.table in (Table.COIL, Table.DISCRETE) else point.registers
    decoder = Decoder([Block(point.table, 0, count, (point,))], np.full(point.tag + 1, type, np.uint8))
    if type is ValueType.STRING:
        [text] = decoder.texts(wire + b"\0")
        return ("" if text.value is None else text.value), text.status
    decoded = decoder.decode(wire + b"\0")
    status = int(decoded.status[0])
    return value_from_bits(int(decoded.bits[0]), type), status


@st.composite
def integers_of_points(draw: st.DrawFn) -> tuple[ModbusPoint, int]:
    type = draw(st.sampled_from(SIGNED + UNSIGNED + BCD))
    size = 16 * REGISTERS[type]
    low, high = (-(1 << size - 1), (1 << size - 1) - 1) if type in SIGNED else (0, (1 << size) - 1)
    if type in BCD:
        low, high = 0, 10 ** (size // 4) - 1
    value = draw(st.integers(low, high) | st.sampled_from((low, high)))
    return point(type, word_order=draw(ORDERS), byte_order=draw(ORDERS)), value


@given(integers_of_points())
def test_every_integer_and_bcd_type_comes_back_in_every_order(case: tuple[ModbusPoint, int]) -> None:
    it, value = case
    assert decode_one(it, encode(it, value)) == (value, Quality.GOOD)


@given(
    integers_of_points(),
    st.sampled_from((0.001, 0.1, -0.5, 10.0, 1 / 3)),
    st.sampled_from((0.0, -40.0, 273.15)),
)
def test_a_scaled_integer_comes_back_to_half_a_step(
    case: tuple[ModbusPoint, int], scale: float, offset: float
) -> None:
    plain, raw = case
    assume(abs(raw) < 1 << 52)  # beyond, a double has no half steps
    it = replace(plain, scale=scale, offset=offset)
    value = raw * scale + offset
    back, status = decode_one(it, encode(it, value))
    assert status == Quality.GOOD
    assert isinstance(back, float)
    assert abs(back - value) <= abs(scale) / 2 * (1 + 1e-9) + 1e-9 * abs(value)


@given(st.sampled_from(FLOATS), ORDERS, ORDERS, st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_type_comes_back_in_every_order(
    type: RegisterType, word_order: Order, byte_order: Order, value: float
) -> None:
    it = point(type, word_order=word_order, byte_order=byte_order)
    if type is RegisterType.FLOAT32:
        assume(abs(value) < 3.4e38)
        [value] = struct.unpack(">f", struct.pack(">f", value))
    assert decode_one(it, encode(it, value)) == (value, Quality.GOOD)


@given(
    ORDERS,
    ORDERS,
    st.integers(1, 60),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
def test_every_text_that_fits_comes_back(
    word_order: Order, byte_order: Order, registers: int, text: str
) -> None:
    it = point(RegisterType.STRING, registers=registers, word_order=word_order, byte_order=byte_order)
    if len(text.encode()) > 2 * registers or text != text.rstrip(" "):
        with pytest.raises(EncodeError):
            encode(it, text)
    else:
        assert decode_one(it, encode(it, text)) == (text, Quality.GOOD)


@given(st.sampled_from((Table.COIL, Table.DISCRETE)), st.integers(1, 40), st.data())
def test_every_bit_of_a_bit_table_is_read_from_its_place(
    table: Table, count: int, data: st.DataObject
) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    points = tuple(point(RegisterType.BOOL, table=table, address=100 + i, tag=i) for i in range(count))
    packed = sum(on << i for i, on in enumerate(bits)).to_bytes((count + 7) // 8, "little")
    decoder = Decoder([Block(table, 100, count, points)], np.full(count, ValueType.BOOL, np.uint8))
    decoded = decoder.decode(packed + b"\0")
    values = dict(zip(decoder.tags.tolist(), decoded.bits.tolist(), strict=True))
    assert [values[i] for i in range(count)] == [int(on) for on in bits]


@given(st.integers(0, 0xFFFF), ORDERS)
def test_bits_of_a_register_are_those_of_its_value(register: int, byte_order: Order) -> None:
    wire = encode(point(RegisterType.UINT16, byte_order=byte_order), register)
    for bit in range(16):
        it = point(RegisterType.BOOL, bit=bit, byte_order=byte_order)
        assert decode_one(it, wire) == (bool(register >> bit & 1), Quality.GOOD)
    assert decode_one(point(RegisterType.BOOL, byte_order=byte_order), wire) == (register != 0, Quality.GOOD)


# Wire bytes worked out by hand, one for each order, so that ours against ours is not all the proof.
@pytest.mark.parametrize(
    ("type", "word_order", "byte_order", "wire", "value"),
    [
        (RegisterType.UINT32, Order.BIG, Order.BIG, "0A0B 0C0D", 0x0A0B0C0D),
        (RegisterType.UINT32, Order.LITTLE, Order.BIG, "0C0D 0A0B", 0x0A0B0C0D),
        (RegisterType.UINT32, Order.BIG, Order.LITTLE, "0B0A 0D0C", 0x0A0B0C0D),
        (RegisterType.UINT32, Order.LITTLE, Order.LITTLE, "0D0C 0B0A", 0x0A0B0C0D),
        (RegisterType.UINT64, Order.LITTLE, Order.BIG, "0708 0506 0304 0102", 0x0102030405060708),
        (RegisterType.INT16, Order.BIG, Order.BIG, "FFFE", -2),
        (RegisterType.INT32, Order.LITTLE, Order.BIG, "FFFE FFFF", -2),
        (RegisterType.INT64, Order.BIG, Order.BIG, "8000 0000 0000 0000", -(1 << 63)),
        (RegisterType.FLOAT32, Order.BIG, Order.BIG, "42F6 E979", 123.456001281738281250),
        (RegisterType.FLOAT32, Order.LITTLE, Order.BIG, "E979 42F6", 123.456001281738281250),
        (RegisterType.FLOAT64, Order.BIG, Order.BIG, "3FF8 0000 0000 0000", 1.5),
        (RegisterType.BCD16, Order.BIG, Order.BIG, "1234", 1234),
        (RegisterType.BCD32, Order.BIG, Order.BIG, "1234 5678", 12345678),
        (RegisterType.BCD32, Order.LITTLE, Order.BIG, "5678 1234", 12345678),
        (RegisterType.STRING, Order.BIG, Order.BIG, "4142 4300", "ABC"),
        (RegisterType.STRING, Order.BIG, Order.LITTLE, "4241 0043", "ABC"),
    ],
)
def test_known_registers(
    type: RegisterType, word_order: Order, byte_order: Order, wire: str, value: Value
) -> None:
    octets = bytes.fromhex(wire)
    it = point(type, registers=len(octets) // 2, word_order=word_order, byte_order=byte_order)
    assert decode_one(it, octets) == (value, Quality.GOOD)
    assert encode(it, value) == octets


@pytest.mark.parametrize(
    ("it", "wire", "quality"),
    [
        (point(RegisterType.INT16, not_implemented=(0x8000,)), "8000", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.UINT32, not_implemented=(5, 0xFFFFFFFF)), "FFFF FFFF", Quality.BAD_NOT_SUPPORTED),
        (
            point(RegisterType.UINT32, word_order=Order.LITTLE, not_implemented=(0x80000000,)),
            "0000 8000",
            Quality.BAD_NOT_SUPPORTED,
        ),
        (point(RegisterType.FLOAT32, not_implemented=(0x7FC00000,)), "7FC0 0000", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.BCD16, not_implemented=(0xFFFF,)), "FFFF", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.BOOL, bit=3, not_implemented=(0xFFFF,)), "FFFF", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.STRING, not_implemented=(0xFFFF,)), "FFFF", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.INT16, scale=0.1, not_implemented=(0x8000,)), "8000", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.INT16, low=0.0, not_implemented=(0x8000,)), "8000", Quality.BAD_NOT_SUPPORTED),
        (point(RegisterType.FLOAT32), "7FC0 0000", Quality.BAD_SENSOR_FAILURE),
        (point(RegisterType.FLOAT32), "7FA0 0000", Quality.BAD_SENSOR_FAILURE),  # a signalling NaN
        (point(RegisterType.FLOAT32), "FF80 0000", Quality.BAD_SENSOR_FAILURE),
        (point(RegisterType.FLOAT64), "7FF0 0000 0000 0000", Quality.BAD_SENSOR_FAILURE),
        (point(RegisterType.FLOAT64), "FFF8 0000 0000 0001", Quality.BAD_SENSOR_FAILURE),
        (point(RegisterType.FLOAT64, scale=1e10), "7FE0 0000 0000 0000", Quality.BAD_SENSOR_FAILURE),
        (point(RegisterType.FLOAT32, low=0.0, high=1.0), "7FC0 0000", Quality.BAD_SENSOR_FAILURE),
        (point(RegisterType.BCD16), "12A4", Quality.BAD_DATA_ENCODING_INVALID),
        (point(RegisterType.BCD32), "1234 567F", Quality.BAD_DATA_ENCODING_INVALID),
        (point(RegisterType.STRING), "C328", Quality.BAD_DATA_ENCODING_INVALID),
        (point(RegisterType.INT16, high=10.0), "000B", Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED),
        (point(RegisterType.BCD16, high=10.0), "0011", Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED),
        (point(RegisterType.UINT64, high=10.0), "FFFF" * 4, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED),
        (point(RegisterType.INT16, low=-1.0), "FFFE", Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED),
        (
            point(RegisterType.UINT16, scale=0.1, high=1.0),
            "000B",
            Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
        ),
        (point(RegisterType.UINT16, scale=0.1, high=1.0), "000A", Quality.GOOD),
        (point(RegisterType.INT16, low=-2.0, high=-2.0), "FFFE", Quality.GOOD),
    ],
)
def test_what_is_no_value_says_why(it: ModbusPoint, wire: str, quality: Quality) -> None:
    _, status = decode_one(it, bytes.fromhex(wire))
    assert status == quality


def test_an_integer_outside_its_range_keeps_its_value() -> None:
    it = point(RegisterType.INT64, high=10.0)
    value = (1 << 62) + 1  # not a double
    assert decode_one(it, encode(it, value)) == (value, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)


@pytest.mark.parametrize(
    ("it", "value"),
    [
        (point(RegisterType.INT16), 32768),
        (point(RegisterType.INT16), -32769),
        (point(RegisterType.UINT16), -1),
        (point(RegisterType.UINT64), 1 << 64),
        (point(RegisterType.UINT16), 1.5),
        (point(RegisterType.UINT16), math.inf),
        (point(RegisterType.UINT16), math.nan),
        (point(RegisterType.INT16, scale=0.1), 3276.8),
        (point(RegisterType.INT16, scale=0.1), math.nan),
        (point(RegisterType.BCD16), 10_000),
        (point(RegisterType.BCD32), -1),
        (point(RegisterType.FLOAT32), math.nan),
        (point(RegisterType.FLOAT32), 1e39),
        (point(RegisterType.FLOAT64), math.inf),
        (point(RegisterType.INT16), "1"),
        (point(RegisterType.INT16, not_implemented=(0x8000,)), -32768),
        (point(RegisterType.BOOL), 2),
        (point(RegisterType.BOOL), "off"),
        (point(RegisterType.BOOL), math.nan),
        (point(RegisterType.STRING), 5),
        (point(RegisterType.STRING), "abc"),
        (point(RegisterType.STRING), "\0"),
        (point(RegisterType.STRING), "\ud800"),
        (point(RegisterType.STRING, not_implemented=(0x2D2D,)), "--"),
    ],
)
def test_a_value_the_registers_cannot_hold_is_refused(it: ModbusPoint, value: Value) -> None:
    with pytest.raises(EncodeError, match=r"device\.point"):
        encode(it, value)


@pytest.mark.parametrize(
    ("it", "type"),
    [
        (point(RegisterType.INT16), ValueType.UINT64),
        (point(RegisterType.UINT64), ValueType.BOOL),
        (point(RegisterType.INT16, scale=0.5), ValueType.INT64),
        (point(RegisterType.FLOAT32), ValueType.INT64),
        (point(RegisterType.STRING), ValueType.DOUBLE),
        (point(RegisterType.UINT16), ValueType.STRING),
        (point(RegisterType.INT32, registers=1), ValueType.INT64),
    ],
)
def test_a_tag_that_cannot_hold_its_point_is_found_at_the_start(it: ModbusPoint, type: ValueType) -> None:
    with pytest.raises(ValueError, match=r"device\.point"):
        Decoder([Block(it.table, 0, it.registers, (it,))], np.array([type], np.uint8))


@st.composite
def mixed_blocks(draw: st.DrawFn) -> list[Block]:
    """Blocks of register points of all types, side by side, tags numbered across them."""
    blocks = []
    tag = 0
    for _ in range(draw(st.integers(1, 4))):
        address = start = draw(st.integers(0, 1000))
        points = []
        for _ in range(draw(st.integers(1, 8))):
            address += draw(st.integers(0, 3))
            type = draw(st.sampled_from([type for type in RegisterType if type is not RegisterType.STRING]))
            it = point(
                type,
                tag=tag,
                address=address,
                word_order=draw(ORDERS),
                byte_order=draw(ORDERS),
                bit=draw(st.integers(0, 15)) if type is RegisterType.BOOL else None,
                scale=draw(st.sampled_from((1.0, 0.1))) if type is not RegisterType.BOOL else 1.0,
                low=draw(st.sampled_from((None, 0.0))),
            )
            points.append(it)
            address += it.registers
            tag += 1
        start = points[0].address
        blocks.append(Block(Table.HOLDING, start, address - start, tuple(points)))
    return blocks


@given(mixed_blocks(), st.randoms(use_true_random=False))
def test_a_whole_poll_decodes_like_its_points_one_by_one(blocks: list[Block], chance: object) -> None:
    data = [bytes(chance.getrandbits(8) for _ in range(block.payload_bytes)) for block in blocks]  # type: ignore[attr-defined]  # hypothesis's Random
    points = [it for block in blocks for it in block.points]
    types = np.array([image_type(it) for it in points], np.uint8)
    decoder = Decoder(blocks, types)
    decoded = decoder.decode(b"".join(data) + b"\0")
    statuses = np.broadcast_to(decoded.status, len(points))
    row = {int(tag): i for i, tag in enumerate(decoder.tags)}
    assert sorted(row) == list(range(len(points)))
    for place, (block, payload) in enumerate(zip(blocks, data, strict=True)):
        for it in block.points:
            start = 2 * (it.address - block.address)
            value, status = decode_one(
                replace(it, tag=0, address=0), payload[start : start + 2 * it.registers]
            )
            i = row[it.tag]
            assert decoder.block_of[i] == place
            assert statuses[i] == status
            assert decoded.has_bad or not status & 0x8000_0000
            if not status & 0x8000_0000:
                assert value_from_bits(int(decoded.bits[i]), image_type(it)) == value
