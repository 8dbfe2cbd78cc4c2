"""PV inverter: SunSpec-like, all in holding registers from 40000, int16 with 0x8000 for what is not there."""

from __future__ import annotations

from gateway.simulator.devices.registers import (
    INT16,
    UINT16,
    UINT32,
    Gap,
    RegisterMap,
    Row,
    Table,
    text,
    within,
)
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.solar import ASLEEP, OFF, RATED_KW, Solar

MAP: RegisterMap[Solar] = RegisterMap(
    [
        Row(Table.HOLDING, 40000, text(2), lambda s: "SunS"),
        Row(Table.HOLDING, 40083, INT16, lambda s: s.power_kw, scale=0.01, quantity=Quantity.POWER),
        Row(Table.HOLDING, 40093, UINT32, lambda s: s.energy_kwh, scale=0.001, quantity=Quantity.ENERGY),
        Row(
            Table.HOLDING,
            40103,
            INT16,
            lambda s: None if s.state in (OFF, ASLEEP) else s.temperature_c,
            scale=0.1,
            absent=0x8000,
        ),
        Row(Table.HOLDING, 40107, UINT16, lambda s: s.state),
        Row(Table.HOLDING, 40110, UINT16, lambda s: s.irradiance_w_m2),
        Row(Table.HOLDING, 40200, UINT16, lambda s: s.limit_kw, within(0.0, RATED_KW, "limit_kw"), scale=0.1),
    ],
    [
        Gap(Table.HOLDING, 40084, 9, 0xFFFF),
        Gap(Table.HOLDING, 40095, 8, 0xFFFF),
        Gap(Table.HOLDING, 40104, 3, 0x8000),
        Gap(Table.HOLDING, 40108, 2, 0xFFFF),
    ],
)
