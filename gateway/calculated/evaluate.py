"""All formulas of a site over one snapshot of the image. Pure: samples and times in, samples out.

What changed is found by comparing snapshots, whole arrays at a time, so that a tag that is written often costs no
more than one that is written once. A formula is reckoned where one of its tags changed, and then what is made of it,
in one pass, as each stands after those that it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from gateway.config.calculated import CalculatedTag
from gateway.config.formula.compile import UNDEFINED, BadInputError, Known, compiled, number
from gateway.config.formula.tree import (
    Call,
    Choice,
    Compared,
    Inverse,
    Joined,
    Negative,
    Node,
    Reckoned,
    Told,
)
from gateway.config.site import Tag
from gateway.tags.quality import SEVERITY_BAD, Quality, is_bad
from gateway.tags.sample import SAMPLE, Samples, to_bits
from gateway.tags.tag import ValueType

MS_NS = 1_000_000
MANY_ROWS = 4
LOOK_NS = 500 * MS_NS  # between two looks at what nobody writes any more
STALE_GRACE_NS = 500 * MS_NS  # beyond a tag's own limit: who writes it speaks first


@dataclass(frozen=True, slots=True)
class Results:
    """What is to be written, for `Writer.write`; all arrays have shape (n,)."""

    tags: NDArray[np.uint32]
    values: NDArray[np.uint64]
    statuses: NDArray[np.uint32]
    source_times: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tags)


class Evaluator:
    """The formulas of ``calculated``, each after those that it is made of, over the tags of a site."""

    def __init__(self, calculated: Sequence[CalculatedTag], tags: Sequence[Tag]) -> None:
        self._calculated = calculated
        own = {each.tag: place for place, each in enumerate(calculated)}
        named = {at for each in calculated for at in each.formula.tags}
        self.inputs = np.array(sorted(named - own.keys()), np.uint32)  # read these, and hand them to `reckon`
        self.own = np.array([each.tag for each in calculated], np.uint32)
        count = len(self.inputs)
        slot = {int(tag): place for place, tag in enumerate(self.inputs)}
        slot |= {tag: count + place for tag, place in own.items()}
        self._slots = [[slot[at] for at in each.formula.tags] for each in calculated]
        self._functions = [
            compiled(each.formula, places=slots) for each, slots in zip(calculated, self._slots, strict=True)
        ]
        of_inputs = [(at, place) for place, slots in enumerate(self._slots) for at in slots if at < count]
        self._edge_inputs = np.array([at for at, _ in of_inputs], np.int64)
        self._edge_formulas = np.array([place for _, place in of_inputs], np.int64)
        self._followers: list[list[int]] = [[] for _ in calculated]
        for place, slots in enumerate(self._slots):
            for at in slots:
                if count <= at and at - count != place:
                    self._followers[at - count].append(place)
        self._is_periodic = np.array([each.period_ms > 0 for each in calculated], np.bool_)
        self._due = np.zeros(len(calculated), np.int64)
        self._periods = np.array([each.period_ms * MS_NS for each in calculated], np.int64)
        self._types = np.array([tags[int(tag)].type for tag in self.inputs], np.uint8)
        self._limits = np.array([tags[int(tag)].stale_after_ms for tag in self.inputs], np.int64) * MS_NS
        self._own_tags = [tags[each.tag] for each in calculated]
        self._newest = [
            _newest([at for at in slots if at != count + place]) for place, slots in enumerate(self._slots)
        ]
        self._remembered = {
            slots[at]
            for each, slots in zip(calculated, self._slots, strict=True)
            for at in _remembered(each.formula.root)
        }
        self._samples: Samples = np.zeros(count, SAMPLE)
        self._since = np.zeros(count, np.int64)
        self._was_stale = np.zeros(count, np.bool_)
        self._is_first = True
        total = count + len(calculated)
        waiting = int(Quality.BAD_WAITING_FOR_INITIAL_DATA)
        self._known = Known([0.0] * total, [waiting] * total, [0] * total, [None] * total)
        self._written: list[tuple[float | bool, int] | None] = [None] * len(calculated)
        self._written_at = [0] * len(calculated)

    def restore(self, samples: Samples) -> None:
        """What stood in the image for `own` before this process began: values that hold themselves go on from it."""
        count = len(self.inputs)
        values = _numbers(samples, np.array([tag.type for tag in self._own_tags], np.uint8)).tolist()
        for place, (value, status, source) in enumerate(
            zip(values, samples["status"].tolist(), samples["source_time"].tolist(), strict=True)
        ):
            self._put(count + place, value, status, source)

    def wait_ns(self, steady_ns: int) -> int:
        """How long nothing is due, where nothing is written meanwhile."""
        due = int(self._due[self._is_periodic].min(initial=steady_ns + LOOK_NS))
        return max(0, min(due - steady_ns, LOOK_NS))

    def reckon(self, samples: Samples, now_ns: int, steady_ns: int) -> Results:
        """What is to be written after this snapshot of `inputs`, taken at ``now_ns`` (UTC)."""
        changed = self._take(samples, now_ns, steady_ns)
        affected = np.zeros(len(self._calculated), np.bool_)
        affected[self._edge_formulas[changed[self._edge_inputs]]] = True
        is_due = self._is_periodic & (steady_ns >= self._due)
        self._due[is_due] = steady_ns + self._periods[is_due]
        affected = (affected & ~self._is_periodic) | is_due
        if self._is_first:
            affected[:] = True
            self._is_first = False
        rows: list[tuple[int, float | bool, int, int]] = []
        to_do = affected.tolist()
        self._known.now_ns = now_ns
        for place in range(len(to_do)):
            if not to_do[place]:
                continue
            row = self._one(place, now_ns)
            for follower in self._followers[place]:
                if not self._is_periodic[follower]:
                    to_do[follower] = True
            if self._is_news(place, row[0], row[1], steady_ns):
                rows.append((place, *row))
        return self._results(rows)

    def _take(self, samples: Samples, now_ns: int, steady_ns: int) -> NDArray[np.bool_]:
        """Which inputs are not what they were; one that nobody writes any more becomes Bad once."""
        before = self._samples
        is_written = samples["receipt_time"] != before["receipt_time"]
        changed: NDArray[np.bool_] = (
            is_written
            | (samples["value"] != before["value"])
            | (samples["status"] != before["status"])
            | (samples["source_time"] != before["source_time"])
        )
        if self._is_first:
            is_written = np.ones(len(samples), np.bool_)
        self._since[is_written] = steady_ns
        is_stale = (steady_ns - self._since > self._limits + STALE_GRACE_NS) & (
            (samples["status"] & SEVERITY_BAD) == 0
        )
        changed |= is_stale != self._was_stale
        if changed.any():
            self._put_inputs(samples, changed, is_stale, now_ns)
        self._samples, self._was_stale = samples, is_stale
        return changed

    def _put_inputs(
        self, samples: Samples, changed: NDArray[np.bool_], is_stale: NDArray[np.bool_], now_ns: int
    ) -> None:
        rows = np.flatnonzero(changed)
        statuses = np.where(is_stale, np.uint32(Quality.BAD_NO_COMMUNICATION), samples["status"])
        sources = np.where(is_stale, now_ns, samples["source_time"])
        known, count = self._known, len(samples)
        for at in self._remembered.intersection(rows.tolist()):
            self._remember(at, int(sources[at]))
        values = _numbers(samples, self._types)
        if len(rows) * MANY_ROWS > count:  # whole lists cost less than many single places
            known.values[:count] = values.tolist()
            known.statuses[:count] = statuses.tolist()
            known.sources[:count] = sources.tolist()
            return
        for at in rows.tolist():
            known.values[at] = float(values[at])
            known.statuses[at] = int(statuses[at])
            known.sources[at] = int(sources[at])

    def _put(self, at: int, value: float | bool, status: int, source: int) -> None:
        known = self._known
        if at in self._remembered:
            self._remember(at, source)
        known.values[at], known.statuses[at], known.sources[at] = value, status, source

    def _remember(self, at: int, source: int) -> None:
        """Before another sample comes, which is of ``source``."""
        known = self._known
        if source > known.sources[at] and not is_bad(known.statuses[at]):
            known.before[at] = (number(known.values[at]), known.sources[at])

    def _one(self, place: int, now_ns: int) -> tuple[float | bool, int, int]:
        """Value, status and source time of one formula; where it has no value, the one before stays."""
        known, at = self._known, len(self.inputs) + place
        known.status = int(Quality.GOOD)
        tag = self._own_tags[place]
        value = number(known.values[at])
        try:
            found = self._functions[place](known)
            number_now = bool(found) if tag.type is ValueType.BOOL else float(found)
            status = known.status
            if not math.isfinite(number_now):
                status = int(Quality.BAD_OUT_OF_RANGE)
            else:
                value = number_now
                if not status and _is_outside(number_now, tag):
                    status = int(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        except BadInputError as bad:
            status = bad.status
        except UNDEFINED:
            status = int(Quality.BAD_OUT_OF_RANGE)
        newest = now_ns
        if not self._calculated[place].formula.is_timed:
            newest = (
                max((known.sources[slot] for slot in self._slots[place] if slot != at), default=0) or now_ns
            )
        self._put(at, value, status, newest)
        return value, status, newest

    def _is_news(self, place: int, value: float | bool, status: int, steady_ns: int) -> bool:
        """Whether it is written: at once where it is another one, else now and then, to say that it still holds."""
        if self._written[place] is None and status == Quality.BAD_WAITING_FOR_INITIAL_DATA:
            return False  # the image says so from its beginning
        if (
            self._written[place] == (value, status)
            and steady_ns - self._written_at[place] < self._calculated[place].refresh_ms * MS_NS
        ):
            return False
        self._written[place], self._written_at[place] = (value, status), steady_ns
        return True

    def _results(self, rows: list[tuple[int, float | bool, int, int]]) -> Results:
        places = [row[0] for row in rows]
        bits = np.zeros(len(rows), np.uint64)
        is_bool = np.array([self._own_tags[place].type is ValueType.BOOL for place in places], np.bool_)
        values = np.array([float(row[1]) for row in rows], np.float64)
        bits[is_bool] = to_bits(values[is_bool], ValueType.BOOL)
        bits[~is_bool] = to_bits(values[~is_bool], ValueType.DOUBLE)
        return Results(
            self.own[places] if places else np.empty(0, np.uint32),
            bits,
            np.array([row[2] for row in rows], np.uint32),
            np.array([row[3] for row in rows], np.int64),
        )


def _numbers(samples: Samples, types: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Values as doubles; whole numbers beyond 2^53 lose their last digits, as in any reckoning with doubles."""
    bits = np.ascontiguousarray(samples["value"])
    values = bits.view(np.float64).copy()
    for type, dtype in (
        (ValueType.INT64, np.int64),
        (ValueType.UINT64, np.uint64),
        (ValueType.BOOL, np.uint64),
    ):
        here = types == type
        values[here] = bits[here].view(dtype).astype(np.float64)
    values[types == ValueType.STRING] = 0.0
    return values


def _newest(slots: list[int]) -> Callable[[list[int]], int]:
    """The newest of the source times at ``slots``."""
    if len(slots) < 2:
        return lambda sources: sources[slots[0]] if slots else 0
    get = itemgetter(*slots)
    return lambda sources: int(max(get(sources)))


def _is_outside(value: float, tag: Tag) -> bool:
    return (tag.low is not None and value < tag.low) or (tag.high is not None and value > tag.high)


def _remembered(node: Node) -> set[int]:
    """Places of the tags whose sample before the present one is asked for."""
    match node:
        case Told(what, at):
            return {at} if what in ("previous", "rate") else set()
        case Joined(_, parts) | Call(_, parts) | Compared(parts, _):
            return set().union(*map(_remembered, parts))
        case Inverse(of) | Negative(of):
            return _remembered(of)
        case Reckoned(_, left, right):
            return _remembered(left) | _remembered(right)
        case Choice(condition, one, other):
            return _remembered(condition) | _remembered(one) | _remembered(other)
    return set()
