"""The CAN driver on a virtual bus of python-can, before a battery that python-can plays, and on logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import can
import pytest
from cantools.database.can import Database

from gateway.config.load import load_site
from gateway.drivers.can.driver import CanDriver
from gateway.tags.image import Region
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample

DBC = """VERSION ""
NS_ :
BS_:
BU_: BMS GW
BO_ 256 Status: 8 BMS
 SG_ Voltage : 0|16@1+ (0.1,0) [0|1000] "V" GW
 SG_ Current : 16|16@1- (0.1,0) [-400|400] "A" GW
 SG_ State : 32|8@1+ (1,0) [0|3] "" GW
 SG_ Closed : 40|1@1+ (1,0) [0|1] "" GW
BO_ 2566834709 Cells: 8 BMS
 SG_ Page M : 7|8@0+ (1,0) [0|0] "" GW
 SG_ Cell1 m0 : 15|16@0+ (0.001,0) [0|5] "V" GW
 SG_ Cell2 m1 : 15|16@0+ (0.001,0) [0|5] "V" GW
BO_ 512 Command: 8 GW
 SG_ Power : 0|16@1- (0.1,0) [-100|100] "kW" BMS
 SG_ Enable : 16|1@1+ (1,0) [0|1] "" BMS
 SG_ Counter : 48|4@1+ (1,0) [0|15] "" BMS
 SG_ Crc : 56|8@1+ (1,0) [0|255] "" BMS
BO_ 513 Answer: 4 BMS
 SG_ PowerTaken : 0|32@1- (1,0) [0|0] "kW" GW
SIG_VALTYPE_ 513 PowerTaken : 1;
VAL_ 256 State 0 "off" 1 "ready" 2 "running" 3 "fault" ;
"""
SITE = """
site: {name: bms}
areas: {storage: Battery}
devices:
  battery:
    area: storage
    protocol: can
    connection: {interface: virtual, channel: CHANNEL, database: bms.dbc, retry_max_ms: 200}
    groups: {fast: {period_ms: 50, stale_after_ms: 400}}
    transmit:
      Command: {cycle_ms: 20, counter: Counter, checksum: Crc, HOLD}
    points:
      voltage_v: {message: Status, signal: Voltage}
      current_a: {message: Status, signal: Current}
      state: {message: Status, signal: State}
      closed: {message: Status, signal: Closed}
      cell1_v: {message: Cells, signal: Cell1}
      cell2_v: {message: Cells, signal: Cell2}
      taken_kw: {message: Answer, signal: PowerTaken, unit: kW}
      power_kw: {message: Command, signal: Power, feedback: taken_kw, write: {role: operator}}
      enable: {message: Command, signal: Enable, write: {role: operator}}
  meter:
    area: storage
    protocol: can
    connection: {interface: virtual, channel: CHANNEL, database: bms.dbc, retry_max_ms: 200}
    groups: {fast: {period_ms: 50, stale_after_ms: 400}}
    points:
      voltage_v: {message: Status, signal: Voltage}
