"""Feeder meter: the less significant byte of every register first."""

from __future__ import annotations

from pymodbus.constants import ExcCodes

from gateway.simulator.devices.registers import BIT, INT32, UINT16, UINT32, RegisterMap, Row, Table
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.feeder import Feeder


def _command(feeder: Feeder, close: float) -> ExcCodes | None:
    """A relay that has tripped on remote control answers with exception 4 until it is told to open."""
    return None if feeder.command(bool(close)) else ExcCodes.DEVICE_FAILURE


MAP: RegisterMap[Feeder] = RegisterMap(
    [
        Row(
            Table.INPUT,
            0,
            INT32.low_bytes_first(),
            lambda f: f.power_kw,
            scale=0.001,
            quantity=Quantity.POWER,
        ),
        Row(Table.INPUT, 2, UINT16.low_bytes_first(), lambda f: f.voltage_v, scale=0.1),
        Row(Table.INPUT, 3, UINT16.low_bytes_first(), lambda f: f.priority),
        Row(
            Table.INPUT,
            4,
            UINT32.low_bytes_first().low_words_first(),
            lambda f: f.energy_kwh,
            scale=0.01,
            quantity=Quantity.ENERGY,
        ),
        Row(Table.DISCRETE, 0, BIT, lambda f: f.breaker_closed),
        Row(Table.DISCRETE, 1, BIT, lambda f: f.tripped),
        Row(Table.COIL, 0, BIT, lambda f: f.close_command, _command),
    ]
)
