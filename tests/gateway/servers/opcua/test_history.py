"""HistoryRead of raw values: whichever pages a client asks for, none is lost and none comes twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua import Client, ua
from asyncua.ua.status_codes import StatusCodes
from hypothesis import given
from hypothesis import strategies as st
from opcua_plant import TAGS, Memory, Plant, node_id

from gateway.config.site import HistorianSettings
from gateway.servers.opcua import history, limits
from gateway.servers.opcua.values import to_datetime, to_ns
from gateway.tags.history import Series
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.query.history import History
from historian.store.frame import SamplesFrame
from historian.store.layout import day_files
from historian.store.recorder import Recorder
from historian.store.rows import Rows

Clients = Callable[..., Any]
START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
TAG = TAGS[0]
NEVER = datetime(1601, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return to_datetime(START + int(seconds * SECOND))


def stored(count: int, step_ns: int = SECOND) -> Memory:
    """Values 0.0, 1.0, … a second apart, the odd ones uncertain."""
    numbers = np.arange(count)
    series = Series(
        ValueType.DOUBLE,
        (START + numbers * step_ns).astype(np.int64),
        numbers.astype(np.float64),
        np.where(numbers % 2, 0x4094_0000, 0).astype(np.uint32),
    )
    return Memory({TAG.name: series})


def details(start: datetime = NEVER, end: datetime = NEVER, number: int = 0, bounds: bool = False) -> Any:
    return ua.ReadRawModifiedDetails(False, start, end, number, bounds)


def values_of(result: ua.HistoryReadResult) -> list[Any]:
    data = result.HistoryData
    if isinstance(data, ua.ExtensionObject):
        data = ua.ua_binary.struct_from_binary(ua.HistoryData, ua.utils.Buffer(data.Body))
    return [(found.Value.Value, found.StatusCode.value) for found in data.DataValues]


def numbers_of(result: ua.HistoryReadResult) -> list[Any]:
    return [value for value, _ in values_of(result)]


def pages(memory: Memory, asked: Any) -> list[list[Any]]:
    """All pages of one wish, by way of continuation points."""
    wish = history.wish_of(asked, 0)
    assert wish is not None
    found = []
    while wish is not None:
        result = history.read(wish, TAG, memory)
        found.append(numbers_of(result))
        assert len(found) < 1000
        point = result.ContinuationPoint
        wish = None if point is None else history.wish_of_point(bytes(point), 0)
    return found


@given(
    count=st.integers(0, 60),
    first=st.integers(-5, 65),
    last=st.integers(-5, 65),
    page=st.integers(1, 20),
    step_ns=st.sampled_from([SECOND, 1000, 7]),
)
def test_pages_together_are_the_whole(count: int, first: int, last: int, page: int, step_ns: int) -> None:
    """Also where samples are closer than the microsecond that a client's times have."""
    memory = stored(count, step_ns)
    start, end = at(first), at(last)
    low, high = min(to_ns(start), to_ns(end)), max(to_ns(start), to_ns(end))
    if low == high:
        high = low + 1000
    elif first > last:
        low, high = low + 1000, high + 1000
    times = [START + n * step_ns for n in range(count)]
    expected = [float(n) for n, time in enumerate(times) if low <= time < high]
    if first > last:
        expected.reverse()
    found = pages(memory, details(start, end, page))
    assert [value for part in found for value in part] == expected
    assert all(len(part) <= page for part in found)


def test_start_is_included_and_end_is_not_in_either_direction() -> None:
    memory = stored(10)
    assert pages(memory, details(at(2), at(5))) == [[2.0, 3.0, 4.0]]
    assert pages(memory, details(at(5), at(2))) == [[5.0, 4.0, 3.0]]
    assert pages(memory, details(at(5), at(5))) == [[5.0]]


def test_one_time_and_a_number_reach_as_far_as_they_must() -> None:
    memory = stored(10)
    assert pages(memory, details(start=at(7), number=2)) == [[7.0, 8.0]]
    assert pages(memory, details(start=at(7), number=20)) == [[7.0, 8.0, 9.0]]
    assert pages(memory, details(end=at(7), number=3)) == [[7.0, 6.0, 5.0]]


def test_a_number_beyond_a_page_comes_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HISTORY_VALUES", 4)
    memory = stored(30)
    assert pages(memory, details(start=at(3), number=10)) == [
        [3.0, 4.0, 5.0, 6.0],
        [7.0, 8.0, 9.0, 10.0],
        [11.0, 12.0],
    ]
    assert pages(memory, details(at(0), at(9))) == [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0]]


