"""What a later write of the same time replaced stays readable: in the journal, packed, merged, and after a kill."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from historian_folder import NOON, SECOND
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from historian.query.modified import modified
from historian.store.layout import DAY_NS, day_path

MERGED_NS = 3601 * SECOND
ALL = (-(2**62), 2**62)


def told(folder: Any, tag: str = "a.count", start: int = ALL[0], end: int = ALL[1]) -> list[tuple[Any, ...]]:
    history = folder.history()
    found = modified(history, tag, start, end)
    history.close()
    assert found.series.damaged == ()
    assert set(found.kinds.tolist()) <= {3}
    series = found.series
    columns = (series.source_times, series.values, series.statuses, found.modified)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_corrected_sample_is_told_with_when_it_was_corrected(folder):
    folder.write("a.count", [NOON, NOON + SECOND], [1, 2])
    folder.clock.now += 10 * SECOND
    folder.write("a.count", [NOON], [5])
    expected = [(NOON, 1, 0, NOON + 10 * SECOND)]
    assert told(folder) == expected, "both in the journal"
    folder.pack()
    assert told(folder) == expected, "packed"
    assert folder.raw("a.count") == [(NOON, 5, 0), (NOON + SECOND, 2, 0)]


def test_a_packed_sample_is_told_while_its_correction_is_in_the_journal_and_after(folder):
    folder.write("a.name", [NOON], ["idle"])
    folder.pack()
    folder.clock.now += 60 * SECOND
    folder.write("a.name", [NOON], ["busy"], 0x4094_0000)
    expected = [(NOON, "idle", 0, NOON + 60 * SECOND)]
    assert told(folder, "a.name") == expected
    folder.pack()
    assert told(folder, "a.name") == expected
    folder.clock.now += MERGED_NS
    folder.pack()
    assert told(folder, "a.name") == expected


def test_another_quality_is_a_correction_and_a_repetition_is_none(folder):
    folder.write("a.power_kw", [NOON, NOON + 1], [1.5, 2.5])
    folder.write("a.power_kw", [NOON, NOON + 1], [1.5, 2.5])
    folder.write("a.power_kw", [NOON], [1.5], 0x8005_0000)
    assert told(folder, "a.power_kw") == [(NOON, 1.5, 0, NOON)]
    folder.pack()
    assert told(folder, "a.power_kw") == [(NOON, 1.5, 0, NOON)]


def test_it_goes_with_the_day(folder):
    folder.write("a.count", [NOON], [1])
    folder.write("a.count", [NOON], [2])
    folder.pack()
    assert len(told(folder)) == 1
    folder.recorder.close()
    day_path(folder.directory, NOON // DAY_NS).unlink()
    folder.reopen()
    assert told(folder) == []


def test_a_tag_never_stored_is_a_key_error(folder):
    with pytest.raises(KeyError):
        modified(folder.history(), "nobody", *ALL)


MOVES = ("none", "pack", "reopen", "merge", "day")


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(
            st.lists(
                st.tuples(st.integers(0, 9), st.integers(0, 2), st.sampled_from([0, 0x8005_0000])), max_size=6
            ),
            st.sampled_from(MOVES),
        ),
        max_size=8,
    ),
    low=st.integers(0, 9),
    span=st.integers(0, 10),
)
def test_it_equals_a_model_wherever_the_samples_are(make_folder, batches, low, span):
    folder = make_folder()
    present: dict[int, tuple[int, int]] = {}
    replaced: list[tuple[int, int, int, int]] = []
    for writes, move in batches:
        folder.clock.now += SECOND
        times = [NOON + place * DAY_NS // 6 for place, _, _ in writes]
        for at, (_, value, status) in zip(times, writes, strict=True):
            if present.get(at, (value, status)) != (value, status):
                replaced.append((at, *present[at], folder.clock.now))
            present[at] = (value, status)
        if writes:
            values, statuses = [value for _, value, _ in writes], [status for _, _, status in writes]
            folder.write("a.count", times, np.array(values), np.array(statuses, np.uint32))
        if move == "reopen":
            folder.recorder.close()
            folder.reopen()
        elif move != "none":
            folder.clock.now += {"pack": 0, "merge": MERGED_NS, "day": DAY_NS}[move]
            folder.pack()
    start, end = NOON + low * DAY_NS // 6, NOON + (low + span) * DAY_NS // 6
    expected = sorted((row for row in replaced if start <= row[0] < end), key=lambda row: (row[0], row[3]))
    assert sorted(told(folder, start=start, end=end)) == sorted(expected)
    assert [row[0] for row in told(folder, start=start, end=end)] == [row[0] for row in expected]
    folder.recorder.close()
