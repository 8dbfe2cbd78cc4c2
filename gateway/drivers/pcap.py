"""Frames as a capture that Wireshark and tshark read (the classic pcap format, times in ns). Pure but for the file.

A ring holds what a protocol's own octets were, not the packets around them: those are made up. A connection goes from
192.0.2.1 (us) to the device, whose side has the protocol's own port whatever it really is, so that the octets are
recognised; each new connection has a port of its own on our side.

    header   a1b23c4d  0002 0004  0 0  65535  link type             24 octets, in the order of this machine
    record   seconds  ns  octets kept  octets there were             16, then the octets
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import BinaryIO, Protocol

from gateway.drivers.trace import Way

RAW_IP, RTAC_SERIAL, SOCKETCAN = 101, 250, 227  # link types, as tcpdump.org lists them
_MAGIC_NS = 0xA1B23C4D
_SNAPSHOT = 65_535
_SECOND_NS = 1_000_000_000
_US, _DEVICE = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")  # RFC 5737
_FIRST_PORT = 49_152  # RFC 6335: dynamic ports
_ACK, _PUSH = 0x10, 0x08
_TCP = 6
_SERIAL_SENT, _SERIAL_RECEIVED = 0x01, 0x02  # RTAC: start of what is transmitted, of what is received


class Wrapping(Protocol):
    """What is made up around a protocol's octets."""

    link: int

    def restart(self) -> None:
        """A new connection."""

    def packet(self, at_ns: int, way: Way, octets: bytes) -> bytes: ...


class Pcap:
    """Writes to an open file."""

    def __init__(self, file: BinaryIO, wrapping: Wrapping) -> None:
        self._file = file
        self._wrapping = wrapping
        file.write(struct.pack("=IHHiIII", _MAGIC_NS, 2, 4, 0, 0, _SNAPSHOT, wrapping.link))
        file.flush()

    def write(self, at_ns: int, way: Way, octets: bytes) -> None:
        if way is Way.NOTE:
            self._wrapping.restart()
            return
        packet = self._wrapping.packet(at_ns, way, octets)
        seconds, ns = divmod(at_ns, _SECOND_NS)
        self._file.write(struct.pack("=IIII", seconds, ns, len(packet), len(packet)) + packet)
        self._file.flush()  # somebody may be looking


class TcpWrapping:
    """IPv4 and TCP without their handshakes."""

    link = RAW_IP

    def __init__(self, where: str, port: int) -> None:
        try:
            self._device = IPv4Address(where.rpartition(":")[0])
        except ValueError:
            self._device = _DEVICE
        self._port = port
        self._ours = _FIRST_PORT
        self._next = {Way.SENT: 1, Way.RECEIVED: 1}  # sequence numbers
        self._is_used = False

    def restart(self) -> None:
        if self._is_used:
            self._ours = _FIRST_PORT + (self._ours + 1 - _FIRST_PORT) % (0x1_0000 - _FIRST_PORT)
            self._next = {Way.SENT: 1, Way.RECEIVED: 1}
            self._is_used = False

    def packet(self, at_ns: int, way: Way, octets: bytes) -> bytes:
        self._is_used = True
        is_ours = way is Way.SENT
        source, target = (_US, self._device) if is_ours else (self._device, _US)
        ports = (self._ours, self._port) if is_ours else (self._port, self._ours)
        sequence, seen = self._next[way], self._next[Way.RECEIVED if is_ours else Way.SENT]
        self._next[way] = (sequence + len(octets)) & 0xFFFF_FFFF
        tcp = struct.pack(">HHIIBBHHH", *ports, sequence, seen, 0x50, _ACK | _PUSH, 0xFFFF, 0, 0)
        pseudo = source.packed + target.packed + struct.pack(">BBH", 0, _TCP, len(tcp) + len(octets))
        tcp = tcp[:16] + _checksum(pseudo + tcp + octets) + tcp[18:]
        length = 20 + len(tcp) + len(octets)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, _TCP, 0) + source.packed + target.packed
        return ip[:10] + _checksum(ip) + ip[12:] + tcp + octets


class SerialWrapping:
    """A line as SEL's RTAC captures it: the one link type for serial lines with their direction that is known.

    In Wireshark choose "Decode as" Modbus RTU, in tshark `-d rtacser.data,mbrtu`.
    """

    link = RTAC_SERIAL

    def restart(self) -> None:
        """Lines have no connections."""

    def packet(self, at_ns: int, way: Way, octets: bytes) -> bytes:
        seconds, ns = divmod(at_ns, _SECOND_NS)
        event = _SERIAL_SENT if way is Way.SENT else _SERIAL_RECEIVED
        return struct.pack(">IIBBH", seconds, ns // 1000, event, 0, 0) + octets


class CanWrapping:
    """SocketCAN frames, which a ring of CAN holds as they are: identifier u32 BE | length | flags | 0 0 | data."""

    link = SOCKETCAN

    def restart(self) -> None:
        """Buses have no connections."""

    def packet(self, at_ns: int, way: Way, octets: bytes) -> bytes:
        return octets


def _checksum(octets: bytes) -> bytes:
    """RFC 1071."""
    padded = octets + b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)
