"""Keys of ``servers``, with those of the OPC UA server and the HMI."""

from __future__ import annotations

from gateway.config.kinds import Choice, Key, ListOf, Section, choice
from gateway.config.site import HmiSettings, OpcUaSettings, Trust
from gateway.config.site_keys.devices.opcua import SECURITY
from gateway.config.site_keys.servers.dnp3 import DNP3
from gateway.config.site_keys.servers.modbus import MODBUS_SERVER
from gateway.config.site_keys.values import HOST, PORT

_OPCUA = OpcUaSettings()
_HMI = HmiSettings()
OPCUA = Section(
    "the OPC UA server",
    (
        Key("host", HOST, "Address it listens on.", _OPCUA.host),
        Key("port", PORT, "TCP port it listens on.", _OPCUA.port),
        Key(
            "security",
            ListOf(Choice((*SECURITY, "None")), f"a list of policies with their mode: [{SECURITY[0]}]"),
            "Policies and modes a client may use, as Policy:Mode; None is neither signed nor encrypted.",
            _OPCUA.security,
        ),
        Key(
            "trust",
            choice(Trust),
            "Which client certificates are accepted: those in the state folder's pki/trusted, or all.",
            _OPCUA.trust,
        ),
    ),
)

HMI = Section(
    "the HMI",
    (
        Key("host", HOST, "Address it listens on.", _HMI.host),
        Key("port", PORT, "TCP port it listens on.", _HMI.port),
    ),
)

SERVERS = Section(
    "the servers",
    (
        Key("opcua", OPCUA, "OPC UA server; absent, it does not run.", None),
        Key("hmi", HMI, "Operator's pages; absent, they are not served.", None),
        Key("dnp3", DNP3, "DNP3 outstation for utilities' masters; absent, it does not run.", None),
        Key("modbus", MODBUS_SERVER, "Modbus TCP server; absent, it does not run.", None),
    ),
)
