"""Programs are built into a folder of this run; some run apart, where a sanitizer may end their process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RUN = """
import json, sys
from plc import RunTimeFault, load
from plc.compiler.build import Options
text, flags, inputs = json.load(sys.stdin)
checks = "unchecked" not in flags
chosen = tuple(flag for flag in flags if flag != "unchecked")
bench = load(text, options=Options(checks, with_calls=True, flags=chosen))
for values in inputs:
    for name, value in values.items():
        bench[f"main.{name}"] = value
    try:
        bench.scan()
    except RunTimeFault:
        pass
print("ran", len(inputs))
"""

Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of built programs."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def apart() -> Apart:
    """Source text, inputs for each scan and flags of the C compiler to ``ran <scans>``, or how the process ended."""

    def run(text: str, values: list[dict[str, Any]], flags: tuple[str, ...]) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-c", RUN],
            input=json.dumps([text, flags, values]),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=Path(__file__).parents[3],
        )
        return done.stdout.strip() if done.returncode == 0 else f"{done.returncode} {done.stderr[-2000:]}"

    return run


WARNED = ("-Wall", "-Wextra", "-Werror")
STRICT = (*WARNED, "-Wconversion")  # which GCC says of its own instrumentation too
UNDEFINED = ("-fsanitize=undefined,float-cast-overflow,bounds-strict", "-fno-sanitize-recover=all")


@pytest.fixture(
    scope="session",
    params=[STRICT, (*STRICT, "unchecked"), (*UNDEFINED, *WARNED)],
    ids=["strict", "unchecked", "ubsan"],
)
def clean_flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Flags under which all generated C has to build and run."""
    flags: tuple[str, ...] = request.param
    return flags
