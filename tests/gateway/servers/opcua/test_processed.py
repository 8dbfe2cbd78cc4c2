"""HistoryRead of aggregates and of values at given times: over the wire as reckoned here, page by page, none lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import TAGS, Memory, Plant, node_id

from gateway.servers.opcua import limits
from gateway.servers.opcua.values import to_datetime, to_ns
from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed, ProcessedType
from gateway.tags.history import Series
from gateway.tags.tag import ValueType

Clients = Callable[..., Any]
SECOND = 1_000_000_000
NOON = 1_795_262_400 * SECOND
POWER, STATE, FORMING, CYCLES = (TAGS[place].name for place in (0, 2, 3, 5))
BUILT_IN = {
    ProcessedType.BOOL: ua.VariantType.Boolean,
    ProcessedType.INT32: ua.VariantType.Int32,
    ProcessedType.INT64: ua.VariantType.Int64,
    ProcessedType.UINT64: ua.VariantType.UInt64,
    ProcessedType.DOUBLE: ua.VariantType.Double,
    ProcessedType.STATUS_CODE: ua.VariantType.StatusCode,
}
NEVER = datetime(1601, 1, 1, tzinfo=UTC)
LOOSE = AggregateConfiguration(treat_uncertain_as_bad=False)


def at(seconds: float) -> datetime:
    return to_datetime(NOON + round(seconds * SECOND))


def kept(type: ValueType, values: list[Any]) -> Series:
    """Ten seconds apart: the fourth Bad, the seventh Uncertain, as Historian 1 of OPC 10000-13."""
    statuses = np.zeros(len(values), np.uint32)
    statuses[3:4], statuses[6:7] = 0x8000_0000, 0x4000_0000
    times = NOON + 10 * SECOND * np.arange(1, len(values) + 1)
    kinds = {
        ValueType.BOOL: bool,
        ValueType.INT64: np.int64,
        ValueType.UINT64: np.uint64,
        ValueType.DOUBLE: float,
    }
    return Series(type, times, np.array(values, kinds[type]), statuses)


@pytest.fixture
def memory() -> Memory:
    return Memory(
        {
            POWER: kept(ValueType.DOUBLE, [10, 20, 30, 40, 50, 60, 70, 80, 90]),
            STATE: kept(ValueType.INT64, [0, 1, 3, 0, 1, 1, 0, 3, -(2**62)]),
            CYCLES: kept(ValueType.UINT64, [0, 1, 2, 3, 4, 5, 6, 7, 2**64 - 1]),
            FORMING: kept(ValueType.BOOL, [0, 1, 1, 0, 1, 0, 0, 1, 0]),
        }
    )


def processed(
    *aggregates: Aggregate | int,
    start: float = 0,
    end: float = 100,
    interval_ms: float = 16_000,
    configuration: AggregateConfiguration | None = LOOSE,
) -> ua.ReadProcessedDetails:
    given = ua.AggregateConfiguration(UseServerCapabilitiesDefaults=True)
    if configuration is not None:
        given = ua.AggregateConfiguration(
            False,
            configuration.treat_uncertain_as_bad,
            ua.Byte(configuration.percent_data_bad),
            ua.Byte(configuration.percent_data_good),
            configuration.use_sloped_extrapolation,
        )
    nodes = [ua.NodeId(ua.Int32(int(aggregate))) for aggregate in aggregates]
    return ua.ReadProcessedDetails(at(start), at(end), interval_ms, nodes, given)


async def ask(
    client: Any, details: Any, *tags: str, points: tuple[Any, ...] = (), stamps: int = 0
) -> list[Any]:
    params = ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn(stamps),
        ReleaseContinuationPoints=False,
        NodesToRead=[
            ua.HistoryReadValueId(NodeId=node_id(tag), ContinuationPoint=point)
            for tag, point in zip(tags, points or (None,) * len(tags), strict=True)
        ],
    )
    return await client.uaclient.history_read(params)


def rows_of(result: ua.HistoryReadResult) -> list[Any]:
    return [
        (to_ns(found.SourceTimestamp), value_of(found.Value), found.StatusCode.value)
        for found in result.HistoryData.DataValues
    ]


def value_of(variant: ua.Variant | None) -> Any:
    if variant is None or variant.Value is None:
        return None
    plain = variant.Value.value if isinstance(variant.Value, ua.StatusCode) else variant.Value
    return variant.VariantType, plain


def local(found: Processed) -> list[Any]:
    columns = (found.times, found.values, found.has_value, found.statuses)
    return [
        (time // 1000 * 1000, (BUILT_IN[found.type], value) if has_value else None, status)
        for time, value, has_value, status in zip(*(column.tolist() for column in columns), strict=True)
    ]


async def test_every_aggregate_of_every_type_comes_as_it_is_reckoned(
    plant: Plant, client_of: Clients, memory: Memory
) -> None:
    plant.history.series = memory.series
    async with await client_of(plant) as client:
        for aggregate in Aggregate:
            results = await ask(client, processed(*[aggregate] * len(memory.series)), *memory.series)
            for tag, result in zip(memory.series, results, strict=True):
                assert result.StatusCode.value == 0
                assert result.ContinuationPoint is None
                found = memory.aggregate(tag, aggregate, NOON, NOON + 100 * SECOND, 16 * SECOND, LOOSE)
                assert rows_of(result) == local(found), (aggregate, tag)


async def test_the_example_of_time_average2_over_the_wire(
    plant: Plant, client_of: Clients, memory: Memory
) -> None:
    """OPC 10000-13, Annex A, Historian 1; and with the server's own configuration, by which Uncertain is Bad."""
    plant.history.series = memory.series
    async with await client_of(plant) as client:
        asked = processed(Aggregate.TIME_AVERAGE2, start=30, end=85, interval_ms=5000)
        (result,) = await ask(client, asked, POWER)
        values = [found.Value.Value for found in result.HistoryData.DataValues]
        assert values == [30, 30, None, None, 52.5, 57.5, 62.5, 67.5, 72.5, 77.5, 82.5]
        asked = processed(Aggregate.COUNT, start=64, end=80, configuration=None)
        (result,) = await ask(client, asked, POWER)
        assert [found.StatusCode.value for found in result.HistoryData.DataValues] == [0x8000_0000]


