"""One message that commands send: its payload, its cycle, and whether it reached the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.config.can import CanMessage, CanPoint, CanSelector, CanSignal, CanTransmit
from gateway.config.can_bits import extract, insert
from gateway.drivers.can.encode import raw_of, sealed, value_of
from gateway.drivers.session import Schedule
from gateway.tags.operate import OperateError
from gateway.tags.sample import Value

Send = Callable[[CanMessage, bytes, bool], Awaitable[None]]
Page = tuple[CanSelector, ...]  # multiplexers, each with its one value; none: the whole message


class Transmitter:
    """Sends a message when commanded and then every cycle, until nobody has commanded it for the hold time.

    A multiplexed message is as many as pages of it were commanded: each cycle sends them all. Signals that are on
    every page are the same on all. ``send`` takes message, payload, and whether to wait until it is on the bus; it
    raises OperateError, TimeoutError.
    """

    def __init__(self, config: CanTransmit, send: Send) -> None:
        self.config = config
        self._send = send
        self._pages: dict[Page, bytes] = {} if config.is_paged else {(): config.message.initial}
        self._last: Page = ()  # the page that was commanded last
        self._shared: dict[CanSignal, int] = {}  # raw values of what is on every page
        self._count = 0
        self._commanded = asyncio.Event()
        self._until_s = 0.0
        # what was last known to be on the bus by a command
        self._confirmed: dict[Page, bytes] = {}
        self._confirmed_last: bytes | None = None

    async def command(self, point: CanPoint, value: Value) -> None:
        """Send it with ``value``, and go on sending it. What was not sent is not sent later either."""
        signal, raw = point.signal, raw_of(point.signal, value)
        page = point.selectors or self._last
        if page not in self._pages and not point.selectors:
            raise OperateError(
                f"no page of {self.config.message.name} was commanded yet, and {point.name} is on all"
            )
        was_there = page in self._pages
        before = extract(self._with_shared(page, point.page), signal)
        self._set(point, page, raw)
        self._last, last = page, self._last
        payload = self._next(page)
        try:
            await self._send(self.config.message, payload, True)
        except OperateError:
            self._set(point, page, before)
            if not was_there and self._pages[page] == point.page:
                del self._pages[page]  # nobody else has commanded it meanwhile
                self._last = last if last in self._pages or not self._pages else next(iter(self._pages))
            raise
        except TimeoutError:
            self._hold()  # it may be on the bus: to fall silent now would be to decide that it is not
            raise
        self._confirmed[page] = self._confirmed_last = payload
        self._hold()

    def told(self, point: CanPoint) -> Value:
        """What the last message that reached the bus said. Raises OperateError where there was none."""
        said = self._confirmed.get(point.selectors) if point.selectors else self._confirmed_last
        if said is None:
            raise OperateError("it was not sent yet")
        return value_of(point.signal, extract(said, point.signal))

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
                for page in tuple(self._pages):
                    if page not in self._pages:
                        continue  # it was refused meanwhile
                    try:
                        await self._send(self.config.message, self._next(page), False)
                    except (OperateError, TimeoutError):
                        continue

    def _set(self, point: CanPoint, page: Page, raw: int) -> None:
        if point.selectors:
            self._pages[page] = insert(self._pages.get(page, point.page), point.signal, raw)
        else:
            self._shared[point.signal] = raw

    def _with_shared(self, page: Page, initial: bytes) -> bytes:
        """A page with what is on all of them; ``initial`` where it was not commanded yet."""
        payload = self._pages.get(page, initial)
        for signal, raw in self._shared.items():
            payload = insert(payload, signal, raw)
        return payload

    def _hold(self) -> None:
        self._until_s = asyncio.get_running_loop().time() + self.config.hold_ms / 1000
        self._commanded.set()

    def _next(self, page: Page) -> bytes:
        payload = sealed(self._with_shared(page, b""), self.config, self._count)
        self._count += 1
        return payload
