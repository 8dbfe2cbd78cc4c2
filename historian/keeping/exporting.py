"""`tieline history export`: many tags over a long time into files others read, day by day."""

from __future__ import annotations

import csv
import datetime
import fnmatch
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from gateway.tags.history import Series
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.export import MissingLibrary, quality_name
from historian.keeping.progress import Advance
from historian.query.history import History
from historian.store.catalogue import Entry
from historian.times import day_edges, iso

HEAD = ("time", "tag", "value", "quality", "status")
ROW_GROUP = 1_000_000  # rows; 30 MB in memory
EXACT = 2**53  # whole numbers beyond are text in Parquet, as a double does not hold them all


class NothingThere(HistoryError):  # noqa: N818 - reads as the claim it makes
    """No tag of that name has history."""


@dataclass(frozen=True, slots=True)
class Part:
    """The samples of one tag on one day."""

    entry: Entry
    series: Series


Parts = Callable[["Day"], Iterator[Part]]


@dataclass(frozen=True, slots=True)
class Day:
    """A local day, or what of it was asked for."""

    name: str
    start_ns: int
    end_ns: int


def chosen(entries: Sequence[Entry], patterns: Sequence[str]) -> list[Entry]:
    """Tags that one of the patterns (``ev*.power_kw``) matches; all where there is none. Raises NothingThere."""
    found = [
        entry
        for entry in entries
        if not patterns or any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in patterns)
    ]
    if not found:
        raise NothingThere(
            f"no tag with history matches {' '.join(patterns)}" if patterns else "no tag has history"
        )
    return found


def days_between(start_ns: int, end_ns: int, zone: datetime.tzinfo) -> list[Day]:
    """Local days from midnight to midnight, cut at start and end."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    first = (epoch + datetime.timedelta(microseconds=start_ns // 1000)).astimezone(zone)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(datetime.UTC)
    edges = day_edges((midnight - epoch) // datetime.timedelta(microseconds=1) * 1000, end_ns, 1, zone)
    return [
        Day(str(first.date() + datetime.timedelta(days=n)), max(low, start_ns), min(high, end_ns))
        for n, (low, high) in enumerate(pairwise(edges))
    ]


def parts_of(history: History, entries: Sequence[Entry], day: Day) -> Iterator[Part]:
    """Each tag's samples of a day, where it has any."""
    for entry in entries:
        series = history.raw(entry.path, day.start_ns, day.end_ns)
        if len(series):
            yield Part(entry, series)


def write_csv(out: IO[bytes], days: Sequence[Day], parts: Parts, advance: Advance) -> int:
    """RFC 4180, UTF-8 without a byte order mark; returns how many samples."""
    count = 0
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(HEAD)
        for day in days:
            for part in parts(day):
                writer.writerows(_rows(part))
                count += len(part.series)
            advance(1)
    finally:
        text.detach()
    return count


def write_parquet(path: Path, days: Sequence[Day], parts: Parts, advance: Advance) -> int:
    """One file, a row group or more a day. Raises MissingLibrary, OSError."""
    arrow, parquet = _arrow()
    count = 0
    draft = path.with_name(path.name + ".draft")
    try:
        with parquet.ParquetWriter(draft, _schema(arrow), compression="zstd") as writer:
            for day in days:
                for table in _tables(arrow, parts(day)):
                    writer.write_table(table)
                    count += table.num_rows
                advance(1)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def write_parquet_by_day(path: Path, days: Sequence[Day], parts: Parts, advance: Advance) -> int:
    """``date=2026-11-21/history.parquet`` in a folder, as DuckDB, Spark and pandas read partitions."""
    count = 0
    for day in days:
        folder = path / f"date={day.name}"
        folder.mkdir(parents=True, exist_ok=True)
        found = write_parquet(folder / "history.parquet", [day], parts, _silent)
        if not found:
            (folder / "history.parquet").unlink()
            folder.rmdir()
        count += found
        advance(1)
    return count


def _rows(part: Part) -> Iterator[tuple[Any, ...]]:
    """Times with nine digits each: readers take the form of a column's first times for that of all."""
    names: dict[int, str] = {}
    series = part.series
    for time, value, status in zip(
        iso(series.source_times, unit="ns"), series.values.tolist(), series.statuses.tolist(), strict=True
    ):
        if status not in names:
            names[status] = quality_name(status)
        yield time, part.entry.path, value, names[status], status


def _tables(arrow: Any, parts: Iterator[Part]) -> Iterator[Any]:
    waiting: list[Any] = []
    count = 0
    for part in parts:
        waiting.append(_table(arrow, part))
        count += len(part.series)
        if count >= ROW_GROUP:
            yield arrow.concat_tables(waiting)
            waiting, count = [], 0
    if waiting:
        yield arrow.concat_tables(waiting)


def _schema(arrow: Any) -> Any:
    return arrow.schema(
        [
            ("time", arrow.timestamp("ns", tz="UTC")),
            ("tag", arrow.string()),
            ("value", arrow.float64()),
            ("text", arrow.string()),
            ("status", arrow.uint32()),
        ]
    )


def _table(arrow: Any, part: Part) -> Any:
    series = part.series
    count = len(series)
    numbers: Any = arrow.nulls(count, arrow.float64())
    texts: Any = arrow.nulls(count, arrow.string())
    match series.type:
        case ValueType.STRING:
            texts = arrow.array(series.values.tolist(), arrow.string())
        case ValueType.INT64 | ValueType.UINT64:
            values = series.values
            large = (
                (values > EXACT) if series.type is ValueType.UINT64 else (values > EXACT) | (values < -EXACT)
            )
            numbers = arrow.array(values.astype(np.float64), mask=large)
            exact = [
                str(value) if is_large else None
                for value, is_large in zip(values.tolist(), large, strict=True)
            ]
            texts = arrow.array(exact, arrow.string())
        case _:
            numbers = arrow.array(series.values.astype(np.float64))
    return arrow.table(
        [
            arrow.array(series.source_times, arrow.timestamp("ns", tz="UTC")),
            arrow.repeat(part.entry.path, count),
            numbers,
            texts,
            arrow.array(series.statuses, arrow.uint32()),
        ],
        schema=_schema(arrow),
    )


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingLibrary("parquet needs pyarrow: pip install 'tieline[analytics]'") from None
    return pyarrow, parquet


def _silent(_: int) -> None:
    return