def test_a_tag_never_stored_has_no_data() -> None:
    result = history.read(history.wish_of(details(at(0), at(9)), 0), TAG, Memory())
    assert result.StatusCode.value == StatusCodes.GoodNoData
    assert values_of(result) == []
    assert result.ContinuationPoint is None


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (2, 5, [2.0, 3.0, 4.0, 5.0]),
        (2.5, 4.5, [2.0, 3.0, 4.0, 5.0]),
        (4.5, 2.5, [5.0, 4.0, 3.0, 2.0]),
        (5, 2, [5.0, 4.0, 3.0, 2.0]),
        (-3, 1, [None, 0.0, 1.0]),
        (8, 20, [8.0, 9.0, None]),
    ],
)
@pytest.mark.parametrize("page", [1, 2, 3, 10])
def test_bounding_values_lie_on_or_just_outside_the_ends(
    start: float, end: float, found: list[Any], page: int
) -> None:
    memory = stored(10)
    parts = pages(memory, details(at(start), at(end), page, bounds=True))
    assert [value for part in parts for value in part] == found
    assert all(len(part) <= page for part in parts)


def test_a_missing_bound_says_so() -> None:
    memory = stored(10)
    result = history.read(history.wish_of(details(at(-3), at(0), bounds=True), 0), TAG, memory)
    assert values_of(result) == [(None, StatusCodes.BadBoundNotFound), (0.0, 0)]


@pytest.mark.parametrize("asked", [details(), details(start=at(0)), details(end=at(0)), details(number=5)])
def test_two_of_three_are_needed(asked: Any) -> None:
    assert history.wish_of(asked, 0) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_continuation_point_or_are_not(raw: bytes) -> None:
    wish = history.wish_of_point(raw, 0)
    if wish is not None:
        assert wish.point() == raw


def test_a_continuation_point_is_of_one_tag() -> None:
    point = history.wish_of(details(at(0), at(9), 2), 3).point()
    assert history.wish_of_point(point, 3) is not None
    assert history.wish_of_point(point, 4) is None


# Through the server


async def read(client: Client, tag: str, asked: Any, point: bytes | None = None, **more: Any) -> Any:
    wanted = ua.HistoryReadValueId(node_id(tag), None, ua.QualifiedName(), point)
    params = ua.HistoryReadParameters(
        asked, more.get("stamps", ua.TimestampsToReturn.Source), more.get("release", False), [wanted]
    )
    (result,) = await client.uaclient.history_read(params)
    return result


async def test_a_client_reads_all_by_its_own_means(plant: Plant, client_of: Clients) -> None:
    plant.history.series.update(stored(5000).series)
    async with await client_of(plant, "viewer") as client:
        node = client.get_node(node_id(TAG.name))
        found = await node.read_raw_history(at(0), at(10_000), return_bounds=False)
        assert [value.Value.Value for value in found] == [float(n) for n in range(5000)]
        assert found[1].StatusCode.value == 0x4094_0000
        assert found[1].SourceTimestamp == at(1)
        first = await read(client, TAG.name, details(at(0), at(10_000), 3000))
        rest = await read(client, TAG.name, details(at(0), at(10_000), 3000), first.ContinuationPoint)
        assert numbers_of(first) + numbers_of(rest) == [float(n) for n in range(5000)]
        assert rest.ContinuationPoint is None


@pytest.mark.parametrize(
    ("tag", "asked", "code"),
    [
        (TAG.name, details(), StatusCodes.BadHistoryOperationInvalid),
        ("battery1.serial_number", details(at(0), at(1)), StatusCodes.BadHistoryOperationUnsupported),
        ("/storage", details(at(0), at(1)), StatusCodes.BadHistoryOperationUnsupported),
        ("nothing.here", details(at(0), at(1)), StatusCodes.BadNodeIdUnknown),
    ],
    ids=["no span", "not kept", "folder", "unknown"],
)
async def test_what_is_not_offered_is_refused(
    plant: Plant, client_of: Clients, tag: str, asked: Any, code: int
) -> None:
    async with await client_of(plant) as client:
        assert (await read(client, tag, asked)).StatusCode.value == code


