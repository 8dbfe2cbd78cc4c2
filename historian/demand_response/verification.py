"""By how much each participant went down, against its baseline and its promise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

import numpy as np

from historian.demand_response.baseline import Baseline, Frame, Series, baseline
from historian.demand_response.errors import BadMeter
from historian.demand_response.event import Event, Participant
from historian.demand_response.rule import TEN_OF_TEN, Rule
from historian.libraries import load as load_library

_pandas: Any = load_library("pandas", "a verified reduction")


class Verdict(Enum):
    DELIVERED = "delivered"
    """At least as much as promised, as a mean of the time it took part."""
    SHORT = "short"
    OPTED_OUT = "opted out"
    """Before the event began."""
    UNMEASURED = "unmeasured"
    """``words`` says what is missing; it is not taken as zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """Of one participant; energies and means are over the time that counts, NaN where nothing was measured."""

    participant: str
    verdict: Verdict
    promised_kw: float
    baseline: Baseline | None = None
    measured_kw: Series | None = None
    """Of the intervals that count: to the event's end, or to when it left."""
    words: str = ""

    @property
    def kw(self) -> Series | None:
        """Of each interval; below 0 where it drew more than its baseline."""
        if self.baseline is None or self.measured_kw is None:
            return None
        return self.baseline.kw.reindex(self.measured_kw.index) - self.measured_kw

    @property
    def mean_kw(self) -> float:
        return float("nan") if self.kw is None else float(self.kw.mean())

    @property
    def energy_kwh(self) -> float:
        if self.kw is None or self.baseline is None:
            return float("nan")
        return float(self.kw.sum()) * (self.baseline.step / timedelta(hours=1))

    @property
    def share(self) -> float:
        """Of what was promised; NaN where nothing was."""
        return self.mean_kw / self.promised_kw if self.promised_kw > 0 else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    event: Event
    reductions: tuple[Reduction, ...]

    @property
    def energy_kwh(self) -> float:
        """Of all that were measured, those below 0 too."""
        return float(np.nansum([each.energy_kwh for each in self.reductions]))

    @property
    def frame(self) -> Frame:
        """A row a participant."""
        rows = {
            each.participant: {
                "verdict": each.verdict.value,
                "promised_kw": each.promised_kw,
                "reduction_kw": each.mean_kw,
                "reduction_kwh": each.energy_kwh,
                "share": each.share,
                "adjustment": float("nan") if each.baseline is None else each.baseline.applied,
                "is_capped": each.baseline is not None and each.baseline.is_capped,
                "days": 0 if each.baseline is None else len(each.baseline.days),
                "words": each.words,
            }
            for each in self.reductions
        }
        return _pandas.DataFrame.from_dict(rows, orient="index").rename_axis("participant")


def verify(
    load_kw: Frame,
    event: Event,
    participants: Sequence[Participant],
    rule: Rule = TEN_OF_TEN,
    *,
    weather: Frame | None = None,
    holidays: Collection[date] = (),
    others: Sequence[Event] = (),
) -> Verification:
    """``load_kw``: a column of mean demand for each participant, by beginnings of intervals in the site's time zone.

    ``others``: all other events; the days of those that a participant took part in do not serve its baseline.
    Raises BadMeter where there is no such column; what one meter lacks is that participant's verdict.
    """
    missing = [each.name for each in participants if each.name not in load_kw.columns]
    if missing:
        raise BadMeter(f"there is no column {', '.join(missing)}: columns are {', '.join(map(str, load_kw))}")
    return Verification(
        event,
        tuple(
            _one(load_kw[each.name], event, each, rule, weather, holidays, others) for each in participants
        ),
    )


def _one(
    load_kw: Series,
    event: Event,
    participant: Participant,
    rule: Rule,
    weather: Frame | None,
    holidays: Collection[date],
    others: Sequence[Event],
) -> Reduction:
    name, promised = participant.name, participant.promised_kw(event.level)
    if not event.asks(name):
        return Reduction(name, Verdict.OPTED_OUT, 0.0, words="it was not asked, or left before the event")
    taken = [other for other in others if other.asks(name)]
    try:
        made = baseline(load_kw, event, rule, weather=weather, holidays=holidays, others=taken)
    except BadMeter as error:
        return Reduction(name, Verdict.UNMEASURED, promised, words=str(error))
    counts = made.kw.index + made.step <= event.counted_until(name)
    measured = load_kw.reindex(made.kw.index[counts])
    if not len(measured):
        return Reduction(name, Verdict.OPTED_OUT, 0.0, made, words="it left within the first interval")
    if measured.isna().any():
        words = f"{int(measured.isna().sum())} of {len(measured)} intervals of the event were not measured"
        return Reduction(name, Verdict.UNMEASURED, promised, made, words=words)
    found = Reduction(name, Verdict.SHORT, promised, made, measured)
    if found.mean_kw >= promised - 1e-9:  # a rounding of sums is no shortfall
        return Reduction(name, Verdict.DELIVERED, promised, made, measured)
    return found
