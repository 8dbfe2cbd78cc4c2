"""The CANopen driver before nodes of two other stacks: `durand`, and the local node of `canopen`."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import can
import canopen
import pytest
from durand import MinimalNode, Record, Variable
from durand.datatypes import DatatypeEnum
from durand.network import CANBusNetwork

from gateway.config.load import load_site
from gateway.drivers.can.driver import CanDriver
from gateway.tags.image import Region
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample

SITE = """
site: {name: drive}
areas: {a: A}
devices:
  drive:
    area: a
    protocol: canopen
    connection: {interface: virtual, channel: CHANNEL, node_id: 5, EDS heartbeat_ms: 100, lost_after_ms: 1500,
                 timeout_ms: 1000, retry_max_ms: 200}
    groups: {fast: {period_ms: 100, stale_after_ms: 5000}}
    pdos:
      tpdo1: {configure: true}
      rpdo1: {configure: true, cycle_ms: 100}
    points:
      voltage_v: {index: 0x2001, type: int32, scale: 0.01, unit: V}
      energy_kwh: {index: 0x2002, type: uint64, scale: 0.001, unit: kWh}
      temperature_c: {index: 0x2003, subindex: 1, type: float32, unit: "°C"}
      nothing: {index: 0x2999, type: uint8}
      power_kw: {index: 0x2004, type: int16, scale: 0.1, unit: kW, pdo: tpdo1}
      state: {index: 0x2006, type: uint8, pdo: tpdo1}
      limit_kw: {index: 0x2007, type: int16, scale: 0.1, unit: kW, write: {low: -50, high: 50}}
      total_kwh: {index: 0x2002, type: uint64, scale: 0.001, unit: kWh, write: {low: 0, high: 1000000000}}
      fixed: {index: 0x2006, type: uint8, write: {low: 0, high: 255}}
      setpoint_kw: {index: 0x2008, type: int16, scale: 0.1, unit: kW, pdo: rpdo1, feedback: taken_kw,
                    write: {low: -50, high: 50}}
      taken_kw: {index: 0x2008, type: int16, scale: 0.1, unit: kW}
