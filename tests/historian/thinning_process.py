"""A process that runs the real historian on a region, with a deviation on tags whose name begins with ``thin``."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from gateway.config.deviation import Deviation
from gateway.config.site import HistorianSettings, Tag
from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from historian.part import record


def main() -> None:
    region_name, directory = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    deviation = Deviation(exception=0.5, quiet_ns=10**13, compression=1.0, longest_ns=10**13)
    with Region.attach(region_name) as region:
        tags = tuple(
            Tag(
                name=region.name_of(i),
                type=ValueType(int(region.types[i])),
                owner="drivers",
                area="a",
                device="d",
                sloped=True,
                deviation=deviation if region.name_of(i).startswith("thin") else None,
            )
            for i in range(region.tag_count)
        )
    settings = HistorianSettings(flush_ms=20, block_s=1)
    record(region_name, Path(directory), tags, settings, stop, lambda: print("ready", flush=True))


main()
