"""What history answers is what was written, whatever was packed, merged, reopened or corrected in between."""

from __future__ import annotations

import itertools
import math
import shutil
import sqlite3
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from historian_folder import NOON, SECOND, TAGS, Clock, Folder, never, tag
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.site import HistorianSettings
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.errors import DirectoryInUse, HistoryError, UnknownFormat
from historian.query.history import History
from historian.store.catalogue import Catalogue
from historian.store.database import connect_to_read
from historian.store.day_file import DayFile
from historian.store.frame import GapFrame
from historian.store.layout import DAY_NS, catalogue_path, day_files, day_of, day_path, segments
from historian.store.recorder import Recorder, read_status

STATUSES = (0, 0, 0, int(Quality.BAD_COMMUNICATION_ERROR), int(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED))
MIDNIGHT = (day_of(NOON) + 1) * DAY_NS
# Times crowd around midnight, so that corrections, late samples and both days happen in a few steps.
TIME = st.integers(-12, 12).map(lambda n: MIDNIGHT + n * SECOND // 4)
VALUES = {
    "a.power_kw": st.integers(-50, 50).map(lambda n: n / 10) | st.floats(),
    "a.count": st.integers(-(2**63), 2**63 - 1),
    "a.energy_wh": st.integers(0, 2**64 - 1),
    "a.on": st.booleans(),
    "a.name": st.text(max_size=5),
}


@st.composite
def batch(draw):
    name = draw(st.sampled_from(sorted(VALUES)))
    rows = draw(st.lists(st.tuples(TIME, VALUES[name], st.sampled_from(STATUSES)), min_size=1, max_size=12))
    return ("write", name, rows)


STEPS = st.lists(
    batch() | st.sampled_from([("pack",), ("merge",), ("reopen",), ("flush",), ("rotate",)]),
    min_size=1,
    max_size=20,
)


def plain(value):
    """A value two of which are equal where their bits are."""
    return struct.pack("<d", value) if isinstance(value, float) else value


@given(STEPS, st.integers(-14, 14), st.integers(0, 20), st.none() | st.integers(1, 15), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_answer_equals_a_model_in_memory(steps, low, span, limit, newest_first):
    directory = Path(tempfile.mkdtemp())
    folder = Folder(directory / "history", Clock(), HistorianSettings())
    model: dict[str, dict[int, tuple[object, int]]] = {name: {} for name in VALUES}
    try:
        for step in steps:
            match step:
                case ("write", name, rows):
                    folder.write(name, *map(list, zip(*rows, strict=True)))
                    model[name] |= {time: (plain(value), status) for time, value, status in rows}
                case ("pack",):
                    folder.pack()
                case ("rotate",):
                    folder.recorder.rotate()
                case ("flush",):
                    folder.recorder.flush()
                case ("merge",):
                    folder.pack()
                    folder.recorder._packer.close()
                    for path in day_files(folder.directory).values():
                        day = DayFile(path)
                        assert day.merge(never, pytest.fail)
                        day.close()
                case ("reopen",):
                    folder.recorder.close()
                    folder.reopen()
        start = MIDNIGHT + low * SECOND // 4
        end = start + span * SECOND // 4
        for name, known in model.items():
            expected = [
                (time, *known[time]) for time in sorted(known, reverse=newest_first) if start <= time < end
            ]
            found = folder.raw(name, start, end, limit=limit, newest_first=newest_first)
            assert [(time, plain(value), status) for time, value, status in found] == expected[:limit]
            history = folder.history()
            last = history.last(name)
            history.close()
            assert [plain(v) for v in last.values.tolist()] == [known[time][0] for time in sorted(known)[-1:]]
    finally:
        folder.recorder.close()
        shutil.rmtree(directory)


def brute_force(known, start, end, gaps, over):
    """Average and share of good time of one interval, step by step over every moment something changes.

    Nothing is known from ``over`` on.
    """
    moments = sorted({start, end, over, *known, *(gap[0] for gap in gaps)} & set(range(start, end + 1)))
    total = usable = good = 0.0
    for moment, following in itertools.pairwise(moments):
        before = [time for time in known if time <= moment]
        newest = max(before, default=None)
        is_known = newest is not None and not any(newest < gap[0] <= moment for gap in gaps)
        if not is_known or moment >= over:
            continue
        value, status = known[newest]
        if status & 0x8000_0000 or not math.isfinite(value):
            continue
        total += value * (following - moment)
        usable += following - moment
        good += (following - moment) * (not status)
    return (total / usable if usable else math.nan), 100 * good / (end - start)


@given(
    st.lists(
        st.lists(
            st.tuples(TIME, st.floats(-1e6, 1e6) | st.just(math.nan), st.sampled_from(STATUSES)), min_size=1
        ),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.sampled_from(["pack", "merge", "stay"]), min_size=5, max_size=5),
    st.integers(-14, 14),
    st.integers(1, 25),
    st.integers(1, 20),
    st.lists(TIME, max_size=2),
    st.integers(-14, 14),
)
@settings(max_examples=80, deadline=None)
def test_time_average_equals_brute_force(batches, moves, low, span, interval, gap_starts, now):
    directory = Path(tempfile.mkdtemp())
    folder = Folder(directory / "history", Clock(), HistorianSettings())
    known: dict[int, tuple[float, int]] = {}
    quarter = SECOND // 4
    try:
        for rows, move in zip(batches, moves, strict=False):
            folder.write("b.power_kw", *map(list, zip(*rows, strict=True)))
            known |= {time: (value, status) for time, value, status in rows}
            if move != "stay":
                folder.pack()
            if move == "merge":
                folder.recorder._packer.close()
                for path in day_files(folder.directory).values():
                    day = DayFile(path)
                    day.merge(never, pytest.fail)
                    day.close()
        gaps = [(first, first + quarter) for first in gap_starts]
        for first, last in gaps:
            folder.recorder.offer(GapFrame("stopped", first, last, 0))
        folder.recorder.flush()
        folder.clock.now = MIDNIGHT + now * quarter
        start, end = MIDNIGHT + low * quarter, MIDNIGHT + (low + span) * quarter
        history = folder.history()
        found = history.time_average("b.power_kw", start, end, interval * quarter)
        history.close()
        assert found.starts.tolist() == list(range(start, end, interval * quarter))
        # The model counts in quarters of a second, to step over every moment there is.
        scaled = {time // quarter: sample for time, sample in known.items()}
        over = max(MIDNIGHT // quarter + now, *(time for time in scaled if time < end // quarter), 0)
        for i, begin in enumerate(found.starts.tolist()):
            stop = min(end, begin + interval * quarter)
            value, good = brute_force(
                scaled,
                begin // quarter,
                stop // quarter,
                [(first // quarter,) for first, _ in gaps],
                over,
            )
            assert found.values[i] == pytest.approx(value, rel=1e-9, abs=1e-6, nan_ok=True)
            assert found.percent_good[i] == pytest.approx(good)
            assert (found.statuses[i] == 0) == (good == 100)
    finally:
        folder.recorder.close()
        shutil.rmtree(directory)


def test_wide_average_of_whole_blocks_decodes_none(folder, monkeypatch):
    for minute in range(10):
        times = NOON + minute * 60 * SECOND + np.arange(60) * SECOND
        folder.write("a.power_kw", times, np.arange(60) / 10 + minute)
        folder.pack()
    folder.clock.now = NOON + 3600 * SECOND
    history = folder.history()
    expected = history.raw("a.power_kw", NOON, NOON + 600 * SECOND).values.mean()
    monkeypatch.setattr("historian.query.days.decode", lambda *_: pytest.fail("a block was decoded"))
    found = history.time_average("a.power_kw", NOON, NOON + 600 * SECOND, 600 * SECOND)
    history.close()
    assert found.values.tolist() == [pytest.approx(expected)]
    assert found.percent_good.tolist() == [100.0]


def test_after_a_lapse_the_image_written_down_holds_again(folder):
    folder.write("a.power_kw", [NOON], [5.0])
    folder.recorder.offer(GapFrame("lapped", NOON + 10 * SECOND, NOON + 20 * SECOND, 3))
    folder.recorder.flush()
    folder.clock.now = NOON + 60 * SECOND
    history = folder.history()
    found = history.time_average("a.power_kw", NOON, NOON + 30 * SECOND, 10 * SECOND)
    history.close()
    assert found.percent_good.tolist() == [100.0, 0.0, 100.0]


def test_a_bool_averages_as_its_share_of_true(folder):
    folder.write("a.on", [NOON, NOON + SECOND], [True, False])
    folder.clock.now = NOON + 60 * SECOND
    history = folder.history()
    assert history.time_average("a.on", NOON, NOON + 4 * SECOND, 4 * SECOND).values.tolist() == [0.25]
    with pytest.raises(ValueError, match=r"a\.name is a string"):
        history.time_average("a.name", NOON, NOON + SECOND, SECOND)
    history.close()


def test_of_two_writes_of_one_time_the_newer_counts_wherever_they_are(folder):
    folder.write("a.count", [NOON, NOON + 1, NOON + 9], [1, 2, 3])
    folder.pack()
    folder.write("a.count", [NOON - 5, NOON + 1], [0, 20])
    corrected = [(NOON - 5, 0, 0), (NOON, 1, 0), (NOON + 1, 20, 0), (NOON + 9, 3, 0)]
    assert folder.raw("a.count") == corrected, "the correction is in the journal"
    folder.pack()
    assert folder.raw("a.count") == corrected, "both are in blocks; the older block starts later"
    folder.clock.now += DAY_NS
    assert folder.recorder.pack(never)
    assert folder.raw("a.count") == corrected, "both are in one block"


def test_bad_samples_keep_their_value_and_whole_status(folder):
    folder.write("a.power_kw", [NOON, NOON + 1], [5.0, 5.0], [0, 0x8005_0000])
    folder.pack()
    assert folder.raw("a.power_kw") == [(NOON, 5.0, 0), (NOON + 1, 5.0, 0x8005_0000)]


def test_a_poll_group_shares_one_array_of_times(folder):
    for name in ("a.power_kw", "b.power_kw", "a.count"):
        folder.write(name, NOON + np.arange(50) * SECOND, np.arange(50))
    folder.pack()
    with sqlite3.connect(day_path(folder.directory, day_of(NOON))) as database:
        assert database.execute("SELECT count(*) FROM times").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM blocks").fetchone() == (3,)
    database.close()


def test_a_segment_over_midnight_goes_to_both_days(folder):
    folder.write("a.count", MIDNIGHT + np.arange(-5, 5) * SECOND, np.arange(10))
    folder.pack()
    assert list(day_files(folder.directory)) == [day_of(NOON), day_of(NOON) + 1]
    assert [value for _, value, _ in folder.raw("a.count")] == list(range(10))
    assert [value for _, value, _ in folder.raw("a.count", newest_first=True)] == list(reversed(range(10)))


def test_packing_cut_off_between_the_days_adds_nothing_twice(folder):
    folder.write("a.count", MIDNIGHT + np.arange(-5, 5) * SECOND, np.arange(10))
    folder.recorder.rotate()
    segment = next(iter(segments(folder.directory).values()))
    kept = segment.read_bytes()
    assert folder.recorder.pack(never)
    segment.write_bytes(kept)
    day_path(folder.directory, day_of(MIDNIGHT)).unlink()
    folder.recorder.close()
    folder.reopen()
    assert folder.recorder.pack(never)
    assert not segment.exists()
    assert [value for _, value, _ in folder.raw("a.count")] == list(range(10))
    with sqlite3.connect(day_path(folder.directory, day_of(NOON))) as database:
        assert database.execute("SELECT sum(count) FROM blocks").fetchone() == (5,)
    database.close()


def test_a_damaged_block_is_named_and_the_rest_is_read(folder):
    for minute in range(3):
        folder.write(
            "a.power_kw", NOON + (minute * 60 + np.arange(60)) * SECOND, np.arange(60) ** 0.5 + minute
        )
        folder.pack()
    path = day_path(folder.directory, day_of(NOON))
    with sqlite3.connect(path) as database:
        (data,) = database.execute("SELECT value_data FROM blocks WHERE id = 2").fetchone()
        database.execute(
            "UPDATE blocks SET value_data = ? WHERE id = 2", (data[:-1] + bytes([data[-1] ^ 1]),)
        )
    database.close()
    damages = []
    history = History(folder.directory, on_damage=damages.append, clock=Clock(NOON + 3600 * SECOND))
    series = history.raw("a.power_kw", NOON, NOON + 180 * SECOND)
    averages = history.time_average("a.power_kw", NOON, NOON + 180 * SECOND, 45 * SECOND)
    history.close()
    assert len(series) == 120
    assert str(damages[0]).startswith(f"{path}, block 2: CRC is ")
    assert averages.percent_good.tolist() == [100.0, pytest.approx(100 / 3), pytest.approx(100 / 3), 100.0]


def test_a_day_file_that_is_garbage_is_named_and_other_days_are_read(folder):
    folder.write("a.count", [NOON - DAY_NS, NOON], [1, 2])
    folder.pack()
    folder.recorder.close()
    path = day_path(folder.directory, day_of(NOON) - 1)
    path.write_bytes(b"this is no database, and longer than a header" * 100)
    damages = []
    history = History(folder.directory, on_damage=damages.append)
    assert history.raw("a.count", 0, 2**62).values.tolist() == [2]
    history.close()
    assert [damage.file for damage in damages] == [path]


def test_a_day_file_that_is_garbage_is_set_aside_when_the_historian_starts(folder, caplog):
    folder.write("a.count", [NOON], [1])
    folder.pack()
    folder.recorder.close()
    path = day_path(folder.directory, day_of(NOON))
    path.write_bytes(b"this is no database, and longer than a header" * 100)
    folder.reopen()
    folder.write("a.count", [NOON + 1], [2])
    folder.pack()
    assert folder.raw("a.count") == [(NOON + 1, 2, 0)]
    assert path.with_name(path.name + ".damaged").exists()
    assert "set aside" in caplog.text


def test_times_beyond_64_bits_of_ns_are_all_there_is(folder):
    folder.write("a.count", [NOON], [1])
    folder.pack()
    assert folder.raw("a.count", -11_644_473_600 * SECOND, 2**70) == [(NOON, 1, 0)]


def test_a_missing_day_leaves_the_others(folder):
    folder.write("a.count", [NOON - 2 * DAY_NS, NOON - DAY_NS, NOON], [1, 2, 3])
    folder.pack()
    history = folder.history()
    assert len(history.raw("a.count", 0, 2**62)) == 3
    day_path(folder.directory, day_of(NOON) - 1).unlink()
    assert history.raw("a.count", 0, 2**62).values.tolist() == [1, 3]
    history.close()


def test_days_past_keeping_are_dropped(make_folder):
    folder = make_folder(keep_days=2)
    folder.write("a.count", [NOON - n * DAY_NS for n in range(5)], list(range(5)))
    folder.pack()
    assert [value for _, value, _ in folder.raw("a.count")] == [2, 1, 0]
    assert list(day_files(folder.directory)) == [day_of(NOON) - n for n in (2, 1, 0)]


def test_without_keep_days_nothing_is_dropped(folder):
    folder.write("a.count", [NOON - n * 1000 * DAY_NS for n in range(5)], list(range(5)))
    folder.pack()
    assert len(day_files(folder.directory)) == 5


def test_merging_makes_few_blocks_of_many_and_changes_no_answer(folder):
    for minute in range(60):
        folder.write("a.power_kw", NOON + (minute * 60 + np.arange(60)) * SECOND, np.arange(60) / 10)
        folder.write("b.power_kw", NOON + (minute * 60 + np.arange(60)) * SECOND, np.arange(60) ** 0.5)
        folder.recorder.rotate()
    before = None
    folder.clock.now = NOON + DAY_NS
    assert folder.recorder.pack(never)
    before = folder.raw("a.power_kw")
    with sqlite3.connect(day_path(folder.directory, day_of(NOON))) as database:
        assert database.execute("SELECT count(*), count(DISTINCT times) FROM blocks").fetchone() == (2, 1)
        assert database.execute("SELECT count(*) FROM times").fetchone() == (1,)
    database.close()
    assert len(before) == 3600
    assert [value for _, value, _ in before] == [n % 60 / 10 for n in range(3600)]


def test_ids_stay_when_the_site_changes(tmp_path):
    catalogue = Catalogue(tmp_path)
    catalogue.open(0)
    first = catalogue.register(TAGS, 1)
    again = Catalogue(tmp_path)
    again.open(2)
    reordered = [tag("new.one"), *reversed(TAGS)]
    second = {entry.path: entry.id for entry in again.register(reordered, 3)}
    assert {entry.path: entry.id for entry in first}.items() <= second.items()
    assert len(set(second.values())) == len(second)


@pytest.mark.parametrize("few", [1, 10], ids=["looked up one by one", "all read"])
def test_registering_writes_what_changed_and_nothing_else(tmp_path, monkeypatch, few):
    monkeypatch.setattr("historian.store.catalogue.FEW", few)
    catalogue = Catalogue(tmp_path)
    catalogue.open(0)
    first = catalogue.register(TAGS, 1)
    before = (tmp_path / "catalogue.sqlite").read_bytes()
    assert catalogue.register(TAGS, 2) == first
    assert (tmp_path / "catalogue.sqlite").read_bytes() == before
    changed = [replace(one, unit="MW", sloped=True) if one.name == "b.power_kw" else one for one in TAGS]
    second = catalogue.register(changed, 3)
    assert [old.path for old, new in zip(first, second, strict=True) if old != new] == ["b.power_kw"]
    again = Catalogue(tmp_path)
    again.open(4)
    assert again.entries() == catalogue.entries() == second
    with connect_to_read(tmp_path / "catalogue.sqlite") as database:
        written = database.execute("SELECT path FROM tags WHERE since > 1").fetchall()
    assert written == [("b.power_kw",)]


def test_a_tag_that_changes_its_type_keeps_both_histories_apart(folder):
    folder.write("a.count", [NOON], [7])
    folder.recorder.catalogue.register([tag("a.count", ValueType.STRING)], NOON + 1)
    assert folder.raw("a.count") == []
    folder.recorder.catalogue.register(TAGS, NOON + 2)
    assert folder.raw("a.count") == [(NOON, 7, 0)]


def test_a_lost_catalogue_comes_back_from_the_day_files(folder):
    folder.write("a.count", [NOON], [7])
    folder.write("a.name", [NOON], ["x"])
    folder.pack()
    folder.recorder.close()
    for path in folder.directory.glob("catalogue.sqlite*"):
        path.unlink()
    folder.reopen()
    assert folder.raw("a.count") == [(NOON, 7, 0)]
    assert folder.raw("a.name") == [(NOON, "x", 0)]


def test_a_lost_catalogue_is_refused_while_the_journal_needs_it(folder):
    folder.write("a.count", [NOON], [7])
    folder.recorder.close()
    catalogue_path(folder.directory).unlink()
    recorder = Recorder(folder.directory, HistorianSettings(), Clock())
    with pytest.raises(UnknownFormat, match="restore it"):
        recorder.open()
    recorder.close()


def test_a_second_historian_is_refused_with_the_holder_named(folder):
    second = Recorder(folder.directory, HistorianSettings(), Clock())
    with pytest.raises(DirectoryInUse, match=r"process \d+"):
        second.open()
    second.close()


def test_status_says_what_is_acknowledged(folder):
    folder.write("a.count", [NOON, NOON + 1], [7, 8], flush=False)
    assert read_status(folder.directory).positions == {}
    folder.recorder.flush()
    assert read_status(folder.directory).positions == {"drivers": 2}
    assert read_status(folder.directory).instance == 1


def test_an_unknown_tag_is_a_key_error(folder, tmp_path):
    history = folder.history()
    with pytest.raises(KeyError):
        history.raw("no.such", 0, 1)
    history.close()
    with pytest.raises(KeyError):
        History(tmp_path / "nowhere").raw("a.count", 0, 1)


def test_a_question_of_too_many_intervals_is_refused(folder):
    history = folder.history()
    with pytest.raises(ValueError, match="more than"):
        history.time_average("a.count", 0, 2**61, 1)
    history.close()


def test_a_day_file_of_a_later_version_is_refused_by_name(folder):
    folder.write("a.count", [NOON], [7])
    folder.pack()
    folder.recorder.close()
    path = day_path(folder.directory, day_of(NOON))
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(HistoryError, match="version 9"):
        Recorder(folder.directory, HistorianSettings(), Clock()).open()
