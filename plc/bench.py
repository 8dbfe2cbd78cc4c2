"""The test bench: a compiled program in this process, on a clock that only the test moves (docs/test-bench.md).

from plc import load
p = load("island.st")
p["main.x"] = 3
p.scan(count=10, period_us=1000)
assert p["main.fb.values[2].q"]
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plc.compiler.build import Built, Options, build
from plc.compiler.refusals import CompileFault
from plc.compiler.symbols import Place, Symbols, UnknownPathError
from plc.coverage.record import Coverage
from plc.language.analysis import read_source
from plc.language.source import Source
from plc.sources import with_library

LOOP_BUDGET = (
    10_000_000  # turns of loops in one task of one scan: far more than any real one, 0.1 s of an endless one
)
NS_PER_US = 1000
_ALIGNMENT = 16
_TEXTS = {"string": ("latin-1", 1), "wstring": ("utf-16-le", 2)}  # how characters are stored, bytes of each
_FORMATS = {
    "bool": "?",
    "i8": "b",
    "i16": "h",
    "i32": "i",
    "i64": "q",
    "u8": "B",
    "u16": "H",
    "u32": "I",
    "u64": "Q",
    "f32": "f",
    "f64": "d",
}
FAULTS = {
    1: "an array index outside of its bounds",
    2: "a division by zero",
    3: "a reference to nothing",
    4: "a value outside of its subrange",
    5: "a string length or position that can not be",
    6: "a loop that does not end",
    7: "something that is not a number",
    8: "a call of an interface that nothing implements",
    9: "an assertion does not hold",
}
ASSERTION = 9
MOST_TRACED = 20  # changes of the watched variables that are kept: as many as a report shows


class RunTimeFault(Exception):  # noqa: N818  # what the program did wrong, with where
    """A run-time check failed: ``fault`` is the number of enum tl_fault, ``file`` and ``line`` where it stands."""

    def __init__(self, fault: int, file: str, line: int) -> None:
        self.fault, self.file, self.line = fault, file, line
        super().__init__(f"{file}:{line}: {FAULTS.get(fault, f'fault {fault}')}")


class AssertFault(RunTimeFault):
    """An ASSERT does not hold: what was expected and what was there, as text (both empty for a plain ASSERT)."""

    def __init__(self, file: str, line: int, expected: str, actual: str, message: str) -> None:
        super().__init__(ASSERTION, file, line)
        self.expected, self.actual, self.message = expected, actual, message

    def __str__(self) -> str:
        told = [f"{self.file}:{self.line}: {self.message or FAULTS[ASSERTION]}"]
        if self.expected or self.actual:
            told += [f"  expected {self.expected}", f"  actual   {self.actual}"]
        return "\n".join(told)


class _Scan(ctypes.Structure):
    """struct tl_scan of firmware/scan/program.h."""

    _fields_ = [  # what ctypes wants
        ("now_ns", ctypes.c_int64),
        ("wall_ns", ctypes.c_int64),
        ("period_ns", ctypes.c_int64),
        ("count", ctypes.c_uint64),
        ("loop_budget", ctypes.c_int32),
        ("is_first", ctypes.c_bool),
        ("fault", ctypes.c_uint32),
        ("fault_file", ctypes.c_uint32),
        ("fault_line", ctypes.c_uint32),
        ("escape", ctypes.c_void_p),
        ("coverage", ctypes.c_void_p),
    ]


class _Task(ctypes.Structure):
    """struct tl_task."""

    _fields_ = [  # what ctypes wants
        ("name", ctypes.c_char_p),
        ("interval_ns", ctypes.c_int64),
        ("priority", ctypes.c_uint32),
        ("event_offset", ctypes.c_uint32),
        ("run", ctypes.c_void_p),
    ]


class _Program(ctypes.Structure):
    """struct tl_program."""

    _fields_ = [  # what ctypes wants
        ("abi", ctypes.c_uint32),
        ("state_bytes", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("digest", ctypes.c_char_p),
        ("files", ctypes.POINTER(ctypes.c_char_p)),
        ("tasks", ctypes.POINTER(_Task)),
        ("retained", ctypes.c_void_p),
        ("file_count", ctypes.c_uint32),
        ("task_count", ctypes.c_uint32),
        ("retained_count", ctypes.c_uint32),
        ("coverage_places", ctypes.c_uint32),
        ("init", ctypes.c_void_p),
        ("constants", ctypes.c_void_p),
        ("constant_count", ctypes.c_uint32),
    ]


ABI = 2
NO_EVENT = (1 << 32) - 1


@dataclass(slots=True)
class _Running:
    """A task with when it ran last."""

    name: str
    interval_ns: int
    priority: int
    event_offset: int
    run: int
    count: int = 0
    last_ns: int | None = None
    event_before: bool = False


def load(
    *what: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    options: Options | None = None,
    coverage: bool = False,
) -> Bench:
    """A program from files, source text, or several of either, started cold with its clock at 0.

    A string with a line break or a semicolon is source text, any other the path of a file. Raises CompileFault with
    all diagnostics, OSError where a file can not be read. Blocks of the library that the program names come with it.
    ``coverage`` counts what runs: see `Bench.coverage`.
    """
    sources: list[Source] = []
    for one in what:
        for each in (one,) if isinstance(one, (str, os.PathLike)) else one:
            if isinstance(each, str) and ("\n" in each or ";" in each):
                sources.append(Source(f"source{len(sources) + 1}.st", each))
            else:
                sources.append(read_source(Path(each)))
    if not sources:
        raise ValueError("load() needs a file or source text")
    chosen = options or Options(with_calls=True, with_tests=True)
    return Bench(build(with_library(sources), replace(chosen, coverage=coverage or chosen.coverage)))


class Bench:
    """One instance of a program. Paths are as in ST: letter case does not matter, ``a[1,2]`` is an element."""

    def __init__(self, built: Built) -> None:
        self.built = built
        self.symbols: Symbols = built.symbols
        self._library = ctypes.CDLL(str(built.shared_object))
        self._program = _Program.in_dll(self._library, "tl_program_v1")
        if self._program.abi != ABI or self._program.state_bytes != self.symbols.state_bytes:
            raise ValueError("the shared object and the symbols are not of one program")
        self._guard = self._library.tl_guard_v1
        self._guard.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Scan), ctypes.c_void_p]
        self._guard.restype = ctypes.c_bool
        self._buffer = ctypes.create_string_buffer(self._program.state_bytes + _ALIGNMENT)
        self._start = -ctypes.addressof(self._buffer) % _ALIGNMENT
        self._view = memoryview(self._buffer).cast("B")[self._start : self._start + self._program.state_bytes]
        self._scan = _Scan()
        self._coverage = Coverage.of(self.symbols)
        self._counts = (ctypes.c_uint8 * len(self.symbols.coverage))()
        self._watched: dict[str, Place] = {}
        self._trace: deque[tuple[int, list[Any]]] = deque(maxlen=MOST_TRACED)
        self._tasks: list[_Running] = []
        self.clock_ns = 0
        self.restart()

    # ── running ────────────────────────────────────────────────────────────────────────────────────────────────
    def restart(self) -> None:
        """A cold start: every variable gets its initial value, the clock goes back to 0."""
        self.clock_ns = 0
        self._scan = _Scan()
        self._trace.clear()
        if self.symbols.coverage:
            self._scan.coverage = ctypes.addressof(self._counts)
        self._tasks = [
            _Running(one.name.decode(), one.interval_ns, one.priority, one.event_offset, one.run)
            for one in self._program.tasks[: self._program.task_count]
        ]
        self._tasks.sort(key=lambda one: one.priority)
        self._run(self._program.init)

    def scan(self, count: int = 1, at_us: int | None = None, period_us: int | None = None) -> None:
        """Run ``count`` scans, the first with the program's clock at ``at_us``, or where it stands.

        After each scan the clock goes on by ``period_us``; without it by the shortest interval of the tasks, or not
        at all where ``at_us`` is given. The first scan runs every cyclic task, each later one those whose interval is
        over, and always those with the shortest, by priority. Raises RunTimeFault; the clock stays at that scan.
        """
        __tracebackhide__ = True  # pytest shows the test's line, and the Structured Text beside it
        if at_us is not None:
            if at_us * NS_PER_US < self.clock_ns and any(one.last_ns is not None for one in self._tasks):
                raise ValueError(f"the clock stands at {self.clock_ns} ns and only goes forward")
            self.clock_ns = at_us * NS_PER_US
        intervals = [one.interval_ns for one in self._tasks if one.interval_ns > 0]
        shortest = min(intervals, default=0)
        period_ns = period_us * NS_PER_US if period_us is not None else 0 if at_us is not None else shortest
        for _ in range(count):
            for task in self._tasks:
                if self._is_due(task, shortest):
                    self._run_task(task)
            self._note()
            self.clock_ns += period_ns

    def _is_due(self, task: _Running, shortest: int) -> bool:
        if task.event_offset != NO_EVENT:
            event = self._view[task.event_offset] != 0
            rises, task.event_before = event and not task.event_before, event
            if rises:
                return True
        if task.interval_ns == 0:
            return False
        if task.last_ns is None or task.interval_ns == shortest:
            return True
        return self.clock_ns - task.last_ns >= task.interval_ns

    def _run_task(self, task: _Running) -> None:
        __tracebackhide__ = True
        self._scan.period_ns = task.interval_ns
        self._scan.count = task.count
        self._scan.is_first = task.count == 0
        task.count += 1
        task.last_ns = self.clock_ns
        self._run(task.run)

    def _run(self, entry: int | None) -> None:
        __tracebackhide__ = True
        scan = self._scan
        scan.now_ns = self.clock_ns
        scan.wall_ns = self.clock_ns
        scan.loop_budget = LOOP_BUDGET
        is_done = self._guard(entry, ctypes.byref(scan), ctypes.addressof(self._buffer) + self._start)
        if self.symbols.coverage:
            self._coverage.add(bytes(self._counts))
            ctypes.memset(self._counts, 0, len(self._counts))
        if not is_done:
            self._note()
            raise self._fault()

    def _fault(self) -> RunTimeFault:
        scan = self._scan
        file, line = self._program.files[scan.fault_file].decode(), scan.fault_line
        if scan.fault != ASSERTION:
            return RunTimeFault(scan.fault, file, line)
        texts = [self[f"__assertion.{name}"] for name in ("expected", "actual", "message")]
        return AssertFault(file, line, *texts)

    # ── tests in Structured Text ───────────────────────────────────────────────────────────────────────────────
    @property
    def tests(self) -> list[str]:
        """The units and methods marked ``{test}``, in the order of the text."""
        return [str(one["name"]) for one in self.symbols.tests]

    def run_test(self, name: str) -> None:
        """One test from a cold start. Raises AssertFault or another RunTimeFault where it fails, KeyError."""
        number = {one.upper(): index for index, one in enumerate(self.tests)}[name.upper()]
        entries = (ctypes.c_void_p * len(self.tests)).in_dll(self._library, "tl_tests_v1")
        self.restart()
        self._run(entries[number])

    # ── what happened ──────────────────────────────────────────────────────────────────────────────────────────
    def coverage(self) -> Coverage:
        """What has run since this bench was loaded; raises ValueError where it was loaded without ``coverage``."""
        if not self.symbols.coverage:
            raise ValueError("load(..., coverage=True) counts what runs; this program was loaded without")
        return self._coverage

    def watch(self, *paths: str) -> None:
        """Keep the last changes of some variables: `trace` tells them, and the pytest plugin where a test fails."""
        self._watched |= {path: self.symbols.find(path) for path in paths}
        self._trace.clear()

    def trace(self) -> list[dict[str, Any]]:
        """The last changes of what is watched, at the end of a scan each: ``clock_ns`` and the variables by path."""
        return [
            {"clock_ns": clock_ns, **dict(zip(self._watched, values, strict=True))}
            for clock_ns, values in self._trace
        ]

    def _note(self) -> None:
        if self._watched:
            values = [self._read(place) for place in self._watched.values()]
            if not self._trace or self._trace[-1][1] != values:
                self._trace.append((self.clock_ns, values))

    def call(self, name: str, **arguments: Any) -> Any:
        """The value of a function, with inputs by name; what is not given takes its initial value.

        A function without a value gives its outputs as a dict.
        """
        function = self.symbols.functions.get(name.upper())
        if function is None:
            raise UnknownPathError(f"there is no function {name} that can be called from here")
        entries = (ctypes.c_void_p * (2 * len(self.symbols.functions))).in_dll(self._library, "tl_calls_v1")
        self._run(entries[2 * function["number"]])
        places = {
            one["name"].upper(): (one, Place(one["name"], one["type"], one["offset"], one["bytes"]))
            for one in function["parameters"]
        }
        for key, value in arguments.items():
            found = places.get(key.upper())
            if found is None or "result" in found[0]["flags"] or "output" in found[0]["flags"]:
                raise TypeError(f"{name} has no input {key}")
            self._store(found[1], value)
        self._run(entries[2 * function["number"] + 1])
        for described, place in places.values():
            if "result" in described["flags"]:
                return self._read(place)
        return {
            described["name"]: self._read(place)
            for described, place in places.values()
            if "output" in described["flags"]
        }

    # ── variables ──────────────────────────────────────────────────────────────────────────────────────────────
    def __getitem__(self, path: str) -> Any:
        """A variable's value: arrays are lists, structures and instances dicts."""
        return self._read(self.symbols.find(path))

    def __setitem__(self, path: str, value: Any) -> None:
        """Write a variable; raises ValueError or TypeError where the value is none of its type."""
        self._store(self.symbols.find(path), value)

    def __contains__(self, path: str) -> bool:
        """Whether there is a variable at a path."""
        try:
            self.symbols.find(path)
        except UnknownPathError:
            return False
        return True

    def _read(self, place: Place) -> Any:
        type_ = self.symbols.types[place.type]
        match type_["kind"]:
            case "record":
                return {
                    one["name"]: self._read(
                        Place("", one["type"], place.offset + one["offset"], one["bytes"])
                    )
                    for one in type_["members"]
                    if "hidden" not in one["flags"]
                }
            case "array":
                return self._read_rank(type_, place.offset, 0)[0]
            case "string" | "wstring":
                codec, unit = _TEXTS[type_["kind"]]
                _, length = struct.unpack_from("<HH", self._view, place.offset)
                start = place.offset + 4
                content = bytes(self._view[start : start + length * unit])
                return content.decode(codec, "surrogatepass" if unit > 1 else "strict")
        value = struct.unpack_from(f"={_FORMATS[type_['scalar']]}", self._view, place.offset)[0]
        return chr(value) if type_.get("family") == "character" else value

    def _read_rank(self, type_: dict[str, Any], offset: int, rank: int) -> tuple[list[Any], int]:
        low, high = type_["bounds"][rank]
        found: list[Any] = []
        element = type_["element"]
        size = self.symbols.types[element]["bytes"]
        for _ in range(low, high + 1):
            if rank + 1 < len(type_["bounds"]):
                row, offset = self._read_rank(type_, offset, rank + 1)
                found.append(row)
            else:
                found.append(self._read(Place("", element, offset, size)))
                offset += size
        return found, offset

    def _store(self, place: Place, value: Any) -> None:
        type_ = self.symbols.types[place.type]
        match type_["kind"]:
            case "record":
                self._store_record(type_, place, value)
            case "array":
                self._store_array(type_, place, value)
            case "string" | "wstring":
                self._store_string(type_, place, value)
            case _:
                stored = _checked(type_, place.path, value)
                struct.pack_into(f"={_FORMATS[type_['scalar']]}", self._view, place.offset, stored)

    def _store_record(self, type_: dict[str, Any], place: Place, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f"{place.path} is a {type_['name']} and takes a dict")
        members = {one["name"].upper(): one for one in type_["members"]}
        for name, each in value.items():
            member = members.get(name.upper())
            if member is None:
                raise UnknownPathError(f"{place.path}: {type_['name']} has no member {name}")
            path = f"{place.path}.{member['name']}"
            self._store(Place(path, member["type"], place.offset + member["offset"], member["bytes"]), each)

    def _store_array(self, type_: dict[str, Any], place: Place, value: Any) -> None:
        flat = _flat(value, [high - low + 1 for low, high in type_["bounds"]], place.path)
        size = self.symbols.types[type_["element"]]["bytes"]
        for number, each in enumerate(flat):
            self._store(Place(place.path, type_["element"], place.offset + number * size, size), each)

    def _store_string(self, type_: dict[str, Any], place: Place, value: Any) -> None:
        if not isinstance(value, str):
            raise TypeError(f"{place.path} is a {type_['name']} and takes a str")
        codec, unit = _TEXTS[type_["kind"]]
        encoded = value.encode(codec, "surrogatepass" if unit > 1 else "strict")
        length = len(encoded) // unit
        if length > type_["length"]:
            raise ValueError(f"{place.path} is a {type_['name']}: {length} characters do not fit")
        content = struct.pack("<HH", type_["length"], length) + encoded + bytes(unit)
        self._view[place.offset : place.offset + len(content)] = content


