"""Values as people write and read them: TRUE, 16#FF, T#10s, Mode#On, 'text'."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from plc.compiler.symbols import Place, Symbols, UnknownPathError
from plc.language import literals
from plc.language.diagnostics import nearest
from plc.runtime.variables import Value

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MOST_LEAVES = 200  # variables that one path may stand for
_TIMES = ("duration", "date", "time_of_day", "date_and_time")


class ValueTextError(ValueError):
    """A text that is no value of a variable's type; the message says what one looks like."""


def described(table: Symbols, path: str) -> dict[str, Any]:
    """A variable's type. Raises UnknownPathError with the nearest right name."""
    return table.types[place_of(table, path).type]


def place_of(table: Symbols, path: str) -> Place:
    """The place of a path. Raises UnknownPathError with the nearest right name."""
    try:
        return table.find(path)
    except UnknownPathError as error:
        near = nearest(path, (one.path for one in table.walk() if "hidden" not in one.flags))
        raise UnknownPathError(f"{error}{f': did you mean {near}?' if near else ''}") from None


def leaves(table: Symbols, path: str) -> list[str]:
    """The elementary variables and strings of a path: itself, or all within a block, structure or array.

    Raises UnknownPathError, ValueTextError where there are more than `MOST_LEAVES`.
    """
    place = place_of(table, path)
    if table.types[place.type]["kind"] not in ("record", "array"):
        return [path]
    found: list[str] = []
    for one in _inside(table, path, place.type):
        found.append(one)
        if len(found) > MOST_LEAVES:
            raise ValueTextError(f"{path} has more than {MOST_LEAVES} variables: name the ones you mean")
    return found


def _inside(table: Symbols, path: str, number: int) -> Iterator[str]:
    type_ = table.types[number]
    if type_["kind"] == "record":
        for member in type_["members"]:
            if "hidden" not in member["flags"]:
                yield from _inside(table, f"{path}.{member['name']}", member["type"])
    elif type_["kind"] == "array":
        ranges = [range(low, high + 1) for low, high in type_["bounds"]]
        for index in _indices(ranges):
            yield from _inside(table, f"{path}[{','.join(map(str, index))}]", type_["element"])
    elif type_["kind"] != "reference":
        yield path


def _indices(ranges: list[range]) -> Iterator[tuple[int, ...]]:
    if not ranges:
        yield ()
        return
    for first in ranges[0]:
        for rest in _indices(ranges[1:]):
            yield (first, *rest)


def parsed(type_: dict[str, Any], text: str) -> Value:
    """A value of a type from what somebody typed. Raises ValueTextError."""
    kind, scalar, family = type_["kind"], type_.get("scalar"), type_.get("family")
    stripped = text.strip()
    try:
        if kind == "string":
            is_quoted = len(stripped) >= 2 and stripped[0] == stripped[-1] == "'"
            return literals.string(stripped[1:-1], is_wide=False) if is_quoted else text
        if kind == "enumeration":
            return _of_enumeration(type_, stripped)
        if kind != "scalar":
            raise ValueTextError(f"it is {type_['name']}, not one value")
        if scalar == "bool":
            return _BOOLS[stripped.upper().removeprefix("BOOL#")]
        if family in _TIMES:
            return _time(family, stripped)
        if scalar in ("f32", "f64"):
            return float(stripped.rpartition("#")[2].replace("_", ""))
        return _whole(type_, stripped)
    except (literals.Malformed, ValueError, KeyError) as error:
        if isinstance(error, ValueTextError):
            raise
        raise ValueTextError(f"{text!r} is no {type_['name']}: write it like {_example(type_)}") from None


_BOOLS = {"TRUE": True, "1": True, "ON": True, "FALSE": False, "0": False, "OFF": False}


def _whole(type_: dict[str, Any], text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    value = sign * literals.integer(text.lstrip("+-"))[0]
    bits = int(type_["scalar"][1:])
    low, high = (0, (1 << bits) - 1) if type_["scalar"][0] == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    low, high = type_.get("low", low), type_.get("high", high)
    if not low <= value <= high:
        raise ValueTextError(f"{value} does not fit {type_['name']}: it goes from {low} to {high}")
    return value


def _of_enumeration(type_: dict[str, Any], text: str) -> int:
    name = text.rpartition("#")[2]
    for known, number in type_["values"].items():
        if known.upper() == name.upper():
            return int(number)
    try:
        return int(text)
    except ValueError:
        near = nearest(name, type_["values"])
        names = ", ".join(type_["values"])
        raise ValueTextError(
            f"{type_['name']} has no value {name}: {f'did you mean {near}?' if near else names}"
        ) from None


def _time(family: str, text: str) -> int:
    rest = text.rpartition("#")[2]
    if family == "duration":
        return literals.duration_ns(rest)
    if family == "date":
        return literals.date_ns(rest)
    return literals.time_of_day_ns(rest) if family == "time_of_day" else literals.date_and_time_ns(rest)


def _example(type_: dict[str, Any]) -> str:
    if type_.get("scalar") == "bool":
        return "TRUE or FALSE"
    family = str(type_.get("family"))
    by_family = {
        "duration": "T#1m30s or 500ms",
        "date": "2026-03-29",
        "time_of_day": "06:30:00",
        "date_and_time": "2026-03-29-06:30:00",
        "real": "1.5 or 1.5E-3",
    }
    return by_family.get(family, "12 or 16#FF")


def shown(type_: dict[str, Any], value: Value) -> str:
    """A value as people read it."""
    if type_["kind"] == "enumeration":
        name = next((name for name, number in type_["values"].items() if number == value), None)
        return str(value) if name is None else name
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, float):
        return f"{value:.7g}" if type_.get("scalar") == "f32" else f"{value:.12g}"
    family = type_.get("family")
    if family == "duration":
        return f"{'L' if str(type_['name']).startswith('L') else ''}T#{duration_text(value)}"
    if family == "date":
        return f"{datetime.fromtimestamp(value / NS_PER_S, UTC):%Y-%m-%d}"
    if family == "date_and_time":
        return f"{datetime.fromtimestamp(value / NS_PER_S, UTC):%Y-%m-%d-%H:%M:%S}"
    if family == "time_of_day":
        return f"{datetime.fromtimestamp(value / NS_PER_S, UTC):%H:%M:%S.%f}".rstrip("0").rstrip(".")
    return str(value)


def duration_text(value_ns: int) -> str:
    """``1h2m3.5s``."""
    sign, rest = ("-", -value_ns) if value_ns < 0 else ("", value_ns)
    if rest < NS_PER_S:
        return f"{sign}{rest / NS_PER_MS:g}ms"
    parts = ""
    for name, size in (("d", 86_400 * NS_PER_S), ("h", 3_600 * NS_PER_S), ("m", 60 * NS_PER_S)):
        count, rest = divmod(rest, size)
        parts += f"{count}{name}" if count or parts else ""
    return f"{sign}{parts}{rest / NS_PER_S:g}s"
