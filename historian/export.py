"""Answers of history as text or as a file others read: table, CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.tags import quality
from gateway.tags.aggregate import InfoBits
from gateway.tags.history import Series
from gateway.tags.tag import ValueType
from historian.query.average import BAD_NO_DATA, UNCERTAIN_DATA_SUB_NORMAL, Averages
from historian.store.catalogue import Entry
from historian.times import iso

_CALCULATED = {
    BAD_NO_DATA: "Bad_NoData",
    UNCERTAIN_DATA_SUB_NORMAL: "Uncertain_DataSubNormal",
}
_DATA_VALUE = 0x0400  # the bits below tell of a value (OPC 10000-4, 7.39.1)
_BITS = {
    int(bits) & ~_DATA_VALUE: name.title().replace("_", "")
    for name, bits in InfoBits.__members__.items()
    if bits != InfoBits.RAW
}


class MissingLibrary(Exception):  # noqa: N818 - it is what it says
    """A format needs a library of the ``analytics`` profile."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows to write: a column of times, named columns of the same length, and StatusCodes.

    A masked cell is empty. Columns in ``finer`` are told with one decimal more than the tag has.
    """

    entry: Entry
    times: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    statuses: NDArray[np.uint32]
    finer: frozenset[str] = frozenset({"average"})


def answer_of_series(entry: Entry, series: Series) -> Answer:
    return Answer(entry, series.source_times, {"value": series.values}, series.statuses)


def answer_of_averages(entry: Entry, averages: Averages) -> Answer:
    columns = {"average": averages.values, "percent_good": averages.percent_good}
    return Answer(entry, averages.starts, columns, averages.statuses)


def as_table(answer: Answer, zone: tzinfo = UTC) -> str:
    """Aligned columns under a head that names the tag and its unit; times as clocks show them in ``zone``."""
    entry = answer.entry
    head = ["time", *answer.columns, "quality"]
    rows = [
        ["" if cell is None else str(cell) for cell in row] for row in _rows(answer, entry.decimals, zone)
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    is_text = entry.type is ValueType.STRING
    out = [f"{entry.path}" + (f" ({entry.unit})" if entry.unit else "")]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if place in (0, len(head) - 1) or is_text else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out) + "\n"


def as_csv(answer: Answer) -> str:
    """RFC 4180 with a head line; numbers in full."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["time", *answer.columns, "quality", "status"])
    for row, status in zip(_rows(answer, None), answer.statuses.tolist(), strict=True):
        writer.writerow([*row, status])
    return text.getvalue()


def as_json(answer: Answer) -> str:
    """One object; a value that JSON cannot write (NaN, infinity) is null, as its quality says."""
    entry = answer.entry
    names = ["time", *answer.columns]
    values = [iso(answer.times), *(column.tolist() for column in answer.columns.values())]
    samples = [
        dict(zip(names, row, strict=True)) | {"quality": quality_name(status), "status": status}
        for row, status in zip(zip(*values, strict=True), answer.statuses.tolist(), strict=True)
    ]
    found = {"tag": entry.path, "type": entry.type.name.lower(), "unit": entry.unit, "samples": samples}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n"


def as_parquet(answer: Answer) -> bytes:
    """Columns time (timestamp of ns, UTC), the values, status. Raises MissingLibrary."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise MissingLibrary("parquet needs pyarrow: pip install 'tieline[analytics]'") from None
    entry = answer.entry
    columns = {
        "time": arrow.array(answer.times, arrow.timestamp("ns", tz="UTC")),
        **{
            name: arrow.array(column.tolist(), _arrow_type(arrow, column))
            for name, column in answer.columns.items()
        },
        "status": arrow.array(answer.statuses, arrow.uint32()),
    }
    metadata = {"tag": entry.path, "unit": entry.unit or ""}
    file = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata(metadata), file, compression="zstd")
    return file.getvalue()


def quality_name(status: int) -> str:
    """The standard's name of a StatusCode, and what its bits tell of where the value comes from."""
    name = _CALCULATED.get(status & 0xFFFF_0000) or quality.name_of(status)
    if status & _DATA_VALUE != _DATA_VALUE:
        return name
    return ", ".join([name, *(text for bit, text in _BITS.items() if status & bit)])


def _rows(answer: Answer, decimals: int | None, zone: tzinfo = UTC) -> list[list[Any]]:
    """Cells of every row; doubles in full, or where ``decimals`` is given with so many, averages with one more."""
    columns: list[list[Any]] = [iso(answer.times, zone)]
    for name, column in answer.columns.items():
        cells = column.tolist()
        if name == "percent_good":
            cells = [f"{cell:.1f}" for cell in cells]
        elif column.dtype == np.float64 and decimals is not None:
            digits = decimals + (name in answer.finer)
            cells = [None if cell is None else f"{cell:.{digits}f}" for cell in cells]
        columns.append(cells)
    columns.append([quality_name(status) for status in answer.statuses.tolist()])
    return [list(row) for row in zip(*columns, strict=True)]


def _arrow_type(arrow: Any, column: NDArray[Any]) -> Any:
    return arrow.string() if column.dtype == object else arrow.from_numpy_dtype(column.dtype)
