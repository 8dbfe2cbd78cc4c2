"""An event that is not met is told while it runs, and no longer than that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.node.watch import alert_troubles
from gateway.node.watched import watched_of
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_good
from historian.demand_response_job.live import Live
from historian.demand_response_job.part import tell_on
from historian.demand_response_job.store import Call, Calls

S = 10**9
HOUR, QUARTER = 3_600 * S, 900 * S
GRACE = 20 * S
ZONE = ZoneInfo("Europe/Vienna")
START = round(datetime(2026, 6, 25, 14, tzinfo=ZONE).timestamp()) * S
HEAT = Call("heat", "peak", START, START + HOUR, 2, START - HOUR, "ada")


class Event:
    """The part while an event runs, on history of twenty days: mill draws 100 kW, and shop 40."""

    def __init__(self, site: Any, folder: Any, path: Path) -> None:
        self.site, self.folder, self.path, self.now = site, folder, path, START + 60 * S
        tags = [tag for tag in site.tags if tag.name in ("a.mill_kw", "a.shop_kw")]
        folder.entries = {each.path: each for each in folder.recorder.catalogue.register(tags, START)}
        times = np.arange(START - 20 * 24 * HOUR, START, QUARTER)
        folder.write("a.mill_kw", times, np.full(len(times), 100.0))
        folder.write("a.shop_kw", times, np.full(len(times), 40.0))
        self.region = Region.create(f"demand_live_{os.getpid()}", [tag.spec() for tag in site.tags])
        self.stop, ready = threading.Event(), threading.Event()
        live = Live(site.demand_response, folder.directory, ZONE)
        live.niceness = 0  # or it waits for all other tests
        self.thread = threading.Thread(
            target=tell_on,
            args=(self.region.name, site.demand_response, path, self.stop, ready.set),
            kwargs={
                "live": live,
                "look_s": 0.05,
                "again_s": 0.2,
                "clock": lambda: self.now,
            },
        )
        self.thread.start()
        assert ready.wait(60)

    def draw(self, mill_kw: float, shop_kw: float, quarter: int) -> None:
        """In that quarter of an hour of the event; and it is over."""
        at = START + quarter * QUARTER
        self.folder.write("a.mill_kw", [at], [mill_kw])
        self.folder.write("a.shop_kw", [at], [shop_kw])
        self.now = at + QUARTER + GRACE

    def __getitem__(self, name: str) -> Any:
        sample = self.region.sample(f"demand_response.peak.{name}")
        return sample.value if is_good(sample.status) else None

    def troubles(self) -> list[str]:
        """What `tieline status` says."""
        return list(alert_troubles(self.region, watched_of(self.site), self.folder.directory, self.now))

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end
            assert self.thread.is_alive()
            time.sleep(0.02)


@pytest.fixture
def event(site: Any, folder: Any, tmp_path: Path) -> Iterator[Event]:
    path = tmp_path / "state" / "demand_response.sqlite"
    with Calls.to_write(path) as calls:
        calls.add(HEAT, site.demand_response.programme("peak"))
    made = Event(site, folder, path)
    yield made
    made.stop.set()
    made.thread.join(60)
    made.region.close()


def test_an_event_that_is_not_met_is_told_by_who_is_short_until_it_is_or_is_over(site: Any, event: Event):
    event.until(lambda: event["level"] == 2)
    assert event["reduction_kw"] is None, "no interval is over"
    assert event.troubles() == []
    event.draw(90.0, 34.0, 0)
    event.until(lambda: event["short"] == "mill 10.0 of 25 kW")
    assert event["reduction_kw"] == pytest.approx(16.0)
    (told,) = event.troubles()
    assert told.startswith(
        "demand_response peak is not met so far: mill 10.0 of 25 kW. Who cannot is to leave"
    )
    event.draw(50.0, 34.0, 1)
    event.until(lambda: event["short"] == "")  # 30 kW in the mean of both
    assert event["reduction_kw"] == pytest.approx(36.0)
    assert event.troubles() == []
    event.draw(100.0, 40.0, 2)
    event.until(lambda: event["short"] == "mill 20.0 of 25 kW, shop 4.0 of 5 kW")
    with Calls.to_write(event.path) as calls:
        calls.opt_out("heat", site.demand_response.programme("peak"), "shop", "bob", START + 2 * QUARTER)
    event.until(lambda: event["short"] == "mill 20.0 of 25 kW")
    event.now = START + HOUR
    event.until(lambda: event["short"] == "")
    assert event["reduction_kw"] is None
    assert event.troubles() == []


def test_who_cannot_be_measured_is_no_alarm(event: Event):
    event.folder.write("a.mill_kw", [START], [0.0], Quality.BAD_NO_COMMUNICATION)
    event.now = START + QUARTER + GRACE
    event.until(lambda: event["short"] == "shop 0.0 of 5 kW")
    reduction = event.region.sample("demand_response.peak.reduction_kw")
    assert (reduction.value, reduction.status) == (0.0, Quality.UNCERTAIN_DATA_SUB_NORMAL), "it is not of all"


def test_what_was_measured_is_of_this_event_alone(site: Any, event: Event):
    event.draw(100.0, 40.0, 0)
    event.until(lambda: event["short"] != "")
    late = replace(HEAT, name="late", start=START + 2 * HOUR, until=START + 3 * HOUR, announced=START)
    with Calls.to_write(event.path) as calls:
        calls.add(late, site.demand_response.programme("peak"))
    event.now = late.start + S
    event.until(lambda: event["event"] == "late" and event["level"] == 2)
    assert event["short"] == ""
