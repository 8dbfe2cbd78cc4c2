"""``tieline plc check`` and ``tieline plc fmt``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from plc.cli import add_commands

GOOD = "FUNCTION Half : REAL\n    VAR_INPUT\n        x : REAL;\n    END_VAR\n    Half := x / 2.0;\nEND_FUNCTION\n"
BAD = "FUNCTION Half : REAL\nHalf := y / 2.0;\nEND_FUNCTION\n"
WARNED = (
    "FUNCTION Half : REAL\nVAR_INPUT x : REAL; END_VAR\nIF x > 0.0 THEN Half := x; END_IF\nEND_FUNCTION\n"
)


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["plc", *arguments])
    status = args.run(args)
    assert isinstance(status, int)
    return status


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_clean_file_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", write(tmp_path, "a.st", GOOD)) == 0
    assert capsys.readouterr().out == "1 file: 0 errors, 0 warnings\n"


def test_warnings_are_shown_and_exit_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", write(tmp_path, "a.st", WARNED)) == 0
    out = capsys.readouterr().out
    assert "a.st:3:28: warning ST0150" in out
    assert out.endswith("1 file: 0 errors, 1 warning\n")


def test_faults_exit_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "a.st", BAD)
    assert run("check", path) == 1
    assert f"{path}:2:9: error ST0200: there is nothing called y here" in capsys.readouterr().out


def test_json_has_every_problem(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = write(tmp_path, "a.st", BAD)
    assert run("check", path, "--format", "json") == 1
    report = json.loads(capfdbinary.readouterr().out)
    assert report["files"] == [path]
    assert [(one["code"], one["line"], one["column"]) for one in report["problems"]] == [("ST0200", 2, 9)]


def test_several_files_are_one_program(tmp_path: Path) -> None:
    caller = "FUNCTION Quarter : REAL\nVAR_INPUT x : REAL; END_VAR\nQuarter := Half(Half(x));\nEND_FUNCTION\n"
    write(tmp_path, "a.st", caller)
    write(tmp_path, "b.st", GOOD)
    assert run("check", str(tmp_path)) == 0


def test_a_file_that_is_not_there_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", str(tmp_path / "none.st")) == 2
    assert "No such file" in capsys.readouterr().err
    assert run("fmt", str(tmp_path)) == 2


def test_fmt_writes_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "a.st", GOOD.replace("\n", " "))
    assert run("fmt", path) == 0
    assert Path(path).read_text() == GOOD
    assert capsys.readouterr().out == f"{path}: formatted\n"
    assert run("fmt", path) == 0
    assert capsys.readouterr().out == ""


def test_fmt_check_changes_nothing(tmp_path: Path) -> None:
    text = GOOD.replace("\n", " ")
    path = write(tmp_path, "a.st", text)
    assert run("fmt", "--check", path) == 1
    assert Path(path).read_text() == text


def test_fmt_leaves_a_file_with_faults_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "FUNCTION Half : REAL\nHalf := ;\nEND_FUNCTION\n"
    path = write(tmp_path, "a.st", text)
    assert run("fmt", path) == 1
    assert Path(path).read_text() == text
    assert "ST0110" in capsys.readouterr().err


def test_latin_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.st"
    path.write_bytes(("(* Größe *)\n" + GOOD).encode("latin-1"))
    assert run("check", str(path)) == 0


def test_xml_is_checked_and_not_formatted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "<GVL><Declaration><![CDATA[VAR_GLOBAL x : INT; END_VAR]]></Declaration></GVL>"
    path = write(tmp_path, "a.TcGVL", text)
    assert run("check", str(tmp_path)) == 0
    assert run("fmt", path) == 2
    assert Path(path).read_text() == text
    assert "only plain text is formatted" in capsys.readouterr().err
