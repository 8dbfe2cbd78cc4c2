"""`tieline reload` of a running site: only what changed is touched, and a kill leaves one site or the other.

The devices count who connects to them and what is asked, so that what is shown is what a device saw.
"""

import contextlib
import hashlib
import json
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.paths import RunPaths, run_paths
from gateway.node.state import read_record
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_good
from historian.query import History

TIELINE = Path(sys.executable).with_name("tieline")
PATIENCE_S = 120.0  # each step starts processes, on a machine that others use
PARTS = ("drivers", "historian", "hmi")

TEMPLATE = """\
site: {{name: reloaded}}
areas: {{grid: Tie}}
users: {{operator: {{role: operator}}}}
templates:
  meter:
    parameters: {{port: {{type: integer}}, period_ms: {{type: integer, default: 100}}}}
    protocol: modbus
    connection: {{host: 127.0.0.1, port: "${{port}}", timeout_ms: 10000}}
    groups: {{all: {{period_ms: "${{period_ms}}", stale_after_ms: 20000}}}}
    points:
      power_kw: {{table: input, address: 0, type: int16, unit: kW, group: all}}
      energy_kwh: {{table: input, address: 1, type: {energy}, unit: kWh, group: all}}
devices:
{devices}
historian: {{flush_ms: 100}}
servers: {{hmi: {{host: 127.0.0.1, port: {page}}}}}
"""


