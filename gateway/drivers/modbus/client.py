"""The wire: one Modbus TCP connection, maybe by TLS, and the requests of all transports.

Only this and `untagged` know pymodbus.

pymodbus encodes the requests and cuts the stream into frames. Its client and transaction manager are left out:
they retry writes, reconnect by themselves, take an answer with transaction id 0 or of another function code for
the one expected, drop a half-received late answer at the next send (which shifts all that follow), and unpack
every register into a Python int. Here an answer is taken only if all of its head is right; at any doubt the
connection is given up, since nothing after it on that stream can be trusted.

Exceptions::

    ModbusError
    ├── LinkLostError          the connection could not be made, or closed before the answer came
    │   └── NotOpenError       nothing was sent: there is no connection
    │       └── NeverQuietError    nor is there a line to speak on: others, or noise, fill it
    ├── BroadcastError         sent to all units of a line, of which none answers
    ├── NoAnswerError          nothing came in time
    │   └── GarbledAnswerError something came, but no answer; on a line where that says nothing of what follows
    ├── BadAnswerError         what came is no answer to what was asked; the connection was closed
    └── ExceptionAnswerError   the device answered with an exception code
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from gateway.config.modbus import Table
from gateway.config.tls import TlsError, TlsFiles, bears, client_context, tls_trouble
from gateway.drivers.trace import Ring

# pymodbus logs each oddity of a stream, with the last 20 frames; the driver counts them, and says the last one.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

TCP_FRAMES = "modbus-tcp"  # what a ring of this connection holds
HEADER_BYTES = 8  # MBAP and the function code: the least that can be judged
MAX_LENGTH_FIELD = 254  # Modbus Messaging on TCP/IP 1.0b, 3.1.3: unit id and a PDU of at most 253 bytes
MIN_LENGTH_FIELD = 2  # some devices count an exception answer one short, which pymodbus's framer mends
LAST_TRANSACTION = 0xFFFF
MAX_ABANDONED = 16  # late answers waited for; a device this far behind is better asked over a new connection
ERROR_FLAG = 0x80


class ExceptionCode(IntEnum):
    """Modbus Application Protocol 1.1b3, 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    DEVICE_BUSY = 6
    NEGATIVE_ACKNOWLEDGE = 7
    MEMORY_PARITY = 8
    GATEWAY_PATH = 10
    GATEWAY_TARGET = 11


class ModbusError(Exception):
    """Anything that kept a request from being answered as asked; the text is for an operator."""


class LinkLostError(ModbusError):
    """The connection could not be made, or closed before the answer came."""


class NotOpenError(LinkLostError):
    """Nothing was sent: there is no connection."""


class NeverQuietError(NotOpenError):
    """Nothing was sent: the line is never quiet."""


class BroadcastError(ModbusError):
    """Sent to all units of a line, of which none answers."""


class NoAnswerError(ModbusError):
    """Nothing came in time."""


class GarbledAnswerError(NoAnswerError):
    """Something came in time, but no answer; lines without Modbus TCP's head only, and they stay open."""


class BadAnswerError(ModbusError):
    """What came is no answer to what was asked; the connection was closed."""


class ExceptionAnswerError(ModbusError):
    """The device answered with an exception ``code``."""

    def __init__(self, code: int) -> None:
        try:
            name = ExceptionCode(code).name.lower().replace("_", " ")
        except ValueError:
            name = "unknown"
        super().__init__(f"exception {code} ({name})")
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """A PDU to send, and the head and length by which its normal answer is known."""

    pdu: bytes
    answer_head: bytes
    answer_bytes: int


_READS: dict[Table, type[ModbusPDU]] = {
    Table.COIL: ReadCoilsRequest,
    Table.DISCRETE: ReadDiscreteInputsRequest,
    Table.INPUT: ReadInputRegistersRequest,
    Table.HOLDING: ReadHoldingRegistersRequest,
}


def read_request(table: Table, address: int, count: int) -> Request:
    """Read ``count`` registers or bits. The answer's data: registers as they came, or bits packed low first."""
    pdu = _encode(_READS[table](address=address, count=count))
    data = (count + 7) // 8 if table in (Table.COIL, Table.DISCRETE) else 2 * count
    return Request(pdu, bytes([pdu[0], data]), 2 + data)


