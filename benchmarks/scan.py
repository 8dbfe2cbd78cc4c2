"""The scan on this machine: many tags, what setpoints and quality cost, its wake-up jitter beside cyclictest's.

    .venv/bin/python benchmarks/scan.py [--tags 10000] [--seconds 30] [--without-demo]

All parts run the installed `tieline-scan` on a real region with a program in C compiled here. The first has
TAGS inputs and TAGS outputs: nothing changes, a tenth of both changes, every output changes, every input and every
output changes in each scan (a writer beside it then writes all inputs once a period). The second adds a status
word and a BOOL to every input, and SETPOINTS setpoints. The third has one task of 1 ms and runs together with
`cyclictest` (apt-get install rt-tests) at the same priority: they disturb each other a little, but see the same
machine; once by themselves, once with the demo site running beside them (its ports must be free). Give it a quiet
machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gateway.tags.image import Region
from gateway.tags.tag import TagSpec, ValueType
from plc.runtime.client import ScanClient, ScanStatus, Start
from plc.runtime.process import ScanFiles, StartUp, command, connected, ended
from plc.runtime.wiring import Input, Output, Setpoint, encode_wiring

PRIORITY = 80
GOAL_SCAN_US = 100.0
GOAL_TAGS = 10_000
WINDOWS = 10  # of one second each: the median of them, and the quietest
WINDOW_S = 1.0
PERIOD_NS = 5_000_000

SETPOINTS = 100
ROOT = Path(__file__).parents[1]
DEMO = ROOT / "config" / "sites" / "demo" / "site.yaml"
DEMO_START_S = 120.0
DEMO_STOP_S = 30.0

SOURCE = """
#include "program.h"
struct state {
    double in[TAGS];
    uint32_t status[TAGS];
    uint8_t good[TAGS];
    double asked[SETPOINTS];
    uint8_t is_asked[SETPOINTS];
    double out[TAGS];
};
static void run(struct tl_scan *scan, void *at)
{
    struct state *state = at;
    for (unsigned i = 0; i < TAGS; i++) {
        state->out[i] = state->in[i] + (EVERY != 0 && i % (EVERY + !EVERY) == 0 ? (double)scan->count : 0.0);
    }
}
static void init(struct tl_scan *scan, void *at) { (void)scan; (void)at; }
static const struct tl_task tasks[] = {{"main", PERIOD, 0, UINT32_MAX, run}};
const struct tl_program tl_program_v1 = {.abi = TL_PROGRAM_ABI, .state_bytes = sizeof(struct state),
    .name = "benchmark", .digest = "", .tasks = tasks, .task_count = 1, .init = init};
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A variable of SOURCE's state."""

    path: str
    type: int
    offset: int
    bytes: int
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class State:
    """SOURCE's state as a table of symbols: ``in[7]``."""

    tags: int
    digest: str = ""
    tasks: list[str] = field(default_factory=lambda: ["main"])
    types: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"kind": "scalar", "name": name, "scalar": name} for name in ("f64", "u32", "bool")
        ]
    )

    def _arrays(self) -> Iterator[tuple[str, int, int, int, int]]:
        """Name, type, count, bytes of an element, offset."""
        offset = 0
        for name, type_, count, size in (
            ("in", 0, self.tags, 8),
            ("status", 1, self.tags, 4),
            ("good", 2, self.tags, 1),
            ("asked", 0, SETPOINTS, 8),
            ("is_asked", 2, SETPOINTS, 1),
            ("out", 0, self.tags, 8),
        ):
            offset = -(-offset // size) * size
            yield name, type_, count, size, offset
            offset += count * size

    @property
    def state_bytes(self) -> int:
        *_, (_, _, count, size, offset) = self._arrays()
        return offset + count * size

    def find(self, path: str) -> Member:
        name, _, index = path.partition("[")
        for array, type_, _, size, offset in self._arrays():
            if array == name:
                return Member(path, type_, offset + size * int(index[:-1]), size)
        raise KeyError(path)

    def walk(self) -> Iterator[Member]:
        for name, _, count, _, _ in self._arrays():
            for index in range(count):
                yield self.find(f"{name}[{index}]")


@dataclass(frozen=True, slots=True)
class Case:
    """What is in a scan: every how many-th input and output changes in each, 0: none."""

    name: str
    inputs_every: int = 0
    outputs_every: int = 0
    with_quality: bool = False
    setpoints: int = 0


CASES = (
    Case("nothing changes"),
    Case("a tenth changes", 10, 10),
    Case("every output changes", 0, 1),
    Case("all in and out changes", 1, 1),
)
# Each beside the case of CASES that is the same but for what is added.
ADDED = (
    (Case("status and good each", with_quality=True), CASES[0]),
    (Case("the same, all changes", 1, 1, with_quality=True), CASES[3]),
    (Case(f"{SETPOINTS} setpoints", setpoints=SETPOINTS), CASES[0]),
)


@dataclass(frozen=True, slots=True)
class Jitter:
    """Quantiles in µs."""

    p50: float
    p99: float
    p999: float
    highest: float
    samples: int

    def __str__(self) -> str:
        return f"{self.p50:8.1f} {self.p99:8.1f} {self.p999:8.1f} {self.highest:9.1f}   ({self.samples} wake-ups)"


class Bench:
    """A region of ``tags`` inputs and outputs, and a scan of them every ``period_ns``."""

    def __init__(self, folder: Path, tags: int, period_ns: int, case: Case) -> None:
        specs = [TagSpec(f"in{i}", ValueType.DOUBLE, "drivers") for i in range(tags)]
        specs += [TagSpec(f"out{i}", ValueType.DOUBLE, "scan") for i in range(tags)]
        for i in range(case.setpoints):
            specs += [
                TagSpec(f"s{i}", ValueType.DOUBLE, "drivers"),
                TagSpec(f"s{i}.until", ValueType.INT64, "drivers"),
                TagSpec(f"s{i}.sequence", ValueType.UINT64, "drivers"),
                TagSpec(f"s{i}.accepted", ValueType.DOUBLE, "scan"),
                TagSpec(f"s{i}.answered", ValueType.UINT64, "scan"),
                TagSpec(f"s{i}.reason", ValueType.UINT64, "scan"),
            ]
        self.region = Region.create(f"bench-scan-{os.getpid()}", specs, journal_records=1 << 20)
        self.files = ScanFiles(folder / "p.so", folder / "wiring", folder / "control", folder / "retain")
        self.files.retain.unlink(missing_ok=True)
        source = folder / "p.c"
        source.write_text(SOURCE)
        defines = {"TAGS": tags, "PERIOD": period_ns, "EVERY": case.outputs_every, "SETPOINTS": SETPOINTS}
        subprocess.run(
            [
                *("cc", "-std=c11", "-O2", "-shared", "-fPIC"),
                *(f"-D{name}={value}" for name, value in defines.items()),
                *(f"-I{ROOT / 'firmware' / 'scan'}", "-o", self.files.program, source),
            ],
            check=True,
        )
        inputs = [
            Input(
                f"in{i}",
                f"in[{i}]",
                f"status[{i}]" if case.with_quality else None,
                f"good[{i}]" if case.with_quality else None,
            )
            for i in range(tags)
        ]
        outputs = [Output(f"out[{i}]", f"out{i}") for i in range(tags)]
        setpoints = [
            Setpoint(
                f"s{i}",
                f"s{i}.until",
                f"s{i}.sequence",
                f"s{i}.accepted",
                f"s{i}.answered",
                f"s{i}.reason",
                path=f"asked[{i}]",
                valid=f"is_asked[{i}]",
                low=-250,
                high=250,
                max_rate_per_s=50,
                fallback=0,
            )
            for i in range(case.setpoints)
        ]
        self.files.wiring.write_bytes(
            encode_wiring(self.region, "scan", State(tags), inputs, outputs, (), setpoints)
        )
        self.writer = self.region.claim("drivers")
        self.write(np.arange(tags, dtype=np.uint32), 1.0)
        self.process = subprocess.Popen(
            command(self.region.name, self.files, start=StartUp.STOPPED, priority=PRIORITY),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.scan: ScanClient = connected(self.process, self.files.control)

    def write(self, tags: np.ndarray[Any, np.dtype[np.uint32]], value: float) -> None:
        now = time.time_ns()
        self.writer.write(tags, np.full(len(tags), value).view(np.uint64), 0, now, now)

    @contextmanager
    def driven(self, tags: int, every: int, period_ns: int) -> Iterator[None]:
        """Every ``every``-th input written once a period by another thread; 0: none."""
        is_over = threading.Event()
        indexes = np.arange(0, tags, every or 1, dtype=np.uint32)

        def drive() -> None:
            value = 0.0
            while not is_over.wait(period_ns / 1e9):
                value += 1.0
                self.write(indexes, value)

        thread = threading.Thread(target=drive)
        if every:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            if every:
                thread.join()

    def close(self) -> None:
        self.scan.close()
        ended(self.process)
        assert self.process.stderr is not None
        print(self.process.stderr.read(), end="")
        self.process.stderr.close()
        self.region.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=GOAL_TAGS)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--without-demo", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = {case: many_tags(folder, options.tags, case) for case in CASES}
        for case, peer in ADDED:
            added = many_tags(folder, options.tags, case) - costs[peer]
            each = added * 1e3 / (case.setpoints or options.tags)
            print(f"  {added:+.1f} us a scan beside '{peer.name}': {each:.1f} ns each")
        jitter(folder, options.seconds, "by themselves")
        if not options.without_demo:
            with demo(folder / "demo"):
                jitter(folder, options.seconds, "with the demo beside")


@contextmanager
def demo(state: Path) -> Iterator[None]:
    """The demo site, running and well."""
    tieline = Path(sys.executable).with_name("tieline")
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [tieline, "run", DEMO, "--state", state, "--new-passwords"], stdout=told, stderr=told
        )
        try:
            end = time.monotonic() + DEMO_START_S
            while (found := status_of_demo(tieline, state)).returncode != 0:
                if process.poll() is not None or time.monotonic() > end:
                    told.seek(0)
                    raise SystemExit(f"the demo does not run:\n{told.read()}{found.stdout}{found.stderr}")
                time.sleep(0.5)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEMO_STOP_S)


