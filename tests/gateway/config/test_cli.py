"""``tieline check``, ``schema``, ``tags`` and ``init``."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from gateway.config.cli import add_commands, load_or_explain
from gateway.config.load import load_site
from gateway.config.schema import schema_text

BROKEN = Path(__file__).parent / "broken"


def tieline(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser("tieline")
    add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args([str(argument) for argument in arguments])
    status: int = args.run(args)
    return status


@pytest.fixture
def site(tmp_path: Path, minimal: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(minimal)
    return path


def test_check_of_a_clean_site(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("check", site) == 0
    assert capsys.readouterr().out == f"{site}: no faults; 1 file, 1 device, 31 tags\n"


def test_check_shows_a_fault_as_a_compiler_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN)
    assert tieline("check", "trap_octal.yaml") == 1
    assert capsys.readouterr().out == (
        "trap_octal.yaml:23:39: '012', which YAML 1.1 reads as octal and YAML 1.2 does not\n"
        "    23 |       running: {table: coil, address: 012, group: slow, write: {role: engineer}}\n"
        "       |                                       ^\n"
        '       = write 12, or "012" for text\n'
        "1 fault\n"
    )


def test_check_shows_the_neighbourhood_of_a_fault_in_a_long_line(
    capsys: pytest.CaptureFixture[str], site: Path, minimal: str
) -> None:
    site.write_text(minimal.replace("type: int16,", f"description: {'x' * 300}, type: int17,"))
    assert tieline("check", site) == 1
    _, line, caret, *_ = capsys.readouterr().out.splitlines()
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("int17")


def test_check_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN / "fault_in_an_included_file")
    assert tieline("check", "--format", "json", "site.yaml") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["faults"][1] == {
        "file": "users.yaml",
        "line": 2,
        "column": 15,
        "found": "'role' is the text 'king'",
        "mend": "write one of: viewer, operator, engineer",
        "context": "",
    }
    assert report["more"] == 0


def test_check_as_json_of_a_clean_site(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("check", "--format", "json", site) == 0
    assert json.loads(capsys.readouterr().out) == {
        "site": str(site),
        "faults": [],
        "more": 0,
        "files": [str(site)],
        "devices": 1,
        "tags": 31,
    }


@pytest.mark.parametrize("command", ["check", "tags"])
def test_missing_file_is_a_matter_of_usage(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tieline(command, tmp_path / "none.yaml") == 2
    assert capsys.readouterr().err == f"tieline {command}: {tmp_path / 'none.yaml'} does not exist\n"
    assert tieline(command, tmp_path) == 2


def test_wrong_option_is_a_matter_of_usage(site: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        tieline("check", site, "--format", "xml")
    assert raised.value.code == 2


def test_tags_as_a_table(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("tags", site) == 0
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "type", "unit", "range", "write", "description"]
    assert first.split() == ["meter.power_kw", "int64", "kW"]


def test_tags_as_csv(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("tags", site, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 31
    assert (rows[0]["index"], rows[0]["name"], rows[0]["low"], rows[0]["area"]) == (
        "0",
        "meter.power_kw",
        "",
        "grid",
    )


def test_tags_as_json(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("tags", site, "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["index"] for row in rows] == list(range(31))
    assert rows[0]["unit"] == "kW"
    assert rows[0]["write_limits"] is None


def test_tags_of_a_broken_site_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("tags", BROKEN / "trap_octal.yaml") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "23:39: '012'" in printed.err


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert tieline("schema") == 0
    assert capsys.readouterr().out == schema_text()


def test_init_writes_a_site_that_passes_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "plant"
    assert tieline("init", folder) == 0
    assert tieline("check", folder / "site.yaml") == 0
    site = load_site(folder / "site.yaml")
    assert {device.name for device in site.modbus} == {"pcc", "battery1"}
    assert site.simulator is not None


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "devices.yaml").write_text("mine")
    assert tieline("init", tmp_path) == 2
    assert (tmp_path / "devices.yaml").read_text() == "mine"
    assert not (tmp_path / "site.yaml").exists()
    assert "nothing was written" in capsys.readouterr().err


def test_init_where_nothing_can_be_written_is_no_crash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert tieline("init", tmp_path / "file" / "plant") == 2
    assert capsys.readouterr().err.startswith("tieline init: ")


SHIPPED = """
site: {name: plant}
include: [shipped/grid_connection.yaml, shipped/battery.yaml]
areas: {grid: All}
devices:
  pcc: {area: grid, template: grid_connection, with: {port: 15020}}
  battery1: {area: grid, template: battery, with: {port: 15023}}
"""


def test_starter_reads_the_simulators_registers_as_the_templates_do(tmp_path: Path) -> None:
    """The starter's devices are the simulator's: one register map, described twice."""
    assert tieline("init", tmp_path) == 0
    shutil.copytree(Path(__file__).parents[3] / "config" / "devices", tmp_path / "shipped")
    (tmp_path / "plant.yaml").write_text(SHIPPED)
    demo = load_site(tmp_path / "plant.yaml")
    known = {point.name: point for device in demo.modbus for point in device.points}
    ports = {device.name: device.port for device in demo.modbus}
    for device in load_site(tmp_path / "site.yaml").modbus:
        assert device.port == ports[device.name]
        for point in device.points:
            twin = known[point.name]
            assert (point.table, point.address, point.type, point.word_order, point.byte_order, point.scale) == (
                twin.table, twin.address, twin.type, twin.word_order, twin.byte_order, twin.scale,
            )  # fmt: skip


def test_commands_that_need_a_site_say_why_there_is_none(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_or_explain(site)
    assert loaded is not None
    assert loaded.name == "plant"
    assert load_or_explain(BROKEN / "trap_octal.yaml") is None
    assert "'012'" in capsys.readouterr().err
    assert load_or_explain(site.parent / "none.yaml") is None
    assert "does not exist" in capsys.readouterr().err
