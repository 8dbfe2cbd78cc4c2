"""A typed program as one C file and its table of symbols."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from plc.compiler.coverage import HEAD as COVERAGE_HEAD
from plc.compiler.coverage import Places
from plc.compiler.layout import Record, as_text, definition, is_open, scalar, standard_call
from plc.compiler.refusals import CompileFault, NotCompiled, Refusal
from plc.compiler.symbols import Symbols, describe
from plc.compiler.testing import Test, check_signature, place_assertion, tests_of, without_tests
from plc.compiler.units import Unit, argument_names, parameter_list
from plc.compiler.whole import Whole, is_program, routines
from plc.compiler.writer import Line, with_line_directives
from plc.language import ast, typed
from plc.language.analysis import Program
from plc.language.configuration import Instance, Setting, Task
from plc.language.source import Span
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import NOTHING, StringOf, Structure, Type

VERSION = 1  # of what is generated: a change of it makes every cached program new
DEFAULT_INTERVAL_NS = 1_000_000
LOWEST_PRIORITY = 65_535
NO_OFFSET = "UINT32_MAX"
NESTED = "state->tl_nested"  # calls through interfaces and references that can come back to where they began
MOST_NESTED = 32  # of them within each other: a board has 4 KiB of stack, a call takes about 100 bytes of it

_HEAD = """\
/* Made from Structured Text by plc.compiler: change that, not this. */
/* A program may declare what it does not use, and compare what is always so: the front end has warned of it. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wunused-label"
#pragma GCC diagnostic ignored "-Wunused-const-variable"
#pragma GCC diagnostic ignored "-Wtype-limits"
#define TL_PUBLIC __attribute__((visibility("default")))
#else
#define TL_PUBLIC
#endif
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wtautological-compare"
#pragma GCC diagnostic ignored "-Wself-assign"
#endif
#define TL_BLOCK static
#include "blocks.h"
#include "blocks.c"
"""

# Lets a host that is no C program run any entry point within the guard of tl_program_step.
_GUARD = """\

TL_PUBLIC bool tl_guard_v1(void (*run)(struct tl_scan *, void *), struct tl_scan *scan, void *state);
TL_PUBLIC bool tl_guard_v1(void (*run)(struct tl_scan *, void *), struct tl_scan *scan, void *state)
{
    const struct tl_task task = {.run = run};
    return tl_program_step(&task, scan, state);
}"""


@dataclass(frozen=True, slots=True)
class Generated:
    """What comes out: C, and what is where in its state."""

    c: str
    symbols: Symbols
    digest: str


@dataclass(frozen=True, slots=True)
class _TaskPlan:
    name: str
    interval_ns: int
    priority: int
    event: str | None  # the path of a BOOL
    instances: list[tuple[str, Instance | None, Block]]  # where in the state


def generate(
    program: Program, *, with_calls: bool = False, with_tests: bool = False, coverage: bool = False
) -> Generated:
    """C for a program without errors; raises CompileFault with everything that is not compiled yet.

    ``with_calls`` adds an entry point for each function, with its parameters in the state, for the test bench;
    ``with_tests`` one for each test, which are left out otherwise; ``coverage`` counts what runs.
    """
    if not with_tests:
        try:
            program = without_tests(program)
        except NotCompiled as refused:
            raise CompileFault([refused.refusal]) from None
    return _Generator(program, with_calls, with_tests, coverage).generate()


class _Generator:
    def __init__(self, program: Program, with_calls: bool, with_tests: bool, coverage: bool) -> None:
        self.program = program
        self.with_calls = with_calls
        self.refusals: list[Refusal] = []
        self.whole = Whole(program)
        self.whole.places = Places() if coverage else None
        self.whole.with_tests = with_tests
        self.tests = tests_of(program) if with_tests else []
        self.test_places: list[str] = []
        self.layout = self.whole.layout
        self.elsewhere: list[str] = []  # what tells that an instance runs in a task of its own
        self.started: list[tuple[str, Setting]] = []  # what VAR_CONFIG gives an initial value
        self.extents: dict[str, tuple[str, int, int]] = {}  # area, first bit, bit behind the last, by address
        self.lines: list[Line] = []
        self.roots: list[tuple[str, Block | typed.DirectUse, str]] = []

    def generate(self) -> Generated:
        whole = self.whole
        plans = self._try(self._plan_tasks) or []
        self._try(self._settings)
        self._try(self._place_globals)
        self._try(self._place_tests)
        self._try(partial(place_assertion, whole, self.program))
        self._try(whole.place_frames)
        calls = self._call_records() if self.with_calls else []
        self._stop_if_refused()
        if whole.circular:
            whole.state.add("tl_nested", "uint32_t", 4, 4)
        whole.state.close()
        units = self._units()
        functions: list[list[Line]] = []
        signatures: list[str] = []
        for unit in units:
            compiled = Unit(whole, unit)
            lines = self._try(compiled.function)
            signature = self._try(compiled.signature)
            if lines is not None and signature is not None:
                functions.append(lines)
                signatures.append(f"{signature};")
        starts = [
            one for block in self.program.blocks if not block.is_interface for one in [self._start(block)]
        ]
        init = self._init()
        dispatch = self._dispatchers()
        tasks = self._tasks(plans)
        entries = [*self._call_entries(calls), *self._test_entries()]
        self._stop_if_refused()
        digest = self._digest()
        symbols = self._symbols(plans, calls, digest)
        self._try(partial(self._name_access, symbols))
        self._stop_if_refused()
        text = self._assemble(
            signatures, functions, starts, init, dispatch, tasks, entries, plans, digest, symbols
        )
        return Generated(text, symbols, digest)

    def _try(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except NotCompiled as refused:
            self.refusals.append(refused.refusal)
            return None

    def _stop_if_refused(self) -> None:
        if self.refusals:
            raise CompileFault(dict.fromkeys(self.refusals))

    def _digest(self) -> str:
        options = f"{self.with_calls} {self.whole.with_tests} {self.whole.places is not None}"
        hash_ = hashlib.sha256(f"tieline {VERSION} {options}".encode())
        for source in self.program.sources:
            hash_.update(source.path.encode() + b"\0" + source.text.encode() + b"\0")
        return hash_.hexdigest()

    # ── the state ──────────────────────────────────────────────────────────────────────────────────────────────
    def _place_globals(self) -> None:
        located: dict[str, tuple[str, Type]] = {}
        for address, (variable, place) in self.whole.configured.items():
            self._check_overlap(address, variable.type, variable.span)
            located[address] = (place, variable.type)
        for variable in self.program.globals:
            self._place_one(variable, located)
        for block in self.program.blocks:
            for variable in block.variables.values():
                if variable.location is not None and "*" not in variable.location and is_program(block):
                    self._place_one(variable, located)
        for node in self.whole.direct_uses:
            if node.address not in located:
                self._check_overlap(node.address, node.type, node.span)
                place = self.whole.add_global(node.address.strip("%").replace(".", "_"), node.type, node.span)
                located[node.address] = (place, node.type)
                self.roots.append((node.address, node, place))
            self.whole.direct[node.address] = self._at(located[node.address], node.type, node.span)

    def _place_one(self, variable: Variable, located: dict[str, tuple[str, Type]]) -> None:
        address = variable.location
        if address is not None and "*" not in address:
            self._check_overlap(address, variable.type, variable.span)
            if address in located:
                self.whole.globals[variable] = self._at(located[address], variable.type, variable.span)
                return
        place = self.whole.add_global(variable.name, variable.type, variable.span, variable)
        self.whole.globals[variable] = place
        if address is not None and "*" not in address:
            located[address] = (place, variable.type)

    def _at(self, located: tuple[str, Type], type_: Type, span: Span) -> str:
        """A located variable as another one of the same size at the same address sees it: the bits are shared."""
        place, first = located
        ours, theirs = self.layout.shape(type_, span), self.layout.shape(first, span)
        if ours[0] == theirs[0]:
            return place
        if scalar(type_) is None or scalar(first) is None:
            raise NotCompiled(span, f"{first} and {type_} can not share an address", "use one type for it")
        seen = f"(*({ours[0]} *)(void *)&{place})"
        self.whole.within[seen] = self.whole.within.get(place, (place, 0))
        return seen

    def _check_overlap(self, address: str, type_: Type, span: Span) -> None:
        """Variables at one address are one variable; addresses of other sizes in the same bytes are refused."""
        area, first, last = _extent(address)
        if scalar(type_) is None:
            last = max(last, first + 8 * self.layout.shape(type_, span)[1])
        extent = area, first, last
        for other, (other_area, other_first, other_last) in self.extents.items():
            if (
                (other != address or extent != self.extents[other])
                and area == other_area
                and first < other_last
                and other_first < last
            ):
                raise NotCompiled(
                    span,
                    f"{address} lies in the same memory as {other}, and is not of the same size",
                    "use one size for one address",
                )
        self.extents[address] = extent

    def _plan_tasks(self) -> list[_TaskPlan]:
        if not self.program.configurations:
            instances: list[tuple[str, Instance | None, Block]] = []
            for block in self.program.programs:
                if any(one.block is block for one in self.tests):
                    continue
                place = self._add_program(block.name, block)
                self.whole.programs[block] = place
                self.whole.instances[block.name.upper()] = place
                instances.append((place, None, block))
            return [_TaskPlan("default", DEFAULT_INTERVAL_NS, LOWEST_PRIORITY, None, instances)]
        plans: list[_TaskPlan] = []
        seen: dict[Block, int] = {}
        for configuration in self.program.configurations:
            for resource in configuration.resources:
                by_task: dict[str | None, list[tuple[str, Instance | None, Block]]] = {}
                for instance in resource.programs:
                    place = self._add_program(instance.name, instance.program)
                    seen[instance.program] = seen.get(instance.program, 0) + 1
                    self.whole.programs[instance.program] = place
                    self.whole.instances[instance.name.upper()] = place
                    by_task.setdefault(instance.task, []).append((place, instance, instance.program))
                for instance in resource.programs:
                    for chain, task in instance.block_tasks:
                        by_task.setdefault(task, []).append(self._runs_alone(instance, chain))
                plans += [self._task(task, by_task.get(task.name, [])) for task in resource.tasks]
                if None in by_task:
                    plans.append(
                        _TaskPlan("default", DEFAULT_INTERVAL_NS, LOWEST_PRIORITY, None, by_task[None])
                    )
        for block, count in seen.items():
            if count > 1:
                del self.whole.programs[block]
        return plans

    def _task(self, task: Task, instances: list[tuple[str, Instance | None, Block]]) -> _TaskPlan:
        event: str | None = None
        if task.single is not None and not isinstance(task.single, typed.Literal):
            if task.interval_ns is not None:
                raise NotCompiled(
                    task.span,
                    "a task with INTERVAL and a SINGLE that changes is not compiled",
                    "write two tasks",
                )
            event = _path(task.single, "SINGLE is compiled for")
        return _TaskPlan(task.name, task.interval_ns or 0, task.priority, event, instances)

    def _name_access(self, symbols: Symbols) -> None:
        """VAR_ACCESS (6.8.1): one more name of a variable."""
        for configuration in self.program.configurations:
            for one in configuration.access:
                place = symbols.find(_path(one.variable, "VAR_ACCESS names"))
                flags = ["access"] if one.is_writable else ["access", "read_only"]
                symbols.variables.setdefault(
                    one.name.upper(),
                    {
                        "name": one.name,
                        "type": place.type,
                        "offset": place.offset,
                        "bytes": place.bytes,
                        "flags": flags,
                    },
                )

    def _runs_alone(self, instance: Instance, chain: tuple[Variable, ...]) -> tuple[str, None, Block]:
        """A block of a program that runs in a task of its own (6.8.2); calls of it only hand its parameters over."""
        place, owner = self._inner(instance.name, chain[:-1])
        block = chain[-1].type
        assert isinstance(owner, Block)
        assert isinstance(block, Block)
        self.elsewhere.append(f"{place}.{self.layout.runs_elsewhere(owner, chain[-1])}")
        return f"{place}.{self.layout.path(owner, chain[-1])}", None, block

    def _inner(self, instance: str, chain: tuple[Variable, ...]) -> tuple[str, Type]:
        """A variable of a program's instance, however deep, and its type."""
        root = self.whole.instances[instance.upper()]
        place = root
        type_: Type = next(block for name, block, _ in self.roots if name.upper() == instance.upper())  # type: ignore[assignment]  # an instance is of a block
        inside = 0
        for variable in chain:
            if isinstance(type_, Block):
                place += f".{self.layout.path(type_, variable)}"
                inside += self.layout.offset(type_, variable)
            else:
                assert isinstance(type_, Structure)
                member = self.layout.structure(type_).by_variable[variable]
                place += f".{member.c_name}"
                inside += member.offset
            type_ = variable.type
        self.whole.within[place] = (root, inside)
        return place, type_

    def _settings(self) -> None:
        """VAR_CONFIG (6.8.1): what it locates is the instance's own variable under that address too."""
        settings = [*self.program.settings]
        for configuration in self.program.configurations:
            settings += configuration.settings
        for setting in settings:
            place, _ = self._inner(setting.instance, setting.chain)
            if setting.location is not None:
                known = self.whole.configured.get(setting.location)
                if known is not None and known[1] != place:
                    raise NotCompiled(
                        setting.span,
                        f"{setting.location} is already the address of {known[0].name}",
                        "give one of them another address",
                    )
                self.whole.configured[setting.location] = (setting.variable, place)
            if setting.initial is not None:
                self.started.append((place, setting))

    def _add_program(self, name: str, block: Block) -> str:
        if any(root[0].upper() == name.upper() for root in self.roots):
            raise NotCompiled(block.span, f"two program instances are called {name}", "rename one")
        place = self.whole.add_global(name, block, block.span)
        self.roots.append((name, block, place))
        return place

    # ── functions ──────────────────────────────────────────────────────────────────────────────────────────────
    def _units(self) -> list[Routine | Block]:
        units: list[Routine | Block] = list(self.program.functions)
        for block in self.program.blocks:
            if not block.is_interface:
                units += [one for one in routines(block) if not one.is_abstract]
                units.append(block)
        return units

    def _start(self, block: Block) -> tuple[str, list[Line]]:
        unit = Unit(self.whole, block)
        record = self.layout.block(block)
        head = (
            f"static void start_{self.whole.names[block]}(struct tl_scan *scan, struct state *state, "
            f"struct {record.c_name} *self)"
        )
        self._try(partial(unit.start_members, block))
        return f"{head};", [
            Line(0, "", None),
            Line(0, head, None),
            Line(0, "{", None),
            *unit.lines,
            Line(0, "}", None),
        ]

    def _init(self) -> list[Line]:
        owner = Block("state", _nowhere(self.program), _PROGRAM)
        unit = Unit(self.whole, owner)
        unit.block = None
        unit.emit("struct state *const state = memory;", placed=False)
        unit.emit("memset(state, 0, sizeof *state);", placed=False)
        for variable, place in self.whole.globals.items():
            unit.span = variable.span
            self._try(partial(unit.settle, place, variable.type, variable.initial, variable.span))
        for variable, place in self.whole.statics.items():
            unit.span = variable.span
            self._try(partial(unit.settle, place, variable.type, variable.initial, variable.span))
        for _, block, place in self.roots:
            if isinstance(block, Block):
                unit.emit(f"start_{self.whole.names[block]}(scan, state, &{place});", placed=False)
        for place, setting in self.started:
            unit.span = setting.span
            self._try(partial(unit.start, place, setting.variable.type, setting.initial, setting.span))
        for place in self.elsewhere:
            unit.emit(f"{place} = true;", placed=False)
        return [
            Line(0, "", None),
            Line(0, "static void init(struct tl_scan *scan, void *memory)", None),
            Line(0, "{", None),
            *unit.lines,
            Line(0, "}", None),
        ]

    def _dispatchers(self) -> list[tuple[str, list[str]]]:
        found: list[tuple[str, list[str]]] = []
        for (static, key, kind), name in self.whole.dispatchers.items():
            lines = self._try(partial(self._dispatcher, static, key, kind, name))
            if lines is not None:
                found.append(lines)
        return found

    def _dispatcher(self, static: Block, key: str, kind: str, name: str) -> tuple[str, list[str]]:
        routine = _promised(static, key, kind)
        unit = Unit(self.whole, routine)
        result, parameters = parameter_list(unit, routine)
        all_parameters = ", ".join(
            ("struct tl_scan *scan", "struct state *state", "uint32_t at", "uint32_t *self", *parameters)
        )
        head = f"static {result} {name}({all_parameters})"
        lines = ["", head, "{", "    switch (*self) {"]
        for block in self.whole.derived.get(static, ()):
            found = block.implementation(routine)
            if found is None or block not in self.layout.type_ids:
                continue
            assert found.owner is not None
            owner = self.layout.block(found.owner)
            names = ", ".join(
                ("scan", "state", f"(struct {owner.c_name} *)(void *)self", *argument_names(routine))
            )
            call = f"{self.whole.names[found]}({names});"
            lines.append(f"    case {self.layout.type_ids[block]}: /* {block.name} */ {{")
            is_counted = found in self.whole.circular
            if is_counted:
                at = unit.at(found.span)
                lines.append(f"        tl_check(scan, {NESTED} < {MOST_NESTED}u, TL_FAULT_LOOP, {at});")
                lines.append(f"        {NESTED}++;")
            lines.append(f"        {call}" if result == "void" else f"        const {result} found = {call}")
            if is_counted:
                lines.append(f"        {NESTED}--;")
            lines += ["        return;" if result == "void" else "        return found;", "    }"]
        lines += [
            "    default:",
            "        tl_fault_at(scan, TL_FAULT_INTERFACE, at);",
            "    }",
            "}",
        ]
        return f"{head};", lines

    # ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _tasks(self, plans: list[_TaskPlan]) -> list[Line]:
        lines: list[Line] = []
        for number, plan in enumerate(plans):
            owner = Block("task", _nowhere(self.program), _PROGRAM)
            unit = Unit(self.whole, owner)
            unit.block = None
            unit.emit("struct state *const state = memory;", placed=False)
            self._begin(unit)
            for place, instance, block in plan.instances:
                self._try(partial(self._run_instance, unit, place, instance, block))
            lines += [
                Line(0, "", None),
                Line(
                    0,
                    f"static void task_{number}(struct tl_scan *scan, void *memory) /* {_comment(plan.name)} */",
                    None,
                ),
                Line(0, "{", None),
                *unit.lines,
                Line(0, "}", None),
            ]
        return lines

    def _begin(self, unit: Unit) -> None:
        """A fault may have left calls that never came back."""
        if self.whole.circular:
            unit.emit(f"{NESTED} = 0;", placed=False)

    def _run_instance(self, unit: Unit, place: str, instance: Instance | None, block: Block) -> None:
        taken: list[tuple[str, str]] = []
        if instance is not None:
            unit.span = instance.span
            for given in instance.inputs:
                unit._give(place, block, given, taken)  # a program is called as a block is
        if block.is_standard:
            unit.emit(f"{standard_call(block, place)};", placed=False)
        else:
            unit.emit(f"{self.whole.names[block]}(scan, state, &{place});", placed=False)
        if instance is not None:
            for output in instance.outputs:
                assert isinstance(output.parameter, Variable)
                member = f"{place}.{self.layout.path(block, output.parameter)}"
                unit.copy_out(output, member, output.parameter.type)
            unit.take_back(taken)

    # ── calls from outside ─────────────────────────────────────────────────────────────────────────────────────
    def _call_records(self) -> list[tuple[Routine, str, Record]]:
        """Where the test bench puts a function's arguments and finds its result."""
        found: list[tuple[Routine, str, Record]] = []
        for function in self.program.functions:
            variables = [one for one in function.variables.values() if _is_of_call(one)]
            if any(is_open(one.type) for one in variables):
                continue
            record = self._try(partial(self.layout.frame, function, variables))
            if record is not None:
                member = self.whole.state.add(
                    record.c_name, f"struct {record.c_name}", record.bytes, record.alignment
                )
                found.append((function, member.c_name, record))
        return found

    def _call_entries(self, calls: list[tuple[Routine, str, Record]]) -> list[Line]:
        lines: list[Line] = []
        for number, (function, member, record) in enumerate(calls):
            frame = f"state->{member}"
            unit = Unit(self.whole, function)
            unit.emit("struct state *const state = memory;", placed=False)
            self._begin(unit)
            arguments = ["scan", "state"]
            for variable in function.parameters():
                place = f"{frame}.{record.by_variable[variable].c_name}"
                type_ = variable.type
                if variable.section is Section.INPUT and scalar(variable.type) is not None:
                    arguments.append(place)
                else:
                    arguments.append(as_text(place, type_) if isinstance(type_, StringOf) else f"&{place}")
            call = f"{self.whole.names[function]}"
            result = function.variables.get(function.name.upper())
            if function.result is NOTHING or result is None:
                unit.emit(f"{call}({', '.join(arguments)});", placed=False)
            else:
                place = f"{frame}.{record.by_variable[result].c_name}"
                if scalar(function.result) is not None:
                    unit.emit(f"{place} = {call}({', '.join(arguments)});", placed=False)
                else:
                    arguments.append(
                        as_text(place, function.result)
                        if isinstance(function.result, StringOf)
                        else f"&{place}"
                    )
                    unit.emit(f"{call}({', '.join(arguments)});", placed=False)
            start = Unit(self.whole, function)
            start.emit("struct state *const state = memory;", placed=False)
            for variable in record.by_variable:
                place = f"{frame}.{record.by_variable[variable].c_name}"
                start.span = variable.span
                start.emit(f"memset(&{place}, 0, sizeof {place});", placed=False)
                start.settle(place, variable.type, variable.initial, variable.span)
            for name, body in ((f"start_call_{number}", start.lines), (f"call_{number}", unit.lines)):
                lines += [
                    Line(0, "", None),
                    Line(0, f"static void {name}(struct tl_scan *scan, void *memory)", None),
                    Line(0, "{", None),
                    *body,
                    Line(0, "}", None),
                ]
        names = [f"    start_call_{number}, call_{number}," for number in range(len(calls))] or ["    0,"]
        table = "void (*const tl_calls_v1[])(struct tl_scan *, void *)"
        lines += [
            Line(0, one, None)
            for one in ("", f"TL_PUBLIC extern {table};", f"TL_PUBLIC {table} = {{", *names, "};")
        ]
        return lines if self.with_calls else []

    # ── tests ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _place_tests(self) -> None:
        """One instance of each unit with tests; every test begins with a cold start."""
        places: dict[Block, str] = {}
        for one in self.tests:
            check_signature(one)
            if one.block not in places:
                places[one.block] = self.whole.programs[one.block] = self._add_program(
                    one.block.qualified, one.block
                )
            self.test_places.append(places[one.block])

    def _test_entries(self) -> list[Line]:
        lines: list[Line] = []
        for number, (test, place) in enumerate(zip(self.tests, self.test_places, strict=True)):
            units: list[Block | Routine] = [test.block, *([] if test.method is None else [test.method])]
            calls = [f"    {self.whole.names[unit]}(scan, state, &{place});" for unit in units]
            head = (
                f"static void test_{number}(struct tl_scan *scan, void *memory) /* {_comment(test.name)} */"
            )
            body = ["", head, "{", "    struct state *const state = memory;", *calls, "}"]
            lines += [Line(0, one, None) for one in body]
        table = "void (*const tl_tests_v1[])(struct tl_scan *, void *)"
        names = [f"    test_{number}," for number in range(len(self.tests))] or ["    0,"]
        closing = ["", f"TL_PUBLIC extern {table};", f"TL_PUBLIC {table} = {{", *names, "};"]
        lines += [Line(0, one, None) for one in closing]
        return lines if self.whole.with_tests else []

    # ── the file ───────────────────────────────────────────────────────────────────────────────────────────────
    def _assemble(
        self,
        signatures: list[str],
        functions: list[list[Line]],
        starts: list[tuple[str, list[Line]]],
        init: list[Line],
        dispatch: list[tuple[str, list[str]]],
        tasks: list[Line],
        entries: list[Line],
        plans: list[_TaskPlan],
        digest: str,
        symbols: Symbols,
    ) -> str:
        state = self.whole.state
        reserved = "struct state {\n    uint64_t tl_null; /* offset 0 is the NULL of references */"
        head = _HEAD if self.whole.places is None else f"{_HEAD}{COVERAGE_HEAD}"
        parts = [head, *self.layout.definitions]
        parts.append(definition(state).replace("struct state {", reserved, 1))
        parts += self.whole.text_lines
        parts += ["", *(head for head, _ in starts), *signatures, *(head for head, _ in dispatch)]
        lines = [Line(0, line, None) for part in parts for line in part.split("\n")]
        for _, start in starts:
            lines += start
        for function in functions:
            lines += function
        for _, dispatcher in dispatch:
            lines += [Line(0, one, None) for one in dispatcher]
        lines += [*init, *tasks, *entries]
        lines += [Line(0, one, None) for one in self._tables(plans, digest, symbols)]
        return with_line_directives(lines, self.whole.paths)

    def _tables(self, plans: list[_TaskPlan], digest: str, symbols: Symbols) -> list[str]:
        lines = ["", "static const char *const files[] = {"]
        lines += [f'    "{_quoted(path)}",' for path in self.whole.paths]
        lines += ["};", "", "static const struct tl_task tasks[] = {"]
        for number, plan in enumerate(plans):
            event = NO_OFFSET if plan.event is None else str(symbols.find(plan.event).offset)
            fields = f'"{_quoted(plan.name)}", INT64_C({plan.interval_ns}), {plan.priority}u, {event}'
            lines.append(f"    {{{fields}, task_{number}}},")
        lines += ["};"]
        retained = symbols.retained()
        if retained:
            lines += ["", "static const struct tl_retained retained[] = {"]
            lines += [
                f"    {{UINT64_C(0x{one.key:016x}), {one.offset}u, {one.bytes}u}}, /* {_comment(one.path)} */"
                for one in retained
            ]
            lines += ["};"]
        constants = symbols.constants()
        if constants:
            lines += ["", "static const struct tl_constant constants[] = {"]
            lines += [f"    {{{offset}u, {size}u}}," for offset, size in constants]
            lines += ["};"]
        lines += [
            _GUARD,
            "",
            "TL_PUBLIC extern const struct tl_program tl_program_v1;",
            "TL_PUBLIC const struct tl_program tl_program_v1 = {",
            "    .abi = TL_PROGRAM_ABI,",
            "    .state_bytes = sizeof(struct state),",
            f'    .name = "{_quoted(self.whole.paths[0] if self.whole.paths else "program")}",',
            f'    .digest = "{digest}",',
            "    .files = files,",
            "    .tasks = tasks,",
            f"    .retained = {'retained' if retained else '0'},",
            f"    .file_count = {len(self.whole.paths)},",
            f"    .task_count = {len(plans)},",
            f"    .retained_count = {len(retained)},",
            f"    .coverage_places = {len(symbols.coverage)},",
            "    .init = init,",
            f"    .constants = {'constants' if constants else '0'},",
            f"    .constant_count = {len(constants)},",
            "};",
        ]
        return [line for text in lines for line in text.split("\n")]

    def _symbols(
        self, plans: list[_TaskPlan], calls: list[tuple[Routine, str, Record]], digest: str
    ) -> Symbols:
        symbols = describe(self.whole, self.roots, calls, digest, [plan.name for plan in plans])
        symbols.coverage = [] if self.whole.places is None else self.whole.places.rows
        symbols.tests = [self._described(one) for one in self.tests]
        return symbols

    def _described(self, test: Test) -> dict[str, Any]:
        return {"name": test.name, "file": self.whole.file(test.span), "line": test.span.position.line}


_PROGRAM = ast.UnitKind.PROGRAM
_BITS = {"X": 1, "B": 8, "W": 16, "D": 32, "L": 64}


def _extent(address: str) -> tuple[str, int, int]:
    """Area, first bit, and the bit after the last, with words counted in their own size (%MW1 is bytes 2 and 3)."""
    area, rest = address[1], address[2:]
    size = 1
    if rest[:1] in _BITS:
        size, rest = _BITS[rest[0]], rest[1:]
    numbers = [int(one) for one in rest.split(".")]
    first = numbers[0] * 8 + numbers[1] if size == 1 and len(numbers) == 2 else numbers[-1] * size
    if len(numbers) > 2:
        area += ".".join(str(one) for one in numbers[:-2])
    return area, first, first + size


def _path(place: typed.Expression, what: str) -> str:
    """A variable that lies still, as the table of symbols knows it."""
    match place:
        case typed.VariableUse(variable=variable) if variable.owner is None or variable.target is not None:
            return (variable.target or variable).name
        case typed.DirectUse(address=address):
            return address
        case typed.ProgramUse(program=program, instance=instance):
            return instance or program.name
        case typed.FieldUse(base=base, variable=variable):
            return f"{_path(base, what)}.{variable.name}"
        case typed.ElementUse(base=base, indices=indices):
            if all(isinstance(one, typed.Literal) for one in indices):
                values = ",".join(str(one.value) for one in indices if isinstance(one, typed.Literal))
                return f"{_path(base, what)}[{values}]"
    raise NotCompiled(place.span, f"{what} a variable that lies still", "put it into a variable of its own")


def _nowhere(program: Program) -> Span:
    return Span(program.sources[0], 0, 0)


def _is_of_call(variable: Variable) -> bool:
    return variable.section in (Section.INPUT, Section.OUTPUT, Section.IN_OUT, Section.RESULT)


def _promised(static: Block, key: str, kind: str) -> Routine:
    if kind in ("GET", "SET"):
        found = static.find_property(key)
        assert found is not None
        accessor = found.getter if kind == "GET" else found.setter
        assert accessor is not None
        return accessor
    method = static.find_method(key)
    assert method is not None
    return method


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _comment(text: str) -> str:
    return text.replace("*/", "* /")
