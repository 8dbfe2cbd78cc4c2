"""PV: the performance ratio, plain and corrected for the temperature of the modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from historian.health.series import GAP_S, TooLittle, column, integral_of, seconds_of

STC_W_M2: Final = 1000.0
STC_C: Final = 25.0


@dataclass(frozen=True, slots=True)
class Performance:
    """``ratio`` of the energy there is to what the nameplate gives by this sun; ``corrected`` for temperature.

    ``reference_h`` are the hours of full sun that there were, ``coverage`` the share of time that is known.
    """

    ratio: float
    corrected: float
    energy_kwh: float
    reference_h: float
    coverage: float


def performance_ratio(
    frame: Any,
    power: str,
    irradiance: str,
    rated_kw: float,
    *,
    temperature: str | None = None,
    per_k: float = -0.004,
    limit: str | None = None,
    least_w_m2: float = 50.0,
    gap_s: float = GAP_S,
) -> Performance:
    """PR = (E / P0) / (H / G_STC), and with P0 corrected by 1 + γ (T - 25 °C) (IEC 61724-1).

    ``irradiance`` is in the plane of the array, ``temperature`` that of the modules, ``per_k`` γ. Rows with less than
    ``least_w_m2``, and those in which the column ``limit`` (kW) was below the power that was reached or missing, are
    left out: a curtailed plant is not a sick one. Raises TooLittle.
    """
    seconds, kw, sun = seconds_of(frame), column(frame, power), column(frame, irradiance)
    used = np.isfinite(kw) & np.isfinite(sun) & (sun >= least_w_m2)
    if limit is not None:
        limit_kw = column(frame, limit)
        used &= limit_kw > 1.02 * kw
    warmth = np.full(len(kw), STC_C) if temperature is None else column(frame, temperature)
    used &= np.isfinite(warmth)
    reference = np.where(used, sun, np.nan) / STC_W_M2
    energy = integral_of(seconds, np.where(used, kw, np.nan), gap_s)
    hours = integral_of(seconds, reference, gap_s)
    corrected = integral_of(seconds, reference * (1.0 + per_k * (warmth - STC_C)), gap_s)
    if hours.value <= 0:
        raise TooLittle(f"{irradiance!r} never reached {least_w_m2:g} W/m² in a row that can be used")
    return Performance(
        energy.value / (rated_kw * hours.value),
        energy.value / (rated_kw * corrected.value) if temperature is not None else float("nan"),
        energy.value,
        hours.value,
        energy.coverage,
    )
