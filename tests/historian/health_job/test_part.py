"""The part at work on an image: what is known is Good, what is not is Bad and says why, and people are heard."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.config.paths import run_paths
from gateway.node.cli import main
from historian.health_job.part import watch
from historian.health_job.store import HealthStore

NOON = sys.modules["historian_folder"].NOON
GOOD, NO_DATA = 0, 0x809B_0000


@contextmanager
def watching(here: Any, first_look_s: float = 0.0) -> Iterator[None]:
    stop = threading.Event()
    region = here.image() if here.region is None else here.region
    ready = threading.Event()
    path = run_paths("plant", here.state).health
    thread = threading.Thread(
        target=watch,
        args=(region.name, here.site, here.folder.directory, path, stop, ready.set),
        kwargs={"first_look_s": first_look_s, "look_s": 0.05, "clock": lambda: NOON},
    )
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_until_history_was_looked_at_nothing_is_known_and_it_says_so(plant):
    here = plant()
    with watching(here, first_look_s=60):
        assert here.said("battery.state_of_health_pct")[1] == NO_DATA
        assert here.said("genset.open_items")[1] == NO_DATA
        assert here.said("battery.state")[0] == "waits for its first look at history"


def test_what_is_known_is_told_with_its_items_and_what_is_not_says_why(plant, capsys):
    here = plant()
    site = [str(here.path), "--state", str(here.state)]
    assert main(["health", "show", *site]) == 1
    assert "nothing is known yet" in capsys.readouterr().err
    with watching(here):
        until(lambda: here.said("genset.open_items") == (1, GOOD))
        value, status = here.said("battery.state_of_health_pct")
        assert (value, status) == (pytest.approx(96, rel=0.005), GOOD)
        assert here.said("genset.starts") == (2, GOOD)
        assert here.said("genset.urgency") == (3, GOOD)
        assert here.said("battery.end_days")[1] == NO_DATA
        assert "five over 30 days are needed" in here.said("battery.state")[0]
        assert here.said("sun.state")[0] == "all is known"

        assert main(["health", "show", *site, "--format", "json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["assets"]["genset"]["starts"]["value"] == 2
        oil = next(item for item in told["items"] if item["work"] == "Change the oil")
        assert (oil["urgency"], oil["seen_by"]) == ("overdue", None)
        assert oil["evidence"][0]["limit"] == 2.5
        assert main(["health", "acknowledge", *site, "--item", str(oil["id"]), "--by", "ada"]) == 0
        until(lambda: here.said("genset.open_items") == (0, GOOD))
        assert here.said("genset.urgency") == (3, GOOD)
        assert (
            main(["health", "done", *site, "--item", str(oil["id"]), "--by", "bob", "--note", "5W-30"]) == 0
        )
        assert "done by bob at 103.0 h of running" in capsys.readouterr().out
        until(lambda: here.said("genset.hours_to_service")[0] == pytest.approx(2.5, abs=0.1))
    with HealthStore.to_read(run_paths("plant", here.state).health) as store:
        assert store.done("genset")["Change the oil"].note == "5W-30"


def test_a_report_over_history_is_a_table_csv_or_page(plant, capsys):
    here = plant()
    (here.state / "history").parent.mkdir()
    (here.state / "history").symlink_to(here.folder.directory)
    asked = ["health", "report", str(here.path), "--state", str(here.state), "--from", "2026-11-19", "--to"]
    asked += ["2026-11-21T12:00:00Z"]
    assert main([*asked, "--asset", "genset"]) == 0
    out = capsys.readouterr().out
    assert "genset  starts               2" in out
    assert "OVERDUE  genset: Change the oil" in out
    assert main([*asked, "--asset", "sun", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "asset,name,value,unit,by,due,since,seen by"
    assert lines[1].startswith("sun,performance_ratio,0.9")
    assert main([*asked, "--asset", "sun", "--format", "html"]) == 0
    assert "<td>performance_corrected</td>" in capsys.readouterr().out
    assert not (here.state / "health.sqlite").exists()
    assert main([*asked, "--asset", "moon"]) == 2
    assert "no asset 'moon'; there are battery, sun, mill, genset" in capsys.readouterr().err
