"""HistoryRead of values that a later write replaced: as history has them, page by page, either way in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import TAGS, Plant, node_id

from gateway.servers.opcua.values import to_datetime
from gateway.tags.history import Modified, Series
from gateway.tags.tag import ValueType

Clients = Callable[..., Any]
SECOND = 1_000_000_000
NOON = 1_795_262_400 * SECOND
NEVER = datetime(1601, 1, 1, tzinfo=UTC)
TAG = TAGS[0].name


def at(seconds: float) -> datetime:
    return to_datetime(NOON + round(seconds * SECOND))


@pytest.fixture
def replacing(plant: Plant) -> Plant:
    """Five values replaced, of which three were of one time."""
    seconds = np.array([0, 10, 10, 10, 20])
    series = Series(
        ValueType.DOUBLE,
        NOON + seconds * SECOND,
        np.arange(5.0),
        np.array([0, 0, 0x8005_0000, 0, 0], np.uint32),
    )
    moments = NOON + np.array([60, 61, 62, 63, 64]) * SECOND
    plant.history.replaced = {TAG: Modified(series, moments, np.array([3, 3, 2, 3, 2], np.uint8))}
    return plant


async def read(
    client: Any, start: datetime, end: datetime, number: int, point: Any = None, **more: Any
) -> Any:
    params = ua.HistoryReadParameters(
        HistoryReadDetails=ua.ReadRawModifiedDetails(True, start, end, number, more.get("bounds", False)),
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=node_id(more.get("tag", TAG)), ContinuationPoint=point)],
    )
    (result,) = await client.uaclient.history_read(params)
    return result


async def test_replaced_values_come_with_when_and_how(replacing: Plant, client_of: Clients) -> None:
    async with await client_of(replacing) as client:
        result = await read(client, at(5), at(20), 0)
        found = result.HistoryData
        assert [value.Value.Value for value in found.DataValues] == [1.0, 2.0, 3.0]
        assert [value.StatusCode.value for value in found.DataValues] == [0, 0x8005_0000, 0]
        assert {value.SourceTimestamp for value in found.DataValues} == {at(10)}
        told = [(info.ModificationTime, info.UpdateType, info.UserName) for info in found.ModificationInfos]
        update = ua.HistoryUpdateType
        assert told == [
            (at(61), update.Update, None),
            (at(62), update.Replace, None),
            (at(63), update.Update, None),
        ]


@pytest.mark.parametrize(
    ("start", "end", "number", "values"),
    [
        (at(0), at(100), 2, [0, 1, 2, 3, 4]),
        (at(100), at(0), 2, [4, 3, 2, 1]),
        (at(10), NEVER, 3, [1, 2, 3]),
        (NEVER, at(10), 2, [3, 2]),
    ],
    ids=["forwards", "backwards", "the next three", "the last two"],
)
async def test_pages_together_are_the_whole(
    replacing: Plant, client_of: Clients, start: datetime, end: datetime, number: int, values: list[int]
) -> None:
    found, point, pages = [], None, 0
    async with await client_of(replacing) as client:
        while point is not None or not pages:
            result = await read(client, start, end, number, point)
            found += [value.Value.Value for value in result.HistoryData.DataValues]
            point, pages = result.ContinuationPoint, pages + 1
            assert pages < 10
    assert found == values


async def test_what_is_wrong_is_refused(replacing: Plant, client_of: Clients) -> None:
    async with await client_of(replacing) as client:
        assert (
            await read(client, NEVER, NEVER, 1)
        ).StatusCode.value == StatusCodes.BadHistoryOperationInvalid
        assert (
            await read(client, at(0), at(1), 0, bounds=True)
        ).StatusCode.value == StatusCodes.BadInvalidArgument
        result = await read(client, at(0), at(1), 0, b"nonsense")
        assert result.StatusCode.value == StatusCodes.BadContinuationPointInvalid
        result = await read(client, at(0), at(1), 0, tag="battery1.cycles")
        assert result.StatusCode.value == StatusCodes.GoodNoData
