"""Fixture: the plant of the server's own tests, importable as opcua_plant."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

PLANT = Path(__file__).parents[2] / "gateway" / "servers" / "opcua" / "plant.py"


def _plants() -> Any:
    if "opcua_plant" not in sys.modules:
        spec = importlib.util.spec_from_file_location("opcua_plant", PLANT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return sys.modules["opcua_plant"]


_plants()
