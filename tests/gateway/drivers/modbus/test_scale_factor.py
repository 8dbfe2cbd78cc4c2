"""Scales that the device tells: read with the value, right when they change, used by writes as they are then."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.modbus import ModbusPoint, Order, RegisterType, Table
from gateway.drivers.modbus.plan import Limits, plan, split
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality

H = Table.HOLDING
U16, I16, I32 = RegisterType.UINT16, RegisterType.INT16, RegisterType.INT32


def signed(value: int) -> int:
    """As a register."""
    return value & 0xFFFF


async def test_the_scale_is_the_register_read_with_the_value_and_follows_it(site, new_device, point) -> None:
    device = await new_device({3: {0: 1234, 1: signed(-1), 2: 0xFFFF, 3: 0xFF00, 4: 0x0200}})
    site.add(
        "d",
        device.port,
        [
            point("power", H, 0, U16, scale_factor=1),
            point("kilo", H, 0, U16, scale_factor=1, scale=0.001, offset=5.0),
            point("wide", H, 2, I32, scale_factor=1),
            point("little", H, 0, U16, scale_factor=4, byte_order=Order.LITTLE),
        ],
    )
    site.start()
    await site.until_good("d.power", "d.kilo", "d.wide", "d.little")
    assert site.value("d.power") == pytest.approx(123.4)
    assert site.value("d.kilo") == pytest.approx(5.1234)
    assert site.value("d.wide") == pytest.approx(-25.6)
    assert site.value("d.little") == 0xD204 * 100
    assert {asked.pdu.hex() for asked in device.requests} == {"0300000005"}
    device.tables[3].update({0: 20, 1: 3})
    await site.until(lambda: site.value("d.power") == 20_000)
    assert site.value("d.kilo") == pytest.approx(25)


@pytest.mark.parametrize(
    ("register", "quality"),
    [
        (0x8000, Quality.BAD_NOT_SUPPORTED),
        (11, Quality.BAD_DATA_ENCODING_INVALID),
        (signed(-11), Quality.BAD_DATA_ENCODING_INVALID),
    ],
)
async def test_a_register_that_is_no_scale_factor_makes_its_points_bad(
    site, new_device, point, register: int, quality: Quality
) -> None:
    device = await new_device({3: {0: 7, 1: 0, 2: 9}})
    site.add("d", device.port, [point("power", H, 0, U16, scale_factor=1), point("other", H, 2, U16)])
    site.start()
    await site.until_good("d.power", "d.other")
    device.tables[3][1] = register
    await site.until(lambda: site.status("d.power") == quality)
    assert site.value("d.power") == 7.0
    await site.until_good("d.other")
    device.tables[3][1] = 1
    await site.until_good("d.power")
    assert site.value("d.power") == 70


def before_each_answer(device, monkeypatch, change) -> None:
    """Have ``change(registers, count)`` called with the holding registers before the device answers the nth time."""
    answer, count = device._answer, itertools.count()

    def changed(pdu: bytes, address: int) -> bytes:
        change(device.tables[3], next(count))
        return answer(pdu, address)

    monkeypatch.setattr(device, "_answer", changed)


async def test_values_and_scales_too_far_apart_are_never_of_two_times(
    site, new_device, point, monkeypatch
) -> None:
    """The device goes from 500 * 10^0 to 5 * 10^2 and back: the value is 500, whenever it is asked."""

    def flip(
        registers: dict[int, int], count: int
    ) -> None:  # a poll has four requests: it falls between all of them
        registers.update({0: 2, 500: 5} if count // 5 % 2 else {0: 0, 500: 500})

    device = await new_device({3: {0: 0, 500: 500, 501: 5}})
    before_each_answer(device, monkeypatch, flip)
    site.add("d", device.port, [point("power", H, 500, U16, scale_factor=0), point("plain", H, 501, U16)])
    site.start()
    reader = site.region.reader()
    await site.until(lambda: len(device.requests) >= 200)
    records = reader.take().records
    rows = records[records["tag"] == site.tag("d.power")]
    good = rows[rows["status"] == Quality.GOOD]
    assert len(good) > 10
    assert set(good["value"].view("f8")) == {500.0}
    assert set(rows["status"]) <= {
        int(Quality.GOOD),
        int(Quality.BAD_COMMUNICATION_ERROR),
    }  # a machine so busy


async def test_a_scale_that_changes_with_every_read_gives_no_value(
    site, new_device, point, monkeypatch
) -> None:
    device = await new_device({3: {0: 0, 500: 500}})
    site.add("d", device.port, [point("power", H, 500, U16, scale_factor=0)])
    site.start()
    await site.until_good("d.power")
    before_each_answer(device, monkeypatch, lambda registers, count: registers.update({0: count % 10}))
    await site.until(lambda: site.status("d.power") == Quality.BAD_DATA_ENCODING_INVALID)
    assert site.value("d.power") == 500


async def test_a_write_takes_the_scale_of_that_moment(site, new_device, point) -> None:
    device = await new_device({3: {0: 0, 1: signed(-2), 400: 0}})
    far = point("far", H, 400, I16, scale_factor=1, writable=True)
    limit = point("limit", H, 0, I16, scale_factor=1, scale=10.0, writable=True)
    site.add("d", device.port, [limit, far], timeout_ms=5000)
    site.start()
    await site.until_good("d.limit", "d.far")
    await site.driver.operate(site.tag("d.limit"), -12.3)
    assert device.tables[3][0] == signed(-123)
    assert await site.driver.read_back(site.tag("d.limit")) == pytest.approx(-12.3)
    device.tables[3][1] = 1
    await site.driver.operate(site.tag("d.limit"), 300.0)
    assert device.tables[3][0] == 3
    await site.driver.operate(site.tag("d.far"), 80.0)
    assert device.tables[3][400] == 8
    assert await site.driver.read_back(site.tag("d.far")) == 80
    device.tables[3][1] = 0x8000
    with pytest.raises(OperateError, match="no scale now"):
        await site.driver.operate(site.tag("d.limit"), 300.0)
    assert [write[1:3].hex() for write in device.writes()] == ["0000", "0000", "0190"]


async def test_a_scale_factor_the_device_has_not_marks_only_its_points(site, new_device, point) -> None:
    device = await new_device({3: {0: 7, 1: 8}})
    site.add(
        "d",
        device.port,
        [
            point("power", H, 0, U16, scale_factor=2),
            point("plain", H, 1, U16),
            point("far", H, 1, U16, scale_factor=900),
        ],
    )
    site.start()
    await site.until_good("d.plain")
    await site.until(lambda: site.status("d.power") == Quality.BAD_CONFIGURATION_ERROR)
    await site.until(lambda: site.status("d.far") == Quality.BAD_CONFIGURATION_ERROR)


@st.composite
def scaled_points(draw: st.DrawFn) -> tuple[list[ModbusPoint], Limits]:
    limits = Limits(draw(st.integers(4, 20)), draw(st.integers(0, 20)))
    places = draw(
        st.lists(
            st.tuples(
                st.integers(0, 60), st.sampled_from([(U16, 1), (I32, 2)]), st.none() | st.integers(0, 60)
            ),
            max_size=15,
        )
    )
    points = [
        ModbusPoint(f"p{tag}", tag, H, address, registers, type, Order.BIG, Order.BIG, None, 1.0, 0.0, (), None, None,
                    0, False, factor)
        for tag, (address, (type, registers), factor) in enumerate(places)
    ]  # fmt: skip
    return points, limits


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scaled_points())
def test_every_value_comes_with_its_scale_within_the_limits_however_blocks_are_split(
    case: tuple[list[ModbusPoint], Limits],
) -> None:
    points, limits = case
    blocks = plan(points, limits)
    assert sorted(point.tag for block in blocks for point in block.points) == [point.tag for point in points]
    waiting = list(blocks)
    while waiting:
        block = waiting.pop()
        assert block.count <= limits.size
        assert block.factor_count <= limits.size
        for point in block.points:
            assert block.address <= point.address
            assert point.address + point.registers <= block.address + block.count
            if point.scale_factor is not None:
                place = block.place_of_factor(point.scale_factor)
                assert 0 <= place <= block.payload_bytes - 2
                first, count = block.address, block.count
                if block.factor_count:
                    first, count = block.factor_address, block.factor_count
                assert first <= point.scale_factor < first + count
        waiting += split(block) or ()


def test_a_value_whose_scale_lies_in_reach_needs_no_second_request() -> None:
    points = [
        ModbusPoint("p", i, H, i, 1, U16, Order.BIG, Order.BIG, None, 1.0, 0.0, (), None, None, 0, False, 40)
        for i in range(40)
    ]
    [block] = plan(points, Limits(125, 125))
    assert (block.address, block.count, block.factor_count) == (0, 41, 0)
