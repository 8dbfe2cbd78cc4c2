"""The site over its horizon as a mixed-integer linear program; docs/dispatch.md writes it out.

What feeds the bus counts positive. Energies are those at the end of a step. ``assets`` and ``together`` add to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.axis import Axis
from historian.dispatch.matrix import Family, Index, Matrix
from historian.dispatch.model import Asset, Floats, Site


@dataclass(frozen=True, slots=True)
class Exclusive:
    """Two columns a step of which one is to be 0, and where both could be above."""

    asset: str
    words: str
    up: Index
    down: Index
    up_max: Floats
    down_max: Floats
    matters: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Flow:
    """What one asset feeds in: ``constant`` + the sum of sign × column."""

    asset: Asset
    constant: Floats
    terms: tuple[tuple[float, Index], ...]


@dataclass(slots=True)
class Formulation:
    """The program with where each asset's columns lie."""

    site: Site
    axis: Axis
    matrix: Matrix = field(default_factory=Matrix)
    flows: list[Flow] = field(default_factory=list)
    exclusives: list[Exclusive] = field(default_factory=list)
    sides: dict[tuple[str, int], int] = field(default_factory=dict)
    """The binary of an asset at a step where exclusivity was added: 1 is up."""
    energy: dict[str, Index] = field(default_factory=dict)
    running: dict[str, Index] = field(default_factory=dict)
    short: dict[str, Index] = field(default_factory=dict)
    opted_out: dict[str, Index] = field(default_factory=dict)
    reserve_short: tuple[Index, Index] | None = None

    def add_exclusive(self, exclusive: Exclusive, steps: Index) -> None:
        """up ≤ up_max z, down ≤ down_max (1 − z) at steps that do not have it yet."""
        steps = np.array([k for k in steps if (exclusive.asset, int(k)) not in self.sides], dtype=np.int32)
        if not len(steps):
            return
        m = self.matrix
        family = Family(exclusive.asset, exclusive.words, "kW")
        z = m.columns(len(steps), 0.0, 1.0, integer=True)
        up = m.rows(-np.inf, 0.0, len(steps), family, steps)
        m.add(up, exclusive.up[steps], 1.0)
        m.add(up, z, -exclusive.up_max[steps])
        down = m.rows(-np.inf, exclusive.down_max[steps], len(steps), family, steps)
        m.add(down, exclusive.down[steps], 1.0)
        m.add(down, z, exclusive.down_max[steps])
        self.sides.update(
            {(exclusive.asset, int(k)): int(column) for k, column in zip(steps, z, strict=True)}
        )
