"""What a session says and hears, told to a ring: each message as it would be without security, in one chunk.

::

    'M' 'S' 'G' 'F' | size u32 | channel u32 | token u32 | sequence u32 | request u32 | message, its beginning
    0                 4          8             12          16             20            24

What lets one in is left out: services that make channel and session are notes, and every request's authentication
token (OPC 10000-4, 7.32) is the null NodeId. A message that is longer than a ring keeps is cut, and its size is that
of what is left, so that what follows can be read.
"""

from __future__ import annotations

import struct
from typing import Any

from asyncua import ua as _ua
from asyncua.common.connection import SecureConnection

from gateway.drivers.opcua.wire import Cursor, NodeKey, WireError
from gateway.drivers.trace import FRAME_BYTES, Ring, Way

ua: Any = _ua

HEAD = struct.Struct("<4sIIIII")
SINGLE_CHUNK = b"MSGF"
MESSAGE_BYTES = FRAME_BYTES - HEAD.size
_NO_TOKEN = b"\0\0"  # the null NodeId in two octets (OPC 10000-6, 5.2.2.9)
# Binary encodings in namespace 0 of what holds nonces, signatures, tokens or passwords.
_SECRET: dict[NodeKey, str] = {
    (0, 446): "OpenSecureChannel", (0, 449): "OpenSecureChannel",
    (0, 461): "CreateSession", (0, 464): "CreateSession",
    (0, 467): "ActivateSession", (0, 470): "ActivateSession",
}  # fmt: skip


class TappedConnection(SecureConnection):
    """The library's secure channel, in place of ``plain``, before anything was sent over it."""

    def __init__(self, plain: SecureConnection, ring: Ring) -> None:
        super().__init__(plain.security_policy, plain._limits)
        self._ring = ring

    def message_to_binary(
        self, message: bytes, message_type: Any = ua.MessageType.SecureMessage, request_id: int = 0
    ) -> bytes:
        """To be sent."""
        octets: bytes = super().message_to_binary(message, message_type, request_id)
        self._tell(Way.SENT, message, request_id, self._sequence_number)
        return octets

    def receive_from_header_and_body(self, header: Any, body: Any) -> Any:
        """What came; None until a message is whole."""
        message = super().receive_from_header_and_body(header, body)
        if isinstance(message, ua.Message):
            whole = message.body()
            start = whole.read(min(len(whole), FRAME_BYTES))
            self._tell(Way.RECEIVED, start, message.request_id(), self._peer_sequence_number or 0)
        elif isinstance(message, ua.ErrorMessage):
            self._ring.note(f"the server ended it: {message.Error.name} {message.Reason or ''}".rstrip())
        return message

    def _tell(self, way: Way, message: bytes, request: int, sequence: int) -> None:
        try:
            cursor = Cursor(message)
            kind = cursor.node_id()
            if kind in _SECRET:
                verb = "asked" if way is Way.SENT else "answered"
                self._ring.note(f"{_SECRET[kind]} {verb} (it holds what lets one in)")
                return
            if way is Way.SENT:
                start = cursor.position
                cursor.node_id()
                message = message[:start] + _NO_TOKEN + message[cursor.position :]
        except (WireError, struct.error, UnicodeDecodeError) as error:
            self._ring.note(f"no message: {error}")
            return
        message = message[:MESSAGE_BYTES]
        token = self.security_token
        head = HEAD.pack(
            SINGLE_CHUNK, HEAD.size + len(message), token.ChannelId, token.TokenId, sequence, request
        )
        (self._ring.sent if way is Way.SENT else self._ring.received)(head + message)
