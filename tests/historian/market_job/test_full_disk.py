"""The market on a disk that is really full: closed and said so, nothing half on the record, open again by itself."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from typing import Any

import pytest
from market_bench import FIRST_US, HOME, START_US
from market_town import MINUTE_US, Town, order, placed

from gateway.config.market import MarketStatus
from gateway.config.site import Site
from historian.ledger.errors import LedgerError
from historian.ledger.facts import Gate, Halt, Order, Settlement, Side
from historian.ledger.verify import verify
from historian.market_job import wire
from historian.market_job.opening import open_market
from historian.signing import KeyFileError, SigningKey


async def test_a_full_disk_closes_the_market_and_it_goes_on_with_nothing_lost_and_nothing_twice(
    town: Town, disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    town.state = disk.path
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
