"""Which devices a microgrid has, what they are called, and at which offset from the base port each is served.

What a device speaks is the site's choice: Modbus unless the site has a device of its name by another protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.simulator.devices import (
    battery,
    bms,
    charger,
    charger_can,
    controller,
    feeder,
    genset,
    pcc,
    pv,
    rtu,
    wind,
)
from gateway.simulator.devices.frames import FrameMap
from gateway.simulator.devices.registers import RegisterMap
from gateway.simulator.plant.microgrid import Microgrid

# Where an outstation and an OPC UA server themselves listen; others come to the device's own port.
RTU_OFFSET, CONTROLLER_OFFSET = 6, 7
CAN_BUS, CAN_OFFSET = "can1", 5  # the adapter of the bus that all CAN devices are on
FEEDER_OFFSET = 10  # feeder1 is +11; a site has at most 10, so the chargers start where they end
CHARGER_OFFSET = 20  # ev1 is +21


def devices(grid: Microgrid) -> Iterator[tuple[str, int, RegisterMap[Any], object]]:
    """By Modbus: name, port offset, register map, and the piece of the plant that the map reads and writes."""
    yield "pcc", 0, pcc.MAP, grid
    yield "pv1", 1, pv.MAP, grid.solar
    yield "wind1", 2, wind.MAP, grid.wind
    yield "battery1", 3, battery.MAP, grid.battery
    yield "genset1", 4, genset.MAP, grid.genset
    for number, source in enumerate(grid.feeders, 1):
        yield f"feeder{number}", FEEDER_OFFSET + number, feeder.MAP, source
    for number, plug in enumerate(grid.chargers, 1):
        yield f"ev{number}", CHARGER_OFFSET + number, charger.MAP, plug


def can_devices(grid: Microgrid) -> Iterator[tuple[str, FrameMap[Any], object]]:
    """By CAN: name, frames, and the piece of the plant that they tell of and command."""
    yield "bms1", bms.MAP, grid.battery
    for number, plug in enumerate(grid.chargers, 1):
        yield f"ev{number}", charger_can.frames(number), plug


def rtu_devices(grid: Microgrid) -> Iterator[tuple[str, int, Sequence[rtu.Point[Any]], object]]:
    """By DNP3: name, port offset, points, and the piece of the plant that they tell of and command."""
    yield "pcc", 0, rtu.PCC, grid


def controller_devices(
    grid: Microgrid,
) -> Iterator[tuple[str, int, Sequence[controller.Variable[Any]], object]]:
    """By OPC UA: name, port offset, variables, and the piece of the plant that they tell of and command."""
    yield "genset1", 4, controller.GENSET, grid.genset
