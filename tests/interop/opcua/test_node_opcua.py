"""node-opcua, which shares no code with the server: signs in encrypted, browses, watches, writes, reads history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opcua_plant import PASSWORD, Plant, site_of

from gateway.config.site import OpcUaSettings, Trust
from gateway.servers.opcua import limits
from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from gateway.tags.history import Series
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType

ALL = OpcUaSettings(
    port=0,
    security=(
        "Basic256Sha256:SignAndEncrypt",
        "Aes256_Sha256_RsaPss:SignAndEncrypt",
        "Aes128_Sha256_RsaOaep:Sign",
    ),
    trust=Trust.ALL,
)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(site_of(settings=ALL), tmp_path)
    yield made
    made.close()


async def test_a_whole_shift_of_an_operator(plant: Plant, node_client: Any) -> None:
    first = plant.write("battery1.power_kw", 12.5, late_ns=3_000_000)
    begin_ms = first // 1_000_000
    async with plant.running(), node_client(plant.url, user="operator", password=PASSWORD) as client:
        signed_in = await client.expect("signed in")
        assert signed_in["mode"] == "SignAndEncrypt"
        assert signed_in["policy"].endswith("#Basic256Sha256")

        objects = await client.wish("browse", node="i=85")
        assert {"storage", "loads", "_system"} <= {found["name"] for found in objects["found"]}
        battery = await client.wish("browse", node="ns=2;s=/storage/battery1")
        assert "ns=2;s=battery1.power_kw" in {found["node"] for found in battery["found"]}
        found = await client.wish("translate", path="/2:storage/2:battery1/2:power_kw")
        assert found["node"] == "ns=2;s=battery1.power_kw"

        span = await client.wish("read", node="ns=2;s=battery1.power_kw/EURange")
        assert (span["value"]["low"], span["value"]["high"]) == (-60, 60)
        unit = await client.wish("read", node="ns=2;s=battery1.power_kw/EngineeringUnits")
        assert unit["value"]["unitId"] == int.from_bytes(b"KWT", "big")
        assert unit["value"]["displayName"]["text"] == "kW"

        now = await client.wish("read", node="ns=2;s=battery1.power_kw")
        assert (now["status"], now["value"]) == ("Good", 12.5)
        assert (now["source"], now["server"]) == (begin_ms, (first + 3_000_000) // 1_000_000)

        await client.wish("watch", node="ns=2;s=battery1.power_kw", queue=100)
        await client.until_changes(1)
        times = [plant.write("battery1.power_kw", float(n)) for n in range(20)]
        plant.writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns())
        await client.until_changes(22)
        assert [change["value"] for change in client.changes] == [12.5, *map(float, range(20)), 19.0]
        assert [change["source"] for change in client.changes[1:21]] == [at // 1_000_000 for at in times]
        assert [change["status"] for change in client.changes] == ["Good"] * 21 + ["BadCommunicationError"]

        setpoint = "ns=2;s=battery1.power_setpoint_kw"
        assert (await client.wish("write", node=setpoint, type="Double", value=-7.5))["status"] == "Good"
        assert (await client.wish("read", node=setpoint))["value"] == -7.5
        assert (await client.wish("write", node=setpoint, type="Double", value=99))[
            "status"
        ] == "BadOutOfRange"
        assert (await client.wish("write", node=setpoint, type="Int32", value=1))[
            "status"
        ] == "BadTypeMismatch"
        breaker = "ns=2;s=feeder1.breaker_close_command"
        refused = await client.wish("write", node=breaker, type="Boolean", value=True)
        assert refused["status"] == "BadUserAccessDenied"

        values = np.arange(2500.0)
        plant.history.series["battery1.power_kw"] = Series(
            ValueType.DOUBLE,
            (first + np.arange(2500) * 1_000_000).astype(np.int64),
            values,
            np.zeros(2500, np.uint32),
        )
        history = await client.wish(
            "history", node="ns=2;s=battery1.power_kw", start=begin_ms, end=begin_ms + 60_000, page=1000
        )
        assert (history["status"], history["pages"]) == ("Good", 3)
        assert [value for _, value, _ in history["values"]] == values.tolist()
        assert history["values"][1][0] == begin_ms + 1


async def test_aggregates_and_values_at_given_times(plant: Plant, node_client: Any) -> None:
    noon, second, tag = 1_795_262_400, 1_000_000_000, "battery1.power_kw"
    statuses = np.zeros(9, np.uint32)
    statuses[3], statuses[6] = 0x8000_0000, 0x4000_0000
    kept = Series(
        ValueType.DOUBLE, (noon + 10 * np.arange(1, 10)) * second, np.arange(10.0, 100.0, 10.0), statuses
    )
    plant.history.series[tag] = kept
    begin, end, defaults = noon, noon + 100, AggregateConfiguration()
    async with plant.running(), node_client(plant.url, user="viewer", password=PASSWORD) as client:
        await client.expect("signed in")
        asked = {"node": f"ns=2;s={tag}", "start": begin * 1000, "end": end * 1000, "interval": 16_000}
        for aggregate in Aggregate:
            got = await client.wish("processed", **asked, aggregate=f"i={int(aggregate)}")
            here = plant.history.aggregate(
                tag, aggregate, begin * second, end * second, 16 * second, defaults
            )
            assert (got["status"], got["values"]) == ("Good", as_told(here)), aggregate.title

        loose = {"treatUncertainAsBad": False, "percentDataBad": 60, "percentDataGood": 40}
        given = {"useServerCapabilitiesDefaults": False, "useSlopedExtrapolation": False, **loose}
        backward = asked | {"start": end * 1000, "end": begin * 1000, "configuration": given}
        got = await client.wish("processed", **backward, aggregate=f"i={int(Aggregate.TIME_AVERAGE)}")
        configuration = AggregateConfiguration(False, 60, 40, False)
        here = plant.history.aggregate(
            tag, Aggregate.TIME_AVERAGE, end * second, begin * second, 16 * second, configuration
        )
        assert got["values"] == as_told(here)

        more = limits.HISTORY_VALUES + 5
        fine = asked | {"end": begin * 1000 + more, "interval": 1}
        got = await client.wish("processed", **fine, aggregate=f"i={int(Aggregate.COUNT)}")
        assert (got["pages"], [time for time, *_ in got["values"]]) == (
            2,
            list(range(begin * 1000, begin * 1000 + more)),
        )

        times = [begin + 5, begin + 10, begin + 25, begin + 45, begin + 95]
        got = await client.wish("atTimes", node=f"ns=2;s={tag}", times=[time * 1000 for time in times])
        here = plant.history.at_time(tag, np.array(times) * second, defaults, use_simple_bounds=True)
        assert (got["status"], got["values"]) == ("Good", as_told(here))
        refused = await client.wish("processed", **asked, aggregate="i=2340")  # a folder
        assert refused["status"] == "BadAggregateNotSupported"


def as_told(found: Processed) -> list[list[Any]]:
    columns = (found.times // 1_000_000, found.values, found.has_value, found.statuses)
    return [
        [time, value if has_value else None, status]
        for time, value, has_value, status in zip(*(column.tolist() for column in columns), strict=True)
    ]


@pytest.mark.parametrize(
    ("policy", "mode"), [("Aes256_Sha256_RsaPss", "SignAndEncrypt"), ("Aes128_Sha256_RsaOaep", "Sign")]
)
async def test_other_policies_that_the_site_allows(
    plant: Plant, node_client: Any, policy: str, mode: str
) -> None:
    plant.write("battery1.power_kw", 1.5)
    async with (
        plant.running(),
        node_client(plant.url, user="viewer", password=PASSWORD, policy=policy, mode=mode) as client,
    ):
        assert (await client.expect("signed in"))["mode"] == mode
        assert (await client.wish("read", node="ns=2;s=battery1.power_kw"))["value"] == 1.5


@pytest.mark.parametrize(
    "options",
    [
        {"user": "operator", "password": "wrong"},
        {},
        {"user": "operator", "password": PASSWORD, "policy": "None", "mode": "None"},
        {"user": "operator", "password": PASSWORD, "mode": "Sign"},
    ],
    ids=["wrong password", "anonymous", "no security", "signed only"],
)
async def test_who_is_not_let_in(plant: Plant, node_client: Any, options: dict[str, str]) -> None:
    async with plant.running(), node_client(plant.url, **options) as client:
        await client.expect("failed")
        assert plant.devices.commands == []
