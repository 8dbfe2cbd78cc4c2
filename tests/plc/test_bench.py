# ruff: noqa: E501  # lines of Structured Text
"""The test bench as integrators use it: paths, values, time, calls, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

import plc.bench
from plc import AssertFault, CompileFault, RunTimeFault, load
from plc.bench import Bench, UnknownPathError
from plc.compiler.build import Options, translate
from plc.language.source import Source
from plc.library import FILES
from plc.sources import with_library

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
    for name in (*(set(plc.bench.__all__) - {"Bench"}), "restart", "clock_ns", "period_us", "at_us"):
        assert name in page


# ── tests in Structured Text ─────────────────────────────────────────────────────────────────────────────────────
TESTED = """
FUNCTION Twice : INT VAR_INPUT x : INT; END_VAR Twice := 2 * x; END_FUNCTION
PROGRAM Main VAR n : INT; END_VAR n := Twice(n + 1); END_PROGRAM
{test support}
FUNCTION_BLOCK Clock VAR_OUTPUT passed : TIME; END_VAR ADVANCE(T#5s); passed := passed + T#5s; END_FUNCTION_BLOCK
{test}
FUNCTION_BLOCK Tests
VAR set_up : INT; clock : Clock; timer : TON; END_VAR
set_up := set_up + 1;
{test} METHOD passes ASSERT_EQUAL(1, set_up); ASSERT_EQUAL(8, Twice(4)); END_METHOD
{test} METHOD time_goes_by timer(IN := TRUE, PT := T#5s); clock(); timer(); ASSERT(timer.Q); END_METHOD
{test} METHOD fails ASSERT_EQUAL(9, Twice(4), 'twice four'); END_METHOD
METHOD helper set_up := 7; END_METHOD
END_FUNCTION_BLOCK
{test} PROGRAM Whole VAR x : INT; END_VAR x := 1; ASSERT(x = 1); END_PROGRAM
"""


def test_each_test_is_an_entry_of_its_own() -> None:
    p = load(TESTED)
    assert p.tests == ["Tests.passes", "Tests.time_goes_by", "Tests.fails", "Whole"]
    for name in ("tests.passes", "Tests.passes", "Tests.time_goes_by", "Whole"):
        p.run_test(name)
    with pytest.raises(AssertFault) as raised:
        p.run_test("Tests.fails")
    fault = raised.value
    assert (fault.expected, fault.actual, fault.message, fault.line) == ("9", "8", "twice four", 12)
    with pytest.raises(KeyError):
        p.run_test("Tests.helper")
    p.restart()
    p.scan()
    assert p["main.n"] == 2  # the {test} PROGRAM is no part of the tasks


def test_what_is_only_for_tests_is_no_part_of_what_goes_to_a_plant() -> None:
    c = translate((Source("a.st", TESTED),), Options()).c
    assert "tests" not in c.replace("tl_tests", "").lower()
    assert "whole" not in c.lower()
    assert "tl_tests_v1" in translate((Source("a.st", TESTED),), Options(with_tests=True)).c


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("PROGRAM a\nVAR c : Clock; END_VAR\nc();\nEND_PROGRAM\n", 2, "Clock is only for tests"),
        ("PROGRAM a\nADVANCE(T#1s);\nEND_PROGRAM\n", 2, "a plant's goes by itself"),
    ],
)
def test_a_plants_program_can_not_use_what_is_only_for_tests(text: str, line: int, why: str) -> None:
    with pytest.raises(CompileFault, match=why) as raised:
        translate((Source("a.st", text + TESTED),), Options())
    assert raised.value.diagnostics[0].span.position.line == line


def test_a_test_takes_nothing_and_gives_nothing() -> None:
    with pytest.raises(CompileFault, match="neither parameters nor a result"):
        load("{test} FUNCTION_BLOCK t VAR_INPUT x : INT; END_VAR ASSERT(x = 0); END_FUNCTION_BLOCK")


def test_an_assertion_in_a_plant_is_a_fault_like_any_other() -> None:
    p = load("PROGRAM main VAR n : INT; END_VAR n := n + 1;\nASSERT(n < 3, 'too many'); END_PROGRAM")
    p.scan(count=2)
    with pytest.raises(AssertFault, match="too many") as raised:
        p.scan()
    assert (raised.value.fault, raised.value.line, p["main.n"]) == (9, 2, 3)


def test_not_a_number_is_near_nothing() -> None:
    p = load(
        "{test} FUNCTION_BLOCK t VAR z : LREAL; END_VAR ASSERT_NEAR(0.0, SQRT(z - 1.0), 1.0E9); END_FUNCTION_BLOCK"
    )
    with pytest.raises(AssertFault):
        p.run_test("t")


def test_ones_own_function_may_be_called_assert() -> None:
    p = load(
        "FUNCTION ASSERT : INT VAR_INPUT a : INT; END_VAR ASSERT := a + 1; END_FUNCTION PROGRAM main VAR n : INT; END_VAR n := ASSERT(n); END_PROGRAM"
    )
    p.scan(count=2)
    assert p["main.n"] == 2


def test_changes_of_watched_variables_are_kept(p: Bench) -> None:
    p.watch("main.n", "main.b")
    p.scan(count=30, period_us=1000)
    p.scan(count=1, period_us=1000)
    trace = p.trace()
    assert len(trace) == 20
    assert trace[-1] == {"clock_ns": 30_000_000, "main.n": 31, "main.b": False}
    p.restart()
    assert p.trace() == []


# ── the library ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_blocks_of_the_library_come_with_the_program_that_names_them(tmp_path: Path) -> None:
    names = [Path(one.path).name for one in with_library([Source("a.st", "VAR x : hysteresis; END_VAR")])]
    assert names[-1] == "a.st"
    assert "hysteresis.st" in names
    assert "pid.st" not in names
    assert [
        Path(one.path).name
        for one in with_library(
            [Source("a.st", "FUNCTION_BLOCK HYSTERESIS END_FUNCTION_BLOCK VAR x : HYSTERESIS; END_VAR")]
        )
    ] == ["a.st"]
    with_all = with_library([Source(str(path), path.read_text()) for path in FILES])
    assert len(with_all) == len(FILES)


def test_what_the_library_uses_comes_too() -> None:
    names = [Path(one.path).name for one in with_library([Source("a.st", "VAR x : PID; END_VAR")])]
    assert "elapsed_time.st" in names


def test_a_type_of_ones_own_keeps_the_librarys_away_and_a_field_does_not() -> None:
    text = "TYPE One : STRUCT ramp : PID; END_STRUCT; Hysteresis : (Off := 0, On); END_TYPE"
    names = [Path(one.path).name for one in with_library([Source("a.st", text)])]
    assert "hysteresis.st" not in names
    assert "pid.st" in names
    assert "ramp.st" in names
