"""Fixtures: history folders whose recorders are closed at the end, and the clock they go by."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package, under a name that tests may import."""
    spec = importlib.util.spec_from_file_location(f"historian_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


folders = _load("folder")
_load("aggregates_reference")
disks = _load("small_disk")


@pytest.fixture
def clock() -> Any:
    return folders.Clock()


@pytest.fixture
def make_folder(tmp_path: Path, clock: Any) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(**settings: int) -> Any:
        folder = folders.Folder(
            tmp_path / f"history{len(made)}", clock, folders.HistorianSettings(**settings)
        )
        made.append(folder)
        return folder

    yield make
    for folder in made:
        folder.recorder.close()


@pytest.fixture
def folder(make_folder: Callable[..., Any]) -> Any:
    return make_folder()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Any]:
    """A small one, to be filled (`small_disk.SmallDisk`)."""
    with disks.small_disk(tmp_path / "disk") as made:
        yield made
