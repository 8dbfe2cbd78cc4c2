"""A value that its owner has stopped refreshing is not served as Good, whatever the image still says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opcua_plant import Plant, node_id, site_of, until

from gateway.servers.freshness import GRACE_NS, Freshness
from gateway.tags.quality import Quality

SECOND = 1_000_000_000
POWER, SERIAL = "battery1.power_kw", "battery1.serial_number"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """One whose values are current for 300 ms."""
    made = Plant(site_of(stale_after_ms=300), tmp_path)
    yield made
    made.close()


def found(plant: Plant, freshness: Freshness, name: str) -> tuple[int, int]:
    samples = plant.region.read(np.array([plant.region.index_of(name)], np.uint32))
    freshness.mark(samples, 77)
    return int(samples["status"][0]), int(samples["source_time"][0])


def test_age_runs_from_the_last_refresh_on_the_steady_clock(plant: Plant) -> None:
    freshness = Freshness(plant.region, plant.site.tags)
    power = plant.region.index_of(POWER)
    at = plant.write(POWER, 1.0)
    limit = 300_000_000 + GRACE_NS
    assert len(freshness.look(10 * SECOND)) == 0
    assert len(freshness.look(10 * SECOND + limit)) == 0
    assert found(plant, freshness, POWER) == (Quality.GOOD, at)
    assert list(freshness.look(10 * SECOND + limit + 1)) == [power]
    assert found(plant, freshness, POWER) == (Quality.BAD_NO_COMMUNICATION, 77)
    assert len(freshness.look(11 * SECOND)) == 0  # told once


def test_a_wall_clock_that_jumps_makes_nothing_stale(plant: Plant) -> None:
    freshness = Freshness(plant.region, plant.site.tags)
    plant.write(POWER, 1.0, at_ns=time.time_ns() - 3600 * SECOND)
    assert len(freshness.look(0)) == 0
    assert len(freshness.look(SECOND // 2)) == 0


def test_a_refreshed_value_is_good_at_once_and_not_only_at_the_next_look(plant: Plant) -> None:
    freshness = Freshness(plant.region, plant.site.tags)
    plant.write(POWER, 1.0)
    freshness.look(0)
    freshness.look(SECOND)
    at = plant.write(POWER, 1.0)
    assert found(plant, freshness, POWER) == (Quality.GOOD, at)


def test_a_tag_that_is_bad_already_keeps_its_own_reason(plant: Plant) -> None:
    freshness = Freshness(plant.region, plant.site.tags)
    at = plant.write(POWER, 1.0, Quality.BAD_SENSOR_FAILURE)
    freshness.look(0)
    assert len(freshness.look(60 * SECOND)) == 0
    assert found(plant, freshness, POWER) == (Quality.BAD_SENSOR_FAILURE, at)


async def test_a_client_is_told_when_a_hung_drivers_values_age_and_when_they_are_back(
    plant: Plant, client_of: Callable[..., Any]
) -> None:
    told: list[tuple[Any, int]] = []

    class Inbox:
        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            told.append((value, data.monitored_item.Value.StatusCode.value))

    plant.write(POWER, 5.0)
    plant.write(SERIAL, "B-7")
    async with plant.running(), await client_of(plant) as client:
        subscription = await client.create_subscription(50, Inbox())
        nodes = [client.get_node(node_id(name)) for name in (POWER, SERIAL)]
        await subscription.subscribe_data_change(nodes)
        await until(lambda: (5.0, Quality.BAD_NO_COMMUNICATION) in told)
        await until(lambda: ("B-7", Quality.BAD_NO_COMMUNICATION) in told)
        for node, value in zip(nodes, (5.0, "B-7"), strict=True):
            read = await node.read_data_value(raise_on_bad_status=False)
            assert (read.Value.Value, read.StatusCode.value) == (value, Quality.BAD_NO_COMMUNICATION)
        plant.write(POWER, 5.0)
        await until(lambda: told[-1] == (5.0, Quality.GOOD))
