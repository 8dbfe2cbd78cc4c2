"""The controller has just started when the utility goes: it opens the tie itself, before the tie's own relay does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.simulator.plant.microgrid import Microgrid

OPENED_WITHIN_S = 0.25  # the relay's backup trips after 0.3 s, and its breaker takes 0.04 s


@pytest.mark.parametrize("missing", ["nothing", "genset1.state"])
@pytest.mark.parametrize("started_s", [0.5, 1.5, 2.5, 4.0])
def test_a_loss_right_after_the_start_is_the_logics_own_to_deal_with(
    demo: Any, plant: Callable[..., Microgrid], started_s: float, missing: str
) -> None:
    """Whether or not the genset's controller, which takes seconds to start, is there yet."""
    grid = plant(seed=7, start_hour=19.0)
    together = demo.start(grid)
    together.bad.add(missing)
    together.run(started_s)
    assert grid.tie.breaker_closed
    grid.utility.lose(True)
    together.run(OPENED_WITHIN_S)
    assert (grid.tie.breaker_closed, grid.tie.tripped) == (False, False)
    together.run(3.0)
    assert grid.frequency_hz == pytest.approx(60.0, abs=1.0)
    assert grid.feeders[0].breaker_closed


def test_a_controller_that_starts_in_an_island_waits_for_the_genset_before_it_acts(
    demo: Any, plant: Callable[..., Microgrid]
) -> None:
    """Who holds the bus is not known without it; after three seconds it goes on all the same."""
    grid = plant(seed=7, start_hour=12.0)
    together = demo.start(grid)
    together.run(2.0)
    together.program["island_request"] = True
    together.run(8.0)
    assert not grid.tie.breaker_closed
    again = demo.start(grid)  # another program, of the same plant
    again.bad.add("genset1.state")
    again.run(2.5)
    assert not again.program["island.is_begun"]
    again.run(1.0)
    assert again.program["island.is_begun"]
    assert grid.frequency_hz == pytest.approx(60.0, abs=1.0)
