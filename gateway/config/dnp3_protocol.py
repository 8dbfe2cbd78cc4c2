"""DNP3 devices of a site file: outstations that the site is the master of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config.common_point import CommonCheck, CommonShape
from gateway.config.dnp3_device import (
    AnalogForm,
    DevicePointKind,
    Dnp3Device,
    Dnp3Engine,
    Dnp3Point,
    Dnp3Transport,
    RelayCode,
)
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import BAUDS, ModbusSystemTags, PollGroup, SerialPort
from gateway.config.protocol import DeviceProtocol, Placed
from gateway.config.site_keys.devices.dnp3 import DNP3_DEVICE_POINT
from gateway.config.tls import files_of, read_tls
from gateway.tags.tag import ValueType

OWNER = "dnp3_master"
DOUBLE_BIT_STATES = {0: "intermediate", 1: "off", 2: "on", 3: "indeterminate"}
UTF8_BYTES_A_CHARACTER = 3  # a byte that is no UTF-8 becomes U+FFFD, three bytes
_K = DevicePointKind
_OUTPUTS = frozenset({_K.BINARY_OUTPUT, _K.ANALOG_OUTPUT})
_NUMBERS = frozenset({_K.COUNTER, _K.FROZEN_COUNTER, _K.ANALOG, _K.ANALOG_OUTPUT})


@dataclass(frozen=True, slots=True)
class Dnp3Shape(CommonShape):
    """A DNP3 point as every copy of its device has it."""

    kind: DevicePointKind
    index: int
    scale: float
    offset: float
    select: bool
    when_true: RelayCode
    when_false: RelayCode
    pulse_ms: int
    form: AnalogForm


@dataclass(frozen=True, slots=True)
class Dnp3Body:
    """What a device says for all its points; None where it is not known."""

    groups: tuple[PollGroup, ...] | None
    engine: Dnp3Engine | None


class Dnp3Protocol(DeviceProtocol[Dnp3Body, Dnp3Shape]):
    """``protocol: dnp3``."""

    name = "dnp3"
    owner = OWNER

    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> Dnp3Body:
        if groups is not None and len(groups) > 1:
            faults.add(
                settings.at("groups"),
                f"{len(groups)} groups of a DNP3 device",
                "write one: how often events are asked for",
            )
        if connection is not None:
            _check_connection(connection, faults)
        return Dnp3Body(groups, None if connection is None else connection["engine"])

    def point(self, name: ScalarNode, node: Node, body: Dnp3Body, reading: Reading) -> Dnp3Shape | None:
        s = DNP3_DEVICE_POINT.read(node, name.text, reading)
        if not isinstance(s, Settings):
            return None
        check = CommonCheck(name, s, body.groups, reading.faults)
        check.is_sound = s.is_sound(*(key.name for key in DNP3_DEVICE_POINT.keys))
        kind: DevicePointKind | None = s["type"]
        if kind is None:
            return None
        title = f"a point of type '{kind}'"
        if kind is _K.OCTET_STRING and body.engine is Dnp3Engine.DNP3_PYTHON:
            check.add("type", f"{title}, which the engine dnp3-python can not read", "write 'engine: yadnp3'")
        if kind not in _NUMBERS:
            for key in ("scale", "offset"):
                check.refuse(key, f"{title}, which is no number")
        if kind is not _K.BINARY_OUTPUT:
            for key in ("when_true", "when_false", "pulse_ms"):
                check.refuse(key, title)
        if kind is not _K.ANALOG_OUTPUT:
            check.refuse("form", title)
        if kind is not _K.OCTET_STRING:
            check.refuse("length", title)
        elif "length" not in s:
            check.add("length", "a string without 'length'", "add 'length: ...', in octets")
        value_type = self._value_type(kind, s)
        common = check.shape(
            value_type,
            title,
            is_writable=kind in _OUTPUTS,
            string_bytes=(s["length"] or 0) * UTF8_BYTES_A_CHARACTER if kind is _K.OCTET_STRING else 0,
            states=DOUBLE_BIT_STATES if kind is _K.DOUBLE_BIT else None,
        )
        if common is None or s["index"] is None:
            return None
        return Dnp3Shape(
            **{field: getattr(common, field) for field in CommonShape.__dataclass_fields__},
            kind=kind,
            index=s["index"],
            scale=s["scale"],
            offset=s["offset"],
            select=s["select"],
            when_true=s["when_true"],
            when_false=s["when_false"],
            pulse_ms=s["pulse_ms"],
            form=s["form"],
        )

    @staticmethod
    def _value_type(kind: DevicePointKind, s: Settings) -> ValueType:
        if kind in (_K.BINARY, _K.BINARY_OUTPUT):
            return ValueType.BOOL
        if kind is _K.OCTET_STRING:
            return ValueType.STRING
        if kind is _K.DOUBLE_BIT:
            return ValueType.UINT64
        if kind in (_K.COUNTER, _K.FROZEN_COUNTER) and s["scale"] == 1.0 and s["offset"] == 0.0:
            return ValueType.UINT64
        return ValueType.DOUBLE

    def check(self, shapes: Sequence[Dnp3Shape], faults: FaultLog) -> None:
        known: dict[tuple[DevicePointKind, int], Dnp3Shape] = {}
        for shape in shapes:
            first = known.setdefault((shape.kind, shape.index), shape)
            if first is not shape:
                faults.add(
                    shape.place,
                    f"{quote(shape.name)} is {shape.kind} {shape.index}, as {quote(first.name)}",
                    "give it another index, or remove one of the two",
                )

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[Dnp3Shape]],
        system: ModbusSystemTags,
    ) -> Dnp3Device:
        transport: Dnp3Transport = connection["transport"]
        return Dnp3Device(
            name=name,
            engine=connection["engine"],
            host=connection["host"] or "",
            port=connection["port"],
            serial=_serial_port(connection) if transport is Dnp3Transport.SERIAL else None,
            tls=files_of(connection) if transport is Dnp3Transport.TLS else None,
            names=tuple(connection["names"] or (connection["host"] or "",)),
            address=connection["address"],
            master_address=connection["master_address"],
            timeout_ms=connection["timeout_ms"],
            retry_max_ms=connection["retry_max_ms"],
            integrity_s=connection["integrity_s"],
            time_sync=connection["time_sync"],
            keep_alive_ms=connection["keep_alive_ms"],
            unsolicited=connection["unsolicited"],
            groups=groups,
            points=tuple(_point(one) for one in points),
            system=system,
        )


def _check_connection(connection: Settings, faults: FaultLog) -> None:
    if connection["address"] == connection["master_address"]:
        faults.add(
            connection.at("address"),
            f"'address' is {connection['address']}, as 'master_address'",
            "write the outstation's link address",
        )
    transport: Dnp3Transport | None = connection["transport"]
    if connection["engine"] is Dnp3Engine.DNP3_PYTHON and transport in (
        Dnp3Transport.TLS,
        Dnp3Transport.SERIAL,
    ):
        faults.add(
            connection.at("transport"),
            f"'transport' is {transport}, and 'engine' dnp3-python, which speaks TCP alone here",
            "write 'engine: yadnp3', or 'transport: tcp'",
        )
    baud: int | None = connection["baud"]
    if transport is Dnp3Transport.SERIAL and baud is not None and baud not in BAUDS:
        rates = ", ".join(map(str, BAUDS))
        faults.add(
            connection.at("baud"), f"'baud' is {baud}, which ports do not have", f"write one of {rates}"
        )
    if transport is Dnp3Transport.TLS:
        read_tls(connection, faults)
        if connection["names"] is not None and not connection["names"]:
            faults.add(connection.at("names"), "'names' is empty", "name the outstation, or remove 'names'")


def _serial_port(connection: Settings) -> SerialPort:
    return SerialPort(
        connection["serial"], connection["baud"], connection["parity"], connection["stop_bits"], data_bits=8
    )


def _point(placed: Placed[Dnp3Shape]) -> Dnp3Point:
    shape = placed.shape
    return Dnp3Point(
        name=placed.name,
        tag=placed.tag,
        kind=shape.kind,
        index=shape.index,
        scale=shape.scale,
        offset=shape.offset,
        low=shape.low,
        high=shape.high,
        writable=shape.write is not None,
        select=shape.select,
        when_true=shape.when_true,
        when_false=shape.when_false,
        pulse_ms=shape.pulse_ms,
        form=shape.form,
    )
