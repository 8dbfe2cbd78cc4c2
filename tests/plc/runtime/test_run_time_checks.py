"""Each run-time check of Structured Text faulted live, in the scan's real process on a real region.

The program stops, its outputs turn safe with Bad_OutOfService, the fault names file and line, and the scan itself
goes on: it answers, saves nothing of the half scan, and starts the program again.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.tags.quality import Quality
from plc.compiler.build import Options
from plc.runtime.client import Mode, Start
from plc.runtime.wiring import Output

# One CASE label a check; the statement that faults stands on the line behind `// here N`.
TEXT = """TYPE LEVEL : INT (0..10); END_TYPE
INTERFACE SHAPE
  METHOD area : DINT
  END_METHOD
END_INTERFACE
FUNCTION_BLOCK SQUARE IMPLEMENTS SHAPE
VAR side : DINT := 3; END_VAR
METHOD PUBLIC area : DINT
  area := side * side;
END_METHOD
END_FUNCTION_BLOCK
PROGRAM main
VAR
  how : INT; n : DINT; x : REAL; zero : DINT; index : DINT := 3; setpoint : REAL := 20.0;
  values : ARRAY[1..4] OF INT; level : LEVEL; target : REF_TO DINT; text : STRING[8] := 'abc';
  cut : STRING[8]; square : SQUARE; shape : SHAPE; raw : POINTER TO UDINT; scans : UDINT; nan : REAL;
END_VAR
VAR RETAIN kept : UDINT; END_VAR
scans := scans + 1;
kept := kept + 1;
shape := square;
setpoint := 20.0 + TO_REAL(scans) * 0.0;
CASE how OF
1:
  // here 1
  values[index + 2] := 1;
2:
  // here 2
  n := 7 / zero;
4:
  // here 4
  target^ := 1;
5:
  // here 5
  level := TO_INT(index * 5);
6:
  // here 6
  cut := LEFT(text, -index);
7:
  // here 7
  WHILE index > 0 DO
    n := n + 1;
  END_WHILE;
8:
  nan := SQRT(-1.0 * TO_REAL(index));
  // here 8
  n := TO_DINT(nan);
9:
  raw := ADR(square);
  raw^ := 77;
  // here 9
  n := shape.area();
10:
  // here 10
  FOR n := 1 TO 2_000_000_000 DO
    zero := zero * 3;
  END_FOR;
END_CASE;
END_PROGRAM
CONFIGURATION site
  RESOURCE here ON cpu
    TASK fast(INTERVAL := T#1ms, PRIORITY := 0);
    PROGRAM main WITH fast : main;
  END_RESOURCE
END_CONFIGURATION
"""
OUTPUTS = (Output("main.setpoint", "battery1.setpoint_kw", -5.0),)


def line_of(how: int) -> int:
    """Of the statement behind its mark, counted from 1."""
    return 2 + TEXT[: TEXT.index(f"// here {how}\n")].count("\n")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        pytest.param(1, "array index out of bounds", id="bounds"),
        pytest.param(2, "division by zero", id="division"),
        pytest.param(4, "null reference", id="null reference"),
        pytest.param(5, "value outside its subrange", id="subrange"),
        pytest.param(6, "a string length or position that cannot be", id="string length"),
        pytest.param(7, "a loop that does not end", id="endless loop"),
        pytest.param(8, "not a number", id="not a number"),
        pytest.param(9, "call through an interface that nothing implements", id="interface"),
        pytest.param(10, "a loop that does not end", id="long loop"),
    ],
)
def test_a_failed_check_stops_the_program_with_its_line_and_safe_outputs(
    site: Any, how: int, text: str
) -> None:
    scan = site.start_text(site.build(TEXT), outputs=OUTPUTS, watchdog_ms=200, retain_ms=20)
    site.until(lambda: site.value("battery1.setpoint_kw") == 20.0, "no output")
    site.until(lambda: scan.status().saves > 0, "nothing is saved")
    scan.write({"main.how": how})
    site.until(lambda: scan.status().mode is Mode.FAULTED, "it never faulted")
    assert site.value("battery1.setpoint_kw") == -5.0
    assert site.status("battery1.setpoint_kw") == Quality.BAD_OUT_OF_SERVICE
    fault = scan.status().fault
    assert fault is not None
    assert (fault.text, fault.file, fault.line, fault.task) == (text, "main.st", line_of(how), "fast")
    # The scan lives: it ticks, and the half scan is not what a warm start finds.
    ticks, faulted = scan.status().ticks, scan.read(["main.kept"]).values["main.kept"]
    site.until(lambda: scan.status().ticks > ticks, "the scan stands still", 3.0)
    scan.start(Start.WARM)
    site.until(lambda: site.value("battery1.setpoint_kw") == 20.0, "it does not run again")
    assert scan.read(["main.how"]).values["main.how"] == 0
    assert scan.status().restored == 1
    assert scan.status().mode is Mode.RUNNING
    assert faulted > 0


def test_a_loop_that_counts_no_budget_is_left_by_the_watchdog(site: Any) -> None:
    scan = site.start_text(site.build(TEXT, Options(checks=False)), outputs=OUTPUTS, watchdog_ms=200)
    site.until(lambda: site.value("battery1.setpoint_kw") == 20.0, "no output")
    scan.write({"main.how": 7})
    site.until(lambda: scan.status().mode is Mode.FAULTED, "it never faulted")
    fault = scan.status().fault
    assert fault is not None
    assert (fault.code, fault.task) == (100, "fast")
    assert site.value("battery1.setpoint_kw") == -5.0
    assert site.status("battery1.setpoint_kw") == Quality.BAD_OUT_OF_SERVICE
    scan.start(Start.COLD)
    site.until(lambda: site.value("battery1.setpoint_kw") == 20.0, "it does not run again")
