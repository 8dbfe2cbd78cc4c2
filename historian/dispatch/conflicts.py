"""Which constraints cannot hold together, when no plan exists.

An irreducible set of named constraints is found by halving (U. Junker, QuickXplain, AAAI 2004): every one of them
is needed for the conflict. Then each alone is given slack, as little as serves, which says when and by how much.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from historian.dispatch.formulation import Formulation
from historian.dispatch.matrix import Family, Index, Matrix, Program
from historian.dispatch.plan import SMALL, Conflict
from historian.dispatch.solver import Outcome, run


@dataclass(frozen=True, slots=True)
class _Constraint:
    family: Family
    rows: Index
    steps: Index


@dataclass(slots=True)
class _Search:
    program: Program
    constraints: list[_Constraint]
    until: float
    is_late: bool = False

    def holds(self, kept: Sequence[_Constraint]) -> bool:
        """Whether these and all nameless rows can hold together."""
        free = np.zeros(len(self.program.row_lower), dtype=bool)
        for constraint in self.constraints:
            free[constraint.rows] = True
        for constraint in kept:
            free[constraint.rows] = False
        asked = replace(
            self.program,
            cost=np.zeros_like(self.program.cost),
            row_lower=np.where(free, -np.inf, self.program.row_lower),
            row_upper=np.where(free, np.inf, self.program.row_upper),
        )
        left = self.until - time.perf_counter()
        outcome = run(asked, left, 0.0).outcome if left > 0 else Outcome.LATE
        self.is_late |= outcome not in (Outcome.SOLVED, Outcome.INFEASIBLE)
        return outcome is not Outcome.INFEASIBLE

    def explain(self, held: list[_Constraint], is_new: bool, others: list[_Constraint]) -> list[_Constraint]:
        """The fewest of ``others`` that conflict with ``held``; each of them is needed."""
        if self.is_late or (is_new and not self.holds(held)):
            return []
        if len(others) <= 1:
            return others
        first, second = others[: len(others) // 2], others[len(others) // 2 :]
        from_second = self.explain([*held, *first], True, second)
        return self.explain([*held, *from_second], bool(from_second), first) + from_second


def find_conflicts(formulation: Formulation, until: float) -> tuple[Conflict, ...]:
    """Empty where there was no time by ``until`` (of time.perf_counter)."""
    matrix = formulation.matrix.copy()
    for limits in matrix.limits:
        rows = matrix.rows(limits.lower, limits.upper, len(limits.columns), limits.family, limits.steps)
        matrix.add(rows, limits.columns, 1.0)
    matrix.limits = []
    constraints = _constraints(matrix)
    program = matrix.program()
    relaxed = replace(program, integer=np.zeros_like(program.integer))
    search = _Search(relaxed, constraints, until)
    if search.holds(constraints):  # only whole numbers make it impossible
        search = _Search(program, constraints, until)
    if search.is_late or not search.constraints:
        return ()
    found = search.explain([], False, constraints)
    if search.is_late:
        return ()
    return tuple(_measure(formulation, matrix, search.program, constraint, until) for constraint in found)


def _constraints(matrix: Matrix) -> list[_Constraint]:
    rows: dict[Family, list[Index]] = {}
    steps: dict[Family, list[Index]] = {}
    for named in matrix.named:
        if named.family is None:
            continue
        count = len(named.steps)
        rows.setdefault(named.family, []).append(np.arange(named.first, named.first + count, dtype=np.int32))
        steps.setdefault(named.family, []).append(named.steps)
    return [
        _Constraint(family, np.concatenate(rows[family]), np.concatenate(steps[family])) for family in rows
    ]


def _measure(
    formulation: Formulation, matrix: Matrix, program: Program, constraint: _Constraint, until: float
) -> Conflict:
    """The least slack of one constraint that lets all the others hold."""
    family, axis = constraint.family, formulation.axis
    bare = Conflict(family.asset, family.words, family.unit)
    elastic = matrix.copy()
    count = len(constraint.rows)
    over, under = elastic.columns(count), elastic.columns(count)
    elastic.add(constraint.rows, over, -1.0)
    elastic.add(constraint.rows, under, 1.0)
    slack = elastic.program()
    cost = np.zeros_like(slack.cost)
    cost[over] = cost[under] = 1.0
    integer = np.concatenate((program.integer, np.zeros(2 * count, dtype=bool)))
    left = until - time.perf_counter()
    if left <= 0:
        return bare
    solution = run(replace(slack, cost=cost, integer=integer, offset=0.0), left, 1e-3)
    if solution.outcome is not Outcome.SOLVED:
        return bare
    missed = solution.values[over] + solution.values[under]
    steps = constraint.steps[missed > SMALL]
    if not len(steps):
        return bare
    return replace(
        bare,
        first=axis.time(int(steps.min())),
        end=axis.time(int(steps.max()) + 1),
        amount=float(missed.max()),
    )
