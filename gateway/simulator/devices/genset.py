"""Genset controller: packed decimal speed and energy, everything in holding registers."""

from __future__ import annotations

from pymodbus.constants import ExcCodes

from gateway.simulator.devices.registers import (
    BCD16,
    BCD32,
    BIT,
    INT16,
    UINT16,
    RegisterMap,
    Row,
    Table,
    within,
)
from gateway.simulator.plant.genset import RATED_KW, TANK_L, Genset


def run(genset: Genset, run: float) -> ExcCodes | None:
    genset.run_command = bool(run)
    return None


MAP: RegisterMap[Genset] = RegisterMap(
    [
        Row(Table.HOLDING, 0, INT16, lambda g: g.power_kw, scale=0.1),
        Row(Table.HOLDING, 1, BCD16, lambda g: g.speed_rpm),
        Row(Table.HOLDING, 2, UINT16, lambda g: g.state.value),
        Row(Table.HOLDING, 3, UINT16, lambda g: 100.0 * g.fuel_l / TANK_L, scale=0.1),
        Row(Table.HOLDING, 4, BCD32, lambda g: g.energy_kwh, scale=0.1),
        Row(
            Table.HOLDING,
            20,
            UINT16,
            lambda g: g.setpoint_kw,
            within(0.0, RATED_KW, "setpoint_kw"),
            scale=0.1,
        ),
        Row(Table.DISCRETE, 0, BIT, lambda g: g.is_running),
        Row(Table.COIL, 0, BIT, lambda g: g.run_command, run),
    ]
)
