"""Structured Text, compiled by our compiler, in the scan's real process: run, watched, changed online, faulted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plc.compiler.build import Built, Options, build
from plc.language.source import Source
from plc.runtime.client import Mode, ScanClient
from plc.runtime.process import ScanFiles, StartUp
from plc.runtime.variables import Table, moves_between
from plc.runtime.wiring import Input, Output, encode_wiring

TEXT = """VAR_GLOBAL RETAIN total : DINT := 5; END_VAR
PROGRAM main
VAR_INPUT power : REAL; power_status : DWORD; END_VAR
VAR_OUTPUT setpoint : REAL; high : BOOL; END_VAR
VAR
  scans : UDINT; divisor : DINT := 1; values : ARRAY[1..4] OF INT; above : TON; note : STRING[20] := 'first';
END_VAR
scans := scans + 1;
total := total + 1;
values[2] := values[2] + 1;
above(IN := power > 100.0, PT := T#20ms);
high := above.Q;
setpoint := power * 0.5 / TO_REAL(64 / divisor) * 64.0;
END_PROGRAM
CONFIGURATION site
  RESOURCE here ON cpu
    TASK fast(INTERVAL := T#1ms, PRIORITY := 0);
    PROGRAM main WITH fast : main;
  END_RESOURCE
END_CONFIGURATION
"""
EDITED = TEXT.replace("scans : UDINT;", "added : LREAL := 2.5; scans : UDINT;").replace("* 0.5", "* 0.25")
DIVISION_LINE = 1 + TEXT[: TEXT.index("64 / divisor")].count("\n")


def compiled(text: str, folder: Path) -> Built:
    return build([Source("main.st", text)], Options(), folder / "cache")


def wired(site: Any, table: Table, path: Path) -> Path:
    inputs = [Input("pcc.power_kw", "main.power", "main.power_status")]
    outputs = [
        Output("main.setpoint", "battery1.setpoint_kw", -5.0),
        Output("main.high", "battery1.is_high", 0),
    ]
    path.write_bytes(encode_wiring(site.region, "scan", table, inputs, outputs))
    return path


def started(site: Any, built: Built) -> ScanClient:
    wiring = wired(site, built.symbols, site.files.wiring)
    site.files = ScanFiles(built.shared_object, wiring, site.files.control, site.files.retain)
    scan: ScanClient = site.start(StartUp.COLD, table=built.symbols)
    return scan


def test_structured_text_runs_and_is_changed_online_without_losing_state(site: Any) -> None:
    first, second = compiled(TEXT, site.folder), compiled(EDITED, site.folder)
    site.put(120.0)
    scan = started(site, first)
    site.until(lambda: site.value("battery1.setpoint_kw") == 60.0, "no output")
    site.until(lambda: site.value("battery1.is_high") is True, "the timer never ends")
    scan.write({"main.note": "kept", "main.values[4]": 44})
    before = scan.read(["main.scans", "total", "main.values[2]", "main.above.Q"]).values
    wiring = wired(site, second.symbols, site.folder / "second")
    scan.change(second.shared_object, wiring, moves_between(first.symbols, second.symbols))
    scan.use(second.symbols)
    site.until(lambda: site.value("battery1.setpoint_kw") == 30.0, "the edit does not run")
    paths = [
        "main.scans",
        "total",
        "main.values[2]",
        "main.values[4]",
        "main.note",
        "main.added",
        "main.above.Q",
    ]
    after = scan.read(paths).values
    assert after["main.note"] == "kept"
    assert after["main.values[4]"] == 44
    assert after["main.added"] == 2.5
    assert after["main.above.Q"] is True  # the timer goes on
    assert after["main.scans"] > before["main.scans"]
    assert after["total"] - after["main.scans"] == before["total"] - before["main.scans"] == 5
    assert scan.status().mode is Mode.RUNNING


def test_a_division_by_zero_names_its_line(site: Any) -> None:
    site.put(1.0)
    scan = started(site, compiled(TEXT, site.folder))
    site.until(lambda: site.value("battery1.setpoint_kw") == 0.5, "no output")
    scan.write({"main.divisor": 0})
    site.until(lambda: scan.status().mode is Mode.FAULTED, "it never faulted")
    fault = scan.status().fault
    assert fault is not None
    assert (fault.text, fault.file, fault.line) == ("division by zero", "main.st", DIVISION_LINE)
    assert site.value("battery1.setpoint_kw") == -5.0
