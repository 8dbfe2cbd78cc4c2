"""alone.py over a small suite of its own: what passes alone is forgiven and named, all else fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = Path(__file__).with_name("alone.py")
# The target `test-python` keeps the cache there too.
CACHE = "build/pytest"
# Without the plugins of this environment, but for the one whose option alone.py gives.
PLAIN = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}

SUITE = """\
from pathlib import Path

RUNS = Path(__file__).with_name("runs.txt")


def ran(name):
    with RUNS.open("a") as file:
        file.write(f"{name}\\n")
    return RUNS.read_text().split().count(name)


def test_well():
    ran("well")


"""
LATE_ONCE = """\
def test_late():
    assert ran("late") > 1


"""


def always(name: str) -> str:
    return f'def test_{name}():\n    ran("{name}")\n    raise AssertionError\n\n\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    shutil.copy(ALONE, tmp_path / "tests")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = -p xdist\ncache_dir = {CACHE}\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=PLAIN, capture_output=True, text=True, check=False
    )


def alone_after(folder: Path, *tests: str) -> "subprocess.CompletedProcess[str]":
    """What alone.py says once these, and one that passes, have been run together."""
    (folder / "tests/test_some.py").write_text(SUITE + "".join(tests))
    together = run(folder, "-m", "pytest", "-q")
    assert together.returncode == (1 if tests else 0), together.stdout
    return run(folder, "tests/alone.py")


def runs_of(folder: Path) -> list[str]:
    return sorted((folder / "tests/runs.txt").read_text().split())


def test_what_fails_only_beside_others_is_forgiven_and_named(folder: Path) -> None:
    said = alone_after(folder, LATE_ONCE)
    assert said.returncode == 0, said.stdout
    assert "failed beside others, passed alone: tests/test_some.py::test_late\n" in said.stdout
    assert runs_of(folder) == ["late", "late", "well"]


def test_what_fails_alone_too_has_failed(folder: Path) -> None:
    said = alone_after(folder, LATE_ONCE, always("wrong"))
    assert said.returncode == 1
    assert "passed alone" not in said.stdout
    assert runs_of(folder) == ["late", "late", "well", "wrong", "wrong"]


def test_more_than_three_are_no_accident(folder: Path) -> None:
    said = alone_after(folder, LATE_ONCE, *(always(name) for name in ("one", "two", "three")))
    assert said.returncode == 1
    assert said.stdout == "4 failed: not run again\n"
    assert runs_of(folder) == ["late", "one", "three", "two", "well"]


def test_a_run_that_failed_without_a_failed_test_is_not_forgiven(folder: Path) -> None:
    said = alone_after(folder)
    assert said.returncode == 1
    assert said.stdout == "0 failed: not run again\n"
