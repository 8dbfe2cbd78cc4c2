"""Polls that devices see while a site is reloaded, beside those they see when it is not.

    python benchmarks/reload.py [RELOADS]

Ten devices are polled every 100 ms over Modbus TCP, each served here and stamped when it is asked. One of them gets
another period, and an eleventh comes or goes, at each reload; the other nine must not notice.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

DEVICES = 10
PERIOD_S = 0.1
TIELINE = Path(sys.executable).with_name("tieline")
SITE = """\
site: {{name: bench_reload}}
areas: {{grid: Tie}}
templates:
  meter:
    parameters: {{port: {{type: integer}}, period_ms: {{type: integer, default: 100}}}}
    protocol: modbus
    connection: {{host: 127.0.0.1, port: "${{port}}"}}
    groups: {{all: {{period_ms: "${{period_ms}}"}}}}
    points:
      power_kw: {{table: input, address: 0, type: int16, unit: kW, group: all}}
devices:
{devices}
"""


class Meter:
    """A device that stamps each question."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.asked: list[float] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while len(head := stream.read(7)) == 7:
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                function, _, count = struct.unpack(">BHH", stream.read(length - 1))
                self.asked.append(time.monotonic())
                pdu = struct.pack(f">BB{count}H", function, 2 * count, *range(count))
                connection.sendall(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)


def write(file: Path, meters: list[Meter], *, slow: bool, extra: bool) -> None:
    """The site: the last of the ten is slow or not, an eleventh there or not."""
    rows = [
        f"  m{i}: {{area: grid, template: meter, with: {{port: {meter.port}, "
        f"period_ms: {150 if slow and i == DEVICES - 1 else 100}}}}}"
        for i, meter in enumerate(meters[: DEVICES + extra])
    ]
    file.write_text(SITE.format(devices="\n".join(rows)))


def gaps_ms(meters: list[Meter], since: float, until: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Between the polls of each device, all together."""
    found = []
    for meter in meters:
        stamps = np.array(meter.asked)
        found.append(np.diff(stamps[(stamps >= since) & (stamps <= until)]))
    return np.concatenate(found) * 1e3


def told(what: str, gaps: np.ndarray[tuple[int], np.dtype[np.float64]], seconds: float) -> None:
    missed = int(np.count_nonzero(gaps > 2 * PERIOD_S * 1e3))
    print(
        f"{what:20} {seconds:6.1f} s  {len(gaps):6} polls  p50 {np.percentile(gaps, 50):6.1f}  "
        f"p99 {np.percentile(gaps, 99):6.1f}  longest {gaps.max():6.1f} ms  over two periods: {missed}"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    meters = [Meter() for _ in range(DEVICES + 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, state = folder / "site.yaml", folder / "state"
        write(file, meters, slow=False, extra=False)
        site = subprocess.Popen(
            [TIELINE, "run", file, "--state", state],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert site.stdout is not None
        while "all parts run" not in site.stdout.readline():
            pass
        try:
            time.sleep(5.0)
            durations = []
            begin = time.monotonic()
            for number in range(1, count + 1):
                write(file, meters, slow=bool(number % 2), extra=bool(number % 2))
                started = time.monotonic()
                with socket.socket(socket.AF_UNIX) as connection, connection.makefile() as answer:
                    connection.connect(str(state / "run" / "node.sock"))
                    connection.sendall(json.dumps({"site": str(file), "dry_run": False}).encode() + b"\n")
                    assert json.loads(answer.readline())["is"] == "done"
                durations.append(time.monotonic() - started)
            end = time.monotonic()
            time.sleep(end - begin)  # as long without a reload, on the machine as it is now
            same = meters[: DEVICES - 1]
            told(f"{count} reloads", gaps_ms(same, begin, end), end - begin)
            told("none", gaps_ms(same, end, 2 * end - begin), end - begin)
            print(
                f"a reload took {np.median(durations):.1f} s, checking included; connections: "
                f"{sorted(meter.connections for meter in same)}, changed one {meters[DEVICES - 1].connections}"
            )
        finally:
            site.terminate()
            site.wait()


if __name__ == "__main__":
    main()
