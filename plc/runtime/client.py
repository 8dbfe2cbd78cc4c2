"""The control socket of a running scan (docs/formats/scan-control.md), typed.

Calls block for a tick or two of the scan: an event loop calls them in a thread. One client serves one thread.

Errors:
    ScanError
    ├── ScanGoneError     no scan answers, or the connection broke
    ├── ScanRefusedError  not in this mode, or not with these arguments; the message says why
    └── ScanStaleError    the program was changed since `use`: take its new table
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plc.runtime.variables import Kind, Move, Table, Value, Variable, names_by_offset, variable

ANSWER_PATIENCE_S = 15.0  # an online change loads a program; the scan itself answers within its watchdog time
_HEAD = struct.Struct("<IHH")
MAX_ANSWER = 16 << 20  # a trace of 8 MiB and its head


class ScanError(Exception):
    """Anything that goes wrong with a running scan."""


class ScanGoneError(ScanError):
    """No scan answers."""


class ScanRefusedError(ScanError):
    """The scan said no."""


class ScanStaleError(ScanError):
    """The offsets are of a program that runs no more."""


class _Operation(IntEnum):
    STATUS = 1
    START = 2
    STOP = 3
    READ = 4
    WRITE = 5
    FORCE = 6
    UNFORCE = 7
    UNFORCE_ALL = 8
    FORCES = 9
    TRACE_ARM = 10
    TRACE_STOP = 11
    TRACE_FETCH = 12
    CHANGE = 13


class Mode(IntEnum):
    STOPPED = 0
    RUNNING = 1
    FAULTED = 2


class Start(IntEnum):
    """How variables begin (IEC 61131-3 6.5.6)."""

    COLD = 0
    WARM = 1
    HOT = 2


class TraceMode(IntEnum):
    IDLE = 0
    ARMED = 1
    TRIGGERED = 2
    DONE = 3
    LOST = 4


class Edge(IntEnum):
    NONE = 0
    RISING = 1
    FALLING = 2
    EITHER = 3


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of durations, each within 9 %, in ns."""

    p50_ns: int
    p99_ns: int
    p999_ns: int
    highest_ns: int


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A task since the program's start."""

    name: str
    interval_ns: int  # 0: on event
    priority: int
    count: int
    overruns: int
    jitter: Spread
    duration: Spread


@dataclass(frozen=True, slots=True)
class Fault:
    """The last fault; ``file`` and ``task`` are empty where it has none."""

    code: int
    line: int
    wall_ns: int
    now_ns: int
    text: str
    file: str
    task: str


