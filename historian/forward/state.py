"""How far a target has got: kept in a file of its own, so that neither a restart nor a kill loses the place.

What the target has acknowledged may be sent again after a kill, never left out: the file is written after the
target has taken the samples, and the same samples again change nothing there.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from historian.store.durable import sync_directory, write_all

VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """The next row to send: rows before ``row`` of frame ``sequence``, and all frames before it, are sent.

    Segment numbers are never used twice, sequences are: after a power cut the frames that were not durable are
    written anew, with the same numbers, in another segment.
    """

    segment: int = 0
    sequence: int = 0
    row: int = 0


BEGINNING = Cursor()


@dataclass(frozen=True, slots=True)
class Range:
    """History with start_ns <= time < end_ns, to be sent (again) from what is stored; it is, before ``at_ns``."""

    start_ns: int
    end_ns: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class State:
    """What is sent, and what else is to be. ``set_aside`` counts points that the target refused."""

    cursor: Cursor = BEGINNING
    ranges: tuple[Range, ...] = ()
    set_aside: int = 0


class StateError(Exception):
    """A file that says nothing: damaged, or of another version."""


def load(path: Path) -> State:
    """What was saved; the beginning where nothing was. Raises OSError, StateError."""
    try:
        content: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return State()
    except orjson.JSONDecodeError as error:
        raise StateError(f"{path}: {error}") from None
    try:
        if content["version"] != VERSION:
            raise StateError(f"{path}: version {content['version']}; this program reads {VERSION}")
        return State(
            Cursor(*map(int, content["cursor"])),
            tuple(Range(*map(int, each)) for each in content["ranges"]),
            int(content["set_aside"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{path}: {error!r}") from None


def save(path: Path, state: State) -> None:
    """Durably, whole or not at all. Raises OSError."""
    parts = asdict(state)
    _replace(
        path,
        {
            "version": VERSION,
            "cursor": list(parts["cursor"].values()),
            "ranges": [list(each.values()) for each in parts["ranges"]],
            "set_aside": state.set_aside,
        },
    )


def with_ranges(state: State, more: tuple[tuple[int, int], ...]) -> State:
    """The same with stretches of time to be sent from their start; others within one of them are part of it."""
    kept = [
        old
        for old in state.ranges
        if not any(start <= old.start_ns and old.end_ns <= end for start, end in more)
    ]
    return replace(state, ranges=(*kept, *(Range(start, end, start) for start, end in more)))


def ask_again(folder: Path, name: str, start_ns: int, end_ns: int) -> None:
    """Request a stretch of history to be sent again; whoever forwards to ``name`` takes it up. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / f"{name}.{start_ns}-{end_ns}.request", [start_ns, end_ns])


def requests(folder: Path, name: str) -> dict[Path, tuple[int, int]]:
    """Requests that were left, by file. Raises OSError; one that is no request is deleted."""
    found: dict[Path, tuple[int, int]] = {}
    for path in sorted(folder.glob(f"{name}.*.request")):
        try:
            start, end = map(int, orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            continue  # taken up since it was listed
        except (orjson.JSONDecodeError, ValueError, TypeError):
            path.unlink(missing_ok=True)
            continue
        found[path] = (start, end)
    return found


def _replace(path: Path, content: object) -> None:
    draft = path.with_name(path.name + ".draft")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        write_all(file, orjson.dumps(content))
        os.fsync(file)
    finally:
        os.close(file)
    draft.replace(path)
    sync_directory(path.parent)
