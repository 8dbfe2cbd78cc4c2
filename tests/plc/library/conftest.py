"""One program with an instance of every library block, compiled once; a test runs one of them on virtual time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from plc.bench import Bench, load
from plc.library import FILES


class Block:
    """An instance that is called once a scan. Times are seconds on the program's clock."""

    def __init__(self, bench: Bench, name: str, number: int) -> None:
        self._bench, self._path = bench, f"main.{name}_"
        bench.restart()
        bench["main.which"] = number

    def __getitem__(self, variable: str) -> Any:
        return self._bench[f"{self._path}.{variable}"]

    def set(self, **inputs: Any) -> None:
        """Inputs keep their values from scan to scan. ``a__b`` is the member b of a."""
        for name, value in inputs.items():
            self._bench[f"{self._path}.{name.replace('__', '.')}"] = value

    @property
    def time_s(self) -> float:
        """When the last scan was."""
        return self._bench.clock_ns / 1e9

    def at(self, time_s: float, **inputs: Any) -> None:
        """One scan at a time, after setting inputs."""
        self.set(**inputs)
        self._bench.scan(at_us=round(time_s * 1e6))

    def run(self, until_s: float, period_s: float, **inputs: Any) -> None:
        """Scans one period apart, beginning one period after the last, up to and with ``until_s``."""
        self.set(**inputs)
        period_us = round(period_s * 1e6)
        start_us = self._bench.clock_ns // 1000 + period_us
        count = (round(until_s * 1e6) - start_us) // period_us + 1
        if count > 1:
            self._bench.scan(count - 1, at_us=start_us, period_us=period_us)
        if count > 0:
            self._bench.scan(at_us=start_us + (count - 1) * period_us)

    def follow(
        self, signal: Callable[[float], dict[str, Any]], until_s: float, period_s: float, watch: str = ""
    ) -> list[Any]:
        """The same with inputs that are functions of time; gives ``watch`` after each scan."""
        seen = []
        period_us = round(period_s * 1e6)
        for time_us in range(self._bench.clock_ns // 1000 + period_us, round(until_s * 1e6) + 1, period_us):
            self.at(time_us / 1e6, **signal(time_us / 1e6))
            if watch:
                seen.append(self[watch])
        return seen

    def when(self, output: str, period_s: float, limit_s: float, *, becomes: Any = True) -> float | None:
        """When the first scan from now on ended with an output of that value; None if none did by the limit."""
        period_us = round(period_s * 1e6)
        for time_us in range(self._bench.clock_ns // 1000 + period_us, round(limit_s * 1e6) + 1, period_us):
            self._bench.scan(at_us=time_us)
            if self[output] == becomes:
                return time_us / 1e6
        return None


@pytest.fixture(scope="session")
def library() -> tuple[Bench, dict[str, int]]:
    names = [
        name
        for file in FILES
        for name in re.findall(r"^FUNCTION_BLOCK (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    numbers = {name: number for number, name in enumerate(names, 1)}
    instances = "".join(f"        {name}_ : {name};\n" for name in names)
    calls = "".join(f"        {number}: {name}_();\n" for name, number in numbers.items())
    main = f"""PROGRAM main
    VAR
        which : INT;
{instances}    END_VAR
    CASE which OF
{calls}    END_CASE;
END_PROGRAM
"""
    return load(*FILES, main), numbers


@pytest.fixture
def block(library: tuple[Bench, dict[str, int]]) -> Callable[[str], Block]:
    """``block("RAMP")``: an instance after a cold start, its clock at 0 and not yet called."""
    bench, numbers = library
    return lambda name: Block(bench, name, numbers[name])
