"""A process that forwards a history folder to InfluxDB 1.x in small batches, until it is killed: a line a turn."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gateway.config.forward import ForwardKind, ForwardTarget
from historian.forward.part import target_of
from historian.forward.sender import Catalogue, Folder, Sender
from historian.forward.spool import Spool


def pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def clock() -> int:
    """So fast that the place is written down after each batch."""
    return time.monotonic_ns() * 1000


def main() -> None:
    directory, url, database = sys.argv[1:]
    folder = Folder(Path(directory))
    settings = ForwardTarget(
        "plant", ForwardKind.INFLUXDB1, url, database, batch_samples=100, samples_per_s=0
    )
    spool = Spool(folder.directory, folder.own)
    spool.refresh()
    catalogue = Catalogue(folder.directory, settings, "demo", {})
    sender = Sender(target_of(settings), settings, folder, spool, catalogue, clock, pause)
    sender.open()
    while sender.turn():
        print(sender.link.sent, flush=True)


main()
