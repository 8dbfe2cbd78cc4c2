"""docs/site-files.md holds every setting, and only what is true."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import document, fault, load, site_keys
from gateway.config.cli import add_commands
from gateway.config.kinds import Section
from gateway.config.reference import reference_text
from gateway.config.site import Site
from gateway.config.site_keys.devices.section import MAX_REPEAT, MAX_TAGS
from gateway.config.units import UNITS

PAGE = (Path(__file__).parents[3] / "docs" / "site-files.md").read_text(encoding="utf-8")
KEYS = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(site_keys.__path__, f"{site_keys.__name__}.")
]
SECTIONS = {
    id(value): value for module in KEYS for value in vars(module).values() if isinstance(value, Section)
}


def test_reference_is_current() -> None:
    guide, _, reference = PAGE.partition("a test keeps it current. -->\n\n")
    assert guide
    assert reference == reference_text(), "print it again: tieline schema --format markdown"


@pytest.mark.parametrize("section", SECTIONS.values(), ids=lambda section: section.title)
def test_every_key_is_in_the_docs(section: Section) -> None:
    for key in section.keys:
        assert f"| `{key.name}` |" in PAGE
        assert key.doc in PAGE


def test_every_unit_is_in_the_docs() -> None:
    assert all(f"| `{symbol}` |" in PAGE for symbol in UNITS)


def test_example_of_a_site_is_a_good_one(load: Callable[..., Site]) -> None:
    example = re.search(r"## A site\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    site = load(example[1], users="users: {zoe: {role: engineer}}\n")
    assert [device.name for device in site.modbus][:2] == ["ev1", "ev2"]


def test_example_of_a_fault_is_what_check_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    monkeypatch.chdir(tmp_path)
    Path("plant").mkdir()
    Path("plant/site.yaml").write_text("\n" * 22 + "      running: {table: coil, address: 012}\n")
    args = parser.parse_args(["check", "plant/site.yaml"])
    assert args.run(args) == 1
    printed = capsys.readouterr().out
    example = re.search(r"looks like this:\n\n```\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    assert example[1].replace(" (device battery1)", "") in printed


def test_every_command_and_option_is_in_the_docs() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_commands(commands)
    for name, command in commands.choices.items():
        assert f"tieline {name}" in PAGE
        options = {option for action in command._actions for option in action.option_strings} - {
            "-h",
            "--help",
        }
        assert all(option in PAGE for option in options)


@pytest.mark.parametrize(
    "words",
    [
        f"{fault.MAX_FAULTS:,} faults",
        f"{MAX_TAGS:,} tags",
        f"{load.MAX_FILES} files",
        f"{load.MAX_INCLUDE_DEPTH} levels of include",
        f"{document.MAX_FILE_BYTES >> 20} MiB a file",
        f"{document.MAX_NODES:,} YAML values",
        f"{document.MAX_DEPTH} levels of nesting",
        f"{MAX_REPEAT:,} copies",
    ],
)
def test_limits_are_in_the_docs(words: str) -> None:
    assert words in PAGE.replace("\n", " ")


def test_line_for_editors_is_in_the_docs_and_in_the_starter() -> None:
    line = "# yaml-language-server: $schema=site.schema.json\n"
    assert line in PAGE
    assert line in (Path(document.__file__).parent / "starter" / "site.yaml").read_text(encoding="utf-8")
