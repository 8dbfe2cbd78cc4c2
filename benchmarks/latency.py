"""Device change → value seen by an OPC UA client, and → row in history: p50 and p99, at 1,000 tags at 10 Hz.

Ten devices of 100 registers each; all registers of a device change together every 101 ms and hold the number of the
change, so whoever reads one knows when it came about. The site runs as `tieline run` runs it and polls every 100 ms;
the two periods sweep through each other, so that every wait for the next poll occurs. Devices, the OPC UA client
(asyncua, signed and encrypted, publishing every 50 ms) and the reader of history are processes of their own.

What the numbers hold: the wait for the poll (0 to 100 ms, 50 on average), the server's publishing interval (0 to
50 ms), history's flush_ms (0 to 250 ms), and what we add. The latencies from the poll's own time
stamp are without the first.

Usage: python benchmarks/latency.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.paths import run_paths
from gateway.tags.image import Region

DEVICES = 10
REGISTERS = 100
CHANGE_NS = 101_000_000
POLL_MS = 100
PUBLISHING_MS = 50
FLUSH_MS = 250
WARM_UP_S = 5.0
HISTORY_TAGS = 20
USER = "operator"


def site_text(devices_port: int, opcua_port: int) -> str:
    points = "\n".join(
        f"      r{number}: {{table: holding, address: {number}, type: uint16, group: fast}}"
        for number in range(REGISTERS)
    )
    return f"""
site: {{name: latency}}
areas: {{all: All}}
templates:
  bank:
    protocol: modbus
    connection: {{host: 127.0.0.1, port: {devices_port}, unit_id: 1, timeout_ms: 1000}}
    groups: {{fast: {{period_ms: {POLL_MS}, stale_after_ms: 1000}}}}
    points:
{points}
devices:
  bank: {{area: all, repeat: 1..{DEVICES}, template: bank}}
