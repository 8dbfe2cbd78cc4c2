"""Fixtures: an outstation that serves masters."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package, under a name that tests may import."""
    spec = importlib.util.spec_from_file_location(f"dnp3_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


outstations = _load("outstations")
_load("talk")
_load("masters")
_load("certificates")


@pytest.fixture
def config() -> Any:
    return outstations.outstation()


@pytest.fixture
async def running(config: Any) -> AsyncIterator[Any]:
    """A server that runs, of `config`, which a test may give by a fixture of its own."""
    server, database, site = outstations.server_of(config)
    await server.open()
    task = asyncio.create_task(server.run())
    yield outstations.Running(server, database, site)
    task.cancel()
    await server.close()
