"""docs/simulator.md names every device template, fault and flag there is."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from gateway.simulator import cli
from gateway.simulator.devices.roster import CAN_BUS, CAN_OFFSET, devices
from gateway.simulator.faults import FaultKind
from gateway.simulator.plant.microgrid import Microgrid

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/simulator.md").read_text()


def test_every_template_of_the_demo_is_documented() -> None:
    site = (ROOT / "config/sites/demo/site.yaml").read_text()
    for template in re.findall(r"/devices/(\w+)\.yaml", site):
        assert f"`{template}`" in PAGE


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_is_documented(kind: FaultKind) -> None:
    assert f"\n| `{kind.value}` |" in PAGE


def test_every_flag_is_documented() -> None:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    cli.add_commands(subparsers)
    left = list(subparsers.choices.values())
    while left:
        for action in left.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                left += action.choices.values()
                assert all(f" {name} " in PAGE for name in action.choices)
            for flag in action.option_strings:
                assert flag in PAGE or flag in ("-h", "--help"), flag


def test_the_can_bus_is_documented_with_its_port() -> None:
    rows = {line.split("`")[1]: line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| `")}
    assert rows[CAN_BUS].split()[0] == f"+{CAN_OFFSET}"


def test_every_device_is_documented_with_its_port() -> None:
    rows = {line.split("`")[1]: line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| `")}
    for name, offset, _, _ in devices(Microgrid(chargers=1, feeders=1)):
        assert rows[name].split()[0] == (f"+{offset}" if offset else "base")
