"""An environment with dnp3-python: its last wheel is for CPython 3.10 at most, so it runs in one of its own."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "dnp3-python==0.3.0b2"
FOLDER = "dnp3-python"  # in a site's state folder
VARIABLE = "TIELINE_DNP3_PYTHON"  # an interpreter that has it, in place of that folder's
NO_PYTHON = (
    "dnp3-python needs CPython 3.10, and neither TIELINE_PYTHON310 nor pyenv nor `python3.10` is one, nor could uv "
    "install it: set TIELINE_PYTHON310=/path/to/python3.10, or `pyenv install 3.10`, or `pip install uv` and "
    "`uv python install 3.10` with a way to the internet"
)
_MADE = "made"  # the file that says of what, once all is there
_ASK_S, _VENV_S, _INSTALL_S = 60, 120, 300


class NoEnvironmentError(Exception):
    """There is none, or none can be made; the text says how to mend it."""


def interpreter(home: Path) -> Path:
    """The Python of the environment in ``home``, or what `VARIABLE` names. Raises NoEnvironmentError."""
    given = os.environ.get(VARIABLE)
    if given:
        if os.access(given, os.X_OK):
            return Path(given)
        raise NoEnvironmentError(f"{VARIABLE} names {given}, which is no program")
    if not _is_made(home):
        raise NoEnvironmentError(f"dnp3-python is not installed: `tieline dnp3-python --state {home.parent}`")
    return _python(home)


def make(home: Path) -> Path:
    """Make the environment where it is not there or of another version: its Python. Raises NoEnvironmentError."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes it
        if not _is_made(home):
            python = python310()
            shutil.rmtree(home, ignore_errors=True)
            _run([python, "-m", "venv", str(home)], _VENV_S)
            pip = ("-m", "pip", "install", "-q", "--disable-pip-version-check", REQUIREMENT)
            _run([str(_python(home)), *pip], _INSTALL_S)
            (home / _MADE).write_text(REQUIREMENT)
    return _python(home)


def python310() -> str:
    """A CPython 3.10: of this machine, or else one that uv installs for this user. Raises NoEnvironmentError."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [
        os.environ.get("TIELINE_PYTHON310"),
        *map(str, sorted(root.glob("versions/3.10.*/bin/python"))),
        shutil.which("python3.10"),
    ]
    for one in candidates:
        if one is not None and _is_310(one):
            return one
    installed = _by_uv()
    if installed is not None and _is_310(installed):
        return installed
    raise NoEnvironmentError(NO_PYTHON)


def _by_uv() -> str | None:
    """One that uv has, or downloads; None where there is no uv, or no way to where it gets them."""
    if importlib.util.find_spec("uv") is not None:
        uv = [sys.executable, "-m", "uv"]
    elif (program := shutil.which("uv")) is not None:
        uv = [program]
    else:
        return None
    try:
        _run([*uv, "python", "install", "--no-bin", "3.10"], _INSTALL_S)
        return _run([*uv, "python", "find", "--managed-python", "--no-project", "3.10"], _ASK_S).strip()
    except NoEnvironmentError:
        return None


def _is_made(home: Path) -> bool:
    made = home / _MADE
    return made.is_file() and made.read_text() == REQUIREMENT and _python(home).exists()


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _is_310(python: str) -> bool:
    try:
        asked = _run(
            [
                python,
                "-c",
                "import sys, venv, ensurepip; print(sys.implementation.name, sys.version_info[:2])",
            ],
            _ASK_S,
        )
    except NoEnvironmentError:
        return False
    return asked.strip() == "cpython (3, 10)"


def _run(command: list[str], limit_s: float) -> str:
    """What a command says. Raises NoEnvironmentError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEnvironmentError(f"{' '.join(command)}: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NoEnvironmentError(f"{' '.join(command)} failed: {said[-1] if said else done.returncode}")
    return done.stdout