def _checked(type_: dict[str, Any], path: str, value: Any) -> Any:
    """A value as struct packs it."""
    name, kind = type_["name"], type_["scalar"]
    if type_["kind"] == "reference":
        raise TypeError(f"{path} is a {name}, which only the program can write")
    if kind == "bool":
        if isinstance(value, (bool, int)) and value in (0, 1):
            return bool(value)
        raise TypeError(f"{path} is BOOL and takes True or False, not {value!r}")
    if kind in ("f32", "f64"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{path} is {name} and takes a number, not {value!r}")
        return float(value)
    if isinstance(value, str):
        value = _named(type_, path, value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{path} is {name} and takes an int, not {value!r}")
    number = value.__index__()
    bits = int(kind[1:])
    low, high = (0, (1 << bits) - 1) if kind[0] == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    low, high = type_.get("low", low), type_.get("high", high)
    if not low <= number <= high:
        raise ValueError(f"{path} is {name}: {number} is outside of {low}..{high}")
    return number


def _named(type_: dict[str, Any], path: str, value: str) -> int:
    if type_["kind"] == "enumeration":
        for name, number in type_["values"].items():
            if name.upper() == value.upper():
                return int(number)
        raise ValueError(f"{path} is {type_['name']}: it has no value {value}")
    if type_.get("family") == "character" and len(value) == 1:
        return ord(value)
    raise TypeError(f"{path} is {type_['name']} and takes an int, not {value!r}")


def _flat(value: Any, shape: list[int], path: str) -> list[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{path} is an array and takes a list")
    rows = list(value)
    if len(rows) != shape[0]:
        raise ValueError(f"{path} has {shape[0]} elements, not {len(rows)}")
    if len(shape) == 1:
        return rows
    return [each for row in rows for each in _flat(row, shape[1:], path)]


__all__ = ["AssertFault", "Bench", "CompileFault", "RunTimeFault", "UnknownPathError", "load"]
