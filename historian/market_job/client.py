"""Speaks with a site's market over its socket, for the command line and for agents. One request at a time."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.unix_door import uid_of
from historian.ledger.bundle import Bundle, sign
from historian.ledger.entry import Body
from historian.ledger.errors import Reason
from historian.ledger.pen import VALIDITY_US, Pen, client_id, now_us
from historian.market_job import wire
from historian.signing import SigningKey

TRIES = 5  # of a statement that others with the same key overtake: each takes milliseconds
PATIENCE_S = 20.0  # a day's settlement after an outage takes seconds; the market answers between looks


class MarketError(Exception):
    """The market cannot be asked, or does not answer."""


class TurnedAway(MarketError):  # noqa: N818 - reads as the claim it makes
    """The market did not look at the request; nothing of it is on the record."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(f"turned away ({reason}): {why}")
        self.reason = reason


class MarketClient:
    """``server_uid``: the user who runs the site (ours where None); a stranger's socket is not spoken to."""

    def __init__(self, path: Path, *, server_uid: int | None = None, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._uids = {0, os.geteuid() if server_uid is None else server_uid}
        self._patience_s = patience_s
        self._socket: socket.socket | None = None
        self._buffer = b""

    def __enter__(self) -> MarketClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer = b""

    def submit(self, bundle: Bundle) -> tuple[wire.Judged, ...]:
        """What became of its statements. The same bundle again gets the same answer: it acts once."""
        reply = self._ask(wire.Submit(uuid.uuid4().hex, bundle))
        if not isinstance(reply, wire.Placed):
            raise MarketError("the market answered a request with what it was not asked")
        return reply.outcomes

    def terms(self, key: bytes) -> dict[str, Any]:
        """What the holder of a key needs to know."""
        return self._told(wire.AskTerms(uuid.uuid4().hex, key))

    def status(self) -> dict[str, Any]:
        """How the market is."""
        return self._told(wire.AskStatus(uuid.uuid4().hex))

    def orders(self, key: bytes) -> dict[str, list[dict[str, Any]]]:
        """The open ``orders`` of a key's holder, and the ``offers`` that others made to it."""
        return self._told(wire.AskOrders(uuid.uuid4().hex, key))

    def peers(self) -> dict[str, Any]:
        """How the links to other sites are, and which vehicles roam."""
        return self._told(wire.AskPeers(uuid.uuid4().hex))

    def bill(self, participant: str) -> dict[str, Any]:
        """The record of a participant's bill up to what is settled now, for the operator to sign."""
        return self._told(wire.AskBill(uuid.uuid4().hex, participant))

    def book(self, interval_us: int) -> dict[str, Any]:
        """What is bid and offered of an interval."""
        return self._told(wire.AskBook(uuid.uuid4().hex, interval_us))

    def agents(self) -> dict[str, dict[str, Any]]:
        """How the site's agents are, by name."""
        return self._told(wire.AskAgents(uuid.uuid4().hex))

    def stop_agent(self, name: str, *, is_stopped: bool) -> dict[str, dict[str, Any]]:
        """Stop an agent or start it again; how they are then."""
        return self._told(wire.StopAgent(uuid.uuid4().hex, name, is_stopped))

    def _told(self, request: wire.Request) -> dict[str, Any]:
        reply = self._ask(request)
        if not isinstance(reply, wire.Told):
            raise MarketError("the market answered a question with what it was not asked")
        return reply.content

    def _ask(self, request: wire.Request) -> wire.Placed | wire.Told:
        try:
            line = wire.encode_request(request)
            connection = self._connected()
            connection.sendall(line)
            reply = wire.decode_reply(self._line(connection))
        except (OSError, wire.WireError) as error:
            self.close()
            raise MarketError(f"the market at {self._path} does not answer: {error}") from error
        if isinstance(reply, wire.Fault):
            self.close()
            raise MarketError(f"the market closed the connection: {reply.why}")
        if isinstance(reply, wire.Turned):
            raise TurnedAway(reply.reason, reply.why)
        if reply.id != request.id:
            self.close()
            raise MarketError("the market answered another request")
        return reply

    def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._patience_s)
                connection.connect(str(self._path))
                if uid_of(connection) not in self._uids:
                    raise OSError(f"{self._path} is another user's")
            except OSError:
                connection.close()
                raise
            self._socket = connection
        return self._socket

    def _line(self, connection: socket.socket) -> bytes:
        give_up = time.monotonic() + self._patience_s  # of the whole answer: it may come byte by byte
        while b"\n" not in self._buffer:
            if len(self._buffer) > wire.ANSWER_BYTES:
                raise wire.WireError(f"an answer of more than {wire.ANSWER_BYTES} bytes")
            connection.settimeout(max(give_up - time.monotonic(), 0.001))
            more = connection.recv(65_536)
            if not more:
                raise ConnectionError("the connection was closed")
            self._buffer += more
        connection.settimeout(self._patience_s)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class Hand:
    """A member's key at work: signs for the market it speaks with."""

    def __init__(self, client: MarketClient, key: SigningKey, clock: Callable[[], int] = now_us) -> None:
        self.client = client
        self.key = key
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self.terms = self.client.terms(self.key.public)
        self._pen = Pen(self.key, bytes.fromhex(self.terms["ledger"]), self._clock)
        self._pen.follow(int(self.terms["number"]))

    def say(self, bodies: Sequence[Body]) -> tuple[wire.Judged, ...]:
        """New requests, in one bundle."""
        return self.client.submit(self._pen.sign(bodies))

    def request(self, client: bytes, body: Body, validity_us: int = VALIDITY_US) -> wire.Judged:
        """One request by its client id: said again, it is done once."""
        return self.place(client, body, validity_us)[0]

    def place(self, client: bytes, body: Body, validity_us: int = VALIDITY_US) -> tuple[wire.Judged, Bundle]:
        """The same, and what was signed for it. Another process may sign with this key, as the market itself does
        with the operator's: what it overtook is not on the record, and is signed anew.
        """
        for _ in range(TRIES):
            bundle = sign(self.key, [self._pen.statement(body, client, validity_us)])
            (outcome,) = self.client.submit(bundle)
            if outcome.reason != Reason.REORDERED.value or outcome.sequence is not None:
                break
            self._begin()
        return outcome, bundle


def order_id(text: str) -> bytes:
    """An order's id as typed: 32 hexadecimal digits, or the author's own name for it."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    return raw if len(raw) == 16 else client_id(text)
