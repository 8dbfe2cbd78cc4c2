"""The `tieline` command line: every command has a page, every option of ours is on it."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.node import main
from gateway.node.back_off import FIRST_S, LONGEST_S, BackOff
from gateway.node.cli import parser

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {
    "run": "running",
    "status": "running",
    "passwd": "commands",
    "write": "commands",
    "audit": "commands",
}


def subcommands(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def options(each: argparse.ArgumentParser) -> set[str]:
    found = {
        option for action in each._actions for option in action.option_strings if option.startswith("--")
    }
    for action in each._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*(options(choice) for choice in action.choices.values()))
    return found - {"--help"}


@pytest.mark.parametrize("command", PAGES)
def test_every_option_is_in_the_docs(command):
    page = (DOCS / f"{PAGES[command]}.md").read_text()
    assert f"tieline {command}" in page
    shared = (DOCS / "running.md").read_text()
    assert {
        option for option in options(subcommands(parser())[command]) if option not in page + shared
    } == set()


def test_every_command_is_in_the_docs():
    pages = "".join(page.read_text() for page in DOCS.rglob("*.md"))
    assert [command for command in subcommands(parser()) if f"tieline {command}" not in pages] == []


def test_a_command_is_told_from_the_whole_and_brings_few_others_along():
    whole = subcommands(parser())
    for command in whole:
        alone = subcommands(parser(command))
        assert options(alone[command]) == options(whole[command])
        assert alone.keys() < whole.keys()
    assert subcommands(parser("nonsense")).keys() == whole.keys()


def test_who_asks_how_a_site_is_loads_nothing_for_other_commands(tmp_path):
    code = (
        "import sys; from gateway.node import main; main(sys.argv[1:]);"
        "print(*(name for name in sys.modules if name.endswith('cli') or name == 'gateway.config.load'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, "status", "--state", str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert said.stdout.split() == ["gateway.node.cli"]


@pytest.mark.parametrize("arguments", [["status"], ["audit", "verify"]])
def test_a_command_that_does_not_say_which_site_is_a_usage_error(arguments, capsys):
    assert main(arguments) == 2
    assert "say which" in capsys.readouterr().err


def test_status_where_nothing_runs_says_so(tmp_path, capsys):
    assert main(["status", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"no site runs in {tmp_path}\n"


def test_a_site_with_faults_does_not_run(tmp_path, capsys):
    site = tmp_path / "site.yaml"
    site.write_text("site: {nam: demo}\n")
    assert main(["run", str(site), "--state", str(tmp_path / "state")]) == 1
    assert f"{site}:1:" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_waits_double_up_to_a_limit_and_begin_anew_after_a_long_life():
    back_off = BackOff()
    waits = [back_off.after(0.1) for _ in range(12)]
    assert FIRST_S * 0.8 <= waits[0] <= FIRST_S * 1.2
    assert all(wait <= LONGEST_S * 1.2 for wait in waits)
    assert waits[-1] >= LONGEST_S * 0.8
    assert back_off.after(31) <= FIRST_S * 1.2


LOGIC_SITE = """\
site: {name: plant}
areas: {grid: Tie}
devices:
  meter:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: int16, unit: kW}
logic:
  programs: [main.st]
  tasks: [default]
  inputs: {meter.power_kw: main.powr}
"""


def test_check_shows_faults_of_the_programs_map_and_warnings_of_the_programs(tmp_path, capsys):
    (tmp_path / "site.yaml").write_text(LOGIC_SITE)
    (tmp_path / "main.st").write_text("PROGRAM main\nVAR power : INT; idle : INT; END_VAR\nEND_PROGRAM\n")
    assert main(["check", str(tmp_path / "site.yaml")]) == 1
    out = capsys.readouterr().out
    assert f"{tmp_path}/main.st:2:18: warning ST0801: idle is never used" in out
    assert f"{tmp_path}/site.yaml:14:28: the unknown variable 'main.powr'" in out
    assert "= write 'main.power'" in out
    assert out.endswith("1 fault\n")


def test_check_as_json_has_the_problems_of_the_programs(tmp_path, capsys):
    (tmp_path / "site.yaml").write_text(LOGIC_SITE)
    (tmp_path / "main.st").write_text("PROGRAM main\n  x := 1;\nEND_PROGRAM\n")
    assert main(["check", str(tmp_path / "site.yaml"), "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["faults"] == []
    (problem,) = report["problems"]
    assert (problem["file"], problem["line"], problem["severity"]) == (f"{tmp_path}/main.st", 2, "error")


def test_check_of_a_sound_site_with_logic_counts_its_programs(tmp_path, capsys):
    (tmp_path / "site.yaml").write_text(LOGIC_SITE.replace("powr", "power"))
    (tmp_path / "main.st").write_text("PROGRAM main\nVAR power : INT; END_VAR\nEND_PROGRAM\n")
    assert main(["check", str(tmp_path / "site.yaml")]) == 0
    assert capsys.readouterr().out.endswith("tags, 1 program file, 1 task\n")
