"""The past that plans are tried on: means of steps by asset, from stored history or from a CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import ROLES, DispatchSettings
from historian.dispatch_job.foresight import Floats, Means

TIME = "time"
MOST_ROWS = 200_000  # two years of 5 minutes; a longer file is one of another kind


class BadTable(ValueError):  # noqa: N818 - reads as the claim it makes
    """A CSV that cannot be used; says where, what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV by columns: ``time`` (ISO 8601, evenly spaced), and tags' names or ``<asset>.<role>``."""

    start: datetime
    step: timedelta
    columns: Mapping[str, Floats]

    @property
    def end(self) -> datetime:
        return self.start + self.step * len(next(iter(self.columns.values())))

    def means(self, tags: Sequence[str], start: datetime, step: timedelta, count: int) -> dict[str, Floats]:
        """Averages of the rows that begin in each step; NaN where there are none."""
        first = np.array([(start + k * step - self.start) / self.step for k in range(count + 1)])
        edges = np.ceil(first - 1e-9).astype(int)
        return {tag: _averages(self.columns.get(tag), edges) for tag in tags}


def _averages(column: Floats | None, edges: NDArray[np.int64]) -> Floats:
    found = np.full(len(edges) - 1, np.nan)
    if column is None:
        return found
    for k in range(len(found)):
        rows = column[max(int(edges[k]), 0) : max(int(edges[k + 1]), 0)]
        rows = rows[~np.isnan(rows)]
        if len(rows):
            found[k] = float(rows.mean())
    return found


def read_table(path: Path, settings: DispatchSettings, names: Mapping[int, str], zone: tzinfo) -> Table:
    """Columns are named as tags are, or ``<asset>.<role>`` as in the site file. Raises BadTable, OSError."""
    by_role = {
        f"{asset.name}.{role}": names[tag]
        for asset in settings.assets
        for role in ROLES
        if (tag := getattr(asset, role, None)) is not None
    }
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        if TIME not in header:
            raise BadTable(
                f"{path}:1: no column {TIME!r}: the first line names the columns, one of them {TIME!r}"
            )
        known = {*by_role, *by_role.values()}
        unknown = [name for name in header if name != TIME and name not in known]
        if unknown:
            raise BadTable(
                f"{path}:1: unknown column {unknown[0]!r}: columns are tags of the dispatch section, "
                f"or an asset and what it is of it, such as {next(iter(by_role))!r}"
            )
        times: list[datetime] = []
        values: list[list[float]] = []
        for number, row in enumerate(rows, 2):
            if not row:
                continue
            if len(row) != len(header):
                raise BadTable(f"{path}:{number}: {len(row)} values for {len(header)} columns")
            if len(times) >= MOST_ROWS:
                raise BadTable(f"{path}: more than {MOST_ROWS:,} rows: cut it")
            times.append(_time(row[header.index(TIME)], f"{path}:{number}", zone))
            values.append(
                [
                    _number(text, f"{path}:{number}")
                    for name, text in zip(header, row, strict=True)
                    if name != TIME
                ]
            )
    if len(times) < 2:
        raise BadTable(f"{path}: {len(times)} rows: at least two are needed, evenly spaced in time")
    step = times[1] - times[0]
    for number, (before, time) in enumerate(pairwise(times), 3):
        if time - before != step or step <= timedelta(0):
            raise BadTable(
                f"{path}:{number}: {time.isoformat()} is not {step} after the row before: space rows evenly"
            )
    columns = np.array(values, dtype=np.float64).T
    named = [by_role.get(name, name) for name in header if name != TIME]
    return Table(times[0], step, dict(zip(named, columns, strict=True)))


def _time(text: str, where: str, zone: tzinfo) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadTable(f"{where}: {text!r} is no time: write ISO 8601, such as 2026-06-01T00:15Z") from None
    return (time if time.tzinfo is not None else time.replace(tzinfo=zone)).astimezone(UTC)


def _number(text: str, where: str) -> float:
    """NaN where it is empty: not known."""
    text = text.strip()
    if not text:
        return float("nan")
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        raise BadTable(
            f"{where}: {text!r} is no number: write one, or nothing where it is not known"
        ) from None


def until(means: Means, now: datetime) -> Means:
    """The same record as it was known at ``now``: nothing later is told."""

    def known(tags: Sequence[str], start: datetime, step: timedelta, count: int) -> Mapping[str, Floats]:
        told = means(tags, start, step, count)
        late = np.array([start + (k + 1) * step > now for k in range(count)])
        return {tag: np.where(late, np.nan, values) for tag, values in told.items()}

    return known
