"""Days of the running demo, sixty times as fast as the clock: `tieline run` itself, and what it promises.

    python benchmarks/energy/demo_days.py [--days 2] [--speed 60] [--past-days 14] [--folder DIR]

A copy of the demo on free ports, with what FITTED says, and a history of days before (`plant_days.py`). It runs for
``--days`` of the plant (24 min a day at 60); in the middle `tieline fault utility lost` for an hour of the plant.
Then its own history is asked: forecasts, how long the plan was followed, the peak limit, what vehicles left with, the
island, and the saving that dispatch published. Exit status 0, and 1 where a claim does not hold. Ctrl-C ends all.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from demo_days_judge import DAY_S, FORECASTS, HOUR_S, LIMIT_KW, STAY_H, STEP_S, Times, judge

from gateway.config.load import load_site
from gateway.config.paths import RunPaths, region_name, run_paths
from gateway.config.plant_time import NS
from gateway.tags.image import Presence, Region, presence_of
from gateway.tags.quality import is_good

ROOT = Path(__file__).parents[2]
TIELINE = Path(sys.executable).with_name("tieline")
DOORS = {"4840": 90, "8080": 91, "20000": 92}  # of the demo's ports, their places in the block that is free
FIRST_PORT = 15_020
START_PATIENCE_S = 900.0  # on a machine that others load; forecasts are trained in it
# What has to fit a plant that is fast, and the day that is shown; docs/dispatch.md says why. Each stands there once.
FITTED: dict[str, dict[str, str]] = {
    "site.yaml": {"speed: 1.0": "speed: {speed:g}, ev_stay_h: {stay:g}"},
    # Plans each step of 15 min of the plant, as many to the day as beside the clock are one each 15 min.
    "dispatch.yaml": {"period_s: 300": "period_s: {period:g}"},
    "logic.yaml": {
        "variable: ev_automatic, type: bool, area: ev, initial: false": (
            "variable: ev_automatic, type: bool, area: ev, initial: true"
        ),
        "high: 24, initial: 2": "high: 24, initial: {stay:g}",
        "high: 400, initial: 400": "high: 400, initial: {limit:g}",
    },
    "logic/settings.st": {"PLANT_SPEED : REAL := 1.0": "PLANT_SPEED : REAL := {speed:.6f}"},
    # The phase turns too fast to be steered from here: the relay's synch-check alone says when contacts may meet.
    "logic/microgrid.st": {
        "return_delay := T#60s": (
            "return_delay := T#5s, sync_phase_deg := 180.0, sync_slip_hz := 0.5, sync_dwell := T#0s,"
            " close_time := T#60s"
        )
    },
}


def free_ports() -> int:
    """The first of a hundred that are free."""
    for first in range(20_000, 32_000, 100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 100):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise OSError("no hundred ports in a row are free")


def fitted_site(folder: Path, speed: float) -> Path:
    """The demo's copy there."""
    shutil.copytree(ROOT / "config", folder)
    site = folder / "sites" / "demo"
    first = free_ports()

    def moved(match: re.Match[str]) -> str:
        place = DOORS.get(match[0])
        return str(first + (int(match[0]) - FIRST_PORT if place is None else place))

    for file in site.glob("*.yaml"):
        file.write_text(re.sub(r"\b(150\d\d|4840|8080|20000)\b", moved, file.read_text()))
    values = {"speed": speed, "stay": STAY_H, "limit": LIMIT_KW, "period": max(STEP_S / speed, 5.0)}
    for name, changes in FITTED.items():
        text = (site / name).read_text()
        for shipped, wanted in changes.items():
            if text.count(shipped) != 1:
                raise SystemExit(f"{name} of the demo has {text.count(shipped)} times: {shipped}")
            text = text.replace(shipped, wanted.format(**values))
        (site / name).write_text(text)
    return site / "site.yaml"


@dataclass(slots=True)
class Run:
    """One run of the site. Times are wall ns."""

    site_path: Path
    state: Path
    process: subprocess.Popen[bytes] | None = None
    paths: RunPaths = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        site = load_site(self.site_path)
        self.paths = run_paths(site.name, self.state)
        self.name = region_name(site.name, self.paths)

    def start(self, *, with_forecasts: bool) -> None:
        """Until the plan is followed and forecasts are issued for the first time."""
        with (self.state / "run.log").open("wb") as log:
            self.process = subprocess.Popen(
                [TIELINE, "run", self.site_path, "--state", self.state],
                stdout=log,
                stderr=log,
                preexec_fn=_first,
            )
        self.wait(lambda: presence_of(self.name) is Presence.LIVE, START_PATIENCE_S, "it does not start")
        with Region.attach(self.name) as region:
            ages = [f"forecast.{name}.age_s" for name in FORECASTS]
            self.wait(
                lambda: (
                    _now(region, "plan.followed") == 1.0
                    and (not with_forecasts or all(_now(region, age) is not None for age in ages))
                ),
                START_PATIENCE_S,
                "no plan is followed, or forecasts are not trained",
            )

    def wait(self, condition: Callable[[], bool], patience_s: float, words: str) -> None:
        give_up = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > give_up:
                raise SystemExit(f"{words}: see {self.state / 'run.log'}")
            self.sleep(0.2)

    def sleep(self, seconds: float) -> None:
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise SystemExit(
                f"the site has ended ({self.process.wait(seconds)}): see {self.state / 'run.log'}"
            )

    def until(self, at_ns: int) -> None:
        while (left_s := (at_ns - time.time_ns()) / NS) > 0.0:
            self.sleep(left_s)

    def say(self, *words: str) -> None:
        subprocess.run(
            [TIELINE, *words, "--site", self.site_path, "--state", self.state], check=True, timeout=120
        )

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def _first() -> None:
    """Before others of this machine, where that is permitted; Ctrl-C is for us."""
    os.setsid()
    with contextlib.suppress(OSError):
        os.nice(-10)
        # Where the kernel shares processors out by session, that counts among sessions.
        Path("/proc/self/autogroup").write_text("-10")


def _now(region: Region, tag: str) -> float | None:
    sample = region.sample(tag)
    return float(sample.value) if is_good(sample.status) else None


def live(run: Run, folder: Path, days: float, speed: float) -> None:
    """The days, and the utility's hour away in the middle."""
    begin = time.time_ns()
    times = Times(speed, begin, begin + round(days * DAY_S / speed * NS))
    run.until((times.begin + times.end) // 2)
    times.lost = time.time_ns()
    run.say("fault", "utility", "lost")
    run.until(times.lost + round(HOUR_S / speed * NS))
    times.restored = time.time_ns()
    run.say("fault", "utility", "restored")
    times.keep(folder)
    run.until(times.end)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=2.0, help="of the plant")
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--past-days", type=float, default=14.0, help="of history before; forecasts need 12")
    parser.add_argument("--folder", type=Path, help="kept there; else a temporary one that goes")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo_days_")))
        site_path, state = fitted_site(folder / "config", args.speed), folder / "state"
        state.mkdir()
        if args.past_days:
            filling = [Path(__file__).with_name("plant_days.py"), site_path, "--state", state, "--days"]
            subprocess.run([sys.executable, *filling, str(args.past_days)], check=True, preexec_fn=_first)
        run = Run(site_path, state)
        try:
            run.start(with_forecasts=args.past_days > 0)
            live(run, folder, args.days, args.speed)
            holds = judge(folder)
        except KeyboardInterrupt:
            return 130
        finally:
            run.stop()
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
