"""The part in a site: a plan as tags; its solver killed, hung or without an answer; restarted with what it had."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from gateway.config.dispatch import Course
from gateway.config.part import PartContext
from gateway.config.paths import run_paths
from gateway.config.plant_time import plant_time
from gateway.config.site import SimulatorSettings, Site
from gateway.config.system import DISPATCH_OWNER
from historian.dispatch_job.child import Child
from historian.dispatch_job.kept import FILE
from historian.dispatch_job.part import REFRESH_S, plan_on, run
from historian.dispatch_job.solver import Job
from historian.store.layout import catalogue_path
from plc.bench import load
from plc.library import FILES

PATIENCE_S = 60.0
PROGRAM = """PROGRAM main
    VAR
        tracking : PLAN_TRACKING := (limit_kw := 30.0, charge_kw := 50.0, discharge_kw := 50.0,
            fleet_can_take_kw := 11.0, rule_battery_kw := 1.0, rule_fleet_kw := -2.0);
    END_VAR
    tracking();
END_PROGRAM
"""
WIRED = {  # as in docs/dispatch.md
    "sequence": "dispatch.sequence", "valid_for_s": "dispatch.valid_for_s", "plan_battery_kw": "dispatch.battery_kw",
    "plan_fleet_kw": "dispatch.vehicles_kw", "plan_reserve_pct": "dispatch.reserve_pct",
}  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


class Solvers:
    """Starts real solvers; ``meanwhile`` is done to each as soon as it runs."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[int], None] = lambda pid: None
        self.jobs: list[Job] = []
        self.make: Callable[[Job], Child] = Child

    def begin(self, job: Job) -> Child:
        child = self.make(job)
        self.meanwhile(child.pid)
        self.jobs.append(job)
        return child


@contextmanager
def planning(
    image: Any, state: Path, solvers: Solvers, *, first_plan_s: float = 0.0, **settings: Any
) -> Iterator[None]:
    site: Site = image.site
    assert site.dispatch is not None
    site = replace(site, dispatch=replace(site.dispatch, **settings))
    stop, ready = threading.Event(), threading.Event()
    arguments = (image.region.name, site, state, state / "history", stop, ready.set)
    thread = threading.Thread(
        target=partial(plan_on, *arguments, first_plan_s=first_plan_s, look_s=0.05, begin=solvers.begin),
        daemon=True,
    )
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_plan_becomes_tags_that_say_until_when_they_hold(image: Any, state: Path) -> None:
    with planning(image, state, Solvers()):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        until(lambda: image["dispatch.sequence"] is not None)
        balance = image["dispatch.tie_kw"] + image["dispatch.battery_kw"] + image["dispatch.sun_kw"]
        assert abs(balance + image["dispatch.car_kw"] - image["dispatch.load_kw"]) < 1e-6
        assert image["dispatch.vehicles_kw"] == image["dispatch.car_kw"]
        assert image["dispatch.tie_kw"] <= 30.0 + 1e-6  # the limit's tag says 30
        assert image["dispatch.load_kw"] == 20.0  # nothing is stored yet: it stays as it is
        assert "load: as now" in image["dispatch.forecast"]
        assert 0.0 < image["dispatch.valid_for_s"] <= 900.0
        left_s = image["dispatch.valid_until"] / 1e9 - time.time()
        assert -60.0 < left_s <= 900.0
        # An hour of the load, from a battery that arrives with 95 % and keeps 10 %.
        assert abs(image["dispatch.reserve_pct"] - (10 + 20 / 0.95)) < 0.01
        assert image["dispatch.planned_saving"] is not None  # below 0 here: the rule keeps no reserve
        assert image["dispatch.gap_pct"] <= 0.5
        assert image["dispatch.words"] == ""


def test_history_that_cannot_be_read_is_told_while_the_last_plan_goes_on(image: Any, state: Path) -> None:
    with planning(image, state, Solvers(), period_s=2):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        assert image["dispatch.trouble"] == ""
        catalogue = catalogue_path(state / "history")
        catalogue.parent.mkdir(exist_ok=True)
        catalogue.write_bytes(b"no database")
        until(lambda: image["dispatch.trouble"] != "")
        assert image["dispatch.trouble"].startswith("can make no new plan: ")
        until(lambda: image["dispatch.status"] == Course.KEPT)
        assert "no new plan can be made" in image["dispatch.words"]
        catalogue.unlink()
        until(lambda: image["dispatch.trouble"] == "")
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)


