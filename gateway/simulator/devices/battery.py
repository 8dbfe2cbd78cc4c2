"""Battery: integers from the cells' side, little-word-first floats from the inverter's, a bit field between."""

from __future__ import annotations

from pymodbus.constants import ExcCodes

from gateway.simulator.devices.registers import (
    BIT,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    UINT16,
    RegisterMap,
    Row,
    Table,
    text,
    within,
)
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.battery import RATED_KW, SERIAL_NUMBER, Battery, State

RUNNING, TRIPPED, FORMING = 1 << 0, 1 << 1, 1 << 2  # status word


def _status(battery: Battery) -> int:
    word = 0
    if battery.state in (State.FOLLOWING, State.FORMING, State.BLACK_START):
        word |= RUNNING
    if battery.state is State.TRIPPED:
        word |= TRIPPED
    if battery.is_forming:
        word |= FORMING
    return word


def _form(battery: Battery, form: float) -> ExcCodes | None:
    battery.command_forming(bool(form))
    return None


MAP: RegisterMap[Battery] = RegisterMap(
    [
        Row(Table.INPUT, 0, INT32, lambda b: b.power_kw, scale=0.001, quantity=Quantity.POWER),
        Row(Table.INPUT, 2, UINT16, lambda b: min(100.0, 100.0 * b.charge_share), scale=0.01),
        Row(Table.INPUT, 3, UINT16, lambda b: b.voltage_v, scale=0.1),
        Row(Table.INPUT, 4, INT16, lambda b: b.current_a, scale=0.1),
        Row(Table.INPUT, 5, INT16, lambda b: b.temperature_c, scale=0.1),
        Row(Table.INPUT, 6, UINT16, _status),
        Row(Table.INPUT, 7, UINT16, lambda b: b.state.value),
        Row(Table.INPUT, 8, FLOAT64.low_words_first(), lambda b: b.charge_kwh),
        Row(Table.INPUT, 12, FLOAT64.low_words_first(), lambda b: b.discharge_kwh),
        Row(Table.INPUT, 100, text(8), lambda b: SERIAL_NUMBER),
        Row(Table.COIL, 0, BIT, lambda b: b.form_command, _form),
        Row(
            Table.HOLDING,
            0,
            FLOAT32.low_words_first(),
            lambda b: b.setpoint_kw,
            within(-RATED_KW, RATED_KW, "setpoint_kw"),
        ),
    ]
)
