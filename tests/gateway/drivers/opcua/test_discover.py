"""What a server has, as a device of a site file that loads and reads it."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from gateway.config.load import load_site
from gateway.config.opcua_device import NodeAddress
from gateway.drivers.discover import add_commands
from gateway.tags.tag import ValueType


async def discover(*words: str) -> int:
    """The command in a thread: it has a loop of its own."""
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["discover", "opcua", *words])
    status: int = await asyncio.to_thread(arguments.run, arguments)
    return status


async def test_a_discovered_device_loads_as_a_site(genset: Any, tmp_path: Path) -> None:
    power = genset.nodes["Power"]
    span = ua.Variant(ua.Range(0.0, 400.0), ua.VariantType.ExtensionObject)
    await power.add_property(ua.NodeId(0, 0), ua.QualifiedName("EURange", 0), span)
    units = ua.EUInformation(UnitId=4937556, DisplayName=ua.LocalizedText("kW"))
    variant = ua.Variant(units, ua.VariantType.ExtensionObject)
    await power.add_property(ua.NodeId(0, 0), ua.QualifiedName("EngineeringUnits", 0), variant)
    names = [ua.LocalizedText(text) for text in ("standby", "warming", "loaded")]
    await genset.nodes["Mode"].add_property(ua.NodeId(0, 0), ua.QualifiedName("EnumStrings", 0), names)
    file = tmp_path / "found.yaml"
    words = ("--security", "None", "--name", "genset1", "--area", "generation", "--site", "found")
    assert await discover(genset.url, *words, "--output", str(file)) == 0
    text = file.read_text()
    site = load_site(file)
    (device,) = site.opcua_devices
    points = {point.name: point for point in device.points}
    assert points["genset1.power_kw"].node == NodeAddress(
        "urn:maker:genset", points["genset1.power_kw"].node.kind, "Power"
    )
    assert (points["genset1.power_kw"].low, points["genset1.power_kw"].high) == (0.0, 400.0)
    assert points["genset1.name"].type is ValueType.STRING
    assert points["genset1.hours"].type is ValueType.UINT64
    assert {
        "genset1.state_voltages_1",
        "genset1.state_oil_pressure",
        "genset1.temperatures_2",
    } <= points.keys()
    assert points["genset1.state_oil_pressure"].field == ("oil", "pressure")
    tags = {tag.name: tag for tag in site.tags}
    assert tags["genset1.power_kw"].unit == "kW"
    assert tags["genset1.mode"].states == {0: "standby", 1: "warming", 2: "loaded"}
    (setpoint,) = [line for line in text.splitlines() if line.lstrip().startswith("setpoint:")]
    assert setpoint.startswith('      setpoint: {node: "nsu=urn:maker:genset;s=Setpoint", type: int64')
    assert setpoint.endswith("}  # writable")
    assert "# Genset/Ramp(power, seconds): method: {object:" in text
    assert "3 methods" in text
    assert await discover(genset.url, *words, "--output", str(file)) == 2, (
        "a file that is there is left alone"
    )


async def test_the_limit_is_told(genset: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert await discover(genset.url, "--security", "None", "--limit", "3") == 0
    text = capsys.readouterr().out
    assert "# It has more: raise --limit" in text
    assert text.count("node: ") == 3


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("http://x/",), 2, "is no URL of a server"),
        (("opc.tcp://127.0.0.1:1/", "--user", "me"), 2, "a user needs a password"),
        (("opc.tcp://127.0.0.1:1/", "--node", "x"), 2, "is no node"),
        (("opc.tcp://127.0.0.1:1/", "--security", "None"), 1, "refused"),
    ],
)
async def test_what_cannot_be_is_told(
    words: tuple[str, ...], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await discover(*words) == status
    assert said in capsys.readouterr().err
