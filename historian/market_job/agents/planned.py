"""What the plan of dispatch has for assets in an interval, or why nobody can rely on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from math import isfinite
from pathlib import Path
from typing import Protocol

from gateway.config.dispatch import Course
from gateway.config.market_agents import ByPlan
from historian.dispatch_job.course import Followed
from historian.dispatch_job.kept import FILE, followed_in
from historian.ledger.metering import HOUR_S, MICROS

LIVE = frozenset({Course.OPTIMAL, Course.FEASIBLE, Course.SHORTENED})
"""A plan that is only kept, as the solver fails, is one of a site that has changed since."""
SAME_KW = 0.001  # the plan in the file and the tag are the same number


class Plans(Protocol):
    """Where the plan that is followed comes from."""

    def followed(self) -> Followed | str:
        """The plan; or why there is none."""
        ...


class StoredPlan:
    """What the dispatch part keeps in the state folder. ``speed``: how much faster the plant's time goes."""

    def __init__(self, state: Path, speed: float = 1.0) -> None:
        self._file = state / FILE
        self._speed = speed

    def followed(self) -> Followed | str:
        """See `Plans`."""
        if self._speed != 1.0:
            return (
                f"the plan is of the plant's time, which goes {self._speed:g} times as fast as the market's"
            )
        try:
            return followed_in(self._file) or "there is no plan yet"
        except FileNotFoundError:
            return "there is no plan yet"
        except (OSError, ValueError) as error:
            return f"the plan cannot be read: {error}"


def planned_wh(
    by: ByPlan, plans: Plans, read: Callable[[int], float | None], start_us: int, interval_s: int, now_us: int
) -> int | str:
    """What the assets together are to give in an interval (below 0: take); or why nobody can rely on that."""
    status = read(by.status)
    if status is None:
        return "nobody plans: dispatch's status is not Good"
    if Course(int(status)) not in LIVE:
        return f"the plan does not live: {Course(int(status)).text}"
    if not read(by.followed):
        return "the plan is not followed: the tag that says so is false, or not Good"
    followed = plans.followed()
    if isinstance(followed, str):
        return followed
    age_us = now_us - round(followed.made.timestamp() * MICROS)
    if not 0 <= age_us <= by.max_age_s * MICROS:
        return f"the plan is stale: {age_us / 60 / MICROS:.0f} min old"
    given_kw = 0.0
    for asset in by.assets:
        if asset.name not in followed.plan.powers_kw:
            return f"the plan has nothing for {asset.name}"
        current_kw, told_kw = mean_kw(followed, asset.name, now_us, now_us + 1), read(asset.planned_kw)
        if current_kw is None or told_kw is None or abs(current_kw - told_kw) > SAME_KW:
            return f"the plan that is kept is not what dispatch tells of {asset.name} now"
        kilowatts = mean_kw(followed, asset.name, start_us, start_us + interval_s * MICROS)
        if kilowatts is None:
            return "the plan does not reach so far"
        given_kw += -kilowatts if asset.is_drawn else kilowatts
    return int(given_kw * 1_000 * interval_s / HOUR_S)  # towards 0: a Wh less than is sure


def mean_kw(followed: Followed, asset: str, from_us: int, to_us: int) -> float | None:
    """Of the steps between two times, each for as long as it lies there; None where the plan does not know all."""
    plan = followed.plan
    step_us = round(plan.step.total_seconds() * MICROS)
    begin_us = round(plan.start.astimezone(UTC).timestamp() * MICROS)
    first, last = (from_us - begin_us) // step_us, (to_us - 1 - begin_us) // step_us
    if first < 0 or last >= plan.horizon:
        return None
    energy = 0.0
    for step in range(first, last + 1):
        at_us = begin_us + step * step_us
        energy += float(plan.powers_kw[asset][step]) * (min(to_us, at_us + step_us) - max(from_us, at_us))
    return energy / (to_us - from_us) if isfinite(energy) else None
