"""The devices of the desk-top grid, all by Modbus: floats in input registers, commands in holding registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.simulator.devices.registers import FLOAT32, UINT16, UINT32, RegisterMap, Row, Table, within
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.imperial60 import (
    DEMAND_MAX_KW,
    STORE_KW,
    DeferrableJob,
    Imperial60,
    Store,
)

TIE: RegisterMap[Imperial60] = RegisterMap(
    [
        Row(Table.INPUT, 0, FLOAT32, lambda p: p.tie_kw, quantity=Quantity.POWER),
        Row(Table.INPUT, 2, FLOAT32, lambda p: p.asked_eur_per_kwh),
        Row(Table.INPUT, 4, FLOAT32, lambda p: p.paid_eur_per_kwh),
        Row(Table.INPUT, 6, UINT32, lambda p: p.day.number),
        Row(Table.INPUT, 8, UINT16, lambda p: p.tick),
    ]
)
SUN: RegisterMap[Imperial60] = RegisterMap(
    [Row(Table.INPUT, 0, FLOAT32, lambda p: p.sun_kw, quantity=Quantity.POWER)]
)
HOUSE: RegisterMap[Imperial60] = RegisterMap(
    [
        Row(Table.INPUT, 0, FLOAT32, lambda p: p.demand_kw, quantity=Quantity.POWER),
        Row(Table.INPUT, 2, FLOAT32, lambda p: p.losses_kw, quantity=Quantity.POWER),
    ]
)
STORE: RegisterMap[Store] = RegisterMap(
    [
        Row(Table.INPUT, 0, FLOAT32, lambda s: s.power_kw, quantity=Quantity.POWER),
        Row(Table.INPUT, 2, FLOAT32, lambda s: s.charge_pct),
        Row(Table.INPUT, 4, FLOAT32, lambda s: s.energy_kwh),
        Row(Table.HOLDING, 0, FLOAT32, lambda s: s.setpoint_kw, within(-STORE_KW, STORE_KW, "setpoint_kw")),
    ]
)
JOB: RegisterMap[DeferrableJob] = RegisterMap(
    [
        Row(Table.INPUT, 0, FLOAT32, lambda j: j.power_kw, quantity=Quantity.POWER),
        Row(Table.INPUT, 2, FLOAT32, lambda j: j.energy_kwh),
        Row(Table.INPUT, 4, FLOAT32, lambda j: j.done_kwh),
        Row(Table.INPUT, 6, FLOAT32, lambda j: j.opens_s),
        Row(Table.INPUT, 8, FLOAT32, lambda j: j.closes_s),
        Row(Table.HOLDING, 0, FLOAT32, lambda j: j.setpoint_kw, within(0.0, DEMAND_MAX_KW, "setpoint_kw")),
    ]
)
JOB_OFFSET = 4


def imperial60_devices(plant: Imperial60) -> Iterator[tuple[str, int, RegisterMap[Any], object]]:
    """Name, port offset, register map, and the piece of the plant that the map reads and writes."""
    yield "tie", 0, TIE, plant
    yield "sun", 1, SUN, plant
    yield "house", 2, HOUSE, plant
    yield "store", 3, STORE, plant.store
    for number, job in enumerate(plant.jobs):
        yield f"job{number + 1}", JOB_OFFSET + number, JOB, job
