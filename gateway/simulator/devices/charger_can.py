"""Charger on a CAN bus: what the Modbus one says, in frames by its station (config/devices/ev_charger_can_11.dbc)."""

from __future__ import annotations

from functools import cache

from gateway.simulator.devices.frames import Frame, FrameMap, Signal
from gateway.simulator.devices.registers import within
from gateway.simulator.plant.charger import RATED_KW, Charger

STATUS, METER, CONTROL, COMMAND = 0x18FF_5000, 0x18FF_5100, 0x18FF_5200, 0x18FF_6000  # and the station


def _vehicle_number(charger: Charger) -> int | None:
    """What follows the letters of its name."""
    return None if charger.vehicle is None else int(charger.vehicle.id.partition("-")[2])


@cache
def frames(station: int) -> FrameMap[Charger]:
    """Of the charger that is set to this station, 1 to 255."""
    control: Frame[Charger] = Frame(
        CONTROL + station,
        8,
        [
            Signal(0, 16, lambda c: c.setpoint_kw, scale=0.1, is_signed=True),
            Signal(16, 32, _vehicle_number),
        ],
        period_s=0.2,
        counter=52,
        checksum=7,
        is_extended=True,
    )
    return FrameMap(
        [
            Frame(
                STATUS + station,
                8,
                [
                    Signal(0, 24, lambda c: c.power_kw, scale=0.001, is_signed=True),
                    Signal(
                        24,
                        16,
                        lambda c: None if c.vehicle is None else 100.0 * c.vehicle.charge_share,
                        scale=0.1,
                    ),
                    Signal(40, 3, lambda c: c.state.value),
                    Signal(43, 1, lambda c: c.vehicle is not None),
                ],
                period_s=0.2,
                counter=44,
                checksum=6,
                is_extended=True,
            ),
            Frame(
                METER + station,
                8,
                [
                    Signal(0, 32, lambda c: c.charge_kwh, scale=0.001),
                    Signal(32, 32, lambda c: c.discharge_kwh, scale=0.001),
                ],
                period_s=1.0,
                is_extended=True,
            ),
            control,
        ],
        [
            Frame(
                COMMAND + station,
                4,
                [
                    Signal(
                        0,
                        16,
                        lambda c: c.setpoint_kw,
                        within(-RATED_KW, RATED_KW, "setpoint_kw"),
                        scale=0.1,
                        is_signed=True,
                    )
                ],
                counter=16,
                checksum=3,
                is_extended=True,
            )
        ],
        control,
    )
