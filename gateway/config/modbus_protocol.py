"""Modbus devices of a site file."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog
from gateway.config.keys import MAX_READ_REGISTERS
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import ModbusDevice, ModbusPoint, ModbusSystemTags, Order, PollGroup
from gateway.config.point import Body, PointShape, read_point, report_overlaps
from gateway.config.protocol import DeviceProtocol, Placed


class ModbusProtocol(DeviceProtocol[Body, PointShape]):
    """``protocol: modbus``."""

    name = "modbus"

    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> Body:
        limit = connection["max_registers"] if connection is not None else None
        return Body(
            groups,
            settings["word_order"] or Order.BIG,
            settings["byte_order"] or Order.BIG,
            limit or MAX_READ_REGISTERS,
            settings["addressing"] == "modicon",
        )

    def point(self, name: ScalarNode, node: Node, body: Body, reading: Reading) -> PointShape | None:
        return read_point(name, node, body, reading)

    def check(self, shapes: Sequence[PointShape], faults: FaultLog) -> None:
        report_overlaps(shapes, faults)

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[PointShape]],
        system: ModbusSystemTags,
    ) -> ModbusDevice:
        return ModbusDevice(
            name=name,
            host=connection["host"],
            port=connection["port"],
            unit_id=connection["unit_id"],
            timeout_ms=connection["timeout_ms"],
            pause_ms=connection["pause_ms"],
            max_registers=connection["max_registers"],
            max_coils=connection["max_coils"],
            max_gap=connection["max_gap"],
            retry_max_ms=connection["retry_max_ms"],
            single_connection=connection["single_connection"],
            groups=groups,
            points=tuple(_point(one) for one in points),
            system=system,
        )


def _point(placed: Placed[PointShape]) -> ModbusPoint:
    shape = placed.shape
    return ModbusPoint(
        name=placed.name,
        tag=placed.tag,
        table=shape.table,
        address=shape.address,
        registers=shape.registers,
        type=shape.type,
        word_order=shape.word_order,
        byte_order=shape.byte_order,
        bit=shape.bit,
        scale=shape.scale,
        offset=shape.offset,
        not_implemented=shape.not_implemented,
        low=shape.low,
        high=shape.high,
        group=shape.group,
        writable=shape.write is not None,
    )
