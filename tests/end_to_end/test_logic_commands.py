"""People and the logic on one device, with the real scan: setpoints it judges, points it holds, its safe values."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from pymodbus.client import ModbusTcpClient

from gateway.commands.client import CommandClient
from gateway.servers.opcua.certificates import own_identity
from gateway.tags.command import Command, Done, Refusal
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_good

CONFIG = Path(__file__).parents[2] / "config"
POINT, S, FOLLOW = "battery1.power_setpoint_kw", "dispatch.battery_kw", "plan.follow"
MADE_SAFE_S = 3.1  # docs/commands.md: after the last refresh, of which the scan makes one a second
BUSY_S = 1.5
EXPIRED = 2  # docs/scan.md, the reasons
PROGRAM = """\
VAR_GLOBAL
    dispatch_kw : REAL;
    dispatch_is_valid : BOOL;
    follows : BOOL;
END_VAR
PROGRAM main
VAR
    battery_kw : REAL;
    holds : BOOL;
END_VAR
    holds := dispatch_is_valid AND follows;
    battery_kw := dispatch_kw;
END_PROGRAM
CONFIGURATION plant
    TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
    PROGRAM main WITH fast : main;
END_CONFIGURATION
"""


def write_site(folder, first):
    (folder / "logic").mkdir(parents=True)
    (folder / "logic" / "main.st").write_text(PROGRAM)
    path = folder / "site.yaml"
    path.write_text(f"""\
site: {{name: dispatched}}
include: ["{CONFIG / "devices" / "battery.yaml"}"]
areas: {{storage: Battery}}
devices:
  battery1: {{area: storage, template: battery, with: {{port: {first + 3}}}}}
