"""Libraries of the ``analytics`` profile, loaded only where they are used."""

from __future__ import annotations

import importlib
from typing import Any


def load(name: str, for_what: str) -> Any:
    """The module, typed loosely as few of them say their types. Raises ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{for_what} needs {name}: pip install 'tieline[analytics]'", name=name) from error