@pytest.mark.parametrize(("start", "end"), [(0, 100), (100, 0)], ids=["forwards", "backwards"])
@pytest.mark.parametrize("interval_ms", [7000, 0], ids=["many", "one"])
async def test_pages_together_are_the_whole(
    plant: Plant, client_of: Clients, memory: Memory, monkeypatch: pytest.MonkeyPatch, start, end, interval_ms
) -> None:
    plant.history.series = memory.series
    monkeypatch.setattr(limits, "HISTORY_VALUES", 4)
    asked = processed(Aggregate.DURATION_GOOD, start=start, end=end, interval_ms=interval_ms)
    rows, point, pages = [], None, 0
    async with await client_of(plant) as client:
        while point is not None or not pages:
            (result,) = await ask(client, asked, POWER, points=(point,))
            rows += rows_of(result)
            point, pages = result.ContinuationPoint, pages + 1
            assert pages < 10
    found = memory.aggregate(
        POWER,
        Aggregate.DURATION_GOOD,
        NOON + start * SECOND,
        NOON + end * SECOND,
        interval_ms * 1_000_000,
        LOOSE,
    )
    assert rows == local(found)
    assert pages == (4 if interval_ms else 1)


async def test_values_at_times_in_the_order_asked(
    plant: Plant, client_of: Clients, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.history.series = memory.series
    monkeypatch.setattr(limits, "HISTORY_VALUES", 3)
    seconds = [95, 5, 10, 35, 40, 15.5, 70]
    times = np.array([to_ns(at(second)) for second in seconds])
    async with await client_of(plant) as client:
        for simple in (False, True):
            asked = ua.ReadAtTimeDetails([at(second) for second in seconds], simple)
            rows, point, pages = [], None, 0
            while point is not None or not pages:
                (result,) = await ask(client, asked, POWER, points=(point,))
                rows += rows_of(result)
                point, pages = result.ContinuationPoint, pages + 1
            found = memory.at_time(POWER, times, AggregateConfiguration(), use_simple_bounds=simple)
            assert rows == local(found)
            assert pages == 3


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (processed(Aggregate.COUNT, Aggregate.COUNT), StatusCodes.BadAggregateListMismatch),
        (processed(Aggregate.COUNT, end=0), StatusCodes.BadInvalidArgument),
        (processed(Aggregate.COUNT, interval_ms=-1.0), StatusCodes.BadInvalidArgument),
        (processed(Aggregate.COUNT, interval_ms=float("nan")), StatusCodes.BadInvalidArgument),
        (processed(Aggregate.COUNT, interval_ms=1e-9), StatusCodes.BadInvalidArgument),
        (
            ua.ReadProcessedDetails(
                datetime(1601, 1, 1, tzinfo=UTC),
                at(1),
                0.0,
                [ua.NodeId(ua.Int32(2342))],
                ua.AggregateConfiguration(True),
            ),
            StatusCodes.BadInvalidArgument,
        ),
        (
            ua.ReadProcessedDetails(
                at(0),
                at(1),
                0.0,
                [ua.NodeId(ua.Int32(2342))],
                ua.AggregateConfiguration(False, True, ua.Byte(20), ua.Byte(30), False),
            ),
            StatusCodes.BadAggregateConfigurationRejected,
        ),
        (ua.ReadAtTimeDetails([], False), StatusCodes.BadInvalidArgument),
        (ua.ReadAtTimeDetails([NEVER], False), StatusCodes.BadInvalidArgument),
    ],
)
async def test_a_wrong_question_is_refused_whole(
    plant: Plant, client_of: Clients, asked: Any, code: int
) -> None:
    async with await client_of(plant) as client:
        with pytest.raises(ua.UaStatusCodeError) as raised:
            await ask(client, asked, POWER)
        assert raised.value.code == code


