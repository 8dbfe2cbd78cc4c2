"""What the physics tests share: a plant without chance, and a way to run it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import STEP_S

Run = Callable[[Microgrid, float], None]


@pytest.fixture
def run() -> Run:
    """Step a plant for so many simulated seconds."""

    def go(grid: Microgrid, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            grid.step()

    return go


@pytest.fixture
def quiet() -> Callable[..., Microgrid]:
    """A plant at night: no sun, no wind, no vehicles, loads without noise."""

    def make(feeders: int = 3, start_hour: float = 1.5) -> Microgrid:
        grid = Microgrid(seed=1, chargers=0, feeders=feeders, start_hour=start_hour)
        grid.wind.limit_kw = 0.0
        grid.wind.power_kw = 0.0
        for feeder in grid.feeders:
            feeder.noise.sigma = 0.0
        return grid

    return make
