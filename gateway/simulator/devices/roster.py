"""Which devices a microgrid has, what they are called, and at which offset from the base port each is served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.simulator.devices import battery, charger, feeder, genset, pcc, pv, wind
from gateway.simulator.devices.registers import RegisterMap
from gateway.simulator.plant.microgrid import Microgrid

FEEDER_OFFSET = 10  # feeder1 is +11; a site has at most 10, so the chargers start where they end
CHARGER_OFFSET = 20  # ev1 is +21


def devices(grid: Microgrid) -> Iterator[tuple[str, int, RegisterMap[Any], object]]:
    """Name, port offset, register map, and the piece of the plant that the map reads and writes."""
    yield "pcc", 0, pcc.MAP, grid
    yield "pv1", 1, pv.MAP, grid.solar
    yield "wind1", 2, wind.MAP, grid.wind
    yield "battery1", 3, battery.MAP, grid.battery
    yield "genset1", 4, genset.MAP, grid.genset
    for number, source in enumerate(grid.feeders, 1):
        yield f"feeder{number}", FEEDER_OFFSET + number, feeder.MAP, source
    for number, plug in enumerate(grid.chargers, 1):
        yield f"ev{number}", CHARGER_OFFSET + number, charger.MAP, plug
