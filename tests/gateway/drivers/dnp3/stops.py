"""Masters that are traced, stopped in the middle of their traffic: how many frames each kept, a line each.

stops.py SITE COUNT      of a site whose first DNP3 device answers
"""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path

from gateway.config.load import load_site
from gateway.drivers.dnp3.engine import OpenEngine
from gateway.drivers.dnp3.notices import Notice, Readings

PATIENCE_S = 30.0
LEAST = 8  # frames and notes
LONGEST_S = 0.02  # of the traffic, until it is stopped


def main() -> None:
    device = load_site(Path(sys.argv[1])).dnp3_devices[0]
    moments = random.Random(1)  # by a seed
    for turn in range(int(sys.argv[2])):
        engine = OpenEngine()
        heard = threading.Event()

        def notify(notice: Notice, heard: threading.Event = heard) -> None:
            if isinstance(notice, Readings):
                heard.set()

        master = engine.master(device, notify)
        ring = engine.traces()[device.name]
        ring.look()
        assert heard.wait(PATIENCE_S), "it is not up"
        for _ in range(10):
            master.read_classes(everything=True)
        end = time.monotonic() + PATIENCE_S
        while len(ring.since(0)) < LEAST:
            assert time.monotonic() < end, "its frames are not told"
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, LONGEST_S))
        if turn % 2:
            master.close()
        engine.close()
        print(len(ring.since(0)), flush=True)


if __name__ == "__main__":
    main()
