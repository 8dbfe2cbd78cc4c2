"""Devices that are cut off, and commands that move them."""

import asyncio
import json
import subprocess
import time
import uuid

import numpy as np
import pytest

from gateway.commands.audit import verify
from gateway.commands.client import CommandClient
from gateway.simulator.control import ControlClient
from gateway.simulator.faults import Fault, FaultKind
from gateway.tags.command import Command, Done, Refusal, Refused
from gateway.tags.quality import Quality, is_bad, is_good


def device_tags(site, name):
    """What is read from the device; what the logic demands of it is the scan's."""
    own = [tag for tag in site.tags if tag.device == name and tag.owner == "drivers"]
    return [tag.name for tag in own if not tag.name.startswith("_system.")]


def changes_of(region, names, span_s):
    """How many changes each of these tags has in so many seconds."""
    reader = region.reader("now")
    begin = time.monotonic()
    counts = np.zeros(region.tag_count, np.int64)
    while time.monotonic() - begin < span_s:
        time.sleep(0.05)
        counts += np.bincount(reader.take().records["tag"], minlength=region.tag_count)
    return counts[region.indexes_of(names)]


def test_a_cut_device_turns_bad_with_its_last_values_the_others_go_on_and_it_recovers_by_itself(demo, region):
    cut = device_tags(demo.site, "ev3")
    # Of those that are polled: what devices tell by themselves comes when something changes.
    others = [f"{device.name}.power_kw" for device in demo.site.modbus if device.name != "ev3"]
    control = ControlClient(demo.paths.simulator_socket)
    stale_s = max(tag.stale_after_ms for tag in demo.site.tags if tag.device == "ev3") / 1000
    rate_before = changes_of(region, others, 3)
    values_before = {name: region.sample(name).value for name in cut}
    control.set("ev3", Fault(FaultKind.STOPPED))
    try:
        demo.until(lambda: all(is_bad(region.sample(name).status) for name in cut), stale_s + 3)
        assert {region.sample(name).status for name in cut} <= {
            Quality.BAD_COMMUNICATION_ERROR, Quality.BAD_NOT_SUPPORTED
        }  # fmt: skip
        assert region.sample("_system.ev3.connected").value is False
        assert region.sample("_system.ev3.last_error").value
        # What a dead device held up it would hold up as long as it is dead: a busy machine may have a second try.
        demo.until(lambda: bool(np.all(changes_of(region, others, 3) >= rate_before * 0.9 - 1)))
        # A charge goes on changing, names do not: what it was is still to be read.
        assert region.sample("ev3.vehicle_id").value == values_before["ev3.vehicle_id"]
        assert {name: type(region.sample(name).value) for name in cut} == {
            name: type(value) for name, value in values_before.items()
        }
        assert demo.run("status", "--state", str(demo.state)).returncode == 1
    finally:
        control.clear()
    demo.until(lambda: is_good(region.sample("ev3.power_kw").status), 40)


@pytest.mark.parametrize(
    ("device", "kind", "watched"),
    [
        ("bms1", FaultKind.SILENT, "bms1.voltage_v"),
        ("can1", FaultKind.STOPPED, "ev12.power_kw"),
    ],
)
def test_a_device_on_another_bus_that_is_cut_turns_bad_and_recovers(demo, region, device, kind, watched):
    control = ControlClient(demo.paths.simulator_socket)
    before = region.sample(watched).value
    control.set(device, Fault(kind))
    try:
        demo.until(lambda: region.sample(watched).status == Quality.BAD_COMMUNICATION_ERROR, 20)
        assert type(region.sample(watched).value) is type(before)
        connected = f"_system.{watched.partition('.')[0]}.connected"
        demo.until(lambda: region.sample(connected).value is False, 20)
        assert is_good(region.sample("battery1.power_kw").status)
    finally:
        control.clear()
    demo.until(lambda: is_good(region.sample(watched).status), 40)
    demo.until(lambda: region.sample(connected).value is True, 20)


def test_what_a_lying_device_says_is_told_and_gone_with_the_lie(demo, region):
    control = ControlClient(demo.paths.simulator_socket)
    control.set("bms1", Fault(FaultKind.WRONG))
    try:
        demo.until(lambda: not 700 < region.sample("bms1.voltage_v").value < 850, 20)
    finally:
        control.clear()
    demo.until(
        lambda: is_good((sample := region.sample("bms1.voltage_v")).status) and 700 < sample.value < 850, 20
    )


