"""Forecasts of a site: what is forecast from what, when models are trained, and which tags tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_MODELS = ("gradient-boosting", "linear", "seasonal-naive")
DEFAULT_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
MAX_QUANTILES = 19  # every 5 %
MAX_CLASSES = 10  # of consumers, of a forecast
MAX_MEMBERS = 50  # of a class


class ForecastKind(StrEnum):
    """What the target is. Sun and wind are never forecast below 0."""

    LOAD = "load"
    PV = "pv"
    WIND = "wind"
    NET_LOAD = "net_load"
    PRICE = "price"
    EV = "ev"
    OTHER = "other"

    @property
    def is_never_negative(self) -> bool:
        return self in (ForecastKind.PV, ForecastKind.WIND)

    @property
    def is_of_people(self) -> bool:
        """Whether holidays are other days."""
        return self in (ForecastKind.LOAD, ForecastKind.NET_LOAD, ForecastKind.PRICE, ForecastKind.EV)


class Season(StrEnum):
    """After how long the target is about as it was."""

    DAY = "day"
    WEEK = "week"

    @property
    def days(self) -> int:
        return 1 if self is Season.DAY else 7


class ForecastModel(StrEnum):
    """What can be trained; each night the best of those a forecast names is used."""

    GRADIENT_BOOSTING = "gradient-boosting"
    LIGHTGBM = "lightgbm"
    LINEAR = "linear"
    ENSEMBLE = "ensemble"
    GENETIC = "genetic"
    SEASONAL_NAIVE = "seasonal-naive"


CLEAR_SKY = "clear_sky_w_m2"  # the columns of what is reckoned ahead
HOLIDAYS = ("holiday", "before_holiday", "after_holiday")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the site is (latitude, longitude) and whose holidays count (ISO 3166), where it says so."""

    place: tuple[float, float] | None = None
    holidays: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the tables that models learn from."""
        return (*((CLEAR_SKY,) if self.place else ()), *(HOLIDAYS if self.holidays else ()))


@dataclass(frozen=True, slots=True)
class KnownInput:
    """Something told ahead: for each lead (hours, rising) the tag that tells what will be then."""

    name: str
    leads: tuple[tuple[float, str, int], ...]  # hours, name of the tag, its place in the image


@dataclass(frozen=True, slots=True)
class QuantileTag:
    """A tag with a quantile of the step that ends ``lead_s`` from now; ``lead_s`` 0: of the peak of 24 h."""

    tag: int
    quantile: float
    lead_s: int
    is_short: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """Told where the target is likelier than ``probability`` to exceed ``above`` within five minutes."""

    above: float
    probability: float


@dataclass(frozen=True, slots=True)
class ConsumerClass:
    """Consumers whose days are compared. ``tags`` are the places of those that tell of it, by their ending."""

    name: str
    members: tuple[str, ...]
    tags: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """One target. ``tags`` are the places of those that `gateway.config.forecasts_section` names, by their ending."""

    name: str
    kind: ForecastKind
    target: str
    target_tag: int
    past: tuple[str, ...]
    known: tuple[KnownInput, ...]
    surroundings: Surroundings  # what of them is used
    season: Season
    quantiles: tuple[float, ...]
    horizon_h: int
    short_min: int
    models: tuple[ForecastModel, ...]
    train_days: int
    train_at: tuple[int, int]  # hour and minute, in the site's time zone
    deadline_min: float
    max_model_days: float
    keep_days: int
    alert: Alert | None
    quantile_tags: tuple[QuantileTag, ...]
    tags: tuple[tuple[str, int], ...]
    classes: tuple[ConsumerClass, ...] = ()
