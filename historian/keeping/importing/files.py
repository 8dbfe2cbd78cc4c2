"""Files of samples, read piece by piece: CSV and Parquet, a sample a line or a column a tag."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from historian.errors import HistoryError
from historian.export import MissingLibrary
from historian.keeping.importing.mapping import ImportMap
from historian.keeping.importing.moments import Wrong, parse_moments, to_utc
from historian.keeping.progress import Advance

PIECE_LINES = 50_000  # 20 MB of Python objects at a time, however long the file is
MAX_FIELD = 65_536  # characters; the longest string of a tag is far shorter
STATUS_COLUMNS = ("status", "quality")  # of files that this program wrote, the exact one first


class Unreadable(HistoryError):  # noqa: N818 - reads as the claim it makes
    """A file that as a whole cannot be imported."""


@dataclass(slots=True)
class Piece:
    """Some lines: times (UTC ns), and of each column its tag, or the tag of each line; values as they were told."""

    lines: Sequence[int]
    times: NDArray[np.int64]
    columns: list[tuple[str | Sequence[str], Sequence[Any]]]
    qualities: Sequence[Any] | None
    wrong: Wrong = field(default_factory=list)  # by place in ``lines``; such lines have no meaning otherwise


@dataclass(frozen=True, slots=True)
class _Head:
    """Which column is what."""

    time: int
    tag: int | None
    values: dict[int, str]  # places of values, and of a wide file what they are called
    quality: int | None
    text: int | None = None  # of a long file: stands in where there is no value


def read_pieces(path: Path, map: ImportMap, zone: datetime.tzinfo, advance: Advance) -> Iterator[Piece]:
    """All of a file. Raises Unreadable, MissingLibrary, OSError."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, map, map.zone or zone, advance)
    return _csv(path, map, map.zone or zone, advance)


def _head(names: Sequence[str], map: ImportMap, where: str) -> _Head:
    places = {name.strip(): place for place, name in enumerate(names)}
    if len(places) < len(names):
        raise Unreadable(f"{where}: a column's name is there twice")
    if map.time not in places:
        raise Unreadable(f"{where}: no column {map.time!r} among {', '.join(names[:8])}: name it in a map")
    is_long = map.layout == "long" or (map.layout is None and map.tag in places and map.value in places)
    if not is_long:
        skipped = (map.time, *STATUS_COLUMNS) if map.quality is None else (map.time, map.quality)
        values = {place: name for name, place in places.items() if name not in skipped}
        if not values:
            raise Unreadable(f"{where}: no column with values")
        return _Head(places[map.time], None, values, None)
    for wanted in (map.tag, map.value, map.quality):
        if wanted is not None and wanted not in places:
            raise Unreadable(f"{where}: no column {wanted!r} among {', '.join(names[:8])}: name it in a map")
    quality = next((places[name] for name in (map.quality, *STATUS_COLUMNS) if name in places), None)
    return _Head(places[map.time], places[map.tag], {places[map.value]: ""}, quality, places.get("text"))


def _csv(path: Path, map: ImportMap, zone: datetime.tzinfo, advance: Advance) -> Iterator[Piece]:
    before = csv.field_size_limit(MAX_FIELD)
    try:
        with path.open("rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=map.delimiter, strict=True)
            names = next(reader, None)
            if names is None:
                raise Unreadable(f"{path} is empty")
            head = _head(names, map, str(path))
            read = 0
            while True:
                lines: list[int] = []
                rows: list[list[str]] = []
                for row in reader:
                    if row:
                        lines.append(reader.line_num)
                        rows.append(row)
                    if len(rows) >= PIECE_LINES:
                        break
                if not rows:
                    return
                at = raw.tell()
                advance(at - read)
                read = at
                yield _piece_of_text(lines, rows, len(names), head, map, zone)
    except csv.Error as error:
        raise Unreadable(f"{path}, line {reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not UTF-8 ({error}): save it so") from error
    finally:
        csv.field_size_limit(before)


def _piece_of_text(
    lines: list[int],
    rows: list[list[str]],
    width: int,
    head: _Head,
    map: ImportMap,
    zone: datetime.tzinfo,
) -> Piece:
    short: Wrong = []
    if any(len(row) != width for row in rows):
        for place, row in enumerate(rows):
            if len(row) != width:
                short.append((place, f"has {len(row)} fields instead of {width}"))
                rows[place] = [""] * width
    told = {place for place, _ in short}
    times, wrong = parse_moments([row[head.time] for row in rows], zone, map.unit_ns)
    wrong = [*short, *(one for one in wrong if one[0] not in told)]
    columns: list[tuple[str | Sequence[str], Sequence[Any]]] = []
    for place, name in head.values.items():
        tags = name if head.tag is None else [row[head.tag].strip() for row in rows]
        columns.append((tags, [row[place] for row in rows]))
    qualities = None if head.quality is None else [row[head.quality].strip() for row in rows]
    return Piece(lines, times, columns, qualities, wrong)


def _parquet(path: Path, map: ImportMap, zone: datetime.tzinfo, advance: Advance) -> Iterator[Piece]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingLibrary("parquet needs pyarrow: pip install 'tieline[analytics]'") from None
    try:
        file = parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise Unreadable(f"{path} is no Parquet file: {error}") from error
    with file:
        head = _head(file.schema_arrow.names, map, str(path))
        rows = max(file.metadata.num_rows, 1)
        share = path.stat().st_size / rows
        first = 1
        try:
            for batch in file.iter_batches(PIECE_LINES):
                yield _piece_of_batch(batch, first, head, map, zone)
                first += batch.num_rows
                advance(round(batch.num_rows * share))
        except (pyarrow.ArrowException, OSError) as error:
            raise Unreadable(f"{path}, from row {first} on: {error}") from error


def _piece_of_batch(batch: Any, first: int, head: _Head, map: ImportMap, zone: datetime.tzinfo) -> Piece:
    import pyarrow

    column = batch.column(head.time)
    wrong: Wrong = [
        (place, "has no time") for place, there in enumerate(column.is_valid().to_pylist()) if not there
    ]
    if pyarrow.types.is_timestamp(column.type):
        times = column.cast(pyarrow.timestamp("ns", column.type.tz)).cast("int64").fill_null(0).to_numpy()
        if column.type.tz is None:
            times, some = to_utc(times, zone)
            wrong += some
    else:
        times, some = parse_moments([str(text) for text in column.to_pylist()], zone, map.unit_ns)
        wrong += some
    columns: list[tuple[str | Sequence[str], Sequence[Any]]] = []
    for place, name in head.values.items():
        tags = name if head.tag is None else [str(tag) for tag in batch.column(head.tag).to_pylist()]
        values = batch.column(place).to_pylist()
        if head.text is not None:
            texts = batch.column(head.text).to_pylist()
            values = [text if value is None else value for value, text in zip(values, texts, strict=True)]
        columns.append((tags, values))
    qualities = None if head.quality is None else batch.column(head.quality).to_pylist()
    return Piece(range(first, first + batch.num_rows), times, columns, qualities, wrong)
