"""Aggregates and instants of what is stored: what is read of it is enough, and says the same as all of it would."""

from __future__ import annotations

import numpy as np
import pytest
from historian_folder import NOON, SECOND, TAGS, tag

from gateway.tags.aggregate import Aggregate, AggregateConfiguration, ProcessedType
from gateway.tags.tag import ValueType
from historian.annotations.store import Annotations
from historian.query import processing
from historian.query.aggregates.intervals import intervals
from historian.query.aggregates.table import calculate, type_of
from historian.query.around import known_of
from historian.store.blocks import Samples
from historian.store.frame import GapFrame

MINUTE = 60 * SECOND
NO_DATA, UNCERTAIN_DATA_SUB_NORMAL, CALCULATED, INTERPOLATED = 0x809B_0000, 0x40A4_0000, 0x401, 0x402
COMM_LOSS, OUT_OF_RANGE = 0x8005_0000, 0x4094_0000
DAY = 86_400 * SECOND


def fill(folder, name, seed, *, count=4000, span=5 * 3600 * SECOND, doubtful=0.05):
    """Samples before noon, in blocks of a few minutes each and at the end in the journal."""
    random = np.random.default_rng(seed)
    times = np.sort(random.choice(span // 10**6, count, replace=False)) * 10**6 + NOON - span
    type = next(tag.type for tag in TAGS if tag.name == name)
    values = {
        ValueType.BOOL: random.random(count) < 0.5,
        ValueType.STRING: random.choice(np.array(["idle", "run", "fault"], object), count),
    }.get(type, np.round(random.normal(0, 20, count)))
    statuses = np.where(random.random(count) < doubtful, random.choice([COMM_LOSS, OUT_OF_RANGE], count), 0)
    for part in np.array_split(np.arange(count), 12):
        folder.write(name, times[part], values[part].tolist(), statuses[part])
        if part[-1] < count * 0.8:
            folder.pack()
    return times


def all_of(folder, name):
    history = folder.history()
    series = history.raw(name, -(2**62), 2**62)
    history.close()
    bits = series.values
    if series.type is not ValueType.STRING:
        bits = np.ascontiguousarray(bits.astype(np.uint64) if bits.dtype == bool else bits).view(np.uint64)
    return series.type, Samples(series.source_times, bits, series.statuses)


def equal(found, wanted):
    assert found.type == wanted.type
    assert found.times.tolist() == wanted.times.tolist()
    assert found.statuses.tolist() == wanted.statuses.tolist()
    known = wanted.has_value
    if found.type is ProcessedType.DOUBLE:
        np.testing.assert_allclose(found.values[known], wanted.values[known], rtol=1e-9, atol=1e-9)
    else:
        assert found.values[known].tolist() == wanted.values[known].tolist()


@pytest.mark.parametrize("is_sloped", [False, True], ids=["stepped", "sloped"])
@pytest.mark.parametrize("name", ["a.power_kw", "a.count", "a.on", "a.name"])
def test_what_is_read_is_enough(folder, clock, name, is_sloped):
    """Whether blocks are added up undecoded or read, whether the intervals lie in blocks, journal or the future."""
    folder.recorder.catalogue.register([tag(each.name, each.type, sloped=is_sloped) for each in TAGS], NOON)
    fill(folder, name, seed=len(name))
    clock.now = NOON + 7 * MINUTE
    type, samples = all_of(folder, name)
    known = known_of(type, samples, now=clock.now)
    history = folder.history()
    asked = [
        (NOON - 4 * 3600 * SECOND - 77 * SECOND, NOON + 20 * MINUTE, 25 * MINUTE),
        (NOON - 20 * MINUTE, NOON - 3 * 3600 * SECOND, 17 * MINUTE),
        (NOON - 6 * 3600 * SECOND, NOON + 3600 * SECOND, 0),
        (NOON - 5000 * SECOND, NOON - 4900 * SECOND, SECOND),
    ]
    for aggregate in Aggregate:
        if type is ValueType.STRING and not takes_strings(aggregate):
            continue
        for configuration in (
            AggregateConfiguration(),
            AggregateConfiguration(treat_uncertain_as_bad=False, use_sloped_extrapolation=True),
        ):
            for start, end, length in asked:
                found = history.aggregate(name, aggregate, start, end, length, configuration)
                wanted = calculate(
                    aggregate,
                    known,
                    type,
                    intervals(start, end, length),
                    stepped=not is_sloped,
                    configuration=configuration,
                )
                equal(found, wanted)
    history.close()


def takes_strings(aggregate):
    try:
        type_of(aggregate, ValueType.STRING)
    except ValueError:
        return False
    return True


def test_usable_samples_are_looked_for_beyond_many_bad_ones(folder):
    bad = [NOON + (1 + n) * SECOND for n in range(500)]
    folder.write("a.power_kw", [NOON - 10 * SECOND, NOON], [3.0, 4.0])
    folder.write("a.power_kw", bad, [0.0] * 500, COMM_LOSS)
    folder.pack()
    folder.write("a.power_kw", [NOON + 600 * SECOND], [10.0])
    history = folder.history()
    at = NOON + 400 * SECOND + SECOND // 2
    found = history.aggregate("a.power_kw", Aggregate.INTERPOLATIVE, at, at + SECOND)
    assert (found.values.tolist(), found.statuses.tolist()) == (
        [4.0],
        [UNCERTAIN_DATA_SUB_NORMAL | INTERPOLATED],
    )
    found = history.at_time("a.power_kw", [at])
    assert (found.values.tolist(), found.statuses.tolist()) == (
        [4.0],
        [UNCERTAIN_DATA_SUB_NORMAL | INTERPOLATED],
    )
    assert history.at_time("a.power_kw", [at], use_simple_bounds=True).statuses.tolist() == [NO_DATA]
    history.close()


def test_a_tag_at_given_times(folder, clock):
    folder.write(
        "a.power_kw",
        [NOON, NOON + 10 * SECOND, NOON + 20 * SECOND, NOON + 30 * SECOND],
        [1.0, 2.0, 0.0, 4.0],
        [0, OUT_OF_RANGE, COMM_LOSS, 0],
    )
    clock.now = NOON + 60 * SECOND
    history = folder.history()
    seconds = [35, -1, 5, 0, 10, 15, 20, 25, 90]
    loose = AggregateConfiguration(treat_uncertain_as_bad=False)
    found = history.at_time("a.power_kw", [NOON + second * SECOND for second in seconds], loose)
    assert found.times.tolist() == [NOON + second * SECOND for second in seconds]
    doubtful = UNCERTAIN_DATA_SUB_NORMAL | INTERPOLATED
    assert list(zip(found.values.tolist(), found.statuses.tolist(), strict=True)) == [
        (4.0, INTERPOLATED),  # holds until now
        (0.0, NO_DATA),  # before the first sample
        (1.0, INTERPOLATED),
        (1.0, 0),  # a sample is told as it is
        (2.0, OUT_OF_RANGE),
        (2.0, doubtful),
        (0.0, COMM_LOSS),
        (2.0, doubtful),
        (4.0, doubtful),  # later than now: extrapolated
    ]
    history.close()


def test_a_sloped_tag_at_given_times(folder, clock):
    folder.recorder.catalogue.register(
        [tag("a.power_kw", sloped=True), tag("a.count", ValueType.INT64, sloped=True)], NOON
    )
    folder.write("a.power_kw", [NOON, NOON + 10 * SECOND], [1.0, 2.0])
    folder.write("a.count", [NOON, NOON + 10 * SECOND], [1, 4])
    clock.now = NOON + 60 * SECOND
    history = folder.history()
    times = [NOON + 5 * SECOND, NOON + 30 * SECOND]
    found = history.at_time("a.power_kw", times)
    assert (found.values.tolist(), found.statuses.tolist()) == ([1.5, 2.0], [INTERPOLATED] * 2)
    found = history.at_time("a.count", times)
    assert (found.type, found.values.tolist()) == (ProcessedType.INT64, [2, 4])  # 2.5, to the even one
    history.close()


def test_times_far_apart_and_tags_side_by_side(folder, clock):
    days = [NOON - 40 * DAY, NOON - 20 * DAY, NOON]
    folder.write("a.power_kw", days, [1.0, 2.0, 3.0])
    folder.write("a.name", days, ["x", "y", "z"])
    folder.pack()
    history = folder.history()
    found = history.at_time_many(("a.name", "a.power_kw"), [at + SECOND for at in days])
    assert found["a.name"].values.tolist() == ["x", "y", "z"]
    assert found["a.power_kw"].values.tolist() == [1.0, 2.0, 3.0]
    history.close()


def test_nothing_is_known_in_a_gap_until_the_next_sample(folder, clock):
    folder.write("a.power_kw", [NOON], [5.0])
    folder.recorder.catalogue.add_found_gaps(
        [GapFrame("stopped", NOON + 10 * SECOND, NOON + 20 * SECOND, None)]
    )
    folder.write("a.power_kw", [NOON + 30 * SECOND], [7.0])
    clock.now = NOON + 40 * SECOND
    history = folder.history()
    good = history.aggregate("a.power_kw", Aggregate.DURATION_GOOD, NOON, NOON + 40 * SECOND)
    assert good.values.tolist() == [20_000.0]
    inside = history.aggregate("a.power_kw", Aggregate.DURATION_GOOD, NOON + 12 * SECOND, NOON + 15 * SECOND)
    assert (inside.values.tolist(), inside.statuses.tolist()) == ([0.0], [0x401])
    average = history.aggregate("a.power_kw", Aggregate.TIME_AVERAGE2, NOON, NOON + 40 * SECOND)
    assert (average.values.tolist(), average.statuses.tolist()) == (
        [6.0],
        [UNCERTAIN_DATA_SUB_NORMAL | 0x401],
    )
    history.close()


def test_what_is_too_much_at_a_time_is_answered_in_parts(folder, monkeypatch):
    fill(folder, "a.power_kw", 1)
    fill(folder, "a.count", 2)
    history = folder.history()
    span = (NOON, NOON - 5 * 3600 * SECOND, 600 * SECOND)
    tags = ("a.power_kw", "a.count")
    whole = history.aggregate_many(tags, Aggregate.MAXIMUM2, *span)
    times = np.arange(NOON - 4 * 3600 * SECOND, NOON, 777 * SECOND)
    instants = history.at_time_many(tags, times)
    monkeypatch.setattr(processing, "MAX_SAMPLES", 2000)
    for tag_name, found in history.aggregate_many(tags, Aggregate.MAXIMUM2, *span).items():
        equal(found, whole[tag_name])
    for tag_name, found in history.at_time_many(tags, times).items():
        equal(found, instants[tag_name])
    with pytest.raises(ValueError, match="ask for shorter ones"):
        history.aggregate("a.count", Aggregate.MAXIMUM2, span[0], span[1])
    history.close()


def test_large_integers_come_back_whole(folder):
    folder.write("a.energy_wh", [NOON, NOON + SECOND], [2**63 + 1, 2**64 - 1])
    history = folder.history()
    for aggregate in (Aggregate.MAXIMUM, Aggregate.END, Aggregate.MAXIMUM2):
        found = history.aggregate("a.energy_wh", aggregate, NOON, NOON + 2 * SECOND)
        assert found.values.tolist() == [2**64 - 1]
    history.close()


def test_questions_that_have_no_answer(folder):
    folder.write("a.name", [NOON], ["x"])
    history = folder.history()
    with pytest.raises(ValueError, match="strings have no TimeAverage2"):
        history.aggregate("a.name", Aggregate.TIME_AVERAGE2, NOON, NOON + SECOND)
    with pytest.raises(ValueError, match="the same time"):
        history.aggregate("a.name", Aggregate.COUNT, NOON, NOON)
    with pytest.raises(ValueError, match="more than 1000000"):
        history.aggregate("a.name", Aggregate.COUNT, NOON, NOON + DAY, 1000)
    with pytest.raises(ValueError, match="no time"):
        history.at_time("a.name", [])
    with pytest.raises(KeyError):
        history.at_time("nobody", [NOON])
    with pytest.raises(ValueError, match="together they must be at least 100"):
        AggregateConfiguration(percent_data_good=20, percent_data_bad=70)
    history.close()


@pytest.mark.parametrize("is_packed", [True, False], ids=["packed", "in the journal"])
def test_annotations_are_counted_in_the_interval_that_they_lie_in(folder, is_packed):
    """As the standard's example: three, then one (OPC 10000-13 v1.04, A.18)."""
    folder.write("a.power_kw", NOON + np.arange(11) * 10 * SECOND, [1.0] * 11)
    if is_packed:
        folder.pack()
    notes = Annotations(folder.directory)
    for seconds in (0, 20, 59.999, 60):
        notes.add("a.power_kw", NOON + int(seconds * SECOND), "x", "somebody")
    notes.add("a.count", NOON, "of another tag", "somebody")
    notes.edit(1, "y", "somebody")
    notes.delete(notes.add("a.power_kw", NOON, "z", "somebody").id, "somebody")
    history, count = folder.history(), Aggregate.ANNOTATION_COUNT
    found = history.aggregate("a.power_kw", count, NOON, NOON + 100 * SECOND, MINUTE)
    assert found.type is ProcessedType.INT32
    assert list(zip(found.values, found.statuses, strict=True)) == [(3, CALCULATED), (1, CALCULATED)]
    backwards = history.aggregate("a.power_kw", count, NOON + 100 * SECOND, NOON, MINUTE)
    assert backwards.values.tolist() == [2, 1], "(40, 100] and (0, 40]: the later end lies in it"
    before = history.aggregate("a.power_kw", count, NOON - 30 * MINUTE, NOON + 30 * SECOND, 15 * MINUTE)
    assert before.statuses.tolist() == [NO_DATA, NO_DATA, CALCULATED]
    assert before.values[2] == 2
    history.close()
