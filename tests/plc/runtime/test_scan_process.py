"""The scan's real process on a real region: what operators and neighbours see of it, and what it survives."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import time
from typing import Any

import numpy as np
import pytest

from gateway.tags.quality import Quality
from plc.runtime.client import (
    Edge,
    Mode,
    ScanClient,
    ScanGoneError,
    ScanRefusedError,
    ScanStaleError,
    Start,
    TraceMode,
    Trigger,
)
from plc.runtime.process import StartUp, ended
from plc.runtime.variables import moves_between
from plc.runtime.wiring import Input, Output, WiringError, encode_wiring

OUTPUT = Output("main.setpoint", "battery1.setpoint_kw")


def faulted(site: Any, scan: ScanClient, how: int) -> None:
    scan.write({"main.command": how})
    site.until(lambda: scan.status().mode is Mode.FAULTED, "it never faulted")


def is_safe(site: Any) -> bool:
    return (
        site.value("battery1.setpoint_kw") == -5.0
        and site.status("battery1.setpoint_kw") == Quality.BAD_OUT_OF_SERVICE
        and site.status("battery1.is_high") == Quality.BAD_OUT_OF_SERVICE
    )


def test_an_input_goes_through_the_program_to_its_output(site: Any) -> None:
    site.put(150.0)
    site.start()
    site.until(lambda: site.value("battery1.setpoint_kw") == 150.0, "no output")
    assert site.value("battery1.is_high") is True
    assert site.status("battery1.setpoint_kw") == 0
    site.put(-12.0)
    site.until(lambda: site.value("battery1.setpoint_kw") == -12.0, "the output does not follow")
    assert site.value("battery1.is_high") is False


def test_outputs_are_safe_until_the_program_is_started(site: Any) -> None:
    site.put(150.0)
    scan = site.start(StartUp.STOPPED)
    site.until(lambda: is_safe(site), "not safe")
    assert scan.status().mode is Mode.STOPPED
    scan.start(Start.COLD)
    site.until(lambda: site.value("battery1.setpoint_kw") == 150.0, "no output")


def test_the_scan_tells_of_itself_in_tags(site: Any) -> None:
    site.start()
    site.until(lambda: site.value("_system.scan.fast.count") not in (0, None), "no count")
    site.until(lambda: site.value("_system.scan.mode") == Mode.RUNNING, "no mode")
    assert site.value("_system.scan.program") == "a" * 64
    assert site.value("_system.scan.last_fault") == ""
    jitter = site.value("_system.scan.fast.jitter_p99_us")
    assert isinstance(jitter, float)
    assert jitter > 0
    first = site.value("_system.scan.fast.count")
    site.until(lambda: site.value("_system.scan.fast.count") != first, "not written again")


def test_sigterm_leaves_safe_outputs_and_saved_variables_within_a_second(site: Any) -> None:
    scan = site.start(StartUp.COLD)
    site.until(lambda: scan.read(["main.fast"]).values["main.fast"] > 50, "it does not run")
    start = time.monotonic()
    assert ended(site.process) == 0
    assert time.monotonic() - start < 1.0
    assert is_safe(site)
    assert not site.files.control.exists()
    before = scan_energy(site)
    assert before > 1050


def scan_energy(site: Any) -> int:
    """What the retain file brings back in a new process."""
    scan = site.start(StartUp.WARM)
    assert scan.status().restored == 1
    return int(scan.read(["main.energy"]).values["main.energy"])


def test_retained_variables_survive_kill_9(site: Any) -> None:
    scan = site.start(StartUp.COLD, retain_ms=20)
    site.until(lambda: scan.status().saves > 2, "nothing is saved")
    site.process.kill()
    site.process.wait()
    assert scan_energy(site) > 1000


def test_a_cold_start_forgets_what_is_retained(site: Any) -> None:
    scan = site.start(StartUp.COLD)
    site.until(lambda: scan.read(["main.fast"]).values["main.fast"] > 500, "it does not run")
    scan.stop()
    scan.start(Start.COLD)
    assert scan.read(["main.energy"]).values["main.energy"] < 1500
    scan.stop()
    stopped = scan.read(["main.energy", "main.fast"]).values
    scan.start(Start.HOT)
    reading = scan.read(["main.energy", "main.fast"]).values
    assert reading["main.energy"] >= stopped["main.energy"]
    assert reading["main.fast"] >= stopped["main.fast"]
    assert scan.read(["main.first"]).values["main.first"] == 1


def test_a_start_while_it_runs_is_refused(site: Any) -> None:
    scan = site.start()
    with pytest.raises(ScanRefusedError, match="the program is running"):
        scan.start(Start.WARM)


def test_variables_are_read_at_one_moment_and_written_between_scans(site: Any) -> None:
    scan = site.start()
    for _ in range(50):
        values = scan.read(["main.fast", "main.energy", "main.first"]).values
        assert values["main.energy"] - values["main.fast"] == 1000  # both count every scan
    scan.write({"main.name": "Gebäude Süd 21°C ± 1½", "main.typed": 7})  # 21 characters of Latin-1
    assert scan.read(["MAIN.NAME", "main.typed"]).values == {
        "main.name": "Gebäude Süd 21°C ± 1½",
        "main.typed": 7,
    }
    with pytest.raises(ValueError, match="'Š' is no character of a STRING"):
        scan.write({"main.name": "Škoda"})
    with pytest.raises(ValueError, match="holds 21 characters"):
        scan.write({"main.name": "x" * 22})
    with pytest.raises(ValueError, match="does not fit"):
        scan.write({"main.power": 1 << 31})
    with pytest.raises(KeyError):
        scan.read(["main.nothing"])


def test_a_forced_variable_holds_until_it_is_cleared(site: Any) -> None:
    site.put(1.0)
    scan = site.start()
    scan.force("main.power", 500)
    site.until(lambda: site.value("battery1.setpoint_kw") == 500.0, "the forced input is not seen")
    scan.force("main.setpoint", 3.25)
    site.until(lambda: site.value("battery1.setpoint_kw") == 3.25, "the forced output does not go out")
    assert {one.variable.path: one.value for one in scan.forces() if one.variable} == {
        "main.setpoint": 3.25,
        "main.power": 500,
    }
    scan.unforce("main.setpoint")
    site.until(lambda: site.value("battery1.setpoint_kw") == 500.0, "it is still forced")
    with pytest.raises(ScanRefusedError, match="not forced"):
        scan.unforce("main.setpoint")
    scan.unforce_all()
    site.until(lambda: site.value("battery1.setpoint_kw") == 1.0, "it is still forced")
    assert scan.forces() == ()


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        pytest.param(1, 2, 42, id="raised"),
        pytest.param(2, 6, 43, id="a loop that counts"),
        pytest.param(3, 100, 0, id="a loop that counts nothing"),
        pytest.param(4, 101, 0, id="a null pointer"),
        pytest.param(5, 101, 0, id="the stack used up"),
    ],
)
def test_a_fault_stops_the_program_never_the_scan(site: Any, how: int, code: int, line: int) -> None:
    site.put(150.0)
    scan = site.start(StartUp.COLD, watchdog_ms=250)
    site.until(lambda: site.value("battery1.setpoint_kw") == 150.0, "no output")
    faulted(site, scan, how)
    assert is_safe(site)
    fault = scan.status().fault
    assert fault is not None
    assert (fault.code, fault.line, fault.task) == (code, line, "fast")
    assert fault.file == ("main.st" if line else "")
    site.until(lambda: site.value("_system.scan.fault") == code, "the tag does not tell")
    assert str(site.value("_system.scan.last_fault")).startswith(fault.text[:40])
    with pytest.raises(ScanRefusedError, match="faulted"):
        scan.start(Start.HOT)
    scan.start(Start.WARM)
    site.until(lambda: site.value("battery1.setpoint_kw") == 150.0, "it does not run again")
    assert scan.status().mode is Mode.RUNNING


def test_a_scan_that_cannot_be_left_ends_the_process(site: Any) -> None:
    scan = site.start(StartUp.COLD, watchdog_ms=100)
    scan.write({"main.command": 6})
    assert site.process.wait(20.0) == 70
    assert "cannot be left" in site.process.stderr.read()


def test_a_process_that_was_held_in_the_middle_of_a_tick_goes_on(site: Any) -> None:
    scan = site.start(StartUp.COLD, watchdog_ms=200)
    scan.write({"main.command": 7})
    count = scan.read(["main.fast"]).values["main.fast"]
    site.until(lambda: scan.read(["main.fast"]).values["main.fast"] > count, "it does not run")
    site.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, site.process.pid, os.WSTOPPED | os.WNOWAIT)
    held = time.monotonic()
    site.until(lambda: time.monotonic() - held > 2.0, "the clock stands still")
    site.process.send_signal(signal.SIGCONT)
    scan.write({"main.command": 0})
    assert scan.status().mode is Mode.RUNNING


def change_over(site: Any, scan: ScanClient, outputs: tuple[Output, ...] | None = None) -> int:
    wiring = site.wire(site.edited, site.folder / "edited", outputs)
    changed = scan.change(site.programs[site.edited.digest], wiring, moves_between(site.program, site.edited))
    scan.use(site.edited)
    return changed.forces_dropped


def test_an_online_change_keeps_what_still_exists_and_misses_no_scan(site: Any) -> None:
    site.put(10.0)
    scan = site.start(StartUp.COLD)
    scan.write({"main.typed": 99, "main.name": "kept"})
    scan.force("main.power", 20)
    scan.force("main.typed", 98)
    before = scan.read(["main.fast", "main.slow", "main.clock"]).values
    overruns = scan.status().tasks[0].overruns
    assert change_over(site, scan) == 1  # the force of a variable whose type changed
    site.until(lambda: site.value("battery1.setpoint_kw") == 40.0, "the new program does not run")
    after = scan.read(
        ["main.fast", "main.slow", "main.clock", "main.name", "main.typed", "main.added", "main.first"]
    )
    values = after.values
    status = scan.status()
    assert values["main.name"] == "kept"
    assert values["main.typed"] == 7  # another type: its initial value
    assert values["main.added"] == 2.5
    assert values["main.first"] == 1
    # Every period of the clock had its scan, but for those that the machine itself was late for.
    scans = values["main.fast"] - before["main.fast"]
    periods = (values["main.clock"] - before["main.clock"]) / 1e6
    lost = status.tasks[0].overruns - overruns
    assert periods - lost - 2 < scans < periods + 2
    assert status.digest == "b" * 64
    assert status.changes == 1
    assert [one.value for one in scan.forces()] == [20]
    assert values["main.slow"] >= before["main.slow"]


def test_an_output_that_the_change_took_away_turns_safe(site: Any) -> None:
    site.put(150.0)
    scan = site.start()
    site.until(lambda: site.value("battery1.is_high") is True, "no output")
    change_over(site, scan, site.outputs[:1])
    site.until(lambda: site.value("battery1.setpoint_kw") == 300.0, "the new program does not run")
    assert site.value("battery1.is_high") is False
    assert site.status("battery1.is_high") == Quality.BAD_OUT_OF_SERVICE


def test_offsets_of_a_program_that_was_changed_are_refused(site: Any) -> None:
    scan = site.start()
    with ScanClient.connect(site.files.control) as other:
        other.use(site.program)
        change_over(site, scan)
        with pytest.raises(ScanStaleError):
            other.write({"main.power": 1})
        with pytest.raises(ScanStaleError):
            other.use(site.program)


def test_a_change_that_cannot_be_leaves_all_as_it_is(site: Any) -> None:
    scan = site.start()
    with pytest.raises(ScanRefusedError, match="made for another program"):
        scan.change(site.programs[site.edited.digest], site.files.wiring, ())
    with pytest.raises(ScanRefusedError):
        scan.change(site.folder / "nothing.so", site.files.wiring, ())
    assert scan.status().mode is Mode.RUNNING
    assert scan.status().changes == 0


def test_a_trace_records_every_scan_around_its_trigger(site: Any) -> None:
    site.put(0.0)
    scan = site.start()
    paths = ["main.fast", "main.setpoint", "main.is_high"]
    trigger = Trigger("main.is_high", Edge.RISING)
    scan.arm_trace("fast", paths, before=20, after=30, trigger=trigger)
    assert scan.status().trace is TraceMode.ARMED
    assert scan.trace() is None
    count = scan.read(["main.fast"]).values["main.fast"]
    site.until(lambda: scan.read(["main.fast"]).values["main.fast"] > count + 40, "it does not run")
    site.put(101.0)
    site.until(lambda: scan.status().trace is TraceMode.DONE, "it never triggered")
    trace = scan.trace()
    assert trace is not None
    assert trace.trigger_row == 20
    assert trace.times_ns.shape == (50,)
    assert np.all(np.diff(trace.columns["main.fast"].astype(np.int64)) == 1)  # no scan is left out
    assert np.array_equal(trace.columns["main.is_high"], np.arange(50) >= 20)
    assert np.array_equal(trace.columns["main.setpoint"], np.where(np.arange(50) >= 20, 101.0, 0.0))


def test_the_scan_goes_on_when_its_inputs_turn_bad(site: Any) -> None:
    site.put(33.0)
    scan = site.start()
    site.until(lambda: site.value("battery1.setpoint_kw") == 33.0, "no output")
    site.drivers.invalidate(
        Quality.BAD_NO_COMMUNICATION, time.time_ns()
    )  # as the supervisor does for a dead part
    site.until(
        lambda: (
            scan.read(["main.power_quality"]).values["main.power_quality"] == Quality.BAD_NO_COMMUNICATION
        ),
        "the program does not see it",
    )
    reading = scan.read(["main.power", "main.fast"])
    assert reading.values["main.power"] == 33  # the last good one
    site.until(
        lambda: scan.read(["main.fast"]).values["main.fast"] > reading.values["main.fast"], "it stopped"
    )


def test_outputs_of_a_scan_that_is_held_are_seen_to_age(site: Any) -> None:
    site.put(1.0)
    site.start()
    site.until(lambda: site.value("battery1.setpoint_kw") == 1.0, "no output")
    first = site.region.sample("battery1.setpoint_kw").receipt_time
    site.until(
        lambda: site.region.sample("battery1.setpoint_kw").receipt_time > first,
        "no refresh while nothing changes",
    )
    site.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, site.process.pid, os.WSTOPPED | os.WNOWAIT)
    held = site.region.sample("battery1.setpoint_kw").receipt_time
    # Three refresh periods: docs/scan.md tells readers to take it for dead then.
    site.until(lambda: time.time_ns() - held > 3_000_000_000, "the clock stands still")
    assert site.region.sample("battery1.setpoint_kw").receipt_time == held
    site.process.send_signal(signal.SIGCONT)
    site.until(
        lambda: site.region.sample("battery1.setpoint_kw").receipt_time > held, "it does not come back"
    )


def test_the_process_ends_when_the_regions_creator_is_gone(site: Any) -> None:
    site.start()
    site.region.close()
    assert site.process.wait(3.0) == 0
    assert site.process.stderr is not None
    assert "creator is gone" in site.process.stderr.read()


def test_a_second_scan_of_a_region_is_refused(site: Any) -> None:
    site.start()
    second = site.launch()
    assert second.wait(5.0) == 1
    assert second.stderr is not None
    assert "another scan runs on it" in second.stderr.read()


def test_files_that_are_not_of_this_site_are_refused_by_name(site: Any) -> None:
    whole = site.files.wiring.read_bytes()
    for spoilt, why in (
        (whole[:-1], "not a whole wiring file"),
        (whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], "not a whole wiring file"),
        (b"", "not a whole wiring file"),
    ):
        site.files.wiring.write_bytes(spoilt)
        process = site.launch()
        assert process.wait(5.0) == 1
        assert process.stderr is not None
        assert why in process.stderr.read()
    site.files.wiring.write_bytes(whole)
    site.files.retain.write_text("my shopping list")
    process = site.launch()
    assert process.wait(5.0) == 1
    assert process.stderr is not None
    assert "not a retain file" in process.stderr.read()
    assert site.files.retain.read_text() == "my shopping list"


def test_garbage_on_the_socket_ends_that_connection_only(site: Any) -> None:
    scan = site.start()
    assert stat.S_IMODE(site.files.control.stat().st_mode) == 0o600
    random = np.random.default_rng(1)
    for operation in range(16):
        for size in (0, 1, 4, 8, 40):
            with socket.socket(socket.AF_UNIX) as other:
                other.settimeout(5.0)
                other.connect(str(site.files.control))
                changes = b"\0\0\0\0" if size >= 4 else b""
                body = changes + random.bytes(size - len(changes))
                if operation in (2, 3, 13):  # a lucky start or stop is no garbage
                    body = b"\xff" * size
                    operation = 2 if operation == 3 else operation
                other.sendall(struct.pack("<IHH", len(body), operation, 0) + body)
                assert other.recv(8) != b""
    with socket.socket(socket.AF_UNIX) as other:
        other.settimeout(5.0)
        other.connect(str(site.files.control))
        other.sendall(struct.pack("<IHH", 0xFFFFFFFF, 1, 0))
        assert other.recv(8) == b""
    scan.unforce_all()
    assert scan.status().mode is Mode.RUNNING


def test_nobody_answers_where_no_scan_is(site: Any) -> None:
    with pytest.raises(ScanGoneError):
        ScanClient.connect(site.files.control)


@pytest.mark.parametrize(
    ("inputs", "outputs", "why"),
    [
        pytest.param([Input("no.tag", "main.power")], [], "no tag no.tag", id="tag"),
        pytest.param([Input("pcc.power_kw", "main.name")], [], "strings are not wired", id="string"),
        pytest.param([Input("pcc.power_kw", "main.power", "main.clock")], [], "32 bits", id="quality"),
        pytest.param([], [Output("main.setpoint", "pcc.power_kw")], "written by drivers", id="owner"),
        pytest.param([], [OUTPUT, OUTPUT], "two variables", id="twice"),
        pytest.param([], [Output("main.is_high", "battery1.is_high", 2)], "does not fit BOOL", id="safe"),
    ],
)
def test_what_cannot_be_wired_is_said(
    site: Any, inputs: list[Input], outputs: list[Output], why: str
) -> None:
    with pytest.raises(WiringError, match=why):
        encode_wiring(site.region, "scan", site.program, inputs, outputs)
