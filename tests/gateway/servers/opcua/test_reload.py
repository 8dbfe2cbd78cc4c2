"""Another site while clients are connected: what stays is not interrupted, what went is said to be gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from asyncua import Client, ua
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import TAGS, Plant, node_id, until

from gateway.config.site import NO_TAG, Area, Site, Tag
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType

Clients = Callable[..., Any]
NEW = Tag("ev1.power_kw", ValueType.DOUBLE, "drivers", "ev", "ev1", unit="kW", stale_after_ms=60_000)
GONE = "battery1.cycles"
GONE_TEXT = "battery1.serial_number"


class Inbox:
    def __init__(self) -> None:
        self.values: dict[str, list[ua.DataValue]] = {}

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.setdefault(node.nodeid.Identifier, []).append(data.monitored_item.Value)


def changed(plant: Plant) -> Site:
    """The site with a device more, two tags less and another description, in the places of the region."""
    gone = [plant.region.index_of(name) for name in (GONE, GONE_TEXT)]
    tags = [NO_TAG if place in gone else tag for place, tag in enumerate(plant.site.tags)]
    power = plant.region.index_of("battery1.power_kw")
    tags[power] = replace(tags[power], description="said anew")
    plant.region.change([NEW.spec()], gone)
    return replace(plant.site, tags=(*tags, NEW), areas=(*plant.site.areas, Area("ev", "Chargers")))


async def children(client: Client, node: ua.NodeId) -> set[str]:
    found = await client.get_node(node).get_children()
    return {str(child.nodeid.Identifier) for child in found if child.nodeid.NamespaceIndex == 2}


async def test_subscriptions_of_tags_that_stay_go_on_and_the_rest_is_told(
    plant: Plant, client_of: Clients
) -> None:
    async with await client_of(plant) as client:
        inbox = Inbox()
        subscription = await client.create_subscription(50, inbox)
        names = ("battery1.power_kw", GONE, GONE_TEXT)
        plant.write(GONE_TEXT, "SN-1")
        await subscription.subscribe_data_change(
            [client.get_node(node_id(name)) for name in names], queuesize=100
        )
        plant.write("battery1.power_kw", 1.0)
        plant.write(GONE, 7)
        await until(lambda: len(inbox.values.get("battery1.power_kw", [])) >= 1)
        await until(lambda: inbox.values.get(GONE, [ua.DataValue(ua.Variant(0))])[-1].Value.Value == 7)

        assert plant.server is not None
        site = changed(plant)
        plant.server.take(site)
        for n in range(2, 6):
            plant.write("battery1.power_kw", float(n))
        plant.write("ev1.power_kw", -3.5)

        await until(lambda: inbox.values["battery1.power_kw"][-1].Value.Value == 5.0)
        told = [found for found in inbox.values["battery1.power_kw"] if found.Value.Value is not None]
        assert [found.Value.Value for found in told] == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert {found.StatusCode.value for found in told} == {Quality.GOOD}
        for name in (GONE, GONE_TEXT):
            await until(
                lambda name=name: inbox.values[name][-1].StatusCode.value == StatusCodes.BadNodeIdUnknown
            )

        assert await client.get_node(node_id("ev1.power_kw")).read_value() == -3.5
        gone = await client.get_node(node_id(GONE)).read_data_value(raise_on_bad_status=False)
        assert gone.StatusCode.value == StatusCodes.BadNodeIdUnknown
        power = client.get_node(node_id("battery1.power_kw"))
        assert (await power.read_description()).Text == "said anew"
        assert await children(client, ua.NodeId(ua.ObjectIds.ObjectsFolder)) >= {"/storage", "/ev"}
        assert await children(client, node_id("/ev/ev1")) == {"ev1.power_kw"}
        assert GONE not in await children(client, node_id("/storage/battery1"))

        await subscription.subscribe_data_change(client.get_node(node_id("ev1.power_kw")), queuesize=10)
        plant.write("ev1.power_kw", 4.5)
        await until(lambda: "ev1.power_kw" in inbox.values)
        await until(lambda: inbox.values["ev1.power_kw"][-1].Value.Value == 4.5)


async def test_the_same_site_once_more_changes_nothing(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        before = await children(client, ua.NodeId(ua.ObjectIds.ObjectsFolder))
        assert plant.server is not None
        plant.server.take(plant.site)
        assert await children(client, ua.NodeId(ua.ObjectIds.ObjectsFolder)) == before
        plant.write("battery1.power_kw", 2.5)
        assert await client.get_node(node_id("battery1.power_kw")).read_value() == 2.5


async def test_a_stale_tag_is_told_as_stale_after_a_reload_too(make_plant: Callable[..., Plant]) -> None:
    plant = make_plant()
    async with plant.running() as server:
        freshness = server.iserver.plant.freshness
        freshness.look(0)
        server.take(changed(plant))
        plant.write("ev1.power_kw", 1.0)
        plant.write("battery1.power_kw", 1.0)
        freshness.look(1_000_000_000)
        gone = freshness.look(100_000_000_000)
        assert {plant.region.index_of(name) for name in ("ev1.power_kw", "battery1.power_kw")} <= set(
            gone.tolist()
        )
    assert len(TAGS) < plant.region.tag_count
