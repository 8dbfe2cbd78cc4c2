"""CAN frames, as SocketCAN has them, as a line of text each. Pure; for who looks at a trace."""

from __future__ import annotations

from gateway.drivers.trace import Way

_EXTENDED, _REMOTE, _ERROR, _IDENTIFIER = 1 << 31, 1 << 30, 1 << 29, (1 << 29) - 1
_FD = 1 << 2
_HEAD = 8
_J1939_TO_ONE = 240  # PDU format below which a group goes to one address (SAE J1939-21, 5.2.3)


class CanDescriber:
    """Each frame stands for itself."""

    def restart(self) -> None:
        """Nothing is kept."""

    def describe(self, way: Way, octets: bytes) -> str:
        """Identifier, length and data; of the long identifiers, what J1939 has in them."""
        if len(octets) < _HEAD:
            return "no frame"
        word = int.from_bytes(octets[:4], "big")
        identifier = word & _IDENTIFIER
        if word & _ERROR:
            return f"error frame {identifier:X}: {octets[_HEAD:].hex(' ')}"
        name = f"{identifier:08X}{_group(identifier)}" if word & _EXTENDED else f"{identifier:03X}"
        if word & _REMOTE:
            return f"{name} asked for"
        kind = " FD" if octets[5] & _FD else ""
        return f"{name}{kind} [{octets[4]}] {octets[_HEAD:].hex(' ')}".rstrip()


def _group(identifier: int) -> str:
    """Parameter group, source, and where it goes to if it goes to one."""
    source, specific, pdu_format = identifier & 0xFF, identifier >> 8 & 0xFF, identifier >> 16 & 0xFF
    page = identifier >> 24 & 0x3
    is_to_one = pdu_format < _J1939_TO_ONE
    group = page << 16 | pdu_format << 8 | (0 if is_to_one else specific)
    return f" (group {group} from {source}{f' to {specific}' if is_to_one else ''})"
