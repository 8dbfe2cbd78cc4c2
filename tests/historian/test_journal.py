"""The historian's journal comes back from a cut at any byte, and tells damage from a torn tail."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from historian.errors import UnknownFormat
from historian.store import frame as frames
from historian.store.frame import Damage, Found, GapFrame, SamplesFrame
from historian.store.journal import Journal, lost_in, read_segment
from historian.store.layout import segment_path, segments
from historian.store.rows import Rows, join

UNHURRIED = settings(deadline=None, max_examples=60)  # a loaded machine is no failure
WORD = st.integers(0, 2**64 - 1)
ROW = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
    WORD | st.text(max_size=9),
)


def rows_of(rows: list[tuple[int, int, int, int | str]]) -> Rows:
    places = [i for i, row in enumerate(rows) if isinstance(row[3], str)]
    return Rows(
        np.array([row[0] for row in rows], np.uint32),
        np.array([row[1] for row in rows], np.uint32),
        np.array([row[2] for row in rows], np.int64),
        np.array([0 if isinstance(row[3], str) else row[3] for row in rows], np.uint64),
        np.array(places, np.uint32),
        tuple(str(rows[i][3]) for i in places),
    )


def listed(rows: Rows) -> list[tuple[int, int, int, int | str]]:
    texts = dict(zip(rows.text_rows.tolist(), rows.texts, strict=True))
    return [
        (tag, status, time, texts.get(i, value))
        for i, (tag, status, time, value) in enumerate(
            zip(
                rows.tags.tolist(),
                rows.statuses.tolist(),
                rows.times.tolist(),
                rows.values.tolist(),
                strict=True,
            )
        )
    ]


def samples(start: int, count: int, instance: int = 7) -> SamplesFrame:
    rows = rows_of([(1, 0, n, n) for n in range(start, start + count)])
    return SamplesFrame(instance, start, {"drivers": (start, start + count)}, rows)


def ticks(path: Path) -> list[int]:
    found = [item.frame for item in read_segment(path).frames]
    return [time for frame in found if isinstance(frame, SamplesFrame) for time in frame.rows.times.tolist()]


def written(directory: Path, *batches: list[frames.Frame]) -> Path:
    journal = Journal(directory)
    journal.recover(0, 0)
    for batch in batches:
        journal.append(batch, 0)
    journal.close()
    return segment_path(directory, journal.number)


@UNHURRIED
@given(
    st.lists(ROW, max_size=40),
    st.integers(0, 2**62),
    st.dictionaries(st.text(max_size=8), st.tuples(WORD, WORD)),
)
def test_rows_and_positions_come_back_from_a_frame(rows, instance, positions):
    frame = SamplesFrame(instance, 5, positions, rows_of(rows))
    (found,) = frames.scan(frames.encode(3, frame), 0)
    assert isinstance(found, Found)
    assert isinstance(found.frame, SamplesFrame)
    assert (found.sequence, found.frame.instance, found.frame.positions) == (3, instance, positions)
    assert listed(found.frame.rows) == rows


@UNHURRIED
@given(st.lists(st.lists(ROW, max_size=6), max_size=6))
def test_joined_rows_are_the_rows_in_order(pieces):
    assert listed(join([rows_of(piece) for piece in pieces])) == [row for piece in pieces for row in piece]


@UNHURRIED
@given(st.binary(max_size=300))
def test_garbage_is_no_frame(garbage):
    assert list(frames.scan(garbage, 0)) == []


def test_an_empty_frame_is_the_bytes_the_format_page_shows():
    assert frames.encode_samples(SamplesFrame(5, 0, {"drivers": (7, 7)})) == bytes.fromhex(
        "05 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  01 00"
        "07 64 72 69 76 65 72 73  07 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00"
        "00 00 00 00  00 00 00 00"
    )


def test_power_cut_at_every_byte_leaves_a_prefix_of_what_was_appended(tmp_path):
    batches = [[samples(start, 5)] for start in range(0, 20, 5)]
    whole = written(tmp_path / "whole", *batches).read_bytes()
    ends = [found.end for found in frames.scan(whole) if isinstance(found, Found)]
    for length in range(ends[0], len(whole) + 1):
        directory = tmp_path / f"cut{length}"
        path = segment_path(directory, 1)
        path.parent.mkdir(parents=True)
        path.write_bytes(whole[:length])
        journal = Journal(directory)
        assert journal.recover(0, 0) == []
        journal.close()
        survived = sum(end <= length for end in ends) - 1
        assert ticks(path) == list(range(5 * survived))
        assert path.stat().st_size == ends[survived]
        assert journal.durable.ends == ({"drivers": 5 * survived} if survived else {})


@UNHURRIED
@given(st.integers(0, 2**32), st.integers(1, 255))
def test_damage_in_the_middle_is_reported_with_what_was_lost(tmp_path_factory, place, flip):
    path = written(tmp_path_factory.mktemp("damage"), *([samples(start, 5)] for start in range(0, 40, 5)))
    data = bytearray(path.read_bytes())
    bounds = [(found.start, found.end) for found in frames.scan(bytes(data)) if isinstance(found, Found)]
    first, last = bounds[2][0], bounds[-2][1]
    at = first + place % (last - first)
    hit = next(i for i, (_, end) in enumerate(bounds) if at < end)
    data[at] ^= flip
    path.write_bytes(data)
    segment = read_segment(path)
    assert segment.damage == (Damage(*bounds[hit]),)
    assert len(segment.frames) == len(bounds) - 1
    gap = lost_in(segment, segment.damage[0])
    assert (gap.kind, gap.lost) == ("damage", 5)


def test_damage_is_told_on_opening_and_the_rest_is_kept(tmp_path, caplog):
    path = written(tmp_path, [samples(0, 5)], [samples(5, 5)], [samples(10, 5)])
    data = bytearray(path.read_bytes())
    data[read_segment(path).frames[2].start + 30] ^= 1
    path.write_bytes(data)
    journal = Journal(tmp_path)
    gaps = journal.recover(0, 0)
    journal.close()
    assert [(gap.kind, gap.lost) for gap in gaps] == [("damage", 5)]
    assert "damaged" in caplog.text
    assert ticks(path) == [*range(5), *range(10, 15)]
    assert journal.durable.ends == {"drivers": 15}


def test_the_cursor_outlives_the_segments_before(tmp_path):
    journal = Journal(tmp_path)
    journal.recover(0, 0)
    journal.append([samples(0, 5)], 0)
    journal.rotate(0)
    journal.close()
    segment_path(tmp_path, 1).unlink()
    again = Journal(tmp_path)
    again.recover(0, 0)
    again.close()
    assert (again.durable.instance, again.durable.ends) == (7, {"drivers": 5})


def test_a_segment_number_is_never_used_twice(tmp_path):
    journal = Journal(tmp_path)
    journal.recover(41, 0)
    assert journal.number == 42
    journal.close()
    again = Journal(tmp_path)
    again.recover(7, 0)
    again.close()
    assert again.number == 43


def test_a_failed_write_is_cut_off_and_comes_again_in_a_new_segment(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.recover(0, 0)
    journal.append([samples(0, 5)], 0)
    real = os.fdatasync

    def refuse(file: int) -> None:
        raise OSError(errno.EIO, "the disk says no")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(OSError, match="says no"):
        journal.append([samples(5, 5)], 0)
    assert journal.durable.ends == {"drivers": 5}
    monkeypatch.setattr(os, "fdatasync", real)
    journal.append([samples(5, 5)], 0)
    journal.close()
    assert [ticks(path) for path in segments(tmp_path).values()] == [list(range(5)), list(range(5, 10))]


def test_a_gap_comes_back():
    for gap in (GapFrame("lapped", 1, 2, 3), GapFrame("damage", -5, 2, None)):
        (found,) = frames.scan(frames.encode(1, gap), 0)
        assert isinstance(found, Found)
        assert found.frame == gap


def test_a_segment_of_another_version_is_refused(tmp_path):
    path = tmp_path / "x.journal"
    path.write_bytes(b"TLHIST\x02\x00" + bytes(16))
    with pytest.raises(UnknownFormat, match="version 2"):
        read_segment(path)


def test_a_segment_whose_head_is_damaged_is_set_aside_and_the_rest_goes_on(tmp_path, caplog):
    path = written(tmp_path, [samples(0, 5)])
    journal = Journal(tmp_path)
    journal.recover(0, 0)
    journal.append([samples(5, 5)], 0)
    journal.close()
    path.write_bytes(bytes(100))
    again = Journal(tmp_path)
    gaps = again.recover(0, 9)
    again.close()
    assert [(gap.kind, gap.lost) for gap in gaps] == [("damage", None)]
    assert list(segments(tmp_path)) == [2, 3]
    assert path.with_name(path.name + ".damaged").read_bytes() == bytes(100)
    assert "set aside" in caplog.text
    assert again.durable.ends == {"drivers": 10}