def status_of_demo(tieline: Path, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tieline, "status", "--state", state], capture_output=True, text=True, check=False)


def many_tags(folder: Path, tags: int, case: Case) -> float:
    """CPU time in µs of the loop's thread by its scans: inputs, program, outputs and wake-up, all of it."""
    bench = Bench(folder, tags, PERIOD_NS, case)
    try:
        bench.scan.start(Start.COLD)
        thread = loop_thread(bench.process.pid)
        with bench.driven(tags, case.inputs_every, PERIOD_NS):
            time.sleep(WINDOW_S)  # past the start, when all pages are met for the first time
            costs = []
            for _ in range(WINDOWS):
                count, cpu = scans(bench), cpu_ns(bench.process.pid, thread)
                time.sleep(WINDOW_S)
                costs.append((cpu_ns(bench.process.pid, thread) - cpu) / 1e3 / (scans(bench) - count))
        costs.sort()
        median, quietest = costs[len(costs) // 2], costs[0]
        program_us = bench.scan.status().tasks[0].duration.p50_ns / 1e3
        print(
            f"{tags} in, {tags} out, {case.name:<22} {median:6.1f} us CPU a scan, {quietest:6.1f} in the quietest "
            f"second, of which the program {program_us:.1f} us "
            f"(goal {GOAL_SCAN_US:.0f}: {'met' if median <= GOAL_SCAN_US else 'missed'})"
        )
        return median
    finally:
        bench.close()


def scans(bench: Bench) -> int:
    return bench.scan.status().tasks[0].count


def loop_thread(pid: int) -> int:
    """The loop is the thread of the priority that was asked for; without real time the first that was started."""
    threads = sorted(int(one.name) for one in Path(f"/proc/{pid}/task").iterdir())
    for thread in threads:
        fields = Path(f"/proc/{pid}/task/{thread}/stat").read_text().rsplit(")", 1)[1].split()
        if int(fields[37]) == PRIORITY:
            return thread
    return threads[1]


def cpu_ns(pid: int, thread: int) -> int:
    """CPU time a thread has used."""
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])


