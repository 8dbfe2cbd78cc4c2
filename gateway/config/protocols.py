"""Every protocol that devices of a site file may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config.can_canopen_protocol import CanopenProtocol
from gateway.config.can_j1939_protocol import J1939Protocol
from gateway.config.can_protocol import CanProtocol
from gateway.config.dnp3_protocol import Dnp3Protocol
from gateway.config.modbus_protocol import ModbusProtocol
from gateway.config.opcua_protocol import OpcUaProtocol
from gateway.config.protocol import DeviceProtocol
from gateway.config.site_keys.devices.section import PROTOCOL_KEYS

_ALL: tuple[DeviceProtocol[Any, Any], ...] = (
    ModbusProtocol(),
    Dnp3Protocol(),
    CanProtocol(),
    J1939Protocol(),
    CanopenProtocol(),
    OpcUaProtocol(),
)
PROTOCOLS: Mapping[str, DeviceProtocol[Any, Any]] = {one.name: one for one in _ALL}
assert PROTOCOLS.keys() == PROTOCOL_KEYS.keys()
