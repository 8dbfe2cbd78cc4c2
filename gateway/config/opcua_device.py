"""An OPC UA server that the site asks, as typed values: what the client needs to know of it and its nodes."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.tags.tag import ValueType

NODE = (
    r"(?:ns=[0-9]{1,5};|nsu=[^;\s]+;)?"
    r"(?:i=[0-9]{1,10}|s=[^\r\n]+|g=[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|b=[A-Za-z0-9+/]+={0,2})"
)
NODE_GRAMMAR = "a node: ns=2;s=Genset.Power, nsu=urn:maker:genset;s=Power or ns=2;i=1001"
FIELD = r"(?:[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,9}\])(?:\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,9}\])*"
FIELD_GRAMMAR = "the path of a field: state.phases[2], or [0]"
COMMANDED = "value"  # stands, among a method's arguments, for what was commanded
_FIELD_STEP = re.compile(r"\[([0-9]+)\]|([A-Za-z_][A-Za-z0-9_]*)")

Literal = bool | int | float | str


class NodeKind(StrEnum):
    """Kinds of identifier (OPC 10000-6, 5.2.2.9)."""

    NUMERIC = "i"
    STRING = "s"
    GUID = "g"
    OPAQUE = "b"


class ReadBy(StrEnum):
    """How values come."""

    SUBSCRIPTION = "subscription"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A NodeId. ``namespace`` is an index, or the namespace's URI, whose index a restart may change."""

    namespace: int | str
    kind: NodeKind
    identifier: int | str | bytes | uuid.UUID

    def __str__(self) -> str:
        space = f"ns={self.namespace};" if isinstance(self.namespace, int) else f"nsu={self.namespace};"
        shown = self.identifier
        if isinstance(shown, bytes):
            shown = base64.b64encode(shown).decode()
        return f"{'' if self.namespace == 0 else space}{self.kind}={shown}"


def node_address(text: str) -> NodeAddress:
    """What NODE matches, as OPC 10000-6, 5.3.1.10 writes it. Raises ValueError where a number is too large."""
    space, _, rest = (
        text.rpartition(";") if not re.match(r"(?:nsu?=[^;]+;)?s=", text) else _split_string(text)
    )
    namespace: int | str = 0
    if space.startswith("ns="):
        namespace = int(space[3:])
        if namespace > 0xFFFF:
            raise ValueError(f"the namespace {namespace} is beyond 65535")
    elif space:
        namespace = space[4:]
    kind, identifier = NodeKind(rest[0]), rest[2:]
    if kind is NodeKind.NUMERIC:
        if int(identifier) > 0xFFFF_FFFF:
            raise ValueError(f"the identifier {identifier} is beyond 4294967295")
        return NodeAddress(namespace, kind, int(identifier))
    if kind is NodeKind.GUID:
        return NodeAddress(namespace, kind, uuid.UUID(identifier))
    if kind is NodeKind.OPAQUE:
        try:
            return NodeAddress(namespace, kind, base64.b64decode(identifier, validate=True))
        except binascii.Error:
            raise ValueError("the identifier is not base64") from None
    return NodeAddress(namespace, kind, identifier)


def _split_string(text: str) -> tuple[str, str, str]:
    """A string identifier may hold ';' itself."""
    if text.startswith("s="):
        return "", "", text
    return text.partition(";")


def field_path(text: str) -> tuple[str | int, ...]:
    """The steps of a path: names of fields, and places in arrays from 0."""
    return tuple(int(index) if index else name for index, name in _FIELD_STEP.findall(text))


@dataclass(frozen=True, slots=True)
class OpcUaMethod:
    """A method that a command calls. Among its arguments `COMMANDED` stands for the value."""

    object: NodeAddress
    method: NodeAddress
    arguments: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class OpcUaPoint:
    """A node, or a part of one, that is a tag. Engineering value = raw * scale + offset for DOUBLE.

    ``tag`` is the image index, ``node`` what is read (None: what was commanded counts). ``sampling_ms`` None: the
    group's period. ``absolute_deadband`` is in the node's own unit, ``percent_deadband`` of its EURange. A command
    calls ``method`` (``method_false`` for false) where there is one, else it writes the node.
    """

    name: str
    tag: int
    type: ValueType
    string_bytes: int
    node: NodeAddress | None
    field: tuple[str | int, ...]
    read: ReadBy
    sampling_ms: int | None
    queue: int
    absolute_deadband: float | None
    percent_deadband: float | None
    scale: float
    offset: float
    low: float | None
    high: float | None
    group: int
    writable: bool
    method: OpcUaMethod | None
    method_false: OpcUaMethod | None


@dataclass(frozen=True, slots=True)
class OpcUaSystemTags:
    """Image indexes of what a device's own tags have beyond those of every protocol. All are UINT64."""

    notifications: int
    monitored: int
    refused_nodes: int
    rebuilds: int
    overflows: int


@dataclass(frozen=True, slots=True)
class OpcUaDevice:
    """A server behind one URL. ``security`` is Policy:Mode or None; a group is one subscription.

    The password is in the file ``password_file`` or in the environment's ``password_variable``.
    """

    name: str
    url: str
    security: str
    trusts_all: bool  # any sound certificate of the server, not only those trusted
    user: str | None
    password_file: Path | None
    password_variable: str | None
    timeout_ms: int
    retry_max_ms: int
    verify_s: int
    groups: tuple[PollGroup, ...]
    points: tuple[OpcUaPoint, ...]
    system: ModbusSystemTags
    own: OpcUaSystemTags
