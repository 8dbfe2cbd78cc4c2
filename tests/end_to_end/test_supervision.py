"""The whole site, and what happens to it when its processes are killed."""

import os
import signal
import socket
import time
import urllib.request

import numpy as np
import pytest

from gateway.tags.image import Presence, Region, presence_of
from gateway.tags.quality import Quality
from historian.query import History

PROMISED_S, BUSY_S = 5.0, 2.0  # to end everything; how much later that may be seen on a busy machine
PARTS = (
    *("simulator", "drivers", "dnp3_master", "calculated", "scan"),
    *("historian", "events", "forecast", "anomaly", "health", "dispatch", "opcua", "dnp3", "hmi"),
)


def assert_doors_open(site):
    with urllib.request.urlopen(f"http://{site.hmi.host}:{site.hmi.port}/", timeout=5) as answer:
        assert answer.status == 200
    socket.create_connection((site.opcua.host, site.opcua.port), timeout=5).close()


def test_the_site_comes_up_and_says_so(demo, region):
    assert set(demo.passwords) == {"viewer", "operator", "engineer"}
    assert_doors_open(demo.site)
    demo.until(lambda: demo.status()["troubles"] == [])  # on a busy machine a device is late now and then
    status = demo.status()
    assert {part["name"] for part in status["parts"] if part["running"]} == set(PARTS)
    assert len(status["devices"]) == len(demo.devices)
    said = demo.run("status", "--state", str(demo.state))
    assert said.returncode == 0
    assert "all is well" in said.stdout


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_comes_back_while_the_rest_go_on_and_no_sample_is_missing(demo, region, part):
    before = demo.pids(region)
    restarts = int(region.sample(f"_system.parts.{part}.restarts").value)
    reader = region.reader("now")
    taken = []
    begin_ns = time.time_ns()

    def goes_on():
        piece = reader.take()
        assert piece.lost == 0
        taken.append(piece.records)
        return int(region.sample(f"_system.parts.{part}.restarts").value) == restarts + 1

    os.kill(before[part], signal.SIGKILL)
    demo.until(goes_on)
    demo.until_well(region)
    goes_on()
    after = demo.pids(region)
    assert after[part] != before[part]
    assert {other: after[other] for other in PARTS if other != part} == {
        other: before[other] for other in PARTS if other != part
    }
    assert region.sample(f"_system.parts.{part}.last_exit").value == "killed by SIGKILL"
    assert_doors_open(demo.site)

    records = np.concatenate(taken)
    history = History(demo.paths.history)
    for name in ("pcc.power_kw", "battery1.state_of_charge_pct", "ev1.power_kw", "feeder1.voltage_v"):
        mine = records[records["tag"] == region.index_of(name)]
        assert len(mine) > 1
        # Durable within flush_ms: once the last one is there, all are.
        demo.until(
            lambda name=name, mine=mine: mine["source_time"][-1] in stored(history, name, begin_ns)[:, 0]
        )
        kept = {tuple(row) for row in stored(history, name, begin_ns).tolist()}
        missing = [
            (time_ns, status)
            for time_ns, status in zip(mine["source_time"].tolist(), mine["status"].tolist(), strict=True)
            if (time_ns, status) not in kept
        ]
        assert missing == []
    history.close()


def stored(history, name, begin_ns):
    """(n, 2): source times and statuses of a tag in history from some seconds before."""
    series = history.raw(name, begin_ns - 60_000_000_000, time.time_ns() + 1)
    return np.stack([series.source_times, series.statuses.astype(np.int64)], axis=1)


def test_tags_of_killed_drivers_are_bad_with_the_last_value_until_they_are_back(demo, region):
    tag = region.index_of("feeder2.voltage_v")
    reader = region.reader("now")
    demo.until(lambda: len(only(reader.take().records, tag)) > 0)
    os.kill(demo.pid(region, "drivers"), signal.SIGKILL)
    demo.until(lambda: region.sample("feeder2.voltage_v").status == Quality.BAD_NO_COMMUNICATION)
    assert float(region.sample("feeder2.voltage_v").value) > 100
    demo.until(lambda: region.sample("feeder2.voltage_v").status == Quality.GOOD)


def only(records, tag):
    return records[records["tag"] == tag]


def test_a_second_run_of_the_state_folder_is_refused(demo, region):
    said = demo.run("run", str(demo.site_path), "--state", str(demo.state))
    assert said.returncode == 1
    assert f"process {demo.process.pid} runs demo" in said.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_within_five_seconds(own_demo, number):
    pids = [part["pid"] for part in own_demo.status()["parts"]]
    begin = time.monotonic()
    own_demo.process.send_signal(number)
    assert own_demo.process.wait(10) == 0
    assert time.monotonic() - begin < PROMISED_S + BUSY_S
    own_demo.assert_nothing_left(pids)
    assert presence_of(own_demo.region_name) is Presence.ABSENT
    said = own_demo.run("status", "--state", str(own_demo.state))
    assert said.returncode == 1
    assert "no site runs" in said.stderr


def test_a_second_ctrl_c_kills_at_once(own_demo):
    pids = [part["pid"] for part in own_demo.status()["parts"]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # none of them would end by itself
    own_demo.process.send_signal(signal.SIGINT)
    own_demo.read_until("stopping")
    own_demo.process.send_signal(signal.SIGINT)
    assert own_demo.process.wait(3.5) == 130  # without it, stopped processes are killed after 4.3 s
    own_demo.assert_nothing_left(pids)


def test_killing_the_root_ends_everything_and_the_next_start_works(own_demo):
    pids = [part["pid"] for part in own_demo.status()["parts"]]
    own_demo.process.kill()
    own_demo.process.wait()
    own_demo.assert_nothing_left(pids)
    own_demo.until(lambda: presence_of(own_demo.region_name) is Presence.ABSENT, 20)
    assert own_demo.run("status", "--state", str(own_demo.state)).returncode == 1
    again = own_demo.again()
    try:
        again.read_until("all parts run")
        assert again.passwords == {}  # those of the first start still hold
        with Region.attach(again.region_name) as region:
            again.until_well(region)
        assert again.status()["troubles"] == []
    finally:
        again.end()
