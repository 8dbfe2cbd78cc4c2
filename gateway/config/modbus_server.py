"""The Modbus server of the site, as typed values: its doors, who may come through, and the register map of each unit.

Addresses are the protocol's own, 0-based (Modbus Application Protocol 1.1b3, 4.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from gateway.config.modbus import Order, RegisterType, Table
from gateway.config.tls import TlsFiles


class BadAs(StrEnum):
    """How a value of Bad quality is told."""

    PATTERN = "pattern"  # the point's "not implemented" pattern stands in its place
    EXCEPTION = "exception"  # the whole request gets an exception


@dataclass(frozen=True, slots=True)
class ServedPoint:
    """A tag in the registers (or the coil) of a unit.

    ``tag`` is its image index, ``name`` its name. Engineering value = raw * scale + offset. ``bit`` is 0..15 for a
    bit of a register, else None. ``not_implemented`` holds the raw pattern that tells of Bad quality, or nothing
    where ``bad`` is EXCEPTION. ``writable``: a write becomes a command.
    """

    name: str
    tag: int
    table: Table
    address: int
    registers: int
    type: RegisterType
    word_order: Order = Order.BIG
    byte_order: Order = Order.BIG
    bit: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    not_implemented: tuple[int, ...] = ()
    bad: BadAs = BadAs.PATTERN
    writable: bool = False


@dataclass(frozen=True, slots=True)
class ServedUnit:
    """What is behind one unit id: points that do not overlap."""

    unit_id: int
    description: str
    points: tuple[ServedPoint, ...]


@dataclass(frozen=True, slots=True)
class ModbusClient:
    """Who may connect: from ``networks``; commands are given as ``user``, where there is none they are refused.

    ``units`` are those that it sees, all where None. At a door with TLS its certificate says ``role``, or none where
    that is None.
    """

    name: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    user: str | None = None
    units: frozenset[int] | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class ModbusDoor:
    """One TCP port. The first of ``clients`` that an address (and, by TLS, a role) belongs to is who it is."""

    name: str
    host: str
    port: int
    clients: tuple[ModbusClient, ...]
    units: tuple[ServedUnit, ...]
    operate_timeout_ms: int = 4_000
    connections: int = 32
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class ModbusServer:
    """The `modbus` section of the servers."""

    doors: tuple[ModbusDoor, ...]
