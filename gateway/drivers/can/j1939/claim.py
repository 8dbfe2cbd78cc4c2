"""Our address on a J1939 bus: claimed, defended, lost (SAE J1939-81 4.4), without I/O or clock.

::

    WAITING ──250 ms──► CLAIMED ──a better NAME──► WAITING with another address, or NONE
       │ a better NAME
       └──────────────► WAITING with another address, or NONE
"""

from __future__ import annotations

from enum import Enum, auto

from gateway.config.can_j1939 import ADDRESS_CLAIMED, GLOBAL, NOBODY, Identity, identifier_of

CONTENTION_S = 0.25  # so long may others object (4.4.3.1)
ARBITRARY = range(128, 248)  # addresses for those that take any (SAE J1939, appendix B)
PRIORITY = 6


class State(Enum):
    """Whether we may send."""

    WAITING = auto()
    CLAIMED = auto()
    NONE = auto()


class Claim:
    """Feed it claims and requests; it says what to send, as identifier and bytes."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._name = identity.name.to_bytes(8, "little")
        self.state = State.NONE
        self.address = NOBODY
        self.lost = 0  # times that our address went to somebody else
        self._until_s = 0.0
        self._others: dict[int, int] = {}  # NAME by address: 254 at most

    def start(self, now_s: float) -> tuple[int, bytes]:
        """The bus was opened."""
        self._others.clear()
        return self._claim(self._identity.address, now_s)

    def tick(self, now_s: float) -> None:
        """Nobody objected."""
        if self.state is State.WAITING and now_s >= self._until_s:
            self.state = State.CLAIMED

    def on_claim(self, source: int, data: bytes, now_s: float) -> tuple[int, bytes] | None:
        """Somebody claims ``source``; what we answer. Our own NAME is our own claim, heard again."""
        if len(data) != 8 or data == self._name:
            return None
        name = int.from_bytes(data, "little")
        if source <= 253:
            self._others[source] = name
        if source != self.address or self.address == NOBODY:
            return None
        if self._identity.name < name:
            return self._say()
        self.lost += 1
        return self._move(now_s)

    def on_request(self) -> tuple[int, bytes]:
        """Somebody asks who is there."""
        return self._say()

    def _move(self, now_s: float) -> tuple[int, bytes]:
        if self._identity.is_arbitrary:
            for address in ARBITRARY:
                if address not in self._others:
                    return self._claim(address, now_s)
        self.state, self.address = State.NONE, NOBODY
        return self._say()

    def _claim(self, address: int, now_s: float) -> tuple[int, bytes]:
        self.state, self.address = State.WAITING, address
        self._until_s = now_s + CONTENTION_S
        return self._say()

    def _say(self) -> tuple[int, bytes]:
        """Our claim; from nobody's address it says that we could not claim one (4.2.2.3)."""
        return identifier_of(ADDRESS_CLAIMED, PRIORITY, self.address, GLOBAL), self._name