@pytest.mark.parametrize("tag", ["ev11.power_setpoint_kw"])
async def test_a_command_is_done_when_the_device_says_so_whatever_it_speaks(demo, region, tag):
    client = CommandClient(demo.paths.command_socket)
    try:
        for value in (-6.5, -22.0):
            deadline_ns = time.time_ns() + 5_000_000_000
            outcome = await client.send(Command(uuid.uuid4().hex, tag, value, "operator", "hmi", deadline_ns))
            assert isinstance(outcome, Done), outcome
            assert abs(float(outcome.value) - value) < 0.1
    finally:
        await client.close()


async def test_a_setpoint_goes_to_the_device_and_the_measured_power_follows(demo, region):
    client = CommandClient(demo.paths.command_socket)

    def wish(value, **changes):
        fields = {
            "user": "operator",
            "origin": "hmi",
            "deadline_ns": time.time_ns() + 5_000_000_000,
            **changes,
        }
        return Command(id=uuid.uuid4().hex, tag="battery1.power_setpoint_kw", value=value, **fields)

    try:
        for setpoint in (40.0, -25.0):
            outcome = await client.send(wish(setpoint))
            assert isinstance(outcome, Done), outcome
            assert abs(float(outcome.value) - setpoint) < 0.5
            async with asyncio.timeout(20):
                while abs(float(region.sample("battery1.power_kw").value) - setpoint) > 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert abs(float(region.sample("battery1.power_setpoint_kw").value) - setpoint) < 0.5
        refused = await client.send(wish(10.0, user="viewer"))
        assert isinstance(refused, Refused)
        assert refused.code is Refusal.NOT_AUTHORISED
        refused = await client.send(wish(1e9))
        assert isinstance(refused, Refused)
        assert refused.code is Refusal.OUT_OF_LIMITS
    finally:
        await client.send(wish(0.0))
        await client.close()


def test_a_command_from_the_terminal(demo, region):
    tag, site, state = "battery1.power_setpoint_kw", str(demo.site_path), str(demo.state)
    common = (
        "--site",
        site,
        "--state",
        state,
        "--user",
        "operator",
        "--password-stdin",
        "--reason",
        "a test",
    )
    said = demo.run("write", tag, "12.5", *common, input=demo.passwords["operator"] + "\n")
    assert (said.returncode, said.stdout) == (0, f"done: {tag} is 12.5\n"), said.stderr
    said = demo.run("write", tag, "12.5", *common, input="guessed wrong\n")
    assert (said.returncode, said.stderr) == (1, "the user or the password is wrong\n")
    said = demo.run("write", tag, "1000000", *common, input=demo.passwords["operator"] + "\n")
    assert said.returncode == 1
    assert said.stdout.startswith("refused (out_of_limits)")
    said = demo.run("write", "battery1.power_setpoint", "1", *common, input="x\n")
    assert said.returncode == 2
    assert "perhaps battery1.power_setpoint_kw" in said.stderr
    said = demo.run("write", tag, "much", *common, input="x\n")
    assert said.returncode == 2


def test_the_trail_of_all_this_is_whole(demo, region):
    test_a_command_from_the_terminal(demo, region)
    said = demo.run("audit", "verify", "--state", str(demo.state))
    assert said.returncode == 0, said.stdout
    assert "the chain is whole" in said.stdout
    assert verify(demo.paths.audit).faults == ()
    events = [json.loads(line)["event"] for line in demo.paths.audit.read_text().splitlines()]
    assert {"opened", "intent", "outcome", "refusal"} <= set(events)


def test_a_new_password_counts_at_once(demo, region):
    site, state = str(demo.site_path), str(demo.state)
    said = demo.run("passwd", site, "engineer", "--state", state, "--password-stdin", input="a better one\n")
    assert said.returncode == 0, said.stderr
    demo.passwords["engineer"] = "a better one"
    said = demo.run(
        "write", "battery1.power_setpoint_kw", "0", "--site", site, "--state", state, "--user", "engineer",
        "--password-stdin", input="a better one\n",
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_last_frames_of_a_device_are_shown_and_make_a_capture(demo, tmp_path):
    shown = demo.run("trace", "battery1", "--state", str(demo.state))
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("modbus-tcp at 127.0.0.1:")
    assert " > unit 1 #" in shown.stdout
    capture = tmp_path / "battery1.pcap"
    assert demo.run("trace", "battery1", "--state", str(demo.state), "--pcap", str(capture)).returncode == 0
    command = ["tshark", "-r", str(capture), "-Y", "modbus && !_ws.malformed"]
    frames = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert len(frames) > 20
    unknown = demo.run("trace", "battery9", "--state", str(demo.state))
    assert unknown.returncode == 1
    assert "battery1" in unknown.stderr
