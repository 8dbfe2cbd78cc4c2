"""What a site looks for as odd, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DetectorKind(StrEnum):
    """The detectors of docs/anomaly.md."""

    GAUSSIAN = "gaussian"
    RANGE = "range"
    RATE = "rate"
    FLAT_LINE = "flat-line"
    SHAPE = "shape"
    MISSING = "missing"
    CLOCK = "clock"
    PCA = "pca"
    FOREST = "forest"
    BALANCE = "balance"
    METER = "meter"


OF_TAGS = frozenset(DetectorKind) - {
    DetectorKind.PCA,
    DetectorKind.FOREST,
    DetectorKind.BALANCE,
    DetectorKind.METER,
}
# What a detector of a group gives; one of tags gives a score for each.
OUTPUTS = {
    DetectorKind.PCA: ("t2", "q"),
    DetectorKind.FOREST: ("forest",),
    DetectorKind.BALANCE: ("residual",),
    DetectorKind.METER: ("residual",),
}


@dataclass(frozen=True, slots=True)
class Output:
    """A score, and the alarm made of it: places of their tags."""

    score: int
    alarm: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One detector at work. ``inputs`` are places of tags, ``names`` what they are called.

    ``parameters`` are those of the detector that are not as ever. ``learn_min`` minutes of history are learned from
    where ``learns``. ``state`` is the place of the tag that says how it is, ``trouble`` of the one that says what
    is wrong.
    """

    name: str
    detector: DetectorKind
    inputs: tuple[int, ...]
    names: tuple[str, ...]
    parameters: tuple[tuple[str, float | tuple[str, ...]], ...]
    period_s: float
    learns: bool
    learn_min: float
    threshold: float
    hold_off_s: float
    clear_s: float
    refractory_s: float
    outputs: tuple[Output, ...]
    state: int
    trouble: int
