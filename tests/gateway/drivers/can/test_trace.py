"""What a ring of a bus holds: frames as SocketCAN has them, both ways, which tshark reads."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
import uuid
from pathlib import Path

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.load import load_site
from gateway.drivers.can.bus import octets_of
from gateway.drivers.can.describe import CanDescriber
from gateway.drivers.can.driver import CanDriver
from gateway.drivers.pcap import CanWrapping, Pcap
from gateway.drivers.trace import Way
from gateway.tags.image import Region

DATABASE = """VERSION ""
NS_ :
BS_:
BU_: BMS GW
BO_ 256 Status: 2 BMS
 SG_ Voltage : 0|16@1+ (0.1,0) [0|6553.5] "V" GW
BO_ 512 Command: 2 GW
 SG_ Power : 0|16@1- (0.1,0) [-100|100] "kW" BMS
"""
SITE = """
site: {name: bms}
areas: {storage: Battery}
devices:
  battery:
    area: storage
    protocol: can
    connection: {interface: virtual, channel: CHANNEL, database: bms.dbc}
    groups: {fast: {period_ms: 50, stale_after_ms: 400}}
    transmit: {Command: {cycle_ms: 0}}
    points:
      voltage_v: {message: Status, signal: Voltage}
      power_kw: {message: Command, signal: Power, write: {}}
"""
MESSAGES = {
    "123 [2] 01 02": can.Message(arbitration_id=0x123, is_extended_id=False, data=b"\1\2"),
    "18FEF200 (group 65266 from 0) [1] ff": can.Message(arbitration_id=0x18FEF200, data=b"\xff"),
    "18EAFF21 (group 59904 from 33 to 255) [3] f2 fe 00": can.Message(arbitration_id=0x18EAFF21, data=b"\xf2\xfe\0"),
    "123 asked for": can.Message(arbitration_id=0x123, is_extended_id=False, is_remote_frame=True),
    "123 FD [12] " + "00 " * 11 + "00": can.Message(
        arbitration_id=0x123, is_extended_id=False, is_fd=True, bitrate_switch=True, data=bytes(12)
    ),
    "error frame 4: 00 20 00 00 00 00 00 00": can.Message(
        arbitration_id=4, is_extended_id=False, is_error_frame=True, data=b"\0\x20" + bytes(6)
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", MESSAGES)
def test_frames_as_text(text: str) -> None:
    assert CanDescriber().describe(Way.RECEIVED, octets_of(MESSAGES[text])) == text


@given(st.binary(max_size=100))
def test_any_octets_are_a_line(octets: bytes) -> None:
    assert "\n" not in CanDescriber().describe(Way.SENT, octets)


def test_tshark_reads_all_kinds_of_frames(tmp_path: Path) -> None:
    file = tmp_path / "can.pcap"
    with file.open("wb") as opened:
        pcap = Pcap(opened, CanWrapping())
        for message in MESSAGES.values():
            pcap.write(0, Way.RECEIVED, octets_of(message))
    fields = ("can.id", "can.flags.xtd", "can.flags.rtr", "canfd.flags.brs", "can.len", "can.err.ctrl")
    options = [option for name in fields for option in ("-e", name)]
    command = ["tshark", "-r", str(file), "-T", "fields", "-E", "separator=,", *options]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.splitlines() == [
        "291,0,0,,2,", "419361280,1,0,,1,", "418053921,1,0,,3,", "291,0,1,,0,", "291,0,,1,12,", ",,,,8,1"
    ]  # fmt: skip


async def test_the_driver_keeps_what_was_on_the_bus(tmp_path: Path) -> None:
    channel = uuid.uuid4().hex
    (tmp_path / "bms.dbc").write_text(DATABASE)
    (tmp_path / "site.yaml").write_text(SITE.replace("CHANNEL", channel))
    site = load_site(tmp_path / "site.yaml")
    with Region.create(f"can-trace-{random.getrandbits(40)}", [tag.spec() for tag in site.tags]) as region:
        writer = region.claim("drivers")
        driver = CanDriver(site.can_devices, writer)
        stop = asyncio.Event()
        running = asyncio.create_task(driver.run(stop))
        ring = driver.traces()["battery"]
        assert (ring.protocol, ring.where) == ("can", f"virtual {channel}")
        bus = can.Bus(channel, "virtual", ignore_config=True)
        try:
            end = time.monotonic() + 20
            while not ring.since(0):
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            bus.send(can.Message(arbitration_id=256, is_extended_id=False, data=b"\x10\x27"))
            await driver.operate(region.index_of("battery.power_kw"), 5.0)
            while len(ring.since(0)) < 3:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
        finally:
            bus.shutdown()
            stop.set()
            await running
        frames = [(frame[2], frame[3].hex()) for frame in ring.since(0)]
        assert frames[0] == (Way.NOTE, b"opened".hex())
        assert sorted(frames[1:3]) == [
            (Way.SENT, "0000020002000000" + "3200"), (Way.RECEIVED, "0000010002000000" + "1027")
        ]  # fmt: skip
        writer.release()
