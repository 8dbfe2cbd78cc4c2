"""The plan of least cost, by a mixed-integer program of which only the binaries that matter are made.

Charging and discharging at once, or buying and selling, mostly does not pay; so it is forbidden only at the steps
where a solution does it, and the program is solved again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.annealing import anneal
from historian.dispatch.axis import Axis
from historian.dispatch.basis import Marks, basis_of, shifted
from historian.dispatch.conflicts import find_conflicts
from historian.dispatch.errors import DispatchError
from historian.dispatch.formulate import formulate
from historian.dispatch.formulation import Exclusive, Formulation
from historian.dispatch.matrix import Index, Matrix, Program
from historian.dispatch.model import Deferrable, Floats, GridTie, Load, Renewable, Site
from historian.dispatch.plan import Conflict, Plan, Status, settle
from historian.dispatch.solver import Outcome, Solution, run

ROUNDS = 4
"""Rounds that add binaries where they are violated; the one after adds them everywhere, and is the last."""

SHARE_OF_A_ROUND = 0.6
"""Of the time left, where another round may have to follow."""

BOTH = 1e-7
"""kW of the lesser of two that exclude each other, above which both count as used."""


SHARE_FROM_BASIS = 0.25
"""Of the time of a round, in which the last plan's basis must have led to the optimum: then it is solved without."""

WHOLE = 1e-9
"""How near to a whole number counts as one: on or off, and what it gives stays within what plans keep."""


class Solver(Enum):
    HIGHS = "highs"
    ANNEALING = "annealing"
    """Beside it, to be compared: see docs/dispatch.md for how far behind it is."""


def solve(
    site: Site,
    start: datetime,
    step: timedelta,
    horizon: int,
    *,
    deadline_s: float = 10.0,
    gap: float = 0.005,
    previous: Plan | None = None,
    solver: Solver = Solver.HIGHS,
) -> Plan:
    """The plan from ``start`` for ``horizon`` steps, within ``deadline_s`` seconds.

    ``solver``: annealing takes all of the deadline, and looks at neither ``gap`` nor ``previous``.

    ``previous`` says where to begin: its basis, or where whole numbers are to be found its gensets' hours, as far as
    it reaches. A plan that is not usable says why in
    its status; the last one is then still the caller's. Raises BadSite where series or times do not fit, ImportError
    where highspy is not installed.
    """
    if not deadline_s > 0 or not 0 <= gap < 1:
        raise DispatchError(f"deadline_s {deadline_s} and gap {gap}: they must be above 0, and 0 up to 1")
    if solver is Solver.ANNEALING:
        return anneal(site, start, step, horizon, deadline_s=deadline_s)
    began = time.perf_counter()
    until = began + deadline_s
    axis = Axis(start, step, horizon)
    f = formulate(site, axis)
    paid = _least_price(f) < 0.0
    for pair in f.exclusives:
        # Who is paid to draw burns what he can: that need not be found out by a round.
        f.add_exclusive(pair, np.flatnonzero(pair.matters & paid).astype(np.int32))
    guess = _guess_from(f, previous)
    basis = None if previous is None else shifted(previous.basis, axis, f.matrix)
    blocks: Matrix = f.matrix
    ended: tuple[Marks, Marks] | None = None
    rounds = 0
    while True:
        rounds += 1
        left = until - time.perf_counter()
        open_pairs = any(_open_steps(f, pair).any() for pair in f.exclusives)
        share = left * SHARE_OF_A_ROUND if open_pairs else left
        solution, found = _solved(f, share, gap, guess, left, basis)
        if found is not None:
            ended, blocks = found, f.matrix.copy()
        spent = time.perf_counter() - began
        if solution.outcome is Outcome.INFEASIBLE:
            conflicts = find_conflicts(f, until)
            words = "" if conflicts else "no plan exists; there was no time to find out why"
            spent = time.perf_counter() - began
            return _no_plan(axis, Status.INFEASIBLE, spent, rounds, words, conflicts)
        if solution.outcome is Outcome.LATE:
            return _no_plan(axis, Status.LATE, spent, rounds, f"no plan within {deadline_s:g} s")
        if solution.outcome is Outcome.FAILED:
            return _no_plan(axis, Status.FAILED, spent, rounds, solution.words)
        wrong = [(pair, _violated(f, pair, solution.values)) for pair in f.exclusives]
        if not any(steps.any() for _, steps in wrong):
            plan = _plan(f, solution, began, rounds)
            return plan if ended is None else replace(plan, basis=basis_of(axis, blocks, *ended))
        anywhere = np.logical_or.reduce([steps for _, steps in wrong])
        for pair, steps in wrong:
            f.add_exclusive(pair, _steps_to_add(f, pair, steps, anywhere, rounds))
        guess = _guess_again(f, solution.values)


