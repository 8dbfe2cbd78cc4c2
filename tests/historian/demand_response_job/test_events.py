"""Events in a site: what a programme allows, what tags tell of them, and what each participant gave."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.node.cli import main
from gateway.tags.image import Region
from historian.demand_response_job.part import Standing, standing, tell_on
from historian.demand_response_job.store import Call, Calls, Refused

S = 10**9
HOUR = 3_600 * S
GOOD, NO_DATA = 0, 0x809B_0000
START = round(datetime(2026, 6, 25, 14, tzinfo=ZoneInfo("Europe/Vienna")).timestamp()) * S
HEAT = Call("heat", "peak", START, START + 2 * HOUR, 2, START - HOUR, "ada")


@pytest.fixture
def calls(tmp_path: Any) -> Any:
    with Calls.to_write(tmp_path / "state" / "demand_response.sqlite") as calls:
        yield calls


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (replace(HEAT), "there is an event 'heat' already"),
        (
            replace(HEAT, name="b", start=START + HOUR, until=START + 3 * HOUR),
            "meets heat of the same programme",
        ),
        (replace(HEAT, name="b", until=START), "has no duration"),
        (replace(HEAT, name="b", until=START + 4 * HOUR), "4 h are longer than the 3 h of peak"),
        (replace(HEAT, name="b", announced=START - 60 * S), "1 min of notice are less than the 30 min"),
        (replace(HEAT, name="b", announced=START + 1), "begins in the past"),
    ],
)
def test_a_programme_refuses_what_it_does_not_allow(site, calls, call, why):
    programme = site.demand_response.programme("peak")
    calls.add(HEAT, programme)
    with pytest.raises(Refused, match=why):
        calls.add(call, programme)
    assert [each.name for each in calls.all()] == ["heat"]


def test_a_programme_has_so_many_events_a_month_and_a_cancelled_one_does_not_count(site, calls):
    programme = site.demand_response.programme("peak")
    for day, name in enumerate(("a", "b", "c")):
        at = START - (3 - day) * 24 * HOUR
        call = replace(HEAT, name=name, start=at, until=at + HOUR, announced=at - HOUR)
        if name == "c":
            with pytest.raises(Refused, match="has 2 events in 2026-06"):
                calls.add(call, programme)
            calls.cancel("b", "ada", START - 5 * 24 * HOUR)
        calls.add(call, programme)
    assert [each.is_void for each in calls.all()] == [False, True, False]


def test_what_is_asked_follows_the_event_its_opt_outs_and_its_end(site, calls):
    settings = site.demand_response
    peak, fast = settings.programmes
    calls.add(HEAT, peak)

    def at(seconds: float) -> Standing:
        return standing(settings, peak, calls.all(), START + round(seconds * S))

    assert at(-60) == Standing(0, 0.0, 60.0, 0.0, None, "heat")
    assert at(0) == Standing(2, 7200.0, None, 30.0, 200.0, "heat")
    calls.opt_out("heat", peak, "mill", "bob", START + 600 * S)
    assert at(599).target_kw == 30.0
    assert at(600).target_kw == 5.0
    assert at(7199).level == 2
    assert at(7200) == Standing(0, 0.0, None, 0.0, None, "")
    assert standing(settings, fast, calls.all(), START) == Standing(0, 0.0, None, 0.0, None, "")
    with pytest.raises(Refused, match="'farm' is not in the programme peak"):
        calls.opt_out("heat", peak, "farm", "bob", START)
    with pytest.raises(Refused, match="mill has left heat already"):
        calls.opt_out("heat", peak, "mill", "bob", START)
    calls.cancel("heat", "ada", START + 3600 * S)
    assert at(3599).remaining_s == 1.0
    assert at(3600).level == 0


def test_the_part_tells_of_events_that_come_while_it_runs(site, calls, tmp_path):
    stop, ready, now = threading.Event(), threading.Event(), [START - 60 * S]
    region = Region.create(f"demand_{os.getpid()}", [tag.spec() for tag in site.tags])
    thread = threading.Thread(
        target=tell_on,
        args=(
            region.name,
            site.demand_response,
            tmp_path / "state" / "demand_response.sqlite",
            stop,
            ready.set,
        ),
        kwargs={"look_s": 0.05, "clock": lambda: now[0]},
    )

    def said(name: str) -> tuple[Any, int]:
        sample = region.sample(f"demand_response.peak.{name}")
        return sample.value, sample.status

    thread.start()
    try:
        assert ready.wait(20)
        until(lambda: said("level") == (0, GOOD))
        assert said("starts_in_s")[1] == NO_DATA
        calls.add(HEAT, site.demand_response.programme("peak"))
        until(lambda: said("starts_in_s") == (60.0, GOOD))
        assert said("event") == ("heat", GOOD)
        now[0] = START + 10 * S
        until(lambda: said("level") == (2, GOOD))
        assert said("remaining_s") == (7190.0, GOOD)
        assert said("target_kw") == (30.0, GOOD)
        assert said("import_max_kw") == (200.0, GOOD)
    finally:
        stop.set()
        thread.join(20)
        region.close()


def test_each_reduction_is_verified_with_its_evidence(path, site, calls, table, tmp_path, capsys):
    programme = site.demand_response.programme("peak")
    calls.add(HEAT, programme)
    # On two business days before, the mill was called too, and on one the farm alone: that one serves the mill.
    for days, name, of in ((1, "b", "peak"), (2, "c", "fast")):
        at = START - days * 24 * HOUR
        call = Call(name, of, at, at + HOUR, 1, at - HOUR, "ada")
        calls.add(call, site.demand_response.programme(of))
    calls.opt_out("heat", programme, "shop", "bob", START - HOUR)
    asked = [str(path), "--state", str(tmp_path / "state"), "--table", str(table()), "--name", "heat"]
    assert main(["demand-response", "verify", *asked, "--format", "json"]) == 0
    mill, shop = json.loads(capsys.readouterr().out)
    assert (mill["participant"], mill["verdict"]) == ("mill", "delivered")
    assert (mill["promised_kw"], mill["reduction_kw"], mill["reduction_kwh"]) == (25, 30, 60)
    days = mill["days"].split()
    assert len(days) == 10
    assert "2026-06-24" not in days  # it was called then
    assert "2026-06-23" in days
    assert "2026-06-04" not in days  # Corpus Christi
    assert shop["verdict"] == "opted out"
    assert main(["demand-response", "baseline", *asked, "--participant", "mill", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "participant,from,unadjusted_kw,baseline_kw,measured_kw,reduction_kw"
    assert lines[1] == "mill,2026-06-25T14:00:00+02:00,100.0,100.0,70.0,30.0"
    assert len(lines) == 1 + 8
    for rule in ("regression", "high-five-of-ten"):
        assert main(["demand-response", "verify", *asked, "--rule", rule, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["reduction_kwh"] == pytest.approx(60)


def test_history_is_verified_as_a_table_is_and_what_it_lacks_is_unmeasured(
    path, site, calls, folder, tmp_path, capsys
):
    calls.add(HEAT, site.demand_response.programme("peak"))
    tags = [tag for tag in site.tags if tag.name in ("a.mill_kw", "a.shop_kw")]
    folder.entries = {each.path: each for each in folder.recorder.catalogue.register(tags, START)}
    times = np.arange(START - 50 * 24 * HOUR, START + 3 * HOUR, 900 * S)
    folder.write("a.mill_kw", times, np.where((times >= START) & (times < START + 2 * HOUR), 70.0, 100.0))
    folder.write("a.shop_kw", times, np.full(len(times), 40.0), np.where(times > START + HOUR, 0x80000000, 0))
    (tmp_path / "state" / "history").symlink_to(folder.directory)
    asked = [str(path), "--state", str(tmp_path / "state"), "--from", "2026-06-01", "--to", "2026-07-01"]
    assert main(["demand-response", "report", *asked, "--format", "json"]) == 0
    mill, shop = json.loads(capsys.readouterr().out)
    assert (mill["verdict"], mill["reduction_kwh"]) == ("delivered", pytest.approx(60))
    assert (shop["verdict"], shop["reduction_kw"]) == ("unmeasured", None)
    assert "of 8 intervals of the event were not measured" in shop["words"]


def test_events_are_given_left_and_cancelled_by_command(path, tmp_path, capsys):
    site = [str(path), "--state", str(tmp_path / "state")]
    event = ["demand-response", "event"]
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 86_400))
    given = [*event, "add", *site, "--name", "heat", "--programme", "peak", "--start", soon, "--for"]
    assert main([*given, "5h"]) == 2
    assert "5 h are longer than the 3 h of peak" in capsys.readouterr().err
    assert main([*given, "90m", "--level", "high", "--by", "ada", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["minutes"] == 90
    leaves = [*event, "opt-out", *site, "--name", "heat", "--participant", "shop", "--by", "bob"]
    assert main(leaves) == 0
    assert main([*event, "cancel", *site, "--name", "heat", "--by", "eve"]) == 0
    capsys.readouterr()
    assert main([*event, "list", *site]) == 0
    out = capsys.readouterr().out
    assert "shop" in out
    assert "eve" in out
    assert main(["demand-response", "verify", *site, "--name", "heat"]) == 2
    assert "was cancelled before it began" in capsys.readouterr().err
