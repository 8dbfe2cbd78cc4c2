"""Tags that share their times are encoded together: each block is what that tag alone would get."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tags.tag import ValueType
from historian.store import blocks, columns, grids
from historian.store.blocks import Samples
from historian.store.columns import Effort
from historian.store.grids import Piece

SECOND = 10**9
STATUSES = (0, 0x8005_0000, 0x4094_0000, 0x0000_0480)
DOUBLES = st.one_of(
    st.integers(-500, 500).map(lambda n: n / 10),
    st.integers(-500, 500).map(lambda n: n * 0.01),
    st.floats(-1e6, 1e6),
    st.sampled_from((math.nan, math.inf, -math.inf, -0.0)),
)
VALUES = {
    ValueType.DOUBLE: st.lists(DOUBLES, min_size=12, max_size=12).map(
        lambda row: np.array(row, "<f8").view(np.uint64)
    ),
    ValueType.INT64: st.lists(st.integers(-(2**63), 2**63 - 1), min_size=12, max_size=12).map(
        lambda row: np.array(row, np.int64).view(np.uint64)
    ),
    ValueType.UINT64: st.lists(st.integers(0, 2**64 - 1), min_size=12, max_size=12).map(
        lambda row: np.array(row, np.uint64)
    ),
    ValueType.BOOL: st.lists(st.integers(0, 1), min_size=12, max_size=12).map(
        lambda row: np.array(row, np.uint64)
    ),
}


@st.composite
def pieces(draw: st.DrawFn, type: ValueType) -> list[Piece]:
    count = draw(st.integers(1, 12))
    times = np.cumsum(np.array(draw(st.lists(st.integers(1, SECOND), min_size=12, max_size=12)))) + SECOND
    found = []
    for tag in range(1, draw(st.integers(4, 9))):
        is_quiet = draw(st.booleans())
        values = draw(VALUES[type])
        statuses = draw(st.lists(st.sampled_from(STATUSES[: 1 if is_quiet else 4]), min_size=12, max_size=12))
        samples = Samples(times[:count].copy(), values[:count], np.array(statuses, np.uint32)[:count])
        guess = draw(st.sampled_from((None, columns.NOT_DECIMAL, 0, 1, 2)))
        found.append(Piece(tag, type, 7, samples, guess))
    return found


def close(one: float, other: float) -> bool:
    """The same number but for the order in which it was added up."""
    return one == other or (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, abs_tol=1e-6)


@pytest.mark.parametrize("type", VALUES)
@pytest.mark.parametrize("effort", Effort)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_a_grid_gives_each_tag_the_block_it_gets_alone(type, effort, data):
    given_pieces = data.draw(pieces(type))
    built = grids.build(given_pieces, effort)
    assert [block.tag for block in built] == [piece.tag for piece in given_pieces]
    for block, piece in zip(built, given_pieces, strict=True):
        (alone,) = blocks.build(piece.tag, type, 7, piece.samples, piece.decimals, effort)
        assert close(block.summary.sum, alone.summary.sum)
        assert close(block.summary.integral, alone.summary.integral)
        same = replace(block.summary, sum=alone.summary.sum, integral=alone.summary.integral)
        assert same == alone.summary
        assert block.quality_data == alone.quality_data
        assert block.times.tolist() == piece.samples.times.tolist()
        decoded = columns.decode_values(type, block.value_data)
        assert decoded.tolist() == piece.samples.values.tolist()
        assert len(block.value_data) <= columns.HEAD_BYTES + 8 * len(decoded)


def test_strings_and_long_pieces_and_lone_tags_go_with_the_rest():
    long_times = np.arange(blocks.MAX_BLOCK_SAMPLES + 5, dtype=np.int64) * SECOND
    texts = np.array(["on", "off"], object)
    short = Samples(np.array([1, 2]), np.array([3, 4], np.uint64), np.zeros(2, np.uint32))
    found = grids.build(
        [
            Piece(
                3,
                ValueType.INT64,
                1,
                Samples(long_times, long_times.view(np.uint64), np.zeros(len(long_times), np.uint32)),
                None,
            ),
            Piece(1, ValueType.STRING, 1, Samples(np.array([1, 2]), texts, np.zeros(2, np.uint32)), None),
            Piece(2, ValueType.INT64, 1, short, None),
        ],
        Effort.QUICK,
    )
    assert [(block.tag, block.summary.count) for block in found] == [
        (1, 2),
        (2, 2),
        (3, blocks.MAX_BLOCK_SAMPLES),
        (3, 5),
    ]
