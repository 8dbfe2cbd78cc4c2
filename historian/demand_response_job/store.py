"""Events that were given, who left them and when, and which were cancelled, in one SQLite file.

Nothing is ever deleted: a reduction is verified by what was asked when. No pandas: the part and dispatch read it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from gateway.config.demand_response import DemandProgramme
from historian.store.database import open_checked, open_made

S_NS: Final = 10**9
_SCHEMA: Final = """
CREATE TABLE events(name TEXT PRIMARY KEY, programme TEXT NOT NULL, start INTEGER NOT NULL, until INTEGER NOT NULL,
    level INTEGER NOT NULL, announced INTEGER NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL,
    cancelled INTEGER, cancelled_by TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE opt_outs(event TEXT NOT NULL, participant TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,
    PRIMARY KEY(event, participant)) WITHOUT ROWID;
"""


class Refused(ValueError):  # noqa: N818 - reads as the claim it makes
    """What is asked about an event cannot be; says why."""


@dataclass(frozen=True, slots=True)
class Left:
    """A participant that opted out, from when on, and who said so."""

    participant: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Call:
    """One event as it was given. Times are UTC ns."""

    name: str
    programme: str
    start: int
    until: int
    level: int
    announced: int
    by: str
    note: str = ""
    cancelled: int | None = None
    cancelled_by: str = ""
    left: tuple[Left, ...] = ()

    @property
    def end(self) -> int:
        """When it ended or will: earlier where it was cancelled."""
        return self.until if self.cancelled is None else max(min(self.until, self.cancelled), self.start)

    @property
    def is_void(self) -> bool:
        """Cancelled before it began."""
        return self.end <= self.start

    def runs_at(self, now: int) -> bool:
        return self.start <= now < self.end

    def takes_part(self, participant: str, now: int) -> bool:
        return not any(each.participant == participant and each.at <= now for each in self.left)


class Calls:
    """Durable when a call returns. Raises sqlite3.Error, UnknownFormat, OSError."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def to_write(cls, path: Path) -> Self:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(open_made(path, _SCHEMA))

    @classmethod
    def to_read(cls, path: Path) -> Self:
        """Raises FileNotFoundError too, where no event was ever given."""
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

    def all(self) -> list[Call]:
        """By their beginnings."""
        left: dict[str, list[Left]] = {}
        for event, *rest in self._database.execute(
            "SELECT event, participant, at, by FROM opt_outs ORDER BY at"
        ):
            left.setdefault(event, []).append(Left(*rest))
        rows = self._database.execute(
            "SELECT name, programme, start, until, level, announced, by, note, cancelled, cancelled_by"
            " FROM events ORDER BY start, name"
        )
        return [replace(Call(*row), left=tuple(left.get(row[0], ()))) for row in rows]

    def one(self, name: str) -> Call:
        """Raises Refused."""
        found = next((call for call in self.all() if call.name == name), None)
        if found is None:
            raise Refused(f"there is no event {name!r}: see `tieline demand-response event list`")
        return found

    def add(self, call: Call, programme: DemandProgramme) -> None:
        """Raises Refused where the programme does not allow it."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            check_call(call, programme, self.all())
            self._database.execute(
                "INSERT INTO events(name, programme, start, until, level, announced, by, note)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(call.name, call.programme, call.start, call.until),
                    *(call.level, call.announced, call.by, call.note),
                ),
            )
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite ends it by itself where the disk is full
                self._database.execute("ROLLBACK")
            raise

    def cancel(self, name: str, by: str, now: int) -> Call:
        """From now on it is over. Raises Refused."""
        call = self.one(name)
        if call.cancelled is not None:
            raise Refused(f"event {name} was cancelled already, by {call.cancelled_by}")
        if call.until <= now:
            raise Refused(f"event {name} is over")
        self._database.execute(
            "UPDATE events SET cancelled = ?, cancelled_by = ? WHERE name = ? AND cancelled IS NULL",
            (now, by, name),
        )
        return self.one(name)

    def opt_out(self, name: str, programme: DemandProgramme, participant: str, by: str, at: int) -> Call:
        """From ``at`` on it is not asked for. Raises Refused."""
        call = self.one(name)
        if participant not in programme.participants:
            known = ", ".join(programme.participants)
            raise Refused(
                f"{participant!r} is not in the programme {programme.name}: its participants are {known}"
            )
        if at >= call.end:
            raise Refused(f"event {name} is over")
        if any(each.participant == participant for each in call.left):
            raise Refused(f"{participant} has left {name} already")
        self._database.execute("INSERT INTO opt_outs VALUES (?, ?, ?, ?)", (name, participant, at, by))
        return self.one(name)


def check_call(call: Call, programme: DemandProgramme, known: Sequence[Call]) -> None:
    """Raises Refused with what is not allowed, and what is."""
    if any(other.name == call.name for other in known):
        raise Refused(f"there is an event {call.name!r} already: give it another name")
    if call.until <= call.start:
        raise Refused(f"event {call.name} has no duration")
    if call.start < call.announced:
        raise Refused(f"event {call.name} begins in the past: nobody can answer it")
    length_h = (call.until - call.start) / 3_600 / S_NS
    if length_h > programme.longest_h:
        raise Refused(f"{length_h:g} h are longer than the {programme.longest_h:g} h of {programme.name}")
    notice_min = (call.start - call.announced) / 60 / S_NS
    if notice_min < programme.notice_min:
        raise Refused(
            f"{notice_min:.0f} min of notice are less than the {programme.notice_min:g} min of {programme.name}"
        )
    own = [other for other in known if other.programme == programme.name and not other.is_void]
    met = next((other for other in own if other.start < call.until and call.start < other.end), None)
    if met is not None:
        raise Refused(f"event {call.name} meets {met.name} of the same programme")
    if programme.most_a_month is not None:
        month = _month(call.start)
        count = sum(_month(other.start) == month for other in own)
        if count >= programme.most_a_month:
            raise Refused(
                f"{programme.name} has {count} events in {month} (UTC): it allows {programme.most_a_month}"
            )


def _month(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m}"
