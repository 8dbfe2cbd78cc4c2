"""Fixtures: what is shared by the master's tests is in modules of this folder and of the outstation's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent


def _load(name: str, file: Path) -> None:
    """A module of a folder that is no package, under a name that tests may import."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)


_load("dnp3_interop_wire", HERE.parents[2] / "interop" / "dnp3" / "wire.py")
_load("dnp3_rtu", HERE / "rtu.py")
_load("dnp3_certificates", HERE.parents[1] / "servers" / "dnp3" / "certificates.py")
