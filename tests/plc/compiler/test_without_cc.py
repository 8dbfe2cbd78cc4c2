"""A machine without a C compiler: the extra [compiler] brings one, and without that it is said in words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 400  # zig makes its own C library ready when it is first used

RUN = """
import json
from plc import RunTimeFault, load
from plc.compiler.build import compiler
p = load('''PROGRAM main VAR n : INT; r : REAL; s : STRING; a : ARRAY [1..3] OF INT; i : INT := 9; END_VAR
n := n + 1; r := SQRT(2.0); s := CONCAT('n', INT_TO_STRING(n)); IF n > 1 THEN a[i] := 1; END_IF; END_PROGRAM''')
p.scan()
first = [p["main.n"], p["main.r"], p["main.s"]]
try:
    p.scan()
except RunTimeFault as fault:
    print(json.dumps([compiler()[1:], first, str(fault)]))
"""

WITHOUT = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "ziglang" else found(name, *more)
from plc import load
from plc.compiler.build import NoCompilerError
try:
    load("PROGRAM main VAR n : INT; END_VAR n := 1; END_PROGRAM")
except NoCompilerError as error:
    print(error)
"""


def run_without_cc(script: str, folder: Path) -> str:
    (folder / "bin").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": str(folder / "bin"), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout


@pytest.mark.timeout(TIMEOUT_S)
def test_the_extra_compiles_where_there_is_no_cc(tmp_path: Path) -> None:
    command, first, fault = json.loads(run_without_cc(RUN, tmp_path))
    assert command == ["-m", "ziglang", "cc"]
    assert first == [1, pytest.approx(2**0.5), "n1"]
    assert fault.endswith("an array index outside of its bounds")


def test_without_any_compiler_it_is_said_what_to_install(tmp_path: Path) -> None:
    assert run_without_cc(WITHOUT, tmp_path).startswith("there is no C compiler: install cc, or")
