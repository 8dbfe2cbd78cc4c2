"""An author's hand: statements with numbers and times that go up, signed in bundles."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

from historian.ledger.bundle import Bundle, sign
from historian.ledger.entry import Body, Statement
from historian.signing import SigningKey

VALIDITY_US = 3600 * 1_000_000  # unless said otherwise, a statement not placed within an hour is late


def now_us() -> int:
    """The time, in µs UTC."""
    return time.time_ns() // 1000


def client_id(text: str) -> bytes:
    """The client id that stands for the author's own name of a request, as ``bill-2026-11/ev1``."""
    return sha256(text.encode()).digest()[:16]


class Pen:
    """Signs as one author. Numbers are times, or one more than the last: nothing is lost by a restart."""

    def __init__(self, key: SigningKey, ledger: bytes, clock: Callable[[], int] = now_us) -> None:
        self.key = key
        self._ledger = ledger
        self._clock = clock
        self._number = 0
        self._own = os.urandom(8)  # sets the ids of two processes that sign as one author apart

    def statement(self, body: Body, client: bytes | None = None, validity_us: int = VALIDITY_US) -> Statement:
        """One statement; without a client id it gets one of its own that no other has."""
        now = self._clock()
        self._number = max(self._number + 1, now)
        if client is None:
            # Ascending, so that the index of requests grows at its end.
            client = self._number.to_bytes(8, "big") + self._own
        return Statement(self._ledger, self.key.public, self._number, client, now, now + validity_us, body)

    def follow(self, number: int) -> None:
        """The author's last number in the ledger: another process may sign with the same key."""
        self._number = max(self._number, number)

    def sign(self, bodies: Sequence[Body]) -> Bundle:
        """These, as one bundle of new requests."""
        return sign(self.key, [self.statement(body) for body in bodies])

    def request(self, client: str, body: Body) -> Bundle:
        """One request by the author's own name for it: said again, it is done once."""
        return sign(self.key, [self.statement(body, client_id(client))])
