"""A process that writes a counting pattern into a region: sample n of a tag has value n, time base + n * step."""

from __future__ import annotations

import signal
import sys
import threading

import numpy as np

from gateway.tags.image import Region

STEP_NS = 1_000_000
BATCH = 50


def main() -> None:
    region_name, base, tags, pause_s = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Region.attach(region_name) as region:
        writer = region.claim("drivers")
        indexes = region.indexes_of([f"t{i}" for i in range(int(tags))])
        text = region.indexes_of(["text"])
        n = 0
        print("ready", flush=True)
        while not stop.wait(float(pause_s)):
            for _ in range(BATCH):
                at = int(base) + n * STEP_NS
                writer.write(indexes, np.full(len(indexes), n, np.uint64), 0, at, at)
                n += 1
            at = int(base) + (n - 1) * STEP_NS
            writer.write_texts(text, [f"n{n - 1}"], 0, at, at)
        print(n, flush=True)
        writer.release()


main()
