"""By which function a point is written, and what proves that the write was taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.load import load_site
from gateway.config.modbus import Order, RegisterType, Table, Verify, WriteFunction
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality

H, C = Table.HOLDING, Table.COIL
U16, BOOL = RegisterType.UINT16, RegisterType.BOOL


async def settled(site, new_device, points, tables):
    device = await new_device(tables)
    site.add("d", device.port, points, timeout_ms=10_000)
    site.start()
    await site.until_good(*(f"d.{it.name}" for it in points))
    return device


def sent(device) -> list[str]:
    return [pdu.hex() for pdu in device.writes()]


@pytest.mark.parametrize(
    ("function", "pdus"),
    [
        (WriteFunction.AUTO, ["0600000007", "050000ff00"]),
        (WriteFunction.SINGLE, ["0600000007", "050000ff00"]),
        (WriteFunction.MULTIPLE, ["1000000001020007", "0f000000010101"]),
    ],
)
async def test_one_register_and_one_coil(site, new_device, point, function, pdus: list[str]) -> None:
    points = [
        point("register", H, 0, U16, writable=True, function=function),
        point("coil", C, 0, BOOL, writable=True, function=function),
    ]
    device = await settled(site, new_device, points, {1: {0: 0}, 3: {0: 1}})
    for name, value in (("register", 7), ("coil", True)):
        await site.driver.operate(site.tag(f"d.{name}"), value)
        assert await site.driver.read_back(site.tag(f"d.{name}")) == value
    assert sent(device) == pdus


async def test_what_is_to_go_by_itself_does_not_go_with_its_neighbours(
    site, new_device, point, together
) -> None:
    points = [
        point(
            f"m{i}", H, i, U16, writable=True, function=WriteFunction.SINGLE if i == 1 else WriteFunction.AUTO
        )
        for i in range(4)
    ]
    device = await settled(site, new_device, points, {3: dict.fromkeys(range(4), 0)})
    await together(site, {f"d.m{i}": i + 1 for i in range(4)})
    assert sorted(sent(device)) == ["0600000001", "0600010002", "10000200020400030004"]


async def test_by_6_only_is_never_by_16(site, new_device, point) -> None:
    points = [point("m", H, 0, U16, writable=True, function=WriteFunction.SINGLE)]
    device = await settled(site, new_device, points, {3: {0: 1}})
    device.unsupported.add(6)
    for _ in range(2):
        with pytest.raises(OperateError, match="illegal function"):
            await site.driver.operate(site.tag("d.m"), 7)
    assert sent(device) == ["0600000007", "0600000007"]


async def test_a_register_is_not_rewritten_for_a_bit_unless_its_point_says_so(
    site, new_device, point
) -> None:
    """What another client writes in between would be lost."""
    points = [point("bit", H, 0, BOOL, bit=4, writable=True)]
    device = await settled(site, new_device, points, {3: {0: 0x0F00}})
    device.unsupported.add(22)
    with pytest.raises(OperateError, match="'function: rewrite'"):
        await site.driver.operate(site.tag("d.bit"), True)
    assert device.tables[3][0] == 0x0F00


async def test_a_bit_is_rewritten_at_once_where_its_point_says_so(site, new_device, point) -> None:
    points = [point("bit", H, 0, BOOL, bit=4, writable=True, function=WriteFunction.REWRITE)]
    device = await settled(site, new_device, points, {3: {0: 0x0F00}})
    await site.driver.operate(site.tag("d.bit"), True)
    assert sent(device) == ["0600000f10"]
    assert await site.driver.read_back(site.tag("d.bit")) is True


@pytest.mark.parametrize("function", [WriteFunction.AUTO, WriteFunction.REWRITE])
async def test_a_bit_is_written_where_it_is_read_whatever_the_order_of_bytes(
    site, new_device, point, function: WriteFunction
) -> None:
    points = [
        point("bit", H, 0, BOOL, bit=1, byte_order=Order.LITTLE, writable=True, function=function),
        point("whole", H, 0, U16, byte_order=Order.LITTLE),
    ]
    device = await settled(site, new_device, points, {3: {0: 0}})
    await site.driver.operate(site.tag("d.bit"), True)
    assert device.tables[3][0] == 0x0200
    assert await site.driver.read_back(site.tag("d.bit")) is True
    await site.until(lambda: site.value("d.whole") == 2)


# What proves a write


async def test_another_point_becomes_the_value(site, new_device, point) -> None:
    points = [
        point("limit", H, 0, U16, writable=True, verify=Verify("active", ())),
        point("active", Table.INPUT, 0, U16),
    ]
    device = await settled(site, new_device, points, {3: {0: 5}, 4: {0: 5}})
    limit = site.tag("d.limit")
    await site.driver.operate(limit, 9)
    assert device.tables[3][0] == 9
    assert await site.driver.read_back(limit) == 5  # taken into the register, but not acted on
    device.tables[4][0] = 9
    assert await site.driver.read_back(limit) == 9
    assert site.value("d.active") == 9  # at once, not with the next poll


async def test_a_state_says_whether_it_was_taken(site, new_device, point) -> None:
    points = [
        point("start", C, 0, BOOL, writable=True, verify=Verify("state", (3, 4))),
        point("state", Table.INPUT, 0, U16),
    ]
    device = await settled(site, new_device, points, {1: {0: 0}, 4: {0: 1}})
    start = site.tag("d.start")
    assert await site.driver.read_back(start) is False  # nothing was written yet: what it reads
    await site.driver.operate(start, True)
    device.tables[1][0] = 0  # a pulse: it reads back as off at once
    with pytest.raises(OperateError, match=r"d\.state is 1, not 3 or 4"):
        await site.driver.read_back(start)
    device.tables[4][0] = 4
    assert await site.driver.read_back(start) is True


async def test_a_register_that_cannot_be_read_is_proved_by_another(site, new_device, point) -> None:
    points = [
        point("code", H, 100, U16, writable=True, verify=Verify("taken", (True,))),
        point("taken", Table.DISCRETE, 0, BOOL),
    ]
    device = await new_device({2: {0: 0}, 3: {}})
    site.add("d", device.port, points, timeout_ms=10_000)
    site.start()
    await site.until_good("d.taken")
    await site.until(lambda: site.status("d.code") == Quality.BAD_CONFIGURATION_ERROR)
    await site.driver.operate(site.tag("d.code"), 77)
    with pytest.raises(OperateError, match="is False, not True"):
        await site.driver.read_back(site.tag("d.code"))
    device.tables[2][0] = 1
    assert await site.driver.read_back(site.tag("d.code")) == 77


@pytest.fixture
def together() -> Callable[..., object]:
    """Operate several tags in one round of the loop."""

    async def act(site, values: dict[str, object]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name, value in values.items():
                tasks.create_task(site.driver.operate(site.tag(name), value))

    return act


# From the site file

SITE = """
site: {name: rules}
areas: {generation: PV}
devices:
  pv1:
    area: generation
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 1000}}
    points:
      state: {table: input, address: 0, type: uint16}
      limit_active_kw: {table: input, address: 1, type: uint16, unit: kW}
      limit_kw:
        table: holding
        address: 0
        type: float32
        unit: kW
        write: {low: 0, high: 50, function: multiple, verify: {point: limit_active_kw}}
      start: {table: coil, address: 0, write: {verify: {point: state, equals: [3, 4]}}}
      enable: {table: holding, address: 9, bit: 0, write: {function: mask-or-rewrite}}
      plain: {table: coil, address: 1, write: {}}
"""


def test_rules_of_a_site_file(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    points = {it.name: it for it in load_site(file).modbus[0].points}
    assert points["pv1.limit_kw"].function is WriteFunction.MULTIPLE
    assert points["pv1.limit_kw"].verify == Verify("limit_active_kw", ())
    assert points["pv1.start"].verify == Verify("state", (3, 4))
    assert points["pv1.enable"].function is WriteFunction.MASK_OR_REWRITE
    assert (points["pv1.plain"].function, points["pv1.plain"].verify) == (WriteFunction.AUTO, None)
