"""Checks what a chart can do (IEC 61131-3 6.7.5): every step reached, none activated twice, one duration an action.

All sets of steps that can be active together are worked out, with every condition taken as one that may hold. Where
there are more of them than MOST_SETS the chart is left unjudged.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

from plc.language import ast, typed
from plc.language.diagnostics import Diagnostics, Related

MOST_SETS = 10_000  # of steps active together: some tenths of a second
_TIMED = frozenset({"L", "D", "SD", "DS", "SL"})

Active = frozenset[str]


def check_chart(chart: typed.Chart, node: ast.Chart, diagnostics: Diagnostics) -> None:
    """Report all that is wrong with a chart whose names are resolved."""
    if not _check_initial(chart, node, diagnostics):
        return  # which steps it begins with is a guess, and so would be all below
    known = {step.name for step in chart.steps}
    if not all(known.issuperset((*one.sources, *one.targets)) for one in chart.transitions):
        return
    initial = frozenset(step.name for step in chart.steps if step.is_initial)
    sets = _sets(chart, initial, diagnostics)
    if sets is not None:
        _check_reached(chart, sets, diagnostics)
        _check_durations(chart, sets, diagnostics)


def _check_initial(chart: typed.Chart, node: ast.Chart, diagnostics: Diagnostics) -> bool:
    """One initial step a network (6.7.2): what transitions connect is one network."""
    network = {step.name: {step.name} for step in chart.steps}
    for transition in chart.transitions:
        joined: set[str] = set()
        for name in (*transition.sources, *transition.targets):
            joined |= network.get(name, set())
        for name in joined:
            network[name] = joined
    initial = [step for step in chart.steps if step.is_initial]
    if not initial:
        diagnostics.report(
            "ST0601",
            node.span,
            "a chart has one INITIAL_STEP, this has 0",
            mend="write INITIAL_STEP for the first step",
        )
    is_right = bool(initial)
    spans = {step.name.key: step.name.span for step in node.steps}
    first: dict[int, typed.Step] = {}
    for step in initial:
        other = first.setdefault(id(network[step.name]), step)
        if other is not step:
            is_right = False
            diagnostics.report(
                "ST0601",
                spans[step.name],
                "a network of steps has one INITIAL_STEP, this is another",
                mend="write STEP for the others",
                related=(Related(spans[other.name], "it begins here"),),
            )
    return is_right


def _sets(chart: typed.Chart, initial: Active, diagnostics: Diagnostics) -> set[Active] | None:
    """Every set of steps that can be active together, or ``None`` where there are too many."""
    found = {initial}
    waiting = [initial]
    unsafe: set[str] = set()
    while waiting:
        active = waiting.pop()
        for transition in chart.transitions:
            if not active.issuperset(transition.sources):
                continue
            left = active.difference(transition.sources)
            for name in transition.targets:
                if name in left and name not in unsafe:
                    unsafe.add(name)
                    _report_unsafe(name, transition, chart, diagnostics)
            after = left.union(transition.targets)
            if after not in found:
                if len(found) == MOST_SETS:
                    return None
                found.add(after)
                waiting.append(after)
    return found


def _report_unsafe(
    name: str, transition: typed.Transition, chart: typed.Chart, diagnostics: Diagnostics
) -> None:
    step = next(one for one in chart.steps if one.name == name)
    diagnostics.report(
        "ST0603",
        transition.span,
        f"this can activate {step.variable.name} while it is active already",
        mend="let branches that begin together end together: FROM (A, B) TO …",
        related=(Related(step.variable.span, "the step is here"),),
    )


def _check_reached(chart: typed.Chart, sets: set[Active], diagnostics: Diagnostics) -> None:
    reached = frozenset[str]().union(*sets)
    for step in chart.steps:
        if step.name not in reached:
            diagnostics.report(
                "ST0811",
                step.variable.span,
                f"no transition ever leads to {step.variable.name}",
                mend="write a TRANSITION to it, or remove it",
            )
    for transition in chart.transitions:
        sources = frozenset(transition.sources)
        if sources <= reached and not any(sources <= active for active in sets):
            diagnostics.report(
                "ST0811",
                transition.span,
                f"{' and '.join(sorted(sources))} are never active together: this is never tested",
                mend="join branches that begin together, FROM (A, B), and others one by one",
            )


def _check_durations(chart: typed.Chart, sets: set[Active], diagnostics: Diagnostics) -> None:
    """6.7.4.6: at most one active association of an action has a duration."""
    uses: dict[int, list[tuple[str, typed.ActionUse]]] = {}
    for step in chart.steps:
        for use in step.actions:
            if use.qualifier in _TIMED:
                uses.setdefault(id(use.control), []).append((step.name, use))
    for found in uses.values():
        for (one, first), (other, second) in combinations_with_replacement(found, 2):
            if first is second or not any(one in active and other in active for active in sets):
                continue
            diagnostics.report(
                "ST0604",
                second.span,
                f"{second.control.name.removeprefix('tl_control_')} has another duration at the same time",
                mend="give one of them an action of its own",
                related=(Related(first.span, "the other is here"),),
            )
