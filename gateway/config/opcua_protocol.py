"""OPC UA devices of a site file: servers that the site is a client of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.common_point import CommonCheck, CommonShape
from gateway.config.document import Hole, Node, ScalarNode
from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.config.opcua_device import (
    NodeAddress,
    OpcUaDevice,
    OpcUaMethod,
    OpcUaPoint,
    OpcUaSystemTags,
    ReadBy,
    field_path,
    node_address,
)
from gateway.config.protocol import DeviceProtocol, Placed
from gateway.config.site import Trust
from gateway.config.site_keys.devices.opcua import OPCUA_METHOD, OPCUA_POINT
from gateway.tags.tag import ValueType

TYPES = {
    "bool": ValueType.BOOL,
    "int64": ValueType.INT64,
    "uint64": ValueType.UINT64,
    "float64": ValueType.DOUBLE,
    "string": ValueType.STRING,
}
NO_SECURITY = "None"
_SUBSCRIBED = ("sampling_ms", "queue", "absolute_deadband", "percent_deadband")
_READ = ("field", "read", *_SUBSCRIBED)


@dataclass(frozen=True, slots=True)
class OpcUaBody:
    """What all points of a device share."""

    groups: tuple[PollGroup, ...] | None
    read: ReadBy | None


@dataclass(frozen=True, slots=True)
class OpcUaShape(CommonShape):
    """An OPC UA point as every copy of its device has it."""

    node: NodeAddress | None
    field: tuple[str | int, ...]
    read: ReadBy
    sampling_ms: int | None
    queue: int
    absolute_deadband: float | None
    percent_deadband: float | None
    scale: float
    offset: float
    method: OpcUaMethod | None
    method_false: OpcUaMethod | None


class OpcUaProtocol(DeviceProtocol[OpcUaBody, OpcUaShape]):
    """``protocol: opcua``."""

    name = "opcua"
    system = (
        ("notifications", ValueType.UINT64, "", 0, "Values that subscriptions brought, since the start"),
        ("monitored", ValueType.UINT64, "", 0, "Monitored items that the server has for us"),
        (
            "refused_nodes",
            ValueType.UINT64,
            "",
            0,
            "Points that the server refuses, or whose value does not fit",
        ),
        ("rebuilds", ValueType.UINT64, "", 0, "Subscriptions that were found dead, and made anew"),
        ("overflows", ValueType.UINT64, "", 0, "Values before which the server had to drop some"),
    )

    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> OpcUaBody:
        if connection is None:
            return OpcUaBody(groups, None)
        has_password = [key for key in ("password_file", "password_variable") if key in connection]
        if len(has_password) > 1:
            faults.add(
                connection.key_at("password_variable"),
                "'password_variable' beside 'password_file'",
                "remove one of the two",
            )
        if "user" in connection and not has_password:
            faults.add(
                connection.key_at("user"),
                "a user without a password",
                "add 'password_file: ...' or 'password_variable: ...'; the password itself is not written here",
            )
        if "user" not in connection:
            for key in has_password:
                faults.add(
                    connection.key_at(key), f"{quote(key)} without 'user'", "add 'user: ...', or remove it"
                )
        return OpcUaBody(groups, connection["read"])

    def point(self, name: ScalarNode, node: Node, body: OpcUaBody, reading: Reading) -> OpcUaShape | None:
        s = OPCUA_POINT.read(node, name.text, reading)
        if not isinstance(s, Settings):
            return None
        check = CommonCheck(name, s, body.groups, reading.faults)
        check.is_sound = s.is_sound(*(key.name for key in OPCUA_POINT.keys))
        if s["type"] is None or body.read is None:
            return None
        value_type = TYPES[s["type"]]
        title = f"a point of type '{s['type']}'"
        address = _address(s, "node", check)
        method, method_false = (_method(s, key, check, reading) for key in ("method", "method_false"))
        self._check_keys(check, s, title, value_type)
        read = s["read"] or body.read
        if read is ReadBy.POLL:
            for key in _SUBSCRIBED:
                check.refuse(key, "a point that is polled")
        if s["absolute_deadband"] is not None:
            check.refuse("percent_deadband", "a point with 'absolute_deadband'")
        path = field_path(s["field"]) if s["field"] is not None else ()
        if (
            s["write"] is not None
            and method is None
            and (len(path) > 1 or any(isinstance(p, str) for p in path))
        ):
            check.add(
                "write",
                f"'write' of the field {quote(s['field'])} of a structure",
                "remove it, or add a 'method'; only whole values and elements of arrays can be written",
            )
        common = check.shape(
            value_type,
            title,
            is_writable=True,
            string_bytes=s["length"] if value_type is ValueType.STRING and s["length"] is not None else 0,
        )
        if common is None or (s["node"] is not None and address is None):
            return None
        return OpcUaShape(
            **{field: getattr(common, field) for field in CommonShape.__dataclass_fields__},
            node=address,
            field=path,
            read=read,
            sampling_ms=s["sampling_ms"],
            queue=s["queue"],
            absolute_deadband=s["absolute_deadband"],
            percent_deadband=s["percent_deadband"],
            scale=s["scale"],
            offset=s["offset"],
            method=method,
            method_false=method_false,
        )

    @staticmethod
    def _check_keys(check: CommonCheck, s: Settings, title: str, value_type: ValueType) -> None:
        if value_type is not ValueType.DOUBLE:
            for key in ("scale", "offset"):
                check.refuse(key, f"{title}; a scaled number is float64")
        if value_type in (ValueType.BOOL, ValueType.STRING):
            for key in ("absolute_deadband", "percent_deadband"):
                check.refuse(key, f"{title}, which is no number")
        if value_type is not ValueType.STRING:
            check.refuse("length", title)
        if "node" not in s:
            if "method" not in s:
                check.add("node", "a point without 'node'", "add 'node: ...', or 'method: ...' for a command")
            for key in _READ:
                check.refuse(key, "a point without 'node'")
        if "method" in s:
            if "write" not in s:
                check.add(
                    "method", "'method' of a point without 'write'", "add 'write: {...}': who may call it"
                )
            if value_type is not ValueType.BOOL:
                check.refuse("method_false", title)
        else:
            check.refuse("method_false", "a point without 'method'")

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[OpcUaShape]],
        system: ModbusSystemTags,
    ) -> OpcUaDevice:
        file: str | None = connection["password_file"]
        path: Path | None = None
        if file is not None:
            path = Path(os.path.normpath(connection.at("password_file").file.parent / file))
        first = system.last_error + 1
        return OpcUaDevice(
            name=name,
            url=connection["url"],
            security=connection["security"],
            trusts_all=connection["trust"] is Trust.ALL,
            user=connection["user"],
            password_file=path,
            password_variable=connection["password_variable"],
            timeout_ms=connection["timeout_ms"],
            retry_max_ms=connection["retry_max_ms"],
            verify_s=connection["verify_s"],
            groups=groups,
            points=tuple(_point(one) for one in points),
            system=system,
            own=OpcUaSystemTags(*range(first, first + len(self.system))),
        )


def _address(s: Settings, key: str, check: CommonCheck) -> NodeAddress | None:
    if s[key] is None:
        return None
    try:
        return node_address(s[key])
    except ValueError as error:
        check.add(key, f"{quote(key)} is {quote(s[key])}: {error}", "mend the NodeId")
        return None


def _method(s: Settings, key: str, check: CommonCheck, reading: Reading) -> OpcUaMethod | None:
    said: Settings | None = s[key]
    if said is None or isinstance(said, Hole) or not said.is_sound(*(one.name for one in OPCUA_METHOD.keys)):
        return None
    found: list[NodeAddress] = []
    for part in ("object", "method"):
        try:
            found.append(node_address(said[part]))
        except ValueError as error:
            check.is_sound = False
            reading.faults.add(
                said.at(part), f"{quote(part)} is {quote(said[part])}: {error}", "mend the NodeId"
            )
    if len(found) < 2:
        return None
    return OpcUaMethod(found[0], found[1], said["arguments"])


def _point(placed: Placed[OpcUaShape]) -> OpcUaPoint:
    shape = placed.shape
    copied: dict[str, Any] = {
        name: getattr(shape, name)
        for name in OpcUaPoint.__dataclass_fields__
        if name not in ("name", "tag", "type", "writable")
    }
    return OpcUaPoint(
        name=placed.name, tag=placed.tag, type=shape.value_type, writable=shape.write is not None, **copied
    )
