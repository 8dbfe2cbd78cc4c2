"""The aggregates, vectorised, give what the standard's text gives when it is followed sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from historian_aggregates_reference import Point, Reference
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tags.aggregate import Aggregate, AggregateConfiguration
from gateway.tags.tag import ValueType
from historian.query.aggregates.intervals import intervals
from historian.query.aggregates.known import Known
from historian.query.aggregates.table import calculate

STATUSES = st.sampled_from([0, 0, 0, 0, 0x4090_0000, 0x4000_0000, 0x8005_0000, 0x8000_0000, 0x809B_0000])
VALUES = st.sampled_from([0.0, 0.0, 1.0, -2.5, 3.0, 1e6, float("nan"), float("inf")])
SECOND = 10**9
TIMES = st.integers(-40, 40).map(
    lambda second: second * SECOND
)  # crowded around few edges, so that samples lie on them
SAMPLES = st.dictionaries(TIMES, st.tuples(VALUES, STATUSES), max_size=14).map(
    lambda found: [Point(time, *found[time]) for time in sorted(found)]
)
CONFIGURATIONS = st.builds(
    AggregateConfiguration,
    treat_uncertain_as_bad=st.booleans(),
    percent_data_bad=st.sampled_from([100, 50, 80]),
    percent_data_good=st.sampled_from([100, 50]),
    use_sloped_extrapolation=st.booleans(),
)


def known(samples: list[Point]) -> Known:
    values = np.array([sample.value for sample in samples], float)
    return Known(
        np.array([sample.time for sample in samples], np.int64),
        values,
        np.array([sample.status for sample in samples], np.uint32),
        np.ones(len(samples), bool),
        values,
    )


# Annotations are no samples: test_aggregates_history.py counts them.
OF_SAMPLES = [aggregate for aggregate in Aggregate if aggregate is not Aggregate.ANNOTATION_COUNT]


@pytest.mark.parametrize("aggregate", OF_SAMPLES, ids=lambda aggregate: aggregate.title)
@given(
    samples=SAMPLES,
    span=st.tuples(TIMES, TIMES).filter(lambda span: span[0] != span[1]),
    length=st.integers(0, 30).map(lambda seconds: seconds * SECOND),
    stepped=st.booleans(),
    configuration=CONFIGURATIONS,
    resolution=st.sampled_from([1000, SECOND]),
)
@settings(max_examples=20, deadline=None)
def test_each_interval_is_as_the_text_says(
    aggregate, samples, span, length, stepped, configuration, resolution
):
    expected = Reference(samples, *span, length, stepped, configuration, resolution).all(
        aggregate.name.lower()
    )
    found = calculate(
        aggregate,
        known(samples),
        ValueType.DOUBLE,
        intervals(*span, length),
        stepped=stepped,
        configuration=configuration,
        resolution_ns=resolution,
    )
    got = [
        (time, float(value) if has_value else None, status)
        for time, value, has_value, status in zip(
            found.times.tolist(), found.values, found.has_value, found.statuses.tolist(), strict=True
        )
    ]
    assert [(time, status) for time, _, status in got] == [(time, status) for time, _, status in expected]
    for (_, value, _), (_, wanted, _) in zip(got, expected, strict=True):
        assert value == (None if wanted is None else pytest.approx(wanted, rel=1e-9, abs=1e-6, nan_ok=True))
