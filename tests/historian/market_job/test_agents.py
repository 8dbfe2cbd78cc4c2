"""What agents bid of what they know, and that no sequence of inputs takes them beyond their limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.market_agents import AgentLimits, AgentState, Arbitrage, Prosumer
from historian.forecast_job.plan import Track
from historian.forecast_job.store import FOLDER, ForecastStore, Row
from historian.ledger.facts import Rules, Side
from historian.ledger.market.price import amount_up
from historian.market_job.agents.foreseen import Band, StoredBands
from historian.market_job.agents.kept import keep, recall
from historian.market_job.agents.limits import Used, allowed
from historian.market_job.agents.strategy import Bid, Expected, NoBid, Store, arbitrage, prosume, spread_of

HOME = Prosumer("pv", "load", "sun", "use", 1.0, 1.0, 0.25, 3_600, "retail", 50_000)
TRADER = Arbitrage("cell", None, 810_000, 20_000, 10_000, 1_000, 9_000, 86_400)
CELL = Store(level_wh=5_000, sold_wh=0, bought_wh=0, gives_wh=4_000, takes_wh=4_000)
LIMITS = AgentLimits(order_wh=3_000, day_wh=10_000, day_spend=1_000_000, price_low=50_000, price_high=400_000)
RULES = Rules(
    **dict.fromkeys(Rules.__dataclass_fields__, 0)  # of which only these are asked
    | {
        "currency": "EUR",
        "price_low": 10_000,
        "price_high": 1_000_000,
        "max_order_wh": 50_000,
        "cover": 100_000,
    }
)
DAY = (100, 120, 90, 300, 350, 200, 150, 400)


@pytest.mark.parametrize(
    ("gives", "takes", "bid"),
    [
        ((5_000, 7_000), (1_000, 2_000), Bid(Side.SELL, "pv", 3_000, 91_000)),
        ((0, 500), (2_000, 4_000), Bid(Side.BUY, "load", 1_500, 289_000)),
        ((1_000, 3_000), (2_000, 4_000), None),
    ],
)
def test_a_prosumer_bids_what_is_surely_left_over_between_feed_in_and_retail(
    gives: tuple[int, int], takes: tuple[int, int], bid: Bid | None
) -> None:
    found = prosume(HOME, Expected(*gives), Expected(*takes), 300_000, 80_000)
    assert (found if isinstance(found, Bid) else None) == bid


def test_what_people_traded_of_a_prosumers_devices_is_not_bid_again() -> None:
    surplus, none = Expected(5_000, 6_000), Expected()
    sold = prosume(HOME, surplus, none, 300_000, 80_000, sold_wh=4_000)
    assert isinstance(sold, Bid)
    assert sold.wh == 1_000
    assert isinstance(prosume(HOME, surplus, none, 300_000, 80_000, bought_wh=1), NoBid), "never both sides"
    assert isinstance(prosume(HOME, surplus, none, 80_000, 300_000), NoBid), "prices the wrong way round"


@pytest.mark.parametrize(
    ("prices", "bid"),
    [
        # 8 kWh at 4 an interval: two of the cheapest and two of the dearest; 350 × 0.81 - 30 >= 100 pays.
        (DAY, Bid(Side.BUY, "cell", 4_000, 100_000)),
        (DAY[3:], NoBid(AgentState.BIDS, "300000 is neither low (200000) nor high (350000)")),
        (DAY[4:] + DAY[:1], Bid(Side.SELL, "cell", 3_600, 350_000)),
        ((100, 120, 110), NoBid(AgentState.BIDS, "no spread pays: from 100000 to 120000")),
        ((100, 159), NoBid(AgentState.BIDS, "no spread pays: from 100000 to 159000")),
        ((100, 161), Bid(Side.BUY, "cell", 4_000, 100_000)),
        ((100,), NoBid(AgentState.NO_PRICE, "fewer than two prices are known: nothing to compare")),
    ],
)
def test_arbitrage_buys_low_and_sells_high_where_the_spread_pays(
    prices: tuple[int, ...], bid: Bid | NoBid
) -> None:
    assert arbitrage(TRADER, [price * 1_000 for price in prices], CELL) == bid


def test_arbitrage_counts_its_trades_against_itself() -> None:
    prices = [price * 1_000 for price in DAY]
    bought = arbitrage(TRADER, prices, replace(CELL, bought_wh=4_000))
    assert bought == Bid(Side.BUY, "cell", 444, 100_000), "9,000 - 5,000 - 3,600, of which 0.9 is kept"
    assert isinstance(arbitrage(TRADER, prices, replace(CELL, level_wh=9_000)), NoBid)
    assert isinstance(arbitrage(TRADER, prices, replace(CELL, is_sold=True)), NoBid), "never both sides"
    assert isinstance(arbitrage(TRADER, prices, replace(CELL, gives_wh=0)), NoBid)


@given(st.lists(st.integers(0, 10**6), max_size=40), st.integers(1, 10), st.integers(1, 10**6))
def test_every_round_trip_within_a_spread_pays(prices: list[int], intervals: int, efficiency: int) -> None:
    by = replace(TRADER, efficiency=efficiency)
    spread = spread_of(by, prices, intervals)
    if spread is not None:
        assert spread.high * efficiency // 10**6 - by.wear - spread.low >= by.profit


_WH = st.integers(0, 20_000)
_PRICE = st.integers(-50_000, 1_200_000)
_STEP = st.tuples(
    st.booleans(), st.tuples(_WH, _WH), st.tuples(_WH, _WH), _PRICE, _PRICE, st.lists(_PRICE, max_size=9), _WH, _WH,
    st.floats(0, 1), st.integers(0, 10**7),
)  # fmt: skip


@given(st.lists(_STEP, max_size=30), st.builds(AgentLimits, _WH, _WH, st.integers(0, 10**7), _PRICE, _PRICE))
def test_no_sequence_of_inputs_takes_an_agent_beyond_a_limit(steps: list, limits: AgentLimits) -> None:  # type: ignore[type-arg]  # of steps as above
    used = Used()
    for is_home, gives, takes, buys, sells, prices, level_wh, sold_wh, filled, free in steps:
        bid: Bid | NoBid
        if is_home:
            bid = prosume(HOME, Expected(*sorted(gives)), Expected(*sorted(takes)), buys, sells, sold_wh)
        else:
            bid = arbitrage(TRADER, prices, replace(CELL, level_wh=level_wh, sold_wh=sold_wh))
        if isinstance(bid, Bid):
            bid = allowed(bid, limits, used, RULES, free)
        if isinstance(bid, NoBid):
            continue
        assert 0 < bid.wh <= min(limits.order_wh, RULES.max_order_wh)
        assert max(limits.price_low, RULES.price_low) <= bid.price <= min(limits.price_high, RULES.price_high)
        assert amount_up(bid.wh, bid.price if bid.side is Side.BUY else RULES.cover) <= free
        wh = round(bid.wh * filled)
        is_buy = bid.side is Side.BUY
        worst = used + (Used(bid.wh, 0, amount_up(bid.wh, bid.price)) if is_buy else Used(0, bid.wh, 0))
        assert worst.wh <= limits.day_wh
        assert worst.spent <= max(limits.day_spend, used.spent)
        used += Used(wh, 0, amount_up(wh, bid.price)) if is_buy else Used(0, wh, 0)


@given(_WH, st.integers(0, 10**6), _WH, _WH, st.booleans())
def test_arbitrage_stays_between_its_levels(
    level_wh: int, efficiency: int, sold_wh: int, bought_wh: int, is_cheap: bool
) -> None:
    by = replace(TRADER, efficiency=max(efficiency, 1), wear=0, profit=0)
    store = Store(level_wh, sold_wh, bought_wh, 4_000, 4_000)
    bid = arbitrage(by, [0, 10**9] if is_cheap else [10**9, 0], store)
    way = (by.efficiency / 10**6) ** 0.5
    if isinstance(bid, Bid) and bid.side is Side.BUY:
        assert level_wh + (bought_wh + bid.wh) * way <= by.high + 1e-6
    if isinstance(bid, Bid) and bid.side is Side.SELL:
        assert level_wh - (sold_wh + bid.wh) / way >= by.low - 1e-6


def test_a_limit_is_moved_only_to_the_agents_good() -> None:
    buy, sell = Bid(Side.BUY, "load", 9_000, 500_000), Bid(Side.SELL, "pv", 9_000, 20_000)
    assert allowed(buy, LIMITS, Used(), RULES, 10**9) == Bid(Side.BUY, "load", 2_500, 400_000), (
        "1 EUR is spent"
    )
    assert allowed(sell, LIMITS, Used(), RULES, 10**9) == Bid(Side.SELL, "pv", 3_000, 50_000)
    for bid in (replace(buy, price=40_000), replace(sell, price=410_000)):
        found = allowed(bid, LIMITS, Used(), RULES, 10**9)
        assert isinstance(found, NoBid)
        assert found.state is AgentState.AT_LIMIT
    assert allowed(sell, LIMITS, Used(9_000, 800), RULES, 10**9) == Bid(Side.SELL, "pv", 200, 50_000)


def test_a_band_is_read_out_of_the_forecasts_files(tmp_path: Path) -> None:
    bands = StoredBands(tmp_path)
    assert bands.band("sun", 0, 3_600, 10**15) is None, "no file yet"
    store = ForecastStore(tmp_path / FOLDER)
    issue_us = 1_795_262_400 * 10**6
    values = np.array([[1, 2, 3], [2, 4, 6], [3, 6, 8]], "<f4")
    store.keep(Row("sun", Track.LONG, issue_us * 1_000, 0, 900, (0.1, 0.5, 0.9), values, "m", 0, False))
    store.close()
    band = bands.band("sun", issue_us + 900 * 10**6, 1_800, issue_us)
    assert band == Band((0.1, 0.5, 0.9), (2.5, 5.0, 7.0), issue_us)
    assert band.wh(0.3, 0.5, 1_800) == 937, "half of 3.75 kW for half an hour"
    assert bands.band("sun", issue_us + 1_800 * 10**6, 1_800, issue_us) is None, "beyond its reach"
    assert bands.band("sun", issue_us, 900, issue_us - 1) is None, "not known by then"


def test_where_nobody_knows_who_was_stopped_all_are(tmp_path: Path) -> None:
    file = tmp_path / "agents.json"
    assert recall(file, ["a", "b"]) == set()
    keep(file, {"a"})
    assert recall(file, ["a", "b"]) == {"a"}
    file.write_text('{"format": 1, "stop', encoding="utf-8")
    assert recall(file, ["a", "b"]) == {"a", "b"}
    assert recall(file, ["a", "b"]) == {"a", "b"}, "over the next restart too"
