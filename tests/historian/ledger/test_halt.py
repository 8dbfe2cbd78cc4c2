"""A market that could not go on: its intervals end without an auction."""

from __future__ import annotations

from ledger_town import FIRST_US, Town

from historian.ledger.errors import Reason
from historian.ledger.facts import Gate, Halt, Order, Side, Venue
from historian.ledger.market.price import amount_down


def test_a_halt_ends_the_auction_and_lets_continuous_trades_stand(town: Town) -> None:
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 200_000)
    for name, side in (("pv2", Side.SELL), ("home2", Side.BUY)):
        town.trade(name, side, 500, 150_000, venue=Venue.AUCTION)
    town.now_us = FIRST_US + 1
    town.desk.demand(Halt(FIRST_US, "the market was away"))
    interval = town.community.market.intervals[FIRST_US]
    assert interval.is_gated
    assert not interval.orders
    assert interval.clearing is not None
    assert interval.clearing.volume_wh == 0
    assert [trade.wh for trade in interval.trades] == [1_000]
    balances = town.book.state.balances()
    assert balances["market.escrow"] == amount_down(1_000, 200_000)
    assert balances["home2.deposit"] == 100_000_000
    assert town.community.market.reserved["home2"] == 0
    town.refused("market", Gate(FIRST_US), Reason.EXISTS)
    town.refused("market", Halt(FIRST_US, "again"), Reason.EXISTS)


def test_only_an_operator_halts_and_only_once_trading_is_over(town: Town) -> None:
    order: Order = town.order("pv1", Side.SELL, 1_000, 200_000)
    town.must("pv1", order)
    town.refused("pv1", Halt(FIRST_US, "mine"), Reason.NOT_ALLOWED)
    town.refused("market", Halt(FIRST_US, "early"), Reason.EARLY)
