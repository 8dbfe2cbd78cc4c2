"""The journal read from a place on: nothing twice, nothing left out, whatever became of its segments."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from historian_folder import NOON, Folder
from hypothesis import given, settings
from hypothesis import strategies as st

from historian.forward.journal_feed import JournalFeed, Missing, Piece, cut
from historian.forward.spool import Spool
from historian.forward.state import BEGINNING, Cursor
from historian.store.durable import truncate
from historian.store.layout import segments
from historian.store.rows import Rows, join


@pytest.fixture
def spool(folder: Folder) -> Spool:
    return Spool(folder.directory, folder.directory / "forward")


def values(feed: JournalFeed, most: int = 3) -> list[int]:
    """All that is there, in pieces of ``most``."""
    found: list[int] = []
    while (piece := feed.next(most)) is not None:
        assert isinstance(piece, Piece), piece
        assert len(piece.rows) <= most
        assert piece.after == feed.cursor
        found += piece.rows.values.tolist()
    return found


def count(folder: Folder, start: int, end: int) -> None:
    folder.write("a.count", range(NOON + start, NOON + end), range(start, end))


def test_rows_come_in_order_and_go_on_at_any_place(folder: Folder, spool: Spool) -> None:
    places: list[Cursor] = []
    for n in range(0, 40, 10):
        count(folder, n, n + 10)
        if n == 10:
            folder.recorder.rotate()
    feed = JournalFeed(spool, BEGINNING)
    got: list[int] = []
    while isinstance(piece := feed.next(7), Piece):
        got += piece.rows.values.tolist()
        places.append(piece.after)
        assert got + values(JournalFeed(spool, piece.after)) == list(range(40))
    assert got == list(range(40))
    assert places == sorted(places)
    count(folder, 40, 45)
    assert values(feed) == [40, 41, 42, 43, 44], "what is written meanwhile follows"


def test_segments_are_kept_until_they_are_let_go_of(folder: Folder, spool: Spool) -> None:
    count(folder, 0, 5)
    spool.refresh()
    folder.pack()
    count(folder, 5, 9)
    assert not (set(segments(folder.directory)) & {1}), "the packer deleted it"
    feed = JournalFeed(spool, BEGINNING)
    assert values(feed) == list(range(9))
    assert spool.trim(feed.cursor.segment, 0) == []
    assert min(spool.segments()) == feed.cursor.segment


def test_after_a_power_cut_frames_of_the_same_number_are_read(folder: Folder, spool: Spool) -> None:
    count(folder, 0, 5)
    [path] = segments(folder.directory).values()
    durable = path.stat().st_size
    count(folder, 5, 8)
    feed = JournalFeed(spool, BEGINNING)
    assert values(feed) == list(range(8))
    before = feed.cursor
    folder.recorder.close()
    truncate(path, durable)  # the last frame was seen, and sent, but was not durable
    folder.reopen()
    count(folder, 8, 10)
    found = feed.next(100)
    assert isinstance(found, Piece)
    assert found.rows.values.tolist() == [8, 9]
    assert found.after.sequence <= before.sequence + 1
    assert values(JournalFeed(spool, before)) == [8, 9]


def test_what_is_gone_is_told_behind_what_is_not(folder: Folder, spool: Spool) -> None:
    count(folder, 0, 5)
    spool.refresh()
    feed = JournalFeed(spool, BEGINNING)
    folder.pack()
    count(folder, 5, 8)
    folder.pack()  # nobody kept this one
    count(folder, 8, 10)
    first = feed.next(100)
    assert isinstance(first, Piece)
    assert first.rows.values.tolist() == list(range(5))
    for each in (feed, JournalFeed(spool, first.after)):
        missing = each.next(100)
        assert isinstance(missing, Missing)
        assert missing.segment == 1
        assert values(each) == [8, 9]
        assert values(JournalFeed(spool, missing.go_on)) == [8, 9]


def test_another_journal_in_its_place_is_read_from_its_beginning(folder: Folder, spool: Spool) -> None:
    count(folder, 0, 5)
    assert values(JournalFeed(spool, Cursor(99, 1000, 3))) == list(range(5))


def test_a_damaged_segment_is_passed_over_and_told(folder: Folder, spool: Spool) -> None:
    count(folder, 0, 5)
    feed = JournalFeed(spool, BEGINNING)
    assert values(feed) == list(range(5))
    folder.recorder.rotate()
    count(folder, 5, 8)
    folder.recorder.rotate()
    damaged: Path = segments(folder.directory)[2]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    count(folder, 8, 10)
    assert isinstance(feed.next(100), Missing)
    assert values(feed) == [8, 9]


@settings(max_examples=40)
@given(st.data())
def test_rows_cut_and_joined_are_the_same(data: Any) -> None:
    n = data.draw(st.integers(0, 20))
    text_rows = sorted(data.draw(st.sets(st.integers(0, n - 1))) if n else ())
    at = np.arange(n)
    rows = Rows(
        at.astype(np.uint32),
        at.astype(np.uint32),
        at.astype(np.int64),
        at.astype(np.uint64),
        np.array(text_rows, np.uint32),
        tuple(f"t{row}" for row in text_rows),
    )
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, n), max_size=4))), n]
    whole = join([cut(rows, low, high) for low, high in pairwise(cuts)])
    assert whole.tags.tolist() == rows.tags.tolist()
    assert (whole.text_rows.tolist(), whole.texts) == (rows.text_rows.tolist(), rows.texts)
