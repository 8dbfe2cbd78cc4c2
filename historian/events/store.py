"""The file of event frames (docs/formats/events.md), for the one process that writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from gateway.config.events import Event
from historian.events.frame import SummaryValue
from historian.events.track import Followed, Track
from historian.query.average import UNCERTAIN_DATA_SUB_NORMAL
from historian.store.database import open_made

_SCHEMA = """
CREATE TABLE frames(id INTEGER PRIMARY KEY, event TEXT NOT NULL, device TEXT NOT NULL, start INTEGER NOT NULL,
    start_from INTEGER, end INTEGER, end_from INTEGER, status INTEGER NOT NULL, severity INTEGER NOT NULL,
    description TEXT NOT NULL, is_summarised INTEGER NOT NULL DEFAULT 0, UNIQUE(event, device, start));
CREATE INDEX frames_by_time ON frames(start);
CREATE INDEX frames_to_summarise ON frames(event, device) WHERE end IS NOT NULL AND NOT is_summarised;
CREATE TABLE summaries(frame INTEGER NOT NULL, tag TEXT NOT NULL, summary TEXT NOT NULL, value REAL,
    status INTEGER NOT NULL, PRIMARY KEY(frame, tag, summary)) WITHOUT ROWID;
CREATE TABLE tracks(event TEXT NOT NULL, device TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY(event, device))
    WITHOUT ROWID;
"""
_KEEP_FRAME = """
INSERT INTO frames(event, device, start, start_from, end, end_from, status, severity, description)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET end = excluded.end, end_from = excluded.end_from, status = excluded.status
"""


def events_path(directory: Path) -> Path:
    """In a history folder."""
    return directory / "events.sqlite"


class EventStore:
    """Everything that is written is durable when a call returns. Raises sqlite3.Error, UnknownFormat."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = events_path(directory)
        self._database = open_made(path, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    def track(self, event: Event) -> Track:
        """How far this event was followed."""
        row = self._database.execute(
            "SELECT state FROM tracks WHERE event = ? AND device = ?", (event.name, event.device)
        ).fetchone()
        return Track() if row is None else Track(**json.loads(row[0]))

    def keep(self, event: Event, followed: Followed) -> None:
        """The frames that were found and how far it was followed, all or nothing."""
        with self._transaction():
            for start in followed.dropped:
                self._database.execute(
                    "DELETE FROM frames WHERE event = ? AND device = ? AND start = ?",
                    (event.name, event.device, start),
                )
            for frame in (*followed.ended, *((followed.open,) if followed.open else ())):
                values = (frame.event, frame.device, frame.start, frame.start_from, frame.end, frame.end_from)
                self._database.execute(
                    _KEEP_FRAME, (*values, frame.status, frame.severity, frame.description)
                )
            self._database.execute(
                "INSERT OR REPLACE INTO tracks VALUES (?, ?, ?)",
                (event.name, event.device, json.dumps(asdict(followed.track))),
            )

    def to_summarise(self) -> list[tuple[int, str, str, int, int]]:
        """Frames that ended and have no summaries yet: id, event, device, start, end."""
        return self._database.execute(
            "SELECT id, event, device, start, end FROM frames WHERE end IS NOT NULL AND NOT is_summarised"
        ).fetchall()

    def summarise(self, frame: int, summaries: Sequence[SummaryValue]) -> None:
        """Put a frame's summaries beside it, once."""
        with self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?)",
                [(frame, each.tag, each.summary, each.value, each.status) for each in summaries],
            )
            self._database.execute("UPDATE frames SET is_summarised = 1 WHERE id = ?", (frame,))

    def end_without_event(self, events: Sequence[Event], at: int) -> None:
        """End frames of events that the site has no more, at some time until ``at``."""
        known = {(event.name, event.device) for event in events}
        rows = self._database.execute("SELECT event, device, start FROM frames WHERE end IS NULL").fetchall()
        gone = [(name, device, start) for name, device, start in rows if (name, device) not in known]
        with self._transaction():
            for name, device, start in gone:
                self._database.execute(
                    "UPDATE frames SET end = max(?, start), end_from = start, status = ?, is_summarised = 1"
                    " WHERE event = ? AND device = ? AND start = ?",
                    (at, UNCERTAIN_DATA_SUB_NORMAL, name, device, start),
                )
                self._database.execute("DELETE FROM tracks WHERE event = ? AND device = ?", (name, device))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite ends it by itself where the disk is full
                self._database.execute("ROLLBACK")
            raise
