"""Which features there are: names, order and parameters, with a digest a model can be tied to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import orjson

from historian.forecast.calendar import CALENDAR_TERMS, Civil

KERNEL_VERSION: Final = 3  # counted up when the same manifest would give other numbers
STATISTICS: Final = ("mean", "std", "min", "max")
NS_PER_S: Final = 1_000_000_000
LONGEST_BUFFER: Final = 100_000  # steps: 16 signals of them are 25 MB a stream

# The sixteen signals of the named set, where a site calls its columns so. Any other sixteen do as well.
NAMED_SIGNALS: Final = (
    "historic_load_kw",
    "load_kw",
    "solar_kw",
    "wind_kw",
    "renewable_forecast_error_kw",
    "curtailment_flag",
    "curtailed_share",
    "battery_soc_pct",
    "temperature_c",
    "humidity_pct",
    "irradiance_w_m2",
    "cloud_pct",
    "wind_speed_m_s",
    "pressure_hpa",
    "net_load_kw",
    "ramp_kw",
)


@dataclass(frozen=True, slots=True)
class Missing:
    """What is done about values that are missing (NaN or infinite) and steps nobody observed. Nothing becomes zero.

    A signal keeps its last value for ``hold`` steps, then is missing. A statistic is of the values present, if they
    are at least ``least_present`` of its window, else missing. A lag of a missing value is missing. After more than
    ``longest_gap`` steps without an observation the buffer starts over.
    """

    hold: int = 0
    least_present: float = 0.5
    longest_gap: int = 48

    def __post_init__(self) -> None:
        if not 0 <= self.hold <= LONGEST_BUFFER:
            raise ValueError(f"hold is {self.hold}; it counts steps, 0 to {LONGEST_BUFFER}")
        if not 0 < self.least_present <= 1:
            raise ValueError(f"least_present is {self.least_present}; it is a share above 0, at most 1")
        if not 0 <= self.longest_gap <= LONGEST_BUFFER:
            raise ValueError(f"longest_gap is {self.longest_gap}; it counts steps, 0 to {LONGEST_BUFFER}")


@dataclass(frozen=True, slots=True)
class NetLoad:
    """Load less what sun and wind give, of these signals: adds penetration, ramp and robust slope.

    All powers are positive: load as consumption, sources as production.
    """

    load: str
    sources: tuple[str, ...]
    slope_steps: int = 12  # how many observations the robust slope (Theil-Sen) is of

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("a net load needs at least one source")
        if not 2 <= self.slope_steps <= 64:  # its pairs grow with the square: 64 are 2,016
            raise ValueError(f"slope_steps is {self.slope_steps}; 2 to 64 can be had")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet:
    """Features of ``signals`` on a grid of ``step_s`` seconds. ``names`` gives them in the order of the vector.

    The grid lies on multiples of the step since 1970 UTC, so a change to summer time leaves no hole in it; calendar
    terms are of civil time. Raises ValueError for what cannot be computed, naming it.
    """

    signals: tuple[str, ...]
    step_s: int
    lags: tuple[int, ...] = ()
    windows: tuple[int, ...] = ()
    calendar: tuple[str, ...] = ()
    interactions: tuple[tuple[str, str], ...] = ()  # (signal, calendar term): their product
    net_load: NetLoad | None = None
    least_buffer: int = 1
    missing: Missing = field(default_factory=Missing)
    civil: Civil = field(default_factory=Civil)

    def __post_init__(self) -> None:
        if not self.signals:
            raise ValueError("a feature set needs at least one signal")
        if self.step_s < 1:
            raise ValueError(f"step_s is {self.step_s}; it must be at least 1")
        if wrong := [lag for lag in self.lags if lag < 1]:
            raise ValueError(f"lags look back: {wrong} do not")
        if wrong := [window for window in self.windows if window < 2]:
            raise ValueError(f"windows have at least 2 steps: {wrong} do not")
        used = [signal for signal, _ in self.interactions]
        if self.net_load is not None:
            used += [self.net_load.load, *self.net_load.sources]
        if unknown := [name for name in used if name not in self.signals]:
            raise ValueError(f"no such signal: {', '.join(unknown)}; there are {', '.join(self.signals)}")
        terms = [*self.calendar, *(term for _, term in self.interactions)]
        if unknown := [term for term in terms if term not in CALENDAR_TERMS]:
            raise ValueError(
                f"no such calendar term: {', '.join(unknown)}; there are {', '.join(CALENDAR_TERMS)}"
            )
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(f"the same feature twice: {', '.join(twice)}")
        if self.buffer > LONGEST_BUFFER:
            raise ValueError(f"the features look back {self.buffer} steps; at most {LONGEST_BUFFER} are kept")
        self.civil.local(0)  # an unknown time zone is told here

    @property
    def names(self) -> tuple[str, ...]:
        """Signals; lags; statistics by window; calendar; interactions; those of the net load."""
        names = list(self.signals)
        names += [f"{signal}.lag{lag}" for lag in self.lags for signal in self.signals]
        names += [
            f"{s}.{statistic}{w}" for w in self.windows for statistic in STATISTICS for s in self.signals
        ]
        names += self.calendar
        names += [f"{signal}*{term}" for signal, term in self.interactions]
        if self.net_load is not None:
            names += [
                "renewable_penetration",
                "net_load_ramp_per_h",
                f"net_load_slope{self.net_load.slope_steps}_per_h",
            ]
        return tuple(names)

    @property
    def buffer(self) -> int:
        """Steps a vector looks at, the present one included."""
        slope = 1 if self.net_load is None else self.net_load.slope_steps
        return max(self.least_buffer, *(lag + 1 for lag in (0, *self.lags)), *self.windows, slope)

    @property
    def steps_to_prime(self) -> int:
        """Steps after which a vector is what it would be had the stream run for ever."""
        return self.buffer + self.missing.hold

    def manifest(self) -> dict[str, Any]:
        """All that decides about the numbers, as plain data."""
        return {"kernel": KERNEL_VERSION, "names": list(self.names), "parameters": asdict(self)}

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest (as JSON with sorted keys), in hex: a model is fed by this set and no other."""
        return hashlib.sha256(orjson.dumps(self.manifest(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    @classmethod
    def named_160(
        cls,
        signals: Sequence[str] = NAMED_SIGNALS,
        *,
        temperature: str = "temperature_c",
        step_s: int = 900,
        missing: Missing | None = None,
        civil: Civil | None = None,
    ) -> Self:
        """The named set of 160: 16 signals and 4 of the calendar, 64 lags, 64 statistics over 48, 12 more."""
        if len(signals) != 16:
            raise ValueError(f"the named set is of 16 signals, not of {len(signals)}")
        seasons = ("is_peak_hour", "is_summer", "is_winter")
        return cls(
            signals=tuple(signals),
            step_s=step_s,
            lags=(1, 2, 24, 48),
            windows=(48,),
            calendar=(
                *("hour", "weekday", "is_weekend", "month"),
                *("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "month_sin", "month_cos"),
                *seasons,
            ),
            interactions=tuple((temperature, term) for term in seasons),
            missing=missing or Missing(),
            civil=civil or Civil(),
        )

    @classmethod
    def wide(
        cls,
        signals: Sequence[str],
        *,
        net_load: NetLoad | None = None,
        step_s: int = 900,
        seasonal_lags: bool = False,
        missing: Missing | None = None,
        civil: Civil | None = None,
    ) -> Self:
        """The wider set: lags 1-12, windows 3, 6, 12 and 48 out of 50 observations, cyclical calendar, net load.

        ``seasonal_lags`` adds those of a day and a week of steps; a stream is then primed out of history. Sixteen
        signals and a net load without them are 480 features.
        """
        seasonal = (86_400 // step_s, 7 * 86_400 // step_s) if seasonal_lags else ()
        return cls(
            signals=tuple(signals),
            step_s=step_s,
            lags=tuple(dict.fromkeys((*range(1, 13), *seasonal))),
            windows=(3, 6, 12, 48),
            calendar=(
                *("hour", "weekday", "is_weekend", "month", "is_peak_hour"),
                *("hour_sin", "hour_cos", "weekday_sin", "weekday_cos"),
                *("month_sin", "month_cos", "year_sin", "year_cos"),
            ),
            net_load=net_load,
            least_buffer=50,
            missing=missing or Missing(),
            civil=civil or Civil(),
        )
