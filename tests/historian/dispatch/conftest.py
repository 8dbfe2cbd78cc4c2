"""Modules of this folder, which is no package, under names that its tests may import."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

for name in ("instances", "checker"):
    spec = importlib.util.spec_from_file_location(f"dispatch_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