async def test_what_one_node_has_not_is_refused_for_that_node(
    plant: Plant, client_of: Clients, memory: Memory
) -> None:
    plant.history.series = {POWER: memory.series[POWER]}
    async with await client_of(plant) as client:
        nodes = (POWER, "/storage", "nothing.here", "battery1.serial_number", STATE)
        results = await ask(client, processed(2342, *[Aggregate.COUNT] * 4), *nodes)
        assert [result.StatusCode.value for result in results] == [
            0,
            StatusCodes.BadHistoryOperationUnsupported,
            StatusCodes.BadNodeIdUnknown,
            StatusCodes.BadHistoryOperationUnsupported,
            StatusCodes.GoodNoData,
        ]
        (result,) = await ask(client, processed(99_999), POWER)
        assert result.StatusCode.value == StatusCodes.BadAggregateNotSupported
        (result,) = await ask(client, processed(Aggregate.COUNT), POWER, points=(b"x" * 17,))
        assert result.StatusCode.value == StatusCodes.BadContinuationPointInvalid
        (result,) = await ask(client, processed(Aggregate.COUNT), POWER, stamps=1)
        assert result.StatusCode.value == StatusCodes.BadTimestampNotSupported


async def test_the_server_lists_the_aggregates_it_offers(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        for folder in (2997, 11201):  # AggregateFunctions of ServerCapabilities, HistoryServerCapabilities
            listed = await client.get_node(ua.NodeId(folder)).get_children()
            assert sorted(node.nodeid.Identifier for node in listed) == sorted(Aggregate)
            names = [(await node.read_browse_name()).Name for node in listed]
            assert names == [Aggregate(node.nodeid.Identifier).title for node in listed]
