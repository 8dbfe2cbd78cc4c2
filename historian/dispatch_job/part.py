"""The part that plans. It reads tags and history, and writes tags of its own: nothing it does touches a device."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import DispatchSettings, PlannedBattery
from gateway.config.dispatch_section import TEXT_BYTES
from gateway.config.part import TURN_S, PartContext, work_in_thread
from gateway.config.paths import run_paths
from gateway.config.plant_time import NS, WALL_TIME, PlantTime, keep_plant_time, speed_of
from gateway.config.site import Site
from gateway.config.system import DISPATCH_OWNER
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality, is_good
from gateway.tags.sample import to_bits, value_from_bits
from gateway.tags.tag import ValueType
from historian.dispatch_job.called import called
from historian.dispatch_job.child import Child
from historian.dispatch_job.committed import committed
from historian.dispatch_job.dispatcher import Dispatcher, Published
from historian.dispatch_job.foresight import Floats, NoForecasts, StoredForecasts
from historian.dispatch_job.kept import FILE, keep, recall
from historian.dispatch_job.solver import Job
from historian.errors import HistoryError
from historian.query.history import History
from historian.query.plant import open_history

log = logging.getLogger(__name__)

LOOK_S = 1.0
FAST_LOOK_S = 0.25  # where the plant's time goes faster: a step of 15 min is 15 s at 60 times
FAST_STEP = timedelta(minutes=1)  # below, steps are looked at so often too
REFRESH_S = 20.0  # what stays is told again so often: every second would be kept for years
FIRST_PLAN_S = 60.0  # after the start it waits so long at most for what has to be known
NEVER = -1.0


async def run(context: PartContext) -> None:
    """Plan until stopped. Raises RegionError where there is no region, or somebody else plans."""
    site, paths = context.site, context.paths

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        plan_on(context.region_name, site, paths.state, paths.history, stop, ready)

    await work_in_thread(context, work, TURN_S)


def plan_on(
    region_name: str,
    site: Site,
    state: Path,
    history_folder: Path,
    stop: threading.Event,
    ready: Callable[[], object],
    *,
    first_plan_s: float = FIRST_PLAN_S,
    look_s: float | None = None,
    begin: Callable[[Job], Child] = Child,
) -> None:
    """Plan until ``stop``."""
    settings = site.dispatch
    assert settings is not None, "the site has a section `dispatch`"
    zone: tzinfo = UTC if site.time_zone == "UTC" else ZoneInfo(site.time_zone)
    plant = keep_plant_time(state, speed_of(site))
    is_fast = plant.speed > 1.0 or settings.step < FAST_STEP
    look_s = look_s or (FAST_LOOK_S if is_fast else LOOK_S)
    history = open_history(history_folder, plant)
    path = state / FILE
    traded = committed(site)
    inputs = np.array(sorted({*settings.inputs, *traded.inputs}), np.uint32)
    dispatcher = Dispatcher(
        settings,
        {tag: site.tags[tag].name for tag in settings.inputs},
        zone,
        recall(path),
        means_of(history),
        StoredForecasts(state) if site.forecasts else NoForecasts(),
        begin,
        plant.speed,
        called(settings, site.demand_response, run_paths(site.name, state).demand_response, plant),
        traded,
    )
    with Region.attach(region_name) as region:
        types = [region.type_of(int(tag)) for tag in inputs]
        publisher = _Publisher(settings, region.claim(DISPATCH_OWNER), plant)
        begun = time.monotonic()
        try:
            ready()
            while not stop.is_set():
                now = plant_now(plant)
                read = _reader(region, inputs, types)
                if time.monotonic() - begun < first_plan_s and not dispatcher.is_informed(read, now):
                    publisher.tell(dispatcher.idle(read, now), dispatcher, now)
                    stop.wait(look_s)
                    continue
                try:
                    published = dispatcher.look(read, now)
                    dispatcher.unread = ""
                except (HistoryError, OSError, sqlite3.Error) as error:
                    if str(error) != dispatcher.unread:
                        log.error("NO NEW PLAN CAN BE MADE: %s", error)
                    dispatcher.unread = str(error)
                    published = dispatcher.idle(read, now)  # the plan that is there goes on
                publisher.tell(published, dispatcher, now)
                if dispatcher.must_keep:
                    _keep(path, dispatcher)
                stop.wait(look_s)
        finally:
            dispatcher.end()
            history.close()


def _keep(path: Path, dispatcher: Dispatcher) -> None:
    """A disk that does not take it is told once; plans go on, and it is tried again at each look."""
    try:
        keep(path, dispatcher.kept)
    except OSError as error:
        if not dispatcher.unkept:
            log.error("THE PLAN IS NOT KEPT, a restart would begin without it: %s", error)
        dispatcher.unkept = str(error)
        return
    if dispatcher.unkept:
        log.info("the plan is kept again")
    dispatcher.must_keep, dispatcher.unkept = False, ""


def plant_now(plant: PlantTime) -> datetime:
    """What the plant's clock shows."""
    if plant.is_wall:
        return datetime.now(UTC)
    return datetime.fromtimestamp(plant.plant_ns(time.time_ns()) / NS, UTC)


def means_of(history: History) -> Callable[[Sequence[str], datetime, timedelta, int], Mapping[str, Floats]]:
    """Means of tags by history; NaN where it knows nothing, of a tag that it does not know too."""

    def means(tags: Sequence[str], start: datetime, step: timedelta, count: int) -> dict[str, Floats]:
        step_ns = round(step.total_seconds() * 1e9)
        start_ns = round(start.timestamp() * 1e9)
        found = {}
        for tag in tags:
            try:
                found[tag] = history.time_average(tag, start_ns, start_ns + count * step_ns, step_ns).values
            except KeyError:
                found[tag] = np.full(count, np.nan)
        return found

    return means