def _solved(
    f: Formulation,
    share: float,
    gap: float,
    guess: tuple[Index, Floats] | None,
    left: float,
    basis: tuple[Marks, Marks] | None,
) -> tuple[Solution, tuple[Marks, Marks] | None]:
    """And the basis of the program without its integers. It is solved first, where only gensets and events have such:
    mostly they come out whole by themselves, in a third of the time. Where they do not, little is lost.
    """
    program = f.matrix.program()
    if f.sides:
        return run(program, share, gap, guess, left), None
    began = time.perf_counter()
    relaxed = _relaxed(replace(program, integer=np.zeros_like(program.integer)), share, gap, left, basis)
    if relaxed.outcome is Outcome.INFEASIBLE or relaxed.outcome is Outcome.LATE:
        return relaxed, None
    if relaxed.outcome is Outcome.SOLVED:
        whole = relaxed.values[program.integer]
        if np.abs(whole - np.round(whole)).max(initial=0.0) <= WHOLE:
            return relaxed, relaxed.basis
    spent = time.perf_counter() - began
    return run(program, max(share - spent, 0.0), gap, guess, max(left - spent, 0.0)), relaxed.basis


def _relaxed(
    program: Program, share: float, gap: float, left: float, basis: tuple[Marks, Marks] | None
) -> Solution:
    began = time.perf_counter()
    if basis is not None and share > 0:
        found = run(program, share * SHARE_FROM_BASIS, gap, basis=basis)
        if found.outcome in (Outcome.SOLVED, Outcome.INFEASIBLE):
            return found
    spent = time.perf_counter() - began
    return run(program, max(share - spent, 0.0), gap, None, max(left - spent, 0.0))


def _open_steps(f: Formulation, pair: Exclusive) -> NDArray[np.bool_]:
    """Where both may be used, as no binary forbids it."""
    sided = [(pair.asset, k) in f.sides for k in range(f.axis.horizon)]
    return np.asarray(pair.matters & ~np.array(sided), dtype=bool)


def _violated(f: Formulation, pair: Exclusive, values: Floats) -> NDArray[np.bool_]:
    both = np.minimum(values[pair.up], values[pair.down]) > BOTH
    return np.asarray(_open_steps(f, pair) & both, dtype=bool)


def _steps_to_add(
    f: Formulation, pair: Exclusive, wrong: NDArray[np.bool_], anywhere: NDArray[np.bool_], rounds: int
) -> Index:
    """First where it is violated. Then, as it moves from asset to asset and step to step, where power is worth no
    more than at any step violated, and beside those; in the end everywhere.
    """
    if rounds >= ROUNDS:
        chosen = pair.matters
    elif rounds == 1:
        chosen = wrong
    else:
        chosen = anywhere | _no_dearer(f, anywhere)
        if rounds > 2:
            chosen[1:] |= chosen[:-1]
            chosen[:-1] |= chosen[1:]
        chosen &= pair.matters
    return np.flatnonzero(chosen).astype(np.int32)


