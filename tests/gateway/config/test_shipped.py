"""`tieline init --list-devices`: every template that ships, by kind, in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.shipped import DEMO, FOLDER, as_text, shipped
from gateway.node.cli import main


def test_every_template_is_listed_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--list-devices"]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line for line in said.splitlines() if line.startswith("  ")}
    assert set(rows) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert all(len(line.split()) > 2 for line in rows.values())
    lines = said.splitlines()
    assert lines.index("Meters") < lines.index(next(line for line in lines if "eastron_sdm630" in line))
    assert str(FOLDER) in lines[-1]


def test_the_demos_come_last() -> None:
    kinds = [one.kind for one in shipped()]
    assert kinds == [kind for kind in kinds if kind != DEMO] + [kind for kind in kinds if kind == DEMO]
    assert kinds.count(DEMO) >= 10


@pytest.mark.parametrize("arguments", [[], ["somewhere", "--list-devices"]])
def test_either_a_folder_or_the_list(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", *arguments]) == 2
    assert "DIR, or --list-devices" in capsys.readouterr().err
    assert not Path("somewhere").exists()


def test_without_the_sources_it_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> list[object]:
        raise FileNotFoundError(tmp_path / "devices")

    monkeypatch.setattr("gateway.config.cli.shipped", nowhere)
    assert main(["init", "--list-devices"]) == 1
    assert "config/devices" in capsys.readouterr().err


def test_nothing_shipped_is_an_empty_list() -> None:
    assert as_text([]) == ""
