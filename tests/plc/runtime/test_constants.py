"""Protection settings are constants, and nobody writes or forces a constant of a running program."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from plc.runtime.client import ScanRefusedError
from plc.runtime.wiring import Output

TEXT = """TYPE SETTINGS : STRUCT
  volts : ARRAY [1..3] OF REAL := [1.2, 1.1, 0.88]; name : STRING[8] := 'III';
END_STRUCT; END_TYPE
FUNCTION_BLOCK RELAY
VAR_INPUT value : REAL; END_VAR
VAR CONSTANT PICK_UP : REAL := 1.2; END_VAR
VAR_OUTPUT trips : BOOL; END_VAR
trips := value > PICK_UP;
END_FUNCTION_BLOCK
VAR_GLOBAL CONSTANT CATEGORY : SETTINGS; LIMIT_HZ : LREAL := 57.0; END_VAR
PROGRAM main
VAR relay : RELAY; free : REAL := 1.0; levels : ARRAY [1..2] OF REAL; setpoint : REAL; END_VAR
VAR CONSTANT DELAY : TIME := T#160ms; END_VAR
relay(value := free);
setpoint := CATEGORY.volts[1] + levels[2];
END_PROGRAM
"""
OUTPUTS = (Output("main.setpoint", "battery1.setpoint_kw"),)
CONSTANTS = ("CATEGORY.volts[2]", "LIMIT_HZ", "main.DELAY", "main.relay.PICK_UP")


@pytest.fixture
def scan(site: Any) -> Any:
    site.put(0.0)
    return site.start_text(site.build(TEXT), (), OUTPUTS)


@pytest.mark.parametrize("path", CONSTANTS)
def test_a_constant_is_neither_written_nor_forced(scan: Any, path: str) -> None:
    before = scan.read([path]).values[path]
    with pytest.raises(ScanRefusedError, match="constant"):
        scan.write({"main.free": 2.0, path: 3 if path == "main.DELAY" else 3.0})
    with pytest.raises(ScanRefusedError, match="constant"):
        scan.force(path, 3 if path == "main.DELAY" else 3.0)
    values = scan.read([path, "main.free"]).values
    assert values[path] == before
    assert values["main.free"] == 1.0, "of a write that is refused nothing is done"
    assert scan.forces() == ()


def test_a_constant_string_is_not_written(scan: Any) -> None:
    with pytest.raises(ScanRefusedError, match="constant"):
        scan.write({"CATEGORY.name": "II"})


def test_what_lies_beside_constants_is_written(scan: Any) -> None:
    scan.write({"main.free": 1.5, "main.levels[2]": 0.5})
    scan.force("main.levels[1]", 7.0)
    scan.unforce("main.levels[1]")
    assert scan.read(["main.levels[2]"]).values == {"main.levels[2]": 0.5}


def test_the_process_itself_refuses_whatever_a_client_believes(site: Any, scan: Any) -> None:
    """A client of somebody else's, with bytes that only begin before the constant, or end behind it."""
    table = site.build(TEXT).symbols
    first, last = table.find("CATEGORY.volts[1]"), table.find("CATEGORY.volts[3]")
    for offset, size in (
        (first.offset + 3, 1),
        (last.offset + 3, 1),
        (first.offset, 12),
        (first.offset + 2, 5),
    ):
        piece = struct.pack("<II", offset, size) + bytes(size)
        with pytest.raises(ScanRefusedError, match="constant"):
            scan._ask(5, struct.pack("<II", scan.status().changes, 1) + piece)
    assert list(scan.read([f"CATEGORY.volts[{i}]" for i in (1, 2, 3)]).values.values()) == pytest.approx(
        [1.2, 1.1, 0.88]
    )
