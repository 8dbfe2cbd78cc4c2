"""Sequential function charts in C (IEC 61131-3 6.7): one evolution a scan, then the actions of the steps that hold.

In one call of a chart: the elapsed times of its active steps go on; the conditions of all enabled transitions are
tested on the steps as they are (6.7.5); those that clear deactivate all their sources, then activate all their
targets; each action's control is told which steps hold; BOOL variables show their control's Q; actions run.
On the very first call no transition is tested, so that the initial steps' actions run before anything leaves them.
"""

from __future__ import annotations

from plc.compiler.expressions import bare
from plc.compiler.layout import chart_member
from plc.compiler.statements import Statements
from plc.language import typed
from plc.language.symbols import Routine, Variable


class Charts(Statements):
    """The chart of one unit."""

    def chart(self, chart: typed.Chart) -> None:
        """The body of a unit that is a chart."""
        running = f"self->{chart_member('running', self.unit)}"
        self.span = chart.span
        self.emit(
            f"const int64_t tl_passed = tl_chart_passed(scan, &self->{chart_member('clock', self.unit)});"
        )
        self.emit(f"if ({running}) {{")
        self.depth += 1
        for step in chart.steps:
            place = self._step(step)
            self.emit(f"{place}.t = {place}.x ? tl_add_i64({place}.t, tl_passed) : {place}.t;", placed=False)
        self._evolve(chart)
        self.depth -= 1
        self.close()
        self.emit(f"{running} = true;", placed=False)
        self._act(chart)

    def _step(self, step: typed.Step) -> str:
        assert self.block is not None
        return f"self->{self.layout.path(self.block, step.variable)}"

    # ── evolution ──────────────────────────────────────────────────────────────────────────────────────────────
    def _evolve(self, chart: typed.Chart) -> None:
        places = {step.name: self._step(step) for step in chart.steps}
        clears: list[str] = []
        for number, transition in enumerate(chart.transitions):
            clears.append(f"tl_clear_{number + 1}")
            # Of two that leave one step the more urgent goes; those of one priority in the order of the text.
            rivals = [
                f"!{clears[earlier]}"
                for earlier, other in enumerate(chart.transitions[:number])
                if not set(other.sources).isdisjoint(transition.sources)
            ]
            self.span = transition.condition.span
            enabled = " && ".join((*(f"{places[name]}.x" for name in transition.sources), *rivals))
            self.emit(f"bool {clears[-1]} = false;", placed=False)
            self.emit(f"if ({enabled}) {{")
            self.depth += 1
            self.emit(f"{clears[-1]} = {bare(self.value(transition.condition))};")
            self.depth -= 1
            self.close()
        for is_active in (False, True):
            for clear, transition in zip(clears, chart.transitions, strict=True):
                self.span = transition.span
                self.emit(f"if ({clear}) {{")
                self.depth += 1
                for name in transition.targets if is_active else transition.sources:
                    self.emit(f"{places[name]}.x = {'true' if is_active else 'false'};")
                    if is_active:
                        self.emit(f"{places[name]}.t = 0;")
                self.depth -= 1
                self.close()

    # ── actions ────────────────────────────────────────────────────────────────────────────────────────────────
    def _act(self, chart: typed.Chart) -> None:
        """Actions go in the order in which the steps name them first."""
        uses: dict[Variable, list[tuple[typed.Step, typed.ActionUse]]] = {}
        for step in chart.steps:
            for use in step.actions:
                uses.setdefault(use.control, []).append((step, use))
        for control, found in uses.items():
            self._control(self._control_place(control), found)
        for control, found in uses.items():
            use = found[0][1]
            if use.variable is not None:
                self.span = use.span
                self.store(use.variable, f"{self._control_place(control)}.q")
        for control, found in uses.items():
            use = found[0][1]
            if use.action is not None:
                self.span = use.span
                self.emit(f"if ({self._control_place(control)}.a) {{")
                self.emit(f"    {self.whole.names[use.action]}(scan, state, {self._owner(use.action)});")
                self.close()

    def _control_place(self, control: Variable) -> str:
        assert self.block is not None
        return f"self->{self.layout.path(self.block, control)}"

    def _control(self, place: str, uses: list[tuple[typed.Step, typed.ActionUse]]) -> None:
        by_qualifier: dict[str, list[str]] = {}
        for step, use in uses:
            by_qualifier.setdefault(use.qualifier, []).append(f"{self._step(step)}.x")
        self.span = uses[0][1].span
        for qualifier, steps in by_qualifier.items():
            self.emit(f"{place}.{qualifier.lower()} = {' || '.join(dict.fromkeys(steps))};")
        timed = [(step, use) for step, use in uses if use.time is not None]
        if timed:
            self.emit(f"{place}.t = 0;")
        for step, use in timed:
            assert use.time is not None
            self.span = use.span
            self.emit(f"if ({self._step(step)}.x) {{")
            self.depth += 1
            self.emit(f"{place}.t = {bare(self.value(use.time))};")
            self.depth -= 1
            self.close()
        self.emit(f"tl_action_control(&{place}, tl_passed);")

    def _owner(self, action: Routine) -> str:
        assert action.owner is not None
        if action.owner is self.block:
            return "self"
        return f"(struct {self.layout.block(action.owner).c_name} *)(void *)self"