def _reader(
    region: Region, inputs: NDArray[np.uint32], types: Sequence[ValueType]
) -> Callable[[int], float | None]:
    """The values of this moment."""
    rows = region.read(inputs)
    known = {
        int(tag): float(value_from_bits(int(row["value"]), type)) if is_good(int(row["status"])) else None
        for tag, row, type in zip(inputs, rows, types, strict=True)
    }
    return known.__getitem__


class _Publisher:
    """Writes what changed at once, and what stays now and then. Until when it holds is told by the wall, ages by
    the plant's time, as all that plans are made of.
    """

    def __init__(self, settings: DispatchSettings, writer: Writer, plant: PlantTime = WALL_TIME) -> None:
        self._settings = settings
        self._plant = plant
        self._writer = writer
        self._told: dict[int, float | int | None] = {}
        self._texts: dict[int, str] = {}
        self._refreshed = NEVER

    def tell(self, published: Published, dispatcher: Dispatcher, now: datetime) -> None:
        now_ns = time.time_ns()
        is_refresh = self._refreshed == NEVER or time.monotonic() - self._refreshed >= REFRESH_S
        if is_refresh:
            self._refreshed = time.monotonic()
        numbers = self._numbers(published, dispatcher, now)
        tags = self._settings.tags
        whole = {
            tags.status: ValueType.UINT64,
            tags.sequence: ValueType.UINT64,
            tags.failures: ValueType.UINT64,
        }
        whole[tags.valid_until] = ValueType.INT64
        # What follows the clock is told with the refresh only; the sequence last, so that all else is there by then.
        slow = {tags.age_s, tags.forecast_age_s}
        due = {
            tag: value
            for tag, value in numbers.items()
            if is_refresh or (tag not in slow and (tag not in self._told or self._told[tag] != value))
        }
        for tag in sorted(due, key=lambda tag: tag == tags.sequence):
            value = due[tag]
            self._told[tag] = value
            at = np.array([tag], np.uint32)
            if value is None:
                self._writer.invalidate(Quality.BAD_NO_DATA, now_ns, at)
                continue
            bits = to_bits(np.array([value]), whole.get(tag, ValueType.DOUBLE))
            self._writer.write(at, bits, Quality.GOOD, now_ns, now_ns)
        for tag, text in (
            (tags.words, published.words),
            (tags.forecast, published.forecast),
            (tags.trouble, dispatcher.trouble),
        ):
            if is_refresh or self._texts.get(tag) != text:
                self._texts[tag] = text
                at = np.array([tag], np.uint32)
                self._writer.write_texts(at, [_cut(text)], Quality.GOOD, now_ns, now_ns)

    def _numbers(
        self, published: Published, dispatcher: Dispatcher, now: datetime
    ) -> dict[int, float | int | None]:
        """None: Bad, as no plan says."""
        tags = self._settings.tags
        followed = dispatcher.standing.followed
        plan = None if followed is None else followed.plan
        today, yesterday = dispatcher.kept.shadow.today, dispatcher.kept.shadow.yesterday
        has_plan = bool(published.powers_kw)
        numbers: dict[int, float | int | None] = {
            tags.status: published.course.value,
            tags.valid_until: self._wall_ns(published.valid_until) if has_plan else None,
            tags.age_s: None if followed is None else (now - followed.made).total_seconds(),
            tags.horizon_h: None if plan is None else plan.horizon * plan.step / timedelta(hours=1),
            tags.gap_pct: None if plan is None else min(plan.gap * 100, 100.0),
            tags.solve_s: None if plan is None else plan.solver_s,
            tags.failures: dispatcher.standing.failures,
            tags.vehicles_kw: published.vehicles_kw if has_plan else None,
            tags.reserve_pct: published.reserve_pct if has_plan else None,
            tags.forecast_age_s: published.forecast_age_s,
            tags.planned_saving: None if followed is None else followed.saving,
            tags.cost_today: None if today is None else today.cost,
            tags.naive_cost_today: None if today is None else today.naive_cost,
            tags.saving_today: None if today is None else today.saving,
            tags.saving_yesterday: None if yesterday is None else yesterday.saving,
        }
        for asset in self._settings.assets:
            numbers[asset.planned_kw] = published.powers_kw.get(asset.name)
            if isinstance(asset, PlannedBattery):
                numbers[asset.planned_kwh] = published.energies_kwh.get(asset.name)
        if has_plan:
            numbers[tags.sequence] = published.sequence
            # From the moment at which the sequence grew, which is when the logic begins to count.
            if self._told.get(tags.sequence) != published.sequence or tags.valid_for_s not in self._told:
                left_s = (published.valid_until - now).total_seconds()
                numbers[tags.valid_for_s] = left_s / self._plant.speed  # the logic counts on the wall
            else:
                numbers[tags.valid_for_s] = self._told[tags.valid_for_s]
        else:
            numbers[tags.sequence] = numbers[tags.valid_for_s] = None
        return numbers

    def _wall_ns(self, time: datetime) -> int:
        return self._plant.wall_ns(round(time.timestamp() * NS))


def _cut(text: str) -> str:
    """As long as the tag bears, in bytes."""
    raw = text.encode()
    return text if len(raw) <= TEXT_BYTES else raw[: TEXT_BYTES - 3].decode(errors="ignore") + "..."
