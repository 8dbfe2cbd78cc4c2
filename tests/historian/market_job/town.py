"""A market's part at work in a thread: its clock is the test's, and so are tags and history."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from market_bench import FIRST_US, REGISTERS, START_US

from gateway.config.site import Site
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_good
from gateway.tags.sample import to_bits
from historian.ledger.bundle import Bundle
from historian.ledger.coding import fact_of, record_of
from historian.ledger.entry import Record, decode_statement
from historian.ledger.facts import Fact, Order, Side, Venue
from historian.ledger.pen import Pen
from historian.ledger.rows import Rows
from historian.market_job import wire
from historian.market_job.door import Asked, make_inbox
from historian.market_job.part import trade_on
from historian.signing import SigningKey

MINUTE_US = 60_000_000
PATIENCE_S = 60.0


class Town:
    """The part in a thread. `put_clock` lets its clock jump; ``now_us`` set ahead is time that went by."""

    def __init__(self, site: Site, state: Path, folder: Any) -> None:
        self.site, self.state, self.folder = site, state, folder
        self.now_us, self.looks = START_US, 0
        self._leapt_us = 0
        self.inbox = make_inbox()
        self.region = Region.create(f"market_full_{os.getpid()}", [tag.spec() for tag in site.tags])
        drivers = self.region.claim("drivers")
        for tag, value in (("d.load_kw", 50.0), ("d.hz", 50.0), ("d.soc_pct", 50.0), ("d.connected", 0.0)):
            at = self.region.indexes_of([tag])
            bits = to_bits(np.array([value]), site.tags[int(at[0])].type)
            drivers.write(at, bits, Quality.GOOD, time.time_ns(), time.time_ns())
        tags = [tag for tag in site.tags if tag.name.removeprefix("d.") in REGISTERS]
        for entry in folder.recorder.catalogue.register(tags, folder.clock()):
            folder.entries[entry.path] = entry
        # An hour of minutes before and after, so that nothing has to be written while the disk is full.
        times = [START_US * 1_000 + minute * MINUTE_US * 1_000 for minute in range(-70, 60)]
        folder.clock.now = times[-1]
        for name in REGISTERS:
            folder.write(f"d.{name}", times, [1_000] * len(times), flush=False)
        assert folder.recorder.flush()

    def clock(self) -> int:
        self.looks += 1
        self.now_us += 1
        return self.now_us

    def steady(self) -> int:
        """ns since boot."""
        return (self.now_us - self._leapt_us) * 1_000

    def put_clock(self, by_us: int) -> None:
        self._leapt_us += by_us
        self.now_us += by_us

    def __getitem__(self, tag: str) -> Any:
        """None while it is Bad."""
        sample = self.region.sample(tag)
        return sample.value if is_good(sample.status) else None

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        stop = threading.Event()
        trade = asyncio.to_thread(
            trade_on, self.region.name, self.site, self.state, self.folder.directory, self.inbox, stop,
            lambda: None, clock=self.clock, steady=self.steady, look_s=0.02, reopen_s=0.05,
        )  # fmt: skip
        working = asyncio.create_task(trade)
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(working, PATIENCE_S)

    async def until(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)

    async def some_looks(self) -> None:
        since = self.looks
        await self.until(lambda: self.looks > since + 50)

    async def ask(self, request: wire.Request) -> wire.Reply:
        loop = asyncio.get_running_loop()
        asked = Asked(request, loop.create_future(), loop)
        self.inbox.put_nowait(asked)
        return await asyncio.wait_for(asked.answer, PATIENCE_S)

    async def signed(self, key: SigningKey, *facts: Fact, joins: bool = False) -> Bundle:
        told = await self.ask(wire.AskTerms("1", key.public))
        assert isinstance(told, wire.Told), told
        pen = Pen(key, bytes.fromhex(told.content["ledger"]), lambda: self.now_us)
        pen.follow(told.content["number"])
        bodies = [record_of(fact) for fact in facts]
        if joins:
            bodies.append(Record("registry.join", bytes.fromhex(told.content["join"])))
            bodies += [
                Record("registry.device", bytes.fromhex(each["manifest"])) for each in told.content["devices"]
            ]
        return pen.sign(bodies)

    async def submit(self, bundle: Bundle) -> wire.Reply:
        return await self.ask(wire.Submit("1", bundle))

    def placed_at_us(self) -> list[int]:
        """Of all entries, in their order."""
        with Rows(self.state / "market.ledger") as rows:
            return [rows.entry(sequence).placed_at_us for sequence in range(rows.last() + 1)]

    def facts(self) -> list[Fact]:
        """All that is on the record, in its order."""
        found = []
        with Rows(self.state / "market.ledger") as rows:
            for sequence in range(rows.last() + 1):
                body = decode_statement(rows.entry(sequence).statement).body
                fact = fact_of(body) if isinstance(body, Record) else None
                found += [] if fact is None else [fact]
        return found


def order(side: Side, device: str, price: int, interval_us: int = FIRST_US) -> Order:
    return Order(Venue.AUCTION, side, interval_us, device, 1_000, price, "EUR", 0, interval_us)


def placed(reply: wire.Reply) -> wire.Judged:
    assert isinstance(reply, wire.Placed), reply
    (outcome,) = reply.outcomes
    assert not outcome.reason, outcome
    return outcome
