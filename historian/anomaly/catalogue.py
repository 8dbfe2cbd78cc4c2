"""The detectors by the names that the command line and site files use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from historian.anomaly.balance import EnergyBalance, MeterAgainstFeeder
from historian.anomaly.detector import Detector
from historian.anomaly.group import Forest, Pca
from historian.anomaly.shape import Shape
from historian.anomaly.tags import Clock, FlatLine, Gaussian, Missing, Range, Rate

DETECTORS: Final[Mapping[str, type[Detector]]] = {
    "gaussian": Gaussian,
    "range": Range,
    "rate": Rate,
    "flat-line": FlatLine,
    "shape": Shape,
    "missing": Missing,
    "clock": Clock,
    "pca": Pca,
    "forest": Forest,
    "balance": EnergyBalance,
    "meter": MeterAgainstFeeder,
}


def make(name: str, parameters: Mapping[str, str]) -> Detector:
    """A detector by its name, and its parameters as text; lists are separated by commas.

    Raises ValueError with what there is.
    """
    kind = DETECTORS.get(name)
    if kind is None:
        raise ValueError(f"no detector is called {name!r}{_near(name, DETECTORS)}: {', '.join(DETECTORS)}")
    known = dict(inspect.signature(kind).parameters)
    settings: dict[str, Any] = {}
    for key, text in parameters.items():
        if key not in known:
            raise ValueError(f"{name} has no parameter {key!r}{_near(key, known)}: {', '.join(known)}")
        settings[key] = _value(name, key, text, str(known[key].annotation))
    needed = [
        key for key, one in known.items() if one.default is inspect.Parameter.empty and key not in settings
    ]
    if needed:
        raise ValueError(f"{name} needs {' and '.join(needed)}: give {needed[0]}=TAG,TAG")
    return kind(**settings)


def _value(name: str, key: str, text: str, annotation: str) -> Any:
    if annotation.startswith("Sequence"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if annotation.startswith("Literal"):
        return text
    try:
        return int(text) if annotation == "int" else float(text)
    except ValueError:
        what = "a whole number" if annotation == "int" else "a number"
        raise ValueError(f"{key} of {name} is {what}, not {text!r}") from None


def _near(word: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(word, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""
