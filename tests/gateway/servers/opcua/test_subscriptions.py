"""Every change reaches a subscriber's queue, in order; what does not is said to be lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import Plant, node_id, until

from gateway.servers.opcua import limits
from gateway.servers.opcua.values import to_datetime
from gateway.tags.quality import Quality

Clients = Callable[..., Any]
OVERFLOW = 0x480


class Inbox:
    """Keeps what a subscription tells, by node."""

    def __init__(self) -> None:
        self.values: dict[str, list[ua.DataValue]] = {}

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.setdefault(node.nodeid.Identifier, []).append(data.monitored_item.Value)

    def numbers(self, name: str) -> list[Any]:
        return [found.Value.Value for found in self.values.get(name, [])]


async def watch(
    client: Client, *tags: str, queue: int = 100, interval: float = 50, **more: Any
) -> tuple[Inbox, Any, list[int]]:
    inbox = Inbox()
    subscription = await client.create_subscription(interval, inbox)
    nodes = [client.get_node(node_id(tag)) for tag in tags]
    handles = await subscription.subscribe_data_change(nodes, queuesize=queue, **more)
    return inbox, subscription, handles


async def test_every_pulse_between_two_publishes_arrives_in_order(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        inbox, _, _ = await watch(client, "battery1.power_kw", interval=300)
        await until(lambda: inbox.numbers("battery1.power_kw") == [None])
        times = [plant.write("battery1.power_kw", float(n % 2), late_ns=5_000_000) for n in range(40)]
        await until(lambda: len(inbox.numbers("battery1.power_kw")) == 41)
        assert inbox.numbers("battery1.power_kw")[1:] == [float(n % 2) for n in range(40)]
        for found, at in zip(inbox.values["battery1.power_kw"][1:], times, strict=True):
            assert found.StatusCode.value == Quality.GOOD
            assert found.SourceTimestamp == to_datetime(at)
            assert found.ServerTimestamp == to_datetime(at + 5_000_000)


async def test_every_type_and_status_arrives(plant: Plant, client_of: Clients) -> None:
    tags = ("battery1.serial_number", "battery1.cycles", "battery1.state", "battery1.grid_forming")
    async with await client_of(plant) as client:
        inbox, _, _ = await watch(client, *tags)
        await until(lambda: len(inbox.values) == 4)
        plant.write("battery1.serial_number", "Zürich")
        plant.write("battery1.cycles", (1 << 64) - 1)
        plant.write("battery1.state", -5, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        plant.write("battery1.grid_forming", True)
        await until(lambda: all(len(inbox.numbers(tag)) == 2 for tag in tags))
        assert [inbox.numbers(tag)[1] for tag in tags] == ["Zürich", (1 << 64) - 1, -5, True]
        assert (
            inbox.values["battery1.state"][1].StatusCode.value == Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        )
        plant.writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns())
        await until(lambda: all(len(inbox.numbers(tag)) == 3 for tag in tags))
        assert [inbox.numbers(tag)[2] for tag in tags] == ["Zürich", (1 << 64) - 1, -5, True]
        assert {inbox.values[tag][2].StatusCode.value for tag in tags} == {Quality.BAD_COMMUNICATION_ERROR}


async def test_a_value_polled_again_unchanged_is_no_news(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        plant.write("battery1.power_kw", 1.0)
        inbox, _, _ = await watch(client, "battery1.power_kw")
        await until(lambda: inbox.numbers("battery1.power_kw") == [1.0])
        for value in (1.0, 1.0, 2.0, 2.0, 1.0):
            plant.write("battery1.power_kw", value)
        await until(lambda: len(inbox.numbers("battery1.power_kw")) == 3)
        assert inbox.numbers("battery1.power_kw") == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        (
            ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Absolute, 2.0),
            [0.0, 3.0, 6.0],
        ),
        # 5 % of -60..60 are 6
        (ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Percent, 5.0), [0.0, 6.5]),
        (ua.DataChangeFilter(ua.DataChangeTrigger.Status), [0.0]),
        (
            ua.DataChangeFilter(ua.DataChangeTrigger.StatusValueTimestamp),
            [0.0, 1.0, 2.0, 3.0, 3.0, 4.0, 6.0, 6.5],
        ),
    ],
    ids=["absolute", "percent", "status", "timestamp"],
)
async def test_a_filter_decides_what_is_news(
    plant: Plant, client_of: Clients, filter: Any, told: list[float]
) -> None:
    async with await client_of(plant) as client:
        plant.write("battery1.power_kw", 0.0)
        inbox = Inbox()
        subscription = await client.create_subscription(50, inbox)
        node = client.get_node(node_id("battery1.power_kw"))
        await subscription._subscribe(node, mfilter=filter, queuesize=100)
        for value in (1.0, 2.0, 3.0, 3.0, 4.0, 6.0, 6.5):
            plant.write("battery1.power_kw", value)
        plant.write("battery1.power_kw", 6.5, Quality.BAD_SENSOR_FAILURE)  # a status is always news
        await until(lambda: len(inbox.numbers("battery1.power_kw")) == len(told) + 1)
        assert inbox.numbers("battery1.power_kw") == [*told, 6.5]


@pytest.mark.parametrize(
    ("tag", "filter", "code"),
    [
        (
            "battery1.cycles",
            ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Percent, 5.0),
            StatusCodes.BadMonitoredItemFilterUnsupported,
        ),
        (
            "battery1.power_kw",
            ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Percent, 500.0),
            StatusCodes.BadDeadbandFilterInvalid,
        ),
        (
            "battery1.power_kw",
            ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Absolute, -1.0),
            StatusCodes.BadDeadbandFilterInvalid,
        ),
        (
            "battery1.serial_number",
            ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Absolute, 1.0),
            StatusCodes.BadFilterNotAllowed,
        ),
        ("battery1.power_kw", ua.EventFilter(), StatusCodes.BadMonitoredItemFilterUnsupported),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(
    plant: Plant, client_of: Clients, tag: str, filter: Any, code: int
) -> None:
    async with await client_of(plant) as client:
        subscription = await client.create_subscription(50, Inbox())
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await subscription._subscribe(client.get_node(node_id(tag)), mfilter=filter)
        assert caught.value.code == code


async def test_a_full_queue_drops_the_oldest_and_says_so(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        inbox, _, _ = await watch(client, "battery1.power_kw", queue=3, interval=600)
        await until(lambda: inbox.numbers("battery1.power_kw") == [None])
        for value in range(8):
            plant.write("battery1.power_kw", float(value))
        await until(lambda: len(inbox.numbers("battery1.power_kw")) == 4)
        assert inbox.numbers("battery1.power_kw")[1:] == [5.0, 6.0, 7.0]
        statuses = [found.StatusCode.value for found in inbox.values["battery1.power_kw"][1:]]
        assert statuses == [OVERFLOW, 0, 0]


async def test_lapped_by_the_journal_the_last_value_arrives_marked(
    make_plant: Callable[..., Plant], client_of: Clients
) -> None:
    plant = make_plant()
    async with plant.running(), await client_of(plant) as client:
        inbox, _, _ = await watch(client, "battery1.power_kw", "battery1.cycles")
        await until(lambda: len(inbox.values) == 2)
        plant.write("battery1.cycles", 77)
        for value in range(3 * plant.site.journal_records):  # nobody reads meanwhile: this is one thread
            plant.write("battery1.power_kw", float(value))
        last = float(3 * plant.site.journal_records - 1)
        await until(lambda: inbox.numbers("battery1.power_kw")[-1] == last)
        await until(lambda: inbox.numbers("battery1.cycles")[-1] == 77)
        assert inbox.values["battery1.cycles"][-1].StatusCode.value == OVERFLOW
        codes = [found.StatusCode.value for found in inbox.values["battery1.power_kw"]]
        assert OVERFLOW in codes
        assert plant.server.iserver.feed.changes_lost > 0
        found = inbox.numbers("battery1.power_kw")[1:]
        assert found == sorted(found), "an older value never comes after a newer one"


async def test_times_not_asked_for_are_not_sent(plant: Plant, client_of: Clients) -> None:
    plant.write("battery1.power_kw", 1.0)
    async with await client_of(plant) as client:
        subscription = await client.create_subscription(50, Inbox())
        for wanted, has in (
            (ua.TimestampsToReturn.Source, (True, False)),
            (ua.TimestampsToReturn.Server, (False, True)),
            (ua.TimestampsToReturn.Neither, (False, False)),
        ):
            taken: list[ua.DataValue] = []
            server_side = plant.server.iserver.subscriptions.subscriptions[subscription.subscription_id]
            item = ua.MonitoredItemCreateRequest(
                ua.ReadValueId(node_id("battery1.power_kw"), ua.AttributeIds.Value),
                ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(ClientHandle=9, SamplingInterval=0.0, QueueSize=1),
            )
            params = ua.CreateMonitoredItemsParameters(subscription.subscription_id, wanted, [item])
            server_side._publishing_enabled = False
            (made,) = await client.uaclient.create_monitored_items(params)
            assert made.StatusCode.is_good()
            result = ua.PublishResult()
            server_side._pop_triggered_datachanges(result)
            (notification,) = result.NotificationMessage.NotificationData
            decoded = ua.ua_binary.struct_from_binary(
                ua.DataChangeNotification, ua.utils.Buffer(notification.Body)
            )
            taken.extend(item.Value for item in decoded.MonitoredItems)
            assert [(v.SourceTimestamp is not None, v.ServerTimestamp is not None) for v in taken] == [has]


async def test_an_item_stops_when_it_is_disabled_or_deleted(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        inbox, subscription, (handle, other) = await watch(client, "battery1.power_kw", "battery1.cycles")
        await until(lambda: len(inbox.values) == 2)
        await client.uaclient.set_monitoring_mode(
            ua.SetMonitoringModeParameters(subscription.subscription_id, ua.MonitoringMode.Disabled, [handle])
        )
        plant.write("battery1.power_kw", 5.0)
        plant.write("battery1.cycles", 1)
        await until(lambda: inbox.numbers("battery1.cycles") == [None, 1])
        assert inbox.numbers("battery1.power_kw") == [None]
        await client.uaclient.set_monitoring_mode(
            ua.SetMonitoringModeParameters(
                subscription.subscription_id, ua.MonitoringMode.Reporting, [handle]
            )
        )
        await until(lambda: inbox.numbers("battery1.power_kw") == [None, 5.0])
        await subscription.unsubscribe([handle, other])
        assert plant.server.iserver.feed._reader is None, "nobody watches, nothing is read"


async def test_the_end_of_a_session_ends_what_it_watched(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        await watch(client, "battery1.power_kw")
        assert plant.server.iserver.feed._reader is not None
    await until(lambda: plant.server.iserver.feed._reader is None)
    assert not plant.server.iserver.subscriptions.subscriptions


async def test_more_than_a_message_holds_comes_in_several(
    plant: Plant, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NOTIFICATIONS_PER_PUBLISH", 7)
    async with await client_of(plant) as client:
        inbox, _, _ = await watch(client, "battery1.power_kw", interval=200)
        await until(lambda: inbox.numbers("battery1.power_kw") == [None])
        for value in range(50):
            plant.write("battery1.power_kw", float(value))
        await until(lambda: len(inbox.numbers("battery1.power_kw")) == 51)
        assert inbox.numbers("battery1.power_kw")[1:] == [float(value) for value in range(50)]


async def test_a_subscription_moves_to_another_session_of_its_user(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as first, await client_of(plant) as second:
        _, subscription, _ = await watch(first, "battery1.power_kw")
        await watch(second, "battery1.cycles")  # keeps Publish requests coming
        params = ua.TransferSubscriptionsParameters([subscription.subscription_id], True)
        (result,) = await second.uaclient.transfer_subscriptions(params)
        assert result.StatusCode.is_good()
        moved = plant.server.iserver.subscriptions.subscriptions[subscription.subscription_id]
        sent = moved._notification_seq
        plant.write("battery1.power_kw", 3.0)
        await until(lambda: moved._notification_seq > sent and not moved._waiting)


async def test_the_library_tells_of_its_own_nodes_still(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        inbox = Inbox()
        subscription = await client.create_subscription(50, inbox)
        clock = client.get_node(ua.ObjectIds.Server_ServerStatus_CurrentTime)
        await subscription.subscribe_data_change([clock])
        await until(lambda: bool(inbox.values))


async def test_publishing_intervals_are_kept_within_bounds(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        for asked, given in ((0, 50.0), (-1, 50.0), (1e9, 60_000.0), (250, 250.0)):
            params = ua.CreateSubscriptionParameters(float(asked), 10_000, 10, 0, True, 0)
            result = await client.uaclient.create_subscription(params, callback=lambda _: None)
            assert result.RevisedPublishingInterval == given
            await asyncio.sleep(0)
