"""Samples as InfluxDB line protocol. Pure.

    measurement,label=text,label=text value=1.5,status=0i 1795262400000000000

A double is written with the fewest digits that give back its very bits. What has no form in line protocol (NaN and
the infinities), or that the store cannot hold, is left out of the line, and the status is sent alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.config.forward import ForwardKind, SeriesNames
from gateway.config.series import series_name
from gateway.config.site import Tag
from gateway.tags.tag import ValueType
from historian.store.rows import Rows

INT64_HIGH = 2**63 - 1
# What InfluxDB takes for a time: the outermost of 64 bits are its own (models.MinNanoTime, MaxNanoTime).
TIME_LOW, TIME_HIGH = -(2**63) + 2, 2**63 - 2

_IN_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ "})
_IN_KEY = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_IN_TEXT = str.maketrans({'"': r"\"", "\\": "\\\\"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a store can hold."""

    has_unsigned: bool  # 64 bits without a sign, written 42u
    has_strings: bool
    settle_s: float = 0.0  # samples it took may be lost so long if it crashes


DIALECTS = {
    # 1.x reads 42u only where it was built for it: a whole number below 2^63 goes as a signed one there.
    ForwardKind.INFLUXDB1: Dialect(has_unsigned=False, has_strings=True),
    ForwardKind.INFLUXDB2: Dialect(has_unsigned=True, has_strings=True),
    ForwardKind.INFLUXDB3: Dialect(has_unsigned=True, has_strings=True),
    # It acknowledges before it writes: up to 7 s were lost by kill -9 (docs/forwarding.md); twice that is safe.
    ForwardKind.VICTORIAMETRICS: Dialect(has_unsigned=True, has_strings=False, settle_s=15.0),
}


@dataclass(frozen=True, slots=True)
class Series:
    """How a tag's samples are written: what stands before the value, and between value and status."""

    name: str
    type: ValueType
    head: str  # "measurement,labels "
    value_field: str  # "value="
    status_field: str  # "status="


@dataclass(frozen=True, slots=True)
class Encoded:
    """Lines (of ``tags[i]``) to send, those that the store has no form for, and how many go without their value."""

    lines: list[str]
    tags: list[int]
    unsendable: list[str]
    without_value: int


def series_of(tag: Tag, names: SeriesNames, site: str) -> Series:
    """The names of a tag's series, as they stand in a line."""
    name = series_name(tag, names, site)
    labels = [f",{key}={text.translate(_IN_KEY)}" for key, text in name.labels]
    return Series(
        tag.name,
        tag.type,
        "".join([name.measurement.translate(_IN_MEASUREMENT), *labels, " "]),
        name.value_field.translate(_IN_KEY) + "=",
        name.status_field.translate(_IN_KEY) + "=",
    )


def encode(rows: Rows, series: Mapping[int, Series], dialect: Dialect) -> Encoded:
    """Rows as lines, in their order; those of tags that are not in ``series`` are left out."""
    lines: list[str] = []
    tags: list[int] = []
    unsendable: list[str] = []
    without_value = 0
    texts = dict(zip(rows.text_rows.tolist(), rows.texts, strict=True))
    words = rows.values
    columns: dict[ValueType, Sequence[object]] = {
        ValueType.BOOL: words.tolist(),
        ValueType.INT64: words.view(np.int64).tolist(),
        ValueType.UINT64: words.tolist(),
        ValueType.DOUBLE: words.view(np.float64).tolist(),
    }
    forms = _forms(dialect)
    for row, (tag, status, time) in enumerate(
        zip(rows.tags.tolist(), rows.statuses.tolist(), rows.times.tolist(), strict=True)
    ):
        one = series.get(tag)
        if one is None:
            continue
        value = texts[row] if one.type is ValueType.STRING else columns[one.type][row]
        text = forms[one.type](value)
        if text:
            line = f"{one.head}{one.value_field}{text},{one.status_field}{status}i {time}"
        else:
            without_value += 1
            line = f"{one.head}{one.status_field}{status}i {time}"
        if TIME_LOW <= time <= TIME_HIGH and text is not None:
            lines.append(line)
            tags.append(tag)
        else:
            unsendable.append(line)
    return Encoded(lines, tags, unsendable, without_value)


def _forms(dialect: Dialect) -> dict[ValueType, Callable[[object], str | None]]:
    """How a value of each type is written; "": the store holds no such value, None: not this one of many."""

    def text(value: object) -> str:
        return f'"{str(value).translate(_IN_TEXT)}"' if dialect.has_strings else ""

    def unsigned(value: object) -> str | None:
        assert isinstance(value, int), value
        if dialect.has_unsigned:
            return f"{value}u"
        return f"{value}i" if value <= INT64_HIGH else None

    return {
        ValueType.BOOL: lambda value: "true" if value else "false",
        ValueType.INT64: lambda value: f"{value}i",
        ValueType.UINT64: unsigned,
        ValueType.DOUBLE: lambda value: repr(value) if math.isfinite(value) else "",  # type: ignore[arg-type]
        ValueType.STRING: text,
    }
