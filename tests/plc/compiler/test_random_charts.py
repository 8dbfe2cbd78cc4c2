"""Random charts go as a reference written from 6.7.4.6 and 6.7.5 says, scan by scan.

A chart is grown from a loop of two steps by what keeps it safe: a step becomes two after each other or side by side,
or gets a way around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from plc import load

Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]
MS = 1_000_000
PLAIN, TIMED = ("N", "S", "R", "P", "P0", "P1"), ("L", "D", "SD", "DS", "SL")


@dataclass
class Transition:
    sources: list[str]
    targets: list[str]
    condition: int
    priority: int | None = None


@dataclass
class Use:
    output: int
    qualifier: str
    time_ms: int


@dataclass
class Chart:
    steps: list[str] = field(default_factory=lambda: ["S0", "S1"])
    transitions: list[Transition] = field(
        default_factory=lambda: [Transition(["S0"], ["S1"], 0), Transition(["S1"], ["S0"], 1)]
    )
    conditions: int = 2
    uses: dict[str, list[Use]] = field(default_factory=dict)
    outputs: int = 0

    def new_step(self) -> str:
        self.steps.append(f"S{len(self.steps)}")
        return self.steps[-1]

    def new_condition(self) -> int:
        self.conditions += 1
        return self.conditions - 1

    def lengthen(self, step: str) -> None:
        after = self.new_step()
        for one in self.transitions:
            one.sources = [after if name == step else name for name in one.sources]
        self.transitions.append(Transition([step], [after], self.new_condition()))

    def widen(self, step: str) -> None:
        beside = self.new_step()
        for one in self.transitions:
            for names in (one.sources, one.targets):
                if step in names:
                    names.append(beside)

    def go_around(self, transition: int, priority: int | None) -> None:
        around = self.transitions[transition % len(self.transitions)]
        other = self.new_step()
        self.transitions.append(Transition([*around.sources], [other], self.new_condition(), priority))
        self.transitions.append(Transition([other], [*around.targets], self.new_condition()))

    def text(self) -> str:
        lines = ["PROGRAM main", "VAR"]
        lines += [f" c{index} : BOOL;" for index in range(self.conditions)]
        lines += [f" o{index}, q{index} : BOOL; n{index} : INT;" for index in range(self.outputs)]
        lines.append("END_VAR")
        for number, step in enumerate(self.steps):
            lines.append(f"{'INITIAL_STEP' if number == 0 else 'STEP'} {step}:")
            for use in self.uses.get(step, ()):
                time = f", T#{use.time_ms}ms" if use.qualifier in TIMED else ""
                lines += [f" {name}{use.output} ({use.qualifier}{time});" for name in ("o", "act")]
            lines.append("END_STEP")
        for one in self.transitions:
            priority = "" if one.priority is None else f"(PRIORITY := {one.priority})"
            lines.append(
                f"TRANSITION {priority} FROM ({', '.join(one.sources)}) TO ({', '.join(one.targets)}) := "
                f"c{one.condition}; END_TRANSITION"
            )
        for index in range(self.outputs):
            lines.append(f"ACTION act{index}: n{index} := n{index} + 1; q{index} := act{index}.Q; END_ACTION")
        return "\n".join([*lines, "END_PROGRAM", ""])


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    chart = Chart()
    for _ in range(draw(st.integers(0, 5))):
        step = draw(st.sampled_from(chart.steps[1:]))
        match draw(st.sampled_from(["lengthen", "widen", "around"])):
            case "lengthen":
                chart.lengthen(step)
            case "widen":
                chart.widen(step)
            case _:
                chart.go_around(draw(st.integers(0, 20)), draw(st.sampled_from([None, 1, 2])))
    # An output has one use with a qualifier of any kind, and maybe a reset and plain ones elsewhere.
    for _ in range(draw(st.integers(1, 5))):
        output = chart.outputs
        chart.outputs += 1
        time_ms = draw(st.integers(0, 8)) * 50
        first = draw(st.sampled_from(chart.steps))
        chart.uses.setdefault(first, []).append(Use(output, draw(st.sampled_from([*PLAIN, *TIMED])), time_ms))
        for _ in range(draw(st.integers(0, 2))):
            step = draw(st.sampled_from([one for one in chart.steps if one != first]))
            chart.uses.setdefault(step, []).append(Use(output, draw(st.sampled_from(["R", "N", "S"])), 0))
    return chart


@dataclass
class Control:
    """What 6.7.4.6 draws for one action, on clock time: when each timer's input rose."""

    stored: dict[str, bool] = field(default_factory=dict)
    since: dict[str, int | None] = field(default_factory=dict)
    kept_ms: dict[str, int] = field(default_factory=dict)
    before: dict[str, bool] = field(default_factory=dict)
    q: bool = False

    def run(self, inputs: dict[str, bool], time_ms: int, now_ms: int) -> tuple[bool, bool]:
        """Q and whether the action runs."""
        set_ = not inputs["R"]
        for name in ("SD", "SL"):
            if inputs[name]:
                self.kept_ms[name] = time_ms
        for name in ("S", "SD", "SL"):
            self.stored[name] = set_ and (inputs[name] or self.stored.get(name, False))
        limit_over = self.over("L", inputs["L"], time_ms, now_ms)
        limited = inputs["L"] and not limit_over
        delayed = self.over("D", inputs["D"], time_ms, now_ms)
        stored_delayed = self.over("SD", self.stored["SD"], self.kept_ms.get("SD", 0), now_ms)
        delayed_stored = self.over("DS", inputs["DS"], time_ms, now_ms)
        self.stored["DS"] = set_ and (delayed_stored or self.stored.get("DS", False))
        stored_over = self.over("SL", self.stored["SL"], self.kept_ms.get("SL", 0), now_ms)
        edges = {name: inputs[name] and not self.before.get(name, False) for name in ("P", "P1")}
        falls = self.before.get("P0", False) and not inputs["P0"]
        was, self.before = self.q, dict(inputs)
        self.q = set_ and (
            inputs["N"]
            or self.stored["S"]
            or limited
            or delayed
            or edges["P"]
            or stored_delayed
            or self.stored["DS"]
            or (self.stored["SL"] and not stored_over)
        )
        return self.q, self.q or was or edges["P1"] or falls

    def over(self, name: str, holds: bool, time_ms: int, now_ms: int) -> bool:
        """A TON: whether the input has held for so long."""
        if not holds:
            self.since[name] = None
            return False
        since = self.since.get(name)
        if since is None:
            since = self.since[name] = now_ms
        return now_ms - since >= time_ms


