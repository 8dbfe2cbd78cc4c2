"""Buses other than the virtual one: what they are opened with, and udp_multicast live before a peer of python-can."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import can
import pytest

from gateway.config.can import CanBus
from gateway.config.load import load_site
from gateway.drivers.can import bus as buses
from gateway.drivers.can.driver import CanDriver
from gateway.tags.image import Region
from gateway.tags.operate import NotConnectedError
from gateway.tags.quality import Quality

GROUP = "239.74.163.2"
FD = {"fd": True, "data_bitrate": 2_000_000}
DBC = """VERSION ""
NS_ :
BS_:
BU_: BMS GW
BO_ 256 Status: 8 BMS
 SG_ Voltage : 0|16@1+ (0.1,0) [0|1000] "V" GW
BO_ 512 Command: 8 GW
 SG_ Power : 0|16@1- (0.1,0) [-100|100] "kW" BMS
"""
SITE = """
site: {name: bms}
areas: {storage: Battery}
devices:
  battery:
    area: storage
    protocol: can
    connection: {interface: udp_multicast, channel: "239.74.163.2", port: PORT, database: bms.dbc, retry_max_ms: 100}
    groups: {fast: {period_ms: 50, stale_after_ms: 5000}}
    transmit: {Command: {cycle_ms: 0}}
    points:
      voltage_v: {message: Status, signal: Voltage}
      power_kw: {message: Command, signal: Power, write: {role: operator}}
"""


async def until(condition: Callable[[], bool], what: str, patience_s: float = 15.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def peer(port: int) -> can.BusABC:
    return can.Bus(GROUP, "udp_multicast", ignore_config=True, port=port, hop_limit=0, fd=False)


def voltage(bus: can.BusABC, tenths: int) -> None:
    data = tenths.to_bytes(2, "little") + bytes(6)
    bus.send(can.Message(arbitration_id=256, is_extended_id=False, data=data))


async def test_a_bus_over_multicast_that_breaks_comes_back_and_is_not_commanded_meanwhile(
    tmp_path: Path,
) -> None:
    port = free_port()
    (tmp_path / "bms.dbc").write_text(DBC)
    (tmp_path / "site.yaml").write_text(SITE.replace("PORT", str(port)))
    site = load_site(tmp_path / "site.yaml")
    other = peer(port)
    opened: list[Any] = []
    may_open = True

    def kept(bus: CanBus) -> buses.Source:
        if not may_open:
            raise OSError("Network is down")
        opened.append(buses.open_source(bus))
        return opened[-1]

    with (
        Region.create(f"t-{uuid4().hex[:12]}", [tag.spec() for tag in site.tags]) as region,
        patch("gateway.drivers.can.channel.open_source", kept),
    ):
        driver = CanDriver(site.can_devices, region.claim("drivers"), seed=1)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        await until(lambda: driver._channels[0].is_open, "the bus is open")
        voltage(other, 4001)
        await until(lambda: region.sample("battery.voltage_v").status == Quality.GOOD, "it is heard")
        assert region.sample("battery.voltage_v").value == pytest.approx(400.1)
        power = region.index_of("battery.power_kw")
        await driver.operate(power, -12.5)  # returns once it was heard on the bus, by ourselves
        assert await driver.read_back(power) == pytest.approx(-12.5)
        seen = [one for _ in range(3) if (one := other.recv(5.0)) and one.arbitration_id == 512]
        assert [bytes(one.data[:2]) for one in seen[:1]] == [b"\x83\xff"]  # -125 tenths

        may_open = False
        opened[0]._multicast._socket.close()  # the network goes away
        await until(lambda: not driver._channels[0].is_open, "it is seen")
        with pytest.raises(NotConnectedError):
            await driver.operate(power, 5.0)
        broken = "_system.battery.errors_connection"
        await until(lambda: int(region.sample(broken).value) >= 2, "it is tried again, and told")
        assert not region.sample("_system.battery.connected").value
        may_open = True
        await until(lambda: driver._channels[0].is_open, "it is open again")
        voltage(other, 4022)
        await until(lambda: region.sample("battery.voltage_v").value == pytest.approx(402.2), "heard again")
        assert driver.connections(power) == 2
        stop.set()
        await task
    other.shutdown()


@pytest.mark.parametrize(
    ("bus", "channel", "options"),
    [
        (("socketcan", "can0"), "can0", {"receive_own_messages": True}),
        (("socketcan", "vcan1", True), "vcan1", {"receive_own_messages": True, **FD}),
        (("kvaser", "1"), 1, {"receive_own_messages": True}),
        (("gs_usb", "0"), 0, {}),
        (("udp_multicast", GROUP), GROUP, {"port": 43_113, "hop_limit": 0, "fd": False}),
    ],
)  # fmt: skip
def test_what_an_interface_is_opened_with(
    bus: tuple[Any, ...], channel: object, options: dict[str, object]
) -> None:
    said = CanBus(
        interface=bus[0], channel=bus[1], port=43_113, hops=0, bitrate=250_000, fd=len(bus) > 2,
        data_bitrate=2_000_000, file=None, speed=1.0, loop=False, retry_max_ms=1000,
    )  # fmt: skip
    with patch("can.Bus") as opened:
        buses.open_source(said)
    assert opened.call_args.args == (channel, bus[0])
    assert opened.call_args.kwargs == {"ignore_config": True, "bitrate": 250_000, **options}


def test_socketcan_takes_what_it_is_opened_with() -> None:
    """There is no CAN in this machine's kernel, or no such interface: the library gets as far as asking for it."""
    said = CanBus(
        interface="socketcan", channel="nocan7", port=43_113, hops=0, bitrate=250_000, fd=True,
        data_bitrate=2_000_000, file=None, speed=1.0, loop=False, retry_max_ms=1000,
    )  # fmt: skip
    with pytest.raises(OSError, match=r"Errno|No such device|not supported"):
        buses.open_source(said)
