"""Training of one plan: all its models are compared on the end of history, the best is trained on all of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from historian.forecast_job import library
from historian.forecast_job.frames import past_frame
from historian.forecast_job.plan import S_NS, Plan
from historian.forecast_job.store import ForecastStore, Training
from historian.query.history import History

TEST_SHARE: Final = 0.25  # of what can be learned from goes to the comparison
LONGEST_TEST_DAYS: Final = 14
Tell = Callable[[str], None]


class TooLittle(ValueError):  # noqa: N818 - reads as the claim it makes
    """Too little history to train with: ``needed`` more steps."""

    def __init__(self, plan: Plan, needed: int) -> None:
        self.needed = needed
        days = needed * plan.step_s / 86_400
        super().__init__(
            f"not primed: {needed:,} more steps of {plan.step_s // 60} min ({days:.1f} days) of history of"
            f" {plan.forecast.target} are needed"
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """The winner, fitted, and how all did: ``scores`` by model; ``tests`` are their backtests, by model."""

    model: str
    forecaster: Any
    scores: Mapping[str, Mapping[str, float]]
    tests: Mapping[str, Any]
    frame: Any
    skipped: tuple[str, ...]


def steps_of(plan: Plan, models: Sequence[str] | None = None) -> int:
    """How often `train` tells what it does."""
    return len(models or plan.forecast.models) + 1


def compare(
    history: History,
    plan: Plan,
    now: int,
    zone: str,
    tell: Tell,
    models: Sequence[str] | None = None,
    test_days: float | None = None,
) -> Trained:
    """Without the last step, training of the winner on everything: ``forecaster`` is None. Raises TooLittle,
    ValueError where no model could be trained, ImportError.
    """
    frame = past_frame(history, plan, plan.issue_at(now), plan.steps_to_read, zone)
    if (short := plan.steps_to_train - len(frame)) > 0:
        raise TooLittle(plan, short)
    rows = len(frame) - _test_steps(plan, len(frame), test_days)
    start = frame.index[rows - 1]
    tests: dict[str, Any] = {}
    skipped: list[str] = []
    for model in map(str, models or plan.forecast.models):
        tell(f"{plan.forecast.name}, steps of {plan.step_s // 60} min: {model}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries, about columns without a value and the like
                tests[model] = library.test(
                    library.new_forecaster(plan, model, zone, rows), plan, frame, start
                )
        except ValueError as error:
            skipped.append(f"{model}: {error}")
    found = {model: tested.scores() for model, tested in tests.items()}
    sound = {model: each for model, each in found.items() if np.isfinite(each["pinball"])}
    if not sound:
        why = "; ".join(skipped) or "no outcome was known in the part that is tested"
        raise ValueError(f"no model could be compared: {why}")
    winner = min(sound, key=lambda model: sound[model]["pinball"])
    return Trained(winner, None, found, tests, frame, tuple(skipped))


def train(
    history: History, plan: Plan, now: int, zone: str, tell: Tell, models: Sequence[str] | None = None
) -> Trained:
    """Compare, and train the winner on everything. Raises as `compare`."""
    compared = compare(history, plan, now, zone, tell, models)
    tell(f"{plan.forecast.name}, steps of {plan.step_s // 60} min: {compared.model} on all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecaster = library.fit(
            library.new_forecaster(plan, compared.model, zone, len(compared.frame)), plan, compared.frame
        )
    return Trained(
        compared.model, forecaster, compared.scores, compared.tests, compared.frame, compared.skipped
    )


def train_all(
    history: History,
    folder: Path,
    plans: Sequence[Plan],
    zone: str,
    tell: Tell,
    clock: Callable[[], int] = time.time_ns,
) -> list[Training]:
    """Train each plan and keep its model; what comes of it is noted, and returned. Raises OSError, ModelError,
    ImportError, sqlite3.Error.
    """
    store = ForecastStore(folder)
    found: list[Training] = []
    try:
        for plan in plans:
            now = clock()
            model, scores = "", {}
            try:
                trained = train(history, plan, now, zone, tell)
                model, scores = trained.model, dict(trained.scores)
                library.write_model(folder, plan, trained.forecaster, describe(plan, trained, now))
                outcome = "; ".join(("trained", *trained.skipped))
            except ValueError as error:
                outcome = str(error)
            training = Training(plan.forecast.name, plan.track, now, outcome, model, scores)
            store.keep_training(training)
            found.append(training)
    finally:
        store.close()
    return found


def describe(plan: Plan, trained: Trained, now: int) -> dict[str, Any]:
    """What a model file says about itself."""
    frame = trained.frame
    values = frame[plan.target].to_numpy(np.float64)
    return {
        "forecast": plan.forecast.name,
        "track": str(plan.track),
        "target": plan.forecast.target,
        "model": trained.model,
        "recipe": plan.recipe,
        "digest": trained.forecaster.digest_,
        "trained_ns": now,
        "from_ns": int(frame.index[0].value),
        "to_ns": int(frame.index[-1].value) + plan.step_s * S_NS,
        "rows": len(frame),
        "scale": library.seasonal_scale(values, plan),
        "scores": {model: dict(each) for model, each in trained.scores.items()},
    }


def _test_steps(plan: Plan, rows: int, days: float | None) -> int:
    usable = rows - plan.steps_to_issue
    if days is not None:
        wanted = round(days * plan.day) + plan.horizon
        most = usable - 2 * plan.horizon
        if wanted > most:
            raise ValueError(
                f"{days:g} days to test on are more than history has: at most"
                f" {(most - plan.horizon) / plan.day:.1f} beside what is needed to train with"
            )
        return wanted
    least = plan.horizon + plan.day  # a day of issues whose outcomes are all known
    return max(least, min(int(usable * TEST_SHARE), LONGEST_TEST_DAYS * plan.day))
