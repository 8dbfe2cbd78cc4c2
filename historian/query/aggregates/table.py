"""The table of all aggregates: how each is reckoned, and of what kind its values are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed, ProcessedType
from gateway.tags.tag import ValueType
from historian.query.aggregates import counted, extremes, regions
from historian.query.aggregates.bounds import Points
from historian.query.aggregates.intervals import Intervals
from historian.query.aggregates.known import Known, judge, without_placeholders
from historian.query.aggregates.tally import PARTIAL, Answer, Question

DEFAULTS = AggregateConfiguration()
NOT_ANNOTATED = np.empty(0, np.int64)
DEFAULT_RESOLUTION_NS = 1_000  # the least step of source times, unless a site says otherwise


class Kind(Enum):
    """Kind of an aggregate's values."""

    SOURCE = "as the tag's"
    DIFFERENCE = "doubles, of integers integers"
    NUMBER = "doubles"
    COUNT = "how many"
    STATUS = "a StatusCode"


@dataclass(frozen=True, slots=True)
class Rule:
    """How an aggregate is reckoned. ``takes_strings``: it needs no arithmetic."""

    reckon: Callable[[Question], Answer]
    kind: Kind = Kind.NUMBER
    takes_strings: bool = False
    can_be_partial: bool = True


_A, _K = Aggregate, Kind

RULES: Mapping[Aggregate, Rule] = {
    _A.INTERPOLATIVE: Rule(counted.interpolative, _K.SOURCE, takes_strings=True, can_be_partial=False),
    _A.AVERAGE: Rule(counted.average, can_be_partial=False),
    _A.TIME_AVERAGE: Rule(regions.time_average),
    _A.TIME_AVERAGE2: Rule(regions.time_average2),
    _A.TOTAL: Rule(regions.total),
    _A.TOTAL2: Rule(regions.total2),
    _A.MINIMUM: Rule(extremes.minimum, _K.SOURCE),
    _A.MAXIMUM: Rule(extremes.maximum, _K.SOURCE),
    _A.MINIMUM_ACTUAL_TIME: Rule(extremes.minimum_actual_time, _K.SOURCE),
    _A.MAXIMUM_ACTUAL_TIME: Rule(extremes.maximum_actual_time, _K.SOURCE),
    _A.RANGE: Rule(extremes.range, _K.DIFFERENCE),
    _A.MINIMUM2: Rule(extremes.minimum2, _K.SOURCE),
    _A.MAXIMUM2: Rule(extremes.maximum2, _K.SOURCE),
    _A.MINIMUM_ACTUAL_TIME2: Rule(extremes.minimum_actual_time2, _K.SOURCE),
    _A.MAXIMUM_ACTUAL_TIME2: Rule(extremes.maximum_actual_time2, _K.SOURCE),
    _A.RANGE2: Rule(extremes.range2, _K.DIFFERENCE),
    _A.ANNOTATION_COUNT: Rule(counted.annotation_count, _K.COUNT, takes_strings=True),
    _A.COUNT: Rule(counted.count, _K.COUNT, takes_strings=True),
    _A.DURATION_IN_STATE_ZERO: Rule(regions.duration_in_state_zero),
    _A.DURATION_IN_STATE_NON_ZERO: Rule(regions.duration_in_state_non_zero),
    _A.NUMBER_OF_TRANSITIONS: Rule(counted.number_of_transitions, _K.COUNT, takes_strings=True),
    _A.START: Rule(counted.start, _K.SOURCE, takes_strings=True),
    _A.END: Rule(counted.end, _K.SOURCE, takes_strings=True),
    _A.DELTA: Rule(counted.delta, _K.DIFFERENCE),
    _A.START_BOUND: Rule(counted.start_bound, _K.SOURCE, takes_strings=True),
    _A.END_BOUND: Rule(counted.end_bound, _K.SOURCE, takes_strings=True),
    _A.DELTA_BOUNDS: Rule(counted.delta_bounds, _K.DIFFERENCE),
    _A.DURATION_GOOD: Rule(regions.duration_good, takes_strings=True),
    _A.DURATION_BAD: Rule(regions.duration_bad, takes_strings=True),
    _A.PERCENT_GOOD: Rule(regions.percent_good, takes_strings=True),
    _A.PERCENT_BAD: Rule(regions.percent_bad, takes_strings=True),
    _A.WORST_QUALITY: Rule(counted.worst_quality, _K.STATUS, takes_strings=True),
    _A.WORST_QUALITY2: Rule(counted.worst_quality2, _K.STATUS, takes_strings=True),
    _A.STANDARD_DEVIATION_SAMPLE: Rule(counted.standard_deviation_sample),
    _A.VARIANCE_SAMPLE: Rule(counted.variance_sample),
    _A.STANDARD_DEVIATION_POPULATION: Rule(counted.standard_deviation_population),
    _A.VARIANCE_POPULATION: Rule(counted.variance_population),
}
assert set(RULES) == set(Aggregate)