@dataclass(frozen=True, slots=True)
class ScanStatus:
    """What a scan tells of itself."""

    changes: int
    mode: Mode
    is_realtime: bool
    is_locked: bool
    trace: TraceMode
    force_count: int
    restored: int  # retained variables that the last start brought back
    ticks: int
    saves: int
    save_failures: int
    name: str
    digest: str
    program: Path
    fault: Fault | None
    tasks: tuple[TaskStatus, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """Variables as they stood between two ticks."""

    tick: int
    now_ns: int  # the program's clock at the scan before
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Force:
    """A forced variable; ``variable`` is None where the table knows none there."""

    offset: int
    raw: bytes
    variable: Variable | None

    @property
    def value(self) -> Value | None:
        return None if self.variable is None else self.variable.decode(self.raw)


@dataclass(frozen=True, slots=True)
class Trigger:
    """When ``path``, which is among the traced variables, crosses ``level``; for a BOOL 0.5."""

    path: str
    edge: Edge
    level: float = 0.5


@dataclass(frozen=True, slots=True)
class Trace:
    """A recording: ``times_ns`` on the program's clock, and a column a path, all of shape (rows,)."""

    mode: TraceMode
    times_ns: NDArray[np.int64]
    columns: dict[str, NDArray[np.generic]]
    trigger_row: int | None


@dataclass(frozen=True, slots=True)
class Changed:
    """What an online change did."""

    changes: int
    forces_dropped: int
    took_ns: int  # of the loop's time


class _Body:
    """What is left of an answer's bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, format: str) -> tuple[int, ...]:
        found = struct.unpack_from(format, self._data, self._at)
        self._at += struct.calcsize(format)
        return found

    def bytes(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def text(self) -> str:
        (count,) = self.take("<H")
        return self.bytes(count).decode("utf-8", "replace")


def _task(body: _Body) -> TaskStatus:
    name = body.text()
    interval_ns, priority, count, overruns = body.take("<qIQQ")
    jitter, duration = Spread(*body.take("<4q")), Spread(*body.take("<4q"))
    return TaskStatus(name, interval_ns, priority, count, overruns, jitter, duration)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<H", len(raw)) + raw


class ScanClient:
    """A connection to a scan. Make one by `connect`; it is a context manager."""

    def __init__(self, connection: socket.socket) -> None:
        """Not for callers: use `connect`."""
        self._socket = connection
        self._table: Table | None = None
        self._changes = 0
        self._traced: tuple[Variable, ...] = ()

    @classmethod
    def connect(cls, path: Path, *, timeout_s: float = ANSWER_PATIENCE_S) -> Self:
        """Raises ScanGoneError where nobody answers there."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            raise ScanGoneError(f"no scan answers at {path}: {error}") from None
        return cls(connection)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, operation: _Operation, body: bytes = b"") -> _Body:
        try:
            self._socket.sendall(_HEAD.pack(len(body), operation, 0) + body)
            count, _, result = _HEAD.unpack(self._receive(_HEAD.size))
            answer = self._receive(count)
        except OSError as error:
            raise ScanGoneError(f"the connection to the scan broke: {error}") from None
        if result == 0:
            return _Body(answer)
        why = answer.decode("utf-8", "replace")
        raise ScanStaleError(why) if result == 3 else ScanRefusedError(why)

    def _receive(self, count: int) -> bytes:
        if count > MAX_ANSWER:
            raise OSError(f"an answer of {count} bytes")
        data = bytearray()
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise ConnectionResetError("the scan ended it")
            data += piece
        return bytes(data)

    # ── the program ────────────────────────────────────────────────────────────────────────────────────────────
    def status(self) -> ScanStatus:
        body = self._ask(_Operation.STATUS)
        changes, mode, is_realtime, is_locked, trace, forces, restored = body.take("<IBBBBII")
        ticks, saves, failures = body.take("<QQQ")
        name, digest, program = body.text(), body.text(), body.text()
        code, line, wall_ns, now_ns = body.take("<IIqq")
        fault = Fault(code, line, wall_ns, now_ns, body.text(), body.text(), body.text())
        (count,) = body.take("<I")
        tasks = tuple(_task(body) for _ in range(count))
        return ScanStatus(
            changes,
            Mode(mode),
            bool(is_realtime),
            bool(is_locked),
            TraceMode(trace),
            forces,
            restored,
            ticks,
            saves,
            failures,
            name,
            digest,
            Path(program),
            fault if code else None,
            tasks,
        )

    def start(self, how: Start) -> None:
        self._ask(_Operation.START, bytes([how]))

    def stop(self) -> None:
        """Outputs turn safe, retained variables are saved."""
        self._ask(_Operation.STOP)

    def use(self, table: Table) -> None:
        """Name variables by this table from now on. Raises ScanStaleError where another program runs."""
        status = self.status()
        if status.digest != table.digest:
            raise ScanStaleError(f"the scan runs {status.digest[:12]}, the table is of {table.digest[:12]}")
        self._table = table
        self._changes = status.changes

    def change(self, program: Path, wiring: Path, moves: Iterable[Move]) -> Changed:
        """Go over to another program between two scans; then `use` its table."""
        rows = [struct.pack("<III", move.source, move.target, move.size) for move in moves]
        body = struct.pack("<I", self._changes) + _text(str(program)) + _text(str(wiring))
        answer = self._ask(_Operation.CHANGE, body + struct.pack("<I", len(rows)) + b"".join(rows))
        return Changed(*answer.take("<IIq"))

    # ── its variables ──────────────────────────────────────────────────────────────────────────────────────────
    def _used(self) -> Table:
        assert self._table is not None, "call use() first"
        return self._table

    def _variable(self, path: str) -> Variable:
        return variable(self._used(), path)

    def _current(self, format: str, *values: int) -> bytes:
        return struct.pack("<I" + format, self._changes, *values)

    def read(self, paths: Iterable[str]) -> Reading:
        """Present values, all of one moment. Raises KeyError, ValueError for what is no variable."""
        variables = [self._variable(path) for path in paths]
        pieces = b"".join(struct.pack("<II", one.offset, one.size) for one in variables)
        body = self._ask(_Operation.READ, self._current("I", len(variables)) + pieces)
        tick, now_ns = body.take("<Qq")
        return Reading(tick, now_ns, {one.path: one.decode(body.bytes(one.size)) for one in variables})

    def write(self, values: Mapping[str, Value]) -> None:
        """Set variables, all between the same two ticks; the program may write over them in the next scan."""
        pieces = b""
        for path, value in values.items():
            one = self._variable(path)
            raw = one.encode(value)
            pieces += struct.pack("<II", one.write_offset, len(raw)) + raw
        self._ask(_Operation.WRITE, self._current("I", len(values)) + pieces)

    def force(self, path: str, value: Value) -> None:
        """Hold a variable at a value until it is cleared."""
        one = self._variable(path)
        if one.kind.is_text:
            raise ScanRefusedError(f"{path} is a string: strings are written, not forced")
        raw = one.encode(value)
        self._ask(_Operation.FORCE, self._current("II", one.offset, one.size) + raw.ljust(8, b"\0"))

    def unforce(self, path: str) -> None:
        self._ask(_Operation.UNFORCE, self._current("I", self._variable(path).offset))

    def unforce_all(self) -> None:
        self._ask(_Operation.UNFORCE_ALL)

    def forces(self) -> tuple[Force, ...]:
        names = names_by_offset(self._used())
        body = self._ask(_Operation.FORCES)
        changes, count = body.take("<II")
        if changes != self._changes:
            raise ScanStaleError("the program was changed: read its symbols anew")
        rows = []
        for _ in range(count):
            offset, size = body.take("<II")
            rows.append(Force(offset, body.bytes(8)[:size], names.get(offset)))
        return tuple(rows)

    # ── trace ──────────────────────────────────────────────────────────────────────────────────────────────────
    def arm_trace(
        self, task: str, paths: Iterable[str], *, before: int, after: int, trigger: Trigger | None = None
    ) -> None:
        """Record up to 16 variables after each scan of a task: ``before`` rows, then ``after`` from the trigger on.

        Without a trigger the next ``after`` rows.
        """
        table = self._used()
        if task not in table.tasks:
            raise ScanRefusedError(f"there is no task {task}")
        variables = tuple(self._variable(path) for path in paths)
        watched = 0
        if trigger is not None:
            watched = [one.offset for one in variables].index(self._variable(trigger.path).offset)
        edge, level = (Edge.NONE, 0.0) if trigger is None else (trigger.edge, trigger.level)
        body = self._current("IIIII", table.tasks.index(task), before, after, watched, edge)
        body += struct.pack("<dI", level, len(variables))
        body += b"".join(struct.pack("<II", one.offset, one.kind) for one in variables)
        self._ask(_Operation.TRACE_ARM, body)
        self._traced = variables

    def stop_trace(self) -> None:
        """End the recording with what is there."""
        self._ask(_Operation.TRACE_STOP)

    def trace(self) -> Trace | None:
        """The recording this client armed; None while it is under way."""
        body = self._ask(_Operation.TRACE_FETCH)
        mode = TraceMode(body.take("<I")[0])
        if mode not in (TraceMode.DONE, TraceMode.LOST):
            return None
        columns, trigger, count = body.take("<IQQ")
        if columns != len(self._traced):
            raise ScanRefusedError("somebody else has armed another trace")
        rows = np.frombuffer(body.bytes(8 * (columns + 1) * count), np.uint64).reshape(count, columns + 1)
        return Trace(
            mode,
            rows[:, 0].view(np.int64),
            {one.path: _column(rows[:, 1 + i], one.kind) for i, one in enumerate(self._traced)},
            trigger if trigger < count else None,
        )


_COLUMN_TYPES = {
    Kind.BOOL: "?",
    Kind.I8: "<i1",
    Kind.I16: "<i2",
    Kind.I32: "<i4",
    Kind.I64: "<i8",
    Kind.U8: "<u1",
    Kind.U16: "<u2",
    Kind.U32: "<u4",
    Kind.U64: "<u8",
    Kind.F32: "<f4",
    Kind.F64: "<f8",
}


def _column(words: NDArray[np.uint64], kind: Kind) -> NDArray[np.generic]:
    """Eight-byte cells as their kind: its own bytes come first."""
    type_ = np.dtype(_COLUMN_TYPES[kind])
    cells: NDArray[np.generic] = np.ascontiguousarray(words).view(type_)[:: 8 // type_.itemsize]
    return cells
