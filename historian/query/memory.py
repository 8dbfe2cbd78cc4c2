"""What was worked out and may be asked for again: so much of it, and what was not used for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Values by key, of which all sizes together stay within ``room``. Threads may share it."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._left = room
        self._known: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value, None where it is not known (any more)."""
        with self._turn:
            found = self._known.get(key)
            if found is None:
                return None
            self._known.move_to_end(key)
            return found[0]

    def get_many(self, keys: Sequence[Key]) -> list[Value | None]:
        """`get` of each."""
        found: list[Value | None] = []
        known, touch = self._known, self._known.move_to_end
        with self._turn:
            for key in keys:
                pair = known.get(key)
                if pair is None:
                    found.append(None)
                else:
                    touch(key)
                    found.append(pair[0])
        return found

    def put(self, key: Key, value: Value, size: int) -> None:
        """Remember a value; what takes more than there is room for is not."""
        self.put_many(((key, value),), size)

    def put_many(self, pairs: Sequence[tuple[Key, Value]], size: int) -> None:
        """`put` of each, all of the same size."""
        if size > self._room:
            return
        with self._turn:
            for key, value in pairs:
                before = self._known.pop(key, None)
                if before is not None:
                    self._left += before[1]
                self._known[key] = (value, size)
                self._left -= size
                while self._left < 0:
                    _, (_, freed) = self._known.popitem(last=False)
                    self._left += freed

    def clear(self) -> None:
        """Forget all."""
        with self._turn:
            self._known.clear()
            self._left = self._room