simulator: {{base_port: {first}, ev_chargers: 0, feeders: 1}}
servers: {{opcua: {{port: {first + 90}, trust: all}}, hmi: {{port: {first + 91}}}}}
users: {{operator: {{role: operator}}}}
logic:
  programs: [logic/*.st]
  tasks: [fast]
  outputs:
    {POINT}: {{variable: main.battery_kw, active: main.holds, safe: 5, refresh_ms: 500,
      released_by: {{{FOLLOW}: false}}}}
  setpoints:
    {S}: {{variable: dispatch_kw, valid: dispatch_is_valid, area: storage, unit: kW, low: -100, high: 100,
      max_rate_per_s: 40, valid_for_s: 60, initial: 0, fallback: 0}}
    {FOLLOW}: {{variable: follows, type: bool, area: storage, initial: true, fallback: hold,
      states: {{0: "no", 1: "yes"}}}}
""")
    return path


@pytest.fixture(scope="module")
def plant(tmp_path_factory, start_site, find_ports):
    folder = tmp_path_factory.mktemp("dispatched")
    plant = start_site(write_site(folder / "site", find_ports()), folder / "state")
    try:
        plant.read_until("all parts run", 120)
        yield plant
    finally:
        plant.end()


@pytest.fixture
def image(plant):
    """With nothing held, and a setpoint of 30 kW before."""
    with Region.attach(plant.region_name) as image:
        parts = [part["name"] for part in plant.status()["parts"]]
        plant.until(lambda: all(image.sample(f"_system.parts.{part}.running").value for part in parts), 60)
        plant.until(lambda: is_good(image.sample("_system.scan.mode").status), 30)
        plant.until(lambda: is_good(image.sample("battery1.power_kw").status), 30)
        plant.until(lambda: isinstance(command(plant, S, 30, 0.5), Done), 30)
        wait_until_free(plant, image)
        yield image


def wait_until_free(plant, image):
    """The setpoint has expired, and the drivers have seen it: by a count of later on, for the counts are behind."""
    plant.until(lambda: image.sample(f"{S}.reason").value == EXPIRED, 30)
    plant.until(lambda: image.sample(f"{POINT}.demand").status == Quality.BAD_NO_DATA, 30)
    released_ns = time.time_ns()

    def is_counted():
        held = image.sample("_system.follow.held")
        return held.value == 0 and held.receipt_time > released_ns

    plant.until(is_counted, 30)


@contextmanager
def battery_registers(plant):
    """What the device itself holds as its setpoint in kW (config/devices/battery.yaml), read at each call."""
    (battery,) = plant.site.modbus
    with ModbusTcpClient(battery.host, port=battery.port) as client:

        def power_setpoint_kw():
            words = client.read_holding_registers(0, count=2).registers
            return client.convert_from_registers(words, client.DATATYPE.FLOAT32, word_order="little")

        yield power_setpoint_kw


def command(plant, tag, value, valid_s=0.0):
    """What became of it; it comes as from a server, which has signed its user in."""

    async def send():
        client = CommandClient(plant.paths.command_socket)
        now_ns = time.time_ns()
        valid_until_ns = now_ns + int(valid_s * 1e9) if valid_s else 0
        wish = Command(
            uuid.uuid4().hex, tag, float(value), "operator", "hmi", now_ns + 5 * 10**9, "", valid_until_ns
        )
        try:
            return await client.send(wish)
        finally:
            await client.close()

    return asyncio.run(send())


def write(plant, tag, value, *more):
    """`tieline write`: exit status and what it said."""
    done = plant.run(
        "write", tag, str(value), "--site", str(plant.site_path), "--state", str(plant.state),
        "--user", "operator", "--password-stdin", *more, input=plant.passwords["operator"] + "\n",
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@asynccontextmanager
async def opcua(plant, folder):
    identity = own_identity(folder, "client", "127.0.0.1")
    assert plant.site.opcua is not None
    client = Client(f"opc.tcp://127.0.0.1:{plant.site.opcua.port}/", timeout=10)
    client.application_uri = identity.application_uri
    client.set_user("operator")
    client.set_password(plant.passwords["operator"])
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        folder / "own" / "certificate.der",
        folder / "own" / "private_key.pem",
        None,
        plant.paths.pki / "own" / "certificate.der",
        ua.MessageSecurityMode.SignAndEncrypt,
    )
    async with client:
        yield client


def test_a_setpoint_goes_through_the_scan_to_the_device_and_expires(plant, image):
    assert isinstance(command(plant, S, 40, 5.0), Done)
    plant.until(lambda: image.sample(POINT).value == 40.0, 4.9)
    assert image.sample(f"{S}.accepted").value == 40.0
    refused = command(plant, POINT, 10)
    assert refused.code is Refusal.HELD
    assert f"write {FOLLOW} false first" in refused.why
    wait_until_free(plant, image)
    assert isinstance(command(plant, POINT, 10), Done)


def test_the_scans_answer_reaches_the_terminal(plant, image):
    assert write(plant, S, 35, "--valid-for", "60") == (0, f"done: {S} is 35.0\n")
    assert isinstance(command(plant, S, 20, 60.0), Done)
    refused = command(plant, S, 95)
    assert refused.code is Refusal.OUT_OF_LIMITS
    assert "it may change by 40 a second, and was last accepted as 20.0" in refused.why
    assert image.sample(f"{S}.accepted").value == 20.0
    status, said = write(plant, POINT, 10)
    assert status == 1
    assert (
        f"refused (held): {POINT} is held by the logic; to have it let go, write {FOLLOW} false first" in said
    )
    assert write(plant, FOLLOW, "false") == (0, f"done: {FOLLOW} is False\n")
    plant.until(lambda: image.sample(f"{POINT}.demand").status == Quality.BAD_NO_DATA, 20)
    plant.until(lambda: write(plant, POINT, 10)[0] == 0, 20)
    assert write(plant, FOLLOW, "true")[0] == 0


async def test_an_opcua_client_gets_the_scans_answer_as_a_status_code(plant, image, tmp_path):
    async with opcua(plant, tmp_path) as client:
        setpoint, point = client.get_node(f"ns=2;s={S}"), client.get_node(f"ns=2;s={POINT}")
        sequence = image.sample(f"{S}.sequence")
        await setpoint.write_value(ua.DataValue(ua.Variant(40.0, ua.VariantType.Double)))
        assert image.sample(f"{S}.sequence").value > (sequence.value if is_good(sequence.status) else 0)
        async with asyncio.timeout(20):
            while float(await point.read_value()) != 40.0:  # noqa: ASYNC110 - the plant sets no event
                await asyncio.sleep(0.05)
        # Right after one that is accepted, so that a slow machine gives no time to the rate.
        await setpoint.write_value(ua.DataValue(ua.Variant(20.0, ua.VariantType.Double)))
        with pytest.raises(ua.uaerrors.BadOutOfRange):
            await setpoint.write_value(ua.DataValue(ua.Variant(100.0, ua.VariantType.Double)))
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await point.write_value(ua.DataValue(ua.Variant(10.0, ua.VariantType.Double)))
        assert refused.value.code == ua.StatusCodes.BadLocked
        description = (await point.read_attribute(ua.AttributeIds.Description)).Value.Value.Text
        assert f"held by the logic until {FOLLOW} false is written" in description


@pytest.mark.parametrize(("number", "within_s"), [(signal.SIGSTOP, MADE_SAFE_S), (signal.SIGKILL, 0.0)])
def test_a_scan_that_is_gone_leaves_the_device_safe_in_the_stated_time(plant, image, number, within_s):
    assert isinstance(command(plant, S, 40, 60.0), Done)
    with battery_registers(plant) as power_setpoint_kw:
        plant.until(lambda: power_setpoint_kw() == 40.0)
        begin = time.monotonic()
        os.kill(plant.pid(image, "scan"), number)
        # At the device itself: the scan that replaces the killed one soon goes on with the 40, which are still valid.
        plant.until(lambda: power_setpoint_kw() == 5.0, 10)
        assert time.monotonic() - begin < within_s + BUSY_S


def test_killed_drivers_come_back_and_hold_what_the_scan_demands(plant, image):
    assert isinstance(command(plant, S, 40, 60.0), Done)
    plant.until(lambda: image.sample(POINT).value == 40.0)
    os.kill(plant.pid(image, "drivers"), signal.SIGKILL)
    plant.until(lambda: image.sample("_system.follow.held").status == Quality.BAD_NO_COMMUNICATION)
    plant.until(lambda: is_good(image.sample("_system.follow.held").status)
                and image.sample("_system.follow.held").value == 1)  # fmt: skip
    plant.until(lambda: image.sample("_system.follow.writes").value >= 3)  # heartbeats
    plant.until(lambda: image.sample(POINT).value == 40.0)
    assert image.sample(S).status == Quality.GOOD
