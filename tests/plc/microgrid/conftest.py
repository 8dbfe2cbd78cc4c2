"""The demo's programs, compiled, with the plant of the simulator around them on one virtual clock."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import Nominal
from gateway.simulator.together import Delays, Together
from plc.bench import Bench, load
from plc.library import FILES
from plc.runtime.variables import Kind, variable

DEMO = Path(__file__).parents[3] / "config/sites/demo"
NOMINAL = Nominal(hz=60.0, v=480.0, remote=True)
FORMATS = {
    Kind.BOOL: "?", Kind.I16: "=h", Kind.U16: "=H", Kind.I32: "=i", Kind.U32: "=I", Kind.I64: "=q", Kind.U64: "=Q",
    Kind.F32: "=f", Kind.F64: "=d",
}  # fmt: skip
# Waiting that a test need not sit out. Nothing that decides between two courses is shortened.
SHORTER = {
    "return_delay := T#60s": "return_delay := T#2s",
    "retry_time := T#10s": "retry_time := T#2s",
    "restore_delay := T#5s": "restore_delay := T#500ms",
}


class BenchProgram:
    """A program on the test bench, its variables by the bytes they lie in: thousands of accesses a second."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def getter(self, path: str) -> Callable[[], Any]:
        at = variable(self.bench.symbols, path)
        read, view, offset = struct.Struct(FORMATS[at.kind]).unpack_from, self.bench._view, at.offset
        return lambda: read(view, offset)[0]

    def setter(self, path: str) -> Callable[[Any], None]:
        at = variable(self.bench.symbols, path)
        write, view, offset = struct.Struct(FORMATS[at.kind]).pack_into, self.bench._view, at.offset
        as_type = bool if at.kind is Kind.BOOL else float if at.kind in (Kind.F32, Kind.F64) else int
        return lambda value: write(view, offset, as_type(value))

    def scan(self, count: int, period_us: int) -> None:
        self.bench.scan(count, period_us=period_us)

    def __getitem__(self, path: str) -> Any:
        return self.bench[path]

    def __setitem__(self, path: str, value: Any) -> None:
        self.bench[path] = value


@dataclass(frozen=True)
class Demo:
    """The demo's site and its programs, to be started anew for every case."""

    site: Site
    bench: Bench

    def start(self, grid: Microgrid, delays: Delays | None = None, seed: int = 1) -> Together:
        self.bench.restart()
        return Together(grid, BenchProgram(self.bench), self.site, delays, seed)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """As it ships, but for the times in SHORTER."""
    folder = tmp_path_factory.mktemp("logic")
    changed = 0
    files = []
    for file in sorted((DEMO / "logic").glob("*.st")):
        text = file.read_text(encoding="utf-8")
        for shipped, short in SHORTER.items():
            changed += text.count(shipped)
            text = text.replace(shipped, short)
        (folder / file.name).write_text(text, encoding="utf-8")
        files.append(folder / file.name)
    assert changed == len(SHORTER)
    return Demo(load_site(DEMO / "site.yaml"), load(*FILES, *files))


@pytest.fixture
def plant() -> Callable[..., Microgrid]:
    """The demo's plant; seed and start_hour as wanted."""

    def make(**wanted: Any) -> Microgrid:
        return Microgrid(nominal=NOMINAL, **wanted)

    return make
