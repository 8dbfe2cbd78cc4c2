"""Fixtures: the genset's controller, and a driver before it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asyncua.server.internal_server import InternalServer


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package, under a name that tests may import."""
    spec = importlib.util.spec_from_file_location(f"opcua_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


gensets = _load("genset")


@pytest.fixture(autouse=True)
def standard_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InternalServer, "load_standard_address_space", gensets.load_once)


@pytest.fixture
async def genset() -> AsyncIterator[Any]:
    made = gensets.Genset(gensets.free_port())
    await made.up()
    yield made
    await made.down()


@pytest.fixture
async def proxy(genset: Any) -> AsyncIterator[Any]:
    made = gensets.Proxy(genset.port)
    await made.open()
    yield made
    await made.close()
