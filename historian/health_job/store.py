"""What is known of assets day by day, and maintenance with who did what about it, in one SQLite file.

Days outlive the history that they were made of: an end of life is told by years of them. The part writes days and
items; people acknowledge and close items beside it, each in a transaction of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from historian.health.maintenance import Evidence, Item, Urgency
from historian.store.database import open_checked, open_made

_SCHEMA: Final = """
CREATE TABLE days(asset TEXT NOT NULL, day INTEGER NOT NULL, quantity TEXT NOT NULL, value REAL NOT NULL,
    weight REAL NOT NULL, PRIMARY KEY(asset, day, quantity)) WITHOUT ROWID;
CREATE TABLE looked(asset TEXT NOT NULL, day INTEGER NOT NULL, until INTEGER NOT NULL, whys TEXT NOT NULL,
    PRIMARY KEY(asset, day)) WITHOUT ROWID;
CREATE TABLE curves(asset TEXT PRIMARY KEY, curve TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items(id INTEGER PRIMARY KEY, asset TEXT NOT NULL, work TEXT NOT NULL, opened INTEGER NOT NULL,
    urgency TEXT NOT NULL, due INTEGER, earliest INTEGER, latest INTEGER, evidence TEXT NOT NULL,
    acknowledged INTEGER, acknowledged_by TEXT, acknowledged_urgency TEXT, note TEXT NOT NULL DEFAULT '',
    closed INTEGER, closed_by TEXT, closing TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX open_items ON items(asset, work) WHERE closed IS NULL;
CREATE TABLE done(asset TEXT NOT NULL, work TEXT NOT NULL, at INTEGER NOT NULL, run_hours REAL, starts INTEGER,
    by TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY(asset, work, at)) WITHOUT ROWID;
"""
_RANK: Final = {Urgency.PLANNED: 1, Urgency.SOON: 2, Urgency.OVERDUE: 3}
PASSED: Final = "its reason has passed"
GONE: Final = "the site has no such asset any more"


class NoItem(LookupError):  # noqa: N818 - reads as the claim it makes
    """There is no such item, or it is closed; says which."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one day; ``weight`` is how many pieces it is made of."""

    value: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Day:
    """What one day of an asset gave, and of what it did not: why. ``until``: it was looked at as far as there."""

    start: int
    until: int
    estimates: Mapping[str, Estimate]
    whys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """Work that was done; counters of that moment, where there are any."""

    work: str
    at: int
    run_hours: float | None
    starts: int | None
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class KeptItem:
    """An item, and what people said of it."""

    id: int
    item: Item
    opened: int
    acknowledged: int | None
    acknowledged_by: str
    acknowledged_urgency: Urgency | None
    note: str
    closed: int | None
    closed_by: str
    closing: str

    @property
    def is_unseen(self) -> bool:
        """Open, due soon or overdue, and not acknowledged, or worse than it was when it was."""
        if self.closed is not None or self.item.urgency is Urgency.PLANNED:
            return False
        seen = self.acknowledged_urgency
        return seen is None or _RANK[self.item.urgency] > _RANK[seen]

    @property
    def rank(self) -> int:
        return 0 if self.closed is not None else _RANK[self.item.urgency]


class HealthStore:
    """Durable when a call returns. Raises sqlite3.Error, UnknownFormat, OSError."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def to_write(cls, path: Path) -> Self:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(open_made(path, _SCHEMA))

    @classmethod
    def to_read(cls, path: Path) -> Self:
        """Raises FileNotFoundError too, where nothing was ever kept."""
        return cls(open_checked(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    @property
    def version(self) -> int:
        """Another one after somebody else has written."""
        found: int = self._database.execute("PRAGMA data_version").fetchone()[0]
        return found

    def days(self, asset: str) -> list[Day]:
        """All, in order."""
        estimates: dict[int, dict[str, Estimate]] = {}
        rows = self._database.execute(
            "SELECT day, quantity, value, weight FROM days WHERE asset = ? ORDER BY day", (asset,)
        )
        for day, quantity, value, weight in rows:
            estimates.setdefault(day, {})[quantity] = Estimate(value, weight)
        looked = self._database.execute(
            "SELECT day, until, whys FROM looked WHERE asset = ? ORDER BY day", (asset,)
        )
        return [Day(day, until, estimates.get(day, {}), json.loads(whys)) for day, until, whys in looked]

    def looked(self, asset: str) -> dict[int, int]:
        """How far each day was looked at."""
        rows = self._database.execute("SELECT day, until FROM looked WHERE asset = ?", (asset,))
        return dict(rows.fetchall())

    def keep_day(self, asset: str, day: Day) -> None:
        """What was known of it before is replaced."""
        with self._transaction():
            self._database.execute("DELETE FROM days WHERE asset = ? AND day = ?", (asset, day.start))
            self._database.executemany(
                "INSERT INTO days VALUES (?, ?, ?, ?, ?)",
                [(asset, day.start, name, each.value, each.weight) for name, each in day.estimates.items()],
            )
            self._database.execute(
                "INSERT OR REPLACE INTO looked VALUES (?, ?, ?, ?)",
                (asset, day.start, day.until, json.dumps(dict(day.whys))),
            )

    def curve(self, asset: str) -> dict[str, Any] | None:
        row = self._database.execute("SELECT curve FROM curves WHERE asset = ?", (asset,)).fetchone()
        found: dict[str, Any] | None = None if row is None else json.loads(row[0])
        return found

    def keep_curve(self, asset: str, curve: Mapping[str, Any]) -> None:
        with self._transaction():
            self._database.execute("INSERT OR REPLACE INTO curves VALUES (?, ?)", (asset, json.dumps(curve)))

    def items(self, *, closed: bool = False) -> list[KeptItem]:
        """Open ones, the most urgent first; with ``closed`` those too."""
        where = "" if closed else "WHERE closed IS NULL"
        rows = self._database.execute(f"SELECT * FROM items {where} ORDER BY id").fetchall()  # noqa: S608 - our own
        return sorted((_kept(row) for row in rows), key=lambda kept: (-kept.rank, kept.id))

    def put_items(self, asset: str, items: Sequence[Item], now: int) -> None:
        """What is found now: new ones are opened, known ones take their numbers, others have passed."""
        with self._transaction():
            known = {
                work: id
                for id, work in self._database.execute(
                    "SELECT id, work FROM items WHERE asset = ? AND closed IS NULL", (asset,)
                )
            }
            for item in items:
                found = (
                    *(item.urgency.value, _ns(item.due), _ns(item.earliest), _ns(item.latest)),
                    json.dumps([asdict(each) for each in item.evidence]),
                )
                id = known.pop(item.work, None)
                if id is None:
                    self._database.execute(
                        "INSERT INTO items(asset, work, opened, urgency, due, earliest, latest, evidence)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (asset, item.work, now, *found),
                    )
                else:
                    self._database.execute(
                        "UPDATE items SET urgency = ?, due = ?, earliest = ?, latest = ?, evidence = ?"
                        " WHERE id = ?",
                        (*found, id),
                    )
            for id in known.values():
                self._database.execute(
                    "UPDATE items SET closed = ?, closed_by = '', closing = ? WHERE id = ?", (now, PASSED, id)
                )

    def forget_items(self, assets: Iterable[str], now: int) -> None:
        """Items of all other assets are closed: the site has them no longer."""
        known = set(assets)
        for kept in self.items():
            if kept.item.asset not in known:
                self._database.execute(
                    "UPDATE items SET closed = ?, closed_by = '', closing = ? WHERE id = ? AND closed IS NULL",
                    (now, GONE, kept.id),
                )

    def acknowledge(self, id: int, by: str, note: str, now: int) -> KeptItem:
        """Somebody has seen it. Raises NoItem."""
        with self._transaction():
            kept = self._open(id)
            self._database.execute(
                "UPDATE items SET acknowledged = ?, acknowledged_by = ?, acknowledged_urgency = ?, note = ?"
                " WHERE id = ?",
                (now, by, kept.item.urgency.value, note or kept.note, id),
            )
            return self._open(id)

    def finish(
        self, id: int, by: str, note: str, now: int, run_hours: float | None, starts: int | None
    ) -> KeptItem:
        """The work is done: it counts from here on. Raises NoItem."""
        with self._transaction():
            kept = self._open(id)
            self._database.execute(
                "UPDATE items SET closed = ?, closed_by = ?, closing = ? WHERE id = ?",
                (now, by, note or "done", id),
            )
            self._database.execute(
                "INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?, ?, ?)",
                (kept.item.asset, kept.item.work, now, run_hours, starts, by, note),
            )
            return kept

    def done(self, asset: str) -> dict[str, Done]:
        """The latest of each work."""
        rows = self._database.execute(
            "SELECT work, at, run_hours, starts, by, note FROM done WHERE asset = ? ORDER BY at", (asset,)
        )
        return {row[0]: Done(*row) for row in rows}

    def _open(self, id: int) -> KeptItem:
        row = self._database.execute("SELECT * FROM items WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NoItem(f"there is no item {id}: see `tieline health show`")
        kept = _kept(row)
        if kept.closed is not None:
            raise NoItem(f"item {id} is closed: {kept.closing}")
        return kept

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)


class _Transaction:
    """All of it or nothing. The writer's lock is taken at once, so that what is read in it is still so."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:  # SQLite ends it by itself where the disk is full
            self._database.execute("ROLLBACK")


def _kept(row: Sequence[Any]) -> KeptItem:
    id, asset, work, opened, urgency, due, earliest, latest, evidence, acknowledged, by, seen, note, *end = (
        row
    )
    item = Item(
        asset,
        work,
        Urgency(urgency),
        _time(due),
        _time(earliest),
        _time(latest),
        tuple(Evidence(**each) for each in json.loads(evidence)),
    )
    closed, closed_by, closing = end
    return KeptItem(
        id,
        item,
        opened,
        acknowledged,
        by or "",
        None if seen is None else Urgency(seen),
        note,
        closed,
        closed_by or "",
        closing,
    )


def _ns(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp()) * 10**9


def _time(time_ns: int | None) -> datetime | None:
    return None if time_ns is None else datetime.fromtimestamp(time_ns / 1e9, UTC)
