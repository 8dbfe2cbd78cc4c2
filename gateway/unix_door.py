"""A door for processes of this machine: a Unix socket that only this user and root may use.

Who is at the other end is known from the operating system (unix(7), SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]

BACKLOG = 16
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

log = logging.getLogger(__name__)


class UnixDoor:
    """Open at ``path`` between `start` and `stop`. Each peer is a task of ``serve``, which closes its connection.

    ``name`` is what the log calls it. A line that a peer sends has at most ``line_bytes``; who comes when there are
    ``most`` peers is told ``full`` and turned away. ``peers`` are the tasks of those who are here.
    """

    def __init__(
        self, path: Path, name: str, serve: Serve, *, line_bytes: int, most: int, full: bytes = b""
    ) -> None:
        self._path = path
        self._name = name
        self._serve = serve
        self._line_bytes = line_bytes
        self._most = most
        self._full = full
        self._server: asyncio.Server | None = None
        self.peers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError. A socket left by one that died is replaced."""
        self._path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.setblocking(False)
        door.bind(str(self._path))
        self._path.chmod(0o600)  # before listen(): nobody can have connected yet
        self._server = await asyncio.start_unix_server(
            self._meet, sock=door, limit=self._line_bytes, backlog=BACKLOG
        )

    async def stop(self) -> None:
        """Close the door, and cancel the tasks of all peers."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        for peer in list(self.peers):
            peer.cancel()
        if self.peers:
            await asyncio.wait(self.peers)

    def keep(self, serving: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """The task of a peer, be it one that came by another way; `stop` ends it too."""
        peer = asyncio.create_task(serving)
        self.peers.add(peer)
        peer.add_done_callback(self.peers.discard)
        return peer

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called as soon as somebody has connected."""
        uid = peer_uid(writer)
        if self._server is None:
            writer.close()
        elif uid not in (0, os.geteuid()):
            log.warning("user id %d was turned away from %s", uid, self._name)
            writer.close()
        elif len(self.peers) >= self._most:
            writer.write(self._full)
            writer.close()
        else:
            self.keep(self._serve(reader, writer))


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """The user at the other end of a Unix socket."""
    connection: socket.socket = writer.get_extra_info("socket")
    return uid_of(connection)


def uid_of(connection: socket.socket) -> int:
    """Likewise."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(raw)
    assert isinstance(uid, int)
    return uid
