"""Modbus devices of a site file."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import (
    BAUDS,
    BROADCAST_UNIT,
    MAX_SERIAL_UNIT,
    PORTS,
    SERIAL,
    TAGGED,
    ModbusDevice,
    ModbusPoint,
    ModbusSystemTags,
    Order,
    PollGroup,
    SerialPort,
    Transport,
)
from gateway.config.point import PointShape, read_point
from gateway.config.point_sets import check_proofs, report_overlaps
from gateway.config.protocol import DeviceProtocol, Placed
from gateway.config.register_check import Body
from gateway.config.site_keys.devices.modbus import MAX_READ_REGISTERS
from gateway.config.tls import files_of, read_tls


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
        if connection is not None and connection["transport"] is Transport.TLS:
            read_tls(connection, faults)
        elif connection is not None and connection["transport"] not in (None, *TAGGED):
            _check_line(connection, faults)
        limit = connection["max_registers"] if connection is not None else None
        return Body(
            groups,
            settings["word_order"] or Order.BIG,
            settings["byte_order"] or Order.BIG,
            limit or MAX_READ_REGISTERS,
            settings["addressing"] == "modicon",
            connection is not None and connection["broadcast"] is True,
        )

    def point(self, name: ScalarNode, node: Node, body: Body, reading: Reading) -> PointShape | None:
        return read_point(name, node, body, reading)

    def check(self, shapes: Sequence[PointShape], faults: FaultLog) -> None:
        report_overlaps(shapes, faults)
        check_proofs(shapes, faults)

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[PointShape]],
        system: ModbusSystemTags,
    ) -> ModbusDevice:
        transport: Transport = connection["transport"]
        host: str = connection["host"] or ""
        return ModbusDevice(
            name=name,
            transport=transport,
            serial=_serial_port(connection) if transport in SERIAL else None,
            turnaround_ms=connection["turnaround_ms"],
            host=host,
            port=connection["port"] or PORTS.get(transport, 0),
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
            tls=files_of(connection) if transport is Transport.TLS else None,
            names=(connection["names"] or (host,)) if transport is Transport.TLS else (),
            is_broadcast=connection["broadcast"],
        )


def _check_line(connection: Settings, faults: FaultLog) -> None:
    """What a line without Modbus TCP's head, or a serial port, cannot have."""
    transport: Transport = connection["transport"]
    unit, baud = connection["unit_id"], connection["baud"]
    if connection["broadcast"]:
        if unit is not None and unit != BROADCAST_UNIT:
            faults.add(connection.key_at("broadcast"), f"'broadcast' to unit {unit}", "write 'unit_id: 0'")
    elif unit is not None and not 1 <= unit <= MAX_SERIAL_UNIT:
        is_for_all = unit == BROADCAST_UNIT
        why = ", to which no device answers" if is_for_all else ", which serial lines reserve"
        more = ", or add 'broadcast: true' where all units are to be written to" if is_for_all else ""
        faults.add(
            connection.at("unit_id"),
            f"'unit_id' is {unit} by {transport}{why}",
            f"write 1 to {MAX_SERIAL_UNIT}{more}",
        )
    if transport in SERIAL and baud is not None and baud not in BAUDS:
        rates = ", ".join(str(rate) for rate in BAUDS)
        faults.add(
            connection.at("baud"), f"'baud' is {baud}, which ports do not have", f"write one of {rates}"
        )
    if transport is Transport.RTU and connection["data_bits"] == 7:
        faults.add(connection.at("data_bits"), "'data_bits' is 7 by rtu", "write 8, or 'transport: ascii'")


def _serial_port(connection: Settings) -> SerialPort:
    return SerialPort(
        connection["serial"],
        connection["baud"],
        connection["parity"],
        connection["stop_bits"],
        connection["data_bits"],
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
        scale_factor=shape.scale_factor,
        function=shape.function,
        verify=shape.verify,
    )