# Aggregates that stretches added up already (`Covered`) are enough for, where values are stepped.
BY_STRETCH = frozenset(
    {
        _A.TIME_AVERAGE2,
        _A.TOTAL2,
        _A.DURATION_GOOD,
        _A.DURATION_BAD,
        _A.PERCENT_GOOD,
        _A.PERCENT_BAD,
        _A.ANNOTATION_COUNT,
    }
)

SOURCE = {
    ValueType.BOOL: ProcessedType.BOOL,
    ValueType.INT64: ProcessedType.INT64,
    ValueType.UINT64: ProcessedType.UINT64,
    ValueType.DOUBLE: ProcessedType.DOUBLE,
    ValueType.STRING: ProcessedType.STRING,
}
_NUMPY: Mapping[ProcessedType, Any] = {
    ProcessedType.BOOL: np.bool_,
    ProcessedType.INT32: np.int32,
    ProcessedType.INT64: np.int64,
    ProcessedType.UINT64: np.uint64,
    ProcessedType.DOUBLE: np.float64,
    ProcessedType.STRING: object,
    ProcessedType.STATUS_CODE: np.uint32,
}


def type_of(aggregate: Aggregate, source: ValueType) -> ProcessedType:
    """Of which type the values of an aggregate over a tag are. Raises ValueError where strings have no such thing."""
    rule = RULES[aggregate]
    if source is ValueType.STRING and not rule.takes_strings:
        raise ValueError(f"strings have no {aggregate.title}")
    match rule.kind:
        case Kind.SOURCE:
            return SOURCE[source]
        case Kind.DIFFERENCE:
            return ProcessedType.DOUBLE if source is ValueType.DOUBLE else ProcessedType.INT64
        case Kind.NUMBER:
            return ProcessedType.DOUBLE
        case Kind.COUNT:
            return ProcessedType.INT32
        case Kind.STATUS:
            return ProcessedType.STATUS_CODE


def is_stepped(source: ValueType, stepped: bool) -> bool:
    """Whether values hold until the next: those of bools and strings always do."""
    return stepped or source in (ValueType.BOOL, ValueType.STRING)


def calculate(
    aggregate: Aggregate,
    known: Known,
    source: ValueType,
    intervals: Intervals,
    *,
    stepped: bool,
    configuration: AggregateConfiguration = DEFAULTS,
    resolution_ns: int = DEFAULT_RESOLUTION_NS,
    annotated: NDArray[np.int64] = NOT_ANNOTATED,
) -> Processed:
    """An aggregate of each interval, in the order of the flow of time. Raises ValueError.

    ``annotated`` are the times of the tag's annotations, in any order, which only AnnotationCount asks for.
    """
    type = type_of(aggregate, source)
    rule = RULES[aggregate]
    known = without_placeholders(known)
    rows = judge(known, configuration.treat_uncertain_as_bad)
    holds = is_stepped(source, stepped)
    question = Question(known, rows, intervals, configuration, holds, resolution_ns, annotated)
    answer = rule.reckon(question)
    statuses = answer.statuses
    if rule.can_be_partial:
        statuses = np.where(question.is_partial, statuses | PARTIAL, statuses).astype(np.uint32)
    flow = intervals.in_flow()
    values = values_of(known, type, answer.numbers, answer.row)
    return Processed(type, answer.times[flow], values[flow], statuses[flow])


def processed_points(known: Known, source: ValueType, points: Points) -> Processed:
    """Values at instants, of the tag's own type. ``known`` is without placeholders."""
    type = SOURCE[source]
    return Processed(type, points.times, values_of(known, type, points.numbers, points.row), points.statuses)


def values_of(
    known: Known, type: ProcessedType, numbers: NDArray[np.float64], row: NDArray[np.intp] | None
) -> NDArray[Any]:
    """Numbers as values of a type, rounded where it holds whole ones; where a row is named, that row's own value."""
    if type is ProcessedType.STRING:
        values: NDArray[Any] = np.full(len(numbers), None, object)
    else:
        values = _rounded(type, numbers)
    if row is not None:
        places = np.flatnonzero(row >= 0)
        values[places] = known.values[row[places]]
    return values


def as_values(source: ValueType, numbers: NDArray[np.float64]) -> NDArray[Any]:
    """Numbers as values of a tag, which is none of strings."""
    return _rounded(SOURCE[source], numbers)


def _rounded(type: ProcessedType, numbers: NDArray[np.float64]) -> NDArray[Any]:
    if type is ProcessedType.DOUBLE:
        return numbers.copy()
    limits = np.iinfo(np.uint8 if type is ProcessedType.BOOL else _NUMPY[type])
    # 2**63 as a double is one too many for an int64: the greatest double below is 2**63 - 1024.
    rounded = np.clip(np.rint(numbers), limits.min, np.nextafter(float(limits.max), 0))
    values: NDArray[Any] = rounded.astype(_NUMPY[type])
    return values
