"""One value in registers: what is encoded is decoded again, whatever the order, and garbage is told as such."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.modbus import Order, RegisterType
from gateway.config.registers import REGISTERS, DecodeError, EncodeError, decode, encode, laid_out

T = RegisterType


@dataclass(frozen=True)
class Form:
    type: RegisterType
    registers: int
    word_order: Order = Order.BIG
    byte_order: Order = Order.BIG
    scale: float = 1.0
    offset: float = 0.0
    not_implemented: tuple[int, ...] = ()
    name: str = "device.point"


def form(type: RegisterType, **changes: object) -> Form:
    return replace(Form(type, REGISTERS.get(type, 3)), **changes)  # type: ignore[arg-type]  # test's own names


ORDERS = st.sampled_from(Order)


@pytest.mark.parametrize(
    ("word_order", "byte_order", "octets"),
    [
        (Order.BIG, Order.BIG, "0001E240"),
        (Order.LITTLE, Order.BIG, "E2400001"),
        (Order.BIG, Order.LITTLE, "010040E2"),
        (Order.LITTLE, Order.LITTLE, "40E20100"),
    ],
)
def test_orders(word_order: Order, byte_order: Order, octets: str) -> None:
    point = form(T.INT32, word_order=word_order, byte_order=byte_order)
    assert encode(point, 123456) == bytes.fromhex(octets) == laid_out(point, 123456)
    assert decode(point, bytes.fromhex(octets)) == 123456


@pytest.mark.parametrize("type", [type for type in REGISTERS if not type.startswith("float")])
@given(data=st.data(), word_order=ORDERS, byte_order=ORDERS)
def test_whole_numbers_come_back(
    type: RegisterType, data: st.DataObject, word_order: Order, byte_order: Order
) -> None:
    point = form(type, word_order=word_order, byte_order=byte_order)
    size = 16 * point.registers
    low, high = (0, (1 << size) - 1) if type.startswith("uint") else (-(1 << size - 1), (1 << size - 1) - 1)
    if type.startswith("bcd"):
        low, high = 0, 10 ** (size // 4) - 1
    value = data.draw(st.integers(low, high))
    assert decode(point, encode(point, value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False), ORDERS, ORDERS)
def test_floats_come_back(value: float, word_order: Order, byte_order: Order) -> None:
    point = form(T.FLOAT64, word_order=word_order, byte_order=byte_order)
    assert decode(point, encode(point, value)) == value


def test_a_scale_is_undone() -> None:
    assert decode(form(T.INT16, scale=0.1, offset=5), encode(form(T.INT16, scale=0.1, offset=5), -12.3)) == (
        pytest.approx(-12.3)
    )


@given(st.text(max_size=6), ORDERS)
def test_texts_come_back_or_are_refused(text: str, byte_order: Order) -> None:
    point = form(T.STRING, byte_order=byte_order)
    try:
        octets = encode(point, text)
    except EncodeError:
        return
    assert len(octets) == 6
    assert decode(point, octets) == text


@pytest.mark.parametrize("type", [*REGISTERS, T.STRING])
@given(data=st.data(), word_order=ORDERS, byte_order=ORDERS)
def test_any_bytes_are_a_value_or_refused(
    type: RegisterType, data: st.DataObject, word_order: Order, byte_order: Order
) -> None:
    point = form(type, word_order=word_order, byte_order=byte_order, not_implemented=(0,))
    octets = data.draw(st.binary(min_size=2 * point.registers, max_size=2 * point.registers))
    try:
        value = decode(point, octets)
    except DecodeError:
        return
    assert isinstance(value, str) or math.isfinite(value)


@pytest.mark.parametrize(
    ("type", "octets"),
    [
        (T.BCD16, "123A"),
        (T.FLOAT32, "7FC00000"),
        (T.FLOAT64, "7FF0000000000000"),
        (T.STRING, "FF4142434445"),
        (T.UINT16, "FFFF"),
    ],
)
def test_what_is_no_value(type: RegisterType, octets: str) -> None:
    with pytest.raises(DecodeError):
        decode(form(type, not_implemented=(0xFFFF,)), bytes.fromhex(octets))
