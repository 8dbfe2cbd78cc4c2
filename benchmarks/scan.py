"""The scan on this machine: a scan of many tags, and the wake-up jitter of its 1 ms loop beside cyclictest's.

    .venv/bin/python benchmarks/scan.py [--tags 10000] [--seconds 30]

Both parts run the installed `tieline-scan` on a real region with a program in C compiled here. The first has
TAGS inputs and TAGS outputs: none changes, a tenth of them changes, every one changes in each scan. The second
has one task of 1 ms and runs together with `cyclictest` (Debian package rt-tests) at the same priority: they
disturb each other a little, but see the same machine. Give it a quiet one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.tags.image import Region
from gateway.tags.tag import TagSpec, ValueType
from plc.runtime.client import ScanClient, ScanStatus, Start
from plc.runtime.process import ScanFiles, StartUp, command, connected, ended
from plc.runtime.wiring import crc32c

PRIORITY = 80
GOAL_SCAN_US = 100.0
GOAL_TAGS = 10_000
WINDOWS = 10  # of one second each: the median of them, and the quietest
WINDOW_S = 1.0
PERIOD_NS = 5_000_000

SOURCE = """
#include "program.h"
struct state { double in[TAGS]; double out[TAGS]; };
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
POINT = np.dtype(
    [
        ("tag", "<u4"),
        ("offset", "<u4"),
        ("quality", "<u4"),
        ("kind", "u1"),
        ("type", "u1"),
        ("unused", "<u2"),
        ("safe", "<u8"),
    ]
)
F64 = 11


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

    def __init__(self, folder: Path, tags: int, period_ns: int, every: int) -> None:
        specs = [TagSpec(f"in{i}", ValueType.DOUBLE, "drivers") for i in range(tags)]
        specs += [TagSpec(f"out{i}", ValueType.DOUBLE, "scan") for i in range(tags)]
        self.region = Region.create(f"bench-scan-{os.getpid()}", specs, journal_records=1 << 20)
        self.files = ScanFiles(folder / "p.so", folder / "wiring", folder / "control", folder / "retain")
        source = folder / "p.c"
        source.write_text(SOURCE)
        include = Path(__file__).parents[1] / "firmware" / "scan"
        defines = [f"-DTAGS={tags}", f"-DPERIOD={period_ns}", f"-DEVERY={every}"]
        subprocess.run(
            [
                "cc",
                "-std=c11",
                "-O2",
                "-shared",
                "-fPIC",
                *defines,
                f"-I{include}",
                "-o",
                self.files.program,
                source,
            ],
            check=True,
        )
        points = np.zeros(2 * tags, POINT)
        points["tag"] = np.arange(2 * tags)
        points["offset"] = np.arange(2 * tags) * 8
        points["quality"] = 0xFFFFFFFF
        points["kind"] = F64
        points["type"] = ValueType.DOUBLE
        body = self.region.instance.to_bytes(8, "little") + bytes(64) + points.tobytes()
        head = b"TLWIRE01" + np.array([tags, tags, 0, crc32c(body)], "<u4").tobytes()
        self.files.wiring.write_bytes(head + body)
        writer = self.region.claim("drivers")
        indexes = np.arange(tags, dtype=np.uint32)
        writer.write(indexes, np.ones(tags).view(np.uint64), 0, time.time_ns(), time.time_ns())
        self.process = subprocess.Popen(
            command(self.region.name, self.files, start=StartUp.STOPPED, priority=PRIORITY),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.scan: ScanClient = connected(self.process, self.files.control)

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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, every in (("none changes", 0), ("a tenth changes", 10), ("every output changes", 1)):
            many_tags(Path(folder), name, options.tags, every)
        jitter(Path(folder), options.seconds)


def many_tags(folder: Path, name: str, tags: int, every: int) -> None:
    """CPU time of the loop's thread by its scans: inputs, program, outputs and wake-up, all of it."""
    bench = Bench(folder, tags, PERIOD_NS, every)
    try:
        bench.scan.start(Start.COLD)
        thread = loop_thread(bench.process.pid)
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
            f"{tags} in, {tags} out, {name:<20} {median:6.1f} us CPU a scan, {quietest:6.1f} in the quietest second, "
            f"of which the program {program_us:.1f} us (goal 100: {'met' if median <= GOAL_SCAN_US else 'missed'})"
        )
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


def jitter(folder: Path, seconds: int) -> None:
    bench = Bench(folder, 1, 1_000_000, 1)
    try:
        bench.scan.start(Start.COLD)
        other = cyclictest(seconds)
        if other is None:
            time.sleep(seconds)
        status = bench.scan.status()
        print(f"wake-up of a 1 ms loop, {seconds} s, us:      p50      p99    p99.9   highest")
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
    at = [float(np.searchsorted(reached, share)) for share in (0.5, 0.99, 0.999)]
    highest = next(float(line.split()[-1]) for line in done.stdout.splitlines() if "Max Latencies" in line)
    return Jitter(*at, highest, int(counts.sum()))


if __name__ == "__main__":
    main()
