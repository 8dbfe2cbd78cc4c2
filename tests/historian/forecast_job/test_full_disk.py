"""Forecasts on a full disk: they are issued and say that they are not kept, and are kept when there is room."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from historian_folder import NOON

from gateway.node.watch import alert_troubles
from gateway.node.watched import watched_of
from gateway.tags.image import Region
from gateway.tags.quality import is_bad, is_good
from historian.forecast_job import issued_between
from historian.forecast_job.part import forecast
from historian.forecast_job.plan import S_NS

STEP_NS = 900 * S_NS


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def status_of(region: Region, plant: Any) -> list[str]:
    """What `tieline status` says of the forecasts."""
    watched = [each for each in watched_of(plant.site) if each.tag.startswith("forecast.")]
    return list(alert_troubles(region, watched, plant.state / "history", plant.clock()))


def test_forecasts_are_issued_while_the_disk_is_full_and_kept_with_their_issue_times_when_there_is_room(
    trained: Any, disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trained.jobs.close()
    shutil.move(trained.forecasts, disk.path / "forecasts")
    trained.forecasts.symlink_to(disk.path / "forecasts")
    trained.start()
    trained.record(NOON, NOON + 3 * STEP_NS)
    disk.fill()
    told = []
    for step in range(3):
        trained.clock.now = NOON + step * STEP_NS + 10 * S_NS
        trained.look()
        trained.look()
        assert is_good(trained.said("p50_1h").status)
        assert "not kept: " in trained.said("state").value
        (trouble,) = status_of(trained.region, trained)
        assert trouble.startswith("forecast load is not kept, a restart would lose it: ")
        assert "Is the disk full" in trouble
        told.append(trained.said("p50_1h").value)
    assert caplog.text.count("FORECASTS ARE ISSUED, BUT NOT KEPT") == 1
    assert not issued_between(trained.state, "load", NOON, NOON + 3 * STEP_NS)
    disk.free()
    trained.look()
    assert "forecasts are kept again" in caplog.text
    assert "not kept" not in trained.said("state").value
    assert status_of(trained.region, trained) == []
    issued = issued_between(trained.state, "load", NOON, NOON + 3 * STEP_NS)
    assert [issue.value for issue in issued] == [NOON + step * STEP_NS for step in range(3)]
    assert [float(one.frame[0.5].iloc[3]) for one in issued.values()] == pytest.approx(told)


def test_the_part_begins_by_itself_when_there_is_room_for_its_file(
    site: Any, folder: Any, disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (disk.path / "history").symlink_to(folder.directory)
    region = Region.create(f"forecast_full_{os.getpid()}", [tag.spec() for tag in site.tags])
    stop, tries = threading.Event(), []

    def clock() -> int:
        tries.append(1)
        return int(NOON)

    thread = threading.Thread(
        target=forecast,
        args=(region.name, disk.path, site, stop, lambda: None, clock),
        kwargs={"look_s": 0.02, "again_s": 0.02},
    )
    disk.fill()
    thread.start()
    try:
        until(lambda: len(tries) > 10)
        assert region.sample("forecast.load.state").value.startswith("cannot begin: ")
        assert region.sample("forecast.load.trouble").value.startswith("cannot begin: ")
        assert is_bad(region.sample("forecast.load.p50_1h").status)
        assert caplog.text.count("NOTHING IS FORECAST") == 1
        disk.free()
        until(lambda: region.sample("forecast.load.state").value.startswith("not primed: "))
        assert region.sample("forecast.load.trouble").value == ""
        assert "forecasts begin" in caplog.text
    finally:
        stop.set()
        thread.join(60)
        region.close()
    assert not thread.is_alive()
