"""Point of common coupling: power meter with float32 registers, and the relay's bits."""

from __future__ import annotations

from pymodbus.constants import ExcCodes

from gateway.simulator.devices.registers import BIT, FLOAT32, UINT64, RegisterMap, Row, Table
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.microgrid import LIVE_PU, BusMode, Microgrid


def bus_hz(grid: Microgrid) -> float:
    """A meter without voltage reads no frequency."""
    return grid.frequency_hz if grid.voltage_v > LIVE_PU * grid.nominal.v else 0.0


def grid_hz(grid: Microgrid) -> float:
    return grid.utility.frequency_hz if grid.utility.is_live else 0.0


def phase_deg(grid: Microgrid) -> float | None:
    """There is a phase between two live sides only."""
    return grid.tie.angle_deg if grid.utility.is_live and bus_hz(grid) > 0.0 else None


def command(grid: Microgrid, close: float) -> ExcCodes | None:
    """The synch-check answers with exception 4: the action was not performed."""
    return None if grid.command_tie(bool(close)) else ExcCodes.DEVICE_FAILURE


MAP: RegisterMap[Microgrid] = RegisterMap(
    [
        Row(Table.INPUT, 0, FLOAT32, lambda g: g.tie.power_kw, quantity=Quantity.POWER),
        Row(Table.INPUT, 2, FLOAT32, lambda g: g.tie.reactive_kvar),
        Row(Table.INPUT, 4, FLOAT32, lambda g: g.voltage_v),
        Row(Table.INPUT, 6, FLOAT32, bus_hz),
        Row(Table.INPUT, 8, FLOAT32, lambda g: g.utility.voltage_v),
        Row(Table.INPUT, 10, FLOAT32, grid_hz),
        Row(Table.INPUT, 12, FLOAT32, phase_deg),
        Row(Table.INPUT, 100, UINT64, lambda g: g.tie.import_kwh, scale=0.001),
        Row(Table.INPUT, 104, UINT64, lambda g: g.tie.export_kwh, scale=0.001),
        Row(Table.DISCRETE, 0, BIT, lambda g: g.tie.breaker_closed),
        Row(Table.DISCRETE, 1, BIT, lambda g: g.mode is not BusMode.TIED),
        Row(Table.DISCRETE, 2, BIT, lambda g: g.tie.tripped),
        Row(Table.DISCRETE, 3, BIT, lambda g: g.nominal.remote),
        Row(Table.COIL, 0, BIT, lambda g: g.tie.close_command, command),
    ]
)