"""


async def until(condition: Callable[[], bool], what: str, patience_s: float = 10.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


class Battery:
    """The other end of the bus, by python-can and cantools."""

    def __init__(self, channel: str, database: Path) -> None:
        self.bus = can.Bus(channel, "virtual", ignore_config=True)
        self.database = Database()
        self.database.add_dbc_file(database)
        self.received: list[can.Message] = []

    def tell(self, name: str, /, **values: float) -> None:
        message = self.database.get_message_by_name(name)
        self.bus.send(
            can.Message(
                arbitration_id=message.frame_id,
                is_extended_id=message.is_extended_frame,
                data=message.encode(values, strict=False),
            )
        )

    def said(self, command: can.Message) -> dict[str, object]:
        """What a command says."""
        return dict(self.database.get_message_by_name("Command").decode_simple(bytes(command.data)))

    def tell_status(self, voltage: float = 400.0) -> None:
        self.tell("Status", Voltage=voltage, Current=-12.5, State=2, Closed=1)

    def commands(self) -> list[can.Message]:
        """The commands that came so far."""
        while (message := self.bus.recv(0)) is not None:
            if message.arbitration_id == 512:
                self.received.append(message)
        return self.received


class Running:
    def __init__(self, region: Region, driver: CanDriver, battery: Battery) -> None:
        self.region, self.driver, self.battery = region, driver, battery

    def sample(self, name: str) -> Sample:
        return self.region.sample(name)

    def tag(self, name: str) -> int:
        return self.region.index_of(name)

    async def is_good(self, name: str) -> None:
        await until(lambda: self.sample(name).status == Quality.GOOD, f"{name} is Good")


@asynccontextmanager
async def running(folder: Path, text: str = SITE, hold: str = "hold_ms: 0") -> AsyncIterator[Running]:
    channel = f"bus-{uuid4().hex}"
    (folder / "bms.dbc").write_text(DBC)
    (folder / "site.yaml").write_text(text.replace("CHANNEL", channel).replace("HOLD", hold))
    site = load_site(folder / "site.yaml")
    battery = Battery(channel, folder / "bms.dbc")
    with Region.create(f"t-{uuid4().hex[:12]}", [tag.spec() for tag in site.tags]) as region:
        driver = CanDriver(site.can_devices, region.claim("drivers"), seed=1)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        # the first second's counters are written once the driver runs
        if "battery" in text:
            await until(lambda: driver._channels[0].is_open, "the bus is open")
        try:
            yield Running(region, driver, battery)
        finally:
            stop.set()
            await task
            battery.bus.shutdown()


async def test_signals_become_tags_with_what_the_database_says(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell_status(398.7)
        await here.is_good("battery.voltage_v")
        assert here.sample("battery.voltage_v").value == pytest.approx(398.7)
        assert here.sample("battery.current_a").value == pytest.approx(-12.5)
        assert here.sample("battery.state").value == 2
        assert here.sample("battery.closed").value is True
        assert abs(here.sample("battery.voltage_v").source_time - time.time_ns()) < 5_000_000_000
    site = load_site(tmp_path / "site.yaml")
    tags = {tag.name: tag for tag in site.tags}
    assert (tags["battery.voltage_v"].unit, tags["battery.voltage_v"].high) == ("V", 1000)
    assert tags["battery.state"].states == {0: "off", 1: "ready", 2: "running", 3: "fault"}
    assert site.device_count == 2


async def test_that_nothing_is_asked_for_is_said_again_and_again(tmp_path: Path) -> None:
    latency = "_system.battery.latency_p50_ms"
    async with running(tmp_path) as here:
        await until(lambda: here.sample(latency).status == Quality.BAD_NOT_SUPPORTED, "the first word of it")
        first = here.sample(latency).receipt_time
        await until(lambda: here.sample(latency).receipt_time > first, "the next word of it")
        assert here.sample(latency).status == Quality.BAD_NOT_SUPPORTED


async def test_a_value_beyond_the_databases_range_is_uncertain(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell_status(6000.0)
        wanted = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        await until(lambda: here.sample("battery.voltage_v").status == wanted, "it is Uncertain")
        assert here.sample("battery.voltage_v").value == pytest.approx(6000.0)


async def test_a_page_of_a_multiplexed_message_leaves_the_other_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell("Cells", Page=0, Cell1=3.301)
        await here.is_good("battery.cell1_v")
        here.battery.tell("Cells", Page=1, Cell2=3.402)
        await here.is_good("battery.cell2_v")
        assert here.sample("battery.cell1_v").value == pytest.approx(3.301)
        assert here.sample("battery.cell2_v").value == pytest.approx(3.402)


async def test_a_missing_message_is_bad_with_its_last_value_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell_status(400.0)
        await here.is_good("battery.voltage_v")
        tag = here.tag("battery.voltage_v")
        bad = Quality.BAD_COMMUNICATION_ERROR
        assert here.driver.connections(tag) == 1
        await until(lambda: here.sample("battery.voltage_v").status == bad, "it is stale", 2.0)
        assert here.sample("battery.voltage_v").value == pytest.approx(400.0)
        await until(lambda: "missing" in str(here.sample("_system.battery.last_error").value), "it is told")
        assert not here.sample("_system.battery.connected").value
        here.battery.tell_status(401.0)
        await here.is_good("battery.voltage_v")
        assert here.driver.connections(tag) == 2
        await until(lambda: here.sample("battery.voltage_v").status == bad, "it is stale again", 2.0)


async def test_a_message_that_never_comes_is_bad_and_not_waiting_for_ever(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        bad = Quality.BAD_COMMUNICATION_ERROR
        await until(lambda: here.sample("battery.cell1_v").status == bad, "it is Bad", 2.0)
        # what we send ourselves is not missed before it was commanded
        assert here.sample("battery.power_kw").status == Quality.BAD_WAITING_FOR_INITIAL_DATA


async def test_two_devices_on_one_bus_share_it(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell_status(399.0)
        await here.is_good("meter.voltage_v")
        await here.is_good("battery.voltage_v")
        assert len(here.driver._channels) == 1
        await until(lambda: here.sample("_system.meter.frames").value == 1, "it is counted")
        assert here.sample("_system.battery.bus_frames").value == 1


async def test_a_command_is_sent_in_its_cycle_with_counter_and_checksum(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        assert here.battery.commands() == []
        await here.driver.operate(here.tag("battery.power_kw"), -42.5)
        await until(lambda: len(here.battery.commands()) >= 8, "eight cycles")
        first = here.battery.commands()[:8]
        said = [here.battery.said(one) for one in first]
        assert [one["Power"] for one in said] == [pytest.approx(-42.5)] * 8
        assert [one["Counter"] for one in said] == list(range(8))
        for one in first:  # SAE J1850, bit by bit
            crc = 0xFF
            for octet in one.data[:7]:
                crc ^= octet
                for _ in range(8):
                    crc = crc << 1 & 0xFF ^ (0x1D if crc & 0x80 else 0)
            assert one.data[7] == crc ^ 0xFF
        spans = [b.timestamp - a.timestamp for a, b in pairwise(first[1:])]
        assert sum(spans) / len(spans) == pytest.approx(0.02, abs=0.02)
        await here.is_good("battery.power_kw")
        assert here.sample("battery.power_kw").value == pytest.approx(-42.5)


async def test_a_second_command_keeps_what_the_first_one_said(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.driver.operate(here.tag("battery.power_kw"), 10.0)
        await here.driver.operate(here.tag("battery.enable"), True)
        await until(lambda: any(one.data[2] & 1 for one in here.battery.commands()), "enabled")
        last = here.battery.commands()[-1]
        said = here.battery.said(last)
        assert (said["Power"], said["Enable"]) == (pytest.approx(10.0), 1)
        assert await here.driver.read_back(here.tag("battery.enable")) is True


async def test_feedback_is_what_the_device_says_after_the_command(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell("Answer", PowerTaken=1.5)
        await here.is_good("battery.taken_kw")
        asked = asyncio.create_task(here.driver.read_back(here.tag("battery.power_kw")))
        await asyncio.sleep(0)
        assert not asked.done(), "an old value is no answer"
        here.battery.tell("Answer", PowerTaken=7.25)
        assert await asked == 7.25
        with pytest.raises(TimeoutError):
            await here.driver.read_back(here.tag("battery.power_kw"))


async def test_a_command_that_nobody_repeats_ends_after_its_hold_time(tmp_path: Path) -> None:
    async with running(tmp_path, hold="hold_ms: 1000") as here:
        await here.driver.operate(here.tag("battery.power_kw"), 5.0)
        await until(lambda: len(here.battery.commands()) > 2, "it is sent again and again")
        bad = Quality.BAD_COMMUNICATION_ERROR
        await until(lambda: here.sample("battery.power_kw").status == bad, "it is no longer sent")
        count = len(here.battery.commands())
        assert count <= 53  # every 20 ms for the second; a busy machine sends fewer
        await here.driver.operate(here.tag("battery.power_kw"), 6.0)
        await until(lambda: len(here.battery.commands()) > count + 2, "it is sent again")


async def test_commands_that_can_not_be_are_refused_with_a_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        with pytest.raises(OperateError, match="not writable"):
            await here.driver.operate(here.tag("battery.voltage_v"), 1.0)
        with pytest.raises(OperateError, match="does not fit"):
            await here.driver.operate(here.tag("battery.power_kw"), 1e6)
        with pytest.raises(OperateError, match="not sent yet"):
            await here.driver.read_back(here.tag("battery.enable"))
        with pytest.raises(OperateError, match="no CAN device"):
            await here.driver.operate(10_000, 1.0)
        assert here.battery.commands() == []


def error_frame(identifier: int, *data: int) -> can.Message:
    return can.Message(
        arbitration_id=identifier, is_error_frame=True, dlc=8, data=bytes(data).ljust(8, b"\0")
    )


async def test_bus_off_and_error_frames_are_told_and_commands_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.bus.send(error_frame(0x004, 0, 0x10))  # controller, receive passive
        await until(lambda: here.sample("_system.battery.bus_state").value == 1, "passive")
        here.battery.bus.send(error_frame(0x040))  # bus-off
        await until(lambda: here.sample("_system.battery.bus_state").value == 2, "off")
        with pytest.raises(NotConnectedError, match="bus-off"):
            await here.driver.operate(here.tag("battery.power_kw"), 1.0)
        assert here.sample("_system.battery.bus_offs").value == 1
        assert here.sample("_system.battery.error_frames").value == 2
        here.battery.bus.send(error_frame(0x100))  # restarted
        await until(lambda: here.sample("_system.battery.bus_state").value == 0, "active")
        await here.driver.operate(here.tag("battery.enable"), True)
        said = here.battery.said(here.battery.commands()[0])
        # what was refused is not sent later either
        assert (said["Power"], said["Enable"]) == (0.0, 1)


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        (0x020, "error frame: nobody acknowledges"),
        (0x088, "error frame: a frame broke the protocol, an error on the bus"),
        (0x200, "error frame: of an unknown kind"),
    ],
)
async def test_what_an_error_frame_tells_is_told(tmp_path: Path, identifier: int, text: str) -> None:
    async with running(tmp_path) as here:

        def is_told() -> bool:
            here.battery.bus.send(error_frame(identifier))  # as they come, one after the other
            return here.sample("_system.battery.last_error").value == text

        await until(is_told, text)


async def test_a_frame_that_is_too_short_is_bad_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.battery.tell_status(400.0)
        await here.is_good("battery.state")
        here.battery.bus.send(can.Message(arbitration_id=256, is_extended_id=False, data=b"\x10\x27\x00\x00"))
        wanted = Quality.BAD_DATA_ENCODING_INVALID
        await until(lambda: here.sample("battery.state").status == wanted, "it is Bad")
        assert here.sample("battery.state").value == 2
        assert here.sample("battery.voltage_v").value == pytest.approx(1000.0)
        await until(lambda: here.sample("_system.battery.errors_protocol").value == 1, "it is counted")


async def test_load_of_the_bus_is_reckoned(tmp_path: Path) -> None:
    async with running(tmp_path) as here:

        def is_loaded() -> bool:
            here.battery.tell_status(400.0)
            return float(here.sample("_system.battery.bus_load_pct").value) > 0.1

        await until(is_loaded, "there is a load", 30)
        # 47 + 64 bits at 500 kbit/s are 0.222 ms; of at most 100 a second 2.2 %
        assert float(here.sample("_system.battery.bus_load_pct").value) < 3.0


REPLAY = """
site: {name: log}
areas: {storage: Battery}
devices:
  battery:
    area: storage
    protocol: can
    connection: {interface: replay, file: LOG, speed: 4, database: bms.dbc}
    groups: {fast: {period_ms: 50, stale_after_ms: 400}}
    points:
      voltage_v: {message: Status, signal: Voltage}
