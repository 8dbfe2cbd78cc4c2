"""Input changes at a device → scan → output at the same device: p50 and p99, with the device polled every 10 ms.

A Modbus device, a process of its own, counts up a register every 20 to 80 ms and notes when the same number is
written to another one. The site runs as `tieline run` runs it: driver, image, a scan of 1 ms that copies input to
output, driver. Beside it, one after another against the same device: the same in one loop by libmodbus (reaction.c),
and by pymodbus's client, both of which have the logic in their loop and nothing else to do.

What the numbers hold: the wait for the poll (0 to 10 ms, 5 on average), two requests, and what each adds. Of Tieline
the way from the scan to the device is also told by itself: from the demand's time in the image to the request at
the device.

Usage: python benchmarks/reaction.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.paths import region_name, run_paths
from gateway.tags.image import Region

POLL_S = 0.010
LEAST_S, MOST_S = 0.020, 0.080  # between two changes
WARM_UP_S = 3.0
POINT = "device.output"
PROGRAM = """\
VAR_GLOBAL
    given : UINT;
END_VAR
PROGRAM main
VAR
    copied : UINT;
END_VAR
    copied := given;
END_PROGRAM
CONFIGURATION plant
    TASK fast (INTERVAL := T#1ms, PRIORITY := 0);
    PROGRAM main WITH fast : main;
END_CONFIGURATION
"""


def site_text(port: int) -> str:
    return f"""
site: {{name: reaction}}
areas: {{all: All}}
devices:
  device:
    area: all
    protocol: modbus
    connection: {{host: 127.0.0.1, port: {port}, unit_id: 1, timeout_ms: 1000}}
    groups: {{fast: {{period_ms: 10, stale_after_ms: 1000}}}}
    points:
      input: {{table: holding, address: 0, type: uint16, group: fast}}
      output: {{table: holding, address: 1, type: uint16, group: fast,
        write: {{role: operator, low: 0, high: 65535}}}}
logic:
  programs: [main.st]
  tasks: [fast]
  inputs: {{device.input: given}}
  outputs: {{{POINT}: {{variable: main.copied, safe: hold, refresh_ms: 1000}}}}
"""


def serve_device(listening: socket.socket, questions: Any, answers: Any) -> None:
    """Registers 0 (counts) and 1. Asked to change for so many seconds, it gives rows (number, changed, written)."""
    registers = [0, 0]
    written: dict[int, int] = {}

    class Device(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.transport = transport
            self.rest = b""

        def data_received(self, data: bytes) -> None:
            self.rest += data
            while len(self.rest) >= 12:
                transaction, _, length, unit, function, address, word = struct.unpack_from(
                    ">HHHBBHH", self.rest
                )
                body, self.rest = self.rest[6 : 6 + length], self.rest[6 + length :]
                head = struct.pack(">HHHBB", transaction, 0, 3 + 2 * word, unit, function)
                if function == 3:
                    words = registers[address : address + word]
                    self.transport.write(head + struct.pack(f">B{word}H", 2 * word, *words))
                    continue
                value = word if function == 6 else struct.unpack_from(">H", body, 7)[0]
                written.setdefault(value, time.time_ns())
                registers[1] = value
                self.transport.write(struct.pack(">HHH", transaction, 0, 6) + body[:6])

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Device, sock=listening)
        chance = random.Random(1)
        answers.put("ready")
        while (seconds := await loop.run_in_executor(None, questions.get)) is not None:
            rows = []
            end = loop.time() + seconds
            while loop.time() < end:
                registers[0] = registers[0] % 65_000 + 1
                number = registers[0]
                written.pop(number, None)
                changed = time.time_ns()
                await asyncio.sleep(chance.uniform(LEAST_S, MOST_S))
                rows.append((number, changed))
            await asyncio.sleep(MOST_S)
            answers.put([(number, changed, written.get(number, 0)) for number, changed in rows])
        server.close()

    asyncio.run(run())


def react_with_pymodbus(port: int, seconds: float) -> None:
    from pymodbus.client import ModbusTcpClient

    client = ModbusTcpClient("127.0.0.1", port=port)
    client.connect()
    last = 0
    due = time.monotonic()
    end = due + seconds
    while due < end:
        now = client.read_holding_registers(0, count=1).registers[0]
        if now != last:
            client.write_register(1, now)
            last = now
        due += POLL_S
        time.sleep(max(due - time.monotonic(), 0.0))
    client.close()


def told(name: str, milliseconds: Any, lost: int = 0) -> None:
    p50, p99 = np.percentile(milliseconds, (50, 99))
    never = f"   {lost} never" if lost else ""
    print(f"{name:34} {len(milliseconds):6,} changes   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms{never}")


def reactions(rows: list[tuple[int, int, int]]) -> tuple[Any, int]:
    whole = np.array([(written - changed) / 1e6 for _, changed, written in rows if written])
    return whole, len(rows) - len(whole)


def run_tieline(port: int, seconds: float, questions: Any, answers: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site, state = Path(folder, "site.yaml"), Path(folder, "state")
        site.write_text(site_text(port))
        Path(folder, "main.st").write_text(PROGRAM)
        process = subprocess.Popen(
            [Path(sys.executable).with_name("tieline"), "run", site, "--state", state],
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "all parts run" in line:
                    break
            time.sleep(WARM_UP_S)
            with Region.attach(region_name("reaction", run_paths("reaction", state))) as region:
                demand = region.index_of(f"{POINT}.demand")
                reader = region.reader()
                questions.put(seconds)
                rows = answers.get(timeout=seconds + 60)
                published: dict[int, int] = {}
                while len(records := reader.take().records):
                    mine = records[records["tag"] == demand]
                    for value, receipt in zip(
                        mine["value"].tolist(), mine["receipt_time"].tolist(), strict=True
                    ):
                        published.setdefault(value, receipt)
                names = ("duration_p50_us", "jitter_p99_us", "overruns")
                scan = {name: region.sample(f"_system.scan.fast.{name}").value for name in names}
        finally:
            process.terminate()
            process.stdout.read()
            process.wait()
    told("Tieline, from change to output", *reactions(rows))
    ours = [(at - published[number]) / 1e6 for number, _, at in rows if at and number in published]
    told("  of that from scan to request", np.array(ours))
    print(f"  scan of 1 ms: {scan}")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    spawn = multiprocessing.get_context("spawn")
    listening = socket.create_server(("127.0.0.1", 0), backlog=8)
    port = listening.getsockname()[1]
    questions, answers = spawn.Queue(), spawn.Queue()
    device = spawn.Process(target=serve_device, args=(listening, questions, answers), daemon=True)
    device.start()
    answers.get(timeout=30)
    print(f"a device polled every {POLL_S * 1000:g} ms, {seconds:g} s each")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "reaction")
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
        ).stdout.split()
        source = Path(__file__).with_name("reaction.c")
        subprocess.run(["cc", "-O2", "-o", program, source, *flags], check=True)
        peer: Any = subprocess.Popen([program, str(port), str(int(seconds) + 3)])
        questions.put(seconds)
        told("libmodbus, logic in its loop", *reactions(answers.get(timeout=seconds + 60)))
        peer.wait()
    peer = spawn.Process(target=react_with_pymodbus, args=(port, seconds + 3))
    peer.start()
    time.sleep(1.0)
    questions.put(seconds)
    told("pymodbus, logic in its loop", *reactions(answers.get(timeout=seconds + 60)))
    peer.join()
    run_tieline(port, seconds, questions, answers)
    questions.put(None)
    device.join(5)


if __name__ == "__main__":
    main()
