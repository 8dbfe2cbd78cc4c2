"""What the points of one Modbus device must be to each other: proofs of writes, and no two writers of a register."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import describe
from gateway.config.point import PointShape
from gateway.tags.tag import ValueType


def check_proofs(shapes: Sequence[PointShape], faults: FaultLog) -> None:
    """What is to prove a write is a point of the device that can tell such a value."""
    by_name = {shape.name: shape for shape in shapes}
    for shape in shapes:
        rule = shape.verify
        if rule is None:
            continue
        told = by_name.get(rule.point)
        if told is None:
            if not faults.unsure:
                mend = suggestion(rule.point, by_name, "name a point of this device")
                faults.add(
                    shape.place, f"{quote(shape.name)} proved by the unknown point {quote(rule.point)}", mend
                )
        elif rule.equals:
            bad = [value for value in rule.equals if not _can_tell(told.value_type, value)]
            if bad:
                found = f"{quote(rule.point)} with {describe(bad[0])}, but it is {told.value_type.name}"
                faults.add(
                    shape.place,
                    f"{quote(shape.name)} proved by {found}",
                    "write values that it can have",
                )
        elif not _are_alike(shape.value_type, told.value_type) or told is shape:
            what = "itself" if told is shape else f"{quote(rule.point)}, which is {told.value_type.name}"
            mend = "remove 'verify'" if told is shape else "add 'equals: [...]'"
            faults.add(shape.place, f"{quote(shape.name)} proved by {what}", mend)


def _can_tell(type: ValueType, value: object) -> bool:
    return type is not ValueType.STRING and isinstance(value, bool) is (type is ValueType.BOOL)


def _are_alike(one: ValueType, other: ValueType) -> bool:
    odd = (ValueType.BOOL, ValueType.STRING)
    return one is other or (one not in odd and other not in odd)


def report_overlaps(shapes: Sequence[PointShape], faults: FaultLog) -> None:
    """Two writable points on one register: a write to one changes the other. Bits of one register may share it."""
    writable = sorted(
        (s for s in shapes if s.write is not None),
        key=lambda s: (s.table.value, s.address, s.bit or 0, s.place.line),
    )
    furthest: PointShape | None = None
    for shape in writable:
        if (
            furthest is not None
            and shape.table is furthest.table
            and shape.address < furthest.address + furthest.registers
            and not (shape.bit is not None and furthest.bit is not None and shape.bit != furthest.bit)
        ):
            first, second = sorted((furthest, shape), key=lambda s: (s.place.line, s.place.column))
            faults.add(
                second.place,
                f"{quote(second.name)} writes to the same {shape.table.value} register as {quote(first.name)} "
                f"(line {first.place.line})",
                "move one of them, or make one read-only",
            )
        if (
            furthest is None
            or shape.table is not furthest.table
            or shape.address + shape.registers >= furthest.address + furthest.registers
        ):
            furthest = shape
