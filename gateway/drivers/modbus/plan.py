"""Which reads fetch the points of a device: the fewest legal requests, and how to split one the device refuses.

Pure: points and limits in, blocks out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.modbus import ModbusDevice, ModbusPoint, Table

BIT_TABLES = frozenset({Table.COIL, Table.DISCRETE})
MAX_READ_REGISTERS = 125  # Modbus Application Protocol 1.1b3, 6.3: the byte count is one byte
MAX_READ_BITS = 2000  # 6.1
MAX_WRITE_REGISTERS = 123  # 6.12
MAX_WRITE_BITS = 1968  # 6.11
ADDRESSES = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest read of a table, and how many unasked addresses in a row it may span."""

    size: int
    gap: int


@dataclass(frozen=True, slots=True)
class Block:
    """One read: ``count`` registers (or bits) of ``table`` from ``address``, and the points it holds."""

    table: Table
    address: int
    count: int
    points: tuple[ModbusPoint, ...]

    @property
    def payload_bytes(self) -> int:
        """Data bytes of its answer."""
        return (self.count + 7) // 8 if self.table in BIT_TABLES else 2 * self.count


def limits_of(device: ModbusDevice, table: Table) -> Limits:
    """What this device allows, never more than the protocol does."""
    if table in BIT_TABLES:
        return Limits(min(device.max_coils, MAX_READ_BITS), device.max_gap)
    return Limits(min(device.max_registers, MAX_READ_REGISTERS), device.max_gap)


def write_limit_of(device: ModbusDevice, table: Table) -> int:
    """The largest write of this device: what it allows a read, never more than the protocol allows a write."""
    if table in BIT_TABLES:
        return min(device.max_coils, MAX_WRITE_BITS)
    return min(device.max_registers, MAX_WRITE_REGISTERS)


def plan(points: Iterable[ModbusPoint], limits: Limits) -> list[Block]:
    """The fewest blocks that hold every point whole, for points of one table, in order of address.

    Greedy from the lowest address, which is optimal: a point left for the next block lies in or after that
    block's first point, so moving it back can never save a request. Raises ValueError where a point is larger
    than a read or past the table's end.
    """
    blocks: list[Block] = []
    held: list[ModbusPoint] = []
    end = 0
    for point in sorted(points, key=lambda point: (point.address, point.registers, point.tag)):
        point_end = point.address + point.registers
        if point.registers > limits.size or point.address < 0 or point_end > ADDRESSES:
            raise ValueError(
                f"{point.name}: {point.registers} at {point.address} does not fit a read of {limits.size}"
            )
        if held:
            if point.table is not held[0].table:
                raise ValueError(f"{point.name} is in table {point.table}, {held[0].name} in {held[0].table}")
            reaches = point.address - end <= limits.gap
            fits = max(end, point_end) - held[0].address <= limits.size
            if not (reaches and fits):
                blocks.append(_block(held))
                held = []
        end = max(end, point_end) if held else point_end
        held.append(point)
    if held:
        blocks.append(_block(held))
    return blocks


def split(block: Block) -> tuple[Block, Block] | None:
    """Two smaller blocks with the same points, or None where the points cannot be read apart.

    At the widest gap, since addresses nobody asked for are the likeliest to be illegal; in the middle otherwise.
    """
    points = block.points  # in order of address, as planned
    middle = block.address + block.count / 2
    best: tuple[int, float, int] | None = None
    end = points[0].address + points[0].registers
    for i, point in enumerate(points[1:], start=1):
        if point.address >= end:
            key = (point.address - end, -abs((point.address + end) / 2 - middle), i)
            if best is None or key > best:
                best = key
        end = max(end, point.address + point.registers)
    if best is None:
        return None
    return _block(points[: best[2]]), _block(points[best[2] :])


def _block(points: Iterable[ModbusPoint]) -> Block:
    held = tuple(points)
    address = held[0].address
    end = max(point.address + point.registers for point in held)
    return Block(held[0].table, address, end - address, held)
