"""Values as a file tells them, as values of a tag's type. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags import quality
from gateway.tags.quality import SEVERITY_BAD, Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.keeping.importing.moments import Wrong

_TRUE, _FALSE = frozenset({"true", "1", "on", "yes", "1.0"}), frozenset({"false", "0", "off", "no", "0.0"})
_RANGES = {ValueType.INT64: (-(2**63), 2**63 - 1), ValueType.UINT64: (0, 2**64 - 1)}
_NUMPY: dict[ValueType, type[np.generic]] = {
    ValueType.BOOL: np.bool_,
    ValueType.INT64: np.int64,
    ValueType.UINT64: np.uint64,
    ValueType.DOUBLE: np.float64,
}
_NAMES = {quality.name_of(code).lower(): int(code) for code in Quality} | {
    "uncertain": quality.SEVERITY_UNCERTAIN
}


def type_of(value: Any, decimal: str) -> ValueType:
    """The type a tag gets whose first value this is: a number is a double, as whole ones may get decimals later."""
    if isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false")):
        return ValueType.BOOL
    try:
        _double(value, decimal)
    except ValueError:
        return ValueType.STRING
    return ValueType.DOUBLE


def is_missing(value: Any) -> bool:
    """Whether a file has no value there."""
    return value is None or (isinstance(value, str) and not value.strip())


def typed(type: ValueType, values: Sequence[Any], decimal: str) -> tuple[NDArray[Any], Wrong]:
    """Raw bits (strings as they are), and what is no such value."""
    if type is ValueType.STRING:
        return np.array([value if isinstance(value, str) else str(value) for value in values], object), []
    if type is ValueType.DOUBLE and decimal == "." and all(isinstance(value, float) for value in values):
        return to_bits(np.array(values, np.float64), type), []
    found = np.zeros(len(values), _NUMPY[type])
    wrong: Wrong = []
    for place, value in enumerate(values):
        try:
            found[place] = _one(type, value, decimal)
        except ValueError as error:
            wrong.append((place, str(error)))
    return to_bits(found, type), wrong


def no_value(type: ValueType) -> Any:
    """What stands where a Bad sample has no value."""
    return {ValueType.STRING: "", ValueType.DOUBLE: math.nan, ValueType.BOOL: False}.get(type, 0)


def status_of(told: Any, words: Mapping[str, int]) -> int:
    """A StatusCode from its number, its standard name, or the map's word. Raises ValueError."""
    if told is None or told == "":
        return Quality.GOOD
    if isinstance(told, str):
        if told in words:
            return words[told]
        if told.lower() in _NAMES:
            return _NAMES[told.lower()]
        try:
            told = int(told, 0)
        except ValueError:
            raise ValueError(
                f"the quality {told[:40]!r} is not known: name its StatusCode in a map, under `qualities`"
            ) from None
    if not isinstance(told, int) or not 0 <= told <= 0xFFFF_FFFF:
        raise ValueError(f"the quality {told!r} is not a StatusCode of 32 bits")
    return told


def is_bad(status: int) -> bool:
    return bool(status & SEVERITY_BAD)


def _one(type: ValueType, value: Any, decimal: str) -> Any:
    if type is ValueType.DOUBLE:
        return _double(value, decimal)
    if type is ValueType.BOOL:
        text = str(value).strip().lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise ValueError(f"{value!r} is not true or false, which the tag is")
    return _whole(type, value, decimal)


def _double(value: Any, decimal: str) -> float:
    if isinstance(value, str):
        text = value.strip() if decimal == "." else value.strip().replace(".", "").replace(",", ".")
        if "_" not in text:
            try:
                return float(text)
            except ValueError:
                pass
    elif isinstance(value, int | float):
        return float(value)
    raise ValueError(f"{str(value)[:40]!r} is not a number, which the tag is")


def _whole(type: ValueType, value: Any, decimal: str) -> int:
    try:
        found = int(value) if isinstance(value, int | str) and "_" not in str(value) else None
    except ValueError:
        found = None
    if found is None:
        number = _double(value, decimal)
        if not number.is_integer() or abs(number) > 2**53:
            raise ValueError(f"{str(value)[:40]!r} is not a whole number, which the tag is")
        found = int(number)
    low, high = _RANGES[type]
    if not low <= found <= high:
        raise ValueError(f"{found} does not lie within {low} to {high}, as the tag does")
    return found
