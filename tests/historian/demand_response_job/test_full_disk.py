"""A full disk: events that were given are asked for, none is half given, and what comes later is told by itself."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.node.cli import main
from gateway.tags.image import Region
from gateway.tags.quality import is_good
from historian.demand_response_job.part import tell_on
from historian.demand_response_job.store import S_NS, Call, Calls

HOUR = 3_600 * S_NS
START = 1_782_388_800 * S_NS
HEAT = Call("heat", "peak", START, START + 2 * HOUR, 2, START - HOUR, "ada")


class Telling:
    """The part at work, and its tags."""

    def __init__(self, site: Any, path: Any) -> None:
        self.now = START + 10 * S_NS
        self.looks = 0
        self.stop = threading.Event()
        self.region = Region.create(f"demand_full_{os.getpid()}", [tag.spec() for tag in site.tags])
        self.thread = threading.Thread(
            target=tell_on,
            args=(self.region.name, site.demand_response, path, self.stop, lambda: None),
            kwargs={"look_s": 0.02, "again_s": 0.1, "clock": self.clock},
        )

    def start(self) -> None:
        self.thread.start()

    def close(self) -> None:
        self.stop.set()
        if self.thread.ident is not None:
            self.thread.join(20)
        self.region.close()

    def __getitem__(self, name: str) -> Any:
        """None while it is Bad."""
        sample = self.region.sample(f"demand_response.peak.{name}")
        return sample.value if is_good(sample.status) else None

    def clock(self) -> int:
        self.looks += 1
        return self.now

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end
            assert self.thread.is_alive()
            time.sleep(0.02)


@pytest.fixture
def here(site: Any, disk: Any) -> Iterator[Telling]:
    made = Telling(site, disk.path / "demand_response.sqlite")
    yield made
    made.close()


def test_an_event_that_was_given_is_asked_for_on_a_full_disk_and_the_next_is_seen_later(site, disk, here):
    peak = site.demand_response.programme("peak")
    with Calls.to_write(disk.path / "demand_response.sqlite") as calls:
        calls.add(HEAT, peak)
    disk.fill()
    here.start()  # it begins on a disk that is full already
    here.until(lambda: here["level"] == 2)
    assert here["event"] == "heat"
    disk.free()
    with Calls.to_write(disk.path / "demand_response.sqlite") as calls:
        calls.opt_out("heat", peak, "mill", "bob", START)
    here.until(lambda: here["target_kw"] == 5.0)


def test_without_room_for_a_file_nothing_is_known_it_says_so_once_and_goes_on_by_itself(
    site, disk, here, caplog
):
    caplog.set_level(logging.INFO)
    disk.fill()
    here.start()
    here.until(lambda: "NOT KNOWN" in caplog.text)
    assert here["level"] is None
    tries = here.looks
    here.until(lambda: here.looks > tries + 3)
    assert caplog.text.count("EVENTS OF DEMAND RESPONSE ARE NOT KNOWN") == 1
    disk.free()
    here.until(lambda: here["level"] == 0)
    here.until(lambda: "known again" in caplog.text)
    with Calls.to_write(disk.path / "demand_response.sqlite") as calls:
        calls.add(HEAT, site.demand_response.programme("peak"))
    here.until(lambda: here["level"] == 2)


def test_what_there_is_no_room_for_is_refused_whole_and_taken_later(path, site, disk, capsys):
    state = disk.path / "state"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 86_400))
    place = [str(path), "--state", str(state)]
    given = [
        "demand-response",
        "event",
        "add",
        *place,
        "--programme",
        "peak",
        "--for",
        "90m",
        "--start",
        soon,
    ]
    listed = ["demand-response", "event", "list", *place, "--format", "csv"]
    peak = site.demand_response.programme("peak")
    with Calls.to_write(state / "demand_response.sqlite") as calls:
        calls.add(replace(HEAT, start=START - 48 * HOUR, until=START - 47 * HOUR, announced=0), peak)
    disk.fill()
    assert main([*given, "--name", "more"]) == 1
    told = capsys.readouterr().err
    assert "disk is full" in told or "disk I/O error" in told  # as SQLite says it of ENOSPC and EFBIG
    assert main(listed) == 0
    assert "more" not in capsys.readouterr().out
    disk.free()
    assert main([*given, "--name", "more"]) == 0
    capsys.readouterr()
    assert main(listed) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["heat", "more"]
