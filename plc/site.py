"""The logic of a site: its sources, whether its map of tags and variables holds, and the map for the scan.

`check_logic` finds every fault at once, in the programs as in the site file. What may be wired to what: BOOL to BOOL;
whole numbers where the receiver can hold all that the sender can; whole numbers to reals that keep every one of them
(REAL to 24 bits, LREAL to 53); DOUBLE to REAL and LREAL alike, for a measurement has no 24 good bits. Nothing else:
no real to a whole number, no number to a BOOL, no times, no strings; an enumeration may be sent, never received.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from gateway.config.dnp3_device import DevicePointKind
from gateway.config.fault import Fault, FaultLog, Place, nearest, quote, suggestion
from gateway.config.logic import LogicInput, LogicOutput, LogicSetpoint, LogicSettings, LogicTag, Places
from gateway.config.modbus import RegisterType
from gateway.config.point import RAW_RANGE
from gateway.config.site import Site
from gateway.config.system import SCAN_OWNER
from gateway.config.units import unit_of, unit_of_name
from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from plc.assigned import Assignments, Chain
from plc.compiler.generate import generate
from plc.compiler.refusals import CompileFault
from plc.compiler.symbols import Symbols, UnknownPathError
from plc.compiler.testing import without_tests
from plc.language.analysis import Program, analyse, read_source
from plc.language.diagnostics import Diagnostic
from plc.language.source import Source
from plc.language.symbols import Variable
from plc.library import FILES as LIBRARY
from plc.runtime.wiring import Input, Output, Setpoint, System, SystemTag, encode_wiring

UNUSED = "ST0801"  # a variable that only the map uses is used
MAX_NAMES = 20_000  # among which a near one is sought: the search takes 10 µs each
_REAL_DIGITS = {"f32": 24, "f64": 53}  # bits of a significand
_WHOLE = (
    ("SINT", -(2**7), 2**7 - 1), ("USINT", 0, 2**8 - 1), ("INT", -(2**15), 2**15 - 1), ("UINT", 0, 2**16 - 1),
    ("DINT", -(2**31), 2**31 - 1), ("UDINT", 0, 2**32 - 1), ("LINT", -(2**63), 2**63 - 1),
    ("ULINT", 0, 2**64 - 1),
)  # fmt: skip
_REALS = (("REAL", 24), ("LREAL", 53))
_DNP3_WHOLE = {  # IEEE 1815 A.4 and A.5: two bits; A.9 and A.10: 32 bits at most
    DevicePointKind.DOUBLE_BIT: RegisterType.UINT16,
    DevicePointKind.COUNTER: RegisterType.UINT32,
    DevicePointKind.FROZEN_COUNTER: RegisterType.UINT32,
}
_UNIT_PRAGMA = re.compile(r"\s*attribute\s+'unit'\s*:=\s*'([^']*)'\s*")


@dataclass(frozen=True, slots=True)
class Values:
    """What a tag or a variable can hold. ``kind`` is bool, whole or real; ``digits`` the bits of a real."""

    text: str
    kind: str
    low: int = 0
    high: int = 0
    digits: int = 0

    def fit(self, other: Values) -> bool:
        """Whether ``other`` can hold all of these."""
        match self.kind, other.kind:
            case ("bool", "bool") | ("real", "real"):
                return True
            case "whole", "whole":
                return other.low <= self.low and self.high <= other.high
            case "whole", "real":
                return max(-self.low, self.high) <= 1 << other.digits
        return False


@dataclass(frozen=True, slots=True)
class LogicReport:
    """What is wrong: ``faults`` in the site file, ``problems`` in the programs (warnings too, but the library's).

    ``counts`` are words: ``3 program files``; none where the map was not looked at.
    """

    faults: tuple[Fault, ...]
    problems: tuple[Diagnostic, ...]
    counts: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether it can run."""
        return not self.faults and not any(problem.severity == "error" for problem in self.problems)


def sources_of(settings: LogicSettings) -> tuple[Source, ...]:
    """The library's sources and the site's. Raises OSError where one cannot be read (any more)."""
    return tuple(read_source(path) for path in (*LIBRARY, *settings.programs))


def check_logic(site: Site) -> LogicReport:
    """Everything that is wrong with the logic of a site that has some. Raises OSError as `sources_of`."""
    settings = site.logic
    assert settings is not None, "a site without logic"
    program = analyse(sources_of(settings))
    if program.has_errors:
        return LogicReport((), tuple(_told(program.diagnostics, set())), ())
    try:
        table = generate(program).symbols
    except CompileFault as fault:
        refused = tuple(cast("Diagnostic", one) for one in fault.diagnostics)  # a Refusal is shaped as one
        return LogicReport((), (*_told(program.diagnostics, set()), *refused), ())
    check = _Check(site, settings, without_tests(program), table)  # a test may write what the scan wires
    check.run()
    faults = check.faults.sorted(site.files).faults
    counts = (_count(len(settings.programs), "program file"), _count(len(table.tasks), "task"))
    return LogicReport(faults, tuple(_told(program.diagnostics, check.wired)), counts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _told(problems: Iterable[Diagnostic], wired: set[Variable]) -> Iterator[Diagnostic]:
    library = {str(path) for path in LIBRARY}
    places = {(variable.span.source.path, variable.span.start) for variable in wired}
    for problem in problems:
        is_of_library = problem.span.source.path in library and problem.severity != "error"
        place = (problem.span.source.path, problem.span.start)
        if not is_of_library and not (problem.code == UNUSED and place in places):
            yield problem


def wiring_of(site: Site, region: Region, table: Symbols) -> bytes:
    """The wiring file of a site's logic in a region, for the program of ``table``. Raises WiringError."""
    settings = site.logic
    assert settings is not None, "a site without logic"
    names = [tag.name for tag in site.tags]
    return encode_wiring(
        region,
        SCAN_OWNER,
        table,
        [Input(one.name, one.variable, one.quality, one.good) for one in settings.inputs],
        [
            *(Output(one.variable, one.name, one.safe) for one in settings.tags),
            # Without a program the demand keeps its last value, Bad: what is safe is for the driver to write.
            *(Output(one.variable, names[one.demand], None, one.active) for one in settings.outputs),
        ],
        [
            SystemTag(names[one.tag], System[one.what.removesuffix("_us").upper()], one.task)
            for one in settings.scan
        ],
        [
            Setpoint(
                tag=one.name,
                valid_until=names[one.valid_until],
                sequence=names[one.sequence],
                accepted=names[one.accepted],
                answered=names[one.answered],
                reason=names[one.reason],
                path=one.variable,
                valid=one.valid,
                low=one.low,
                high=one.high,
                max_rate_per_s=one.max_rate_per_s,
                valid_for_s=one.valid_for_s,
                initial=one.initial,
                fallback=one.fallback,
            )
            for one in settings.setpoints
        ],
    )


@dataclass(frozen=True, slots=True)
class _Wired:
    """A variable of the map."""

    path: str
    place: Place
    offset: int
    bytes: int
    chain: Chain
    values: Values | None  # None: of a type that cannot be wired, which is reported
    name: str  # of its type
    is_enumeration: bool


class _Check:
    """The checks of one map."""

    def __init__(self, site: Site, settings: LogicSettings, program: Program, table: Symbols) -> None:
        self.faults = FaultLog()
        self.wired: set[Variable] = set()
        self._site = site
        self._settings = settings
        self._table = table
        self._assignments = Assignments(program)
        self._registers = dict(_whole_numbers(site))
        self._published = {tag.tag: tag.type for tag in settings.tags}
        self._setpoints = {one.tag: one for one in settings.setpoints}
        self._programs = [root["name"] for root in table.variables.values() if "program" in root["flags"]]
        self._received: list[_Wired] = []  # what the scan writes, to find two that write one

    def run(self) -> None:
        self._check_tasks()
        for one in self._settings.inputs:
            with self.faults.within("inputs of the logic"):
                self._input(one)
        for setpoint in self._settings.setpoints:
            with self.faults.within("setpoints of the logic"):
                self._setpoint(setpoint)
        for tag in self._settings.tags:
            with self.faults.within("tags of the logic"):
                self._tag(tag)
        for output in self._settings.outputs:
            with self.faults.within("outputs of the logic"):
                self._output(output)
        self._check_received()

    # ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _check_tasks(self) -> None:
        known = {task.lower(): task for task in self._table.tasks}
        written = {task.lower() for task in self._settings.tasks}
        for task in self._settings.tasks:
            if task.lower() not in known:
                self.faults.add(
                    self._settings.places["tasks"],
                    f"the unknown task {quote(task)}",
                    suggestion(task, known.values(), "name one of the programs'"),
                )
        missing = [task for key, task in known.items() if key not in written]
        if missing:
            self.faults.add(
                self._settings.places.get("tasks", self._settings.places[""]),
                f"the task{'s' if len(missing) > 1 else ''} {', '.join(map(quote, missing))} of the programs "
                "not in 'tasks'",
                f"write 'tasks: [{', '.join(known.values())}]'",
            )

    # ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _input(self, one: LogicInput) -> None:
        variable = self._receive(one.variable, one.places["variable"])
        if variable is not None:
            self._fits_variable(one.name, self._values_of_tag(one.tag), variable)
            self._same_unit(one.name, one.tag, variable)
        self._status(one.quality, one.places)
        self._flag(one.good, "good", one.places, is_received=True)

    def _setpoint(self, one: LogicSetpoint) -> None:
        variable = self._receive(one.variable, one.places["variable"])
        if variable is not None:
            self._fits_variable(one.name, self._values_of_tag(one.tag), variable)
            self._same_unit(one.name, one.tag, variable)
        self._flag(one.valid, "valid", one.places, is_received=True)

    def _tag(self, one: LogicTag) -> None:
        variable = self._find(one.variable, one.places["variable"])
        if variable is not None:
            self._fits_tag(variable, one.name, self._values_of_tag(one.tag), is_ours=True)
            self._same_unit(one.name, one.tag, variable)

    def _output(self, one: LogicOutput) -> None:
        variable = self._find(one.variable, one.places["variable"])
        if variable is not None:
            self._fits_tag(variable, one.name, self._values_of_tag(one.tag), is_ours=False)
            self._same_unit(one.name, one.tag, variable)
        self._flag(one.active, "active", one.places, is_received=False)

    def _status(self, path: str | None, places: Places) -> None:
        if path is None:
            return
        variable = self._receive(path, places["quality"])
        if variable is None or variable.values is None:
            return
        if variable.values.kind != "whole" or variable.bytes != 4:
            self.faults.add(
                variable.place,
                f"the variable {quote(path)} for a StatusCode is {variable.name}",
                "declare it DWORD or UDINT",
            )

    def _flag(self, path: str | None, key: str, places: Places, *, is_received: bool) -> None:
        if path is None:
            return
        variable = (self._receive if is_received else self._find)(path, places[key])
        if variable is not None and variable.values is not None and variable.values.kind != "bool":
            self.faults.add(
                variable.place, f"the variable {quote(path)} is {variable.name}", "declare it BOOL"
            )

    # ── variables ──────────────────────────────────────────────────────────────────────────────────────────────
    def _find(self, path: str, place: Place) -> _Wired | None:
        try:
            found = self._table.find(path)
        except UnknownPathError as error:
            self._unknown(path, place, str(error))
            return None
        described = self._table.types[found.type]
        values = _values_of_type(described)
        name = str(described["name"])
        if values is None:
            self.faults.add(
                place,
                f"the variable {quote(path)} is {_of_kind(described)}",
                "wire a BOOL, a whole number, REAL or LREAL"
                if described["kind"] not in ("record", "array")
                else self._example_inside(path, described),
            )
        chain = self._assignments.chain(path)
        self.wired.update(step for step in chain if isinstance(step, Variable))
        is_enumeration = described["kind"] == "enumeration"
        return _Wired(path, place, found.offset, found.bytes, chain, values, name, is_enumeration)

    def _receive(self, path: str, place: Place) -> _Wired | None:
        """A variable that the scan writes: the program may not."""
        variable = self._find(path, place)
        if variable is None:
            return None
        if "constant" in self._table.find(path).flags:
            self.faults.add(
                place, f"the variable {quote(path)} is a constant", "wire a variable that may change"
            )
            return variable
        span = self._assignments.first_write(variable.chain)
        if span is not None:
            line, column = span.position
            self.faults.add(
                place,
                f"the program writes {quote(path)} itself ({span.source.path}:{line}:{column})",
                "let the program use another variable, or wire another",
            )
        self._received.append(variable)
        return variable

    def _check_received(self) -> None:
        self._received.sort(key=lambda one: (one.offset, one.place.line, one.place.column))
        for first, second in zip(self._received, self._received[1:], strict=False):
            if second.offset < first.offset + first.bytes:
                here, there = sorted((first, second), key=lambda one: one.place)
                where = f"line {here.place.line}" if here.place.file == there.place.file else str(here.place)
                self.faults.add(
                    there.place,
                    f"the variable {quote(there.path)} a second time (first in {where})",
                    "give each tag a variable of its own",
                )

    def _unknown(self, path: str, place: Place, why: str) -> None:
        inside = next((f"{root}.{path}" for root in self._programs if self._is_there(f"{root}.{path}")), None)
        if inside is not None:
            self.faults.add(place, f"the unknown variable {quote(path)}", f"write '{inside}'")
            return
        _, _, reason = why.partition(": ")
        if reason and " no " not in reason:
            self.faults.add(place, f"no variable {quote(path)}: {reason}", "write an element that there is")
            return
        steps = re.findall(r"[^.\[\]]+(?:\[[^\]]*\])?", path)
        known, names, prefix = self._roots(), self._roots(), ""
        for count in range(len(steps) - 1, 0, -1):
            try:
                found = self._table.find(".".join(steps[:count]))
            except UnknownPathError:
                continue
            described = self._table.types[found.type]
            prefix = ".".join(steps[:count]) + "."
            names = [f"{prefix}{member}" for member in _members(described)]
            break
        near = nearest(path, names) or nearest(path, known if prefix else ())
        if near is None and prefix and not names:
            mend = f"{quote(prefix[:-1])} has no parts: wire it alone"
        elif near is None:
            shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            mend = f"write the path of a variable; {'there' if prefix else 'known'} are: {shown}"
        else:
            mend = f"write '{near}'"
        self.faults.add(place, f"the unknown variable {quote(path)}", mend)

    def _is_there(self, path: str) -> bool:
        try:
            self._table.find(path)
        except UnknownPathError:
            return False
        return True

    def _roots(self) -> list[str]:
        """Globals and programs, and what is right inside of these."""
        names: list[str] = []
        for root in self._table.variables.values():
            names.append(root["name"])
            described = self._table.types[root["type"]]
            names += [f"{root['name']}.{member}" for member in _members(described)]
            if len(names) >= MAX_NAMES:
                break
        return names[:MAX_NAMES]

    def _example_inside(self, path: str, described: dict[str, Any]) -> str:
        members = _members(described)
        if members:
            return f"wire one of its parts, such as {path}.{members[0]}"
        bounds = described.get("bounds")
        if bounds:
            return f"wire one of its elements, such as {path}[{','.join(str(low) for low, _ in bounds)}]"
        return "wire a BOOL, a whole number, REAL or LREAL"

    # ── types ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _values_of_tag(self, index: int) -> Values | None:
        tag = self._site.tags[index]
        if tag.type is ValueType.BOOL:
            return Values("bool", "bool")
        if tag.type is ValueType.DOUBLE:
            return Values("a number with decimals", "real", digits=53)
        if tag.type is ValueType.STRING:
            return None  # reported where the site is read
        setpoint = self._setpoints.get(index)
        if setpoint is not None and setpoint.low is not None and setpoint.high is not None:
            low, high = int(setpoint.low), int(setpoint.high)
            return Values(f"a whole number {low}..{high}", "whole", low, high)
        register = self._registers.get(index) or self._published.get(index)
        if register is None:
            register = "int64" if tag.type is ValueType.INT64 else "uint64"
        written = RegisterType(register)
        low_raw, high_raw = RAW_RANGE[written]
        return Values(written.value, "whole", int(low_raw), int(high_raw))

    def _fits_variable(self, tag: str, values: Values | None, variable: _Wired) -> None:
        if values is None or variable.values is None:
            return
        if variable.is_enumeration:
            self.faults.add(
                variable.place,
                f"the variable {quote(variable.path)} is the enumeration {variable.name}, and a tag may hold "
                "a value that it has not",
                f"declare it {_least(values).partition(' or ')[0]}, and compare or convert in the program",
            )
        elif not values.fit(variable.values):
            self.faults.add(
                variable.place,
                f"the variable {quote(variable.path)} is {variable.values.text}, which cannot hold all of "
                f"{quote(tag)}, {values.text}",
                f"declare it {_least(values)}",
            )

    def _fits_tag(self, variable: _Wired, tag: str, values: Values | None, *, is_ours: bool) -> None:
        if values is None or variable.values is None or variable.values.fit(values):
            return
        mend = f"declare it {_greatest(values)}"
        wider = _tag_type(variable.values)
        if is_ours and wider is not None:
            mend = f"write 'type: {wider}', or {mend}"
        self.faults.add(
            variable.place,
            f"the variable {quote(variable.path)} is {variable.values.text}, of which {quote(tag)}, "
            f"{values.text}, cannot hold all",
            mend,
        )

    # ── units ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _same_unit(self, tag: str, index: int, variable: _Wired) -> None:
        """A variable says its unit by a pragma, ``{attribute 'unit' := 'kW'}``, or at the end of its name."""
        unit = self._site.tags[index].unit
        declared = next((one for one in reversed(variable.chain) if isinstance(one, Variable)), None)
        if declared is None:
            return
        said = _unit_said(declared)
        if said is None:
            return
        symbol, how = said
        if symbol is None:
            self.faults.add(
                variable.place,
                f"the variable {quote(variable.path)} has the unit {quote(how)}, which there is not",
                f"write {{attribute 'unit' := '{unit or 'kW'}'}}, or another of docs/site-files.md",
            )
        elif unit is not None and symbol != unit:
            self.faults.add(
                variable.place,
                f"the variable {quote(variable.path)} is in '{symbol}' ({how}), {quote(tag)} in '{unit}'",
                "convert in the program, or mend the one that is wrong",
            )


def _whole_numbers(site: Site) -> Iterator[tuple[int, RegisterType]]:
    """What devices' whole numbers can be at most, which is less than their tags could hold."""
    for device in site.modbus:
        for point in device.points:
            if point.scale == 1.0:
                yield point.tag, point.type
    for outstation in site.dnp3_devices:
        for one in outstation.points:
            if one.kind in _DNP3_WHOLE:
                yield one.tag, _DNP3_WHOLE[one.kind]


def _unit_said(variable: Variable) -> tuple[str | None, str] | None:
    """The symbol of a variable's unit and by what it says so; (None, text) for a unit that there is not."""
    for pragma in variable.pragmas:
        match = _UNIT_PRAGMA.fullmatch(pragma.text)
        if match is not None:
            unit = unit_of(match[1])
            return (unit.symbol, "by its pragma") if unit is not None else (None, match[1])
    named = unit_of_name(variable.name.lower())
    # One letter at the end may well be something else: phase_a, frame_c.
    return (named.symbol, "by its name") if named is not None and len(named.suffix) > 1 else None


def _values_of_type(described: dict[str, Any]) -> Values | None:
    """What a variable of a type can hold; None for what cannot be wired."""
    kind, name = described["kind"], str(described["name"])
    if kind not in ("scalar", "enumeration"):
        return None
    if described.get("family") not in (None, "bit", "signed", "unsigned", "real"):
        return None  # times, dates and characters
    scalar: str = described["scalar"]
    if scalar == "bool":
        return Values("BOOL", "bool")
    if scalar in _REAL_DIGITS:
        return Values(name, "real", digits=_REAL_DIGITS[scalar])
    if kind == "enumeration":
        numbers = [int(value) for value in described["values"].values()]
        return Values(f"the enumeration {name}", "whole", min(numbers), max(numbers))
    if "low" in described:
        low, high = int(described["low"]), int(described["high"])
        return Values(f"{name}({low}..{high})", "whole", low, high)
    bits = int(scalar[1:])
    low, high = (0, (1 << bits) - 1) if scalar[0] == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    return Values(name, "whole", low, high)


def _of_kind(described: dict[str, Any]) -> str:
    """A type that cannot be wired, in words."""
    name = described["name"]
    words = {"record": "a whole", "array": "the array", "string": "a string,", "reference": "a reference,"}
    return f"{words.get(described['kind'], 'of type')} {name}, which cannot be wired"


def _members(described: dict[str, Any]) -> list[str]:
    if described["kind"] != "record":
        return []
    return [member["name"] for member in described["members"] if "hidden" not in member["flags"]]


def _least(values: Values) -> str:
    """The declaration that holds a tag's values."""
    if values.kind != "whole":
        return "BOOL" if values.kind == "bool" else "REAL or LREAL"
    whole = next(name for name, low, high in _WHOLE if low <= values.low and values.high <= high)
    real = next((name for name, digits in _REALS if values.fit(Values(name, "real", digits=digits))), None)
    return whole if real is None else f"{whole} or {real}"


def _greatest(values: Values) -> str:
    """The declaration whose values a tag can hold."""
    if values.kind != "whole":
        return "BOOL" if values.kind == "bool" else "DINT, REAL or LREAL"
    fitting = [(high - low, name) for name, low, high in _WHOLE if values.low <= low and high <= values.high]
    if not fitting:
        return f"a subrange ({values.low}..{values.high})"
    return max(fitting)[1]


def _tag_type(values: Values) -> str | None:
    """The narrowest type of a published tag that holds a variable's values."""
    if values.kind != "whole":
        return "bool" if values.kind == "bool" else "float64" if values.digits > 24 else "float32"
    for type in (
        RegisterType.UINT16,
        RegisterType.INT16,
        RegisterType.UINT32,
        RegisterType.INT32,
        RegisterType.UINT64,
        RegisterType.INT64,
    ):
        low, high = RAW_RANGE[type]
        if low <= values.low and values.high <= high:
            return type.value
    return None
