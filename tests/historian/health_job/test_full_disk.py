"""Health on a full disk: it says so once, keeps nothing by half, and goes on by itself when there is room."""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from historian.health_job.part import watch
from historian.health_job.store import HealthStore

NOON = sys.modules["historian_folder"].NOON
GOOD, OUT_OF_SERVICE = 0, 0x808D_0000


class Watching:
    """The part at work in a thread, on a store of its own."""

    def __init__(self, here: Any, path: Any) -> None:
        self.looks = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=watch,
            args=(here.image().name, here.site, here.folder.directory, path, self.stop, lambda: None),
            kwargs={"first_look_s": 0.0, "look_s": 0.02, "again_s": 0.05, "clock": self.clock},
        )

    def clock(self) -> int:
        self.looks += 1
        return int(NOON)

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end
            assert self.thread.is_alive()
            time.sleep(0.02)


def test_it_says_so_once_and_what_is_known_is_whole_when_there_is_room(plant, disk, caplog):
    caplog.set_level(logging.INFO)
    here, path = plant(), disk.path / "health.sqlite"
    part = Watching(here, path)
    disk.fill()
    part.thread.start()
    try:
        part.until(lambda: "CANNOT BE WATCHED" in caplog.text)
        tries = part.looks
        part.until(lambda: part.looks > tries + 5)
        assert caplog.text.count("HEALTH CANNOT BE WATCHED") == 1
        assert here.said("battery.state_of_health_pct")[1] == OUT_OF_SERVICE
        assert here.said("battery.state")[0].startswith("cannot be watched: ")
        disk.free()
        part.until(lambda: here.said("genset.open_items")[1] == GOOD)
        part.until(lambda: "health is watched again" in caplog.text)
        with HealthStore.to_write(path) as store:
            kept, work = store.days("battery"), store.items()[0]
            assert len(kept) == 3
            disk.fill()
            with pytest.raises(sqlite3.OperationalError):
                store.finish(work.id, "ada", "done" * 2_000, int(NOON), 3.0, None)
            assert store.done(work.item.asset) == {}
            disk.free()
            store.finish(work.id, "ada", "done", int(NOON), 3.0, None)
            assert store.done(work.item.asset)[work.item.work].by == "ada"
            assert store.days("battery") == kept
    finally:
        part.stop.set()
        part.thread.join(20)
    assert not part.thread.is_alive()
