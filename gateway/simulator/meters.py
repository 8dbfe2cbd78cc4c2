"""What a meter shows of what there is, when it is not in order or has been tampered with. Pure."""

from __future__ import annotations

import math
from enum import Enum

from gateway.simulator.faults import Fault, FaultKind

# Two current transformers on each other's phases: the element of phase a is right, those of b and c see their
# currents turned by ∓120°, so with shares of the load a, b, c and cos φ the meter shows of the active power
#   a + (b + c) cos 120° + (b - c) sin 120° tan φ;  nothing at all where the phases are alike.
PHASE_SHARES = (0.38, 0.33, 0.29)
COS_PHI = 0.95
SWAPPED_SHARE = (
    PHASE_SHARES[0]
    + (PHASE_SHARES[1] + PHASE_SHARES[2]) * math.cos(math.radians(120))
    + (PHASE_SHARES[1] - PHASE_SHARES[2]) * math.sin(math.radians(120)) * math.tan(math.acos(COS_PHI))
)
SPIKE_EVERY_S, SPIKE_S = 60.0, 1.5  # longer than the periods that sites read meters at
SECONDS_PER_HOUR = 3600.0


class Quantity(Enum):
    """What a register of a meter has: of these, faults of the meter make something else."""

    POWER = "power"
    ENERGY = "energy"


def shown(fault: Fault, quantity: Quantity, value: float, seconds: float, before: float = 0.0) -> float:
    """What is shown of ``value``, ``seconds`` after the fault began; an energy was ``before`` then.

    Counters are as if power had been what it is now since then.
    """
    is_power = quantity is Quantity.POWER
    match fault.kind:
        case FaultKind.DRIFT:
            gain = fault.share * seconds / SECONDS_PER_HOUR
            share = 1.0 + (gain if is_power else gain / 2.0)
        case FaultKind.SPIKE:
            is_spike = seconds % SPIKE_EVERY_S < SPIKE_S
            share = 1.0 + fault.share if is_power and is_spike else 1.0
        case FaultKind.SWAPPED:
            share = SWAPPED_SHARE
        case FaultKind.FRAUD:
            share = 1.0 - fault.share
        case _:
            return value
    return value * share if is_power else before + (value - before) * share
