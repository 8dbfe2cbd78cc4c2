"""HiGHS behind one function: a program in, values and a bound out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from historian.dispatch.basis import Marks
from historian.dispatch.matrix import Index, Program
from historian.dispatch.model import Floats
from historian.libraries import load

FEASIBILITY = 1e-9
"""Below the 1e-6 that plans keep by three orders, as errors of rows add up over a horizon's energies."""


class Outcome(Enum):
    SOLVED = "solved"
    """Within the gap."""
    STOPPED = "stopped"
    """Out of time, with a solution."""
    INFEASIBLE = "infeasible"
    LATE = "late"
    """Out of time, without one."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Solution:
    outcome: Outcome
    values: Floats
    bound: float
    """No solution of the program is below it."""
    gap: float
    words: str
    basis: tuple[Marks, Marks] | None = None
    """Of columns and rows, where the program has no integers."""


def run(
    program: Program,
    time_limit_s: float,
    gap: float,
    guess: tuple[Index, Floats] | None = None,
    longest_s: float = 0.0,
    basis: tuple[Marks, Marks] | None = None,
) -> Solution:
    """``guess``: columns and values to begin from, integers first of all; ``basis``: the same where there are none;
    ``longest_s``: the limit while there is no solution, where it is above the other. Raises ImportError without
    highspy.
    """
    highspy = load("highspy", "dispatch")
    highs = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("parallel", "off"),  # a plan runs beside control: it has one core
        ("time_limit", max(time_limit_s, 0.0)),
        ("mip_rel_gap", gap),
        # Our programs have solutions at hand, as needs may be missed at a cost: looking for one takes a quarter more.
        ("mip_heuristic_run_feasibility_jump", False),
        ("primal_feasibility_tolerance", FEASIBILITY),
        ("mip_feasibility_tolerance", FEASIBILITY),
    ):
        highs.setOptionValue(option, value)
    is_mixed = bool(program.integer.any())
    highs.passModel(_lp(highspy, program, is_mixed))
    if guess is not None and len(guess[0]) and is_mixed:
        highs.setSolution(len(guess[0]), guess[0], guess[1])
    if basis is not None and not is_mixed:
        highs.setOptionValue("presolve", "off")  # it would leave another program than the basis is of
        highs.setBasis(_to_basis(highspy, basis))
    highs.run()
    found = _read(highspy, highs, is_mixed)
    if found.outcome is Outcome.LATE and longest_s > time_limit_s:
        highs.setOptionValue("time_limit", longest_s - time_limit_s)  # it counts each run anew
        highs.run()
        found = _read(highspy, highs, is_mixed)
    return found


def _lp(highspy: Any, program: Program, is_mixed: bool) -> Any:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.cost), len(program.row_lower)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    lp.offset_ = program.offset
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = lp.num_col_, lp.num_row_
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = (
        program.starts,
        program.rows,
        program.values,
    )
    if is_mixed:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(mark)] for mark in program.integer]
    return lp


def _read(highspy: Any, highs: Any, is_mixed: bool) -> Solution:
    status = highs.getModelStatus()
    words = highs.modelStatusToString(status)
    info = highs.getInfo()
    has_values = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    values = np.array(highs.getSolution().col_value) if has_values else np.empty(0)
    gap = float(info.mip_gap) if is_mixed else 0.0
    stopped = (highspy.HighsModelStatus.kTimeLimit, highspy.HighsModelStatus.kInterrupt)
    if status == highspy.HighsModelStatus.kOptimal and has_values:
        outcome = Outcome.SOLVED
    elif status in stopped and has_values and is_mixed:
        outcome = Outcome.STOPPED
    elif status in stopped:
        outcome = Outcome.LATE
    elif status in (
        highspy.HighsModelStatus.kInfeasible,
        highspy.HighsModelStatus.kUnboundedOrInfeasible,  # nothing in our programs is unbounded
    ):
        outcome = Outcome.INFEASIBLE
    else:
        outcome = Outcome.FAILED
    proven = info.mip_dual_bound if is_mixed else info.objective_function_value
    bound = float(proven) if has_values else math.nan
    ended = None if is_mixed or outcome is not Outcome.SOLVED else _from_basis(highs.getBasis())
    return Solution(outcome, values, bound, gap, str(words), ended)


def _to_basis(highspy: Any, marks: tuple[Marks, Marks]) -> Any:
    kinds = [highspy.HighsBasisStatus(number) for number in range(5)]
    basis = highspy.HighsBasis()
    basis.col_status, basis.row_status = ([kinds[mark] for mark in part.tolist()] for part in marks)
    basis.valid = basis.alien = True  # alien: it may have to be mended
    return basis


def _from_basis(basis: Any) -> tuple[Marks, Marks] | None:
    if not basis.valid:
        return None
    columns, rows = (
        np.array([int(mark) for mark in part], dtype=np.int8) for part in (basis.col_status, basis.row_status)
    )
    return columns, rows