def jitter(folder: Path, seconds: int, beside: str) -> None:
    bench = Bench(folder, 1, 1_000_000, Case("one", 0, 1))
    try:
        bench.scan.start(Start.COLD)
        other = cyclictest(seconds)
        if other is None:
            time.sleep(seconds)
        status = bench.scan.status()
        print(f"wake-up of a 1 ms loop, {beside}, {seconds} s, us: p50, p99, p99.9, highest")
        print(f"  tieline-scan ({real_time(status)})        {of(status)}")
        if other is None:
            print("  cyclictest: not installed (Debian package rt-tests)")
        else:
            print(f"  cyclictest   (FIFO {PRIORITY}, mlockall)        {other}")
            ratio = of(status).p999 / other.p999
            print(f"  p99.9 is {ratio:.2f} times cyclictest's; goal 2: {'met' if ratio <= 2 else 'missed'}")
    finally:
        bench.close()


def real_time(status: ScanStatus) -> str:
    priority = f"FIFO {PRIORITY}" if status.is_realtime else "no FIFO"
    return f"{priority}, {'mlockall' if status.is_locked else 'not locked'}"


def of(status: ScanStatus) -> Jitter:
    found = status.tasks[0].jitter
    return Jitter(
        found.p50_ns / 1e3,
        found.p99_ns / 1e3,
        found.p999_ns / 1e3,
        found.highest_ns / 1e3,
        status.tasks[0].count,
    )


def cyclictest(seconds: int) -> Jitter | None:
    """Its histogram, of 1 us a row, as quantiles."""
    program = shutil.which("cyclictest")
    if program is None:
        return None
    done = subprocess.run(
        [program, "-q", "-m", "-t1", f"-p{PRIORITY}", "-i1000", f"-D{seconds}", "-h20000"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in done.stdout.splitlines() if line and line[0].isdigit()]
    counts = np.array([int(row[1]) for row in rows])
    reached = np.cumsum(counts) / counts.sum()
    p50, p99, p999 = (float(np.searchsorted(reached, share)) for share in (0.5, 0.99, 0.999))
    highest = next(float(line.split()[-1]) for line in done.stdout.splitlines() if "Max Latencies" in line)
    return Jitter(p50, p99, p999, highest, int(counts.sum()))


if __name__ == "__main__":
    main()
