"""Registers of simulated meters over a restart: they go on, and never fall."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.simulator.counters import FILE, KEEP_S, Counters, registers
from gateway.simulator.part import live
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import STEP_S


def shown(grid: Microgrid) -> dict[str, float]:
    return {register.name: register.kwh for register in registers(grid)}


def stepped(grid: Microgrid, seconds: float) -> Microgrid:
    for _ in range(round(seconds / STEP_S)):
        grid.step()
    return grid


def recalled(folder: Path) -> Microgrid:
    """The next life of the same plant."""
    grid = Microgrid(chargers=2)
    Counters(folder, grid).recall()
    return grid


def test_a_plant_that_was_stopped_goes_on_where_its_meters_stood(tmp_path: Path) -> None:
    grid = stepped(Microgrid(chargers=2), 5.0)
    grid.battery.setpoint_kw = 50.0
    stepped(grid, 5.0)
    begun = shown(Microgrid(chargers=2))
    Counters(tmp_path, grid).keep(is_last=True)
    assert shown(recalled(tmp_path)) == shown(grid)
    assert shown(grid)["feeder1.energy"] > begun["feeder1.energy"]


def test_a_plant_that_was_killed_shows_nothing_less_than_it_did(tmp_path: Path) -> None:
    grid = stepped(Microgrid(chargers=2), 5.0)
    Counters(tmp_path, grid).keep()
    stepped(grid, KEEP_S * 2)
    after, before = shown(recalled(tmp_path)), shown(grid)
    assert all(after[name] >= kwh for name, kwh in before.items())
    assert max(after[name] - kwh for name, kwh in before.items()) < 3.0, "and not much more"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": 2, "kwh": {}}', '{"format": 1, "kwh": {"pv1.energy": "x"}}']
)
def test_a_file_that_cannot_be_read_is_left_out_and_said(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    assert shown(recalled(tmp_path)) == shown(Microgrid(chargers=2))
    assert "meters begin anew" in caplog.text


def test_what_cannot_be_is_left_out_and_the_rest_taken(tmp_path: Path) -> None:
    kwh = {"pv1.energy": -1.0, "wind1.energy": 90_000.0, "moon.energy": 3.0}
    (tmp_path / FILE).write_text(json.dumps({"format": 1, "kwh": kwh}), encoding="utf-8")
    begun, after = shown(Microgrid(chargers=2)), shown(recalled(tmp_path))
    assert after == begun | {"wind1.energy": 90_000.0}


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("no folder", encoding="utf-8")
    counters = Counters(tmp_path / "state", Microgrid(chargers=2))
    counters.keep()
    counters.keep()
    assert caplog.text.count("not kept for the next start") == 1


async def test_a_plant_keeps_them_while_it_lives_and_as_they_are_at_its_end(tmp_path: Path) -> None:
    grid, stop = Microgrid(chargers=2), asyncio.Event()
    living = asyncio.create_task(live(grid, 1.0, stop, None, Counters(tmp_path, grid)))
    async with asyncio.timeout(20):
        await asyncio.sleep(0)  # it has begun then, and keeps them first
        assert shown(recalled(tmp_path))["pcc.import"] > shown(grid)["pcc.import"]
        stop.set()
        await living
    assert shown(recalled(tmp_path)) == shown(grid)