def _no_dearer(f: Formulation, steps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where buying costs no more than at the dearest of these; nowhere if nothing is bought."""
    least = _least_price(f)
    if not steps.any():
        return np.zeros(f.axis.horizon, dtype=bool)
    return np.asarray(least <= min(float(least[steps].max()), 0.0))


def _least_price(f: Formulation) -> Floats:
    """Of import at each step; infinite where nothing is bought."""
    least = np.full(f.axis.horizon, np.inf)
    for asset in f.site.assets:
        if isinstance(asset, GridTie):
            most = f.axis.series(asset.import_max_kw, asset.name, "import_max_kw")
            price = f.axis.series(asset.import_price_per_kwh, asset.name, "import_price_per_kwh")
            least = np.minimum(least, np.where(most > 0, price, np.inf))
    return least


def _guess_from(f: Formulation, previous: Plan | None) -> tuple[Index, Floats] | None:
    """Which gensets ran at the same times before; its last step holds on beyond its end."""
    if previous is None or not previous.is_usable or previous.step != f.axis.step:
        return None
    shift = f.axis.first_from(previous.start) * -1
    before = np.clip(np.arange(f.axis.horizon) + shift, 0, previous.horizon - 1)
    known = [(u, previous.running[name][before]) for name, u in f.running.items() if name in previous.running]
    if not known:
        return None
    columns = np.concatenate([u for u, _ in known])
    return columns, np.concatenate([on for _, on in known]).astype(np.float64)


def _guess_again(f: Formulation, values: Floats) -> tuple[Index, Floats]:
    """The integers as they were, and the side that each pair leaned to."""
    program = f.matrix.program()
    integer = np.flatnonzero(program.integer[: len(values)]).astype(np.int32)
    guess = dict(zip(integer.tolist(), np.round(values[integer]).tolist(), strict=True))
    pairs = {pair.asset: pair for pair in f.exclusives}
    for (asset, step), column in f.sides.items():
        if column >= len(values):
            pair = pairs[asset]
            guess[column] = float(values[pair.up[step]] > values[pair.down[step]])
    return np.array(list(guess), dtype=np.int32), np.array(list(guess.values()), dtype=np.float64)


def _no_plan(
    axis: Axis, status: Status, spent: float, rounds: int, words: str, conflicts: tuple[Conflict, ...] = ()
) -> Plan:
    return Plan(
        *(axis.start, axis.step, axis.horizon, status),
        solver_s=spent,
        rounds=rounds,
        words=words,
        conflicts=conflicts,
    )


def _plan(f: Formulation, solution: Solution, began: float, rounds: int) -> Plan:
    running = {name: np.round(solution.values[u]).astype(bool) for name, u in f.running.items()}
    powers: dict[str, Floats] = {}
    for flow in f.flows:
        power = flow.constant.copy()
        for sign, columns in flow.terms:
            power += sign * solution.values[columns]
        name = flow.asset.name
        powers[name] = -power if isinstance(flow.asset, Load | Deferrable) else power
        if isinstance(flow.asset, Load | Renewable):
            powers[name] = np.maximum(powers[name], 0.0)
        if name in running:
            powers[name] = np.where(running[name], power, 0.0)
    settled = settle(f.site, f.axis, powers, running)
    reserve = settled.reserve_short or (None, None)
    return Plan(
        *(f.axis.start, f.axis.step, f.axis.horizon),
        status=Status.OPTIMAL if solution.outcome is Outcome.SOLVED else Status.FEASIBLE,
        powers_kw=powers,
        energies_kwh=settled.energies_kwh,
        running=running,
        shortfall_kwh=settled.shortfall_kwh,
        reserve_short_kwh=reserve[0],
        reserve_short_kw=reserve[1],
        opted_out=settled.opted_out,
        imbalance_kw=np.zeros(f.axis.horizon),
        costs=settled.costs,
        gap=solution.gap,
        bound=solution.bound,
        solver_s=time.perf_counter() - began,
        rounds=rounds,
        exclusive_steps=len(f.sides),
    )
