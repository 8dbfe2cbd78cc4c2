"""Other devices while the driver runs: what is the same is not touched, be it on the same line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.config.modbus import PollGroup, RegisterType, Table
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality

SLOWER = (PollGroup("fast", 80, 2000),)


def meter(point: Callable[..., Any]) -> list[Any]:
    return [
        point("power", Table.HOLDING, 0, RegisterType.INT16, writable=True),
        point("energy", Table.HOLDING, 1, RegisterType.UINT16),
    ]


async def test_devices_that_share_a_line_keep_it_when_one_of_them_changes_or_goes(
    site: Any, new_device: Any, point: Callable[..., Any]
) -> None:
    device = await new_device({3: {0: 11, 1: 12}})
    for unit in (1, 2, 3):
        site.add(f"u{unit}", device.port, meter(point), unit_id=unit, single_connection=True)
    site.start()
    await site.until_good("u1.power", "u2.power", "u3.power")
    first, _, third = site.driver.devices
    await site.until(lambda: site.value("_system.u2.requests") > 1, 10)
    counted = site.value("_system.u2.requests")
    one, two, three = site.configs
    await site.driver.take([one, replace(two, groups=SLOWER), three])
    assert [site.driver.devices[0], site.driver.devices[2]] == [first, third]
    assert site.value("_system.u2.requests") >= counted  # counts go on over the change
    asked = len(device.requests)
    await site.until(lambda: {each.unit for each in device.requests[asked:]} == {1, 2, 3})
    await site.driver.take([three])
    await site.until(lambda: {each.unit for each in device.requests[-4:]} == {3})
    assert device.open == 1
    assert first.station.counters.errors == third.station.counters.errors == [0, 0, 0, 0]
    assert site.status("u1.power") == Quality.GOOD  # who retires the tag marks it
    with pytest.raises(OperateError, match="no Modbus device has tag"):
        await site.driver.operate(site.tag("u1.power"), 1)
    await site.driver.take([])
    await site.until(lambda: device.open == 0)


async def test_a_device_comes_back_to_a_line_that_was_closed(
    site: Any, new_device: Any, point: Callable[..., Any]
) -> None:
    device = await new_device({3: {0: 11, 1: 12}})
    site.add("u1", device.port, meter(point), single_connection=True)
    site.start()
    await site.until_good("u1.power")
    await site.driver.take([])
    await site.until(lambda: device.open == 0)
    asked = len(device.requests)
    await site.driver.take(site.configs)
    await site.until(lambda: len(device.requests) > asked + 3)
    assert device.open == 1


async def test_a_changed_register_is_read_from_then_on_and_a_command_goes_there(
    site: Any, new_device: Any, point: Callable[..., Any]
) -> None:
    device = await new_device({3: {0: 11, 1: 12, 7: 77}})
    site.add("one", device.port, meter(point))
    site.start()
    await site.until_good("one.power")
    connections = site.driver.connections(site.tag("one.power"))
    [config] = site.configs
    moved = tuple(replace(each, address=7) if each.address == 0 else each for each in config.points)
    await site.driver.take([replace(config, points=moved)])
    await site.until(lambda: site.value("one.power") == 77)
    assert site.driver.connections(site.tag("one.power")) > connections
    await site.driver.operate(site.tag("one.power"), 78)
    assert device.tables[3][7] == 78


async def test_before_it_runs_it_takes_devices_too(
    site: Any, new_device: Any, point: Callable[..., Any]
) -> None:
    device = await new_device({3: {0: 11, 1: 12}})
    site.add("one", device.port, meter(point))
    configs, site.configs = site.configs, []
    site.start()
    await site.driver.take(configs)
    await site.until_good("one.power")
