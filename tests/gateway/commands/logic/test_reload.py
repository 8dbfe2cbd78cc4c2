"""Another site while the drivers run: what the logic holds, who has control and what was commanded stays."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import pytest

from gateway.config.load import load_site
from gateway.config.part import Reload
from gateway.config.renumber import Loaded, load_shifted, numbering, renumbered
from gateway.config.site import Site
from gateway.tags.command import Command, Done, Refusal, Refused
from gateway.tags.quality import Quality

POWER = "battery1.power_setpoint_kw"
FAN = "battery1.fan"
ANOTHER = """devices:
  another:
    area: storage
    protocol: modbus
    connection: {host: 127.0.0.1, port: PORT, unit_id: 1}
    groups: {all: {period_ms: 50}}
    points:
      mode: {table: holding, address: 5, type: uint16}
"""


async def reload(plant: Any, *changes: tuple[str, str]) -> Site:
    """As the root does it: the region first, then the part."""
    file = plant.folder / "site.yaml"
    text = file.read_text()
    for found, instead in changes:
        assert found in text, found
        text = text.replace(found, instead)
    file.write_text(text)
    site = await asyncio.to_thread(load_site, file)
    where = numbering(plant.site, site)
    site = renumbered(Loaded(site, load_shifted(file)), plant.site, where)
    plant.region.change([tag.spec() for tag in where.added], where.retired)
    handed = Reload(site, asyncio.get_running_loop().create_future())
    plant._context.reloads.put_nowait(handed)
    await plant.until(handed.done.done)
    plant.site = site
    return site


async def held(plant: Any) -> None:
    plant.scan.demand(power_setpoint_kw=5.0)
    await plant.until(lambda: plant.battery.values["power"] == 5.0)
    await plant.until(lambda: plant.count("held") == 1)


def with_another(plant: Any) -> tuple[str, str]:
    return "devices:\n", ANOTHER.replace("PORT", str(plant.device.port))


async def test_a_device_more_and_the_logic_goes_on_holding(plant: Any) -> None:
    await held(plant)
    site = await reload(plant, with_another(plant))
    lines = [json.loads(line) for line in plant.paths.audit.read_text().splitlines()]
    assert {"event": "reloaded", "site": "followed", "digest": site.digest}.items() <= lines[-1].items()
    await plant.until(lambda: plant.sample("another.mode").status == Quality.GOOD)
    refused = await plant.command(POWER, 7.0)
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.HELD
    before = len(plant.battery.writes("power"))
    await plant.until(lambda: len(plant.battery.writes("power")) > before + 2)  # it is refreshed
    assert set(plant.battery.writes("power")) == {5.0}
    plant.scan.demand(power_setpoint_kw=6.0)
    await plant.until(lambda: plant.battery.values["power"] == 6.0)


async def test_other_limits_of_a_point_that_is_held_do_not_let_it_go(plant: Any) -> None:
    await held(plant)
    limits = "unit: kW,\n        write: {role: operator, low: -250, high: "
    await reload(plant, (f"{limits}250", f"{limits}5.5"))
    await plant.until(lambda: plant.count("held") == 1)
    plant.scan.demand(power_setpoint_kw=6.0)  # beyond what is allowed now
    await plant.until(lambda: plant.count("refused") >= 1)
    plant.scan.demand(power_setpoint_kw=5.5)
    await plant.until(lambda: plant.battery.values["power"] == 5.5)
    assert set(plant.battery.writes("power")) == {5.0, 5.5}


async def test_another_logic_begins_from_safe_values(plant: Any) -> None:
    await held(plant)
    await reload(plant, ("safe: 0, refresh_ms: 300", "safe: 2, refresh_ms: 400"))
    assert 0.0 in plant.battery.writes("power")  # as the logic before says
    await plant.until(lambda: plant.battery.writes("power")[-1] == 5.0)
    plant.scan.publish({f"{POWER}.demand": (0, int(Quality.BAD_OUT_OF_SERVICE))})
    await plant.until(lambda: plant.battery.values["power"] == 2.0)  # as the one now


async def test_a_command_that_was_done_is_not_done_again_after_it(plant: Any) -> None:
    command = Command(uuid.uuid4().hex, FAN, True, "olga", "hmi", time.time_ns() + 60_000_000_000)
    done = await plant.client.send(command)
    assert isinstance(done, Done)
    await reload(plant, with_another(plant))
    assert await plant.client.send(command) == done
    assert plant.battery.writes("fan") == [1.0]


async def test_a_point_that_went_is_unknown_and_says_so_in_the_image(plant: Any) -> None:
    place = plant.region.index_of(FAN)
    text = plant.folder.joinpath("site.yaml").read_text()
    row = next(line for line in text.splitlines(keepends=True) if "fan:" in line)
    await reload(plant, (row, ""))
    refused = await plant.command(FAN, True)
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.UNKNOWN_TAG
    assert int(plant.region.read()["status"][place]) == Quality.BAD_OUT_OF_SERVICE
    await held(plant)  # all else goes on


@pytest.mark.parametrize("is_changed", [False, True], ids=["the same rules", "other rules"])
async def test_who_has_control_keeps_it(plant: Any, is_changed: bool) -> None:
    rules = "control:\n  areas: {storage: {hold_s: 600}}\n"
    await reload(plant, ("users:", rules + "users:"))
    refused = await plant.command(FAN, True)
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.NOT_IN_CONTROL
    assert isinstance(await plant.command("_system.control.storage.take", True), Done)
    assert isinstance(await plant.command(FAN, True), Done)
    other = (("hold_s: 600", "hold_s: 500"),) if is_changed else ()
    await reload(plant, with_another(plant), *other)
    assert isinstance(await plant.command(FAN, False), Done)
    assert plant.sample("_system.control.storage.user").value == "olga"
