"""One chain for all tests of the session; modules of this folder, which is no package, under their names."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


chains = _load("evm_chain")
for _name in ("evm_vectors", "evm_site", "evm_gas"):
    _load(_name)


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Its clock stands where the vectors begin; it signs for everybody."""
    folder = tmp_path_factory.mktemp("anvil")
    made = chains.Anvil(folder, 0, "--auto-impersonate", "--timestamp", str(chains.FIRST_S - 1000))
    yield made
    made.end()
