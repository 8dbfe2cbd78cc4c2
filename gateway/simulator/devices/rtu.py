"""What a device shows as a DNP3 outstation: points by type and index, bound to the plant; and the feeder RTU's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic

from gateway.simulator.devices import pcc
from gateway.simulator.devices.registers import Reading, Refusal, Source
from gateway.simulator.plant.microgrid import BusMode, Microgrid

SCAN_S = 0.01  # how often the RTU looks at its inputs


class PointKind(Enum):
    """The values are what the site file calls them."""

    BINARY = "binary"
    BINARY_OUTPUT = "binary_output"
    ANALOG = "analog"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Point(Generic[Source]):
    """value = raw * scale, raw a whole number of 32 bits. ``read`` may give None: there is no such value now.

    A change of less than ``deadband`` is no event. ``write`` is for outputs.
    """

    kind: PointKind
    index: int
    read: Callable[[Source], Reading]
    write: Callable[[Source, float], Refusal | None] | None = None
    scale: float = 1.0
    deadband: float = 0.0


_K = PointKind
PCC: Sequence[Point[Microgrid]] = (
    Point(_K.BINARY, 0, lambda g: g.tie.breaker_closed),
    Point(_K.BINARY, 1, lambda g: g.mode is not BusMode.TIED),
    Point(_K.BINARY, 2, lambda g: g.tie.tripped),
    Point(_K.BINARY, 3, lambda g: g.nominal.remote),
    Point(_K.BINARY_OUTPUT, 0, lambda g: g.tie.close_command, pcc.command),
    Point(_K.ANALOG, 0, lambda g: g.tie.power_kw, scale=0.001, deadband=0.05),
    Point(_K.ANALOG, 1, lambda g: g.tie.reactive_kvar, scale=0.001, deadband=0.05),
    Point(_K.ANALOG, 2, lambda g: g.voltage_v, scale=0.01, deadband=0.05),
    Point(_K.ANALOG, 3, pcc.bus_hz, scale=0.0001, deadband=0.0005),
    Point(_K.ANALOG, 4, lambda g: g.utility.voltage_v, scale=0.01, deadband=0.05),
    Point(_K.ANALOG, 5, pcc.grid_hz, scale=0.0001, deadband=0.0005),
    Point(_K.ANALOG, 6, pcc.phase_deg, scale=0.01, deadband=0.1),
    Point(_K.COUNTER, 0, lambda g: g.tie.import_kwh, scale=0.001, deadband=0.1),
    Point(_K.COUNTER, 1, lambda g: g.tie.export_kwh, scale=0.001, deadband=0.1),
)
