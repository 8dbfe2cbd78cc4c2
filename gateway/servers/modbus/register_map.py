"""Which points lie at which addresses of a unit. Pure.

A span is what one request asks for. It holds whole values: a request for half of a number is refused, since the two
halves of two requests need not belong together. Texts may be read in pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.config.modbus import RegisterType, Table
from gateway.config.modbus_server import ServedPoint

SPANS = 256  # remembered a unit: clients ask for the same few over and over


class AddressError(ValueError):
    """An address without a point, or half a value."""


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring addresses of one table, and all points there in order; ``tags`` are their image indexes."""

    table: Table
    address: int
    count: int
    points: tuple[ServedPoint, ...]
    tags: NDArray[np.uint32]

    def registers(self) -> Iterator[tuple[int, tuple[ServedPoint, ...]]]:
        """For each value its first address and its point; several points where they are bits of one register."""
        at = 0
        while at < len(self.points):
            end = at + 1
            while end < len(self.points) and self.points[end].address == self.points[at].address:
                end += 1
            yield self.points[at].address, self.points[at:end]
            at = end


class RegisterMap:
    """The points of one unit, by table and address."""

    def __init__(self, points: Iterable[ServedPoint]) -> None:
        self._at: dict[Table, dict[int, tuple[ServedPoint, ...]]] = {table: {} for table in Table}
        for point in sorted(points, key=lambda one: (one.address, one.bit or 0)):
            for address in range(point.address, point.address + point.registers):
                at = self._at[point.table]
                at[address] = (*at.get(address, ()), point)
        self._spans: dict[tuple[Table, int, int, bool], Span] = {}

    def span(self, table: Table, address: int, count: int, *, is_write: bool) -> Span:
        """Raises AddressError where an address has no point, or a value is not whole."""
        key = (table, address, count, is_write)
        span = self._spans.get(key)
        if span is None:
            span = self._make(table, address, count, is_write)
            if len(self._spans) >= SPANS:
                self._spans.clear()
            self._spans[key] = span
        return span

    def _make(self, table: Table, address: int, count: int, is_write: bool) -> Span:
        end = address + count
        found: list[ServedPoint] = []
        at = address
        while at < end:
            points = self._at[table].get(at)
            if points is None:
                raise AddressError(f"nothing at {table} {at}")
            point = points[0]
            behind = point.address + point.registers
            may_be_cut = point.type is RegisterType.STRING and not is_write
            if not may_be_cut and (point.address < at or behind > end):
                raise AddressError(f"a part of {point.name} only")
            found.extend(points)
            at = behind
        return Span(table, address, count, tuple(found), np.array([one.tag for one in found], np.uint32))
