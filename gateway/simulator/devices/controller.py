"""What a device shows as an OPC UA server: variables by name, bound to the plant; and the genset controller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic

from gateway.simulator.devices import genset
from gateway.simulator.devices.registers import Reading, Refusal, Source, within
from gateway.simulator.plant.genset import RATED_KW, TANK_L, Genset

NAMESPACE = "urn:example:genset-controller"
STRUCTURE = "Engine"  # the variable of structured type, whose fields are the variables named Engine.…


class VariableKind(Enum):
    """Built-in types."""

    BOOL = "Boolean"
    BYTE = "Byte"
    DOUBLE = "Double"


@dataclass(frozen=True, slots=True)
class Variable(Generic[Source]):
    """``name`` is the NodeId's identifier, or ``Structure.Field``. ``methods``: those that write true and false."""

    name: str
    kind: VariableKind
    read: Callable[[Source], Reading]
    write: Callable[[Source, float], Refusal | None] | None = None
    methods: tuple[str, str] | None = None


_K = VariableKind
GENSET: Sequence[Variable[Genset]] = (
    Variable("Power", _K.DOUBLE, lambda g: g.power_kw),
    Variable("Energy", _K.DOUBLE, lambda g: g.energy_kwh),
    Variable("State", _K.BYTE, lambda g: g.state.value),
    Variable("PowerSetpoint", _K.DOUBLE, lambda g: g.setpoint_kw, within(0.0, RATED_KW, "setpoint_kw")),
    Variable("RunCommand", _K.BOOL, lambda g: g.run_command, genset.run, ("Start", "Stop")),
    Variable("Engine.Speed", _K.DOUBLE, lambda g: g.speed_rpm),
    Variable("Engine.Fuel", _K.DOUBLE, lambda g: 100.0 * g.fuel_l / TANK_L),
    Variable("Engine.Running", _K.BOOL, lambda g: g.is_running),
)
