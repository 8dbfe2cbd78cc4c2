"""The C kernel of features as Python sees it (firmware/python/features.c), behind `historian.forecast.features`."""

import numpy as np
from numpy.typing import NDArray

_Counts = NDArray[np.uint32]

class Features:
    def __init__(
        self,
        *,
        signals: int,
        lags: _Counts,
        windows: _Counts,
        least_present: float,
        load: int,
        sources: _Counts,
        slope_steps: int,
        step_h: float,
    ) -> None:
        """``lags``, ``windows``, ``sources`` are of uint32; without sources there is no net load."""
    def compute(self, grid: NDArray[np.float64], newest: NDArray[np.int64], out: NDArray[np.float64]) -> None:
        """``grid`` (rows, signals) and ``out`` (vectors, width) of double, ``newest`` rows of the grid as int64."""