class Reference:
    """A chart as the standard says it goes."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.active = {"S0"}
        self.began = dict.fromkeys(chart.steps, 0)
        self.times = dict.fromkeys(chart.steps, 0)
        self.controls = [Control() for _ in range(chart.outputs)]
        self.counts = [0] * chart.outputs
        self.flags = [False] * chart.outputs
        self.is_first = True

    def scan(self, conditions: list[bool], now_ms: int) -> None:
        if self.is_first:
            self.began["S0"] = now_ms
        for step in self.active:
            self.times[step] = now_ms - self.began[step]
        if not self.is_first:
            self.evolve(conditions, now_ms)
        self.is_first = False
        for output, control in enumerate(self.controls):
            uses = [
                (step in self.active, use)
                for step in self.chart.steps
                for use in self.chart.uses.get(step, ())
                if use.output == output
            ]
            inputs = {
                name: any(holds for holds, use in uses if use.qualifier == name) for name in (*PLAIN, *TIMED)
            }
            time_ms = max((use.time_ms for holds, use in uses if holds and use.qualifier in TIMED), default=0)
            q, runs = control.run(inputs, time_ms, now_ms)
            self.counts[output] += runs
            self.flags[output] = q if runs else self.flags[output]

    def evolve(self, conditions: list[bool], now_ms: int) -> None:
        taken: set[str] = set()
        left: set[str] = set()
        entered: set[str] = set()
        for one in sorted(
            self.chart.transitions, key=lambda one: 99 if one.priority is None else one.priority
        ):
            sources = set(one.sources)
            if sources <= self.active and not sources & taken and conditions[one.condition]:
                taken |= sources
                left |= sources
                entered |= set(one.targets)
        self.active = (self.active - left) | entered
        for step in entered:
            self.began[step], self.times[step] = now_ms, 0


SCANS = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.booleans(), min_size=12, max_size=12)), min_size=15, max_size=40
)
SETTINGS = {
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],  # each step of shrinking would build a program
    "deadline": None,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
}


@settings(max_examples=20, **SETTINGS)
@given(charts(), SCANS)
def test_random_charts_go_as_the_reference_says(chart: Chart, scans: list[tuple[int, list[bool]]]) -> None:
    bench, reference, now_ms = load(chart.text()), Reference(chart), 0
    for pause, conditions in scans:
        for index in range(chart.conditions):
            bench[f"main.c{index}"] = conditions[index]
        now_ms += pause * 50
        bench.scan(at_us=now_ms * 1000)
        reference.scan(conditions, now_ms)
        where = f"at {now_ms} ms of\n{chart.text()}"
        assert {step for step in chart.steps if bench[f"main.{step}.X"]} == reference.active, where
        assert {step: bench[f"main.{step}.T"] // MS for step in chart.steps} == reference.times, where
        for output, control in enumerate(reference.controls):
            assert bench[f"main.o{output}"] == control.q, where
            assert bench[f"main.n{output}"] == reference.counts[output], where
            assert bench[f"main.q{output}"] == reference.flags[output], where


@settings(max_examples=1, **SETTINGS)
@given(chart=charts(), scans=SCANS)
def test_random_charts_are_never_undefined(
    apart: Apart, clean_flags: tuple[str, ...], chart: Chart, scans: list[tuple[int, list[bool]]]
) -> None:
    inputs = [
        {f"c{index}": conditions[index] for index in range(chart.conditions)} for _, conditions in scans
    ]
    assert apart(chart.text(), inputs, clean_flags) == f"ran {len(scans)}"
