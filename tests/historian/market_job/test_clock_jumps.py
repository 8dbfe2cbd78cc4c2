"""The clock of an open market jumps: no interval is cleared twice, no order comes after its gate, and it is told."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from market_bench import FIRST_US, HOME, QUARTER_US
from market_town import MINUTE_US, Town, order, placed

from gateway.config.market import MarketStatus
from historian.ledger.facts import Gate, Halt, ReadingQuality, Settlement, Side
from historian.ledger.verify import verify
from historian.market_job import wire
from historian.signing import SigningKey

HOUR_US = 60 * MINUTE_US
SECOND_US = FIRST_US + QUARTER_US
GATE_US = FIRST_US - 5 * MINUTE_US
DEPOSIT = 50.5


async def traded(town: Town) -> None:
    """Both sides of a trade in the first interval that can be traded, its gate not closed yet."""
    await town.until(lambda: town["market.status"] == MarketStatus.OPEN)
    joined = await town.submit(await town.signed(HOME, joins=True))
    assert isinstance(joined, wire.Placed)
    await town.until(lambda: town["market.home.deposit"] == DEPOSIT)
    sun = SigningKey.load(town.state / "keys" / "sun.pem")
    placed(await town.submit(await town.signed(sun, order(Side.SELL, "roof", 150_000))))
    placed(await town.submit(await town.signed(HOME, order(Side.BUY, "house", 250_000))))


async def refusal(town: Town, interval_us: int) -> str:
    """Why an order for it is not taken."""
    reply = await town.submit(await town.signed(HOME, order(Side.BUY, "house", 250_000, interval_us)))
    assert isinstance(reply, wire.Placed | wire.Turned), reply
    return reply.reason if isinstance(reply, wire.Turned) else reply.outcomes[0].reason


def gates(town: Town) -> Counter[int]:
    return Counter(fact.interval_us for fact in town.facts() if isinstance(fact, Gate | Halt))


def settled(town: Town) -> Counter[int]:
    return Counter(fact.interval_us for fact in town.facts() if isinstance(fact, Settlement))


def check_order(town: Town) -> None:
    assert all(first <= second for first, second in pairwise(town.placed_at_us()))
    assert verify(town.state / "market.ledger", processes=1).is_sound


async def test_back_by_an_hour_nothing_is_cleared_again_and_trading_goes_on(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.trading():
        await traded(town)
        town.now_us = GATE_US + MINUTE_US
        await town.until(lambda: gates(town) == {FIRST_US: 1})
        town.put_clock(-HOUR_US)
        await town.until(lambda: "put back by 1:00:00" in town["market.last_error"])
        assert "behind the ledger, whose last entry is of 2026-11-21T12:11:00Z" in town["market.last_error"]
        assert await refusal(town, FIRST_US) == "late", "its gate has passed, whatever the clock says now"
        bid = await town.signed(HOME, order(Side.BUY, "house", 250_000, SECOND_US))
        receipt = placed(await town.submit(bid))
        assert receipt.placed_at_us >= GATE_US + MINUTE_US, (
            "an entry bears no earlier time than the one before"
        )
        await town.some_looks()
        assert gates(town) == {FIRST_US: 1}
        assert sum("put back" in message for message in caplog.messages) == 1
        town.now_us = GATE_US + QUARTER_US + MINUTE_US  # an hour and a quarter later
        await town.until(lambda: gates(town) == {FIRST_US: 1, SECOND_US: 1})
        await town.until(lambda: "behind the ledger" not in town["market.last_error"])
        assert placed(await town.submit(bid)) == receipt, "asked again, it is the same"
        town.now_us = SECOND_US + 3 * MINUTE_US
        await town.until(lambda: settled(town) == {FIRST_US: 1})
        await town.some_looks()
    assert settled(town) == {FIRST_US: 1}
    assert set(gates(town).values()) == {1}
    check_order(town)


@pytest.mark.parametrize("hours", [1, 24])
async def test_ahead_what_lies_between_is_not_cleared_and_not_again_when_the_clock_is_put_right(
    town: Town, hours: int, caplog: pytest.LogCaptureFixture
) -> None:
    told = "1 day, 0:00:00" if hours == 24 else "1:00:00"
    async with town.trading():
        await traded(town)
        town.now_us = GATE_US + MINUTE_US
        await town.until(lambda: gates(town) == {FIRST_US: 1})
        await town.until(lambda: town["market.home.deposit"] is not None)
        before = town["market.home.deposit"]
        placed(await town.submit(await town.signed(HOME, order(Side.BUY, "house", 250_000, SECOND_US))))
        await town.until(lambda: (town["market.home.deposit"] or before) < before)
        town.put_clock(hours * HOUR_US)
        await town.until(lambda: f"put ahead by {told}" in town["market.last_error"])
        await town.until(lambda: len(gates(town)) == 1 + 4 * hours)
        assert await refusal(town, SECOND_US) in ("late", "stopped")  # history has nothing of then
        halted = [fact.interval_us for fact in town.facts() if isinstance(fact, Halt)]
        assert halted == [SECOND_US + k * QUARTER_US for k in range(4 * hours)], (
            "nobody could follow them now"
        )
        town.put_clock(-hours * HOUR_US)
        await town.until(lambda: f"put back by {told}" in town["market.last_error"])
        assert "behind the ledger" in town["market.last_error"]
        await town.until(lambda: town["market.status"] == MarketStatus.OPEN)
        assert await refusal(town, FIRST_US) == "late"
        assert await refusal(town, SECOND_US) == "late"
        await town.until(lambda: town["market.orders"] == 0)
        town.now_us = SECOND_US + QUARTER_US + 3 * MINUTE_US
        await town.until(lambda: settled(town)[SECOND_US] == 1)
        await town.some_looks()
    assert sum("put ahead" in message for message in caplog.messages) == 1
    assert set(gates(town).values()) == {1}
    assert set(settled(town).values()) == {1}
    check_order(town)


def test_readings_that_were_put_off_by_a_clock_ahead_are_looked_for_when_it_is_put_right(bench: Any) -> None:
    bench.until(FIRST_US + MINUTE_US, "car_in_wh", "car_out_wh")
    here_us = bench.now_us
    bench.now_us += HOUR_US
    for _ in range(2):  # estimated as it is overdue, and looked for again, at an hour's pace
        bench.look()
    meters = bench.community.meters
    assert meters.reading("car_m", FIRST_US).quality is ReadingQuality.ESTIMATED
    bench.now_us = here_us
    bench.meter(at_us=FIRST_US)
    bench.look()
    assert meters.reading("car_m", FIRST_US).quality is ReadingQuality.MEASURED