"""


async def until(condition: Callable[[], bool], what: str, patience_s: float = 15.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


class Running:
    def __init__(self, region: Region, driver: CanDriver, channel: str) -> None:
        self.region, self.driver, self.channel = region, driver, channel

    def sample(self, name: str) -> Sample:
        return self.region.sample(name)

    def tag(self, name: str) -> int:
        return self.region.index_of(name)

    async def is_good(self, name: str, value: float) -> None:
        await until(
            lambda: (
                self.sample(name).status == Quality.GOOD and self.sample(name).value == pytest.approx(value)
            ),
            f"{name} is {value}",
        )

    async def has_status(self, name: str, status: Quality) -> None:
        await until(lambda: self.sample(name).status == status, f"{name} is {status.name}")


@asynccontextmanager
async def running(folder: Path, channel: str, text: str = SITE) -> AsyncIterator[Running]:
    (folder / "site.yaml").write_text(text.replace("CHANNEL", channel).replace("EDS", ""))
    site = load_site(folder / "site.yaml")
    with Region.create(f"t-{uuid4().hex[:12]}", [tag.spec() for tag in site.tags]) as region:
        driver = CanDriver(site.can_devices, region.claim("drivers"), seed=1)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        try:
            yield Running(region, driver, channel)
        finally:
            stop.set()
            await task


class Drive:
    """A node of durand."""

    def __init__(self, channel: str) -> None:
        self.bus = can.Bus(channel, "virtual", ignore_config=True)
        self.network = CANBusNetwork(self.bus, asyncio.get_running_loop())
        self.node = MinimalNode(self.network, node_id=5)
        od = self.node.object_dictionary
        od[0x2001] = Variable(DatatypeEnum.INTEGER32, "ro", 40012, name="Voltage")
        od[0x2002] = Variable(DatatypeEnum.UNSIGNED64, "rw", 123_456_789_012, name="Energy")
        record = Record(name="Temperatures")
        record[1] = Variable(DatatypeEnum.REAL32, "ro", 36.5, name="Inside")
        od[0x2003] = record
        od[0x2004] = Variable(DatatypeEnum.INTEGER16, "ro", -125, name="Power")
        od[0x2006] = Variable(DatatypeEnum.UNSIGNED8, "ro", 3, name="State")
        od[0x2007] = Variable(DatatypeEnum.INTEGER16, "rw", 0, name="Limit", minimum=-300, maximum=300)
        od[0x2008] = Variable(DatatypeEnum.INTEGER16, "rw", 0, name="Setpoint")
        self.od = od

    def appear(self) -> None:
        """As after power-on."""
        self.network.send(0x705, b"\0")

    def close(self) -> None:
        self.od.write(0x1017, 0, 0)
        self.network.stop()
        self.bus.shutdown()


@contextmanager
def drive(channel: str) -> Iterator[Drive]:
    one = Drive(channel)
    try:
        yield one
    finally:
        one.close()


@asynccontextmanager
async def both(folder: Path, text: str = SITE) -> AsyncIterator[tuple[Running, Drive]]:
    channel = f"bus-{uuid4().hex}"
    with drive(channel) as other:
        async with running(folder, channel, text) as here:
            await until(lambda: here.sample("_system.drive.node_state").value == 5, "it is operational")
            yield here, other


async def test_objects_are_read_by_sdo_and_those_that_are_not_there_are_told(tmp_path: Path) -> None:
    async with both(tmp_path) as (here, other):
        await here.is_good("drive.voltage_v", 400.12)
        await here.is_good("drive.energy_kwh", 123_456_789.012)  # in two segments
        await here.is_good("drive.temperature_c", 36.5)
        await here.has_status("drive.nothing", Quality.BAD_CONFIGURATION_ERROR)
        told = "_system.drive.last_error"
        await until(lambda: "no such object (abort 0x06020000)" in str(here.sample(told).value), "it is told")
        other.od.write(0x2001, 0, -1)
        await here.is_good("drive.voltage_v", -0.01)
        p50, p99 = (f"_system.drive.latency_{which}_ms" for which in ("p50", "p99"))
        await here.has_status(p99, Quality.GOOD)
        assert 0 < float(here.sample(p50).value) <= float(here.sample(p99).value)
        assert here.sample("_system.drive.connected").value


async def test_a_pdo_that_we_set_up_says_what_the_points_say(tmp_path: Path) -> None:
    async with both(tmp_path) as (here, other):
        await here.is_good("drive.power_kw", -12.5)
        await here.is_good("drive.state", 3)
        # object, subindex and bits, as CiA 301 7.4.9 has them
        assert [other.od.read(0x1A00, place) for place in (0, 1, 2)] == [2, 0x20040010, 0x20060008]
        assert other.od.read(0x1800, 1) == 0x185
        other.od.write(0x2006, 0, 7)
        other.od.write(0x2004, 0, 300)
        await here.is_good("drive.state", 7)
        await here.is_good("drive.power_kw", 30.0)


async def test_a_command_is_an_sdo_with_the_nodes_own_reason_where_it_refuses(tmp_path: Path) -> None:
    async with both(tmp_path) as (here, other):
        await here.driver.operate(here.tag("drive.limit_kw"), -12.3)
        assert other.od.read(0x2007, 0) == -123
        assert await here.driver.read_back(here.tag("drive.limit_kw")) == pytest.approx(-12.3)
        await here.is_good("drive.limit_kw", -12.3)
        with pytest.raises(
            OperateError, match=r"0x2007\.0 was refused: the value is too high .abort 0x06090031"
        ):
            await here.driver.operate(here.tag("drive.limit_kw"), 50.0)
        with pytest.raises(OperateError, match=r"0x2006\.0 was refused: the object can only be read"):
            await here.driver.operate(here.tag("drive.fixed"), 1)
        assert other.od.read(0x2007, 0) == -123
        await here.driver.operate(here.tag("drive.total_kwh"), 987_654_321.5)  # in two segments
        assert other.od.read(0x2002, 0) == 987_654_321_500


async def test_a_command_in_an_rpdo_is_confirmed_by_its_feedback(tmp_path: Path) -> None:
    async with both(tmp_path) as (here, other):
        await here.driver.operate(here.tag("drive.setpoint_kw"), 20.5)
        await until(lambda: other.od.read(0x2008, 0) == 205, "it is there")
        assert await here.driver.read_back(here.tag("drive.setpoint_kw")) == pytest.approx(20.5)
        await here.is_good("drive.setpoint_kw", 20.5)


async def test_a_node_that_is_silent_is_bad_in_the_stated_time_and_set_up_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as (here, other):
        await here.is_good("drive.voltage_v", 400.12)
        await here.is_good("drive.state", 3)
        network = other.node.network
        sending = network.send
        network.send = lambda cob_id, msg: None  # type: ignore[method-assign] # its line is cut
        await here.has_status("drive.state", Quality.BAD_COMMUNICATION_ERROR)
        node = here.driver._channels[0].devices[0].node
        assert node is not None
        assert asyncio.get_running_loop().time() - node._heard_s >= 1.5, "not before its time"
        await here.has_status("drive.voltage_v", Quality.BAD_COMMUNICATION_ERROR)
        assert here.sample("drive.state").value == 3
        assert here.sample("_system.drive.heartbeats_lost").value == 1
        assert here.sample("_system.drive.node_state").value == 255
        with pytest.raises(NotConnectedError, match="not heard"):
            await here.driver.operate(here.tag("drive.limit_kw"), 1.0)
        await until(lambda: not here.sample("_system.drive.connected").value, "it is told")
        network.send = sending  # type: ignore[method-assign] # and whole again
        other.node.nmt.reset()  # it boots
        await here.is_good("drive.state", 3)
        await here.is_good("drive.voltage_v", 400.12)
        await until(lambda: here.sample("_system.drive.boots").value == 1, "that is told as well")
        assert here.driver.connections(here.tag("drive.state")) == 2


async def test_emergencies_are_told_with_their_words(tmp_path: Path) -> None:
    async with both(tmp_path) as (here, other):
        code, text = "_system.drive.emergency_code", "_system.drive.emergency_text"
        assert here.sample(code).status == Quality.BAD_WAITING_FOR_INITIAL_DATA
        other.node.emcy.set(0x4210, 0x09, b"\x01\x02")
        await until(lambda: here.sample(code).value == 0x4210, "the emergency")
        assert here.sample("_system.drive.error_register").value == 9
        await until(
            lambda: here.sample(text).value == "0x4210 device temperature, 01 02 00 00 00", "in words"
        )
        other.node.emcy.set(0, 0)
        await until(lambda: here.sample(text).value == "0x0000 no error", "it is over")
        assert here.sample("_system.drive.emergencies").value == 1


async def test_a_node_that_appears_late_is_started_and_one_that_fell_back_is_started_again(
    tmp_path: Path,
) -> None:
    channel = f"bus-{uuid4().hex}"
    async with running(tmp_path, channel) as here:
        await until(lambda: int(here.sample("_system.drive.errors_timeout").value) >= 1, "nobody answers")
        with drive(channel) as other:
            other.appear()
            await until(lambda: here.sample("_system.drive.node_state").value == 5, "it is operational")
            await here.is_good("drive.power_kw", -12.5)
            node = here.driver._channels[0].devices[0].node
            assert node is not None
            await until(lambda: not node._is_busy, "that is over")
            other.node.nmt.handle_msg(0, b"\x80\x05")  # somebody else puts it back
            assert int(other.node.nmt.state) == 127
            await until(lambda: int(other.node.nmt.state) == 5, "it works again")


def eds(objects: dict[str, dict[str, str]]) -> str:
    """A data sheet; a section for each object."""
    lines = ["[DeviceInfo]", "ProductName=Inverter", "[MandatoryObjects]", "SupportedObjects=0"]
    tops = [name for name in objects if "sub" not in name]
    lines += ["[ManufacturerObjects]", f"SupportedObjects={len(tops)}"]
    lines += [f"{place}=0x{name}" for place, name in enumerate(tops, 1)]
    for name, keys in objects.items():
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def variable(
    name: str, data_type: int, access: str = "ro", default: object = "", pdo: int = 1
) -> dict[str, str]:
    return {
        "ParameterName": name, "ObjectType": "0x7", "DataType": f"0x{data_type:04X}", "AccessType": access,
        "DefaultValue": str(default), "PDOMapping": str(pdo),
    }  # fmt: skip


def record(name: str, count: int) -> dict[str, str]:
    return {"ParameterName": name, "ObjectType": "0x9", "SubNumber": str(count)}


SHEET = eds({
    "1000": variable("Device type", 7, "ro", 0, 0),
    "1001": variable("Error register", 5, "ro", 0, 0),
    "1008": variable("Device name", 9, "const", "inverter", 0),
    "1017": variable("Heartbeat time", 6, "rw", 0, 0),
    "1400": record("RPDO1 settings", 3),
    "1400sub0": variable("Count", 5, "ro", 2, 0),
    "1400sub1": variable("COB-ID", 7, "rw", "$NODEID+0x200", 0),
    "1400sub2": variable("Type", 5, "rw", 255, 0),
    "1600": record("RPDO1 mapping", 3),
    "1600sub0": variable("Count", 5, "rw", 2, 0),
    "1600sub1": variable("First", 7, "rw", "0x60400010", 0),
    "1600sub2": variable("Second", 7, "rw", "0x21020020", 0),
    "1800": record("TPDO1 settings", 3),
    "1800sub0": variable("Count", 5, "ro", 2, 0),
    "1800sub1": variable("COB-ID", 7, "rw", "$NODEID+0x180", 0),
    "1800sub2": variable("Type", 5, "rw", 255, 0),
    "1A00": record("TPDO1 mapping", 4),
    "1A00sub0": variable("Count", 5, "rw", 3, 0),
    "1A00sub1": variable("First", 7, "rw", "0x21000120", 0),
    "1A00sub2": variable("Second", 7, "rw", "0x21010001", 0),
    "1A00sub3": variable("Third", 7, "rw", "0x60410010", 0),
    "1801": record("TPDO2 settings", 3),
    "1801sub0": variable("Count", 5, "ro", 2, 0),
    "1801sub1": variable("COB-ID", 7, "rw", "0x80000000", 0),
    "1801sub2": variable("Type", 5, "rw", 255, 0),
    "1A01": record("TPDO2 mapping", 2),
    "1A01sub0": variable("Count", 5, "rw", 1, 0),
    "1A01sub1": variable("First", 7, "rw", "0x60410010", 0),
    "2100": record("Battery", 3),
    "2100sub0": variable("Count", 5, "ro", 2, 0),
    "2100sub1": variable("Current", 8, "ro", 0),
    "2100sub2": variable("Serial number", 9, "ro", "", 0),
    "2101": variable("Contactor", 1, "ro", 0),
    "2102": variable("Power", 4, "rw", 7),
    "2103": variable("Secret", 7, "wo", 0, 0),
    "6040": variable("Controlword", 6, "rw", 6),
    "6041": variable("Statusword", 6, "ro", 0),
})  # fmt: skip

WITH_SHEET = """
site: {name: inverter}
areas: {a: A}
devices:
  inverter:
    area: a
    protocol: canopen
    connection: {interface: virtual, channel: CHANNEL, node_id: 9, eds: inverter.eds, heartbeat_ms: 200,
                 lost_after_ms: 3000, timeout_ms: 1000}
    groups: {fast: {period_ms: 100, stale_after_ms: 5000}}
    pdos: {tpdo1: {}, rpdo1: {cycle_ms: 50}}
    points:
      current_a: {object: Battery.Current, pdo: tpdo1, unit: A}
      contactor: {object: Contactor, pdo: tpdo1}
      status: {index: 0x6041, pdo: tpdo1}
      status_asked: {object: Statusword}
      power_kw: {object: Power, scale: 0.001, unit: kW, pdo: rpdo1, write: {low: -50, high: 50}}
