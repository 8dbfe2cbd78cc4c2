"""``tieline plc compile``, ``doc`` and ``test``, and that every flag is in the docs."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plc.cli import add_commands
from plc.compiler.symbols import Symbols

DOCS = Path(__file__).parents[2] / "docs"
PUMP = """\
// Starts late.
//
// So that the tank can settle.
// Example:
//     pump(start := TRUE);
FUNCTION_BLOCK Pump
VAR_INPUT
    {attribute 'unit' := 'm'}
    level : REAL := 1.5; // how high | it stands
    start : BOOL; (* wanted *)
END_VAR
VAR_OUTPUT motor : BOOL; END_VAR
VAR delay : TON; END_VAR
// What is behind it.
METHOD PUBLIC reset : BOOL
reset := delay.Q;
END_METHOD
METHOD PRIVATE inner
;
END_METHOD
delay(IN := start AND level > 1.0, PT := T#10s);
motor := delay.Q;
END_FUNCTION_BLOCK
TYPE
    Mode : (Idle, // nothing to do
            Busy);
    Both : STRUCT a : INT; b : REAL; END_STRUCT;
END_TYPE
PROGRAM main
VAR pump : Pump; END_VAR
pump(start := TRUE);
END_PROGRAM
"""


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser()
    add_commands(whole.add_subparsers(required=True))
    return whole


def run(*arguments: str) -> int:
    args = parser().parse_args(["plc", *arguments])
    status = args.run(args)
    assert isinstance(status, int)
    return status


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for all: what every program is linked with is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def pump(tmp_path: Path) -> Path:
    path = tmp_path / "pump.st"
    path.write_text(PUMP)
    return path


# ── compile ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_compile_leaves_c_object_and_symbols(
    pump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compile", str(pump), "-o", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("1 file: 0 errors")
    assert "static void run_pump" in (tmp_path / "out" / "program.c").read_text().lower()
    symbols = Symbols.from_json((tmp_path / "out" / "symbols.json").read_text())
    assert symbols.find("main.pump.motor").bytes == 1
    ctypes.CDLL(str(tmp_path / "out" / "program.so")).tl_program_v1  # noqa: B018  # it is there


def test_compile_tells_everything_as_json(
    pump: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("compile", str(pump), "-o", str(tmp_path / "out"), "--format", "json") == 0
    report = json.loads(capfdbinary.readouterr().out)
    assert set(report["written"]) == {"c", "shared_object", "symbols"}
    assert report["tasks"] == ["default"]
    pump.write_text("PROGRAM main\nx := 1;\nEND_PROGRAM\n")
    assert run("compile", str(pump), "-o", str(tmp_path / "out"), "--format", "json") == 1
    report = json.loads(capfdbinary.readouterr().out)
    assert [one["code"] for one in report["problems"]] == ["ST0200"]
    assert report["written"] == {}


def test_compile_refuses_with_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.st"
    path.write_text("PROGRAM main\nADVANCE(T#1s);\nEND_PROGRAM\n")
    assert run("compile", str(path), "-o", str(tmp_path / "out")) == 1
    assert f"{path}:2:1: error ST0900: ADVANCE moves the clock of a test" in capsys.readouterr().err


def test_a_folder_that_can_not_be_written_is_said(pump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", str(pump), "-o", str(pump / "out")) == 2
    assert "choose another folder" in capsys.readouterr().err


# ── doc ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_doc_is_made_of_comments(pump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doc", str(pump), "--title", "Pumps") == 0
    page = capsys.readouterr().out
    assert page.startswith(
        "# Pumps\n\n## pump.st\n\n### Pump\n\nFUNCTION_BLOCK\n\nStarts late.\n\nSo that the tank can settle.\n"
    )
    assert "| `level` | REAL | `1.5` | how high \\| it stands (m) |\n| `start` | BOOL |  | wanted |" in page
    assert "| `motor` | BOOL |  |  |" in page
    assert "```iecst\npump(start := TRUE);\n```" in page
    assert "#### Pump.reset\n\nMETHOD : BOOL\n\nWhat is behind it.\n" in page
    assert "inner" not in page
    assert "### Mode\n\nENUMERATION" in page
    assert "| `Idle` | nothing to do |" in page
    assert "| `b` | REAL |  |  |" in page


def test_doc_as_a_page(pump: Path, tmp_path: Path) -> None:
    out = tmp_path / "pump.html"
    assert run("doc", str(pump), "-o", str(out)) == 0
    page = out.read_text()
    assert '<h3 id="Pump">Pump <small>FUNCTION_BLOCK</small></h3>' in page
    assert "<p>So that the tank can settle.</p>" in page
    assert (
        "<td><code>level</code></td><td>REAL</td><td><code>1.5</code></td><td>how high | it stands (m)</td>"
        in page
    )
    assert "http" not in page


def test_doc_of_text_with_errors_is_what_could_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.st").write_text("// Fine.\nFUNCTION a : INT\na := ;\nEND_FUNCTION\nFUNCTION")
    assert run("doc", str(tmp_path)) == 0
    assert "Fine." in capsys.readouterr().out
    assert run("doc", str(tmp_path / "none")) == 2


# ── test ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def tieline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from gateway.node import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p no:asyncio"}
    return subprocess.run(
        [sys.executable, "-c", code, "plc", "test", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip


def test_test_runs_both_kinds_and_tells_them_as_json(pump: Path, tmp_path: Path) -> None:
    (tmp_path / "pump_tests.st").write_text(
        "{test}\nFUNCTION_BLOCK t\nVAR p : Pump; END_VAR\n{test} METHOD good\nASSERT(NOT p.motor);\nEND_METHOD\n"
        "{test} METHOD bad\nASSERT_EQUAL(TRUE, p.motor);\nEND_METHOD\nEND_FUNCTION_BLOCK\n"
    )
    (tmp_path / "test_pump.py").write_text("def test_it(plc_load):\n    plc_load('pump.st').scan()\n")
    done = tieline(tmp_path, "--format", "json", "--coverage", "cov", "--junit", "junit.xml")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert {one["name"]: one["outcome"] for one in report["tests"]} == {
        "t.good": "passed", "t.bad": "failed", "test_it": "passed",
    }  # fmt: skip
    (bad,) = [one for one in report["tests"] if one["outcome"] == "failed"]
    assert (bad["file"], bad["line"]) == ("pump_tests.st", 7)
    assert "expected TRUE, but it is FALSE" in bad["why"]
    assert report["coverage"]["lines"]["run"] == 3
    for name in ("cov/index.html", "cov/lcov.info", "cov/coverage.json", "junit.xml"):
        assert (tmp_path / name).is_file()


def test_no_tests_and_no_folder_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = tieline(tmp_path)
    assert done.returncode == 5
    assert "mark a FUNCTION_BLOCK {test}" in done.stderr
    assert run("test", str(tmp_path / "none")) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


# ── the docs ─────────────────────────────────────────────────────────────────────────────────────────────────────
def subparsers(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = [one for one in whole._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(action.choices)


def test_every_subcommand_and_flag_is_in_the_docs() -> None:
    text = "".join(path.read_text() for path in DOCS.glob("*.md"))
    missing = []
    for name, parser_ in subparsers(subparsers(parser())["plc"]).items():
        if f"tieline plc {name}" not in text and f"`{name}" not in text:
            missing.append(name)
        for action in parser_._actions:
            flags = [one for one in action.option_strings if one.startswith("--")]
            if flags and flags != ["--help"] and not any(flag in text for flag in flags):
                missing.append(f"{name} {flags[0]}")
    assert not missing
