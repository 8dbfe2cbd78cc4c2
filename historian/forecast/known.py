"""What is known ahead without a weather service: holidays, and how strong the sun would be in a clear sky."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from historian.libraries import load


def holidays(index: Any, country: str, subdivision: str | None = None) -> Any:
    """Columns ``holiday``, ``before_holiday``, ``after_holiday`` (1.0 or 0.0) of the civil days of an index.

    By the package holidays: ``country`` is its ISO 3166 code, ``subdivision`` that of the land or state. Raises
    NotImplementedError for those it does not know, and ValueError for an index without a time zone.
    """
    pandas, package = load("pandas", "holidays"), load("holidays", "holidays")
    if getattr(index, "tz", None) is None:
        raise ValueError("the index must be of times with a time zone: a holiday is a civil day")
    years = range(int(index[0].year) - 1, int(index[-1].year) + 2)
    days = set(package.country_holidays(country, subdiv=subdivision, years=years))
    dates = index.date
    columns = {
        name: np.array([float(day + timedelta(days=shift) in days) for day in dates])
        for name, shift in (("holiday", 0), ("before_holiday", 1), ("after_holiday", -1))
    }
    return pandas.DataFrame(columns, index=index)


def clear_sky(
    index: Any, latitude: float, longitude: float, altitude_m: float = 0.0, *, to_middle: Any = None
) -> Any:
    """Column ``clear_sky_w_m2``: global horizontal irradiance in a clear sky, in W/m², at the middle of each step.

    By pvlib: Haurwitz 1945, which needs nothing but where the sun is. Times of the index are those at which steps
    end, unless ``to_middle``, a Timedelta, leads from them to the middle. Raises ValueError for places that are none
    and an index without a time zone or of one step.
    """
    pandas, solar = load("pandas", "clear sky"), load("pvlib.solarposition", "clear sky")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError(f"there is no place at latitude {latitude}, longitude {longitude}")
    if getattr(index, "tz", None) is None or (to_middle is None and len(index) < 2):
        raise ValueError("the index must be of at least two times with a time zone")
    middle = index + ((index[0] - index[1]) / 2 if to_middle is None else to_middle)
    zenith = solar.get_solarposition(middle, latitude, longitude, altitude_m)["apparent_zenith"]
    found = load("pvlib.clearsky", "clear sky").haurwitz(zenith)["ghi"].to_numpy()
    return pandas.DataFrame({"clear_sky_w_m2": found}, index=index)
