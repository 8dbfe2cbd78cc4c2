"""The desk-top grid: it balances, keeps its limits, and plays nothing of one tick in another."""

import random

import pytest
from pymodbus.constants import ExcCodes

from gateway.scenarios.imperial60 import TICKS, day_of
from gateway.simulator.devices.imperial60 import STORE as STORE_MAP
from gateway.simulator.devices.registers import FLOAT32, Table
from gateway.simulator.plant.imperial60 import (
    DAY_S,
    DEMAND_MAX_KW,
    KW_PER_W,
    LOSSES_KW,
    STORE_KW,
    STORE_KWH,
    TICK_S,
    Imperial60,
)

DAY = 5_900_000


def test_it_balances_and_keeps_its_limits_whatever_is_commanded() -> None:
    choose = random.Random(7)
    plant = Imperial60(0, DAY * DAY_S)
    now_s = DAY * DAY_S
    while now_s < (DAY + 1) * DAY_S:
        plant.store.setpoint_kw = choose.uniform(-STORE_KW, STORE_KW)
        for job in plant.jobs:
            job.setpoint_kw = choose.uniform(0.0, DEMAND_MAX_KW)
        now_s += choose.uniform(0.01, 3.0)
        plant.step(now_s)
        jobs_kw = sum(job.power_kw for job in plant.jobs)
        given_kw = plant.tie_kw + plant.sun_kw + plant.store.power_kw
        assert given_kw == pytest.approx(plant.demand_kw + LOSSES_KW + jobs_kw, abs=1e-6)
        assert 0.0 <= plant.store.energy_kwh <= STORE_KWH
        # Demand may have changed with the tick that has just begun, jobs have not moved in it yet.
        assert jobs_kw <= DEMAND_MAX_KW


def test_what_a_store_gives_and_takes_is_what_it_holds_less_and_more() -> None:
    plant = Imperial60(0, DAY * DAY_S)
    plant.store.setpoint_kw = -3_600.0
    plant.step(DAY * DAY_S + 20.0)
    assert plant.store.energy_kwh == pytest.approx(20.0)
    plant.store.setpoint_kw = STORE_KW
    plant.step(DAY * DAY_S + 20.0 + TICK_S)
    assert plant.store.energy_kwh == 0.0


def test_uncommanded_jobs_run_at_once_and_are_done() -> None:
    plant = Imperial60(0, DAY * DAY_S)
    first = day_of(DAY).jobs[0]
    assert plant.jobs[0].energy_kwh == first.energy_j
    for tick in range(TICKS - 1):
        plant.step(DAY * DAY_S + (tick + 1) * TICK_S)
    assert [job.done_kwh for job in plant.jobs] == pytest.approx([job.energy_j for job in day_of(DAY).jobs])
    assert [job.closes_s for job in plant.jobs] == [0.0, 0.0, 0.0]
    plant.step((DAY + 1) * DAY_S)
    assert [job.done_kwh for job in plant.jobs] == [0.0, 0.0, 0.0]
    assert plant.day.number == DAY + 1


def test_each_tick_has_what_the_day_says_and_steps_over_it_lose_nothing() -> None:
    plant = Imperial60(5, (DAY - 5) * DAY_S)
    day = day_of(DAY)
    for tick in range(TICKS):
        plant.step((DAY - 5) * DAY_S + tick * TICK_S + 0.01)
        assert plant.tick == tick
        assert plant.sun_kw == pytest.approx(day.sun_w[tick] * KW_PER_W)
        assert plant.asked_eur_per_kwh == pytest.approx(day.asked_cents[tick] / 100)
        assert plant.paid_eur_per_kwh == pytest.approx(day.paid_cents[tick] / 100)


def test_a_clock_that_jumps_begins_there() -> None:
    plant = Imperial60(0, DAY * DAY_S)
    plant.step((DAY + 40) * DAY_S + 31.0)
    assert (plant.day.number, plant.tick) == (DAY + 40, 6)
    plant.step(DAY * DAY_S)
    assert (plant.day.number, plant.tick) == (DAY, 0)


def test_a_setpoint_beyond_its_nameplate_is_refused() -> None:
    plant = Imperial60(0, DAY * DAY_S)
    words = FLOAT32.encode(STORE_KW * 2, 1.0)
    assert STORE_MAP.write(plant.store, Table.HOLDING, 0, words) is ExcCodes.ILLEGAL_VALUE
    assert plant.store.setpoint_kw == 0.0