class Meter:
    """A device that says how often it was connected to and when it was asked; its power counts the questions."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.asked: list[float] = []
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                self._sockets.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while len(head := stream.read(7)) == 7:
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                function, _, count = struct.unpack(">BHH", stream.read(length - 1))
                self.asked.append(time.monotonic())
                registers = [len(self.asked) % 30_000] + [7] * (count - 1)
                pdu = struct.pack(f">BB{count}H", function, 2 * count, *registers)
                connection.sendall(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)

    def close(self) -> None:
        self._listening.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Site:
    """The running site, and its file."""

    folder: Path
    meters: dict[str, Meter]
    page: int
    process: "subprocess.Popen[str]" = field(init=False)
    lines: "queue.Queue[str]" = field(default_factory=queue.Queue)

    @property
    def file(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def paths(self) -> RunPaths:
        return run_paths("reloaded", self.folder / "state")

    def write(self, *devices: str, energy: str = "uint16", **periods: int) -> None:
        """The file with these devices; ``periods`` are theirs, where not the usual one."""
        rows = [
            f"  {name}: {{area: grid, template: meter, with: {{port: {self.meters[name].port}, "
            f"period_ms: {periods.get(name, 100)}}}}}"
            for name in devices
        ]
        self.file.write_text(TEMPLATE.format(devices="\n".join(rows), page=self.page, energy=energy))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [TIELINE, "run", str(self.file), "--state", str(self.paths.state)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        said = []
        with contextlib.suppress(queue.Empty):
            while not re.search("all parts run", line := self.lines.get(timeout=PATIENCE_S)):
                said.append(line)
            return
        raise AssertionError("".join(said))

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                self.lines.put(line)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`tieline reload`."""
        return subprocess.run(
            [TIELINE, "reload", "--state", str(self.paths.state), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
        )

    def ask(self, **request: Any) -> socket.socket:
        """Ask for a reload as the command line does; the answer comes on the socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S * 2)
        connection.connect(str(self.paths.node_socket))
        connection.sendall(json.dumps({"site": str(self.file), "dry_run": False, **request}).encode() + b"\n")
        return connection

    def reload(self) -> dict[str, Any]:
        """The same without another process."""
        with self.ask() as connection, connection.makefile() as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
        return answer

    @contextlib.contextmanager
    def region(self) -> Iterator[Region]:
        record = read_record(self.paths)
        assert record is not None
        with Region.attach(record.region) as region:
            yield region

    def is_well(self, *devices: str) -> bool:
        """Whether all parts run and these devices' points are Good."""
        with contextlib.suppress(KeyError), self.region() as region:
            running = all(region.sample(f"_system.parts.{part}.running").value for part in PARTS)
            names = [f"{device}.{point}" for device in devices for point in ("power_kw", "energy_kwh")]
            return running and all(is_good(region.sample(name).status) for name in names)
        return False

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"not so after {PATIENCE_S:.0f} s"
            time.sleep(0.02)

    def reloads(self) -> int:
        record = read_record(self.paths)
        assert record is not None
        return record.reloads

    def status(self) -> dict[str, Any]:
        said = subprocess.run(
            [TIELINE, "status", "--state", str(self.paths.state), "--format", "json"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        status: dict[str, Any] = json.loads(said.stdout)
        return status


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        page = probe.getsockname()[1]
    site = Site(tmp_path_factory.mktemp("reload"), {name: Meter() for name in "abcd"}, page)
    site.write("a", "b", "c")
    site.start()
    yield site
    site.stop()
    for meter in site.meters.values():
        meter.close()


@pytest.fixture
def site(running: Site) -> Site:
    """It runs devices a, b and c, as in the beginning."""
    running.write("a", "b", "c")
    record = read_record(running.paths)
    assert record is not None
    raw = running.file.read_bytes()
    if record.digest != hashlib.sha256(len(raw).to_bytes(8, "little") + raw).hexdigest():
        assert running.reload()["is"] == "done"
    running.until(lambda: running.is_well("a", "b", "c"))
    return running


def test_devices_that_are_not_concerned_see_nothing_of_it_and_no_sample_is_lost(site: Site) -> None:
    before = {name: (meter.connections, len(meter.asked)) for name, meter in site.meters.items()}
    begin_ns = time.time_ns()
    taken = []
    with site.region() as region:
        reader = region.reader("now")
        places = {name: region.index_of(f"{name}.power_kw") for name in "ac"}
        pids = {part: region.sample(f"_system.parts.{part}.pid").value for part in PARTS}
        site.write("a", "b", "c", "d", b=150)  # b is slower, d is new
        said = site.command()
        assert said.returncode == 0, said.stderr
        site.until(lambda: site.is_well("a", "b", "c", "d"))
        site.write("a", "c", "d", b=150)  # b goes
        assert site.reload()["is"] == "done"
        counts = {name: len(site.meters[name].asked) for name in "ac"}
        site.until(lambda: all(len(site.meters[name].asked) > counts[name] + 3 for name in "ac"))
        piece = reader.take(1 << 16)
        assert piece.lost == 0
        taken.append(piece.records)
        assert region.index_of("a.power_kw") == places["a"]
        with pytest.raises(KeyError):
            region.index_of("b.power_kw")
        for name in "ac":
            assert int(region.sample(f"_system.{name}.errors_timeout").value) == 0
            assert region.sample(f"_system.{name}.last_error").value == ""
    assert "device b: groups all.period_ms: 100 → 150" in said.stdout
    assert "device d: new" in said.stdout
    assert "part drivers takes it in place" in said.stdout
    # They kept their connections, the changed one got a new one, and the one that went is left alone.
    connections = {name: site.meters[name].connections - before[name][0] for name in "abcd"}
    assert connections == {"a": 0, "b": 1, "c": 0, "d": 1}
    records = np.concatenate(taken)
    history = History(site.paths.history)
    for name, place in places.items():
        mine = records[records["tag"] == place]
        assert len(mine) > 5
        assert set(mine["status"].tolist()) == {Quality.GOOD}
        # Each answer of the device counts one more: none is missing between the first and the last.
        assert np.all(np.diff(mine["value"].astype(np.int64)) == 1)
        last = int(mine["source_time"][-1])

        def kept(name: str = name) -> set[int]:
            return set(history.raw(f"{name}.power_kw", begin_ns, 2**62).source_times.tolist())

        site.until(lambda last=last, kept=kept: last in kept())
        assert set(mine["source_time"].tolist()) <= kept()
    ended = history.raw("b.power_kw", begin_ns, 2**62)
    assert ended.statuses[-1] == Quality.BAD_OUT_OF_SERVICE
    history.close()
    status = site.status()
    assert status["reloads"] == site.reloads()
    assert {part["name"]: part["pid"] for part in status["parts"]} == pids
    assert {device["name"] for device in status["devices"]} == {"a", "c", "d"}


def test_a_tag_of_another_type_is_a_new_one_under_the_old_name(site: Site) -> None:
    begin_ns = time.time_ns()
    with site.region() as region:
        place = region.index_of("a.energy_kwh")
        site.write("a", "b", "c", energy="float32, scale: 1")
        answer = site.reload()
        assert "tag a.energy_kwh is a new one (type: uint64 → double)" in answer["text"]
        region.refresh()
        assert region.index_of("a.energy_kwh") != place
    site.until(lambda: site.is_well("a", "b", "c"))
    history = History(site.paths.history)
    site.until(lambda: len(history.raw("a.energy_kwh", begin_ns, 2**62)) > 0)
    history.close()


def test_a_faulty_file_is_told_with_its_places_and_nothing_is_touched(site: Site) -> None:
    before = read_record(site.paths)
    site.write("a", "b", "c", energy="uint17")
    said = site.command()
    assert said.returncode == 1
    assert "site.yaml:12:" in said.stderr
    assert "'type' is the text 'uint17'" in said.stderr
    assert "nothing was changed" in said.stderr
    site.file.unlink()
    answer = site.reload()
    assert (answer["is"], "does not exist" in answer["text"]) == ("faulty", True)
    assert read_record(site.paths) == before


def test_a_dry_run_and_what_is_impossible_change_nothing(site: Site) -> None:
    before = read_record(site.paths)
    site.write("a", "b", "c", "d")
    said = site.command("--dry-run", "--format", "json")
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout)
    assert answer["is"] == "planned"
    assert answer["plan"]["devices_added"] == ["d"]
    assert {part["part"]: part["act"] for part in answer["plan"]["parts"]} == dict.fromkeys(
        PARTS, "takes it in place"
    )
    site.file.write_text(site.file.read_text().replace("name: reloaded", "name: another"))
    answer = site.reload()
    assert answer["is"] == "impossible"
    assert "not without a restart of the site: the site is called 'another'" in answer["text"]
    assert read_record(site.paths) == before
    assert len(site.meters["d"].asked) == 0 or not site.is_well("d")


def test_of_two_at_once_one_is_refused(site: Site) -> None:
    site.write("a", "b", "c", "d")
    asked = [site.ask(dry_run=True) for _ in range(2)]
    answers = []
    for connection in asked:
        with connection, connection.makefile() as stream:
            answers.append(json.loads(stream.readline())["is"])
    assert sorted(answers) == ["busy", "planned"]


def test_nonsense_is_told_so_and_the_next_is_served(site: Site) -> None:
    for line in (
        b"[" * 60_000,
        b"[" * 70_000,
        b"{}",
        b'{"site": "a\\u0000b", "dry_run": true}',
        b'{"site": 1}',
    ):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(site.paths.node_socket))
            with contextlib.suppress(ConnectionError):
                connection.sendall(line + b"\n")
            with connection.makefile() as stream:
                answer = json.loads(stream.readline())
        assert (answer["is"], answer["text"][:13]) == ("failed", "a request is ")
    with site.ask(dry_run=True) as connection, connection.makefile() as stream:
        assert json.loads(stream.readline())["is"] == "planned"
    assert site.paths.node_socket.stat().st_mode & 0o777 == 0o600


def test_a_part_that_is_killed_in_the_middle_comes_back_with_the_new_site(site: Site) -> None:
    before = site.reloads()
    with site.region() as region:
        pid = int(region.sample("_system.parts.drivers.pid").value)
        restarts = int(region.sample("_system.parts.drivers.restarts").value)
    site.write("a", "b", "d")
    with site.ask() as connection, connection.makefile() as stream:
        site.until(lambda: site.reloads() == before + 1)
        os.kill(pid, signal.SIGKILL)  # it is just being handed the site, or is at work on it
        answer = json.loads(stream.readline())
    assert answer["is"] == "done"
    site.until(lambda: site.is_well("a", "b", "d"))
    with site.region() as region:
        site.until(lambda: int(region.sample("_system.parts.drivers.restarts").value) == restarts + 1)
        with pytest.raises(KeyError):
            region.index_of("c.power_kw")
    assert site.status()["digest"] == answer["plan"]["digest"]


def test_when_the_root_is_killed_in_the_middle_the_next_start_has_the_file(site: Site) -> None:
    before = site.reloads()
    site.write("a", "b", "c", "d")
    with site.ask():
        site.until(lambda: site.reloads() == before + 1)
        site.process.kill()
        site.process.wait(PATIENCE_S)
    site.start()
    site.until(lambda: site.is_well("a", "b", "c", "d"))
    assert site.reloads() == 0
    answer = site.reload()
    assert (answer["is"], answer["text"]) == ("unchanged", "no difference to the site that runs\n")
