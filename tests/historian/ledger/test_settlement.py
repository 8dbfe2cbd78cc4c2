"""Settlement: metered against traded, to the unit; restated when a meter is corrected, with both on the record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import FIRST_US, QUARTER_US, RULES, Town

from historian.ledger.errors import Reason
from historian.ledger.facts import (
    Price,
    Reading,
    ReadingQuality,
    Reversal,
    Settlement,
    Side,
    Status,
    StatusChange,
    Venue,
)
from historian.ledger.market.exchange import Position
from historian.ledger.metering import Energy
from historian.ledger.settlement import line_transfer, settle
from historian.ledger.verify import verify

BUY, SELL = Side.BUY, Side.SELL
END_US = FIRST_US + QUARTER_US


@pytest.fixture
def traded(town: Town) -> Town:
    """pv1 sold 1000 Wh to home1 at 0.20; the gate is closed, the price is 0.20, the interval is over."""
    town.trade("pv1", SELL, 1_000, 200_000)
    town.trade("home1", BUY, 1_000, 250_000)
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.now_us = END_US + QUARTER_US
    town.price()
    return town


def read_all(town: Town, **energy: tuple[int, int]) -> None:
    for name in town.KINDS:
        imported, exported = energy.get(name, (0, 0))
        town.read(name, FIRST_US, 0, 0)
        town.read(name, END_US, imported, exported)


def settled(town: Town) -> dict[str, int]:
    outcome = town.desk.settle(FIRST_US)
    assert outcome.refused is None, outcome
    return town.book.state.balances()


def test_who_does_what_it_traded_pays_and_gets_just_that_and_the_fees(traded: Town) -> None:
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0))
    balances = settled(traded)
    # pv1: 0.20 less 0.005 community fee. home1 has paid 0.20 at the gate; 0.005, 0.02 grid fee, 30 Wh of losses.
    assert balances["pv1.current"] == 200_000 - 5_000
    assert balances["home1.current"] == -(5_000 + 20_000 + 6_000)
    assert (balances["fees.community"], balances["fees.grid"], balances["fees.losses"]) == (
        10_000,
        20_000,
        6_000,
    )
    assert (balances["market.escrow"], balances["market.imbalance"]) == (0, 0)
    assert (balances["pv1.wh"], balances["home1.wh"]) == (0, 0)
    assert (balances["energy.lost-wh"], balances["energy.grid-wh"]) == (30, -30)


def test_who_is_short_pays_half_more_and_who_is_long_gets_half(traded: Town) -> None:
    read_all(traded, pv1=(0, 900), home1=(900, 0))
    lines = (settled(traded), traded.community.settled[FIRST_US].lines)[1]
    assert (lines["pv1"].imbalance_wh, lines["pv1"].imbalance) == (-100, -30_000)
    assert (lines["home1"].imbalance_wh, lines["home1"].imbalance) == (100, 10_000)
    balances = traded.book.state.balances()
    assert balances["market.imbalance"] == 20_000
    assert balances["energy.grid-wh"] == -30


def test_who_traded_nothing_is_settled_by_its_meter_alone(traded: Town) -> None:
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0), home2=(300, 0), pv2=(0, 200))
    balances = settled(traded)
    assert balances["home2.current"] == -(90_000 + 6_000)
    assert balances["pv2.current"] == 20_000
    assert set(traded.community.settled[FIRST_US].lines) == {"pv1", "home1", "home2", "pv2"}


def test_nothing_is_settled_before_all_of_it_is_known(town: Town) -> None:
    fact = Settlement(FIRST_US)
    town.trade("pv1", SELL, 1_000, 200_000)
    town.refused("pv1", fact, Reason.NOT_ALLOWED)
    town.refused("market", fact, Reason.EARLY, "the gate")
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.refused("market", fact, Reason.EARLY, "not over")
    town.now_us = END_US + QUARTER_US
    town.refused("market", fact, Reason.UNKNOWN, "no price")
    price = town.price()
    town.read("pv2", FIRST_US, 0, 0)
    town.read("pv1", FIRST_US, 0, 0)
    town.refused("market", fact, Reason.UNKNOWN, "a meter of pv")
    town.read("pv1", END_US, 0, 0)
    town.refused("market", fact, Reason.UNKNOWN, "a meter of pv2")
    town.desk.demand(town.community.meters.estimate("pv2.meter", END_US))
    town.desk.demand(fact)
    town.refused("market", fact, Reason.EXISTS, "settled like this")
    assert price == 200_000
    again = replace(town.community.market.prices[FIRST_US])
    town.refused("market", again, Reason.EXISTS, "settled by its price")


def test_a_retired_meter_holds_nothing_up(traded: Town) -> None:
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0))
    traded.desk.demand(StatusChange("home2.meter", True, Status.RETIRED, 0, "exchanged"))
    settled(traded)


def test_a_corrected_meter_restates_what_it_changes_and_nothing_else(traded: Town) -> None:
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0), home2=(300, 0))
    before = settled(traded)
    sequence = traded.book.state.head.sequence
    entry = traded.community.meters.reading("home2.meter", END_US)
    assert entry is not None
    traded.desk.demand(
        Reversal("home2.meter", END_US, entry.entry, "another meter's"),
        Reading("home2.meter", END_US, 100, 0, ReadingQuality.MEASURED),
    )
    after = settled(traded)
    assert after["home2.current"] == -(30_000 + 2_000)
    assert {name for name in after if after[name] != before[name]} == {
        "home2.current",
        "market.imbalance",
        "fees.grid",
        "energy.metered-wh",
        "energy.grid-wh",
    }
    bodies = [placed.statement.body for placed in traded.book.placed(sequence + 3)]
    references = [getattr(body, "reference", "") for body in bodies]
    assert references == [
        f"settlement {FIRST_US} v2 takes back v1",
        f"settlement {FIRST_US} v2",
    ]
    assert traded.community.settled[FIRST_US].version == 2
    assert verify(traded.file).is_sound


def test_an_estimate_that_is_replaced_restates_too(traded: Town) -> None:
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0))
    known = traded.community.meters.reading("pv1.meter", END_US)
    assert known is not None
    traded.desk.demand(Reversal("pv1.meter", END_US, known.entry, "test"))
    traded.desk.demand(Reading("pv1.meter", END_US, 0, 700, ReadingQuality.ESTIMATED))
    settled(traded)
    assert traded.community.settled[FIRST_US].lines["pv1"].is_estimated
    traded.read("pv1", END_US, 0, 1_000)
    balances = settled(traded)
    assert balances["pv1.current"] == 195_000
    assert not traded.community.settled[FIRST_US].lines["pv1"].is_estimated


def test_a_sellers_cover_is_held_until_its_sale_is_settled(traded: Town) -> None:
    market = traded.community.market
    assert market.reserved["pv1"] == 100_000
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0))
    settled(traded)
    assert market.reserved["pv1"] == 0
    assert market.available("pv1") == 100_000_000


def test_an_interval_is_settled_by_the_rules_of_its_gate(traded: Town) -> None:
    traded.desk.demand(replace(RULES, community_fee=999_000, cover=1))
    read_all(traded, pv1=(0, 1_000), home1=(1_000, 0))
    assert settled(traded)["pv1.current"] == 195_000
    assert traded.community.market.reserved["pv1"] == 0


def test_an_auction_is_settled_like_any_trade(town: Town) -> None:
    town.trade("pv1", SELL, 1_000, 100_000, venue=Venue.AUCTION)
    town.trade("home1", BUY, 1_000, 300_000, venue=Venue.AUCTION)
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.now_us = END_US + QUARTER_US
    town.price()
    read_all(town, pv1=(0, 1_000), home1=(1_000, 0))
    assert settled(town)["pv1.current"] == 195_000


def test_parts_of_a_unit_are_the_communitys() -> None:
    rules = replace(RULES, short_share=10**6, long_share=10**6, loss_share=0)
    at = Price(FIRST_US, 0, 0, 1, 0, 0, 0, 0, 0, 0, 333)
    for exported, imbalance in ((0, -4), (20, 3)):  # 10 Wh at 0.000333 a kWh: 3.33 millionths
        line = settle("a", Position(sold_wh=10), Energy(0, exported, False), at, rules)
        assert line.imbalance == imbalance


WH = st.integers(0, 10**7)
SHARE = st.integers(0, 10**6)


@given(WH, WH, WH, WH, st.integers(0, 10**7), SHARE, SHARE, SHARE)
def test_any_line_is_balanced_in_money_and_energy_and_imbalance_never_pays(
    bought: int, sold: int, imported: int, exported: int, price: int, loss: int, short: int, long: int
) -> None:
    rules = replace(RULES, loss_share=loss, short_share=10**6 + short, long_share=long)
    at = Price(FIRST_US, 0, 0, 1, 0, 0, 0, 0, 0, 0, price)
    line = settle("a", Position(bought, sold, 5, 7), Energy(imported, exported, False), at, rules)
    transfer = line_transfer(line, "EUR", "x")
    sums: dict[str, int] = {}
    for posting in transfer.postings if transfer else ():
        sums[posting.unit] = sums.get(posting.unit, 0) + posting.amount
    assert not any(sums.values())
    worth = line.imbalance_wh * price
    assert line.imbalance * 1000 <= worth, "whoever trades what it does is never worse off"
