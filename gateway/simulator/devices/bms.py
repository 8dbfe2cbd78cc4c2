"""The battery's management system on its CAN bus: 216 cells in series, in four modules (config/devices/bms.dbc)."""

from __future__ import annotations

from gateway.simulator.devices.frames import Frame, FrameMap, Signal
from gateway.simulator.plant.battery import RATED_KW, Battery, State

CELLS = 216
CELL_BELOW_V, CELL_ABOVE_V = 0.008, 0.011  # of the weakest and the strongest from the mean
MODULE_COOLER_K = (0.0, 0.6, 1.4, 2.5)  # than the warmest
HEALTH_PCT = 97.5
ISOLATION_KOHM = 950
HIGH_CELL_V, LOW_CELL_V, HIGH_C = 3.95, 3.25, 55.0
RATED_A = 1000.0 * RATED_KW / 720.0
OPERATING = (State.FOLLOWING, State.FORMING, State.BLACK_START)


def _state(battery: Battery) -> int:
    if battery.state is State.TRIPPED:
        return 2
    return 1 if battery.state in OPERATING else 0


def _cell_v(battery: Battery) -> float:
    return battery.voltage_v / CELLS


def _amperes(kw: float, battery: Battery) -> float:
    return 1000.0 * kw / battery.voltage_v


def _module(number: int) -> Frame[Battery]:
    cooler_k = MODULE_COOLER_K[number]
    return Frame(
        0x184,
        2,
        [
            Signal(0, 8, lambda b: number),
            Signal(8, 8, lambda b: b.temperature_c - cooler_k, scale=0.5, offset=-40.0),
        ],
        period_s=1.0,
    )


MAP: FrameMap[Battery] = FrameMap(
    [
        Frame(
            0x180,
            8,
            [
                Signal(0, 16, lambda b: b.voltage_v, scale=0.1),
                Signal(16, 16, lambda b: b.current_a, scale=0.1, is_signed=True),
                Signal(32, 16, lambda b: min(100.0, 100.0 * b.charge_share), scale=0.01),
                Signal(48, 4, _state),
            ],
            period_s=0.1,
            counter=52,
            checksum=7,
        ),
        Frame(
            0x181,
            8,
            [
                Signal(0, 16, lambda b: _cell_v(b) - CELL_BELOW_V, scale=0.001),
                Signal(16, 16, lambda b: _cell_v(b) + CELL_ABOVE_V, scale=0.001),
                Signal(32, 8, lambda b: b.temperature_c - MODULE_COOLER_K[-1], scale=0.5, offset=-40.0),
                Signal(40, 8, lambda b: b.temperature_c, scale=0.5, offset=-40.0),
            ],
            period_s=0.2,
            counter=52,
            checksum=7,
        ),
        Frame(
            0x182,
            7,
            [
                Signal(7, 16, lambda b: _amperes(b.most_charge_kw(), b), scale=0.1, is_big_endian=True),
                Signal(23, 16, lambda b: _amperes(b.most_discharge_kw(), b), scale=0.1, is_big_endian=True),
                Signal(39, 8, lambda b: HEALTH_PCT, scale=0.5, is_big_endian=True),
                Signal(47, 16, lambda b: ISOLATION_KOHM, is_big_endian=True),
            ],
            period_s=0.5,
        ),
        Frame(
            0x183,
            2,
            [
                Signal(0, 1, lambda b: b.state is not State.TRIPPED),
                Signal(8, 1, lambda b: _cell_v(b) + CELL_ABOVE_V > HIGH_CELL_V),
                Signal(9, 1, lambda b: _cell_v(b) - CELL_BELOW_V < LOW_CELL_V),
                Signal(10, 1, lambda b: b.temperature_c > HIGH_C),
                Signal(11, 1, lambda b: abs(b.current_a) > RATED_A),
            ],
            period_s=0.5,
        ),
        *(_module(number) for number in range(len(MODULE_COOLER_K))),
    ]
)
