"""Rolling backtest: what would have been forecast, knowing nothing that was not known then, and how good it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from historian.forecast.scores import score, seasonal_scale
from historian.libraries import load


@dataclass(frozen=True, slots=True)
class Backtest:
    """``forecasts``: index (issue, time), a column a quantile, and what came, ``actual``. ``scale`` is MASE's."""

    forecasts: Any
    quantiles: tuple[float, ...]
    scale: float

    def scores(self) -> dict[str, float]:
        """MAPE, MASE, mean pinball loss and the coverage of the 90 % interval over all."""
        return self._score(self.forecasts)

    def by_lead(self) -> Any:
        """The same for each lead, a DataFrame indexed by it."""
        pandas = load("pandas", "a backtest")
        times = self.forecasts.index
        leads = times.get_level_values("time") - times.get_level_values("issue")
        return pandas.DataFrame({lead: self._score(some) for lead, some in self.forecasts.groupby(leads)}).T

    def _score(self, some: Any) -> dict[str, float]:
        columns = [some[quantile].to_numpy() for quantile in self.quantiles]
        return score(some["actual"].to_numpy(), columns, self.quantiles, self.scale)


def backtest(
    forecaster: Any,
    frame: Any,
    start: Any,
    *,
    target: str = "load_kw",
    known: Sequence[str] = (),
    every: str = "1D",
    refit: str | None = None,
) -> Backtest:
    """Train a copy of ``forecaster`` on what lies before ``start``, then issue a forecast ``every`` so often.

    With ``refit`` it is trained anew that often, on all before that time. The last issues are those whose horizon
    still lies within ``frame``. Raises ValueError where there are none.
    """
    pandas, base = load("pandas", "a backtest"), load("sklearn.base", "a backtest")
    step = pandas.Timedelta(forecaster.freq)
    issues = pandas.date_range(start, frame.index[-1] - forecaster.horizon * step, freq=every)
    if not len(issues):
        raise ValueError(
            f"the frame ends at {frame.index[-1]}: no horizon of {forecaster.horizon} steps fits after {start}"
        )
    blocks = [issues]
    if refit is not None:
        number = (issues - issues[0]) // pandas.Timedelta(refit)
        blocks = [issues[number == which] for which in np.unique(number)]
    found = []
    for block in blocks:
        fitted = base.clone(forecaster).fit(frame[frame.index <= block[0]], target=target, known=known)
        found.append(fitted.predict_at(frame, block))
    forecasts = pandas.concat(found)
    forecasts["actual"] = frame[target].reindex(forecasts.index.get_level_values("time")).to_numpy()
    season = int(pandas.Timedelta(forecaster.season) / step)
    training = frame.loc[frame.index <= issues[0], target].asfreq(forecaster.freq).to_numpy(np.float64)
    return Backtest(forecasts, tuple(forecaster.quantiles), seasonal_scale(training, season))
