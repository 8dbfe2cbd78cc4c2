"""Wind: a measured power curve, and how far power lies from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from historian.health.series import Floats, TooLittle, column
from historian.libraries import load

BIN_M_S: Final = 0.5
LEAST_IN_BIN: Final = 3  # IEC 61400-12-1 asks for 30 minutes in a bin: three rows of ten minutes
REFERENCE_KG_M3: Final = 1.225


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """Mean wind speed and power of each bin that has enough rows, and the standard deviation of power there."""

    wind_m_s: Floats
    power_kw: Floats
    spread_kw: Floats
    rows: Floats

    def expected_kw(self, wind_m_s: Floats) -> Floats:
        """Straight between the bins; NaN beyond them."""
        return np.interp(wind_m_s, self.wind_m_s, self.power_kw, left=np.nan, right=np.nan)

    def residuals(self, frame: Any, wind: str, power: str, *, density: str | None = None) -> Any:
        """A frame of ``expected_kw``, ``residual_kw``, and ``deviations``: residuals in standard deviations there."""
        pandas = load("pandas", "a table of residuals")
        speeds = _normal(frame, wind, density)
        expected = self.expected_kw(speeds)
        residual = column(frame, power) - expected
        spread = np.interp(speeds, self.wind_m_s, self.spread_kw, left=np.nan, right=np.nan)
        deviations = residual / np.where(spread > 0, spread, np.nan)
        columns = {"expected_kw": expected, "residual_kw": residual, "deviations": deviations}
        return pandas.DataFrame(columns, index=frame.index)

    def energy_ratio(self, frame: Any, wind: str, power: str, *, density: str | None = None) -> float:
        """Energy there is over what the curve gives by these winds. Raises TooLittle where it gives none."""
        expected = self.expected_kw(_normal(frame, wind, density))
        actual = column(frame, power)
        known = np.isfinite(expected) & np.isfinite(actual)
        if not known.any() or expected[known].sum() <= 0:
            raise TooLittle("no row lies within the power curve")
        return float(actual[known].sum() / expected[known].sum())


def power_curve(frame: Any, wind: str, power: str, *, density: str | None = None) -> PowerCurve:
    """By the method of bins of 0.5 m/s around whole and half metres a second (IEC 61400-12-1).

    Rows are meant to be means of ten minutes with the turbine in order and not curtailed: leave others out before.
    With a column ``density`` in kg/m³ speeds are normalised to 1.225, as there: v (ρ / ρ0)^(1/3). Raises TooLittle.
    """
    speeds, kw = _normal(frame, wind, density), column(frame, power)
    known = np.isfinite(speeds) & np.isfinite(kw)
    bins = np.round(speeds[known] / BIN_M_S).astype(np.int64)
    speeds, kw = speeds[known], kw[known]
    found = []
    for each in np.unique(bins).tolist():
        in_bin = bins == each
        count = int(in_bin.sum())
        if count >= LEAST_IN_BIN:
            found.append((speeds[in_bin].mean(), kw[in_bin].mean(), kw[in_bin].std(ddof=1), count))
    if len(found) < 2:
        raise TooLittle(f"{len(found)} bins of wind speed have {LEAST_IN_BIN} rows: two are needed")
    wind_m_s, power_kw, spread_kw, rows = np.array(found, np.float64).T
    return PowerCurve(wind_m_s, power_kw, spread_kw, rows)


def _normal(frame: Any, wind: str, density: str | None) -> Floats:
    speeds = column(frame, wind)
    if density is None:
        return speeds
    normal: Floats = speeds * np.cbrt(column(frame, density) / REFERENCE_KG_M3)
    return normal
