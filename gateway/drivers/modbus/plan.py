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
    """One read: ``count`` registers (or bits) of ``table`` from ``address``, and the points it holds.

    It holds the scale factors of its points too. Where they lie too far away for that, they are ``factor_count``
    registers from ``factor_address``, a read of their own, and their bytes come before the block's.
    """

    table: Table
    address: int
    count: int
    points: tuple[ModbusPoint, ...]
    factor_address: int = 0
    factor_count: int = 0

    @property
    def payload_bytes(self) -> int:
        """Data bytes of its answers."""
        count = (self.count + 7) // 8 if self.table in BIT_TABLES else 2 * self.count
        return 2 * self.factor_count + count

    def place_of(self, address: int) -> int:
        """Where the bytes of a register lie in the answers."""
        return 2 * (self.factor_count + address - self.address)

    def place_of_factor(self, address: int) -> int:
        """The same of a scale factor."""
        return 2 * (address - self.factor_address) if self.factor_count else self.place_of(address)


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
    block's first point, so moving it back can never save a request. A point whose scale is told by a register
    reaches as far as that register, so that both come with one answer; those for which that is too far come last.
    Raises ValueError where a point is larger than a read or past the table's end.
    """
    near: list[ModbusPoint] = []
    far: list[ModbusPoint] = []
    for point in points:
        (far if _is_far(point, limits) else near).append(point)
    blocks = _gathered(near, limits)
    if far:
        blocks += _gathered(far, limits, has_factors=True)
    return blocks


def _gathered(points: list[ModbusPoint], limits: Limits, *, has_factors: bool = False) -> list[Block]:
    blocks: list[Block] = []
    held: list[ModbusPoint] = []
    first = end = 0
    spans = ((_span(point, with_factor=not has_factors), point) for point in points)
    for (point_first, point_end), point in sorted(spans, key=lambda one: (*one[0], one[1].tag)):
        if point.registers > limits.size or point_first < 0 or point_end > ADDRESSES:
            raise ValueError(
                f"{point.name}: {point.registers} at {point.address} does not fit a read of {limits.size}"
            )
        if held:
            if point.table is not held[0].table:
                raise ValueError(f"{point.name} is in table {point.table}, {held[0].name} in {held[0].table}")
            reaches = point_first - end <= limits.gap
            fits = max(end, point_end) - first <= limits.size
            if not (reaches and fits and (not has_factors or _factors([*held, point])[1] <= limits.size)):
                blocks.append(_block(held, has_factors=has_factors))
                held = []
        first, end = (first, max(end, point_end)) if held else (point_first, point_end)
        held.append(point)
    if held:
        blocks.append(_block(held, has_factors=has_factors))
    return blocks


def _span(point: ModbusPoint, *, with_factor: bool = True) -> tuple[int, int]:
    """First address and past the last one of what has to be read for a point."""
    end = point.address + point.registers
    if point.scale_factor is None or not with_factor:
        return point.address, end
    return min(point.address, point.scale_factor), max(end, point.scale_factor + 1)


def _is_far(point: ModbusPoint, limits: Limits) -> bool:
    """Whether its scale factor cannot come with its value."""
    if point.scale_factor is None:
        return False
    first, end = _span(point)
    return end - first > limits.size or end - first - point.registers - 1 > limits.gap


def _factors(points: Iterable[ModbusPoint]) -> tuple[int, int]:
    """First address and count of the registers that hold the scale factors."""
    addresses = [point.scale_factor for point in points if point.scale_factor is not None]
    return min(addresses), max(addresses) + 1 - min(addresses)


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
    has_factors = block.factor_count > 0
    return (
        _block(points[: best[2]], has_factors=has_factors),
        _block(points[best[2] :], has_factors=has_factors),
    )


def _block(points: Iterable[ModbusPoint], *, has_factors: bool) -> Block:
    """``has_factors``: they are read by themselves."""
    held = tuple(points)
    spans = [_span(point, with_factor=not has_factors) for point in held]
    address = min(first for first, _ in spans)
    count = max(end for _, end in spans) - address
    return Block(held[0].table, address, count, held, *(_factors(held) if has_factors else (0, 0)))
