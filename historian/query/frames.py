"""History as tables of other libraries: Arrow, pandas, and views in a DuckDB connection.

Long tables have a row a sample: ``time`` (ns, UTC), ``tag``, ``value`` (a double), ``text`` where strings were asked
for, and ``status``. Wide ones have a row a time and a column a tag, in the tag's own type; where a tag has no sample
of that time, or a Bad one and no statuses were asked for, the cell is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.history import Series
from gateway.tags.quality import SEVERITY_BAD
from gateway.tags.tag import ValueType
from historian.libraries import load
from historian.query.history import History

EXACT_INTEGER = 1 << 53  # doubles hold every integer up to here
STATUS = " status"  # behind the name of a tag, which has no space in it: the column of its StatusCodes
WIDE = "_wide"


def to_arrow(
    history: History,
    tags: Iterable[str],
    start_ns: int,
    end_ns: int,
    *,
    wide: bool = False,
    quality: bool = True,
) -> Any:
    """A `pyarrow.Table` of [start_ns, end_ns). Raises KeyError, ImportError, and ValueError where a double cannot say
    an integer of a long table exactly.
    """
    arrow = load("pyarrow", "a table")
    series = history.raw_many(tags, start_ns, end_ns)
    return _wide_arrow(arrow, series, quality) if wide else _long_arrow(arrow, series, quality)


def to_pandas(
    history: History,
    tags: Iterable[str],
    start_ns: int,
    end_ns: int,
    *,
    wide: bool = True,
    quality: bool = False,
) -> Any:
    """A `pandas.DataFrame` of [start_ns, end_ns), indexed by time in UTC; raises what `to_arrow` does.

    Numbers with holes are of pandas' nullable types, so that integers stay exact; doubles have NaN there.
    """
    pandas = load("pandas", "a DataFrame")
    if not wide:
        arrow = load("pyarrow", "a DataFrame")
        table = _long_arrow(arrow, history.raw_many(tags, start_ns, end_ns), quality)
        return table.to_pandas().set_index("time")
    series = history.raw_many(tags, start_ns, end_ns)
    times, places = _rows_of(series)
    columns: dict[str, Any] = {}
    for tag, one in series.items():
        missing = _missing(one, places[tag], len(times), quality)
        columns[tag] = _pandas_column(pandas, one, places[tag], missing)
        if quality:
            statuses = _spread(one.statuses, places[tag], len(times))
            gone = _missing(one, places[tag], len(times), True)
            columns[tag + STATUS] = statuses if gone is None else pandas.arrays.IntegerArray(statuses, gone)
    index = pandas.DatetimeIndex(times.view("M8[ns]"), name="time").tz_localize("UTC")
    return pandas.DataFrame(columns, index=index, copy=False)


def register(
    connection: Any, history: History, tags: Iterable[str], start_ns: int, end_ns: int, name: str = "samples"
) -> None:
    """Make [start_ns, end_ns) of these tags known to a DuckDB connection: long as ``name``, wide as ``name``_wide.

    What is there now is read at once, and scanned by DuckDB without another copy. Raises what `to_arrow` does.
    """
    arrow = load("pyarrow", "a view in DuckDB")
    series = history.raw_many(tags, start_ns, end_ns)
    tables = {name: _long_arrow(arrow, series, True), name + WIDE: _wide_arrow(arrow, series, True)}
    for view, table in tables.items():
        connection.register(view, table)


def _long_arrow(arrow: Any, series: Mapping[str, Series], quality: bool) -> Any:
    counts = [len(one) for one in series.values()]
    times = np.concatenate([np.empty(0, np.int64), *(one.source_times for one in series.values())])
    statuses = np.concatenate([np.empty(0, np.uint32), *(one.statuses for one in series.values())])
    places = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    has_texts = any(one.type is ValueType.STRING for one in series.values())
    numbers = np.zeros(len(times))
    no_number = np.zeros(len(times), bool)
    texts: list[str | None] = [None] * len(times) if has_texts else []
    at = 0
    for tag, one in series.items():
        here = slice(at, at + len(one))
        if one.type is ValueType.STRING:
            texts[here] = one.values.tolist()
            no_number[here] = True
        else:
            numbers[here] = _doubles(tag, one)
        if not quality:
            no_number[here] |= _is_bad(one)
            if one.type is ValueType.STRING:
                for place in np.flatnonzero(_is_bad(one)).tolist():
                    texts[at + place] = None
        at += len(one)
    columns = {
        "time": arrow.array(times.view("M8[ns]"), arrow.timestamp("ns", tz="UTC")),
        "tag": arrow.DictionaryArray.from_arrays(places, arrow.array(list(series), arrow.string())),
        "value": arrow.array(numbers, mask=no_number if no_number.any() else None),
    }
    if has_texts:
        columns["text"] = arrow.array(texts, arrow.string())
    if quality:
        columns["status"] = arrow.array(statuses)
    return arrow.table(columns)


def _wide_arrow(arrow: Any, series: Mapping[str, Series], quality: bool) -> Any:
    times, places = _rows_of(series)
    columns = {"time": arrow.array(times.view("M8[ns]"), arrow.timestamp("ns", tz="UTC"))}
    for tag, one in series.items():
        missing = _missing(one, places[tag], len(times), quality)
        values = _spread(one.values, places[tag], len(times))
        kind = arrow.string() if one.type is ValueType.STRING else None
        columns[tag] = arrow.array(values, kind, mask=missing)
        if quality:
            gone = _missing(one, places[tag], len(times), True)
            columns[tag + STATUS] = arrow.array(_spread(one.statuses, places[tag], len(times)), mask=gone)
    return arrow.table(columns)


def _pandas_column(
    pandas: Any, one: Series, places: NDArray[np.int64] | None, missing: NDArray[np.bool_] | None
) -> Any:
    count = len(one) if missing is None else len(missing)
    values = _spread(one.values, places, count)
    if missing is None:
        return values
    match one.type:
        case ValueType.DOUBLE:
            return np.where(missing, np.nan, values)
        case ValueType.STRING:
            texts = values.copy()
            texts[missing] = None
            return texts
        case ValueType.BOOL:
            return pandas.arrays.BooleanArray(values, missing)
        case _:
            return pandas.arrays.IntegerArray(values, missing)


def _rows_of(series: Mapping[str, Series]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64] | None]]:
    """All times there are, and the row of each sample of a tag; None where it has one in each row."""
    arrays = [one.source_times for one in series.values()]
    if not arrays:
        return np.empty(0, np.int64), {}
    first = arrays[0]
    if all(times is first or np.array_equal(times, first) for times in arrays):
        return first, dict.fromkeys(series)
    distinct = {id(times): times for times in arrays}
    times = np.unique(np.concatenate(list(distinct.values())))
    rows = {key: times.searchsorted(some) for key, some in distinct.items()}
    return times, {
        tag: None if len(one) == len(times) else rows[id(one.source_times)] for tag, one in series.items()
    }


def _spread(values: NDArray[Any], places: NDArray[np.int64] | None, count: int) -> NDArray[Any]:
    """Values in their rows; what stands in the others is not to be looked at."""
    if places is None:
        return values
    rows = np.zeros(count, values.dtype)
    rows[places] = values
    return rows


def _missing(
    one: Series, places: NDArray[np.int64] | None, count: int, quality: bool
) -> NDArray[np.bool_] | None:
    """The rows in which the tag has nothing to show; None where that is so in no row."""
    bad = np.zeros(len(one), bool) if quality else _is_bad(one)
    if places is None:
        return bad if bad.any() else None
    missing = np.ones(count, bool)
    missing[places] = bad
    return missing


def _is_bad(one: Series) -> NDArray[np.bool_]:
    is_bad: NDArray[np.bool_] = (one.statuses & np.uint32(SEVERITY_BAD)) != 0
    return is_bad


def _doubles(tag: str, one: Series) -> NDArray[np.float64]:
    if one.type in (ValueType.INT64, ValueType.UINT64) and len(one):
        low, high = int(one.values.min()), int(one.values.max())
        if not -EXACT_INTEGER <= low <= high <= EXACT_INTEGER:
            raise ValueError(
                f"{tag} has integers beyond 2^53, which the doubles of a long table cannot say: ask wide"
            )
    numbers: NDArray[np.float64] = one.values.astype(np.float64)
    return numbers
