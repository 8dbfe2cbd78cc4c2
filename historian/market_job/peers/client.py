"""Our connection to another site's market: the same lines as on the local socket, over TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from gateway.config.market import MarketListen, MarketPeer
from gateway.config.tls import TlsError, tls_trouble
from historian.market_job.client import MarketClient
from historian.market_job.peers import security

PATIENCE_S = 10.0  # of connecting, and of each answer: the other market answers between its looks


class PeerClient(MarketClient):
    """One connection, made with the first request."""

    def __init__(
        self, peer: MarketPeer, listen: MarketListen, state: Path, patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__(Path(f"{peer.host}:{peer.port}"), patience_s=patience_s)
        self._peer = peer
        self._listen = listen
        self._state = state

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._meet()
        return self._socket

    def _meet(self) -> socket.socket:
        pinned = self._state / self._peer.certificate
        listen = self._listen
        try:
            # Files are read anew with each connection: a renewed certificate needs no restart.
            context = security.caller(self._state / listen.certificate, self._state / listen.key, pinned)
            expected = security.fingerprint(pinned)
        except TlsError as error:
            raise OSError(str(error)) from error
        raw = socket.create_connection((self._peer.host, self._peer.port), self._patience_s)
        try:
            connection = context.wrap_socket(raw)
        except ssl.SSLError as error:
            raw.close()
            raise OSError(tls_trouble(error)) from error
        except OSError:
            raw.close()
            raise
        if security.shown(connection) != expected:
            connection.close()
            raise OSError("it shows another certificate than the pinned one")
        return connection
