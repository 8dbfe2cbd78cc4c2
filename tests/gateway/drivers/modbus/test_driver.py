"""The driver over real sockets: what reaches the image when devices behave, and when they do not."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from gateway.config.modbus import PollGroup, RegisterType, Table, WriteFunction
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality

H, IN, C, D = Table.HOLDING, Table.INPUT, Table.COIL, Table.DISCRETE
U16, I16, BOOL = RegisterType.UINT16, RegisterType.INT16, RegisterType.BOOL
BUSY_S = 1.0  # how late a loop may be on a machine that runs other things
UNDELAYED_MS = 150  # the longest gap between updates every 50 ms that nobody holds up: a timeout is 200 ms
BUSY_TIMES = 1  # a busy machine may be late that often; who waits for another is late each time
LONG_TIMEOUT_MS = (
    1000  # which nobody waits for but the device whose it is; the machine may be busy for half of it
)


def meter(point, count: int = 4):
    """``count`` neighbouring holding registers m0, m1, …"""
    return [point(f"m{i}", H, i, U16, writable=True) for i in range(count)]


def registers(count: int = 4) -> dict[int, dict[int, int]]:
    return {3: {i: 100 + i for i in range(count)}}


def source_times(slice_, tag: int) -> np.ndarray:
    rows = slice_.records[slice_.records["tag"] == tag]
    return np.asarray(rows["source_time"])


def late(slice_, tag: int) -> int:
    """How often it was longer than ``UNDELAYED_MS`` between two updates."""
    return int(np.count_nonzero(np.diff(source_times(slice_, tag)) / 1e6 >= UNDELAYED_MS))


async def test_all_four_tables_reach_the_image_in_one_write_a_poll(site, new_device, point) -> None:
    device = await new_device(
        {
            1: {5: True, 6: False},
            2: {9: True},
            3: {0: 0x4142, 1: 0x4300, 2: 0xFFFF, 7: 0x0008},
            4: {0: 0, 1: 65},
        }
    )
    site.add(
        "d",
        device.port,
        [
            point("coil", C, 5, BOOL),
            point("other_coil", C, 6, BOOL),
            point("discrete", D, 9, BOOL),
            point("text", H, 0, RegisterType.STRING, registers=2),
            point("minus", H, 2, I16),
            point("bit", H, 7, BOOL, bit=3),
            point("power_kw", IN, 0, RegisterType.INT32, scale=0.1, offset=1.0),
        ],
    )
    site.start()
    names = ("d.coil", "d.other_coil", "d.discrete", "d.text", "d.minus", "d.bit", "d.power_kw")
    await site.until_good(*names)
    assert [site.value(name) for name in names] == [True, False, True, "ABC", -1, True, 7.5]
    samples = [site.sample(name) for name in names]
    assert abs(samples[0].source_time - time.time_ns()) < 5e9
    assert {asked.pdu[0] for asked in device.requests} == {1, 2, 3, 4}
    assert [asked.pdu.hex() for asked in device.requests[:4]] == [
        "0100050002",
        "0200090001",
        "0400000002",
        "0300000008",
    ]


async def test_a_cut_device_goes_bad_with_its_last_values_in_time_and_comes_back_while_others_go_on(
    site, new_device, point
) -> None:
    dead, alive = await new_device(registers()), await new_device(registers())
    site.add("dead", dead.port, meter(point))
    site.add("alive", alive.port, meter(point))
    site.start()
    names = [f"dead.m{i}" for i in range(4)]
    await site.until_good(*names, "alive.m0")
    await site.until(lambda: site.value("_system.dead.connected") is True)
    reader = site.region.reader()

    await dead.stop()
    cut_s = time.monotonic()
    dead.tables[3] = {i: 200 + i for i in range(4)}
    await site.until(lambda: all(site.status(name) == Quality.BAD_COMMUNICATION_ERROR for name in names))
    assert time.monotonic() - cut_s < 0.4 + BUSY_S  # stale_after_ms
    assert [site.value(name) for name in names] == [100, 101, 102, 103]
    await site.until(lambda: site.value("_system.dead.connected") is False)
    assert site.value("_system.dead.errors_connection") >= 1

    await dead.start()
    await site.until_good(*names)
    assert [site.value(name) for name in names] == [200, 201, 202, 203]
    await site.until(lambda: site.value("_system.dead.connected") is True)

    taken = reader.take()
    times = source_times(taken, site.tag("alive.m0"))
    assert abs(np.median(np.diff(times) / 1e6) - 50) < 5
    assert late(taken, site.tag("alive.m0")) <= BUSY_TIMES
    assert (times[-1] - times[0]) / 1e6 / 50 == pytest.approx(len(times) - 1, abs=6)


async def test_values_go_bad_at_their_stated_time_and_not_before(site, new_device, point) -> None:
    device = await new_device(registers())
    site.add("d", device.port, meter(point), groups=(PollGroup("fast", 50, 800),), timeout_ms=50)
    site.start()
    reader = site.region.reader()
    await site.until_good("d.m0")
    device.is_silent = True
    await site.until(lambda: site.status("d.m0") != Quality.GOOD)
    records = reader.take().records
    rows = records[records["tag"] == site.tag("d.m0")]
    last_good = rows["receipt_time"][rows["status"] == Quality.GOOD][-1]
    assert (
        -2 <= (rows["receipt_time"][-1] - last_good) / 1e6 - 800 < 1000 * BUSY_S
    )  # uvloop counts whole milliseconds
    assert site.value("d.m0") == 100


async def test_a_device_that_was_never_there_is_bad_by_communication_after_the_same_time(
    site, point, unused_tcp_port
) -> None:
    site.add("d", unused_tcp_port, meter(point))
    site.start()
    assert site.status("d.m0") == Quality.BAD_WAITING_FOR_INITIAL_DATA
    await site.until(lambda: site.status("d.m0") == Quality.BAD_COMMUNICATION_ERROR, within_s=0.4 + BUSY_S)
    await site.until(lambda: "no connection to" in str(site.value("_system.d.last_error")))


@pytest.mark.parametrize("fault", ["is_silent", "resets"])
async def test_a_device_that_answers_nothing_delays_no_other_and_comes_back(
    site, new_device, point, fault: str
) -> None:
    sick, alive = await new_device(registers()), await new_device(registers())
    setattr(sick, fault, True)
    site.add("sick", sick.port, meter(point), timeout_ms=LONG_TIMEOUT_MS)
    site.add("alive", alive.port, meter(point))
    site.start()
    await site.until_good("alive.m0")
    reader = site.region.reader()
    await site.until(lambda: site.status("sick.m0") == Quality.BAD_COMMUNICATION_ERROR)
    await site.until(lambda: sick.connections >= 2)
    times = source_times(reader.take(), site.tag("alive.m0"))
    assert (np.diff(times) / 1e6).max() < LONG_TIMEOUT_MS / 2
    setattr(sick, fault, False)
    await site.until_good("sick.m0")


async def test_a_slow_device_is_slow_alone(site, new_device, point) -> None:
    slow, alive = await new_device(registers()), await new_device(registers())
    slow.delay_s = 0.12  # under its timeout, over its period
    site.add("slow", slow.port, meter(point))
    site.add("alive", alive.port, meter(point))
    site.start()
    await site.until_good("slow.m0", "alive.m0")
    reader = site.region.reader()
    await site.until(lambda: len(slow.times) >= 6)
    taken = reader.take()
    assert site.status("slow.m0") == Quality.GOOD
    assert late(taken, site.tag("alive.m0")) <= BUSY_TIMES
    # Overruns are skipped: the next poll is on the 50 ms grid, 150 ms after the one before.
    assert np.median(np.diff(source_times(taken, site.tag("slow.m0"))) / 1e6) == pytest.approx(150, abs=15)


async def test_a_long_poll_of_one_group_does_not_hold_up_another(site, new_device, point) -> None:
    device = await new_device(registers(21))
    points = [point("fast", H, 20, U16), *(point(f"slow{i}", H, i, U16, group=1) for i in range(20))]
    groups = (PollGroup("fast", 50, 2000), PollGroup("slow", 500, 2000))
    site.add("d", device.port, points, max_registers=1, groups=groups)
    site.start()
    await site.until_good("d.fast", "d.slow0")
    reader = site.region.reader()
    device.delay_s = 0.015  # twenty reads: 300 ms
    before = len(device.requests)
    await site.until(lambda: len(device.requests) >= before + 120)
    taken = reader.take()
    assert len(source_times(taken, site.tag("d.slow0"))) > BUSY_TIMES + 1
    assert late(taken, site.tag("d.fast")) <= BUSY_TIMES
    assert device.most_at_once == 1


async def test_polls_keep_their_rate_over_time(site, new_device, point) -> None:
    device = await new_device(registers())
    device.delay_s = 0.03  # counted from the last answer, twenty polls would drift by six periods
    site.add("d", device.port, meter(point), groups=(PollGroup("fast", 100, 1000),))
    site.start()
    await site.until_good("d.m0")
    reader = site.region.reader()
    await site.until(lambda: len(device.requests) >= 20)
    times = source_times(reader.take(), site.tag("d.m0"))
    # All on one grid, from the first to the last; any one, the very first too, may be late on a busy machine.
    turns = np.exp(2j * np.pi * times / 100e6)
    away = np.angle(turns / turns.mean()) / (2 * np.pi)
    assert np.median(np.abs(away)) < 0.1


async def test_an_illegal_register_marks_only_its_point(site, new_device, point) -> None:
    device = await new_device(registers(40))
    del device.tables[3][17]
    site.add("d", device.port, meter(point, 40))
    site.start()
    others = [f"d.m{i}" for i in range(40) if i != 17]
    await site.until_good(*others)
    await site.until(lambda: site.status("d.m17") == Quality.BAD_CONFIGURATION_ERROR)
    assert [site.value(name) for name in others] == [100 + i for i in range(40) if i != 17]

    # The split is remembered: from now on nobody asks for it, and few requests cover the rest.
    device.requests.clear()
    await site.until(lambda: len(device.requests) >= 20)
    reads = {(asked.pdu[1:3], asked.pdu[3:5]) for asked in device.requests}
    assert len(reads) <= 6
    for start, count in reads:
        first = int.from_bytes(start, "big")
        assert 17 not in range(first, first + int.from_bytes(count, "big"))
    assert site.value("_system.d.errors_exception") <= 7


async def test_a_gap_the_device_does_not_have_costs_one_split_and_no_point(site, new_device, point) -> None:
    device = await new_device({3: {0: 1, 1: 2, 6: 3, 7: 4}})
    site.add("d", device.port, [point(f"m{i}", H, i, U16) for i in (0, 1, 6, 7)])
    site.start()
    await site.until_good("d.m0", "d.m1", "d.m6", "d.m7")
    device.requests.clear()
    await site.until(lambda: len(device.requests) >= 6)
    assert {asked.pdu.hex() for asked in device.requests} == {"0300000002", "0300060002"}


async def test_an_illegal_register_comes_back_once_the_device_has_it(
    site, new_device, point, monkeypatch
) -> None:
    monkeypatch.setattr("gateway.drivers.modbus.device.SLOW_RETRY_S", 0.1)
    device = await new_device(registers())
    del device.tables[3][2]
    site.add("d", device.port, meter(point))
    site.start()
    await site.until(lambda: site.status("d.m2") == Quality.BAD_CONFIGURATION_ERROR)
    device.tables[3][2] = 7
    await site.until_good("d.m2")
    assert site.value("d.m2") == 7


async def test_an_illegal_register_is_asked_again_after_a_new_connection(site, new_device, point) -> None:
    device = await new_device(registers())
    del device.tables[3][2]
    site.add("d", device.port, meter(point))
    site.start()
    await site.until(lambda: site.status("d.m2") == Quality.BAD_CONFIGURATION_ERROR)
    await device.stop()
    device.tables[3][2] = 7
    await device.start()
    await site.until_good("d.m2")


async def test_a_device_that_refused_for_a_moment_is_read_as_a_whole_again(
    site, new_device, point, monkeypatch
) -> None:
    for name in ("device.FIRST_RETRY_S", "poll.SLOW_RETRY_S"):
        monkeypatch.setattr(f"gateway.drivers.modbus.{name}", 0.1)
    device = await new_device(registers())
    kept = device.tables[3].copy()
    device.tables[3].clear()
    site.add("d", device.port, meter(point))
    site.start()
    names = [f"d.m{i}" for i in range(4)]
    await site.until(lambda: all(site.status(name) == Quality.BAD_CONFIGURATION_ERROR for name in names))
    device.tables[3].update(kept)
    await site.until_good(*names)
    seen = len(device.requests)
    await site.until(lambda: [asked.pdu.hex() for asked in device.requests[seen:]][-3:] == ["0300000004"] * 3)


async def test_answers_of_another_unit_are_no_data_and_are_counted(site, new_device, point) -> None:
    device = await new_device(registers())
    device.answers_as_unit = 3
    site.add("d", device.port, meter(point))
    site.start()
    await site.until(lambda: site.status("d.m0") == Quality.BAD_COMMUNICATION_ERROR)
    assert site.value("d.m0") == 0
    await site.until(lambda: site.value("_system.d.last_error") == "unit 3 answered for unit 1")
    assert site.value("_system.d.errors_protocol") >= 1
    device.answers_as_unit = None
    await site.until_good("d.m0")


async def test_a_connection_that_ends_between_polls_is_made_again(site, new_device, point) -> None:
    device = await new_device(registers())
    site.add("d", device.port, meter(point), groups=(PollGroup("slow", 200, 2000),))
    site.start()
    await site.until_good("d.m0")
    reader = site.region.reader()
    device.drop_clients()
    await site.until(lambda: device.connections == 2)
    before = len(device.requests)
    await site.until(lambda: len(device.requests) > before)
    records = reader.take().records
    assert set(records["status"][records["tag"] == site.tag("d.m0")]) <= {Quality.GOOD}


async def test_a_table_the_device_does_not_know_leaves_the_others(site, new_device, point) -> None:
    device = await new_device(registers())
    device.unsupported.add(4)
    site.add("d", device.port, [*meter(point), point("input", IN, 0, U16)])
    site.start()
    await site.until_good("d.m0")
    await site.until(lambda: site.status("d.input") == Quality.BAD_CONFIGURATION_ERROR)


async def test_one_read_that_fails_leaves_the_other_points_of_its_group(site, new_device, point) -> None:
    device = await new_device({3: {0: 1, 100: 2}})
    site.add("d", device.port, [point("a", H, 0, U16), point("b", H, 100, U16)])
    site.start()
    await site.until_good("d.a", "d.b")
    device.exception_of[100] = 4
    device.tables[3][0] = 11
    await site.until(lambda: site.status("d.b") == Quality.BAD_DEVICE_FAILURE)
    assert site.value("d.b") == 2
    assert site.sample("d.a").value == 11
    assert site.status("d.a") == Quality.GOOD
    del device.exception_of[100]
    await site.until_good("d.b")


async def test_a_read_the_device_ignores_is_asked_seldom_and_slows_no_other(site, new_device, point) -> None:
    device = await new_device({3: {0: 1, 100: 2}})
    device.silent_addresses.add(100)
    site.add("d", device.port, [point("a", H, 0, U16), point("b", H, 100, U16)])
    site.start()
    await site.until(lambda: site.status("d.b") == Quality.BAD_COMMUNICATION_ERROR)
    await site.until(lambda: sum(asked.pdu[2] == 100 for asked in device.requests) >= 3)
    await site.until_good("d.a")
    reader = site.region.reader()
    device.requests.clear()
    await site.until(lambda: len(device.requests) >= 10)
    assert all(asked.pdu[2] == 0 for asked in device.requests)
    assert late(reader.take(), site.tag("d.a")) <= BUSY_TIMES
    assert site.value("_system.d.connected") is True


async def test_no_value_keeps_the_last_one(site, new_device, point) -> None:
    device = await new_device({3: {0: 5, 1: 0x3FC0, 2: 0, 3: 0x1234, 4: 0x4142}})
    site.add(
        "d",
        device.port,
        [
            point("sentinel", H, 0, I16, not_implemented=(0x8000,)),
            point("nan", H, 1, RegisterType.FLOAT32),
            point("bcd", H, 3, RegisterType.BCD16),
            point("text", H, 4, RegisterType.STRING),
        ],
    )
    site.start()
    await site.until_good("d.sentinel", "d.nan", "d.bcd", "d.text")
    device.tables[3].update({0: 0x8000, 1: 0x7FC0, 3: 0x12FA, 4: 0xFFFE})
    await site.until(lambda: site.status("d.sentinel") != Quality.GOOD)
    assert site.status("d.sentinel") == Quality.BAD_NOT_SUPPORTED
    assert site.status("d.nan") == Quality.BAD_SENSOR_FAILURE
    assert site.status("d.bcd") == Quality.BAD_DATA_ENCODING_INVALID
    assert site.status("d.text") == Quality.BAD_DATA_ENCODING_INVALID
    assert [site.value(f"d.{name}") for name in ("sentinel", "nan", "bcd", "text")] == [5, 1.5, 1234, "AB"]


async def test_a_device_is_left_alone_between_requests(site, new_device, point) -> None:
    device = await new_device(registers())
    site.add(
        "d", device.port, meter(point), pause_ms=40, max_registers=1, groups=(PollGroup("fast", 1, 9000),)
    )
    site.start()
    await site.until(lambda: len(device.times) >= 8)
    gaps_s = [after[0] - before[1] for before, after in zip(device.times, device.times[1:], strict=False)]
    assert min(gaps_s) > 0.038  # uvloop counts whole milliseconds


async def test_devices_that_must_share_one_connection_ask_one_at_a_time(site, new_device, point) -> None:
    device = await new_device(registers())
    device.delay_s = 0.005
    for unit in (1, 2, 3):
        site.add(f"u{unit}", device.port, meter(point), unit_id=unit, single_connection=True)
    site.start()
    await site.until_good("u1.m0", "u2.m0", "u3.m0")
    await site.until(lambda: len(device.requests) >= 30)
    assert device.connections == 1
    assert device.most_at_once == 1
    assert {asked.unit for asked in device.requests} == {1, 2, 3}


async def test_devices_that_need_not_share_have_connections_of_their_own(site, new_device, point) -> None:
    device = await new_device(registers())
    for unit in (1, 2):
        site.add(f"u{unit}", device.port, meter(point), unit_id=unit)
    site.start()
    await site.until_good("u1.m0", "u2.m0")
    assert device.connections == 2


async def test_a_dead_unit_behind_a_gateway_costs_its_neighbours_no_connection(
    site, new_device, point
) -> None:
    gateway = await new_device(registers())
    gateway.silent_units.add(2)
    site.add("u1", gateway.port, meter(point), unit_id=1, single_connection=True, timeout_ms=60)
    site.add("u2", gateway.port, meter(point), unit_id=2, single_connection=True, timeout_ms=60)
    site.start()
    await site.until(lambda: site.status("u2.m0") == Quality.BAD_COMMUNICATION_ERROR)
    await site.until_good("u1.m0")
    before = len(gateway.requests)
    await site.until(lambda: len(gateway.requests) >= before + 20)
    assert site.status("u1.m0") == Quality.GOOD
    assert gateway.connections <= 2  # before u1 was heard, two silences may have closed the first
    gateway.silent_units.clear()
    await site.until_good("u2.m0")


async def test_a_gateways_word_for_a_silent_unit_is_silence(site, new_device, point) -> None:
    gateway = await new_device(registers())
    gateway.exception_of[0] = 11
    site.add("d", gateway.port, meter(point))
    site.start()
    await site.until(lambda: site.status("d.m0") == Quality.BAD_COMMUNICATION_ERROR)
    assert not site.driver.devices[0].session.is_connected
    gateway.exception_of.clear()
    await site.until_good("d.m0")


async def test_the_counters_are_tags(site, new_device, point) -> None:
    device = await new_device(registers())
    device.delay_s = 0.01
    site.add("d", device.port, [*meter(point), point("input", IN, 3, U16)])
    site.start()
    await site.until(lambda: site.value("_system.d.requests") > 10)
    assert site.value("_system.d.connected") is True
    assert site.value("_system.d.errors_exception") == 1  # there are no input registers
    assert site.value("_system.d.last_error") == "exception 2 (illegal address)"
    assert 9 < site.value("_system.d.latency_p50_ms") < 60
    assert site.value("_system.d.latency_p99_ms") >= site.value("_system.d.latency_p50_ms")
    for kind in ("timeout", "connection", "protocol"):
        assert site.value(f"_system.d.errors_{kind}") == 0


async def test_the_end_leaves_no_connection_and_no_value_that_looks_current(site, new_device, point) -> None:
    device = await new_device(registers())
    site.add("d", device.port, meter(point))
    site.start()
    await site.until_good("d.m0")
    before = set(asyncio.all_tasks())
    await site.stop()
    assert site.status("d.m0") == Quality.BAD_COMMUNICATION_ERROR
    assert site.value("d.m0") == 100
    await device.until_left()
    assert not {task.get_name() for task in set(asyncio.all_tasks()) - before if "modbus" in task.get_name()}


# Commands


async def settled(site, new_device, point, points, tables, **changes):
    device = await new_device(tables)
    site.add("d", device.port, points, **changes)
    site.start()
    await site.until_good(*(f"d.{it.name}" for it in points))
    return device


@pytest.mark.parametrize(
    ("name", "kind", "value", "sent"),
    [
        ("coil", (C, 3, BOOL, {}), True, "050003ff00"),
        ("coil", (C, 3, BOOL, {}), False, "0500030000"),
        ("single", (H, 0, I16, {"scale": 0.1}), -12.3, "060000ff85"),
        ("pair", (H, 0, RegisterType.INT32, {}), -2, "1000000002" + "04fffffffe"),
        ("real", (H, 0, RegisterType.FLOAT32, {}), 1.5, "1000000002043fc00000"),
        ("text", (H, 0, RegisterType.STRING, {"registers": 2}), "abc", "1000000002" + "0461626300"),
        ("bit", (H, 0, BOOL, {"bit": 4}), True, "160000ffef0010"),
        ("bit", (H, 0, BOOL, {"bit": 4}), False, "160000ffef0000"),
    ],
)
async def test_each_kind_of_point_is_written_once_and_read_back(
    site, new_device, point, name, kind, value, sent
) -> None:
    table, address, type, changes = kind
    points = [point(name, table, address, type, writable=True, **changes)]
    device = await settled(site, new_device, point, points, {1: {3: 0}, 3: {0: 0x4100, 1: 0}})
    tag = site.tag(f"d.{name}")
    await site.driver.operate(tag, value)
    assert [pdu.hex() for pdu in device.writes()] == [sent]
    assert await site.driver.read_back(tag) == pytest.approx(value)
    assert site.value(f"d.{name}") == pytest.approx(value)  # at once, not with the next poll


async def test_a_bit_is_written_by_read_and_write_where_there_is_no_mask_write_and_the_point_allows_it(
    site, new_device, point
) -> None:
    points = [
        point("bit", H, 0, BOOL, bit=4, writable=True, function=WriteFunction.MASK_OR_REWRITE),
        point("other", H, 0, BOOL, bit=5, writable=True, function=WriteFunction.MASK_OR_REWRITE),
    ]
    device = await settled(site, new_device, point, points, {3: {0: 0x0F00}})
    device.unsupported.add(22)
    await site.driver.operate(site.tag("d.bit"), True)
    await site.driver.operate(site.tag("d.other"), True)
    assert device.tables[3][0] == 0x0F30
    assert [pdu.hex() for pdu in device.writes()] == ["160000ffef0010", "0600000f10", "0600000f30"]


async def test_a_register_is_written_by_function_16_where_there_is_no_6(site, new_device, point) -> None:
    device = await settled(site, new_device, point, meter(point), registers())
    device.unsupported.add(6)
    await site.driver.operate(site.tag("d.m1"), 7)
    await site.driver.operate(site.tag("d.m1"), 8)
    assert [pdu.hex() for pdu in device.writes()] == ["0600010007", "1000010001020007", "1000010001020008"]
    assert device.tables[3][1] == 8


async def test_the_devices_no_is_an_operate_error(site, new_device, point) -> None:
    device = await settled(site, new_device, point, meter(point, 1), {3: {0: 1}})
    device.exception_of[0] = 4
    with pytest.raises(OperateError, match="exception 4"):
        await site.driver.operate(site.tag("d.m0"), 5)
    with pytest.raises(OperateError, match="exception 4"):
        await site.driver.read_back(site.tag("d.m0"))
    assert len(device.writes()) == 1


async def test_acknowledge_is_a_yes_to_a_write(site, new_device, point) -> None:
    device = await settled(site, new_device, point, meter(point, 1), {3: {0: 1}})
    device.exception_of[0] = 5
    await site.driver.operate(site.tag("d.m0"), 5)
    assert len(device.writes()) == 1


@pytest.mark.parametrize("value", [70_000, -1, 1.5, "seven"])
async def test_a_value_the_register_cannot_hold_is_never_sent(site, new_device, point, value) -> None:
    device = await settled(site, new_device, point, meter(point), registers())
    with pytest.raises(OperateError):
        await site.driver.operate(site.tag("d.m0"), value)
    assert device.writes() == []


@pytest.mark.parametrize("value", ["off", 2, -1.0])
async def test_a_switch_takes_nothing_but_on_and_off(site, new_device, point, value) -> None:
    points = [point("coil", C, 3, BOOL, writable=True), point("bit", H, 0, BOOL, bit=1, writable=True)]
    device = await settled(site, new_device, point, points, {1: {3: 0}, 3: {0: 0}})
    for name in ("d.coil", "d.bit"):
        with pytest.raises(OperateError, match="takes true or false"):
            await site.driver.operate(site.tag(name), value)
    assert device.writes() == []


async def test_what_is_not_writable_is_never_sent(site, new_device, point) -> None:
    device = await settled(site, new_device, point, [point("m", H, 0, U16)], registers())
    with pytest.raises(OperateError, match="not writable"):
        await site.driver.operate(site.tag("d.m"), 1)
    with pytest.raises(OperateError, match="no Modbus device"):
        await site.driver.operate(site.tag("_system.d.requests"), 1)
    assert device.writes() == []


@pytest.mark.parametrize("fault", ["is_silent", "resets"])
async def test_a_write_that_may_have_acted_is_a_timeout_and_is_never_sent_twice(
    site, new_device, point, fault: str
) -> None:
    device = await settled(site, new_device, point, meter(point), registers())
    setattr(device, fault, True)
    with pytest.raises(TimeoutError):
        await site.driver.operate(site.tag("d.m0"), 5)
    await site.until(lambda: site.status("d.m0") == Quality.BAD_COMMUNICATION_ERROR)
    setattr(device, fault, False)
    await site.until_good("d.m0")
    assert len(device.writes()) == 1


async def test_a_command_to_a_device_that_is_not_there_is_not_sent_later(site, new_device, point) -> None:
    device = await settled(site, new_device, point, meter(point), registers())
    await device.stop()
    await site.until(lambda: not site.driver.devices[0].session.is_open)
    with pytest.raises(NotConnectedError):
        await site.driver.operate(site.tag("d.m0"), 5)
    await device.start()
    await site.until_good("d.m0")
    assert device.writes() == []


async def test_a_command_goes_before_the_polls_of_its_device(site, new_device, point) -> None:
    points = meter(point, 20)
    device = await settled(
        site, new_device, point, points, registers(20), max_registers=1, groups=(PollGroup("fast", 10, 9000),)
    )
    device.delay_s = 0.02  # 20 reads a poll: a poll takes 400 ms and the next is always due
    await site.until(lambda: len(device.requests) % 20 == 5)
    before = len(device.requests)
    await site.driver.operate(site.tag("d.m0"), 5)
    assert await site.driver.read_back(site.tag("d.m0")) == 5
    places = [i for i, asked in enumerate(device.requests[before:]) if asked.pdu[0] == 6]
    assert len(places) == 1
    assert places[0] <= 1
    assert len(device.requests) - before <= 5


async def test_commands_on_a_shared_line_go_before_the_polls_of_all(site, new_device, point) -> None:
    device = await new_device(registers(20))
    for unit in (1, 2, 3):
        site.add(
            f"u{unit}",
            device.port,
            meter(point, 20),
            unit_id=unit,
            single_connection=True,
            max_registers=1,
            groups=(PollGroup("fast", 10, 9000),),
        )
    site.start()
    await site.until_good("u1.m0", "u2.m0", "u3.m0")
    device.delay_s = 0.02
    before = len(device.requests) + 6
    await site.until(lambda: len(device.requests) >= before)  # by now two polls wait for the third
    before = len(device.requests)
    await asyncio.gather(*(site.driver.operate(site.tag(f"u{unit}.m0"), unit) for unit in (1, 2, 3)))
    assert [asked.unit for asked in device.requests[before : before + 4] if asked.pdu[0] == 6] == [1, 2, 3]


async def test_a_poll_under_way_does_not_put_back_the_value_from_before_a_command(
    site, new_device, point
) -> None:
    points = [point(f"m{i}", H, i, U16, writable=True) for i in (0, 100, 200, 300)]  # four reads a poll
    tables = {3: {0: 1, 100: 2, 200: 3, 300: 4}}
    slowly = (PollGroup("fast", 300, 9000),)
    device = await settled(site, new_device, point, points, tables, groups=slowly, timeout_ms=900)
    tag = site.tag("d.m0")
    reader = site.region.reader()
    device.delay_of = {100: 0.02, 200: 0.02, 300: 0.02}
    # m0 is read and m100 waited for: the write comes before m200, and the read back before m300.
    await site.until(lambda: device.requests[-1].pdu[1:3] == bytes([0, 100]))
    await site.driver.operate(tag, 7)
    assert await site.driver.read_back(tag) == 7
    functions = [asked.pdu[:3].hex() for asked in device.requests[-4:]]
    assert functions == ["030064", "060000", "0300c8", "030000"]
    polls = site.sample("d.m300").source_time
    await site.until(lambda: site.sample("d.m300").source_time > polls)
    assert site.value("d.m0") == 7
    records = reader.take().records
    mine = records[records["tag"] == tag]
    assert mine["value"].tolist()[-1] == 7
    assert (np.diff(mine["source_time"]) > 0).all()
    # What else the poll read is there, with its time.
    assert site.status("d.m200") == Quality.GOOD
    assert site.sample("d.m200").source_time > site.sample("d.m0").source_time


async def test_a_cancelled_command_leaves_the_polls_in_order(site, new_device, point) -> None:
    device = await settled(site, new_device, point, meter(point), registers())
    device.delay_s = 0.05
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await site.driver.read_back(site.tag("d.m3"))
    device.delay_s = 0.0
    device.tables[3] = {i: 300 + i for i in range(4)}
    await site.until(lambda: site.value("d.m0") == 300)
    assert [site.value(f"d.m{i}") for i in range(4)] == [300, 301, 302, 303]
    assert site.value("_system.d.errors_protocol") == 0
    assert device.connections == 1