def write_coil_request(address: int, on: bool) -> Request:
    pdu = _encode(WriteSingleCoilRequest(address=address, bits=[on]))
    return Request(pdu, pdu[:3], 5)


def write_coils_request(address: int, on: list[bool]) -> Request:
    """Function 15."""
    pdu = _encode(WriteMultipleCoilsRequest(address=address, bits=on))
    return Request(pdu, pdu[:5], 5)


def write_register_request(address: int, data: bytes) -> Request:
    """Function 6. The echoed value is not judged: some devices echo what they made of it, and reading back tells."""
    pdu = _encode(WriteSingleRegisterRequest(address=address, registers=[int.from_bytes(data, "big")]))
    return Request(pdu, pdu[:3], 5)


def write_registers_request(address: int, data: bytes) -> Request:
    """Function 16, ``data`` in wire order."""
    registers = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    pdu = _encode(WriteMultipleRegistersRequest(address=address, registers=registers))
    return Request(pdu, pdu[:5], 5)


def mask_write_request(address: int, and_mask: int, or_mask: int) -> Request:
    """Function 22: register = (register and and_mask) or (or_mask and not and_mask)."""
    pdu = _encode(MaskWriteRegisterRequest(address=address, and_mask=and_mask, or_mask=or_mask))
    return Request(pdu, pdu[:3], 7)


def _encode(pdu: ModbusPDU) -> bytes:
    return bytes([pdu.function_code]) + pdu.encode()


async def connect(
    host: str,
    port: int,
    timeout_s: float,
    tls: TlsFiles | None = None,
    names: Sequence[str] = (),
    ring: Ring | None = None,
) -> Connection:
    """Open a connection; by TLS, to whose certificate is of one of ``names``. Raises LinkLostError."""
    loop = asyncio.get_running_loop()
    kept = ring or Ring(TCP_FRAMES, f"{host}:{port}")
    where = f"no TLS connection to {host}:{port}" if tls else f"no connection to {host}:{port}"
    name = names[0] if tls else None
    try:
        context = None if tls is None else client_context(tls)
        async with asyncio.timeout(timeout_s):
            transport, connection = await loop.create_connection(
                lambda: Connection(loop, kept, is_tls=tls is not None),
                host,
                port,
                ssl=context,
                server_hostname=name,
            )
    except TimeoutError:
        raise LinkLostError(f"{where} within {timeout_s:g} s") from None
    except TlsError as error:
        raise LinkLostError(f"{where}: {error}") from None
    except ssl.SSLError as error:
        raise LinkLostError(f"{where}: {tls_trouble(error)}") from None
    except OSError as error:
        raise LinkLostError(f"{where}: {error.strerror or error}") from None
    if tls is not None and not bears(transport.get_extra_info("ssl_object").getpeercert(), names):
        connection.close()
        raise LinkLostError(f"{where}: its certificate is not of {' or '.join(names)}")
    return connection


