"""The site as a client finds it when it browses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import TAGS, Plant, node_id, site_of

from gateway.servers.opcua.nodes import properties_of, type_of
from gateway.servers.opcua.values import to_datetime
from gateway.tags.quality import Quality

Clients = Callable[..., Any]


async def names(client: Client, node: Any) -> list[str]:
    return [(await child.read_browse_name()).Name for child in await node.get_children()]


async def test_areas_devices_and_points_are_found_by_their_names(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        objects = client.nodes.objects
        assert {"storage", "loads", "_system"} <= set(await names(client, objects))
        battery = await objects.get_child(["2:storage", "2:battery1"])
        assert battery.nodeid == node_id("/storage/battery1")
        assert await names(client, battery) == [
            "power_kw",
            "power_setpoint_kw",
            "state",
            "grid_forming",
            "serial_number",
            "cycles",
        ]
        feeder = await objects.get_child(["2:loads", "2:feeders", "2:feeder1", "2:breaker_close_command"])
        assert feeder.nodeid == node_id("feeder1.breaker_close_command")
        system = await objects.get_child(["2:_system", "2:battery1", "2:connected"])
        assert system.nodeid == node_id("_system.battery1.connected")
        storage = await objects.get_child(["2:storage"])
        assert (await storage.read_description()).Text == "Battery"
        path = await feeder.get_path()
        assert [node.nodeid for node in path[-3:-1]] == [
            node_id("/loads/feeders"),
            node_id("/loads/feeders/feeder1"),
        ]


@pytest.mark.parametrize("sloped", [False, True])
async def test_a_tag_with_a_history_tells_how_it_is_read_between_its_samples(
    sloped: bool, tmp_path: Path, client_of: Clients
) -> None:
    made = Plant(site_of((replace(TAGS[0], sloped=sloped), *TAGS[1:])), tmp_path)
    try:
        async with made.running(), await client_of(made) as client:
            node = client.get_node(node_id("battery1.power_kw"))
            (top,) = await node.get_referenced_nodes(ObjectIds.HasHistoricalConfiguration)
            assert (await top.read_browse_name()) == ua.QualifiedName("HA Configuration", 0)
            assert await top.read_node_class() == ua.NodeClass.Object
            assert (await top.read_type_definition()).Identifier == ObjectIds.HistoricalDataConfigurationType
            assert await (await top.get_child("0:Stepped")).read_value() is not sloped
            aggregates = await top.get_child("0:AggregateConfiguration")
            kind = (await aggregates.read_type_definition()).Identifier
            assert kind == ObjectIds.AggregateConfigurationType
            found = {
                (await each.read_browse_name()).Name: await each.read_data_value()
                for each in await aggregates.get_properties()
            }
            assert {name: (each.Value.VariantType, each.Value.Value) for name, each in found.items()} == {
                "TreatUncertainAsBad": (ua.VariantType.Boolean, True),
                "PercentDataBad": (ua.VariantType.Byte, 100),
                "PercentDataGood": (ua.VariantType.Byte, 100),
                "UseSlopedExtrapolation": (ua.VariantType.Boolean, False),
            }
            (back,) = await aggregates.get_references(ObjectIds.HasComponent, ua.BrowseDirection.Inverse)
            assert back.NodeId == top.nodeid

            unkept = client.get_node(node_id("battery1.serial_number"))
            assert await unkept.get_referenced_nodes(ObjectIds.HasHistoricalConfiguration) == []
            with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
                await client.get_node(node_id("battery1.serial_number/HA Configuration")).read_node_class()
    finally:
        made.close()


async def test_an_analog_point_carries_range_and_unit(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        node = client.get_node(node_id("battery1.power_kw"))
        assert (await node.read_type_definition()).Identifier == ObjectIds.AnalogItemType
        assert (await node.read_description()).Text == "Positive when it discharges"
        assert await node.read_data_type() == ua.NodeId(ObjectIds.Double)
        span = await (await node.get_child("0:EURange")).read_value()
        assert (span.Low, span.High) == (-60.0, 60.0)
        unit = await (await node.get_child("0:EngineeringUnits")).read_value()
        assert unit.NamespaceUri == "http://www.opcfoundation.org/UA/units/un/cefact"
        assert unit.UnitId == int.from_bytes(b"KWT", "big")  # kilowatt in UNECE Recommendation 20
        assert unit.DisplayName.Text == "kW"
        assert await (await node.get_child("0:ValuePrecision")).read_value() == 1.0
        setpoint = client.get_node(node_id("battery1.power_setpoint_kw/EURange"))
        assert (await setpoint.read_value()).High == 50.0, "what may be written, for want of a range"


async def test_states_have_names(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        state = client.get_node(node_id("battery1.state"))
        assert (await state.read_type_definition()).Identifier == ObjectIds.MultiStateDiscreteType
        strings = await (await state.get_child("0:EnumStrings")).read_value()
        assert [text.Text for text in strings] == ["standby", "charging", None, "fault"]
        forming = client.get_node(node_id("battery1.grid_forming"))
        assert (await forming.read_type_definition()).Identifier == ObjectIds.TwoStateDiscreteType
        assert (await (await forming.get_child("0:TrueState")).read_value()).Text == "forming"
        assert (await (await forming.get_child("0:FalseState")).read_value()).Text == "following"


@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: tag.name)
def test_a_type_promises_what_the_properties_keep(tag: Any) -> None:
    mandatory = {
        ObjectIds.AnalogItemType: {"EURange"},
        ObjectIds.AnalogUnitType: {"EngineeringUnits"},
        ObjectIds.TwoStateDiscreteType: {"TrueState", "FalseState"},
        ObjectIds.MultiStateDiscreteType: {"EnumStrings"},
        ObjectIds.BaseDataVariableType: set(),
    }
    assert mandatory[type_of(tag).Identifier] <= set(properties_of(tag))


def test_states_that_are_no_small_numbers_are_pairs_of_value_and_name() -> None:
    (state,) = [tag for tag in TAGS if tag.name == "battery1.state"]
    found = properties_of(replace(state, states={-1: "unknown", 70_000: "odd"}))
    assert [(pair.Value, pair.DisplayName.Text) for pair in found["EnumValues"].value.Value] == [
        (-1, "unknown"),
        (70_000, "odd"),
    ]


@pytest.mark.parametrize(
    ("user", "setpoint", "breaker"), [("viewer", 5, 5), ("operator", 7, 5), ("engineer", 7, 7)]
)
async def test_access_levels_say_what_this_user_may(
    plant: Plant, client_of: Clients, user: str, setpoint: int, breaker: int
) -> None:
    """Read is 1, write 2, history 4."""
    async with await client_of(plant, user) as client:
        for name, own, all in (
            ("battery1.power_kw", 5, 5),
            ("battery1.power_setpoint_kw", setpoint, 7),
            ("feeder1.breaker_close_command", breaker, 7),
            ("battery1.serial_number", 1, 1),
        ):
            node = client.get_node(node_id(name))
            assert (await node.read_attribute(ua.AttributeIds.UserAccessLevel)).Value.Value == own
            assert (await node.read_attribute(ua.AttributeIds.AccessLevel)).Value.Value == all
            is_kept = (await node.read_attribute(ua.AttributeIds.Historizing)).Value.Value
            assert is_kept == bool(all & 4)


async def test_a_read_tells_value_status_and_both_times(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:

        async def read(*tags: str) -> list[ua.DataValue]:
            ids = [ua.ReadValueId(node_id(tag), ua.AttributeIds.Value) for tag in tags]
            params = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Both, NodesToRead=ids)
            return await client.uaclient.read(params)

        (waiting,) = await read("battery1.power_kw")
        assert waiting.StatusCode.value == Quality.BAD_WAITING_FOR_INITIAL_DATA
        assert waiting.Value.Value is None
        assert waiting.ServerTimestamp is not None

        at = plant.write("battery1.power_kw", 12.5, late_ns=2_000_000)
        plant.write("battery1.serial_number", "SN-7")
        plant.write("battery1.cycles", (1 << 63) + 5)
        plant.write("battery1.state", -3, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        power, serial, cycles, state = await read(
            "battery1.power_kw", "battery1.serial_number", "battery1.cycles", "battery1.state"
        )
        assert power.Value.Value == 12.5
        assert power.SourceTimestamp == to_datetime(at)
        assert power.ServerTimestamp == to_datetime(at + 2_000_000)
        assert serial.Value.Value == "SN-7"
        assert cycles.Value.Value == (1 << 63) + 5
        assert (state.Value.Value, state.StatusCode.value) == (
            -3,
            Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
        )

        plant.writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns())
        (lost,) = await read("battery1.power_kw")
        assert lost.StatusCode.value == Quality.BAD_COMMUNICATION_ERROR
        assert lost.Value.Value == 12.5, "the last value is kept"


@pytest.mark.parametrize(
    ("node", "attribute", "code"),
    [
        ("nothing.here", ua.AttributeIds.Value, StatusCodes.BadNodeIdUnknown),
        ("battery1.power_kw/Nothing", ua.AttributeIds.Value, StatusCodes.BadNodeIdUnknown),
        ("battery1.power_kw", ua.AttributeIds.InverseName, StatusCodes.BadAttributeIdInvalid),
        ("/storage", ua.AttributeIds.Value, StatusCodes.BadAttributeIdInvalid),
    ],
)
async def test_what_is_not_there_is_said_to_be_so(
    plant: Plant, client_of: Clients, node: str, attribute: Any, code: int
) -> None:
    async with await client_of(plant) as client:
        found = await client.get_node(node_id(node)).read_attribute(attribute, raise_on_bad_status=False)
        assert found.StatusCode.value == code
        result = await client.uaclient.browse(
            ua.BrowseParameters(NodesToBrowse=[ua.BrowseDescription(NodeId=node_id("nothing.here"))])
        )
        assert result[0].StatusCode.value == StatusCodes.BadNodeIdUnknown


async def test_ten_thousand_tags_cost_no_time_to_put_up(make_plant: Callable[..., Plant]) -> None:
    """The nodes are made when they are asked for; the library's own way takes a minute for these."""
    template = TAGS[0]
    tags = tuple(
        replace(template, name=f"unit{n // 100}.p{n}_kw", device=f"unit{n // 100}") for n in range(10_000)
    )
    plant = make_plant(site_of(tags))
    start = time.process_time()
    async with plant.running():
        assert time.process_time() - start < 3.0
        assert len(plant.server.iserver.space[node_id("/storage/unit7")].references) == 102
