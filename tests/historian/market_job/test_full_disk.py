"""The market on a disk that is really full: closed and said so, nothing half on the record, open again by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from market_bench import FIRST_US, HOME, REGISTERS, START_US

from gateway.config.market import MarketStatus
from gateway.config.site import Site
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_good
from gateway.tags.sample import to_bits
from historian.ledger.bundle import Bundle
from historian.ledger.coding import fact_of, record_of
from historian.ledger.entry import Record, decode_statement
from historian.ledger.errors import LedgerError
from historian.ledger.facts import Fact, Gate, Halt, Order, Settlement, Side, Venue
from historian.ledger.pen import Pen
from historian.ledger.rows import Rows
from historian.ledger.verify import verify
from historian.market_job import wire
from historian.market_job.door import Asked, make_inbox
from historian.market_job.opening import open_market
from historian.market_job.part import trade_on
from historian.signing import KeyFileError, SigningKey

MINUTE_US = 60_000_000
PATIENCE_S = 60.0


class Town:
    """The part in a thread, its ledger on the small disk; its clock, tags and history are the test's."""

    def __init__(self, site: Site, state: Path, folder: Any) -> None:
        self.site, self.state, self.folder = site, state, folder
        self.now_us, self.looks = START_US, 0
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
        # An hour of minutes, so that nothing has to be written while the disk is full.
        times = [START_US * 1_000 + minute * MINUTE_US * 1_000 for minute in range(-2, 60)]
        folder.clock.now = times[-1]
        for name in REGISTERS:
            folder.write(f"d.{name}", times, [1_000] * len(times), flush=False)
        assert folder.recorder.flush()

    def clock(self) -> int:
        self.looks += 1
        self.now_us += 1
        return self.now_us

    def __getitem__(self, tag: str) -> Any:
        """None while it is Bad."""
        sample = self.region.sample(tag)
        return sample.value if is_good(sample.status) else None

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        stop = threading.Event()
        trade = asyncio.to_thread(
            trade_on, self.region.name, self.site, self.state, self.folder.directory, self.inbox, stop,
            lambda: None, clock=self.clock, look_s=0.02, reopen_s=0.05,
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


@pytest.fixture
def town(market_site: Site, disk: Any, folder: Any) -> Iterator[Town]:
    made = Town(market_site, disk.path, folder)
    with made.region:
        yield made


async def test_a_full_disk_closes_the_market_and_it_goes_on_with_nothing_lost_and_nothing_twice(
    town: Town, disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with town.trading():
        await town.until(lambda: town["market.status"] == MarketStatus.OPEN)
        joined = await town.submit(await town.signed(HOME, joins=True))
        assert isinstance(joined, wire.Placed)
        await town.until(lambda: town["market.home.deposit"] == 50.5)
        sun = SigningKey.load(town.state / "keys" / "sun.pem")
        placed(await town.submit(await town.signed(sun, order(Side.SELL, "roof", 150_000))))
        first = await town.signed(HOME, order(Side.BUY, "house", 250_000))
        receipt = placed(await town.submit(first))
        later = await town.signed(HOME, order(Side.BUY, "house", 200_000, FIRST_US + 900_000_000))
        caplog.clear()

        disk.fill()
        refused = await town.submit(later)
        assert isinstance(refused, wire.Turned), refused
        assert refused.reason == "stopped"
        await town.until(lambda: town["market.status"] == MarketStatus.NO_LEDGER)
        assert "not written" in town["market.last_error"]
        assert town["market.home.deposit"] is None
        await town.some_looks()  # while nothing is due that would have to be written
        town.now_us = FIRST_US - 5_000_000  # the gate passes meanwhile
        await town.some_looks()
        assert town["market.status"] == MarketStatus.NO_LEDGER, "it is not opened before it can be written"
        assert [each.message.partition(": ")[0] for each in caplog.records] == ["THE MARKET"]
        assert town["d.load_kw"] == 50.0

        disk.free()
        await town.until(lambda: town["market.status"] == MarketStatus.OPEN)
        await town.until(lambda: "the market goes on" in caplog.text)
        again = placed(await town.submit(later))
        assert placed(await town.submit(later)) == again, "asked again, it is placed once"
        assert placed(await town.submit(first)) == receipt

        disk.fill()  # over the end of the interval, when it would be settled
        town.now_us = FIRST_US + 900_000_000 + 2 * MINUTE_US
        await town.until(lambda: town["market.status"] == MarketStatus.NO_LEDGER)
        await town.some_looks()
        disk.free()
        await town.until(lambda: town["market.status"] == MarketStatus.OPEN)
        await town.until(lambda: any(isinstance(fact, Settlement) for fact in town.facts()))
        await town.some_looks()
    facts = town.facts()
    assert Counter(fact.device for fact in facts if isinstance(fact, Order)) == {"roof": 1, "house": 2}
    gates = Counter(fact.interval_us for fact in facts if isinstance(fact, Gate | Halt))
    assert gates[FIRST_US] == 1
    assert set(gates.values()) == {1}
    assert Counter(fact.interval_us for fact in facts if isinstance(fact, Settlement)) == {FIRST_US: 1}
    assert verify(town.state / "market.ledger", processes=1).is_sound


@pytest.mark.parametrize("pages", [0, 1, 2, 5, 12, 16])
def test_a_market_that_could_not_begin_for_want_of_room_begins_when_there_is_some(
    market_site: Site, disk: Any, pages: int
) -> None:
    assert market_site.market is not None
    disk.fill(but=pages)
    for _ in range(2):
        with pytest.raises((LedgerError, KeyFileError, OSError, sqlite3.Error)):
            open_market(market_site.market, disk.path, "town", lambda: START_US)
    disk.free()
    opened = open_market(market_site.market, disk.path, "town", lambda: START_US)
    opened.book.close()
    assert set(opened.held) == {"sun", "car"}
    assert verify(disk.path / "market.ledger", processes=1).is_sound
    left = {each.name for each in disk.path.rglob("*")} - {"market.ledger-wal", "market.ledger-shm"}
    assert left == {"market.ledger", "market.ledger.id", "market.pem", "keys", "sun.pem", "car.pem"}