class Connection(asyncio.Protocol):
    """One connection, one request at a time (the caller takes turns)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Ring, *, is_tls: bool = False) -> None:
        self._loop = loop
        self._ring = ring
        self._is_tls = is_tls
        self._has_heard = False
        self._framer = FramerSocket(DecodePDU(False))
        self._transport: asyncio.Transport | None = None
        self._end: ModbusError | None = None  # why it is closed
        self._buffer = b""
        self._transaction = 0
        self._unit = 0
        self._request: Request | None = None  # on its way; None once answered, timed out or lost
        self._answer: asyncio.Future[bytes] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._abandoned: deque[int] = deque()  # transactions nobody waits for, whose answers may still come

    @property
    def is_open(self) -> bool:
        return self._end is None

    @property
    def end(self) -> ModbusError | None:
        """Why it is closed, None while it is open."""
        return self._end

    def ask(self, request: Request, unit: int, timeout_s: float) -> asyncio.Future[bytes]:
        """Send; the future gives the answer's bytes after its head, or raises ModbusError.

        Cancelling the future abandons the request: a late answer to it is recognised and dropped.
        """
        answer: asyncio.Future[bytes] = self._loop.create_future()
        if self._request is not None:
            assert self._answer is not None
            assert self._answer.cancelled(), "one request at a time"
            self._abandon()
        assert self._transport is not None
        if self._end is not None or self._transport.is_closing():  # closing: connection_lost is on its way
            answer.set_exception(NotOpenError(str(self._end or "the connection is closing")))
            return answer
        transaction = self._transaction % LAST_TRANSACTION + 1
        while transaction in self._abandoned:
            transaction = transaction % LAST_TRANSACTION + 1
        self._transaction = transaction
        self._unit = unit
        self._request = request
        self._answer = answer
        self._deadline = deadline = self._loop.time() + timeout_s
        # The timer is left to fire late and looks then: arming one a request would cost more than the decoding.
        if self._timer is None or self._timer_at > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._arm(deadline)
        frame = self._framer.encode(request.pdu, unit, transaction)
        self._ring.sent(frame)
        self._transport.write(frame)
        return answer

    def close(self, why: ModbusError | None = None) -> None:
        """Give the connection up; whoever waits gets ``why``."""
        self._finish(why or LinkLostError("the connection was closed"))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ring.note("connected")

    def connection_lost(self, exc: Exception | None) -> None:
        text = f"connection lost: {exc}" if exc else "the device closed the connection"
        if self._is_tls and not self._has_heard:
            # By TLS 1.3 it says so after the handshake, as an alert that the event loop keeps to itself.
            text += " before it said anything: maybe it does not accept our certificate"
        self._finish(LinkLostError(text))

    def data_received(self, data: bytes) -> None:
        if self._end is not None:
            return
        self._has_heard = True
        self._ring.received(data)
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while len(data) >= HEADER_BYTES:
            length = data[4] << 8 | data[5]
            if data[2] or data[3] or not MIN_LENGTH_FIELD <= length <= MAX_LENGTH_FIELD:
                self._doubt(f"not a Modbus TCP frame: {data[:HEADER_BYTES].hex(' ')}")
                return
            used, unit, transaction, pdu = self._framer.decode(data)
            if not used:
                break
            data = data[used:]
            if not self._take(transaction, unit, pdu):
                return
        self._buffer = data

    def _take(self, transaction: int, unit: int, pdu: bytes) -> bool:
        """Match one frame; False where it was the last of this connection."""
        request = self._request
        if request is None or transaction != self._transaction:
            if transaction in self._abandoned:
                self._abandoned.remove(transaction)
                return True
            self._doubt(f"an answer to transaction {transaction}, which nobody asked")
            return False
        answer = self._answer
        assert answer is not None
        if answer.cancelled():
            self._request = None
            return True
        if unit != self._unit:
            self._doubt(f"unit {unit} answered for unit {self._unit}")
            return False
        if len(pdu) == request.answer_bytes and pdu.startswith(request.answer_head):
            self._request = None
            answer.set_result(pdu[len(request.answer_head) :])
            return True
        if len(pdu) == 2 and pdu[0] == request.pdu[0] | ERROR_FLAG:
            self._request = None
            answer.set_exception(ExceptionAnswerError(pdu[1]))
            return True
        self._doubt(
            f"function {request.pdu[0]} was answered with {pdu[:6].hex(' ')} ({len(pdu)} bytes, "
            f"expected {request.answer_head.hex(' ')} and {request.answer_bytes} bytes)"
        )
        return False

    def _arm(self, at: float) -> None:
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """The timer fired: has the request that is out now had its time?"""
        self._timer = None
        answer = self._answer
        if self._request is None or answer is None:
            return
        now = self._loop.time()
        if now < self._deadline:
            self._arm(self._deadline)
            return
        self._abandon()
        if not answer.done():
            answer.set_exception(NoAnswerError("no answer in time"))

    def _abandon(self) -> None:
        self._request = None
        if len(self._abandoned) >= MAX_ABANDONED:
            self._abandoned.popleft()
        self._abandoned.append(self._transaction)

    def _doubt(self, why: str) -> None:
        self.close(BadAnswerError(why))

    def _finish(self, why: ModbusError) -> None:
        if self._end is None:
            self._end = why
            self._ring.note(str(why))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._request is not None:
            self._request = None
            assert self._answer is not None
            if not self._answer.done():
                self._answer.set_exception(self._end)