"""


@pytest.mark.parametrize("kind", ["asc", "blf", "trc", "log", "csv"])
async def test_a_log_is_replayed_at_its_pace(tmp_path: Path, kind: str) -> None:
    (tmp_path / "bms.dbc").write_text(DBC)
    database = Database()
    database.add_dbc_file(tmp_path / "bms.dbc")
    with can.Logger(str(tmp_path / f"run.{kind}")) as log:
        for place in range(11):
            data = database.encode_message(
                "Status", {"Voltage": 400 + place, "Current": 0, "State": 1, "Closed": 0}
            )
            log(
                can.Message(
                    timestamp=1_700_000_000 + place * 0.2, arbitration_id=256, is_extended_id=False, data=data,
                    channel=1,
                )
            )  # fmt: skip
    (tmp_path / "site.yaml").write_text(REPLAY.replace("LOG", f"run.{kind}"))
    site = load_site(tmp_path / "site.yaml")
    with Region.create(f"t-{uuid4().hex[:12]}", [tag.spec() for tag in site.tags]) as region:
        reader = region.reader()
        driver = CanDriver(site.can_devices, region.claim("drivers"))
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        await until(lambda: region.sample("battery.voltage_v").value == pytest.approx(410.0), "the last one")
        bad = Quality.BAD_COMMUNICATION_ERROR
        await until(lambda: region.sample("battery.voltage_v").status == bad, "the log's end", 3.0)
        stop.set()
        await task
        records = reader.take().records
    tag = next(place for place, one in enumerate(site.tags) if one.name == "battery.voltage_v")
    good = records[(records["tag"] == tag) & (records["status"] == Quality.GOOD)]
    assert list(good["value"].view("f8")) == pytest.approx([400.0 + place for place in range(11)])
    # two seconds at four times the speed
    assert (good["source_time"][-1] - good["source_time"][0]) / 1e9 == pytest.approx(0.5, abs=0.25)


async def test_a_bus_that_can_not_be_opened_is_tried_again_and_told(tmp_path: Path) -> None:
    (tmp_path / "bms.dbc").write_text(DBC)
    text = REPLAY.replace("interface: replay, file: LOG, speed: 4", "interface: socketcan, channel: nocan7")
    (tmp_path / "site.yaml").write_text(text)
    site = load_site(tmp_path / "site.yaml")
    with Region.create(f"t-{uuid4().hex[:12]}", [tag.spec() for tag in site.tags]) as region:
        driver = CanDriver(site.can_devices, region.claim("drivers"))
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        broken = "_system.battery.errors_connection"
        last_error = "_system.battery.last_error"
        await until(lambda: "cannot open" in str(region.sample(last_error).value), "the first attempt", 15.0)
        await until(lambda: int(region.sample(broken).value) >= 2, "two attempts", 15.0)
        assert not region.sample("_system.battery.connected").value
        stop.set()
        await task
