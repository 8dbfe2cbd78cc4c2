"""The next plan begins at the basis of the last: shifted by hand-made examples, and to the same optimum."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from historian.dispatch import Battery, ElectricVehicle, Genset, GridTie, Load, Renewable, Site, Status, solve
from historian.dispatch.axis import Axis
from historian.dispatch.basis import AT_LOWER, BASIC, basis_of, shifted
from historian.dispatch.formulate import formulate
from historian.dispatch.matrix import Matrix
from historian.dispatch.solver import run

START = datetime(2026, 6, 1, 6, tzinfo=UTC)
STEP = timedelta(hours=1)


def matrix_of(blocks: list[tuple[str, int]], rows: list[tuple[str, int]]) -> Matrix:
    made = Matrix()
    for made.part, count in blocks:
        made.columns(count)
    for made.part, count in rows:
        made.rows(0.0, 0.0, count)
    return made


def test_what_a_part_had_each_step_is_shifted_and_what_is_new_stands_at_its_limit() -> None:
    before = matrix_of([("a", 4), ("a", 1), ("gone", 4), ("window", 3)], [("a", 4)])
    marks = np.array([1, 2, 0, 1, 2, 1, 1, 1, 1, 0, 1, 2], dtype=np.int8)
    basis = basis_of(Axis(START, STEP, 4), before, marks, np.array([0, 1, 2, 1], dtype=np.int8))
    after = matrix_of([("new", 4), ("a", 4), ("a", 1), ("window", 2), ("a", 4)], [("a", 4), ("new", 2)])
    found = shifted(basis, Axis(START + STEP, STEP, 4), after)
    assert found is not None
    columns, rows = found
    assert columns.tolist() == [AT_LOWER] * 4 + [2, 0, 1, 1] + [2] + [1, 2] + [AT_LOWER] * 4
    assert rows.tolist() == [1, 2, 1, 1] + [BASIC] * 2


@pytest.mark.parametrize(
    ("start", "step"), [(START + 4 * STEP, STEP), (START - STEP, STEP), (START, STEP / 2)]
)
def test_a_basis_of_other_steps_is_none(start: datetime, step: timedelta) -> None:
    made = matrix_of([("a", 4)], [("a", 4)])
    basis = basis_of(Axis(START, STEP, 4), made, np.ones(4, dtype=np.int8), np.ones(4, dtype=np.int8))
    assert shifted(basis, Axis(start, step, 4), made) is None


def site_of(seed: int, first: int) -> Site:
    """From a step on; vehicles come and go."""
    rng = np.random.default_rng(seed)
    load, sun, price = rng.uniform(5, 30, 40), rng.uniform(0, 25, 40), rng.uniform(0.1, 0.4, 40)
    vehicles = []
    for n in range(4):
        arrival = START + int(rng.integers(0, 10)) * STEP
        kwh = float(rng.uniform(5, 20))
        vehicle = ElectricVehicle(f"ev{n}", 60.0, kwh, arrival, arrival + 6 * STEP, 45.0, 11.0)
        if vehicle.departure > START + first * STEP:
            vehicles.append(vehicle)
    return Site(
        (
            Load("load", load[first:]),
            Renewable("sun", sun[first:]),
            Battery("battery", 50.0, 25.0, 20.0, 20.0, wear_cost_per_kwh=0.02, end_value_per_kwh=0.2),
            Genset("genset", 5.0, 20.0, 0.3, 0.5, 1.0, 2 * STEP, STEP),
            GridTie("grid", price[first:], 0.05, 60.0, 60.0, demand_charge_per_kw=0.4),
            *vehicles,
        )
    )


@given(seed=st.integers(0, 2**32 - 1), later=st.integers(0, 5))
@settings(max_examples=8)
def test_a_plan_from_the_last_ones_basis_costs_as_much_as_one_from_nothing(seed: int, later: int) -> None:
    first = solve(site_of(seed, 0), START, STEP, 16, gap=0.0, deadline_s=60)
    assert first.status is Status.OPTIMAL
    site, start = site_of(seed, later), START + later * STEP
    cold = solve(site, start, STEP, 16, gap=0.0, deadline_s=60)
    warm = solve(site, start, STEP, 16, gap=0.0, deadline_s=60, previous=first)
    assert (warm.status, first.basis is None) == (Status.OPTIMAL, False)
    assert warm.costs.total == pytest.approx(cold.costs.total, abs=1e-6)


def test_the_same_program_from_its_own_basis_is_solved_at_once() -> None:
    axis = Axis(START, STEP, 16)
    f = formulate(site_of(1, 0), axis)
    program = f.matrix.program()
    relaxed = replace(program, integer=np.zeros_like(program.integer))
    cold = run(relaxed, 60.0, 0.0)
    assert cold.basis is not None
    again = shifted(basis_of(axis, f.matrix, *cold.basis), axis, f.matrix)
    assert again is not None
    # No time at all: from nothing it is late, and from its own basis there is nothing left to do.
    assert run(relaxed, 0.0, 0.0).basis is None
    found = run(relaxed, 0.0, 0.0, basis=again)
    assert found.basis is not None
    np.testing.assert_allclose(found.values, cold.values, atol=1e-6)
