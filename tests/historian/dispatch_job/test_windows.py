"""When a deferrable is wanted, as tags tell it: on the edges of steps, and known or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.config.dispatch import PlannedDeferrable
from historian.dispatch.axis import Axis
from historian.dispatch_job.windows import Window, window_of

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = START + timedelta(seconds=0.4)
AXIS = Axis(START, timedelta(seconds=5), 60)
ENERGY, DONE, OPENS, CLOSES = 1, 2, 3, 4
TAGS = {"ENERGY": ENERGY, "DONE": DONE, "OPENS": OPENS, "CLOSES": CLOSES}
JOB = PlannedDeferrable(
    "job", None, 0, 0, None, None, None, 10.0, DONE, 1, False, ENERGY, OPENS, CLOSES, margin_s=15.0
)


def told(**values: float | None) -> Window | None:
    known: dict[int, float | None] = {ENERGY: 9.0, DONE: 4.0, OPENS: 0.0, CLOSES: 60.0}
    known |= {TAGS[name]: value for name, value in values.items()}
    return window_of(JOB, known.get, NOW, UTC)


def steps(window: Window, margin_s: float = 0.0) -> tuple[float, float]:
    start, end = window.on(AXIS, NOW, timedelta(seconds=margin_s))
    return (start - START) / AXIS.step, (end - START) / AXIS.step


def test_one_that_is_open_is_so_for_the_step_that_has_begun_and_what_is_left_is_wanted() -> None:
    window = told(CLOSES=59.6)
    assert window is not None
    assert window.left_kwh == 5.0
    assert steps(window) == (0.0, 12.0)
    assert steps(window, 15.0) == (0.0, 9.0)


@pytest.mark.parametrize("late_s", [0.0, 0.5, 0.9])
def test_what_was_told_a_little_ago_still_begins_and_ends_with_its_step(late_s: float) -> None:
    window = told(OPENS=9.6 + late_s, CLOSES=59.6 + late_s)
    assert window is not None
    assert steps(window) == (2.0, 12.0)


def test_a_margin_leaves_a_step_at_least() -> None:
    window = told(CLOSES=14.6)
    assert window is not None
    assert steps(window, 15.0) == (0.0, 1.0)


def test_one_that_is_over_wants_nothing_and_one_that_is_not_told_is_not_known() -> None:
    over = told(CLOSES=0.0)
    assert over is not None
    assert over.left_kwh == 0.0
    assert not over.is_open(NOW)
    assert all(told(**{name: None}) is None for name in ("ENERGY", "DONE", "OPENS", "CLOSES"))
