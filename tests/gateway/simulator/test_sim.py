"""`tieline sim` and what it tells by; the live run is in tests/end_to_end/test_lose_utility.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.config.load import load_site
from gateway.simulator.control import Control, ControlClient
from gateway.simulator.faults import FaultError
from gateway.simulator.follow import REASON, REASONS, STATE, STATES
from gateway.simulator.plant.microgrid import Microgrid

ROOT = Path(__file__).parents[3]


def test_states_and_reasons_are_told_as_the_demo_names_them() -> None:
    site = load_site(ROOT / "config/sites/demo/site.yaml")
    named = {tag.name: dict(tag.states) for tag in site.tags if tag.states}
    assert named[STATE] == STATES
    assert named[REASON] == REASONS


async def test_the_utility_drifts_on_request_and_is_well_again(tmp_path: Path, grid: Microgrid) -> None:
    control = Control(tmp_path / "sim", {}, grid.utility)
    await control.start()
    client = ControlClient(tmp_path / "sim")
    try:
        await asyncio.to_thread(client.utility, False, -4.0)
        assert (grid.utility.lost, grid.utility.drift_hz_s) == (True, -4.0)
        for silly in (-41.0, float("nan")):
            with pytest.raises(FaultError):
                await asyncio.to_thread(client.utility, False, silly)
        await asyncio.to_thread(client.utility, False)
        assert (grid.utility.lost, grid.utility.drift_hz_s) == (True, 0.0)
        await asyncio.to_thread(client.utility, True)
        assert not grid.utility.lost
    finally:
        await control.stop()