async def test_a_bad_continuation_point_and_times_not_kept_are_refused(
    plant: Plant, client_of: Clients
) -> None:
    span = details(at(0), at(1))
    async with await client_of(plant) as client:
        result = await read(client, TAG.name, span, b"nonsense")
        assert result.StatusCode.value == StatusCodes.BadContinuationPointInvalid
        result = await read(client, TAG.name, span, stamps=ua.TimestampsToReturn.Server)
        assert result.StatusCode.value == StatusCodes.BadTimestampNotSupported
        result = await read(client, TAG.name, span, release=True)
        assert result.StatusCode.is_good()
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await client.uaclient.history_update(ua.HistoryUpdateParameters())
        assert caught.value.code == StatusCodes.BadServiceUnsupported


@given(
    count=st.integers(0, 12),
    spans=st.lists(st.integers(-2, 14), max_size=6, unique=True).map(sorted),
    first=st.integers(-3, 15),
    last=st.integers(-3, 15),
    page=st.integers(1, 6),
    bounds=st.booleans(),
)
def test_what_cannot_be_read_is_told_in_pages_of_any_size(
    count: int, spans: list[int], first: int, last: int, page: int, bounds: bool
) -> None:
    """Even where late samples lie within it: all samples come once, and each span within is told of."""
    memory = stored(count)
    edges = [START + second * SECOND + SECOND // 2 for second in spans]
    damaged = tuple(zip(edges[::2], edges[1::2], strict=False))
    memory.series[TAG.name] = replace(memory.series[TAG.name], damaged=damaged)
    start, end = at(first), at(last)
    found = pages(memory, details(start, end, page, bounds))
    assert all(len(part) <= page for part in found)
    values = [value for part in found for value in part]
    if first == last or bounds:
        return
    inside = [float(n) for n in range(count) if first <= n < last or last < n <= first]
    wanted = inside if first < last else inside[::-1]
    assert [value for value in values if value is not None] == wanted
    low, high = sorted((START + first * SECOND, START + last * SECOND))
    touched = sum(one < high and other > low for one, other in damaged)
    assert values.count(None) >= touched
    if page == 6 and len(values) <= page:
        assert values.count(None) == touched


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_damaged_block_is_told_over_the_wire(
    make_plant: Callable[[], Plant], client_of: Clients, tmp_path: Path, backwards: bool
) -> None:
    settings, now = HistorianSettings(), START + 200 * SECOND
    recorder = Recorder(tmp_path / "history", settings, lambda: now)
    recorder.open()
    (entry,) = recorder.catalogue.register([TAG], START)
    for minute in range(3):
        times = START + minute * 60 * SECOND + SECOND * np.arange(60)
        values = to_bits(np.arange(60.0) + 60 * minute, ValueType.DOUBLE)
        ids, statuses = np.full(60, entry.id, np.uint32), np.zeros(60, np.uint32)
        rows = Rows(ids, statuses, times, values, np.zeros(0, np.uint32), ())
        recorder.offer(SamplesFrame(1, now, {"drivers": (60 * minute, 60 * minute + 60)}, rows))
        assert recorder.flush()
        recorder.rotate()
        assert recorder.pack(lambda: False)
    recorder.close()
    (day,) = day_files(tmp_path / "history").values()
    with sqlite3.connect(day) as database:
        asked = (entry.id, START + 60 * SECOND)
        spoil = "UPDATE blocks SET value_data = zeroblob(length(value_data)) WHERE tag = ? AND first_time = ?"
        assert database.execute(spoil, asked).rowcount == 1
    database.close()
    plant = make_plant()
    plant.history = History(tmp_path / "history", on_damage=lambda _: None)
    span = (at(170), at(5)) if backwards else (at(5), at(171))
    try:
        async with plant.running(), await client_of(plant) as client:
            result = await read(client, TAG.name, details(*span))
            wanted = [*map(float, range(5, 60)), None, *map(float, range(120, 171))]
            assert result.StatusCode.is_good()
            expected = wanted[::-1][:-1] if backwards else wanted
            assert numbers_of(result) == expected
            lost = result.HistoryData.DataValues[expected.index(None)]
            assert lost.StatusCode.value == StatusCodes.BadDataLost
            assert lost.SourceTimestamp == (at(119) if backwards else at(60))
            inner = await read(client, TAG.name, details(at(70), at(80), bounds=True))
            assert [status for _, status in values_of(inner)] == [StatusCodes.BadDataLost] * 3
    finally:
        plant.history.close()
