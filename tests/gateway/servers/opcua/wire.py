"""OPC UA's bytes, put together by hand: a client that shares no code with the server or its library.

OPC 10000-6: 5.2 (encodings), 7.1 (TCP messages), 6.7.2 (chunks without security).
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass

NONE = "http://opcfoundation.org/UA/SecurityPolicy#None"
BASIC256SHA256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
BASIC256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256"

OPEN_SECURE_CHANNEL, OPEN_SECURE_CHANNEL_RESPONSE = 446, 449
GET_ENDPOINTS, GET_ENDPOINTS_RESPONSE = 428, 431
CREATE_SESSION, CREATE_SESSION_RESPONSE = 461, 464
ACTIVATE_SESSION, ACTIVATE_SESSION_RESPONSE = 467, 470
REGISTER_SERVER = 437
READ = 631
SERVICE_FAULT = 397

NULL = b"\xff\xff\xff\xff"


def string(text: str | None) -> bytes:
    if text is None:
        return NULL
    raw = text.encode()
    return struct.pack("<i", len(raw)) + raw


def byte_string(raw: bytes | None) -> bytes:
    return NULL if raw is None else struct.pack("<i", len(raw)) + raw


def numeric(identifier: int) -> bytes:
    """A four-byte NodeId of namespace 0."""
    return struct.pack("<BBH", 1, 0, identifier)


def request_header(token: bytes | None = None) -> bytes:
    """Token, no time, handle 1, no diagnostics, no audit entry, timeout 10 s, nothing additional."""
    node = b"\x00\x00" if token is None else struct.pack("<BHi", 5, 0, len(token)) + token
    return node + struct.pack("<qII", 0, 1, 0) + NULL + struct.pack("<I", 10_000) + b"\x00\x00\x00"


def hello(url: str = "opc.tcp://x/", size: int = 65_535) -> bytes:
    body = struct.pack("<IIIII", 0, size, size, 0, 0) + string(url)
    return b"HELF" + struct.pack("<I", 8 + len(body)) + body


def open_channel(
    policy: str, mode: int, certificate: bytes | None = None, nonce: bytes | None = None
) -> bytes:
    header = string(policy) + byte_string(certificate) + NULL
    sequence = struct.pack("<II", 1, 1)
    request = numeric(OPEN_SECURE_CHANNEL) + request_header() + struct.pack("<III", 0, 0, mode)
    request += byte_string(nonce) + struct.pack("<I", 3_600_000)
    body = header + sequence + request
    return b"OPNF" + struct.pack("<II", 12 + len(body), 0) + body


@dataclass(frozen=True)
class Message:
    """One TCP message; ``body`` is what follows the 8 bytes of header."""

    kind: bytes
    body: bytes

    @property
    def error(self) -> int:
        """The StatusCode of an Error message."""
        assert self.kind == b"ERRF", self
        return int(struct.unpack_from("<I", self.body)[0])


@dataclass(frozen=True)
class Answer:
    """A service's response: type, StatusCode of its header, and what follows the header."""

    type: int
    status: int
    body: bytes


class Speaker:
    """A connection on which messages are sent and expected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._channel = 0
        self._token = 0
        self._sequence = 1

    @classmethod
    async def connect(cls, port: int) -> Speaker:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, raw: bytes) -> None:
        self._writer.write(raw)

    async def expect(self) -> Message:
        async with asyncio.timeout(5):
            kind = await self._reader.readexactly(4)
            (size,) = struct.unpack("<I", await self._reader.readexactly(4))
            return Message(kind, await self._reader.readexactly(size - 8))

    async def expect_end(self) -> None:
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                assert await self._reader.read(1) == b""

    async def greet(self) -> None:
        self.send(hello())
        assert (await self.expect()).kind == b"ACKF"

    async def open_plain(self) -> None:
        """A channel without security."""
        await self.greet()
        self.send(open_channel(NONE, 1))
        message = await self.expect()
        assert message.kind == b"OPNF", message
        # Channel id; policy, no certificate, no thumbprint; sequence; type; header of 24 bytes (time, handle,
        # result, diagnostics, strings, additional); protocol version; channel id, token id.
        at = 4 + len(string(NONE)) + 8 + 8 + 4 + 24 + 4
        self._channel, self._token = struct.unpack_from("<II", message.body, at)

    def request(self, type: int, body: bytes, token: bytes | None = None) -> None:
        self._sequence += 1
        content = struct.pack("<III", self._token, self._sequence, self._sequence)
        content += numeric(type) + request_header(token) + body
        self.send(b"MSGF" + struct.pack("<II", 12 + len(content), self._channel) + content)

    async def answer(self) -> Answer:
        message = await self.expect()
        assert message.kind == b"MSGF", message
        (type,) = struct.unpack_from("<H", message.body, 4 + 4 + 8 + 2)
        at = 4 + 4 + 8 + 4
        (status,) = struct.unpack_from("<I", message.body, at + 8 + 4)
        return Answer(type, status, message.body[at + 24 :])

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionResetError):
            await self._writer.wait_closed()


def get_endpoints() -> bytes:
    return string("opc.tcp://x/") + NULL + NULL


def create_session() -> bytes:
    """Client description, no server uri, endpoint, name, nonce, no certificate, timeout, any size."""
    description = string("urn:stranger") + string(None) + b"\x00" + struct.pack("<I", 1) + NULL + NULL + NULL
    return (
        description
        + string(None)
        + string("opc.tcp://x/")
        + string("s")
        + byte_string(bytes(32))
        + NULL
        + struct.pack("<dI", 60_000.0, 0)
    )


def session_token(answer: Answer) -> tuple[int, bytes]:
    """Encoding byte and content of the AuthenticationToken in a CreateSession response."""
    body = answer.body
    assert body[0] == 4, "the session id is a Guid"
    at = 1 + 2 + 16
    encoding = body[at]
    if encoding != 5:
        return encoding, body[at + 1 : at + 8]
    (size,) = struct.unpack_from("<i", body, at + 3)
    return encoding, body[at + 7 : at + 7 + size]


def activate_anonymously() -> bytes:
    """No signature, no certificates, no locales, an anonymous token, no signature of it."""
    token = string("anonymous")
    anonymous = numeric(321) + b"\x01" + struct.pack("<i", len(token)) + token
    return NULL + NULL + NULL + NULL + anonymous + NULL + NULL


def activate_with_password(user: str, password: str) -> bytes:
    """The same with a password that is not encrypted."""
    token = string("username") + string(user) + byte_string(password.encode()) + NULL
    return (
        NULL
        + NULL
        + NULL
        + NULL
        + numeric(324)
        + b"\x01"
        + struct.pack("<i", len(token))
        + token
        + NULL
        + NULL
    )
