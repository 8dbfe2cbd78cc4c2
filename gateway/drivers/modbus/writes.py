"""Writes that wait for their device's turn, and which of them go out together as one request.

Pure but for the futures that their callers wait on. Points side by side that are written in one scan reach the device
in one request, so that it never acts on half of what the scan decided.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.config.modbus import ModbusPoint, Table, WriteFunction


@dataclass(slots=True, eq=False)
class Write:
    """``data`` is what goes over the wire: whole registers, or one byte of a coil that is 0 or 1."""

    point: ModbusPoint
    data: bytes
    done: asyncio.Future[None]

    @property
    def end(self) -> int:
        return self.point.address + self.point.registers


class Pending:
    """Writes of one device in order of arrival. One that nobody waits for any more is not sent."""

    def __init__(self, limits: Mapping[Table, int], points: Iterable[ModbusPoint]) -> None:
        """``limits``: registers or coils a request; ``points`` are all that may be written."""
        self._limits = limits
        # Where points overlap, order decides what the registers hold in the end: then each goes by itself.
        self._may_group = not _overlap([point for point in points if point.writable])
        self._writes: deque[Write] = deque()

    def __bool__(self) -> bool:
        return bool(self._writes)

    def add(self, write: Write) -> None:
        self._writes.append(write)

    def put_back(self, group: Sequence[Write]) -> None:
        """Before all others."""
        self._writes.extendleft(reversed(group))

    def next_group(self, *, alone: bool) -> list[Write]:
        """The oldest write and, unless ``alone``, those that lie side by side with it, in order of address.

        Empty where nobody waits for any. A point that is written twice gives its first value now and its second one
        next time.
        """
        while self._writes and self._writes[0].done.done():
            self._writes.popleft()
        if not self._writes:
            return []
        first = self._writes[0]
        group = [first]
        may_group = self._may_group and first.point.function is not WriteFunction.SINGLE
        if not alone and may_group and len(self._writes) > 1:
            group = self._neighbours(first)
        for write in group:
            self._writes.remove(write)
        return group

    def fail(self, error: Exception) -> None:
        """Tell all who wait."""
        while self._writes:
            fail(self._writes.popleft(), error)

    def _neighbours(self, first: Write) -> list[Write]:
        at: dict[int, Write] = {}
        ending: dict[int, Write] = {}
        for write in self._writes:
            point = write.point
            is_candidate = point.table is first.point.table and point.function is not WriteFunction.SINGLE
            is_candidate = is_candidate and not write.done.done()
            if is_candidate and point.address not in at:
                at[point.address] = write
                ending[write.end] = write
        size = self._limits[first.point.table]
        group = deque([first])
        while (after := at.get(group[-1].end)) and after.end - group[0].point.address <= size:
            group.append(after)
        while (before := ending.get(group[0].point.address)) and group[-1].end - before.point.address <= size:
            group.appendleft(before)
        return list(group)


def fail(write: Write, error: Exception) -> None:
    """An exception of its own for each: one that is raised in two tasks gathers both their histories."""
    if not write.done.done():
        write.done.set_exception(type(error)(*error.args))


def _overlap(points: Sequence[ModbusPoint]) -> bool:
    for table in (Table.COIL, Table.HOLDING):
        ordered = sorted((point.address, point.registers) for point in points if point.table is table)
        for (address, registers), (following, _) in pairwise(ordered):
            if following < address + registers:
                return True
    return False
