"""Online change under load, in the scan's real process: a thousand changes at 1 ms lose no scan and no count."""

from __future__ import annotations

import statistics
import threading
from typing import Any

from plc.runtime.variables import names_by_offset
from plc.runtime.wiring import Input, Output

CHANGES = 1000
TEXT = """FUNCTION_BLOCK EDGES
VAR_INPUT go : BOOL R_EDGE; END_VAR
VAR_OUTPUT count : UDINT; END_VAR
IF go THEN
  count := count + 1;
END_IF;
END_FUNCTION_BLOCK
VAR_GLOBAL RETAIN total : ULINT; END_VAR
PROGRAM main
VAR
  scans : UDINT; toggle : BOOL; toggles : EDGES; held : EDGES; up : CTU; wait : TON;
  names : ARRAY[0..9] OF STRING[20]; power : REAL; setpoint : REAL; disorder : UDINT; at : TIME;
END_VAR
scans := scans + 1;
total := total + 1;
toggle := NOT toggle;
toggles(go := toggle);
held(go := TRUE);
up(CU := toggle, PV := 30000);
wait(IN := TRUE, PT := T#1h);
IF wait.ET < at THEN
  disorder := disorder + 1;
END_IF;
at := wait.ET;
setpoint := power;
END_PROGRAM
CONFIGURATION site
  RESOURCE here ON cpu
    TASK fast(INTERVAL := T#1ms, PRIORITY := 0);
    PROGRAM main WITH fast : main;
  END_RESOURCE
END_CONFIGURATION
"""
# What stands between the variables moves them all; `setpoint` and the count of scans say which program ran.
EDITED = TEXT.replace("  scans : UDINT;", "  pad : ARRAY[1..33] OF LREAL; scans : UDINT;").replace(
    "setpoint := power;", "setpoint := power; pad[1] := pad[1] + 1.0;"
)
INPUTS = (Input("pcc.power_kw", "main.power"),)
OUTPUTS = (Output("main.setpoint", "battery1.setpoint_kw"),)


class Load:
    """A driver that writes as fast as it can."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.is_over = threading.Event()
        self.writes = 0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.is_over.wait(0.0002):
            self.writes += 1
            self.site.put(float(self.writes))

    def __enter__(self) -> Load:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()


def test_a_thousand_online_changes_lose_no_scan_and_no_count(site: Any) -> None:
    site.put(0.0)
    programs = [site.build(TEXT), site.build(EDITED)]
    wirings = [
        site.wire_text(built, site.folder / f"wiring{i}", INPUTS, OUTPUTS) for i, built in enumerate(programs)
    ]
    moves = [site.moves(programs[0], programs[1]), site.moves(programs[1], programs[0])]
    scan = site.start_text(programs[0], INPUTS, OUTPUTS)
    scan.write({"main.names[7]": "kept"})
    took = []
    with Load(site) as load:
        for i in range(CHANGES):
            to = (i + 1) % 2
            changed = scan.change(programs[to].shared_object, wirings[to], moves[i % 2])
            took.append(changed.took_ns)
            scan.use(programs[to].symbols)
            assert changed.forces_dropped == 0
    site.until(lambda: site.value("battery1.setpoint_kw") == load.writes, "the output does not follow")
    scan.stop()  # so that counts of the task and of the program are of one moment
    status = scan.status()
    paths = ["main.scans", "total", "main.toggles.count", "main.held.count", "main.up.CV", "main.disorder"]
    reading = scan.read([*paths, "main.names[7]"])
    values = reading.values
    (task,) = status.tasks
    assert status.changes == CHANGES
    assert task.count == values["main.scans"] == values["total"] > CHANGES
    # Every deadline since the start had its scan, or was counted as missed.
    assert task.count + task.overruns == reading.now_ns // 1_000_000 + 1
    assert values["main.toggles.count"] == (task.count + 1) // 2
    assert values["main.up.CV"] == (task.count + 1) // 2
    assert (
        values["main.held.count"] == 1
    )  # what an edge input remembers is carried over though it has no name
    assert values["main.disorder"] == 0  # the timer never went back
    assert values["main.names[7]"] == "kept"
    assert load.writes > CHANGES / 10
    assert statistics.median(took) < 500_000  # of the loop's 1 ms


def test_what_an_edge_input_remembers_is_carried_over_and_not_listed(site: Any) -> None:
    old, new = site.build(TEXT).symbols, site.build(EDITED).symbols
    hidden = [place for place in old.walk() if "hidden" in place.flags]
    assert hidden
    moved = site.moves(site.build(TEXT), site.build(EDITED))
    for place in hidden:
        assert any(
            move.source <= place.offset and place.offset + place.bytes <= move.source + move.size
            for move in moved
        )
        assert names_by_offset(old).get(place.offset) is None
    assert new.digest != old.digest
