"""All totals of a site over the shared journal: fed with every change, told once a second, kept in a file.

After a restart it goes on where the file says. On the same region that is a position of the journal; on a new one, or
where the journal was lapped, history has what came in between.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.calculated.totals import Fed, State, Told, fed, told
from gateway.calculated.totals_file import Standing, read, write
from gateway.config.site import Tag
from gateway.config.totals import Total
from gateway.tags.history import Series
from gateway.tags.image import JournalReader, Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import Samples, from_bits, to_bits
from gateway.tags.tag import ValueType

TELL_NS = 1_000_000_000
KEEP_NS = 1_000_000_000  # of the journal so much is reckoned again after a kill
QUIET_NS = 60_000_000_000  # how often is told again what stays
TAKE_LIMIT = 65_536  # records an owner at a time
MAX_SLICES = 32  # a whole default ring; more waits for the next round
RECALL_NS = 3_600 * 10**9  # of history at a time

Recall = Callable[[str, int, int], Series]  # samples of a tag in [from, to); none where there are none

log = logging.getLogger(__name__)


class Totaliser:
    """Not to be shared between threads."""

    def __init__(
        self,
        totals: Sequence[Total],
        tags: Sequence[Tag],
        zone: datetime.tzinfo,
        path: Path,
        recall: Recall,
    ) -> None:
        self._totals = totals
        self._zone = zone
        self._path = path
        self._recall = recall
        self._types = {total.of: tags[total.of].type for total in totals}
        self._by_input: dict[int, list[int]] = {}
        for place, total in enumerate(totals):
            self._by_input.setdefault(total.of, []).append(place)
        self._heads = frozenset(  # told every time, as clients take them for stale otherwise
            tag for total in totals for tag in (total.tag, *(each.this for each in total.periods))
        )
        self._states = [State() for _ in totals]
        self._is_wanted = np.zeros(len(tags), np.bool_)
        self._is_wanted[list(self._by_input)] = True
        self._told_at = self._kept_at = -(10**18)
        self._written: dict[int, tuple[float, int, int]] = {}  # tag → value, status, when
        self._has_news = False
        self._complaint = ""
        self._recalled_until = 0  # of history; the journal may have some of it once more

    def start(self, region: Region, now_ns: int) -> None:
        """Go on where the file says. Raises OSError where it cannot be read."""
        standing = read(self._path, self._totals)
        self._states = [standing.states.get(total.name, State()) for total in self._totals]
        self._region = region
        if standing.instance == region.instance:
            self._reader: JournalReader = region.reader(standing.positions)
        else:
            self._from_history(now_ns)
            self._reader = region.reader(dict.fromkeys(region.owners, 0))
        self._has_news = True

    def take(self, now_ns: int) -> None:
        """Feed all that was written since."""
        for _ in range(MAX_SLICES):
            piece = self._reader.take(TAKE_LIMIT)
            if piece.lost:
                log.warning(
                    "totals fell behind the shared journal by %d changes: read from history", piece.lost
                )
                self._from_history(now_ns)
            if not len(piece.records):
                return
            known = piece.records[piece.records["tag"] < len(self._is_wanted)]
            self._feed(known[self._is_wanted[known["tag"]]])

    def tell(self, writer: Writer, now_ns: int, steady_ns: int) -> None:
        """Write what changed, once a second."""
        if steady_ns - self._told_at < TELL_NS:
            return
        self._told_at = steady_ns
        rows: list[tuple[int, float, int]] = []
        for total, state in zip(self._totals, self._states, strict=True):
            rows += _rows(total, told(total, self._zone, state, now_ns))
        news = [row for row in rows if self._is_news(row, steady_ns)]
        if not news:
            return
        writer.write(
            np.array([row[0] for row in news], np.uint32),
            to_bits(np.array([row[1] for row in news]), ValueType.DOUBLE),
            np.array([row[2] for row in news], np.uint32),
            now_ns,
            now_ns,
        )

    def keep(self, steady_ns: int, *, at_once: bool = False) -> None:
        """Write the file, at most once a second. Trouble with the disk is logged; the next time all is kept."""
        if not self._has_news or (steady_ns - self._kept_at < KEEP_NS and not at_once):
            return
        self._kept_at = steady_ns
        states = {total.name: state for total, state in zip(self._totals, self._states, strict=True)}
        try:
            write(self._path, self._totals, Standing(self._region.instance, self._reader.positions, states))
        except OSError as error:
            if str(error) != self._complaint:
                log.error("TOTALS ARE NOT BEING KEPT: %s", error)
            self._complaint = str(error)
        else:
            if self._complaint:
                log.info("totals are kept again")
            self._complaint, self._has_news = "", False

    def _is_news(self, row: tuple[int, float, int], steady_ns: int) -> bool:
        tag, value, status = row
        before = self._written.get(tag)
        if before is None and status == Quality.BAD_WAITING_FOR_INITIAL_DATA:
            return False  # the image says so from its beginning
        quiet = QUIET_NS if tag not in self._heads else 0
        if before is not None and before[:2] == (value, status) and steady_ns - before[2] < quiet:
            return False
        self._written[tag] = (value, status, steady_ns)
        return True

    def _feed(self, records: Samples) -> None:
        for record in records:
            tag = int(record["tag"])
            value = from_bits(np.array([record["value"]], np.uint64), self._types[tag])[0].item()
            sample = Fed(
                value, int(record["status"]), int(record["source_time"]), int(record["receipt_time"])
            )
            self._one(tag, sample)

    def _one(self, tag: int, sample: Fed) -> None:
        for place in self._by_input[tag]:
            total, before = self._totals[place], self._states[place]
            state = fed(total, self._zone, before, sample, is_replay=sample.receipt <= self._recalled_until)
            if state.implausible > before.implausible:
                log.warning("%s: %s went to %s at once: not counted", total.name, total.of_name, sample.value)
            self._states[place] = state
            self._has_news = self._has_news or state is not before

    def _from_history(self, now_ns: int) -> None:
        """Feed what history has after the last sample of each total that has any."""
        self._recalled_until = now_ns
        for tag, places in self._by_input.items():
            states = [self._states[place] for place in places if self._states[place].at]
            if not states:
                continue
            at = min(state.at for state in states) + 1
            while at < now_ns:
                series = self._recall(self._totals[places[0]].of_name, at, at + RECALL_NS)
                at += RECALL_NS
                for sample in _samples(series):
                    self._one(tag, sample)
        # Whoever was away does not know how long the last value held.
        self._states = [replace(state, seen=min(state.seen, state.at)) for state in self._states]


def _samples(series: Series) -> list[Fed]:
    times: NDArray[np.int64] = series.source_times
    return [
        Fed(value, status, time, time)
        for value, status, time in zip(
            series.values.tolist(), series.statuses.tolist(), times.tolist(), strict=True
        )
    ]


def _rows(total: Total, now: Told) -> list[tuple[int, float, int]]:
    """Tag, value and status of all that a total tells."""
    rows = [(total.tag, now.total, now.status)]
    for tags, (this, this_status, last, last_status) in zip(total.periods, now.periods, strict=True):
        rows += [(tags.this, this, this_status), (tags.last, last, last_status)]
    quiet = now.status if now.status == Quality.BAD_WAITING_FOR_INITIAL_DATA else 0
    rows.append((total.unmeasured, now.unmeasured_s, quiet))
    if total.counted is not None:
        rows += [(tag, float(count), quiet) for tag, count in zip(total.counted, now.counted, strict=True)]
    return rows
