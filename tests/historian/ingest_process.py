"""A process that runs the real historian part on a region, until a signal or a kill: what tests start and kill.

It packs and merges as soon as there is something, so that a kill meets it in the midst of that too.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from gateway.config.site import HistorianSettings, Tag
from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from historian import part
from historian.part import record
from historian.store import packer


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
    part.PACK_LOOK_S = 0.05
    packer.MERGE_EVERY_NS = 10**9
    region_name, directory, flush_ms, block_s = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Region.attach(region_name) as region:
        tags = tags_of(region)
    settings = HistorianSettings(flush_ms=int(flush_ms), block_s=int(block_s))
    record(region_name, Path(directory), tags, settings, stop, lambda: print("ready", flush=True))


main()
