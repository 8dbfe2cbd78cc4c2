"""RTU and ASCII frames, whose answers carry no transaction: over a serial port, or over TCP to a serial server.

An answer is taken only while one is waited for, from the unit asked, with the function, the length and (where it
repeats them) the address and count asked for, and with its check right. Whatever else comes is thrown away, and then
the line must fall quiet before the next request. pymodbus makes the frames and the checks; its decoders are left
out: the one of RTU takes the length from the bytes that came rather than from what was asked, so that one garbled
byte swallows what follows, and the one of ASCII raises at characters that are no hexadecimal digits.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU

from gateway.drivers.modbus.client import (
    ERROR_FLAG,
    ExceptionAnswerError,
    GarbledAnswerError,
    LinkLostError,
    ModbusError,
    NeverQuietError,
    NoAnswerError,
    NotOpenError,
    Request,
)
from gateway.drivers.trace import Ring

RTU_FRAMES, ASCII_FRAMES = "modbus-rtu", "modbus-ascii"  # what a ring of such a line holds
MAX_HEARD = (
    1_100  # bytes kept of what may become an answer: two of the longest ASCII frames, 513 characters each
)
# After anything but a clean answer. Adapters on USB hand over what they got up to 16 ms late (FTDI's latency timer),
# so that a shorter silence proves nothing.
SETTLE_S = 0.02
ABANDONED_STEP_S = (
    0.01  # how often to look whether a request that nobody waits for any more has been answered
)
EXCEPTION_BYTES = 2
RTU_OVERHEAD = 3  # the unit, and two bytes of check
SHOWN_BYTES = 12  # of a garbled answer, in the error text


class Framing(Protocol):
    """How a PDU becomes bytes on the line, and is found in them."""

    def encode(self, pdu: bytes, unit: int) -> bytes: ...

    def wire_bytes(self, pdu_bytes: int) -> int:
        """Length of a frame with a PDU so long."""

    def find(self, heard: bytes, unit: int, request: Request) -> tuple[bytes, bool] | None:
        """The PDU of the answer to ``request``, and whether nothing else was heard; None while there is none."""


class RtuFraming:
    """Modbus over Serial Line 1.02, 2.5.1."""

    def __init__(self) -> None:
        self._framer = FramerRTU(DecodePDU(False))

    def encode(self, pdu: bytes, unit: int) -> bytes:
        return self._framer.encode(pdu, unit, 0)

    def wire_bytes(self, pdu_bytes: int) -> int:
        return pdu_bytes + RTU_OVERHEAD

    def find(self, heard: bytes, unit: int, request: Request) -> tuple[bytes, bool] | None:
        refusal = bytes([unit, request.pdu[0] | ERROR_FLAG])
        for head, pdu_bytes in (
            (bytes([unit]) + request.answer_head, request.answer_bytes),
            (refusal, EXCEPTION_BYTES),
        ):
            size = pdu_bytes + RTU_OVERHEAD
            start = heard.find(head)
            while start >= 0 and start + size <= len(heard):
                check = start + size - 2
                if FramerRTU.check_CRC(heard[start:check], int.from_bytes(heard[check : check + 2], "big")):
                    return heard[start + 1 : check], size == len(heard)
                start = heard.find(head, start + 1)
        return None


class AsciiFraming:
    """Modbus over Serial Line 1.02, 2.5.2."""

    def __init__(self) -> None:
        self._framer = FramerAscii(DecodePDU(False))

    def encode(self, pdu: bytes, unit: int) -> bytes:
        return self._framer.encode(pdu, unit, 0)

    def wire_bytes(self, pdu_bytes: int) -> int:
        return 2 * (pdu_bytes + 2) + 3

    def find(self, heard: bytes, unit: int, request: Request) -> tuple[bytes, bool] | None:
        *lines, rest = heard.split(b"\r\n")
        for line in lines:
            start = line.rfind(b":")
            if start < 0:
                continue
            try:
                frame = bytes.fromhex(line[start + 1 :].decode("ascii"))
            except ValueError:  # UnicodeDecodeError is one
                continue
            if len(frame) < 3 or frame[0] != unit or not FramerAscii.check_LRC(frame[:-1], frame[-1]):
                continue
            pdu = frame[1:-1]
            if answers(pdu, request):
                return pdu, len(lines) == 1 and start == 0 and not rest
        return None


def answers(pdu: bytes, request: Request) -> bool:
    """Whether this can be the answer to ``request``, be it a refusal."""
    if len(pdu) == EXCEPTION_BYTES and pdu[0] == request.pdu[0] | ERROR_FLAG:
        return True
    return len(pdu) == request.answer_bytes and pdu.startswith(request.answer_head)


class Wire(Protocol):
    """What bytes go out by: a TCP transport of asyncio, or a serial port."""

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...


class UntaggedConnection(asyncio.Protocol):
    """One line, one request at a time (the caller takes turns): `quiet`, then `ask`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        framing: Framing,
        silence_s: float,
        character_s: float,
        ring: Ring,
    ) -> None:
        """``silence_s`` is kept before each request; ``character_s`` is a character's time, 0 where unknown."""
        self._loop = loop
        self._ring = ring
        self._framing = framing
        self._silence_s = silence_s
        self._character_s = character_s
        self._wire: Wire | None = None
        self._end: ModbusError | None = None
        self._heard = b""
        self._heard_at = loop.time()
        self._is_settled = False  # since the last clean answer nothing was heard
        self._unit = 0
        self._request: Request | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._end is None

    @property
    def end(self) -> ModbusError | None:
        """Why it is closed, None while it is open."""
        return self._end

    async def quiet(self, within_s: float) -> None:
        """Wait until the line may be spoken on. Raises NotOpenError; NeverQuietError where it may not in time.

        A request that nobody waits for any more is first given its time: its answer may be on the way.
        """
        limit: float | None = None
        while True:
            if self._end is not None:
                raise NotOpenError(str(self._end))
            now = self._loop.time()
            if self._request is not None:
                await asyncio.sleep(ABANDONED_STEP_S)
                continue
            at = self._heard_at + (self._silence_s if self._is_settled else max(self._silence_s, SETTLE_S))
            if now >= at:
                return
            limit = now + within_s + self._silence_s if limit is None else limit
            if now >= limit:
                raise NeverQuietError("the line is never quiet")
            await asyncio.sleep(at - now)

    def ask(self, request: Request, unit: int, timeout_s: float) -> asyncio.Future[bytes]:
        """Send; the future gives the answer's bytes after its head, or raises ModbusError.

        The time that the bytes of both take on the line comes on top of ``timeout_s``.
        """
        assert self._request is None, "one request at a time"
        answer: asyncio.Future[bytes] = self._loop.create_future()
        if self._end is not None:
            answer.set_exception(NotOpenError(str(self._end)))
            return answer
        assert self._wire is not None
        frame = self._framing.encode(request.pdu, unit)
        self._heard = b""
        self._is_settled = False
        self._unit = unit
        self._request = request
        self._answer = answer
        characters = len(frame) + self._framing.wire_bytes(request.answer_bytes)
        self._timer = self._loop.call_later(timeout_s + characters * self._character_s, self._give_up)
        self._ring.sent(frame)
        self._wire.write(frame)
        return answer

    def tell(self, request: Request, unit: int) -> float:
        """Send what nobody answers; how long it takes on the line, in seconds. Raises NotOpenError."""
        assert self._request is None, "one request at a time"
        if self._end is not None:
            raise NotOpenError(str(self._end))
        assert self._wire is not None
        frame = self._framing.encode(request.pdu, unit)
        self._ring.sent(frame)
        self._wire.write(frame)
        return len(frame) * self._character_s

    def close(self, why: ModbusError | None = None) -> None:
        """Give it up; whoever waits gets ``why``."""
        self._finish(why or LinkLostError("the connection was closed"))
        if self._wire is not None:
            self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(cast(asyncio.Transport, transport))

    def attach(self, wire: Wire) -> None:
        self._wire = wire
        self._ring.note("connected")

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(LinkLostError(f"connection lost: {exc}" if exc else "the device closed the connection"))

    def data_received(self, data: bytes) -> None:
        if self._end is not None:
            return
        self._ring.received(data)
        self._heard_at = self._loop.time()
        request = self._request
        if request is None:
            self._is_settled = False  # late, or noise: nobody asked for it
            return
        self._heard = (self._heard + data)[-MAX_HEARD:]
        found = self._framing.find(self._heard, self._unit, request)
        if found is None:
            return
        pdu, is_alone = found
        self._is_settled = is_alone
        answer = self._over()
        if answer.done():
            return
        if pdu[0] & ERROR_FLAG:
            answer.set_exception(ExceptionAnswerError(pdu[1]))
        else:
            answer.set_result(pdu[len(request.answer_head) :])

    def _over(self) -> asyncio.Future[bytes]:
        """The request is: what waits for it."""
        self._request = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        assert self._answer is not None
        return self._answer

    def _give_up(self) -> None:
        heard = self._heard
        answer = self._over()
        if answer.done():
            return
        if heard:
            shown = heard[:SHOWN_BYTES].hex(" ") + (" ..." if len(heard) > SHOWN_BYTES else "")
            answer.set_exception(GarbledAnswerError(f"no answer in what came in time: {shown}"))
        else:
            answer.set_exception(NoAnswerError("no answer in time"))

    def _finish(self, why: ModbusError) -> None:
        if self._end is None:
            self._end = why
            self._ring.note(str(why))
        if self._request is not None:
            answer = self._over()
            if not answer.done():
                answer.set_exception(self._end)


async def connect_untagged(
    host: str, port: int, timeout_s: float, silence_s: float, ring: Ring | None = None
) -> UntaggedConnection:
    """RTU frames over TCP. Raises LinkLostError."""
    loop = asyncio.get_running_loop()
    kept = ring or Ring(RTU_FRAMES, f"{host}:{port}")
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: UntaggedConnection(loop, RtuFraming(), silence_s, 0.0, kept), host, port
            )
    except TimeoutError:
        raise LinkLostError(f"no connection to {host}:{port} within {timeout_s:g} s") from None
    except OSError as error:
        raise LinkLostError(f"no connection to {host}:{port}: {error.strerror or error}") from None
    return connection
