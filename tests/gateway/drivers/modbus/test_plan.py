"""Blocks read exactly what was asked, within the limits, in the fewest requests; and split when refused."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.modbus import ModbusPoint, Order, RegisterType, Table
from gateway.drivers.modbus.plan import Block, Limits, plan, split


def text_at(address: int, registers: int, tag: int = 0, table: Table = Table.HOLDING) -> ModbusPoint:
    """A string, since it may have any length."""
    return ModbusPoint(
        name=f"d.p{address}",
        tag=tag,
        table=table,
        address=address,
        registers=registers,
        type=RegisterType.STRING,
        word_order=Order.BIG,
        byte_order=Order.BIG,
        bit=None,
        scale=1.0,
        offset=0.0,
        not_implemented=(),
        low=None,
        high=None,
        group=0,
        writable=False,
    )


@st.composite
def points_and_limits(draw: st.DrawFn, most: int = 40, last: int = 300) -> tuple[list[ModbusPoint], Limits]:
    size = draw(st.integers(4, 20))
    places = draw(st.lists(st.tuples(st.integers(0, last), st.integers(1, 4)), max_size=most))
    points = [text_at(address, registers, tag) for tag, (address, registers) in enumerate(places)]
    return points, Limits(size, draw(st.integers(0, 5)))


def is_legal(points: tuple[ModbusPoint, ...], limits: Limits) -> bool:
    """Whether one read may hold these points: written out from the rules, not from the planner."""
    asked = {address for point in points for address in range(point.address, point.address + point.registers)}
    ordered = sorted(asked)
    gaps = [after - before - 1 for before, after in pairwise(ordered)]
    return ordered[-1] - ordered[0] + 1 <= limits.size and max(gaps, default=0) <= limits.gap


@given(points_and_limits())
def test_every_point_is_read_once_and_whole_within_the_limits(case: tuple[list[ModbusPoint], Limits]) -> None:
    points, limits = case
    blocks = plan(points, limits)
    assert sorted(point.tag for block in blocks for point in block.points) == [point.tag for point in points]
    for block in blocks:
        assert is_legal(block.points, limits)
        assert block.address == min(point.address for point in block.points)
        assert block.address + block.count == max(point.address + point.registers for point in block.points)


def fewest(points: list[ModbusPoint], limits: Limits) -> int:
    """By trying every way to group them."""
    if not points:
        return 0
    first, rest = points[0], points[1:]
    best = len(points)
    for size in range(len(rest), -1, -1):
        for others in combinations(rest, size):
            if is_legal((first, *others), limits):
                best = min(best, 1 + fewest([point for point in rest if point not in others], limits))
    return best


@given(points_and_limits(most=6, last=30))
def test_no_other_grouping_needs_fewer_requests(case: tuple[list[ModbusPoint], Limits]) -> None:
    points, limits = case
    assert len(plan(points, limits)) == fewest(points, limits)


def test_a_gap_is_spanned_up_to_its_maximum() -> None:
    points = [text_at(0, 2), text_at(6, 2)]
    assert [(block.address, block.count) for block in plan(points, Limits(125, 4))] == [(0, 8)]
    assert [(block.address, block.count) for block in plan(points, Limits(125, 3))] == [(0, 2), (6, 2)]


def test_a_read_is_as_large_as_the_limit_and_no_larger() -> None:
    points = [text_at(address, 1) for address in range(250)]
    assert [block.count for block in plan(points, Limits(125, 0))] == [125, 125]
    assert [block.count for block in plan(points[:126], Limits(125, 0))] == [125, 1]


@pytest.mark.parametrize("point", [text_at(0, 11), text_at(65_535, 2)])
def test_a_point_no_request_can_read_is_an_error(point: ModbusPoint) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        plan([point], Limits(10, 0))


def test_two_tables_are_never_one_block() -> None:
    with pytest.raises(ValueError, match="table"):
        plan([text_at(0, 1), text_at(1, 1, table=Table.INPUT)], Limits(10, 0))


def test_a_refused_block_is_split_at_its_widest_gap() -> None:
    [block] = plan([text_at(0, 2), text_at(3, 2), text_at(9, 1), text_at(10, 1)], Limits(125, 10))
    first, second = split(block) or pytest.fail("not split")
    assert (first.address, first.count) == (0, 5)
    assert (second.address, second.count) == (9, 2)


def test_a_refused_block_without_gaps_is_split_in_the_middle() -> None:
    [block] = plan([text_at(address, 1) for address in range(8)], Limits(125, 0))
    first, second = split(block) or pytest.fail("not split")
    assert (first.count, second.count) == (4, 4)


def test_points_over_the_same_registers_are_not_split() -> None:
    [block] = plan([text_at(0, 4), text_at(1, 1), text_at(3, 1)], Limits(125, 0))
    assert split(block) is None


@given(points_and_limits(), st.data())
def test_splitting_until_only_the_illegal_points_are_refused(
    case: tuple[list[ModbusPoint], Limits], data: st.DataObject
) -> None:
    points, limits = case
    illegal = data.draw(st.sets(st.integers(0, 303), max_size=3))

    def refuses(block: Block) -> bool:
        return not illegal.isdisjoint(range(block.address, block.address + block.count))

    refused: list[Block] = []
    waiting = plan(points, limits)
    served: list[ModbusPoint] = []
    while waiting:
        block = waiting.pop()
        if not refuses(block):
            served += block.points
        elif (halves := split(block)) is None:
            refused.append(block)
        else:
            waiting += halves
    assert sorted(point.tag for point in served + [p for block in refused for p in block.points]) == [
        point.tag for point in points
    ]
    for block in refused:  # nothing in it could be read apart: its points overlap
        assert split(block) is None
        assert refuses(block)
