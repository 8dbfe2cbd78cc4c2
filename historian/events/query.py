"""Event frames as readers use them; from any process, while they are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from historian.errors import HistoryError
from historian.events.frame import Frame, SummaryValue
from historian.events.store import events_path
from historian.store.database import check, connect_to_read

_COLUMNS = "id, event, device, start, end, start_from, end_from, status, severity, description"
MOST_FRAMES = 100_000  # of one answer; more belong in several questions


class Events:
    """Questions to the frames in one history folder. Blocking."""

    def __init__(self, directory: Path) -> None:
        self._path = events_path(directory)

    def frames(
        self,
        start_ns: int,
        end_ns: int,
        *,
        name: str | None = None,
        device: str | None = None,
        limit: int = MOST_FRAMES,
    ) -> list[Frame]:
        """Frames that touch [start_ns, end_ns), by their start; those that go on are among them.

        Raises HistoryError, UnknownFormat; where no frame was ever kept, there is none.
        """
        asked = "start < ? AND (end IS NULL OR end >= ?)"
        given: list[int | str] = [end_ns, start_ns]
        for column, value in (("event", name), ("device", device)):
            if value is not None:
                asked += f" AND {column} = ?"
                given.append(value)
        try:
            with connect_to_read(self._path) as database:
                check(self._path, database)
                database.execute("BEGIN")
                question = f"SELECT {_COLUMNS} FROM frames WHERE {asked} ORDER BY start, id LIMIT ?"  # noqa: S608 - ours
                rows = database.execute(question, (*given, limit)).fetchall()
                return [_frame(row, _summaries(database, row[0])) for row in rows]
        except FileNotFoundError:
            return []
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error

    def names(self) -> list[str]:
        """Of the events that have frames."""
        try:
            with connect_to_read(self._path) as database:
                check(self._path, database)
                return [
                    name for (name,) in database.execute("SELECT DISTINCT event FROM frames ORDER BY event")
                ]
        except FileNotFoundError:
            return []
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error


def _summaries(database: sqlite3.Connection, frame: int) -> tuple[SummaryValue, ...]:
    rows = database.execute(
        "SELECT tag, summary, value, status FROM summaries WHERE frame = ? ORDER BY tag, summary", (frame,)
    )
    return tuple(SummaryValue(*row) for row in rows)


def _frame(row: Sequence[int | str | None], summaries: tuple[SummaryValue, ...]) -> Frame:
    id, event, device, start, end, start_from, end_from, status, severity, description = row
    assert isinstance(id, int), row
    assert isinstance(event, str), row
    assert isinstance(device, str), row
    assert isinstance(start, int), row
    assert isinstance(status, int), row
    assert isinstance(severity, int), row
    return Frame(
        event,
        device,
        start,
        _time(end),
        _time(start_from),
        _time(end_from),
        status,
        severity,
        str(description),
        summaries,
        id,
    )


def _time(value: int | str | None) -> int | None:
    return None if value is None else int(value)
