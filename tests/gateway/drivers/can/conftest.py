"""The databases that ship with the source distribution of cantools: fetched once, kept in the build folder."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

KEPT = Path(__file__).parents[4] / "build" / "cantools"


@pytest.fixture(scope="session")
def databases() -> Path:
    """The folder of cantools' own test files, of the version that is installed."""
    name = f"cantools-{version('cantools')}"
    folder = KEPT / name / "tests" / "files"
    if not folder.is_dir():
        KEPT.mkdir(parents=True, exist_ok=True)
        archive = KEPT / f"{name}.tar.gz"
        if not archive.is_file():
            fetched = subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "cantools",
                 "--dest", str(KEPT), name.replace("-", "==")],
                capture_output=True, text=True, timeout=110, check=False,
            )  # fmt: skip
            assert fetched.returncode == 0, f"cantools' sources cannot be fetched: {fetched.stderr[-200:]}"
        with tarfile.open(archive) as opened:
            opened.extractall(KEPT, filter="data")
    return folder
