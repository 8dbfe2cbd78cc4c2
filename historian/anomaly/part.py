"""The part that looks for anomalies. A process of its own: what it costs it takes from nobody.

Each detector looks at the image every period, all its tags at once, and writes scores and alarms that changed. What
it has to learn it learns from history, once; until there is enough its scores are Bad, and its state says why.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.anomaly import OF_TAGS, Anomaly, DetectorKind
from gateway.config.anomaly_section import TEXT_BYTES
from gateway.config.part import PartContext, work_in_thread
from gateway.config.site import Site, Tag
from gateway.config.system import ANOMALY_OWNER
from gateway.tags.image import Region, Writer
from gateway.tags.quality import SEVERITY_BAD, SEVERITY_MASK, Quality
from gateway.tags.sample import Samples, from_bits, to_bits
from gateway.tags.tag import ValueType
from historian.anomaly.alarms import Alarms, AlarmSettings
from historian.anomaly.catalogue import DETECTORS
from historian.anomaly.detector import NS_PER_S, Floats, Observation, TooLittle
from historian.anomaly.training import Rows, from_history, keep, recalled
from historian.errors import HistoryError
from historian.query.history import History

log = logging.getLogger(__name__)

TELL_CHANGE = 0.05  # of a score that is written; noise below it would fill history
REFRESH_NS = 60 * NS_PER_S
LEARN_AGAIN_S = 30.0  # between two looks whether history is enough
LONG_LEARNING = (
    2.0  # times `learn_min` and there is still too little: its tags are not kept, or are mostly Bad
)
LONG_LEARNING_S = 600.0  # and so much: a site that has just begun is not in trouble
LONGEST_WAIT_S = 0.5  # before a stop is noticed
_TYPES = (ValueType.BOOL, ValueType.INT64, ValueType.UINT64, ValueType.DOUBLE)
_SCORING = "scores"


async def run(context: PartContext) -> None:
    """Look until stopped. Raises RegionError where there is no region, or somebody else looks."""
    site, paths = context.site, context.paths

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        look_for_anomalies(context.region_name, site, paths.history, paths.anomalies, stop, ready)

    await work_in_thread(context, work)


def look_for_anomalies(
    region_name: str,
    site: Site,
    history_directory: Path,
    directory: Path,
    stop: threading.Event,
    ready: Callable[[], object],
) -> None:
    """Look until ``stop``."""
    history = History(history_directory)
    try:
        with Region.attach(region_name) as region:
            writer = region.claim(ANOMALY_OWNER)
            watches = [Watch(anomaly, site.tags, region, history, directory) for anomaly in site.anomalies]
            ready()
            while not stop.is_set():
                steady = time.monotonic()
                for watch in watches:
                    if watch.next_s <= steady:
                        watch.look(region, writer, time.time_ns(), steady)
                least = min(watch.next_s for watch in watches) - time.monotonic()
                stop.wait(min(max(least, 0.0), LONGEST_WAIT_S))
    finally:
        history.close()


def _shortened(text: str) -> str:
    """To what a tag of text holds."""
    return text.encode()[:TEXT_BYTES].decode("utf-8", "ignore")


class Watch:
    """One detector of a site at work."""

    def __init__(
        self, anomaly: Anomaly, tags: Sequence[Tag], region: Region, history: History, directory: Path
    ) -> None:
        self.next_s = 0.0
        self._of = anomaly
        self._history = history
        self._directory = directory
        parameters: dict[str, Any] = dict(anomaly.parameters)
        self._detector = DETECTORS[anomaly.detector](**parameters)
        self._inputs = np.array(anomaly.inputs, np.uint32)
        self._stale_ns = np.array([tags[at].stale_after_ms for at in anomaly.inputs], np.int64) * 1_000_000
        types = np.array([region.types[at] for at in anomaly.inputs])
        self._by_type = [(type, np.flatnonzero(types == int(type))) for type in _TYPES]
        self._samples: Samples = region.read(self._inputs)
        count = len(anomaly.outputs)
        self._score_tags = np.array([each.score for each in anomaly.outputs], np.uint32)
        self._alarm_tags = np.array([each.alarm for each in anomaly.outputs], np.uint32)
        self._state_tags = np.array([anomaly.state, anomaly.trouble], np.uint32)
        settings = AlarmSettings(anomaly.threshold, anomaly.hold_off_s, anomaly.clear_s, anomaly.refractory_s)
        self._alarms = Alarms(count, settings)
        self._told = np.full(count, np.nan)
        self._told_alarms = np.zeros(count, np.bool_)
        self._told_statuses = np.zeros(count, np.uint32)
        self._told_ns = np.full(count, np.iinfo(np.int64).min // 2, np.int64)
        self._last_ns = 0
        self._is_ready = False
        self._learn_s = 0.0
        self._state = ""
        self._told_states = ("", "")
        self._cannot_learn = False
        self._begun_s: float | None = None  # to learn
        self._state_ns = 0
        if not anomaly.learns:
            self._detector.learn(anomaly.names, np.empty(0, np.int64), np.empty((0, len(self._inputs))))
            self._is_ready = True

    def look(self, region: Region, writer: Writer, now: int, steady: float) -> None:
        """One period's look. Where the machine's clock was set back, windows begin anew."""
        self.next_s = max(self.next_s + self._of.period_s, steady)
        if not self._is_ready and steady >= self._learn_s:
            self._begun_s = steady if self._begun_s is None else self._begun_s
            self._learn(now)
            self._learn_s = steady + LEARN_AGAIN_S
        if now <= self._last_ns:
            self._detector.start_over()
            self._alarms.set_clock(now)
            self._told_ns[:] = now - REFRESH_NS
        self._last_ns = now
        if self._is_ready:
            values, is_doubtful = self._values(region, now)
            scores = self._detector.update(Observation(now, values))
            statuses = self._statuses(scores, is_doubtful)
            self._tell(writer, now, scores, statuses, self._alarms.push(now, scores))
        else:
            count = len(self._score_tags)
            # That it learns is no fault, and nobody is to be alarmed by it; that it cannot is one.
            why = Quality.BAD_OUT_OF_SERVICE if self._cannot_learn else Quality.BAD_NO_DATA
            statuses = np.full(count, why, np.uint32)
            self._tell(writer, now, np.full(count, np.nan), statuses, self._alarms.is_active)
        self._tell_states(writer, now, self._trouble(steady))

    def _learn(self, now: int) -> None:
        self._cannot_learn = False
        rows = recalled(self._directory, self._of)
        try:
            found = from_history(self._history, self._of, now) if rows is None else rows
            if isinstance(found, int):
                self._state = f"learns: {found:,} rows of history are missing"
                return
            self._learn_from(found, is_new=rows is None)
        except TooLittle as error:
            self._state = f"learns: {error}"
        except (HistoryError, OSError, ImportError, ValueError) as error:
            self._cannot_learn = True
            state = f"cannot learn: {error}"
            if state != self._state:
                log.error("%s %s", self._of.name, state)
            self._state = state

    def _learn_from(self, rows: Rows, *, is_new: bool) -> None:
        self._detector.learn(self._of.names, *rows)
        if is_new:
            keep(self._directory, self._of, rows)
        self._is_ready = True

    def _values(self, region: Region, now: int) -> tuple[Floats, Any]:
        """What the detector takes, NaN for what is Bad or not refreshed in time; and which are Uncertain."""
        samples = region.read(self._inputs, self._samples)
        statuses = samples["status"]
        is_missing = (statuses & SEVERITY_BAD) != 0
        is_missing |= now - samples["receipt_time"] > self._stale_ns
        if self._of.detector is DetectorKind.CLOCK:
            values = samples["source_time"] / NS_PER_S
            is_missing = samples["source_time"] <= 0
        else:
            values = np.empty(len(samples))
            for type, places in self._by_type:
                if len(places):
                    values[places] = from_bits(samples["value"][places], type)
        return np.where(is_missing, np.nan, values), (statuses & SEVERITY_MASK) != 0

    def _statuses(self, scores: Floats, is_doubtful: Any) -> Any:
        """Good; Uncertain where it is made of what is; Bad where there is no score."""
        if self._of.detector not in OF_TAGS:
            is_doubtful = np.full(len(scores), bool(is_doubtful.any()))
        statuses = np.where(is_doubtful, Quality.UNCERTAIN_DATA_SUB_NORMAL, Quality.GOOD)
        return np.where(np.isnan(scores), Quality.BAD_NO_DATA, statuses).astype(np.uint32)

    def _tell(self, writer: Writer, now: int, scores: Floats, statuses: Any, alarms: Any) -> None:
        """Scores and alarms that changed, and what was not told for long."""
        crosses = (scores > self._of.threshold) != (self._told > self._of.threshold)
        with np.errstate(invalid="ignore"):
            is_new = ~(np.abs(scores - self._told) <= TELL_CHANGE) & ~(
                np.isnan(scores) & np.isnan(self._told)
            )
        is_new |= crosses | (statuses != self._told_statuses) | (alarms != self._told_alarms)
        is_new |= now - self._told_ns >= REFRESH_NS
        places = np.flatnonzero(is_new)
        if not len(places):
            return
        told = np.where(np.isnan(scores), 0.0, np.round(scores, 3))[places]
        # An alarm stands while its score is missing, and says so.
        alarm_statuses = np.where(
            alarms & np.isnan(scores), Quality.UNCERTAIN_LAST_USABLE_VALUE, statuses
        ).astype(np.uint32)
        tags = np.concatenate((self._score_tags[places], self._alarm_tags[places]))
        bits = np.concatenate((to_bits(told, ValueType.DOUBLE), to_bits(alarms[places], ValueType.BOOL)))
        writer.write(tags, bits, np.concatenate((statuses[places], alarm_statuses[places])), now, now)
        for place in places[alarms[places] & ~self._told_alarms[places]].tolist():
            log.warning("%s is odd: %s", self._detector.outputs_[place], self._of.name)
        self._told[places] = scores[places]
        self._told_alarms[places] = alarms[places]
        self._told_statuses[places] = statuses[places]
        self._told_ns[places] = now

    def _trouble(self, steady: float) -> str:
        """Learning is none, unless it takes much longer than the history that it waits for."""
        if self._is_ready or self._begun_s is None:
            return ""
        longest_s = LONG_LEARNING * 60 * self._of.learn_min + LONG_LEARNING_S
        return self._state if self._cannot_learn or steady - self._begun_s > longest_s else ""

    def _tell_states(self, writer: Writer, now: int, trouble: str) -> None:
        states = (_SCORING if self._is_ready else self._state, trouble)
        if states == self._told_states and 0 <= now - self._state_ns < REFRESH_NS:
            return
        self._told_states, self._state_ns = states, now
        writer.write_texts(self._state_tags, [_shortened(text) for text in states], Quality.GOOD, now, now)
