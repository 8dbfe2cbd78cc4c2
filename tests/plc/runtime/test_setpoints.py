"""Setpoints, released outputs and quality in the scan's real process: what dispatchers, drivers and programs see."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from gateway.tags.quality import Quality
from plc.library import FILES
from plc.runtime.client import ScanClient, Start
from plc.runtime.process import ScanFiles, StartUp
from plc.runtime.wiring import Input, Output, Setpoint, WiringError, crc32c, encode_wiring

BAD_NO_DATA = 0x809B_0000
ACCEPTED, NONE_YET, EXPIRED, NOT_NEWER, OUT_OF_LIMITS, TOO_FAST, NOT_A_NUMBER, BAD_QUALITY = range(8)

TEXT = """PROGRAM main
VAR
  power : REAL; status : DWORD; trusted : BOOL; good : BOOL; bad : BOOL; uncertain : BOOL;
  asked : REAL; is_asked : BOOL; setpoint : REAL; holds : BOOL := TRUE;
END_VAR
VAR RETAIN kept : UDINT; END_VAR
kept := kept + 1;
good := IS_GOOD(status);
bad := IS_BAD(status);
uncertain := IS_UNCERTAIN(status);
setpoint := asked;
asked := 0.0;  // as it comes, so it is there again in the next scan
END_PROGRAM
CONFIGURATION site
  RESOURCE here ON cpu
    TASK fast(INTERVAL := T#1ms, PRIORITY := 0);
    PROGRAM main WITH fast : main;
  END_RESOURCE
END_CONFIGURATION
""" + next(file for file in FILES if file.stem == "is_good").read_text()
INPUTS = (Input("pcc.power_kw", "main.power", "main.status", "main.trusted"),)
OUTPUTS = (Output("main.setpoint", "battery1.setpoint_kw", -5.0, "main.holds"),)
SETPOINT = Setpoint(
    "dispatch.kw",
    "dispatch.kw.valid_until",
    "dispatch.kw.sequence",
    "dispatch.kw.accepted",
    "dispatch.kw.answered",
    "dispatch.kw.reason",
    "main.asked",
    "main.is_asked",
    low=-250.0,
    high=250.0,
    max_rate_per_s=200.0,
    initial=1.0,
    fallback=2.0,
)


def started(site: Any, setpoint: Setpoint = SETPOINT, start: StartUp = StartUp.COLD) -> ScanClient:
    scan: ScanClient = site.start_text(site.build(TEXT), INPUTS, OUTPUTS, (setpoint,), start, retain_ms=20)
    return scan


def answered(site: Any, sequence: int) -> int:
    """The reason that the scan gave to one sequence."""
    site.until(lambda: site.value("dispatch.kw.answered") == sequence, f"no answer to {sequence}")
    return int(site.value("dispatch.kw.reason"))


def test_a_setpoint_is_accepted_or_refused_with_its_reason(site: Any) -> None:
    scan = started(site)
    site.until(lambda: site.value("dispatch.kw.accepted") == 1.0, "no initial value")
    assert site.value("dispatch.kw.reason") == NONE_YET
    assert site.status("dispatch.kw.accepted") == 0
    site.send(100.0, 5)
    assert answered(site, 5) == ACCEPTED
    assert scan.read(["main.is_asked"]).values["main.is_asked"] is True
    site.until(lambda: site.value("battery1.setpoint_kw") == 100.0, "the program does not see it")
    for value, sequence, reason in (
        (101.0, 4, NOT_NEWER),
        (251.0, 6, OUT_OF_LIMITS),
        (float("nan"), 7, NOT_A_NUMBER),
        (-200.0, 8, TOO_FAST),
    ):
        site.send(value, sequence)
        assert answered(site, sequence) == reason
        assert site.value("dispatch.kw.accepted") == 100.0
        assert site.value("battery1.setpoint_kw") == 100.0
    site.send(101.0, 9, valid_for_s=-1.0)
    assert answered(site, 9) == EXPIRED
    site.send(120.0, 10)
    assert answered(site, 10) == ACCEPTED


def test_an_accepted_setpoint_gives_way_to_its_fallback_when_its_time_is_over(site: Any) -> None:
    scan = started(site)
    site.send(100.0, 1, valid_for_s=0.5)
    assert answered(site, 1) == ACCEPTED
    site.until(lambda: site.value("battery1.setpoint_kw") == 2.0, "it never ends")
    assert site.value("dispatch.kw.reason") == EXPIRED
    assert site.value("dispatch.kw.accepted") == 2.0
    assert scan.read(["main.is_asked"]).values["main.is_asked"] is False


def test_a_warm_start_goes_on_with_a_setpoint_that_is_still_valid(site: Any) -> None:
    scan = started(site)
    site.send(100.0, 7, valid_for_s=600.0)
    assert answered(site, 7) == ACCEPTED
    saves = scan.status().saves
    site.until(lambda: scan.status().saves > saves, "nothing is saved")
    site.process.kill()
    site.process.wait()
    scan = started(site, start=StartUp.WARM)
    site.until(lambda: site.value("battery1.setpoint_kw") == 100.0, "it is forgotten")
    assert scan.read(["main.is_asked"]).values["main.is_asked"] is True
    site.send(101.0, 6)
    assert answered(site, 6) == NOT_NEWER  # the sequence too is remembered
    scan.stop()
    site.until(lambda: site.status("dispatch.kw.accepted") == Quality.BAD_OUT_OF_SERVICE, "not marked")
    scan.start(Start.COLD)
    # All is forgotten: what stands in the tags is judged anew.
    assert answered(site, 6) == ACCEPTED
    site.until(lambda: site.value("battery1.setpoint_kw") == 101.0, "it is not judged anew")


def test_a_warm_start_forgets_a_setpoint_whose_time_is_over(site: Any) -> None:
    scan = started(site)
    site.send(100.0, 7, valid_for_s=1.0)
    assert answered(site, 7) == ACCEPTED
    saves = scan.status().saves
    site.until(lambda: scan.status().saves > saves, "nothing is saved")
    site.process.kill()
    site.process.wait()
    site.until(lambda: site.is_over(7), "its time does not end")
    started(site, start=StartUp.WARM)
    site.until(lambda: site.value("battery1.setpoint_kw") == 2.0, "no fallback")
    assert site.value("dispatch.kw.reason") == EXPIRED


def test_an_online_change_keeps_an_accepted_setpoint(site: Any) -> None:
    first = site.build(TEXT)
    scan = site.start_text(first, INPUTS, OUTPUTS, (SETPOINT,))
    site.send(100.0, 3)
    assert answered(site, 3) == ACCEPTED
    second = site.build(TEXT.replace("setpoint := asked;", "setpoint := asked * 2.0;"))
    wiring = site.wire_text(second, site.folder / "second", INPUTS, OUTPUTS, (SETPOINT,))
    scan.change(second.shared_object, wiring, site.moves(first, second))
    site.until(lambda: site.value("battery1.setpoint_kw") == 200.0, "the edit does not run")
    assert site.value("dispatch.kw.answered") == 3
    site.send(101.0, 2)
    assert answered(site, 2) == NOT_NEWER
    third = site.build(TEXT.replace("setpoint := asked;", "setpoint := 7.0;"))
    wiring = site.wire_text(third, site.folder / "third", INPUTS, OUTPUTS)
    scan.use(second.symbols)
    scan.change(third.shared_object, wiring, site.moves(second, third))
    site.until(lambda: site.value("battery1.setpoint_kw") == 7.0, "the edit does not run")
    assert site.status("dispatch.kw.accepted") == Quality.BAD_OUT_OF_SERVICE  # wired no more


def test_an_output_that_the_program_releases_is_no_data_until_it_is_held_again(site: Any) -> None:
    scan = started(site)
    site.send(100.0, 1)
    site.until(lambda: site.value("battery1.setpoint_kw") == 100.0, "no output")
    scan.write({"main.holds": False})
    site.until(lambda: site.status("battery1.setpoint_kw") == BAD_NO_DATA, "it is not released")
    site.send(110.0, 2)
    assert answered(site, 2) == ACCEPTED
    assert site.value("battery1.setpoint_kw") == 100.0  # what was demanded last
    scan.write({"main.holds": True})
    site.until(lambda: site.status("battery1.setpoint_kw") == 0, "it is not held")
    assert site.value("battery1.setpoint_kw") == 110.0
    scan.write({"main.holds": False})
    site.until(lambda: site.status("battery1.setpoint_kw") == BAD_NO_DATA, "it is not released")
    scan.stop()
    site.until(lambda: site.status("battery1.setpoint_kw") == Quality.BAD_OUT_OF_SERVICE, "not safe")
    assert site.value("battery1.setpoint_kw") == -5.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(0x0000_0000, "good", id="Good"),
        pytest.param(0x4094_0000, "uncertain", id="Uncertain"),
        pytest.param(0x8005_0000, "bad", id="Bad"),
    ],
)
def test_the_program_sees_the_quality_of_its_inputs(site: Any, status: int, expected: str) -> None:
    site.put(12.0, status)
    scan = started(site)
    paths = ["main.status", "main.good", "main.uncertain", "main.bad", "main.trusted"]
    site.until(lambda: scan.read(["main.kept"]).values["main.kept"] > 2, "it does not run")
    values = scan.read(paths).values
    assert values["main.status"] == status
    assert [name for name in ("good", "uncertain", "bad") if values[f"main.{name}"]] == [expected]
    assert values["main.trusted"] is (expected == "good")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"tag": "battery1.is_high.nothing"}, "no tag", id="tag"),
        pytest.param({"valid_until": "dispatch.kw"}, "dispatch.kw is DOUBLE, not INT64", id="end"),
        pytest.param({"accepted": "dispatch.kw"}, "written by drivers", id="owner"),
        pytest.param({"accepted": "battery1.is_high"}, "battery1.is_high is BOOL, not DOUBLE", id="type"),
        pytest.param({"answered": "dispatch.kw.reason"}, "output of two variables", id="twice"),
        pytest.param({"valid": "main.power"}, "main.power is F32, not BOOL", id="valid"),
        pytest.param({"initial": 300.0}, "initial value 300.0 is out of the limits", id="initial"),
        pytest.param({"fallback": -251.0}, "fallback -251.0 is out of the limits", id="fallback"),
        pytest.param({"max_rate_per_s": 0.0}, "lets nothing through", id="rate"),
        pytest.param({"valid_for_s": 0}, "cannot be valid for 0 s", id="validity"),
        pytest.param({"low": float("nan")}, "does not fit DOUBLE", id="limit"),
    ],
)
def test_a_setpoint_that_cannot_be_wired_is_said(site: Any, change: dict[str, Any], why: str) -> None:
    table = site.build(TEXT).symbols
    fields = {name: getattr(SETPOINT, name) for name in SETPOINT.__dataclass_fields__}
    with pytest.raises(WiringError, match=why):
        encode_wiring(site.region, "scan", table, (), (), (), (Setpoint(**(fields | change)),))


@pytest.mark.parametrize(
    ("at", "raw", "why"),
    [
        pytest.param(0, struct.pack("<I", 9999), "a tag that does not exist", id="tag"),
        pytest.param(4, struct.pack("<I", 0), "a tag of another type", id="type of the end"),
        pytest.param(12, struct.pack("<I", 0), "belongs to another owner", id="owner"),
        pytest.param(24, struct.pack("<I", 1 << 20), "lies outside the state", id="variable"),
        pytest.param(28, struct.pack("<I", 1 << 20), "lies outside the state", id="valid"),
        pytest.param(32, b"\x0c", "cannot be wired", id="kind"),
        pytest.param(56, struct.pack("<d", 300.0), "out of the setpoint's limits", id="initial"),
        pytest.param(64, struct.pack("<d", float("nan")), "out of the setpoint's limits", id="fallback"),
        pytest.param(72, struct.pack("<d", float("nan")), "out of the setpoint's limits", id="rate"),
        pytest.param(80, struct.pack("<q", 0), "out of the setpoint's limits", id="validity"),
    ],
)
def test_the_scan_refuses_a_wiring_that_was_made_wrong(site: Any, at: int, raw: bytes, why: str) -> None:
    built = site.build(TEXT)
    whole = encode_wiring(site.region, "scan", built.symbols, (), (), (), (SETPOINT,))
    head, body = whole[:24], bytearray(whole[32:])
    row = len(body) - 96
    body[row + at : row + at + len(raw)] = raw
    site.files.wiring.write_bytes(head + struct.pack("<II", crc32c(body), 0) + body)
    site.files = ScanFiles(built.shared_object, site.files.wiring, site.files.control, site.files.retain)
    process = site.launch()
    assert process.wait(10.0) == 1
    assert why in process.stderr.read()
