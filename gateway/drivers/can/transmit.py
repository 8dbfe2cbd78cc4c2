"""One message that commands send: its payload, its cycle, and whether it reached the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.config.can import CanMessage, CanSignal, CanTransmit
from gateway.config.can_bits import extract, insert
from gateway.drivers.can.encode import raw_of, sealed, value_of
from gateway.drivers.session import Schedule
from gateway.tags.operate import OperateError
from gateway.tags.sample import Value

Send = Callable[[CanMessage, bytes, bool], Awaitable[None]]


class Transmitter:
    """Sends a message when commanded and then every cycle, until nobody has commanded it for the hold time.

    ``send`` takes message, payload, and whether to wait until it is on the bus; it raises OperateError, TimeoutError.
    """

    def __init__(self, config: CanTransmit, send: Send) -> None:
        self.config = config
        self.payload = config.message.initial
        self._send = send
        self._count = 0
        self._commanded = asyncio.Event()
        self._until_s = 0.0
        self._confirmed: bytes | None = None  # the payload that was last known to be on the bus by a command

    async def command(self, signal: CanSignal, value: Value) -> None:
        """Send it with ``value``, and go on sending it. What was not sent is not sent later either."""
        before = extract(self.payload, signal)
        self.payload = insert(self.payload, signal, raw_of(signal, value))
        payload = self._next()
        try:
            await self._send(self.config.message, payload, True)
        except OperateError:
            self.payload = insert(self.payload, signal, before)
            raise
        except TimeoutError:
            self._hold()  # it may be on the bus: to fall silent now would be to decide that it is not
            raise
        self._confirmed = payload
        self._hold()

    def told(self, signal: CanSignal) -> Value:
        """What the last message that reached the bus said. Raises OperateError where there was none."""
        if self._confirmed is None:
            raise OperateError("it was not sent yet")
        return value_of(signal, extract(self._confirmed, signal))

    async def run(self) -> None:
        """For ever: the cycle. A sending that fails is counted by ``send``; the next one is tried in its turn."""
        loop = asyncio.get_running_loop()
        if not self.config.cycle_ms:
            return
        while True:
            await self._commanded.wait()
            schedule = Schedule(self.config.cycle_ms / 1000, loop.time())
            while self._commanded.is_set():
                schedule.advance(loop.time())
                await asyncio.sleep(schedule.next_s - loop.time())
                if self.config.hold_ms and loop.time() >= self._until_s:
                    self._commanded.clear()
                    break
                try:
                    await self._send(self.config.message, self._next(), False)
                except (OperateError, TimeoutError):
                    continue

    def _hold(self) -> None:
        self._until_s = asyncio.get_running_loop().time() + self.config.hold_ms / 1000
        self._commanded.set()

    def _next(self) -> bytes:
        payload = sealed(self.payload, self.config, self._count)
        self._count += 1
        return payload
