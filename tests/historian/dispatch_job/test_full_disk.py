"""Dispatch on a full disk: plans go on, what a restart would lack is told once, and kept when there is room."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.node.watch import alert_troubles
from gateway.node.watched import watched_of
from historian.dispatch_job.kept import FILE, recall
from historian.dispatch_job.part import plan_on


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def status_of(image: Any, history: Path) -> list[str]:
    """What `tieline status` says of the plan's keeping."""
    watched = [each for each in watched_of(image.site) if each.tag == "dispatch.trouble"]
    return list(alert_troubles(image.region, watched, history, time.time_ns()))


def test_a_plan_that_is_not_kept_is_told_once_and_kept_when_there_is_room(
    image: Any, disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stop = threading.Event()
    thread = threading.Thread(
        target=plan_on,
        args=(image.region.name, image.site, disk.path, disk.path / "history", stop, lambda: None),
        kwargs={"first_plan_s": 0.0, "look_s": 0.02},
    )
    disk.fill()
    thread.start()
    try:
        until(lambda: "a restart would begin without this plan" in (image["dispatch.words"] or ""))
        until(lambda: image["dispatch.status"] is not None)
        until(lambda: image["dispatch.trouble"])
        (trouble,) = status_of(image, disk.path / "history")
        assert trouble.startswith("dispatch does not keep its plan, a restart would begin without it: ")
        assert "Is the disk full" in trouble
        assert not (disk.path / FILE).exists()
        assert not (disk.path / FILE).with_suffix(".new").exists(), "it leaves no half of one"
        assert caplog.text.count("THE PLAN IS NOT KEPT") == 1
        disk.free()
        until((disk.path / FILE).exists)
        until(lambda: "restart" not in image["dispatch.words"])
        until(lambda: image["dispatch.trouble"] == "")
        assert status_of(image, disk.path / "history") == []
        assert "the plan is kept again" in caplog.text
        assert caplog.text.count("THE PLAN IS NOT KEPT") == 1
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert "car" in recall(disk.path / FILE).memory.plugged
