"""Every forecast that was issued, by issue time, and every training, in one SQLite file (docs/formats/forecasts.md).

Writers take turns (the part issues, its training notes what came of it); readers come and go. A forecast is one row:
its quantiles of all steps as 32-bit floats: 5 KB for two days of seven quantiles, 0.6 MB a day for a target.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast_job.plan import S_NS, Track
from historian.store.database import open_checked, open_made

FOLDER: Final = "forecasts"  # in the state folder
_SCHEMA = """
CREATE TABLE issues(forecast TEXT NOT NULL, track TEXT NOT NULL, issue INTEGER NOT NULL, made INTEGER NOT NULL,
    step_s INTEGER NOT NULL, quantiles TEXT NOT NULL, rows BLOB NOT NULL, model TEXT NOT NULL,
    trained INTEGER NOT NULL, is_doubtful INTEGER NOT NULL, PRIMARY KEY(forecast, track, issue)) WITHOUT ROWID;
CREATE TABLE trainings(forecast TEXT NOT NULL, track TEXT NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL,
    model TEXT NOT NULL, scores TEXT NOT NULL, PRIMARY KEY(forecast, track, at)) WITHOUT ROWID;
"""
_COLUMNS = "forecast, track, issue, made, step_s, quantiles, rows, model, trained, is_doubtful"


class NoForecast(LookupError):  # noqa: N818 - reads as the claim it makes
    """None was issued; says of what."""


@dataclass(frozen=True, slots=True)
class Row:
    """One forecast as it was issued. ``values`` (steps, quantiles); the first step begins at ``issue``.

    ``made`` is when it was computed; ``trained`` when its model was; ``is_doubtful`` where inputs were missing.
    """

    forecast: str
    track: Track
    issue: int
    made: int
    step_s: int
    quantiles: tuple[float, ...]
    values: NDArray[np.float32]
    model: str
    trained: int
    is_doubtful: bool

    @property
    def starts(self) -> NDArray[np.int64]:
        """When each step begins."""
        return self.issue + np.arange(len(self.values), dtype=np.int64) * (self.step_s * S_NS)

    @property
    def end(self) -> int:
        return self.issue + len(self.values) * self.step_s * S_NS


@dataclass(frozen=True, slots=True)
class Training:
    """What came of one: ``scores`` by model, ``outcome`` for people."""

    forecast: str
    track: Track
    at: int
    outcome: str
    model: str
    scores: Mapping[str, Mapping[str, float]]


def store_path(folder: Path) -> Path:
    """In the folder of forecasts."""
    return folder / "issued.sqlite"


class ForecastStore:
    """For who writes. Everything is durable when a call returns. Raises sqlite3.Error, UnknownFormat, OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        path = store_path(folder)
        self._database = open_made(path, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    def keep(self, row: Row) -> None:
        """One issued at the same time is replaced."""
        self._database.execute(
            f"INSERT OR REPLACE INTO issues({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own
            (
                *(row.forecast, row.track, row.issue, row.made, row.step_s, json.dumps(row.quantiles)),
                *(np.ascontiguousarray(row.values, "<f4").tobytes(), row.model, row.trained),
                row.is_doubtful,
            ),
        )

    def keep_training(self, training: Training) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO trainings VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(training.forecast, training.track, training.at, training.outcome, training.model),
                json.dumps(training.scores),
            ),
        )

    def forget(self, forecast: str, before: int) -> None:
        """Delete what was issued before that time."""
        self._database.execute("DELETE FROM issues WHERE forecast = ? AND issue < ?", (forecast, before))

    def newest(self, forecast: str, track: Track) -> Row | None:
        return newest(self._database, forecast, track)

    def between(self, forecast: str, track: Track, start: int, end: int) -> Iterator[Row]:
        return between(self._database, forecast, track, start, end)

    def failures(self, forecast: str, since: int) -> list[str]:
        """Why trainings from then on gave no model; one line a track."""
        rows = self._database.execute(
            "SELECT track, outcome FROM trainings WHERE forecast = ? AND at >= ? AND model = ''",
            (forecast, since),
        )
        return [f"steps of {track}: {outcome}" for track, outcome in rows]

    def last_training(self, forecast: str) -> int | None:
        """When training of it was last tried."""
        row = self._database.execute(
            "SELECT max(at) FROM trainings WHERE forecast = ?", (forecast,)
        ).fetchone()
        return None if row[0] is None else int(row[0])


class Issues:
    """For who reads; another process may be writing. Raises NoForecast where there is no file yet."""

    def __init__(self, folder: Path) -> None:
        path = store_path(folder)
        try:
            self._database = open_checked(path)
        except FileNotFoundError:
            raise NoForecast(f"no forecast was issued yet: there is no {path}") from None

    def __enter__(self) -> Issues:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def names(self) -> list[str]:
        """Of what there is."""
        return [row[0] for row in self._database.execute("SELECT DISTINCT forecast FROM issues ORDER BY 1")]

    def newest(self, forecast: str, track: Track, at: int | None = None) -> Row:
        """The newest, or the newest issued by ``at``. Raises NoForecast."""
        row = newest(self._database, forecast, track, at)
        if row is None:
            known = ", ".join(self.names()) or "none yet"
            when = "" if at is None else " by then"
            raise NoForecast(
                f"no forecast {forecast!r} in steps of {track} was issued{when}; there are: {known}"
            )
        return row

    def between(self, forecast: str, track: Track, start: int, end: int) -> Iterator[Row]:
        """Those with start <= issue < end, by issue time."""
        return between(self._database, forecast, track, start, end)

    def trainings(self, forecast: str) -> list[Training]:
        """The last hundred, newest first."""
        rows = self._database.execute(
            "SELECT * FROM trainings WHERE forecast = ? ORDER BY at DESC LIMIT 100", (forecast,)
        )
        return [
            Training(name, Track(track), at, outcome, model, json.loads(scores))
            for name, track, at, outcome, model, scores in rows
        ]


def newest(database: sqlite3.Connection, forecast: str, track: Track, at: int | None = None) -> Row | None:
    """The newest issue, by ``at`` where given."""
    row = database.execute(
        f"SELECT {_COLUMNS} FROM issues WHERE forecast = ? AND track = ? AND issue <= ?"  # noqa: S608 - our own
        " ORDER BY issue DESC LIMIT 1",
        (forecast, track, 2**62 if at is None else at),
    ).fetchone()
    return None if row is None else _row(row)


def between(database: sqlite3.Connection, forecast: str, track: Track, start: int, end: int) -> Iterator[Row]:
    """Those with start <= issue < end, by issue time."""
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM issues WHERE forecast = ? AND track = ? AND issue >= ? AND issue < ?"  # noqa: S608
        " ORDER BY issue",
        (forecast, track, start, end),
    )
    return map(_row, rows)


def _row(row: tuple[Any, ...]) -> Row:
    forecast, track, issue, made, step_s, quantiles, values, model, trained, is_doubtful = row
    shares = tuple(json.loads(quantiles))
    table = np.frombuffer(values, "<f4").reshape(-1, len(shares))
    return Row(forecast, Track(track), issue, made, step_s, shares, table, model, trained, bool(is_doubtful))
