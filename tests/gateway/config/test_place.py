"""Which run a command is about: said on the command line, or once a terminal in the environment."""

import argparse
from pathlib import Path

import pytest

from gateway.config.paths import RunPaths, run_paths
from gateway.config.place import SITE_VARIABLE, STATE_VARIABLE, add_place, place_of

DEMO = Path(__file__).parents[3] / "config" / "sites" / "demo" / "site.yaml"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(SITE_VARIABLE, raising=False)
    monkeypatch.delenv(STATE_VARIABLE, raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))


def place(*words: str, site_flag: str = "--site") -> RunPaths | int:
    parser = argparse.ArgumentParser()
    add_place(parser, site_flag=site_flag)
    return place_of(parser.parse_args(words))


def test_a_state_folder_is_enough(tmp_path: Path) -> None:
    assert place("--state", str(tmp_path)) == run_paths("", tmp_path)


def test_a_site_has_its_usual_folder(tmp_path: Path) -> None:
    assert place("--site", str(DEMO)) == run_paths("demo", tmp_path / "home" / "tieline" / "demo")
    assert place(str(DEMO), site_flag="site") == run_paths("demo")


def test_the_environment_says_it_where_the_command_line_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "said"))
    assert place() == run_paths("", tmp_path / "said")
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.setenv(SITE_VARIABLE, str(DEMO))
    assert place() == run_paths("demo")


def test_a_site_that_is_named_is_never_looked_for_in_another_sites_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "of another"))
    assert place("--site", str(DEMO)) == run_paths("demo")


@pytest.mark.parametrize(
    ("flag", "words"), [("--site", "--site SITE or --state DIR"), ("site", "SITE or --state DIR")]
)
def test_where_nothing_says_it_the_command_is_a_usage_error(
    flag: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place(site_flag=flag) == 2
    assert words in capsys.readouterr().err


def test_a_faulty_site_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faulty = tmp_path / "site.yaml"
    faulty.write_text("site: {name: demo}\nareass: {}\n")
    assert place("--site", str(faulty)) == 1
    assert "areass" in capsys.readouterr().err
