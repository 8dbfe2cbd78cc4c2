"""What is computed for a forecast: one plan a track, a track being steps of one length."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from gateway.config.forecasts import Forecast
from gateway.config.forecasts_section import SHORT_STEP_S, STEP_S

S_NS: Final = 10**9
DAY_S: Final = 86_400
PEAK_COLUMN: Final = "highest"  # of a spike's frame: no tag has a name without a dot
SPIKE_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)  # more of them where alerts are decided
CALIBRATION_DAYS: Final = 3.0  # 8 outcomes a day and lead; a 5 % tail needs 20
RECIPE: Final = 2  # counted up when models of older programs must not be used


class Track(StrEnum):
    """``SPIKE`` forecasts the greatest value of the next five minutes, the others averages of steps."""

    LONG = "15min"
    SHORT = "5min"
    SPIKE = "spike"


@dataclass(frozen=True, slots=True)
class Plan:
    """A track of a forecast."""

    forecast: Forecast
    track: Track

    @property
    def step_s(self) -> int:
        return STEP_S if self.track is Track.LONG else SHORT_STEP_S

    @property
    def step_ns(self) -> int:
        return self.step_s * S_NS

    @property
    def horizon(self) -> int:
        """In steps."""
        match self.track:
            case Track.LONG:
                return self.forecast.horizon_h * 3600 // STEP_S
            case Track.SHORT:
                return self.forecast.short_min * 60 // SHORT_STEP_S
            case Track.SPIKE:
                return 1

    @property
    def quantiles(self) -> tuple[float, ...]:
        return SPIKE_QUANTILES if self.track is Track.SPIKE else self.forecast.quantiles

    @property
    def target(self) -> str:
        """The column that is forecast."""
        return PEAK_COLUMN if self.track is Track.SPIKE else self.forecast.target

    @property
    def known(self) -> tuple[str, ...]:
        """The columns that are known ahead: what tags tell, and what is reckoned."""
        return (*(known.name for known in self.forecast.known), *self.forecast.surroundings.columns)

    @property
    def day(self) -> int:
        """Steps of a day."""
        return DAY_S // self.step_s

    @property
    def steps_to_issue(self) -> int:
        """What a forecast looks back: a season, and the day before it."""
        return (self.forecast.season.days + 1) * self.day

    @property
    def steps_to_train(self) -> int:
        """Enough to train a model on one half of what can be learned from, and to calibrate it on the other."""
        return self.steps_to_issue + 2 * self.steps_to_calibrate

    @property
    def steps_to_calibrate(self) -> int:
        """Until each lead has outcomes enough: the last lead's begin a horizon later."""
        return self.horizon + round(CALIBRATION_DAYS * self.day)

    @property
    def steps_to_read(self) -> int:
        """Of history, for training."""
        return max(self.forecast.train_days * self.day, self.steps_to_train)

    @property
    def recipe(self) -> str:
        """SHA-256 of all that a model depends on: one trained for another is not used."""
        told = {
            "recipe": RECIPE,
            "target": [self.forecast.target, self.track],
            "past": self.forecast.past,
            "known": [
                [known.name, [[lead, tag] for lead, tag, _ in known.leads]] for known in self.forecast.known
            ],
            "surroundings": [self.forecast.surroundings.place, self.forecast.surroundings.holidays],
            "shape": [self.step_s, self.horizon, self.quantiles, self.forecast.season.days],
        }
        return hashlib.sha256(orjson.dumps(told)).hexdigest()

    def issue_at(self, now: int) -> int:
        """The newest time, at or before ``now``, at which a step ends and the next begins."""
        return now // self.step_ns * self.step_ns


def plans_of(forecast: Forecast) -> tuple[Plan, ...]:
    """All tracks of it."""
    tracks = [Track.LONG]
    if forecast.short_min:
        tracks.append(Track.SHORT)
    if forecast.alert is not None:
        tracks.append(Track.SPIKE)
    return tuple(Plan(forecast, track) for track in tracks)