async def test_a_disk_that_hangs_shows_as_work_that_stands_still(image: Any, tmp_path: Path) -> None:
    paths = run_paths("plant", tmp_path / "state")
    paths.state.mkdir()
    hangs = (paths.state / FILE).with_suffix(".new")  # where the plan is written first
    os.mkfifo(hangs)  # to open it waits for a reader, and there is none
    context = PartContext(image.site, paths, image.region.name, asyncio.Event(), asyncio.Event())
    part = asyncio.create_task(run(context))

    async with asyncio.timeout(PATIENCE_S):
        await context.ready.wait()
        while not context.progress.is_stuck(1.0):  # noqa: ASYNC110 - no event tells of a thread that hangs
            await asyncio.sleep(0.1)
        assert (await asyncio.to_thread(hangs.read_bytes)).startswith(b"{"), "it hung there"
        while context.progress.is_stuck(1.0):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        context.stop.set()
        await part


def test_nobody_takes_a_value_that_stays_for_stale_before_it_is_told_again(site: Site) -> None:
    tags = [tag for tag in site.tags if tag.owner == DISPATCH_OWNER]
    assert len(tags) > 10
    for tag in tags:
        assert tag.stale_after_ms >= 2 * REFRESH_S * 1000, tag.name  # one may be late


def test_a_solver_that_is_killed_leaves_the_last_plan_and_the_next_looks_less_far(
    image: Any, state: Path
) -> None:
    solvers = Solvers()
    with planning(image, state, solvers, period_s=2):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        first = image["dispatch.battery_kw"]
        solvers.meanwhile = lambda pid: os.kill(pid, signal.SIGKILL)
        until(lambda: (image["dispatch.failures"] or 0) >= 1)
        assert image["dispatch.status"] == Course.KEPT
        assert image["dispatch.battery_kw"] == first
        assert "killed by signal 9" in image["dispatch.words"]
        solvers.meanwhile = lambda pid: None
        until(lambda: solvers.jobs[-1].horizon < 48)
        until(lambda: image["dispatch.status"] == Course.SHORTENED)
        assert image["dispatch.horizon_h"] < 12


def test_a_solver_that_hangs_is_killed_when_its_time_is_over(image: Any, state: Path) -> None:
    solvers = Solvers()
    solvers.make = partial(Child, start_s=0.5)
    solvers.meanwhile = lambda pid: os.kill(pid, signal.SIGSTOP)
    with planning(image, state, solvers, period_s=3, deadline_s=0.2):
        until(lambda: (image["dispatch.failures"] or 0) >= 1)
        assert image["dispatch.status"] == Course.RULE
        assert image["dispatch.battery_kw"] is None  # nothing to follow: the logic goes by its rule
        assert image["dispatch.sequence"] is None
        assert "was killed" in image["dispatch.words"]
        solvers.meanwhile = lambda pid: None
        solvers.make = Child
        until(lambda: image["dispatch.status"] in (Course.OPTIMAL, Course.SHORTENED, Course.FEASIBLE))
        assert image["dispatch.battery_kw"] is not None


def test_what_cannot_be_is_told_by_the_names_of_what_conflicts(image: Any, state: Path) -> None:
    image.put(**{"d.limit_kw": 2.0, "d.soc_pct": 10.0})
    with planning(image, state, Solvers()):
        until(lambda: image["dispatch.status"] == Course.RULE)
        until(lambda: "cannot hold together" in image["dispatch.words"])
        assert "tie: imports at most 2 kW" in image["dispatch.words"]


def test_after_a_restart_the_plan_is_followed_on_before_there_is_a_new_one(image: Any, state: Path) -> None:
    with planning(image, state, Solvers()):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        until(lambda: (state / FILE).exists())
        sequence, power = image["dispatch.sequence"], image["dispatch.battery_kw"]
    solvers = Solvers()
    solvers.meanwhile = lambda pid: os.kill(pid, signal.SIGSTOP)
    with planning(image, state, solvers):
        until(lambda: len(solvers.jobs) == 1)
        until(lambda: (image["dispatch.sequence"] or 0) > sequence)
        assert image["dispatch.battery_kw"] == power


