# ruff: noqa: E501  # lines of Structured Text
"""The test bench as integrators use it: paths, values, time, calls, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

import plc.bench
from plc import CompileFault, RunTimeFault, load
from plc.bench import Bench, UnknownPathError

TEXT = """
TYPE Colour : (Red, Green := 5, Blue); Point : STRUCT x : REAL := 1.5; tags : ARRAY [1..2] OF STRING[5]; END_STRUCT; END_TYPE
VAR_GLOBAL shared : DINT := 7; END_VAR
FUNCTION Scale : LREAL VAR_INPUT raw : INT; factor : LREAL := 2.0; END_VAR Scale := raw * factor; END_FUNCTION
FUNCTION Both VAR_INPUT a : INT; END_VAR VAR_OUTPUT half, twice : INT; END_VAR half := a / 2; twice := a * 2; END_FUNCTION
FUNCTION_BLOCK Holder VAR_OUTPUT values : ARRAY [0..3] OF Point; END_VAR END_FUNCTION_BLOCK
PROGRAM Main
VAR x : INT; b : BOOL; u : USINT; r : REAL; s : STRING[4]; c : Colour; t : TIME; d : DATE := D#1970-01-02; m : ARRAY [1..2, -1..0] OF INT; fb : Holder;
 n : LINT; small : INT (1..5) := 2; END_VAR
n := n + 1; t := t + T#1ms;
END_PROGRAM
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return load(TEXT)


@pytest.fixture
def p(built: Bench) -> Bench:
    built.restart()
    return built


def test_values_go_in_and_come_out_as_pythons(p: Bench) -> None:
    for path, value in {
        "main.x": -32768,
        "MAIN.B": True,
        "main.u": 255,
        "main.r": 0.5,
        "main.s": "abé",
        "main.c": 5,
        "main.t": 1_500_000,
        "main.m": [[1, 2], [3, 4]],
        "main.fb.values[2]": {"x": 2.5, "tags": ["one", "two"]},
        "shared": -1,
    }.items():
        p[path] = value
        assert p[path] == value
        assert type(p[path]) is type(value)
    assert p["main.m[2,-1]"] == 3
    assert p["main.fb.values[2].tags[2]"] == "two"
    assert p["main.d"] == 86_400_000_000_000
    p["main.c"] = "Blue"
    assert p["main.c"] == 6


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("main.x", 32768, ValueError),
        ("main.x", 1.0, TypeError),
        ("main.x", True, TypeError),
        ("main.b", 2, TypeError),
        ("main.u", -1, ValueError),
        ("main.r", "1", TypeError),
        ("main.s", "abcde", ValueError),
        ("main.s", 5, TypeError),
        ("main.c", "Pink", ValueError),
        ("main.small", 6, ValueError),
        ("main.m", [[1, 2]], ValueError),
        ("main.m", 5, TypeError),
        ("main.fb.values[0]", {"y": 1.0}, UnknownPathError),
    ],
)
def test_what_is_none_of_the_type_is_refused(
    p: Bench, path: str, value: object, error: type[Exception]
) -> None:
    before = p[path]
    with pytest.raises(error):
        p[path] = value
    assert p[path] == before


@pytest.mark.parametrize(
    "path",
    ["nothing", "main.y", "main.x.y", "main.m[3,0]", "main.m[1]", "main.x[1]", "main.m[a]", "", "main..x y"],
)
def test_a_path_to_nowhere_says_so(p: Bench, path: str) -> None:
    assert path not in p
    with pytest.raises(UnknownPathError):
        p[path]


def test_the_clock_moves_only_as_it_is_told(p: Bench) -> None:
    p.scan(at_us=5)
    assert p.clock_ns == 5_000
    p.scan(count=3, at_us=10)
    assert p.clock_ns == 10_000
    p.scan(count=3, period_us=100)
    assert p.clock_ns == 310_000
    p.scan(count=2)
    assert p.clock_ns == 2_310_000
    assert p["main.n"] == 9
    with pytest.raises(ValueError, match="only goes forward"):
        p.scan(at_us=1)


def test_functions_are_called_by_name(p: Bench) -> None:
    assert p.call("Scale", raw=4) == 8.0
    assert p.call("SCALE", RAW=4, factor=0.5) == 2.0
    assert p.call("Both", a=9) == {"half": 4, "twice": 18}
    with pytest.raises(TypeError, match="no input wrong"):
        p.call("Scale", wrong=1)
    with pytest.raises(UnknownPathError):
        p.call("Nothing")
    assert p["main.n"] == 0


def test_several_files_are_one_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.st").write_text(
        "FUNCTION f : INT VAR_INPUT x : INT; END_VAR\nf := 10 / x;\nEND_FUNCTION\n"
    )
    p = load(tmp_path / "a.st", "PROGRAM main VAR x, y : INT; END_VAR y := f(x); END_PROGRAM")
    with pytest.raises(RunTimeFault) as raised:
        p.scan()
    assert (raised.value.file, raised.value.line) == (str(tmp_path / "a.st"), 2)
    same = load([str(tmp_path / "a.st"), "PROGRAM main VAR x, y : INT; END_VAR y := f(x); END_PROGRAM"])
    same["main.x"] = 3
    same.scan()
    assert same["main.y"] == 3
    assert p["main.y"] == 0


def test_two_benches_of_one_program_share_nothing(p: Bench) -> None:
    other = Bench(p.built)
    other.scan(count=5)
    assert (p["main.n"], other["main.n"]) == (0, 5)


def test_a_missing_file_and_a_faulty_program_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.st")
    with pytest.raises(CompileFault):
        load("PROGRAM main x := 1; END_PROGRAM")
    with pytest.raises(ValueError, match="needs a file"):
        load()


def test_the_page_of_the_bench_names_all_of_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "test-bench.md").read_text()
    for name in (*plc.bench.__all__[1:], "restart", "clock_ns", "period_us", "at_us"):
        assert name in page
