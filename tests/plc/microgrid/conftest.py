"""The demo's programs, compiled, with the plant of the simulator around them on one virtual clock."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
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

    def reader(self, paths: Sequence[str]) -> Callable[[], tuple[Any, ...]]:
        """By one format for all that lies between the first and the last: each scan asks for all of them."""
        found = [variable(self.bench.symbols, path) for path in paths]
        order = sorted(range(len(found)), key=lambda place: found[place].offset)
        layout, end = "=", 0
        for at in (found[place] for place in order):
            code = FORMATS[at.kind].removeprefix("=")
            layout += f"{at.offset - end}x{code}"
            end = at.offset + struct.calcsize(f"={code}")
        read, view = struct.Struct(layout).unpack_from, self.bench._view
        in_order = itemgetter(*(order.index(place) for place in range(len(found))))
        return lambda: in_order(read(view))

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
def demo() -> Demo:
    """As it ships, but for the times in SHORTER. As text: files of a new folder would be compiled anew."""
    changed = 0
    texts = []
    for file in sorted((DEMO / "logic").glob("*.st")):
        text = file.read_text(encoding="utf-8")
        for shipped, short in SHORTER.items():
            changed += text.count(shipped)
            text = text.replace(shipped, short)
        texts.append(text)
    assert changed == len(SHORTER)
    return Demo(load_site(DEMO / "site.yaml"), load(*FILES, *texts))


@pytest.fixture(scope="session")
def plant() -> Callable[..., Microgrid]:
    """The demo's plant; seed and start_hour as wanted."""

    def make(**wanted: Any) -> Microgrid:
        return Microgrid(nominal=NOMINAL, **wanted)

    return make
