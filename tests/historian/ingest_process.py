"""A process that runs the real historian part on a region, until a signal or a kill: what tests start and kill."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from gateway.config.site import HistorianSettings, Tag
from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from historian.part import record


def tags_of(region: Region) -> tuple[Tag, ...]:
    return tuple(
        Tag(
            name=region.name_of(i),
            type=ValueType(int(region.types[i])),
            owner=region.owners[int(region.tag_owners[i])],
            area="a",
            device="d",
            string_bytes=40 if region.types[i] == ValueType.STRING else 0,
            history=not region.name_of(i).startswith("_unkept"),
        )
        for i in range(region.tag_count)
    )


def main() -> None:
    region_name, directory, flush_ms, block_s = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Region.attach(region_name) as region:
        tags = tags_of(region)
    settings = HistorianSettings(flush_ms=int(flush_ms), block_s=int(block_s))
    record(region_name, Path(directory), tags, settings, stop, lambda: print("ready", flush=True))


main()
