"""What running events have brought so far, by their intervals that are over: what `verify` will say, as it stands.

Baselines are made of weeks of history, so it is reckoned in a thread beside the part's own, one event at a time.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Final

from gateway.config.demand_response import DemandProgramme, DemandResponseSettings
from historian.demand_response_job.store import S_NS, Call
from historian.errors import HistoryError
from historian.query.history import History

log = logging.getLogger(__name__)

GRACE_NS: Final = 15 * S_NS  # after the end of an interval: its last samples are in history by then
NICE: Final = 10


@dataclass(frozen=True, slots=True)
class SoFar:
    """``reduction_kw`` is of all that could be measured, None where none could; ``short`` names who is below promise,
    and by how much.
    """

    reduction_kw: float | None
    is_whole: bool
    short: str


UNKNOWN: Final = SoFar(None, True, "")


class Live:
    """Asked each second, it answers at once with what it knows. ``history`` is the site's history folder."""

    def __init__(self, settings: DemandResponseSettings, history: Path, zone: tzinfo) -> None:
        self._settings = settings
        self._history = history
        self._zone = zone
        self._begun: dict[str, Call] = {}  # by programme: the event up to the interval that was measured last
        self._found: dict[str, tuple[Call, SoFar]] = {}
        self._thread: threading.Thread | None = None
        self._complaint = ""
        self.niceness = NICE

    def so_far(self, programme: DemandProgramme, runs: Call, calls: Sequence[Call], now: int) -> SoFar:
        """Of the event that runs; measured anew when an interval of it is over, or somebody left."""
        part = _until_now(runs, now, self._settings.interval_min * 60 * S_NS)
        is_busy = self._thread is not None and self._thread.is_alive()
        if part is not None and not is_busy and self._begun.get(programme.name) != part:
            self._begun[programme.name] = part
            arguments = (programme.name, part, tuple(calls), now)
            # A daemon: a part that ends does not wait for history.
            self._thread = threading.Thread(
                target=self._measure, args=arguments, name="event so far", daemon=True
            )
            self._thread.start()
        of, found = self._found.get(programme.name, (None, UNKNOWN))
        return found if of is not None and of.name == runs.name else UNKNOWN

    def _measure(self, programme: str, part: Call, calls: Sequence[Call], now: int) -> None:
        if self.niceness:  # of this thread: tags are told in time
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self.niceness)
        complaint, found = "", UNKNOWN
        try:
            found = _measured(self._settings, self._history, part, calls, now, self._zone)
        except (HistoryError, OSError, sqlite3.Error, ImportError) as error:
            complaint = str(error)
            if complaint != self._complaint:
                log.error("REDUCTIONS ARE NOT MEASURED WHILE THE EVENT RUNS: %s", error)
        self._complaint = complaint
        self._found[programme] = part, found


def _until_now(runs: Call, now: int, step: int) -> Call | None:
    """The event as if it ended with the last interval that is over; None where there is no such interval yet."""
    until = (now - GRACE_NS) // step * step
    first = -(-runs.start // step) * step
    return replace(runs, until=until, cancelled=None) if until >= first + step else None


def _measured(
    settings: DemandResponseSettings,
    folder: Path,
    part: Call,
    calls: Sequence[Call],
    now: int,
    zone: tzinfo,
) -> SoFar:
    # They need libraries that the part does without while no event runs.
    from historian.demand_response import Verdict
    from historian.demand_response_job.measure import RULES, from_history, measured

    with closing(History(folder, clock=lambda: now)) as history:
        load_kw = from_history(settings, history, part, now, zone)
    found = measured(settings, part, calls, load_kw, zone, RULES[settings.rule]).reductions
    known = [each for each in found if each.verdict in (Verdict.DELIVERED, Verdict.SHORT)]
    short = [
        f"{each.participant} {each.mean_kw:.1f} of {each.promised_kw:g} kW"
        for each in known
        if each.verdict is Verdict.SHORT
    ]
    return SoFar(
        sum(each.mean_kw for each in known) if known else None,
        all(each.verdict is not Verdict.UNMEASURED for each in found),
        ", ".join(short),
    )
