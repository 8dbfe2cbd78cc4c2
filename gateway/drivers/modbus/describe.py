"""Frames of Modbus as a line of text each. Pure; for who looks at a trace, never on the way of a poll.

An answer does not say what was asked: each is read with the request that it belongs to, by transaction where there is
one, else by order. What comes may be cut anywhere: a frame is told when its last octet is there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pymodbus.framer import FramerAscii, FramerRTU

from gateway.drivers.modbus.client import ERROR_FLAG, ExceptionAnswerError
from gateway.drivers.trace import Way

_OPEN_REQUESTS = 64  # whose answers may still come
_MOST_HEARD = 2_048  # octets of a frame that never ends
_HEAD = 6  # octets of Modbus TCP before those that its length counts
_TABLES: Final = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_NAMES: Final = {7: "read exception status", 8: "diagnostics", 17: "report server id", 43: "encapsulated"}


class TcpDescriber:
    """Frames with Modbus TCP's head."""

    def __init__(self) -> None:
        self._heard = {Way.SENT: b"", Way.RECEIVED: b""}
        self._asked: OrderedDict[int, bytes] = OrderedDict()

    def restart(self) -> None:
        """A new connection: nothing of the one before belongs to it."""
        self._heard = dict.fromkeys(self._heard, b"")
        self._asked.clear()

    def describe(self, way: Way, octets: bytes) -> str:
        """What these octets bring."""
        heard = (self._heard[way] + octets)[-_MOST_HEARD:]
        told: list[str] = []
        while len(heard) > _HEAD:
            length = int.from_bytes(heard[4:6], "big")
            if heard[2:4] != b"\0\0" or length < 2:
                self._heard[way] = b""
                return "; ".join([*told, "not Modbus TCP"])
            if len(heard) < _HEAD + length:
                break
            told.append(self._frame(way, heard[: _HEAD + length]))
            heard = heard[_HEAD + length :]
        self._heard[way] = heard
        if heard:
            told.append(f"{len(heard)} octets of a frame that goes on")
        return "; ".join(told)

    def _frame(self, way: Way, frame: bytes) -> str:
        transaction, unit, pdu = int.from_bytes(frame[:2], "big"), frame[6], frame[7:]
        title = f"unit {unit} #{transaction} "
        if way is Way.SENT:
            self._asked[transaction] = pdu
            if len(self._asked) > _OPEN_REQUESTS:
                self._asked.popitem(last=False)
            return title + describe_request(pdu)
        request = self._asked.pop(transaction, None)
        return title + describe_answer(pdu, request)


class LineDescriber:
    """Frames of a serial line, RTU or ASCII."""

    def __init__(self, *, is_rtu: bool) -> None:
        self._is_rtu = is_rtu
        self._heard = b""
        self._asked: tuple[int, bytes] | None = None  # unit, request

    def restart(self) -> None:
        self._heard, self._asked = b"", None

    def describe(self, way: Way, octets: bytes) -> str:
        if way is Way.SENT:
            self._heard = b""
            found = self._frame_of(octets)
            if found is None:
                return "no frame"
            unit, pdu = self._asked = found
            return f"unit {unit} {describe_request(pdu)}"
        self._heard = (self._heard + octets)[-_MOST_HEARD:]
        found = self._frame_of(self._heard)
        if found is None:
            return f"{len(self._heard)} octets that are no frame, or not yet"
        unit, pdu = found
        request = self._asked[1] if self._asked is not None and self._asked[0] == unit else None
        self._heard, self._asked = b"", None
        return f"unit {unit} {describe_answer(pdu, request)}"

    def _frame_of(self, octets: bytes) -> tuple[int, bytes] | None:
        if self._is_rtu:
            is_right = len(octets) >= 4 and FramerRTU.check_CRC(
                octets[:-2], int.from_bytes(octets[-2:], "big")
            )
            return (octets[0], octets[1:-2]) if is_right else None
        text = octets.strip()
        try:
            frame = bytes.fromhex(text[1:].decode("ascii")) if text[:1] == b":" else b""
        except ValueError:  # UnicodeDecodeError is one
            return None
        if len(frame) < 3 or not FramerAscii.check_LRC(frame[:-1], frame[-1]):
            return None
        return frame[0], frame[1:-1]


def describe_request(pdu: bytes) -> str:
    """A request, or what comes nearest."""
    function, address, count = pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    match function:
        case 1 | 2 | 3 | 4 if len(pdu) == 5:
            return f"read {_TABLES[function]} {_span(address, count)}"
        case 5 if len(pdu) == 5:
            return (
                f"write coil {address} = {'on' if count == 0xFF00 else 'off' if count == 0 else hex(count)}"
            )
        case 6 if len(pdu) == 5:
            return f"write holding {address} = {count:04x}"
        case 15 if len(pdu) >= 6:
            return f"write coil {_span(address, count)} = {_bits(pdu[6:], count)}"
        case 16 if len(pdu) >= 6:
            return f"write holding {_span(address, count)} = {_words(pdu[6:])}"
        case 22 if len(pdu) == 7:
            return f"write holding {address}: and {count:04x} or {pdu[5:7].hex()}"
        case 23 if len(pdu) >= 10:
            written = _span(int.from_bytes(pdu[5:7], "big"), int.from_bytes(pdu[7:9], "big"))
            return f"read holding {_span(address, count)}, write holding {written} = {_words(pdu[10:])}"
    return f"function {function} ({_NAMES[function]})" if function in _NAMES else f"function {function}"


def describe_answer(pdu: bytes, request: bytes | None) -> str:
    """An answer with the request that it answers, where that is known."""
    function = pdu[0] & ~ERROR_FLAG
    about = "" if request is None else f" to {describe_request(request)}"
    if pdu[0] & ERROR_FLAG:
        return (
            f"{ExceptionAnswerError(pdu[1])}{about}"
            if len(pdu) == 2
            else f"an exception without a code{about}"
        )
    if request is not None and request[0] != pdu[0]:
        return f"function {function}{about}"
    is_read = request is not None and function in _TABLES and len(request) == 5
    if request is not None and is_read and len(pdu) > 1 and len(pdu) == 2 + pdu[1]:
        address, count = int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big")
        is_bits = function <= 2
        if pdu[1] == ((count + 7) // 8 if is_bits else 2 * count):
            value = _bits(pdu[2:], count) if is_bits else _words(pdu[2:])
            return f"{_TABLES[function]} {_span(address, count)}: {value}"
    if request is not None and function in (5, 6, 15, 16, 22):
        return f"done: {describe_request(request)}"
    return f"answer of function {function}, {len(pdu)} octets{about}"


def _span(address: int, count: int) -> str:
    return str(address) if count == 1 else f"{address}..{address + count - 1}"


def _bits(octets: bytes, count: int) -> str:
    shown = min(count, 8 * len(octets))
    return "".join(str(octets[at // 8] >> at % 8 & 1) for at in range(shown))


def _words(octets: bytes) -> str:
    return " ".join(octets[at : at + 2].hex() for at in range(0, len(octets), 2))
