# ruff: noqa: E501  # lines of Structured Text
"""The pytest plugin as an integrator meets it: pytest in a process of its own on a folder of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

PUMP = """\
TYPE Mode : (Idle, Running := 5); END_TYPE
FUNCTION_BLOCK Pump
VAR_INPUT start : BOOL; END_VAR
VAR_OUTPUT motor : BOOL; mode : Mode; speed : REAL; since : TIME; END_VAR
VAR delay : TON; END_VAR
delay(IN := start, PT := T#10s);
motor := delay.Q; since := delay.ET;
IF motor THEN mode := Running; speed := 1450.5; END_IF;
END_FUNCTION_BLOCK
PROGRAM main
VAR pump : Pump; END_VAR
pump(start := TRUE);
END_PROGRAM
"""
TESTS = """\
{test}
FUNCTION_BLOCK Pump_tests
VAR pump : Pump; END_VAR
pump(start := TRUE);

{test}
METHOD starts_after_ten_seconds
ASSERT(NOT pump.motor, 'at once');
ADVANCE(T#9s999ms);
pump();
ASSERT(NOT pump.motor);
ADVANCE(T#1ms);
pump();
ASSERT_EQUAL(TRUE, pump.motor);
ASSERT_EQUAL(Mode#Running, pump.mode);
ASSERT_NEAR(1450.0, pump.speed, 1.0);
END_METHOD

{test}
METHOD each_begins_cold
ASSERT_EQUAL(Mode#Idle, pump.mode);
END_METHOD
END_FUNCTION_BLOCK
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pump.st").write_text(PUMP)
    return tmp_path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(folder: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "plc.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",  # of an editable install
        *arguments,
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "COLUMNS": "120"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=110
    )


def test_tests_in_structured_text_pass_with_names_of_their_own(folder: Path, cache: Path) -> None:
    (folder / "pump_tests.st").write_text(TESTS)
    done = run(folder, cache, "-v", "--junit-xml=report.xml")
    assert done.returncode == 0, done.stdout
    assert "pump_tests.st::Pump_tests::starts_after_ten_seconds PASSED" in done.stdout
    assert "pump_tests.st::Pump_tests::each_begins_cold PASSED" in done.stdout
    cases = ET.parse(folder / "report.xml").getroot().iter("testcase")  # noqa: S314  # we wrote it
    assert {one.get("name") for one in cases} == {
        "Pump_tests.starts_after_ten_seconds",
        "Pump_tests.each_begins_cold",
    }


FAILURES = {
    "ASSERT_EQUAL(Mode#Running, pump.mode);": "an assertion does not hold: expected Mode#Running, but it is Mode#Idle",
    "ASSERT_EQUAL(TRUE, pump.motor, 'the motor');": "the motor: expected TRUE, but it is FALSE",
    "ASSERT_NEAR(1.0, pump.speed, 0.5);": "expected 1.0, but it is 0.0",
    "ASSERT_EQUAL(T#1s, pump.since);": "expected T#1s, but it is T#0s",
    "ASSERT_EQUAL('abc', CONCAT('ab', 'd'));": "expected abc, but it is abd",
    "ASSERT_EQUAL_DINT(7, 8);": "expected 7, but it is 8",
    "ASSERT(pump.motor);": "an assertion does not hold",
}


def test_a_failure_shows_the_line_and_both_values(folder: Path, cache: Path) -> None:
    methods = "".join(
        f"{{test}}\nMETHOD t{number}\n{line}\nEND_METHOD\n" for number, line in enumerate(FAILURES)
    )
    (folder / "t.st").write_text(
        f"{{test}}\nFUNCTION_BLOCK t\nVAR pump : Pump; END_VAR\n{methods}END_FUNCTION_BLOCK\n"
    )
    done = run(folder, cache)
    assert done.returncode == 1, done.stdout
    assert f"{len(FAILURES)} failed" in done.stdout
    for number, (line, told) in enumerate(FAILURES.items()):
        assert f"{told}\n" in done.stdout
        assert f"> {line}" in done.stdout
        assert f"{folder / 't.st'}:{6 + 4 * number}: AssertFault" in done.stdout


def test_a_run_time_fault_fails_the_test_it_happens_in_only(folder: Path, cache: Path) -> None:
    (folder / "t.st").write_text(
        "{test}\nFUNCTION_BLOCK t\nVAR zero : INT; END_VAR\n{test} METHOD divides\nzero := 1 / zero;\nEND_METHOD\n"
        "{test} METHOD goes_on\nASSERT_EQUAL(0, zero);\nEND_METHOD\nEND_FUNCTION_BLOCK\n"
    )
    done = run(folder, cache)
    assert "1 failed, 1 passed" in done.stdout
    assert "a division by zero" in done.stdout
    assert "> zero := 1 / zero;" in done.stdout


def test_faults_of_the_program_are_shown_with_their_carets(folder: Path, cache: Path) -> None:
    (folder / "t.st").write_text("{test}\nFUNCTION_BLOCK t\nASSERT(motr);\nEND_FUNCTION_BLOCK\n")
    done = run(folder, cache)
    assert done.returncode == 2
    assert "t.st:3:8: error ST0200: there is nothing called motr here" in done.stdout
    assert "^^^^" in done.stdout


def test_sources_elsewhere_are_named_by_a_pragma(folder: Path, cache: Path) -> None:
    (folder / "tests").mkdir()
    (folder / "tests" / "pump_tests.st").write_text("{sources '../*.st'}\n" + TESTS)
    assert "2 passed" in run(folder, cache).stdout
    (folder / "tests" / "pump_tests.st").write_text("{sources 'nowhere/*.st'}\n" + TESTS)
    assert "finds no file" in run(folder, cache).stdout


def test_fixtures_load_beside_the_test_and_show_what_was_watched(folder: Path, cache: Path) -> None:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_pump.py").write_text(
        "import pytest\n\n\n"
        "@pytest.mark.plc('../pump.st', watch=['main.pump.motor', 'main.pump.speed'])\n"
        "def test_by_marker(bench):\n"
        "    bench.scan(count=3, period_us=5_000_000)\n"
        "    assert bench['main.pump.speed'] == 0\n\n\n"
        "def test_by_loading(plc_load):\n"
        "    p = plc_load('../pump.st')\n"
        "    p.scan()\n"
        "    assert not p['main.pump.motor']\n\n\n"
        "def test_without_a_program(bench):\n"
        "    pass\n"
    )
    done = run(folder, cache, "-p", "no:randomly")
    assert "1 failed, 1 passed, 1 error" in done.stdout
    shown = done.stdout.split("trace of the watched variables")[1].splitlines()[1:4]
    assert [one.split() for one in shown] == [
        ["ms", "main.pump.motor", "main.pump.speed"],
        ["0", "False", "0"],
        ["10000", "True", "1450.5"],
    ]
    assert '@pytest.mark.plc("pump.st")' in done.stdout


def test_a_fault_in_a_python_test_shows_its_structured_text(folder: Path, cache: Path) -> None:
    (folder / "div.st").write_text("PROGRAM main\nVAR a, b : INT; END_VAR\na := 1 / b;\nEND_PROGRAM\n")
    (folder / "test_div.py").write_text("def test_div(plc_load):\n    plc_load('div.st').scan()\n")
    done = run(folder, cache)
    assert "> a := 1 / b;" in done.stdout
    assert "bench.py" not in done.stdout.split("FAILURES")[1].split("short test summary")[0]


def test_coverage_is_told_and_written_and_may_be_too_little(folder: Path, cache: Path) -> None:
    (folder / "pump_tests.st").write_text(TESTS)
    reports = (
        "--plc-coverage-html=html",
        "--plc-coverage-lcov=lcov.info",
        "--plc-coverage-json=coverage.json",
    )
    done = run(folder, cache, *reports, "--plc-coverage-fail-under=75.1")
    assert "2 passed" in done.stdout
    assert "pump.st" in done.stdout.split("coverage of Structured Text")[1]
    assert "75.0 % of the lines have run, 75.1 % are wanted" in done.stdout
    assert done.returncode == 1
    assert (folder / "html" / "index.html").is_file()
    assert "DA:12,0" in (folder / "lcov.info").read_text()  # the PROGRAM, which no test runs
    report = json.loads((folder / "coverage.json").read_text())
    assert (report["lines"], report["branches"]) == ({"run": 3, "all": 4}, {"run": 2, "all": 2})
    assert run(folder, cache, "--plc-coverage-fail-under=75").returncode == 0


def test_blocks_of_the_library_need_not_be_named(folder: Path, cache: Path) -> None:
    (folder / "t.st").write_text(
        "{test}\nFUNCTION_BLOCK t\nVAR switch : HYSTERESIS; END_VAR\nswitch(value := 5.0, high := 4.0, low := 3.0);\n"
        "ASSERT(switch.is_on);\nEND_FUNCTION_BLOCK\n"
    )
    done = run(folder, cache, "--plc-coverage")
    assert "1 passed" in done.stdout, done.stdout
    assert "hysteresis" not in done.stdout.split("coverage of Structured Text")[1]
