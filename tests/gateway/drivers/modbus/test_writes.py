"""Several writes at once: which go together, in what order, and that polls and writes leave each other room."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.config.modbus import PollGroup, RegisterType, Table
from gateway.drivers.modbus.line import COMMANDS_IN_A_ROW
from gateway.tags.operate import NotConnectedError, OperateError

H, C = Table.HOLDING, Table.COIL
U16, BOOL = RegisterType.UINT16, RegisterType.BOOL
QUIET = (PollGroup("slow", 60_000, 120_000),)  # one poll, then only writes are seen


async def settled(site, new_device, points, tables, **changes):
    device = await new_device(tables)
    site.add("d", device.port, points, **{"groups": QUIET, "timeout_ms": 10_000, **changes})
    site.start()
    await site.until_good(*(f"d.{it.name}" for it in points))
    return device


def setpoints(point, addresses, **changes):
    return [point(f"s{address}", H, address, U16, writable=True, **changes) for address in addresses]


def holding(count: int = 16) -> dict[int, dict[int, int]]:
    return {3: dict.fromkeys(range(count), 0)}


async def write(site, values: dict[str, object]) -> list[BaseException | None]:
    """All in one round of the loop, as one scan's outputs are."""
    return await asyncio.gather(
        *(site.driver.operate(site.tag(name), value) for name, value in values.items()),
        return_exceptions=True,
    )


async def test_neighbours_written_at_once_go_out_as_one_request_whatever_their_order(
    site, new_device, point
) -> None:
    device = await settled(site, new_device, setpoints(point, (4, 5, 6)), holding())
    assert await write(site, {"d.s5": 2, "d.s6": 3, "d.s4": 1}) == [None] * 3
    assert [pdu.hex() for pdu in device.writes()] == ["1000040003" + "06" + "000100020003"]


async def test_values_of_several_registers_go_together_with_their_neighbours(site, new_device, point) -> None:
    points = [
        point("pair", H, 0, RegisterType.UINT32, writable=True),
        point("one", H, 2, U16, writable=True),
        point("text", H, 3, RegisterType.STRING, registers=2, writable=True),
    ]
    device = await settled(site, new_device, points, holding())
    assert await write(site, {"d.one": 7, "d.text": "abc", "d.pair": 65_537}) == [None] * 3
    assert [pdu.hex() for pdu in device.writes()] == ["1000000005" + "0a" + "00010001" + "0007" + "61626300"]


async def test_neighbouring_coils_go_out_as_one_request(site, new_device, point) -> None:
    points = [point(f"c{i}", C, i, BOOL, writable=True) for i in range(10)]
    device = await settled(site, new_device, points, {1: dict.fromkeys(range(10), 0)})
    assert await write(site, {f"d.c{i}": i % 3 == 0 for i in range(10)}) == [None] * 10
    assert [pdu.hex() for pdu in device.writes()] == ["0f0000000a02" + "4902"]
    assert [device.tables[1][i] for i in range(10)] == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]


async def test_a_gap_is_never_written_across(site, new_device, point) -> None:
    device = await settled(site, new_device, setpoints(point, (0, 1, 3)), holding())
    await write(site, {"d.s0": 1, "d.s1": 2, "d.s3": 4})
    assert [pdu.hex() for pdu in device.writes()] == ["100000000204" + "00010002", "0600030004"]


async def test_no_request_is_larger_than_the_device_allows(site, new_device, point) -> None:
    device = await settled(site, new_device, setpoints(point, range(5)), holding(), max_registers=2)
    await write(site, {f"d.s{i}": i for i in range(5)})
    assert [pdu.hex() for pdu in device.writes()] == [
        "100000000204" + "00000001",
        "100002000204" + "00020003",
        "0600040004",
    ]


async def test_a_point_written_twice_gets_both_values_in_order(site, new_device, point) -> None:
    device = await settled(site, new_device, setpoints(point, (0, 1)), holding())
    first = site.driver.operate(site.tag("d.s0"), 1)
    again = site.driver.operate(site.tag("d.s0"), 2)
    await asyncio.gather(first, again, site.driver.operate(site.tag("d.s1"), 3))
    assert [pdu.hex() for pdu in device.writes()] == ["100000000204" + "00010003", "0600000002"]


async def test_points_that_overlap_are_written_one_by_one_in_order(site, new_device, point) -> None:
    points = [
        point("low", H, 1, U16, writable=True),
        point("both", H, 0, RegisterType.UINT32, writable=True),
        point("next", H, 2, U16, writable=True),
    ]
    device = await settled(site, new_device, points, holding())
    await write(site, {"d.low": 9, "d.both": 65_538, "d.next": 3})
    assert [pdu.hex() for pdu in device.writes()] == ["0600010009", "1000000002" + "0400010002", "0600020003"]


@pytest.mark.parametrize("function", [16, 15])
async def test_a_device_that_takes_nothing_together_is_written_one_by_one(
    site, new_device, point, function
) -> None:
    points = setpoints(point, (0, 1)) + [point(f"c{i}", C, i, BOOL, writable=True) for i in range(2)]
    device = await settled(site, new_device, points, {1: {0: 0, 1: 0}, **holding()})
    device.unsupported.add(function)
    values = {"d.s0": 1, "d.s1": 2} if function == 16 else {"d.c0": True, "d.c1": True}
    assert await write(site, values) == [None, None]
    single = 6 if function == 16 else 5
    assert [pdu[0] for pdu in device.writes()] == [function, single, single]
    assert await write(site, values) == [None, None]
    assert [pdu[0] for pdu in device.writes()][3:] == [single, single]  # it is not asked again