def test_a_file_that_is_torn_is_set_aside_and_dispatch_begins_anew(image: Any, state: Path) -> None:
    (state / FILE).write_bytes(b'{"format": 1, "sequence"')
    with planning(image, state, Solvers()):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
    assert (state / FILE).read_bytes().startswith(b'{"format":1')


def test_the_program_follows_the_tags_and_goes_by_its_rule_when_they_are_gone_for_too_long(
    image: Any, state: Path
) -> None:
    bench = load(*FILES, PROGRAM)

    def scan(at_s: float) -> tuple[float, float]:
        """As the scan does: a Bad tag leaves its variable, and its flag is off."""
        values = {name: image[tag] for name, tag in WIRED.items()}
        bench["main.tracking.is_plan_good"] = values["sequence"] is not None
        for name, value in values.items():
            if value is not None:
                bench[f"main.tracking.{name}"] = value
        measured = {
            "import_kw": "d.tie_kw",
            "battery_kw": "d.battery_kw",
            "fleet_kw": "d.car_kw",
            "soc_pct": "d.soc_pct",
        }
        for name, tag in measured.items():
            bench[f"main.tracking.{name}"] = image[tag]
        bench.scan(at_us=round(at_s * 1e6))
        return bench["main.tracking.battery_setpoint_kw"], bench["main.tracking.fleet_setpoint_kw"]

    assert scan(0.0) == (1.0, -2.0)  # no plan yet
    with planning(image, state, Solvers()):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        until(lambda: image["dispatch.sequence"] is not None)
        planned = image["dispatch.battery_kw"], image["dispatch.vehicles_kw"]
        valid_for_s = image["dispatch.valid_for_s"]
        followed = scan(1.0)
        assert abs(followed[0] - planned[0]) < 1e-3
        assert abs(followed[1] - planned[1]) < 1e-3
    image.lose("dispatch")  # as the region does when its owner is gone
    assert scan(valid_for_s) == followed
    assert scan(valid_for_s + 2.0) == (1.0, -2.0)


def test_the_first_plan_waits_for_what_it_has_to_know(image: Any, state: Path) -> None:
    solvers = Solvers()
    image.lose_one("d.soc_pct")
    with planning(image, state, solvers, first_plan_s=PATIENCE_S):
        until(lambda: image["dispatch.status"] == Course.NONE)
        assert solvers.jobs == []
        image.put(**{"d.soc_pct": 60.0})
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        assert image["dispatch.battery_kw"] is not None


def test_a_battery_of_unknown_charge_is_left_out_and_said_so(image: Any, state: Path) -> None:
    image.lose_one("d.soc_pct")
    with planning(image, state, Solvers()):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        assert image["dispatch.battery_kw"] is None
        assert image["dispatch.tie_kw"] is not None
        assert image["dispatch.words"] == "battery: its state of charge is not known"


def test_a_plan_of_a_plant_that_is_fast_has_its_steps_and_holds_by_the_wall(image: Any, state: Path) -> None:
    image.site = replace(image.site, simulator=SimulatorSettings(speed=180.0))  # 15 min are 5 s
    solvers = Solvers()
    with planning(image, state, solvers):
        until(lambda: image["dispatch.status"] == Course.OPTIMAL)
        until(lambda: image["dispatch.valid_for_s"] is not None)
        assert 0.0 < image["dispatch.valid_for_s"] <= 5.0
        assert image["dispatch.valid_until"] / 1e9 - time.time() <= 5.0
        assert image["dispatch.horizon_h"] == 12.0
        sequence = image["dispatch.sequence"]
        until(lambda: image["dispatch.sequence"] > sequence)  # the next step of the same plan
        assert len(solvers.jobs) == 1  # the period is 15 min of the wall
    job = solvers.jobs[0]
    kept = plant_time(state, 180.0)
    begins = kept.plant_ns(time.time_ns()) / 1e9 - job.start.timestamp()
    assert job.step == timedelta(minutes=15)
    assert 0.0 < begins < 180.0 * PATIENCE_S
    assert job.start.timestamp() % 900.0 == 0.0
    assert job.start.timestamp() * 1e9 >= kept.anchor_ns - 900e9
    assert job.deadline_s == 10.0
