"""``tieline history --aggregate``: aggregates of OPC 10000-13 as rows of an answer (docs/aggregates.md)."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import BY_TITLE, Aggregate, AggregateConfiguration, Processed, ProcessedType
from historian.export import Answer, quality_name
from historian.query.aggregates.table import RULES, Kind
from historian.query.at_time import one_behind_the_other
from historian.query.history import History
from historian.store.catalogue import Entry
from historian.times import iso

TIME_AVERAGE = "time-average"  # the plain one of `History.time_average`
DEFAULTS = AggregateConfiguration()

# Aggregates whose times are those of a sample rather than of the interval.
_WITH_TIMES = frozenset(
    {
        Aggregate.MINIMUM_ACTUAL_TIME,
        Aggregate.MAXIMUM_ACTUAL_TIME,
        Aggregate.MINIMUM_ACTUAL_TIME2,
        Aggregate.MAXIMUM_ACTUAL_TIME2,
        Aggregate.START,
        Aggregate.END,
    }
)


def add_options(history: argparse.ArgumentParser) -> None:
    """How aggregates are asked for."""
    history.add_argument(
        "--aggregate",
        metavar="NAME[,NAME]",
        help=f"over intervals instead of samples: {TIME_AVERAGE}, or of OPC UA: {', '.join(_titles())}",
    )
    history.add_argument(
        "--treat-uncertain-as-bad",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether Uncertain samples count as Bad in aggregates of OPC UA (default: they do)",
    )
    history.add_argument(
        "--percent-data-good",
        type=int,
        metavar="N",
        help="of an interval that must be Good for Good (default: 100)",
    )
    history.add_argument(
        "--percent-data-bad",
        type=int,
        metavar="N",
        help="of an interval that must be Bad for Bad (default: 100)",
    )
    history.add_argument(
        "--sloped-extrapolation",
        action="store_true",
        default=None,
        help="after the data go on in a straight line rather than hold the last value",
    )


def aggregates_of(text: str) -> list[Aggregate]:
    """What ``--aggregate`` names. Raises ValueError."""
    found = []
    for name in text.split(","):
        aggregate = BY_TITLE.get(name.strip().lower())
        if aggregate is None:
            near = difflib.get_close_matches(name.strip(), [TIME_AVERAGE, *_titles()], 3, 0.5)
            known = f"; known are {', '.join([TIME_AVERAGE, *_titles()])}"
            hint = f": did you mean {' or '.join(near)}?" if near else known
            raise ValueError(f"no aggregate is called {name.strip()!r}{hint}")
        found.append(aggregate)
    return list(dict.fromkeys(found))


def configuration_of(args: argparse.Namespace) -> AggregateConfiguration:
    """What the options say. Raises ValueError."""
    given = {
        "treat_uncertain_as_bad": args.treat_uncertain_as_bad,
        "percent_data_bad": args.percent_data_bad,
        "percent_data_good": args.percent_data_good,
        "use_sloped_extrapolation": args.sloped_extrapolation,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen and args.aggregate in (None, TIME_AVERAGE):
        raise ValueError(
            f"--{next(iter(chosen)).replace('_', '-').replace('use-', '')} needs --aggregate of OPC UA"
        )
    return AggregateConfiguration(**chosen)


def answer(
    history: History,
    entry: Entry,
    aggregates: Sequence[Aggregate],
    spans: Sequence[tuple[int, int, int]],
    configuration: AggregateConfiguration,
    zone: tzinfo,
) -> Answer:
    """Aggregates of a tag over ``spans`` (start, end, interval), side by side: a row an interval. Raises ValueError.

    Of several each has a column of its quality, and the row's is the worst of them.
    """
    times = np.empty(0, np.int64)
    columns: dict[str, NDArray[np.generic]] = {}
    worst = np.empty(0, np.uint32)
    for aggregate in aggregates:
        parts = [
            history.aggregate(entry.path, aggregate, start, end, interval, configuration)
            for start, end, interval in spans
        ]
        found = one_behind_the_other(parts)
        if not columns:
            times, worst = _starts(spans), found.statuses
        columns[aggregate.title] = _values(found)
        if aggregate in _WITH_TIMES:
            columns[f"{aggregate.title} at"] = np.array(iso(found.times, zone), object)
        if len(aggregates) > 1:
            names = [quality_name(status) for status in found.statuses.tolist()]
            columns[f"{aggregate.title} quality"] = np.array(names, object)
            worst = np.where(found.statuses >> 30 > worst >> 30, found.statuses, worst)
    finer = frozenset(aggregate.title for aggregate in aggregates if RULES[aggregate].kind is Kind.NUMBER)
    return Answer(entry, times, columns, worst, finer)


def _starts(spans: Sequence[tuple[int, int, int]]) -> NDArray[np.int64]:
    return np.concatenate(
        [np.arange(start, end, min(interval or end - start, end - start)) for start, end, interval in spans]
    )


def _values(found: Processed) -> NDArray[np.generic]:
    """Values, masked where there is none."""
    values = found.values
    if found.type is ProcessedType.STATUS_CODE:
        values = np.array([quality_name(status) for status in values.tolist()], object)
    masked: NDArray[np.generic] = np.ma.masked_array(values, ~found.has_value)
    return masked


def _titles() -> list[str]:
    return [aggregate.title for aggregate in Aggregate]