"""


class Inverter:
    """A node of `canopen`, from its EDS. What it sends and takes is compared as bytes, not by its own decoding."""

    def __init__(self, channel: str, sheet: Path) -> None:
        self.network = canopen.Network(can.Bus(channel, "virtual", ignore_config=True))
        self.network.connect()
        self.node = self.network.create_node(9, str(sheet))
        self.heard: list[bytes] = []
        self.network.subscribe(0x209, lambda _, data, __: self.heard.append(bytes(data)))
        self.node.nmt.state = "PRE-OPERATIONAL"

    def close(self) -> None:
        self.node.nmt.stop_heartbeat()
        self.network.disconnect()


async def test_an_eds_names_objects_and_lays_out_pdos(tmp_path: Path) -> None:
    channel = f"bus-{uuid4().hex}"
    sheet = tmp_path / "inverter.eds"
    sheet.write_text(SHEET)
    other = Inverter(channel, sheet)
    try:
        async with running(tmp_path, channel, WITH_SHEET) as here:
            state = "_system.inverter.node_state"
            await until(lambda: here.sample(state).value == 5, "it is operational")
            assert other.node.sdo[0x1017].raw == 200
            other.node.sdo[0x6041].raw = 0x1637
            await here.is_good("inverter.status_asked", 0x1637)
            # 32 bits of a float, one of a bool, 16 of a word: 2.5, true, 0x1637 << 1
            told = struct.pack("<f", 2.5) + (1 | 0x1637 << 1).to_bytes(3, "little")
            other.network.send_message(0x189, told)
            await here.is_good("inverter.current_a", 2.5)
            await here.is_good("inverter.status", 0x1637)
            assert here.sample("inverter.contactor").value is True
            await here.driver.operate(here.tag("inverter.power_kw"), -12.345)
            # the controlword has the default that the sheet gives it
            sent = struct.pack("<Hi", 6, -12345)
            await until(lambda: other.heard.count(sent) >= 3, "it is sent in its cycle")
            assert set(other.heard) == {sent}
            await here.is_good("inverter.power_kw", -12.345)
    finally:
        other.close()


PLAIN = """
site: {name: plain}
areas: {a: A}
devices:
  drive:
    area: a
    protocol: canopen
    connection: {interface: virtual, channel: CHANNEL, node_id: 5, heartbeat_ms: 0, start: false, timeout_ms: 5000}
    groups: {fast: {period_ms: 50, stale_after_ms: 5000}}
    points:
      limit_kw: {index: 0x2007, type: int16, unit: kW, write: {low: -50, high: 50}}
