"""Charger: without a vehicle the state of charge is 0xFFFF and the vehicle's name is empty."""

from __future__ import annotations

from gateway.simulator.devices.registers import (
    BIT,
    INT16,
    INT32,
    UINT16,
    UINT32,
    RegisterMap,
    Row,
    Table,
    text,
    within,
)
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.charger import RATED_KW, Charger

MAP: RegisterMap[Charger] = RegisterMap(
    [
        Row(Table.INPUT, 0, INT32, lambda c: c.power_kw, scale=0.001, quantity=Quantity.POWER),
        Row(
            Table.INPUT,
            2,
            UINT16,
            lambda c: None if c.vehicle is None else 100.0 * c.vehicle.charge_share,
            scale=0.1,
        ),
        Row(Table.INPUT, 3, UINT16, lambda c: c.state.value),
        Row(Table.INPUT, 4, UINT32, lambda c: c.charge_kwh, scale=0.001),
        Row(Table.INPUT, 6, UINT32, lambda c: c.discharge_kwh, scale=0.001),
        Row(Table.INPUT, 20, text(8), lambda c: "" if c.vehicle is None else c.vehicle.id),
        Row(Table.DISCRETE, 0, BIT, lambda c: c.vehicle is not None),
        Row(
            Table.HOLDING,
            0,
            INT16,
            lambda c: c.setpoint_kw,
            within(-RATED_KW, RATED_KW, "setpoint_kw"),
            scale=0.1,
        ),
    ]
)