historian: {{flush_ms: {FLUSH_MS}}}
servers: {{opcua: {{host: 127.0.0.1, port: {opcua_port}, trust: all}}}}
users: {{{USER}: {{role: operator}}}}
"""


def serve_devices(listening: socket.socket, epoch_ns: int) -> None:
    """A Modbus TCP server that knows one question: read holding registers, all of which hold the same number."""

    class Bank(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.rest = b""

        def data_received(self, data: bytes) -> None:
            self.rest += data
            while len(self.rest) >= 12:
                transaction, _, _, unit, function, _, count = struct.unpack_from(">HHHBBHH", self.rest)
                self.rest = self.rest[12:]
                change = (time.time_ns() - epoch_ns) // CHANGE_NS & 0xFFFF
                head = struct.pack(">HHHBBB", transaction, 0, 3 + 2 * count, unit, function, 2 * count)
                self.transport.write(head + change.to_bytes(2, "big") * count)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Bank, sock=listening)
        await server.serve_forever()

    asyncio.run(run())


def watch_opcua(port: int, password: str, pki: Path, epoch_ns: int, seconds: float, results: Any) -> None:
    """A client: subscribe to all tags, and note for each value when it came about, was polled, and was seen."""
    from asyncua import Client, ua
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    from gateway.servers.opcua.certificates import own_identity

    rows: list[tuple[int, int, int]] = []

    class Seen:
        def datachange_notification(self, _node: Any, value: int, data: Any) -> None:
            now = time.time_ns()
            source = data.monitored_item.Value.SourceTimestamp
            rows.append((epoch_ns + value * CHANGE_NS, int(source.timestamp() * 1e9), now))

    async def run() -> None:
        mine = own_identity(pki / "client", "benchmark", "127.0.0.1")
        own = pki / "client" / "own"
        client = Client(f"opc.tcp://127.0.0.1:{port}/", timeout=10)
        client.application_uri = mine.application_uri
        client.set_user(USER)
        client.set_password(password)
        await client.set_security(
            SecurityPolicyBasic256Sha256,
            own / "certificate.der",
            own / "private_key.pem",
            None,
            pki / "own" / "certificate.der",
            ua.MessageSecurityMode.SignAndEncrypt,
        )
        async with client:
            subscription = await client.create_subscription(PUBLISHING_MS, Seen())
            nodes = [
                client.get_node(f"ns=2;s=bank{bank}.r{register}")
                for bank in range(1, DEVICES + 1)
                for register in range(REGISTERS)
            ]
            await subscription.subscribe_data_change(nodes)
            await asyncio.sleep(WARM_UP_S)
            rows.clear()
            cpu = time.process_time()
            await asyncio.sleep(seconds)
            results.put((np.array(rows, np.int64), (time.process_time() - cpu) / seconds))

    asyncio.run(run())


def watch_history(folder: Path, epoch_ns: int, seconds: float, results: Any) -> None:
    """Ask for the newest sample of some tags again and again: when is a change in an answer for the first time?"""
    from historian.query import History

    history = History(folder)
    names = [f"bank{1 + number % DEVICES}.r{number}" for number in range(HISTORY_TAGS)]
    last = dict.fromkeys(names, time.time_ns())
    rows: list[tuple[int, int, int]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in names:
            series = history.raw(name, last[name] + 1, time.time_ns())
            now = time.time_ns()
            for value, source in zip(series.values.tolist(), series.source_times.tolist(), strict=True):
                rows.append((epoch_ns + value * CHANGE_NS, source, now))
                last[name] = source
        time.sleep(0.01)
    history.close()
    results.put(np.array(rows, np.int64))


def told(name: str, rows: Any) -> None:
    changed, polled, seen = rows.T
    whole, ours = (seen - changed) / 1e6, (seen - polled) / 1e6
    print(
        f"{name:26} {len(rows):8,} values   from the change: p50 {np.percentile(whole, 50):6.1f} ms  "
        f"p99 {np.percentile(whole, 99):6.1f} ms   from the poll: p50 {np.percentile(ours, 50):6.1f} ms  "
        f"p99 {np.percentile(ours, 99):6.1f} ms"
    )


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100  # proc(5): in ticks of a hundredth of a second


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    spawn = multiprocessing.get_context("spawn")
    listening = socket.create_server(("127.0.0.1", 0), backlog=32)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        opcua_port = probe.getsockname()[1]
    epoch_ns = time.time_ns()
    devices = spawn.Process(target=serve_devices, args=(listening, epoch_ns), daemon=True)
    devices.start()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site.yaml")
        site.write_text(site_text(listening.getsockname()[1], opcua_port))
        state = Path(folder, "state")
        process = subprocess.Popen(
            [Path(sys.executable).with_name("tieline"), "run", site, "--state", state],
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert process.stdout is not None
        password = ""
        for line in process.stdout:
            if line.startswith("  sign in"):
                password = line.split()[-1]
            if "all parts run" in line:
                break
        try:
            paths = run_paths("latency", state)
            time.sleep(WARM_UP_S)
            results = [spawn.Queue(), spawn.Queue()]
            readers = [
                spawn.Process(
                    target=watch_opcua, args=(opcua_port, password, paths.pki, epoch_ns, seconds, results[0])
                ),
                spawn.Process(
                    target=watch_history, args=(paths.history, epoch_ns, seconds + WARM_UP_S, results[1])
                ),
            ]
            for reader in readers:
                reader.start()
            record = json.loads(paths.run_record.read_text())
            with Region.attach(record["region"]) as region:
                pids = {
                    part: int(region.sample(f"_system.parts.{part}.pid").value) for part in record["parts"]
                }
            before = {part: cpu_seconds(pid) for part, pid in pids.items()}
            begin = time.monotonic()
            seen, client_cpu = results[0].get(timeout=seconds + 60)
            stored = results[1].get(timeout=seconds + 60)
            span = time.monotonic() - begin
            used = {part: (cpu_seconds(pid) - before[part]) / span for part, pid in pids.items()}
            for reader in readers:
                reader.join()
        finally:
            process.terminate()
            process.stdout.read()
            process.wait()
    devices.terminate()
    print(f"{DEVICES * REGISTERS:,} tags polled every {POLL_MS} ms, for {seconds:g} s")
    told("seen by an OPC UA client", seen)
    told(f"in history ({HISTORY_TAGS} tags)", stored)
    shares = ", ".join(f"{part} {share:.0%}" for part, share in used.items())
    print(f"CPU of one core: {shares}; the client {client_cpu:.0%}")


if __name__ == "__main__":
    main()