"""


class Bytes:
    """A node of bytes alone, which answers when it is told to."""

    def __init__(self, channel: str) -> None:
        self.bus = can.Bus(channel, "virtual", ignore_config=True)

    async def asked(self) -> str:
        found: list[bytes] = []

        def is_asked() -> bool:
            message = self.bus.recv(0)
            if message is not None and message.arbitration_id == 0x605:
                found.append(bytes(message.data))
            return bool(found)

        await until(is_asked, "a request")
        return found[0].hex(" ")

    def answer(self, text: str) -> None:
        self.bus.send(can.Message(arbitration_id=0x585, is_extended_id=False, data=bytes.fromhex(text)))


async def test_what_a_poll_under_way_is_told_is_no_read_back(tmp_path: Path) -> None:
    channel = f"bus-{uuid4().hex}"
    other = Bytes(channel)
    async with running(tmp_path, channel, PLAIN) as here:
        assert await other.asked() == "40 07 20 00 00 00 00 00"
        asked = asyncio.create_task(here.driver.read_back(here.tag("drive.limit_kw")))
        await asyncio.sleep(0)
        other.answer("4b 07 20 00 01 00 00 00")
        assert await other.asked() == "40 07 20 00 00 00 00 00"
        await here.is_good("drive.limit_kw", 1)
        assert not asked.done()
        other.answer("4b 07 20 00 02 00 00 00")
        assert await asked == 2
    other.bus.shutdown()


async def test_an_answer_that_is_late_is_not_taken_and_a_short_one_is_bad(tmp_path: Path) -> None:
    channel = f"bus-{uuid4().hex}"
    other = Bytes(channel)
    async with running(tmp_path, channel, PLAIN) as here:
        await other.asked()
        other.answer("4f 08 20 00 09 00 00 00")  # of another object
        other.answer("4b 07 20 00 05 00 00 00")
        await here.is_good("drive.limit_kw", 5)
        await other.asked()
        other.answer("4f 07 20 00 07 00 00 00")  # one byte
        await here.has_status("drive.limit_kw", Quality.BAD_DATA_ENCODING_INVALID)
        assert here.sample("drive.limit_kw").value == 5
    other.bus.shutdown()