async def test_only_the_value_that_the_device_refuses_fails_where_several_went_together(
    site, new_device, point
) -> None:
    device = await settled(site, new_device, setpoints(point, (0, 1, 2)), holding())
    device.exception_of = {0: 3}
    outcomes = await write(site, {"d.s0": 1, "d.s1": 2, "d.s2": 3})
    assert [type(outcome) for outcome in outcomes] == [OperateError, type(None), type(None)]
    assert (device.tables[3][1], device.tables[3][2]) == (2, 3)


async def test_a_write_nobody_waits_for_any_more_is_not_sent(site, new_device, point) -> None:
    device = await settled(site, new_device, setpoints(point, (0, 5, 9)), holding())
    device.delay_s = 0.05
    first = asyncio.create_task(site.driver.operate(site.tag("d.s0"), 1))
    await site.until(lambda: len(device.writes()) == 1)
    late = asyncio.create_task(site.driver.operate(site.tag("d.s5"), 2))
    last = asyncio.create_task(site.driver.operate(site.tag("d.s9"), 3))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.gather(first, last)
    assert [pdu.hex() for pdu in device.writes()] == ["0600000001", "0600090003"]


async def test_what_comes_while_the_line_is_busy_goes_together_when_it_is_free(
    site, new_device, point
) -> None:
    device = await settled(site, new_device, setpoints(point, (0, 4, 5)), holding())
    device.delay_s = 0.05
    first = asyncio.create_task(site.driver.operate(site.tag("d.s0"), 1))
    await site.until(lambda: len(device.writes()) == 1)
    others = []
    for name in ("d.s4", "d.s5"):  # in different rounds of the loop
        others.append(asyncio.create_task(site.driver.operate(site.tag(name), 7)))
        await asyncio.sleep(0.001)
    await asyncio.gather(first, *others)
    assert [pdu.hex() for pdu in device.writes()] == ["0600000001", "100004000204" + "00070007"]


async def test_writes_without_a_pause_leave_the_polls_their_share(site, new_device, point) -> None:
    device = await new_device(holding())
    device.delay_s = 0.002
    groups = (PollGroup("fast", 10, 400),)
    site.add("d", device.port, setpoints(point, range(0, 12, 2)), groups=groups, timeout_ms=10_000)
    site.start()
    await site.until_good("d.s0")
    begin = len(device.requests)

    async def keep_writing(name: str) -> None:
        for value in range(60):
            await site.driver.operate(site.tag(name), value)

    await asyncio.gather(*(keep_writing(f"d.s{i}") for i in range(0, 12, 2)))
    functions = [asked.pdu[0] for asked in device.requests[begin:]]
    assert functions.count(6) == 360
    # Five go out in the 10 ms until a poll is due, 2 ms each at least, and then at most eight before it.
    in_a_row = [len(list(some)) for function, some in itertools.groupby(functions) if function == 6]
    assert max(in_a_row) <= 5 + 1 + COMMANDS_IN_A_ROW + 1, in_a_row


async def test_a_group_polls_on_a_grid_of_10_ms_without_drift(site, new_device, point) -> None:
    """Whatever else the machine does: on its grid after 200 polls, and none that was missed is made up."""
    device = await new_device(holding())
    site.add("d", device.port, setpoints(point, range(10)), groups=(PollGroup("fast", 10, 200),))
    site.start()
    await site.until_good("d.s0")
    await site.until(lambda: len(device.requests) >= 200, within_s=60)
    schedule = site.driver.devices[0]._polls[0].schedule
    periods = (schedule.next_s - schedule.start_s) / 0.01
    assert periods == pytest.approx(round(periods), abs=1e-6)
    assert 200 <= len(device.requests) <= round(periods) + 1


async def test_each_connection_that_answers_is_counted(site, new_device, point) -> None:
    device = await settled(
        site, new_device, setpoints(point, (0,)), holding(), groups=(PollGroup("fast", 20, 400),)
    )
    tag = site.tag("d.s0")
    await site.until(lambda: site.driver.connections(tag) == 1)
    device.drop_clients()
    await site.until(lambda: site.driver.connections(tag) == 2)
    await device.stop()
    await site.until(lambda: site.driver.devices[0].session.state.name == "DOWN")
    with pytest.raises(NotConnectedError):
        await site.driver.operate(tag, 1)
    assert site.driver.connections(tag) == 2


async def test_the_end_of_the_driver_ends_writes_that_wait(site, new_device, point) -> None:
    device = await settled(site, new_device, setpoints(point, (0, 5)), holding())
    device.is_silent = True
    writing = [asyncio.create_task(site.driver.operate(site.tag(name), 1)) for name in ("d.s0", "d.s5")]
    await site.until(lambda: len(device.writes()) == 1)
    await site.stop()
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError, NotConnectedError]
