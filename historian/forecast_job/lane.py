"""One plan of a running site: its model, the newest forecast, and the next, issued when a step ends."""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import Any, Final

import numpy as np

from historian.forecast_job import library
from historian.forecast_job.frames import known_frame, past_frame, rows_of_target
from historian.forecast_job.plan import S_NS, Plan
from historian.forecast_job.store import ForecastStore, Row
from historian.forecast_job.training import TooLittle
from historian.query.history import History

GRACE_NS: Final = 5 * S_NS  # after the end of a step: its last samples are in history by then
LEAST_GRACE_NS: Final = 3 * S_NS // 2  # of it on the wall, where the plant's time goes faster
LOOK_AGAIN_NS: Final = 900 * S_NS  # whether there is enough history to train with
MOST_UNKEPT: Final = 400  # forecasts that wait for room on the disk: four days of steps of 15 min, 2 MB
LATE_STEPS: Final = 2  # the next forecast is due after one
RECENT_ROWS: Final = 2  # without the target in one of these, a forecast is doubtful


class Lane:
    """Blocking; raises OSError, HistoryError and sqlite3.Error of what it reads, after which it may be asked again.

    A forecast that the disk does not take is told all the same, and waits: ``unkept`` says why.
    """

    def __init__(
        self,
        plan: Plan,
        history: History,
        store: ForecastStore,
        folder: Any,
        zone: str,
        speed: float = 1.0,
    ) -> None:
        self.plan = plan
        self.grace_ns = max(GRACE_NS, round(LEAST_GRACE_NS * speed))
        self.row: Row | None = store.newest(plan.forecast.name, plan.track)
        self.description: dict[str, Any] = {}
        self.why = "begins"  # why the newest step has no forecast; empty where it has one
        self.unkept = ""
        self.needed = 0  # steps of history that are missing for training
        self._history = history
        self._store = store
        self._folder = folder
        self._zone = zone
        self._forecaster: Any = None
        self._of_file: tuple[int, int] | None = None
        self._issued_at = -1
        self._looked_at = -LOOK_AGAIN_NS
        self._waiting: deque[Row] = deque(maxlen=MOST_UNKEPT)

    @property
    def has_model(self) -> bool:
        return self._forecaster is not None

    @property
    def is_beginning(self) -> bool:
        """Whether there is no model as yet, which is no fault: history is short, or it is being trained."""
        return self._forecaster is None and self._of_file is None

    def is_late(self, now: int) -> bool:
        """Whether the newest forecast is not the newest that there should be."""
        late_ns = LATE_STEPS * self.plan.step_ns + self.grace_ns
        return self.row is None or not 0 <= now - self.row.issue < late_ns

    def look(self, now: int) -> bool:
        """Issue the forecast of the step that begins, where that was not done; True where something is new."""
        issue = self.plan.issue_at(now - self.grace_ns)
        was_unkept = self.unkept
        self._keep()
        changed = self._take_model()
        if issue == self._issued_at and not changed:
            return self.unkept != was_unkept
        if self._forecaster is None:
            self._issued_at = issue
            return self._look_whether_primed(now)
        self.needed = 0
        self._issue(issue, now)
        self._issued_at = issue  # not before: what an error of a disk kept from being issued is tried again
        return True

    def _issue(self, issue: int, now: int) -> None:
        plan = self.plan
        rows = library.steps_to_read(self._forecaster, plan)
        frame = past_frame(self._history, plan, issue, rows, self._zone)
        if not len(frame):
            self.why = f"there is no history of {plan.forecast.target}"
            return
        known = known_frame(self._history, plan, issue, self._zone) if plan.known else None
        try:
            values = library.predict(self._forecaster, plan, frame, known)
        except ValueError as error:
            self.why = str(error)
            return
        if not np.isfinite(values).any():
            self.why = (
                f"too much is missing in the last {plan.steps_to_issue} steps of {plan.forecast.target}"
            )
            return
        is_short = not np.isfinite(frame[plan.target].to_numpy()[-RECENT_ROWS:]).all()
        is_doubtful = is_short or not np.isfinite(values).all() or self._lacks_known(known)
        self.row = Row(
            *(plan.forecast.name, plan.track, issue, now, plan.step_s, plan.quantiles, values),
            *(self.description["model"], self.description["trained_ns"], is_doubtful),
        )
        self.why = ""
        self._waiting.append(self.row)
        self._keep()

    def _keep(self) -> None:
        """What waits, in its order, as far as the disk takes it."""
        while self._waiting:
            try:
                self._store.keep(self._waiting[0])
            except sqlite3.Error as error:
                self.unkept = str(error)
                return
            self._waiting.popleft()
        self.unkept = ""

    def _lacks_known(self, known: Any) -> bool:
        """Whether something that should be told ahead is not, as far as the leads of its tags reach."""
        if known is None:
            return False
        for each in self.plan.forecast.known:
            reach = round(each.leads[-1][0] * 3600) // self.plan.step_s
            if not np.isfinite(known[each.name].to_numpy()[:reach]).all():
                return True
        return False

    def _take_model(self) -> bool:
        """The model's file, where it is another one than before; whether it was."""
        try:
            status = library.model_path(self._folder, self.plan).stat()
        except FileNotFoundError:
            found = None
        else:
            found = (status.st_ino, status.st_mtime_ns)
        if found == self._of_file:
            return False
        self._of_file = found
        self._forecaster, self.description = None, {}
        if found is None:
            return True
        try:
            self._forecaster, description = library.read_model(self._folder, self.plan)
            self.description = dict(description)
        except (library.ModelError, ImportError) as error:
            self.why = str(error)
        return True

    def _look_whether_primed(self, now: int) -> bool:
        if now - self._looked_at < LOOK_AGAIN_NS:
            return False
        self._looked_at = now
        plan = self.plan
        rows = rows_of_target(self._history, plan, plan.issue_at(now - self.grace_ns), plan.steps_to_train)
        self.needed = max(0, plan.steps_to_train - rows)
        self.why = str(TooLittle(plan, self.needed)) if self.needed else self._without_model()
        return True

    def _without_model(self) -> str:
        return self.why if self._of_file is not None else "no model is trained yet"
