"""Columns of frames as arrays, and integrals over time that know what they are made of.

NaN is no value. Between two rows a value runs straight (trapezoids); a piece with a missing end, or longer than
``gap_s``, does not count, and the share that did is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast.features import times_of

Floats = NDArray[np.float64]
S_PER_H: Final = 3600.0
GAP_S: Final = 300.0


class TooLittle(ValueError):  # noqa: N818 - reads as the claim it makes
    """The frame has too little in it for an answer that means something."""


@dataclass(frozen=True, slots=True)
class Integral:
    """``value`` in the column's unit times hours; ``coverage`` is the share of time that it is of."""

    value: float
    hours: float
    coverage: float


def seconds_of(frame: Any) -> Floats:
    """Since the first row. Raises ValueError for an index without a time zone, or out of order."""
    times = times_of(frame.index)
    if wrong := np.flatnonzero(np.diff(times) <= 0).tolist():
        raise ValueError(f"row {wrong[0] + 1} is not after the row before: sort the frame, drop duplicates")
    return (times - times[:1]) / 1e9


def column(frame: Any, name: str) -> Floats:
    """Raises KeyError with what there is."""
    if name not in frame.columns:
        raise KeyError(f"the frame has no column {name!r}; it has {', '.join(map(str, frame.columns))}")
    values: Floats = frame[name].to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def integral(frame: Any, name: str, *, gap_s: float = GAP_S) -> Integral:
    """Of one column over the whole frame."""
    return integral_of(seconds_of(frame), column(frame, name), gap_s)


def integral_of(seconds: Floats, values: Floats, gap_s: float = GAP_S) -> Integral:
    steps = np.diff(seconds)
    pieces = (values[1:] + values[:-1]) / 2.0 * steps
    counts = np.isfinite(pieces) & (steps <= gap_s)
    hours = float(steps[counts].sum()) / S_PER_H
    whole = float(steps.sum()) / S_PER_H
    return Integral(float(pieces[counts].sum()) / S_PER_H, hours, hours / whole if whole > 0 else 0.0)
