"""Rings of frames: what telling one costs beside a poll, and what it keeps.

A poll of 60 registers tells two frames; its CPU is that of benchmarks/modbus.py's driver in the same run, flat out,
with ten devices. Memory is what Python allocates for a full ring of such polls, and for one of the longest frames.

Usage: python benchmarks/trace.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from gateway.drivers.trace import FRAME_BYTES, FRAMES, Ring

sys.path.insert(0, str(Path(__file__).parent))
import modbus  # the benchmark beside this one

ROUNDS, TOLD = 7, 200_000
REQUEST, ANSWER = bytes(12), bytes(129)  # of 60 registers
GOAL = 0.03  # of a poll's CPU


def told_ns() -> float:
    """CPU of one frame."""
    figures = []
    for _ in range(ROUNDS):
        ring = Ring("modbus-tcp", "there")
        start = time.process_time_ns()
        for _ in range(TOLD // 2):
            ring.sent(REQUEST)
            ring.received(ANSWER)
        figures.append((time.process_time_ns() - start) / TOLD)
    return statistics.median(figures)


def kept_bytes(*sizes: int) -> int:
    """Memory of a ring that is full of frames of these sizes."""
    tracemalloc.start()
    ring = Ring("modbus-tcp", "there")
    for at in range(3 * FRAMES):
        ring.received(b"\1" * sizes[at % len(sizes)])
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return kept


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        program = modbus.build(Path(folder))
        with subprocess.Popen(
            [str(program), "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            poll_us = statistics.median(modbus.run(modbus.driver, port, 10, None).cpu_us for _ in range(3))
            assert server.stdin is not None
            server.stdin.close()
    frame_ns = told_ns()
    share = 2 * frame_ns / 1000 / poll_us
    told = f"one frame told {frame_ns:.0f} ns; two of a poll that takes {poll_us:.1f} µs"
    print(f"{told}: {share:.1%} (goal <= {GOAL:.0%})")
    usual, most = kept_bytes(len(REQUEST), len(ANSWER)), kept_bytes(FRAME_BYTES + 1)
    print(
        f"{FRAMES} frames of such polls keep {usual / 1000:.0f} kB, of the longest {most / 1000:.0f} kB a device"
    )
    return 0 if share <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
