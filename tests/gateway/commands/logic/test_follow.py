"""What the scan demands reaches the device, row by row of the contract, over a real Modbus server."""

from __future__ import annotations

import asyncio
import json
import math
import time
from itertools import pairwise

import pytest

from gateway.commands.audit import verify
from gateway.simulator.faults import Fault, FaultKind
from gateway.tags.command import Done, Refusal, Refused
from gateway.tags.quality import Quality

POWER, REACTIVE, MODE, START = (
    "battery1.power_setpoint_kw", "battery1.reactive_setpoint_kvar", "battery1.mode", "battery1.start"
)  # fmt: skip
REFRESH_S = 0.3
STALE_S = 3.0
BUSY_S = 0.5  # how late a loop may be on a machine that runs other things


async def holding(plant, **values) -> None:
    """The logic holds these, and the device has taken them; the tags that count what is held are 100 ms behind."""
    plant.scan.demand(**values)
    names = {"power_setpoint_kw": "power", "reactive_setpoint_kvar": "reactive"}
    await plant.until(
        lambda: all(plant.battery.values[names.get(name, name)] == value for name, value in values.items())
    )
    await plant.until(lambda: plant.count("held") >= len(values))


async def test_a_change_of_the_demand_reaches_the_device_at_once(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    begin = asyncio.get_running_loop().time()
    for value in (10.0, -20.0, 30.0):
        await holding(plant, power_setpoint_kw=value)
    assert asyncio.get_running_loop().time() - begin < REFRESH_S + BUSY_S
    assert [value for value in plant.battery.writes("power") if value != 5.0] == [10.0, -20.0, 30.0]


async def test_what_is_demanded_in_one_scan_reaches_neighbours_in_one_request(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0, reactive_setpoint_kvar=2.0)
    before = len(plant.battery.diary)
    await holding(plant, power_setpoint_kw=6.0, reactive_setpoint_kvar=3.0)
    # two rows of one request are set in one step of the device's loop
    (first_s, *_), (second_s, *_) = plant.battery.diary[before : before + 2]
    assert second_s == first_s


async def test_while_held_the_value_is_written_again_every_refresh(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    await plant.until(lambda: len(plant.battery.writes("power")) >= 6)
    times = [at_s for at_s, name, _ in plant.battery.diary if name == "power"]
    assert set(plant.battery.writes("power")) == {5.0}
    gaps = [after - before for before, after in pairwise(times)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(REFRESH_S, abs=0.05)


async def test_what_is_released_is_written_no_more_and_people_may_command_it(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    plant.scan.release("power_setpoint_kw")
    await plant.until(lambda: plant.count("held") == 0)
    before = len(plant.battery.writes("power"))
    assert isinstance(await plant.command(POWER, 7.0), Done)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert plant.battery.writes("power")[before:] == [7.0]


async def test_what_the_logic_holds_is_refused_to_people_with_the_reason(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0, reactive_setpoint_kvar=1.0)
    refused = await plant.command(POWER, 7.0)
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.HELD
    assert "held by the logic" in refused.why
    assert "gvl.is_held" in refused.why
    always = await plant.command(REACTIVE, 7.0)
    assert "stop the program" in always.why
    assert 7.0 not in plant.battery.writes("power")


async def test_a_refusal_names_the_switch_that_lets_go_while_it_is_on(plant) -> None:
    await holding(plant, mode=2)
    plant.scan.publish({"dispatch.battery_kw.accepted": (25.0, 0)})
    refused = await plant.command(MODE, 1)
    assert refused.why == f"{MODE} is held by the logic; to have it let go, write dispatch.battery_kw 0 first"
    plant.scan.publish({"dispatch.battery_kw.accepted": (0.0, 0)})
    refused = await plant.command(MODE, 1)
    assert "although dispatch.battery_kw is 0; it releases it while gvl.is_held is false" in refused.why
    (mode,) = (tag for tag in plant.site.tags if tag.name == MODE)
    assert mode.description == "Held by the logic until dispatch.battery_kw 0 is written"


@pytest.mark.parametrize(
    "status",
    [Quality.BAD_OUT_OF_SERVICE, Quality.BAD_OUT_OF_RANGE, Quality.BAD_COMMUNICATION_ERROR],
)
async def test_a_program_that_does_not_run_makes_its_outputs_safe_then_people_may_command(
    plant, status
) -> None:
    await holding(plant, power_setpoint_kw=5.0, reactive_setpoint_kvar=4.0, mode=2, start=True)
    begin = time.monotonic()
    plant.scan.say(status)
    await plant.until(lambda: plant.battery.values == {
        "power": 0.0, "reactive": 4.0, "mode": 1.0, "start": 0.0, "fan": 0.0
    })  # fmt: skip
    assert time.monotonic() - begin < BUSY_S
    await plant.until(lambda: plant.count("unsafe") == 0 and plant.count("held") == 0)
    before = len(plant.battery.diary)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert len(plant.battery.diary) == before  # written once
    assert isinstance(await plant.command(POWER, 7.0), Done)
    assert isinstance(await plant.command(REACTIVE, 7.0), Done)


async def test_an_emergency_takes_the_point_from_the_logic_which_does_not_undo_it(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0, mode=2)
    assert (await plant.command(MODE, 1)).code is Refusal.HELD
    assert isinstance(await plant.command(MODE, 0), Done)
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)  # a program that stops and goes on
    plant.scan.demand(power_setpoint_kw=6.0, mode=1)
    await plant.until(lambda: plant.battery.values["power"] == 6.0)
    await plant.stop()
    await plant.start()
    await plant.until(lambda: plant.count("held") == 1)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert plant.battery.values["mode"] == 0
    assert plant.battery.writes("mode")[-1] == 0


@pytest.mark.parametrize("ending", ["command", "release"])
async def test_the_logic_gets_a_point_back_after_an_emergency(plant, ending) -> None:
    await holding(plant, mode=2)
    assert isinstance(await plant.command(MODE, 0), Done)
    await plant.until(lambda: plant.count("held") == 0)
    if ending == "command":
        await plant.command(MODE, 1)  # somebody ends the emergency on purpose
    else:
        plant.scan.release("mode")
        await plant.until(lambda: plant.sample(f"{MODE}.demand").status != 0)
        await asyncio.sleep(0.3)  # of a scan or more, as a program that thinks again has
        plant.scan.demand(mode=2)
    await plant.until(lambda: plant.battery.values["mode"] == 2)
    assert plant.battery.writes("mode")[-1] == 2


async def test_what_the_logic_never_held_is_left_alone_when_it_stops(plant) -> None:
    assert isinstance(await plant.command(POWER, 7.0), Done)
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await holding(plant, reactive_setpoint_kvar=1.0)  # it is seen
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await plant.until(lambda: plant.count("held") == 0)
    assert plant.battery.writes("power") == [7.0]


async def test_a_scan_that_is_held_up_leads_to_safe_values_in_the_stated_time(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    begin = time.monotonic()
    plant.scan.stop()
    await plant.until(lambda: plant.battery.values["power"] == 0.0)
    assert STALE_S - 0.2 <= time.monotonic() - begin <= STALE_S + 0.1 + BUSY_S
    plant.scan.start()  # and it comes back
    await plant.until(lambda: plant.battery.values["power"] == 5.0)


async def test_a_scan_that_died_leads_to_safe_values_at_once(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    begin = time.monotonic()
    plant.scan.die()
    await plant.until(lambda: plant.battery.values["power"] == 0.0)
    assert time.monotonic() - begin < BUSY_S


@pytest.mark.parametrize("step_s", [-86_400, 86_400])
async def test_a_clock_that_is_set_makes_nothing_stale_and_nothing_fresh(plant, step_s) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    plant.scan.clock_ns = lambda: time.time_ns() + step_s * 1_000_000_000
    await asyncio.sleep(STALE_S + 0.5)  # nothing is to happen
    assert set(plant.battery.writes("power")) == {5.0}
    plant.scan.stop()
    await plant.until(lambda: plant.battery.values["power"] == 0.0, within_s=STALE_S + 0.1 + BUSY_S)


async def test_a_safe_value_is_tried_until_the_device_takes_it(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    plant.battery.refused = {"power"}
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await plant.until(lambda: plant.count("failures") >= 3)
    assert plant.count("unsafe") == 1
    plant.battery.refused.clear()
    await plant.until(lambda: plant.battery.values["power"] == 0.0)
    await plant.until(lambda: plant.count("unsafe") == 0)


async def test_people_may_command_what_a_device_will_not_make_safe(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    await plant.device.suffer(Fault(FaultKind.SILENT))
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await plant.until(lambda: plant.count("unsafe") == 1)
    refused = await plant.command(POWER, 7.0)
    assert (refused.code, "safe value" in refused.why) == (Refusal.HELD, True)
    await plant.device.suffer(None)
    plant.battery.refused = {"power"}
    before = plant.count("failures")
    await plant.until(lambda: plant.count("failures") > before + 2)
    plant.battery.refused.clear()
    outcome = await plant.command(POWER, 7.0)
    # Either the safe value was just taken before, or the command ended the tries for it: 7 stands in the end.
    assert isinstance(outcome, Done)
    await asyncio.sleep(1.0)
    assert plant.battery.values["power"] == 7.0


async def test_a_device_that_was_away_gets_the_newest_demand_when_it_returns(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    await plant.device.suffer(Fault(FaultKind.STOPPED))
    await plant.until(lambda: plant.sample("_system.battery1.connected").value is False)
    for value in (10.0, 20.0, 30.0):
        plant.scan.demand(power_setpoint_kw=value)
        await asyncio.sleep(0.05)
    plant.battery.diary.clear()
    await plant.device.suffer(None)
    await plant.until(lambda: bool(plant.battery.writes("power")))
    assert set(plant.battery.writes("power")) == {30.0}


async def test_a_demand_that_was_released_while_the_device_was_away_is_not_sent(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    await plant.device.suffer(Fault(FaultKind.STOPPED))
    plant.scan.demand(power_setpoint_kw=10.0)
    await plant.until(lambda: plant.sample("_system.battery1.connected").value is False)
    plant.scan.release("power_setpoint_kw")
    await plant.until(lambda: plant.count("held") == 0)
    plant.battery.diary.clear()
    await plant.device.suffer(None)
    await plant.until(lambda: plant.sample("_system.battery1.connected").value is True)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert plant.battery.writes("power") == []


async def test_a_device_that_was_away_when_the_logic_stopped_gets_the_safe_value_when_it_returns(
    plant,
) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    await plant.device.suffer(Fault(FaultKind.STOPPED))
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await plant.until(lambda: plant.count("unsafe") == 1)
    await plant.device.suffer(None)
    await plant.until(lambda: plant.battery.values["power"] == 0.0)


async def test_a_device_that_was_restarted_gets_its_safe_value_again_unless_somebody_commanded_since(
    plant,
) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await plant.until(lambda: plant.battery.values["power"] == 0.0)
    await plant.device.suffer(Fault(FaultKind.STOPPED))
    plant.battery.values["power"] = 99.0  # what it begins with
    await plant.until(lambda: plant.sample("_system.battery1.connected").value is False)
    await plant.device.suffer(None)
    await plant.until(lambda: plant.battery.values["power"] == 0.0)
    assert isinstance(await plant.command(POWER, 7.0), Done)
    await plant.device.suffer(Fault(FaultKind.STOPPED))
    await plant.until(lambda: plant.sample("_system.battery1.connected").value is False)
    await plant.device.suffer(None)
    await plant.until(lambda: plant.sample("_system.battery1.connected").value is True)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert plant.battery.values["power"] == 7.0


async def test_what_goes_on_change_only_acts_once_whatever_happens(mortal) -> None:
    await holding(mortal, start=True, power_setpoint_kw=1.0)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    await mortal.device.suffer(Fault(FaultKind.RESET))
    await mortal.until(lambda: mortal.sample("_system.battery1.connected").value is False)
    await mortal.device.suffer(None)
    await mortal.until(lambda: mortal.sample("_system.battery1.connected").value is True)
    await mortal.kill()
    await mortal.start_process()
    await mortal.until(lambda: mortal.count("held") == 2)
    before = len(mortal.battery.writes("power"))
    await mortal.until(lambda: len(mortal.battery.writes("power")) > before + 2)  # heartbeats go on
    assert mortal.battery.writes("start") == [1.0]
    await holding(mortal, start=False)
    assert mortal.battery.writes("start") == [1.0, 0.0]


async def test_on_change_only_an_unanswered_write_is_not_repeated(plant) -> None:
    await holding(plant, start=True, power_setpoint_kw=1.0)
    await plant.device.suffer(Fault(FaultKind.SLOW, delay_ms=600))  # it acts, but answers too late
    plant.scan.demand(start=False)
    await plant.until(lambda: plant.battery.writes("start") == [1.0, 0.0])
    await plant.device.suffer(None)
    before = len(plant.battery.writes("power"))
    await plant.until(lambda: len(plant.battery.writes("power")) > before + 2)
    assert plant.battery.writes("start") == [1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("power_setpoint_kw", 251.0),
        ("power_setpoint_kw", math.nan),
        ("power_setpoint_kw", -math.inf),
        ("mode", 7),
    ],
)
async def test_what_is_beyond_the_points_limits_is_never_written(plant, caplog, name, value) -> None:
    point = {"power_setpoint_kw": "power"}.get(name, name)
    await holding(plant, **{name: 2})
    plant.scan.demand(**{name: value})
    await plant.until(lambda: plant.count("refused") == 1)
    assert f"battery1.{name}: the logic's" in caplog.text
    before = len(plant.battery.writes(point))
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert set(plant.battery.writes(point)) == {2.0}
    assert len(plant.battery.writes(point)) <= before + 1  # nor is the value before kept alive
    await holding(plant, **{name: 1})


async def test_a_scan_faster_than_the_device_leaves_no_queue_and_the_newest_value(plant) -> None:
    await holding(plant, power_setpoint_kw=1.0)
    await plant.device.suffer(Fault(FaultKind.SLOW, delay_ms=30))
    for number in range(300):
        plant.scan.demand(power_setpoint_kw=float(number % 200))
        await asyncio.sleep(0.001)
    plant.scan.demand(power_setpoint_kw=222.0)
    begin = time.monotonic()
    await plant.until(lambda: plant.battery.values["power"] == 222.0)
    assert time.monotonic() - begin < 0.2 + BUSY_S
    assert len(plant.battery.writes("power")) < 60
    assert plant.sample(POWER).status == Quality.GOOD  # its polls go on


async def test_drivers_that_were_killed_go_on_and_write_nothing_before_they_know(mortal) -> None:
    await holding(mortal, power_setpoint_kw=5.0)
    await mortal.kill()
    mortal.battery.diary.clear()
    mortal.scan.release("power_setpoint_kw")
    await mortal.start_process()
    await mortal.until(lambda: mortal.count("held") == 0)
    await asyncio.sleep(2 * REFRESH_S)  # nothing is to happen
    assert mortal.battery.writes("power") == []


async def test_what_was_held_when_the_drivers_were_killed_is_made_safe_where_the_scan_is_gone_too(
    mortal,
) -> None:
    await holding(mortal, power_setpoint_kw=5.0)
    await mortal.until((mortal.paths.state / "outputs.json").exists)
    await mortal.kill()
    mortal.scan.stop()  # its last word, a Good demand, stands in the image
    await mortal.start_process()
    begin = time.monotonic()
    refused = await mortal.command(POWER, 7.0)
    assert refused.code is Refusal.HELD
    await mortal.until(lambda: mortal.battery.values["power"] == 0.0)
    assert time.monotonic() - begin < STALE_S + 0.1 + BUSY_S
    assert 7.0 not in mortal.battery.writes("power")


async def test_the_end_of_the_gateway_makes_outputs_safe(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0, reactive_setpoint_kvar=4.0, mode=2)
    begin = time.monotonic()
    await plant.stop()
    assert time.monotonic() - begin < 1.0 + BUSY_S
    assert (plant.battery.values["power"], plant.battery.values["mode"]) == (0.0, 1.0)
    assert plant.battery.values["reactive"] == 4.0
    assert json.loads((plant.paths.state / "outputs.json").read_text())["held"] == {}


async def test_a_device_that_is_silent_at_the_end_does_not_delay_it_and_is_made_safe_next_time(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0)
    await plant.device.suffer(Fault(FaultKind.SILENT))
    begin = time.monotonic()
    await plant.stop()
    assert time.monotonic() - begin < 1.5 + BUSY_S
    await plant.device.suffer(None)
    plant.scan.say(Quality.BAD_OUT_OF_SERVICE)
    await plant.start()
    await plant.until(lambda: plant.battery.values["power"] == 0.0)


async def test_who_holds_what_is_in_the_audit_trail_in_few_lines(plant) -> None:
    for _ in range(20):
        await holding(plant, power_setpoint_kw=5.0)
        await plant.until(lambda: plant.count("held") == 1)
        plant.scan.release("power_setpoint_kw")
        await plant.until(lambda: plant.count("held") == 0)
        plant.battery.values["power"] = 0.0
    await holding(plant, power_setpoint_kw=6.0)
    await plant.stop()
    assert verify(plant.paths.audit).faults == ()
    lines = [json.loads(line) for line in plant.paths.audit.read_text().splitlines()]
    logic = [line for line in lines if line["event"] == "logic" and line["tag"] == POWER]
    assert len(logic) <= 4
    assert sum(line["changes"] for line in logic) == 43  # 21 holds, 20 releases, gone and safe
    assert (logic[-1]["state"], logic[-1]["value"]) == ("safe", 0.0)


async def test_the_counters_are_tags(plant) -> None:
    await holding(plant, power_setpoint_kw=5.0, start=True)
    await plant.until(lambda: plant.count("held") == 2 and plant.count("writes") >= 2)
    await plant.until(lambda: plant.sample("_system.follow.latency_p50_ms").status == Quality.GOOD)
    assert 0 < plant.count("latency_p50_ms") <= plant.count("latency_p99_ms") < 1000
    assert (plant.count("failures"), plant.count("refused"), plant.count("unsafe")) == (0, 0, 0)
