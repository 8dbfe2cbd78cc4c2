"""The days of sixty ticks: what they bring, and what is saved on them."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from gateway.scenarios.imperial60 import DEMAND_MAX_J, LOSS_J, STORE_J
from historian.dispatch.imperial60 import TICKS, day_of, play
from historian.dispatch.imperial60.__main__ import main


def served(number: int, tick: int) -> tuple[float, float, float, int, int]:
    """The server's rules, written anew: draw, sun, demand, price asked, price paid."""
    sun = math.floor(100 * math.sin(math.pi * (tick - 15) / 30)) if 15 <= tick < 45 else 0
    base = math.floor(np.interp(tick, (0, 10, 20, 50, 60), (25, 25, 100, 100, 25)) + 1e-9)
    random.seed(number * 60 + tick)
    draw = random.gauss(0, 1)
    asked = max(10, math.trunc(10 + base - sun + 20 * draw))
    return draw, sun, max(0.02 * base + draw, 0.0), asked, asked // 2


@pytest.mark.parametrize("number", [0, 7, 100])
def test_a_day_is_what_the_server_says_of_it(number: int) -> None:
    day = day_of(number)
    for tick in range(TICKS):
        _, sun, demand, asked, paid = served(number, tick)
        assert day.sun_w[tick] * 100 == pytest.approx(sun)
        assert day.demand_w[tick] == pytest.approx(demand)
        assert (day.asked_cents[tick], day.paid_cents[tick]) == (asked, paid)


def test_jobs_have_ten_ticks_and_what_their_class_asks_for() -> None:
    for number in range(200):
        all_day, evening, any_time = day_of(number).jobs
        assert (all_day.start, all_day.end, all_day.energy_j) == (0, 59, 50.0)
        assert 40 <= evening.start <= 50
        assert 20.0 <= evening.energy_j <= 40.0
        assert 10.0 <= any_time.energy_j <= 50.0
        for job in (all_day, evening, any_time):
            assert 0 <= job.start <= job.end - 10
            assert job.end <= 59


def test_the_plan_saves_against_the_rule_and_no_more_than_foresight() -> None:
    days = 2
    played = play(100, days)
    rule, plan, foresight = (
        float(each.cost_cents.sum()) for each in (played.rule, played.plan, played.foresight)
    )
    assert foresight <= plan < rule
    assert played.plan.missed_j == pytest.approx(0.0, abs=1e-6)
    assert played.rule.missed_j == played.foresight.missed_j == 0.0
    demand = np.concatenate([np.minimum(day_of(100 + n).demand_w * 5, DEMAND_MAX_J) for n in range(days)])
    sun = np.concatenate([day_of(100 + n).sun_w * 5 for n in range(days)])
    jobs = sum(job.energy_j for n in range(days) for job in day_of(100 + n).jobs)
    for each in (played.rule, played.plan, played.foresight):
        assert each.store_j.min() >= -1e-6
        assert each.store_j.max() <= STORE_J + 1e-6
        stored = np.diff(each.store_j, prepend=0.0)
        left = each.bought_j + sun - demand - LOSS_J - stored  # what jobs took
        assert left.min() >= -1e-6
        assert (left + demand).max() <= DEMAND_MAX_J + 1e-6
        assert left.sum() == pytest.approx(jobs)


def test_live_shows_each_tick_with_what_the_table_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    """A day without waiting: the last line's sums are those of the table."""
    assert main(["--days", "1", "--live", "--pace", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + TICKS
    *_, plan_cents, _, _, rule_cents = lines[-1].split()
    assert main(["--days", "1"]) == 0
    _, rule, plan, saved, _ = capsys.readouterr().out.splitlines()[-2].split()
    assert (plan_cents, rule_cents) == (plan, rule)
    assert abs(int(rule) - int(plan) - int(saved)) <= 1
    with pytest.raises(SystemExit, match="2"):
        main(["--pace", "-1"])
    assert "--pace is -1.0: it must be 0 to 60" in capsys.readouterr().err
