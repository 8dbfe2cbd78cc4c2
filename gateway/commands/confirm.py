"""The two-person rule: commands that wait for the word of a second person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.tags.command import Command, Refusal, Refused
from gateway.tags.sample import Value

WAITING = 20  # at once: the list of them fits a line of the command socket


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits. ``word`` is the second person's name once they have agreed, or why it does not go."""

    command: Command
    value: Value
    until_ns: int
    word: asyncio.Future[str | Refused]


class Confirmations:
    """By id of the command."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= WAITING

    async def word(self, command: Command, value: Value, until_ns: int, left_s: float) -> str | Refused:
        """The second person's name, or why the command does not go."""
        waiting = Waiting(command, value, until_ns, asyncio.get_running_loop().create_future())
        self._waiting[command.id] = waiting
        try:
            async with asyncio.timeout(left_s):
                return await waiting.word
        except TimeoutError:
            return Refused(Refusal.NOT_CONFIRMED, f"nobody confirmed it within {left_s:.0f} s")
        finally:
            del self._waiting[command.id]

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._waiting.values()))

    def find(self, id: str) -> Waiting | None:
        return self._waiting.get(id)

    def end(self, tag: str | None, refused: Refused) -> None:
        """Whatever waits on the tag (None: all) does not go."""
        for waiting in self:
            if tag in (None, waiting.command.tag) and not waiting.word.done():
                waiting.word.set_result(refused)
