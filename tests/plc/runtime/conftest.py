"""A region, a hand-written program compiled by cc, its wiring, and the scan's real process on them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.tags.image import Region, Writer
from gateway.tags.sample import to_bits
from gateway.tags.tag import TagSpec, ValueType
from plc.compiler.build import Built, Options, build
from plc.language.source import Source
from plc.runtime.client import ScanClient
from plc.runtime.process import ScanFiles, StartUp, command, connected, ended
from plc.runtime.variables import Move, Table, moves_between
from plc.runtime.wiring import Input, Output, Setpoint, System, SystemTag, encode_wiring

ROOT = Path(__file__).parents[3]
SPECS = (
    TagSpec("pcc.power_kw", ValueType.DOUBLE, "drivers"),
    TagSpec("battery1.setpoint_kw", ValueType.DOUBLE, "scan"),
    TagSpec("battery1.is_high", ValueType.BOOL, "scan"),
    TagSpec("dispatch.kw", ValueType.DOUBLE, "drivers"),
    TagSpec("dispatch.kw.valid_until", ValueType.INT64, "drivers"),
    TagSpec("dispatch.kw.sequence", ValueType.UINT64, "drivers"),
    TagSpec("dispatch.kw.accepted", ValueType.DOUBLE, "scan"),
    TagSpec("dispatch.kw.answered", ValueType.UINT64, "scan"),
    TagSpec("dispatch.kw.reason", ValueType.UINT64, "scan"),
    TagSpec("_system.scan.mode", ValueType.UINT64, "scan"),
    TagSpec("_system.scan.fault", ValueType.UINT64, "scan"),
    TagSpec("_system.scan.last_fault", ValueType.STRING, "scan", 60),
    TagSpec("_system.scan.program", ValueType.STRING, "scan", 64),
    TagSpec("_system.scan.fast.count", ValueType.UINT64, "scan"),
    TagSpec("_system.scan.fast.overruns", ValueType.UINT64, "scan"),
    TagSpec("_system.scan.fast.jitter_p99_us", ValueType.DOUBLE, "scan"),
    TagSpec("_system.scan.slow.duration_p99_us", ValueType.DOUBLE, "scan"),
)
INPUTS = (Input("pcc.power_kw", "main.power", "main.power_quality"),)
OUTPUTS = (
    Output("main.setpoint", "battery1.setpoint_kw", -5.0),
    Output("main.is_high", "battery1.is_high", 0),
)
SYSTEMS = (
    SystemTag("_system.scan.mode", System.MODE),
    SystemTag("_system.scan.fault", System.FAULT_CODE),
    SystemTag("_system.scan.last_fault", System.FAULT_TEXT),
    SystemTag("_system.scan.program", System.DIGEST),
    SystemTag("_system.scan.fast.count", System.COUNT, "fast"),
    SystemTag("_system.scan.fast.overruns", System.OVERRUNS, "fast"),
    SystemTag("_system.scan.fast.jitter_p99_us", System.JITTER_P99, "fast"),
    SystemTag("_system.scan.slow.duration_p99_us", System.DURATION_P99, "slow"),
)


class Text(ctypes.Structure):
    _fields_ = (("capacity", ctypes.c_uint16), ("length", ctypes.c_uint16), ("bytes", ctypes.c_char * 22))


_AFTER_TYPED = (
    ("command", ctypes.c_int32),
    ("first", ctypes.c_uint32),
    ("name", Text),
    ("is_high", ctypes.c_bool),
)
_BEFORE_TYPED = (
    ("clock", ctypes.c_int64),
    ("setpoint", ctypes.c_double),
    ("power", ctypes.c_int32),
    ("power_quality", ctypes.c_uint32),
    ("energy", ctypes.c_int32),
    ("fast", ctypes.c_uint32),
    ("slow", ctypes.c_uint32),
)


class State(ctypes.Structure):
    """struct state of program.c."""

    _fields_ = (*_BEFORE_TYPED, ("typed", ctypes.c_uint32), *_AFTER_TYPED)


class EditedState(ctypes.Structure):
    """The same with -DEDITED."""

    _fields_ = (("added", ctypes.c_double), *_BEFORE_TYPED, ("typed", ctypes.c_uint64), *_AFTER_TYPED)


_SCALARS = {
    ctypes.c_bool: "bool",
    ctypes.c_int32: "i32",
    ctypes.c_int64: "i64",
    ctypes.c_uint32: "u32",
    ctypes.c_uint64: "u64",
    ctypes.c_double: "f64",
}


@dataclass(frozen=True)
class HandPlace:
    path: str
    type: int
    offset: int
    bytes: int
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HandTable:
    """A table of symbols of a ctypes structure."""

    digest: str
    state: type[ctypes.Structure]
    tasks: list[str] = field(default_factory=lambda: ["fast", "slow"])
    types: list[dict[str, Any]] = field(default_factory=list)
    places: dict[str, HandPlace] = field(default_factory=dict)

    @property
    def state_bytes(self) -> int:
        return ctypes.sizeof(self.state)

    @classmethod
    def of(cls, digest: str, state: type[ctypes.Structure]) -> HandTable:
        table = cls(digest, state)
        for name, type_, *_ in state._fields_:
            described = (
                {"kind": "string", "name": "STRING[21]", "length": 21, "bytes": 26}
                if type_ is Text
                else {"kind": "scalar", "name": _SCALARS[type_], "scalar": _SCALARS[type_]}
            )
            table.types.append(described)
            path = f"main.{name}"
            offset = getattr(state, name).offset
            table.places[path] = HandPlace(path, len(table.types) - 1, offset, ctypes.sizeof(type_))
        return table

    def find(self, path: str) -> HandPlace:
        return self.places[path.lower()]

    def walk(self) -> Iterator[HandPlace]:
        yield from self.places.values()


PROGRAM = HandTable.of("a" * 64, State)
EDITED = HandTable.of("b" * 64, EditedState)


def compiled(folder: Path, table: HandTable) -> Path:
    path = folder / f"{table.digest[:4]}.so"
    defines = [f'-DDIGEST="{table.digest}"', *(["-DEDITED"] if table.state is EditedState else [])]
    flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wno-infinite-recursion", "-shared", "-fPIC"]
    source = os.fspath(Path(__file__).with_name("program.c"))
    includes = f"-I{ROOT / 'firmware' / 'scan'}"
    subprocess.run(["cc", *flags, *defines, includes, "-o", os.fspath(path), source], check=True)
    return path


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("programs")
    return {table.digest: compiled(folder, table) for table in (PROGRAM, EDITED)}


def until(claim: Callable[[], bool], why: str, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < end, why
        time.sleep(0.005)


class Site:
    """A region with a drivers' writer and whatever scans a test starts on it."""

    program = PROGRAM
    edited = EDITED
    outputs = OUTPUTS
    until = staticmethod(until)

    def __init__(self, folder: Path, programs: dict[str, Path], cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.programs = programs
        self.region = Region.create(
            f"test-scan-{os.getpid()}-{time.monotonic_ns()}", SPECS, journal_records=4096
        )
        self.drivers: Writer = self.region.claim("drivers")
        self.processes: list[subprocess.Popen[str]] = []
        self.clients: list[ScanClient] = []
        self.files = ScanFiles(
            programs[PROGRAM.digest], folder / "wiring", folder / "scan.sock", folder / "retain"
        )
        self.wire(PROGRAM, self.files.wiring)

    def wire(self, table: HandTable, path: Path, outputs: tuple[Output, ...] | None = None) -> Path:
        wired = OUTPUTS if outputs is None else outputs
        path.write_bytes(encode_wiring(self.region, "scan", table, INPUTS, wired, SYSTEMS))
        return path

    def launch(self, **options: Any) -> subprocess.Popen[str]:
        other = os.environ.get("TIELINE_SCAN")  # a build with sanitizers
        options.setdefault("watchdog_ms", 1000)  # a machine that is busy is no fault of the program
        words = command(self.region.name, self.files, path=Path(other) if other else None, **options)
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def start(self, start: StartUp = StartUp.WARM, table: Table = PROGRAM, **options: Any) -> ScanClient:
        client = connected(self.launch(start=start, **options), self.files.control)
        self.clients.append(client)
        client.use(table)
        return client

    def build(self, text: str, options: Options | None = None) -> Built:
        return build([Source("main.st", text)], options or Options(), self.cache)

    def wire_text(
        self,
        built: Built,
        path: Path,
        inputs: Sequence[Input] = (),
        outputs: Sequence[Output] = (),
        setpoints: Sequence[Setpoint] = (),
    ) -> Path:
        path.write_bytes(encode_wiring(self.region, "scan", built.symbols, inputs, outputs, (), setpoints))
        return path

    def start_text(
        self,
        built: Built,
        inputs: Sequence[Input] = (),
        outputs: Sequence[Output] = (),
        setpoints: Sequence[Setpoint] = (),
        start: StartUp = StartUp.COLD,
        **options: Any,
    ) -> ScanClient:
        """The scan of a program in Structured Text."""
        wiring = self.wire_text(built, self.files.wiring, inputs, outputs, setpoints)
        self.files = ScanFiles(built.shared_object, wiring, self.files.control, self.files.retain)
        return self.start(start, table=built.symbols, **options)

    @property
    def process(self) -> subprocess.Popen[str]:
        return self.processes[-1]

    def put(self, power: float, status: int = 0) -> None:
        now = time.time_ns()
        tags = self.region.indexes_of(["pcc.power_kw"])
        self.drivers.write(tags, to_bits(np.array([power]), ValueType.DOUBLE), status, now, now)

    def send(self, value: float, sequence: int, valid_for_s: float = 60.0) -> None:
        """A setpoint for dispatch.kw, as the command router writes it."""
        now = time.time_ns()
        tags = self.region.indexes_of(["dispatch.kw", "dispatch.kw.valid_until", "dispatch.kw.sequence"])
        bits = np.array(
            [np.float64(value).view(np.uint64), now + int(valid_for_s * 1e9), sequence], np.uint64
        )
        self.drivers.write(tags, bits, 0, now, now)

    def is_over(self, sequence: int) -> bool:
        """The time of the setpoint that stands in the tags."""
        assert self.value("dispatch.kw.sequence") == sequence
        return time.time_ns() > int(str(self.value("dispatch.kw.valid_until")))

    def moves(self, old: Built, new: Built) -> tuple[Move, ...]:
        return moves_between(old.symbols, new.symbols)

    def value(self, tag: str) -> object:
        return self.region.sample(tag).value

    def status(self, tag: str) -> int:
        return self.region.sample(tag).status

    def end(self) -> None:
        for client in self.clients:
            client.close()
        for process in self.processes:
            is_running = process.poll() is None
            if is_running:
                ended(process)
            assert process.stderr is not None
            said = process.stderr.read()
            process.stderr.close()
            assert not is_running or process.returncode == 0, said


@pytest.fixture(scope="session")
def compiled_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiler's cache: each program in Structured Text is compiled once."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def site(tmp_path: Path, programs: dict[str, Path], compiled_text: Path) -> Iterator[Site]:
    site = Site(tmp_path, programs, compiled_text)
    yield site
    try:
        site.end()
    finally:
        site.region.close()
