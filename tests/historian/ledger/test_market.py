"""The market through the ledger: priorities, fills, amendments, gates, and what is refused before it can rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_town import FIRST_US, NOON_US, QUARTER_US, RULES, Town

from historian.ledger.entry import KeyAction, KeyChange, Role, transfer
from historian.ledger.errors import Reason
from historian.ledger.facts import (
    Amendment,
    Cancellation,
    Forecast,
    Gate,
    Session,
    Side,
    Status,
    StatusChange,
    Stored,
    Venue,
    Withdrawal,
)

BUY, SELL = Side.BUY, Side.SELL
NEXT_US = FIRST_US + QUARTER_US


def trades(town: Town) -> list[tuple[str, str, int, int]]:
    return [
        (
            trade.buyer[0] if trade.buyer else "",
            trade.seller[0] if trade.seller else "",
            trade.wh,
            trade.price,
        )
        for trade in town.community.trades
    ]


def amended(town: Town, client: bytes, **more: int) -> Amendment:
    (order,) = (order for order in town.community.market.orders.values() if order.client == client)
    same = Amendment(client, order.open_wh, order.price, order.min_fill_wh, order.good_until_us)
    return replace(same, **more)


# ---------------------------------------------------------------- the continuous book


def test_better_prices_first_then_the_older_at_the_price_that_rested(town: Town) -> None:
    town.trade("pv1", SELL, 100, 210_000)
    town.trade("pv2", SELL, 100, 200_000)
    town.trade("bat", SELL, 100, 200_000)
    town.trade("home1", BUY, 250, 220_000)
    assert trades(town) == [
        ("home1", "pv2", 100, 200_000),
        ("home1", "bat", 100, 200_000),
        ("home1", "pv1", 50, 210_000),
    ]
    (rest,) = town.community.market.orders.values()
    assert (rest.author, rest.open_wh) == ("pv1", 50)


def test_what_is_not_matched_rests_and_trades_later(town: Town) -> None:
    town.trade("home1", BUY, 300, 200_000)
    town.trade("pv1", SELL, 100, 150_000)
    town.trade("pv2", SELL, 100, 200_001)
    assert trades(town) == [("home1", "pv1", 100, 200_000)]
    book = town.community.market.intervals[FIRST_US].book
    assert (book.halves[BUY].depth(), book.halves[SELL].best()) == ([(200_000, 200)], 200_001)


def test_intervals_and_venues_do_not_meet(town: Town) -> None:
    town.trade("pv1", SELL, 100, 100_000)
    town.trade("home1", BUY, 100, 200_000, interval_us=NEXT_US)
    town.trade("home2", BUY, 100, 200_000, venue=Venue.AUCTION)
    assert trades(town) == []


def test_an_order_trades_its_smallest_fill_or_nothing(town: Town) -> None:
    town.trade("pv1", SELL, 60, 200_000)
    town.trade("home1", BUY, 100, 200_000, min_fill_wh=80)
    assert trades(town) == []
    town.trade("pv2", SELL, 79, 190_000)
    assert trades(town) == [], "who rests is passed over by less than its smallest fill"
    town.trade("bat", SELL, 90, 190_000)
    assert trades(town) == [("home1", "bat", 90, 200_000)]
    town.trade("home2", BUY, 150, 200_000, min_fill_wh=139)
    assert trades(town)[1:] == [("home2", "pv2", 79, 190_000), ("home2", "pv1", 60, 200_000)]


def test_less_of_the_same_keeps_its_place_and_all_else_goes_behind(town: Town) -> None:
    first = town.trade("pv1", SELL, 100, 200_000)
    second = town.trade("pv2", SELL, 100, 200_000)
    town.must("pv1", amended(town, first, wh=50))
    town.trade("home1", BUY, 50, 200_000)
    assert trades(town) == [("home1", "pv1", 50, 200_000)]
    third = town.trade("bat", SELL, 100, 200_000)
    town.must("pv2", amended(town, second, wh=110))
    town.trade("home1", BUY, 100, 200_000)
    assert trades(town)[1:] == [("home1", "bat", 100, 200_000)]
    town.refused("bat", Amendment(third, 1, 200_000, 0, NEXT_US), Reason.UNKNOWN, "no open order")
    town.must("pv2", amended(town, second, price=150_000))
    town.trade("home1", BUY, 10, 200_000)
    assert trades(town)[2:] == [("home1", "pv2", 10, 150_000)]


def test_an_amended_order_trades_at_once_where_it_can(town: Town) -> None:
    client = town.trade("pv1", SELL, 100, 300_000)
    town.trade("home1", BUY, 100, 200_000)
    town.must("pv1", amended(town, client, price=200_000))
    assert trades(town) == [("home1", "pv1", 100, 200_000)]
    assert not town.community.market.orders


def test_an_owner_cancels_and_nobody_else_and_what_was_held_is_free(town: Town) -> None:
    client = town.trade("home1", BUY, 1_000, 200_000)
    market = town.community.market
    assert market.available("home1") == 100_000_000 - 200_000
    town.refused("home2", Cancellation(client), Reason.UNKNOWN)
    town.must("home1", Cancellation(client))
    assert market.available("home1") == 100_000_000
    assert market.limits.promised("home1.dev", BUY, FIRST_US) == 0
    town.refused("home1", Cancellation(client), Reason.UNKNOWN)


def test_an_order_ends_with_its_validity(town: Town) -> None:
    town.trade("home1", BUY, 100, 200_000, good_until_us=NOON_US + 60_000_000)
    town.now_us = NOON_US + 60_000_001
    town.trade("pv1", SELL, 100, 200_000)
    assert trades(town) == []
    assert [order.author for order in town.community.market.orders.values()] == ["pv1"]
    late = town.order("home1", BUY, 100, 200_000, good_until_us=NOON_US)
    town.refused("home1", late, Reason.LATE)


def test_nobody_trades_with_itself(town: Town) -> None:
    town.desk.demand(Stored("bat.dev", 6_000))
    town.trade("bat", SELL, 100, 200_000)
    town.refused("bat", town.order("bat", BUY, 100, 200_000), Reason.CONFLICT, "its own order")
    town.trade("bat", BUY, 100, 199_999)
    town.trade("bat", BUY, 100, 300_000, venue=Venue.AUCTION)
    town.trade("bat", BUY, 100, 300_000, interval_us=NEXT_US)


def test_no_amendment_comes_to_trade_with_its_own(town: Town) -> None:
    town.trade("bat", SELL, 100, 200_000)
    client = town.trade("bat", BUY, 100, 150_000)
    town.refused("bat", amended(town, client, price=200_000), Reason.CONFLICT)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "reason", "why"),
    [
        ({"wh": 0}, Reason.NEGATIVE, "1 at least"),
        ({"wh": -5}, Reason.NEGATIVE, "1 at least"),
        ({"wh": 2**62}, Reason.OVERFLOW, "50000 at most"),
        ({"wh": 5_001}, Reason.OVERFLOW, "pv1.dev gives 5000 Wh"),
        ({"price": -1}, Reason.NEGATIVE, "from 10000 to 1000000"),
        ({"price": 9_999}, Reason.OVERFLOW, "from 10000 to 1000000"),
        ({"price": 2**62}, Reason.OVERFLOW, "from 10000 to 1000000"),
        ({"currency": "USD"}, Reason.MIXED_UNITS, "the market's is EUR"),
        ({"min_fill_wh": 101}, Reason.MALFORMED, "smallest fill"),
        ({"min_fill_wh": -1}, Reason.MALFORMED, "smallest fill"),
        ({"interval_us": FIRST_US + 1}, Reason.MALFORMED, "no start"),
        ({"interval_us": NOON_US}, Reason.LATE, "ended"),
        ({"interval_us": NOON_US - 4 * QUARTER_US}, Reason.LATE, "ended"),
        ({"interval_us": NOON_US + 1000 * QUARTER_US}, Reason.EARLY, "ahead"),
        ({"device": "pv2.dev"}, Reason.UNKNOWN, "no device"),
        ({"device": "pv1.meter"}, Reason.NOT_ALLOWED, "meter"),
    ],
)
def test_an_unfit_order_is_void(town: Town, change: dict[str, object], reason: Reason, why: str) -> None:
    order = replace(town.order("pv1", SELL, 100, 200_000), **change)  # type: ignore[arg-type]  # of an order
    town.refused("pv1", order, reason, why)


def test_what_a_device_can_do_bounds_all_its_orders_of_an_interval_together(town: Town) -> None:
    # 20 kW for a quarter of an hour: 5 kWh.
    town.trade("pv1", SELL, 3_000, 200_000)
    town.trade("home1", BUY, 1_000, 200_000)
    town.refused("pv1", town.order("pv1", SELL, 2_001, 200_000), Reason.OVERFLOW, "3000 are promised")
    client = town.trade("pv1", SELL, 2_000, 200_000)
    town.refused("pv1", amended(town, client, wh=2_001), Reason.OVERFLOW)
    town.trade("pv1", SELL, 5_000, 200_000, interval_us=NEXT_US)
    town.must("pv1", Cancellation(client))
    town.trade("pv1", SELL, 2_000, 210_000)


def test_a_feeder_bounds_all_devices_on_it_together(town: Town) -> None:
    # 60 kW for a quarter of an hour: 15 kWh, of 20 that the four could sell.
    town.desk.demand(Session("ev.dev", NOON_US, NEXT_US, 10_000, 10_000))
    for name in ("pv1", "pv2", "bat"):
        town.trade(name, SELL, 4_500, 200_000)
    over = town.order("ev", SELL, 1_501, 200_000)
    town.refused("ev", over, Reason.OVERFLOW, "the feeder f1 carries 15000")
    town.trade("ev", SELL, 1_500, 200_000)


def test_a_storage_sells_what_is_in_it_and_what_it_has_bought_before(town: Town) -> None:
    later_us = NEXT_US + QUARTER_US
    town.trade("bat", SELL, 5_000, 200_000)
    town.refused(
        "bat", town.order("bat", SELL, 1_001, 200_000, interval_us=later_us), Reason.NEGATIVE, "short"
    )
    town.trade("bat", BUY, 2_000, 150_000, interval_us=NEXT_US)
    # An open purchase promises nothing; once traded it does.
    town.refused(
        "bat", town.order("bat", SELL, 1_001, 200_000, interval_us=later_us), Reason.NEGATIVE, "short"
    )
    town.trade("pv1", SELL, 2_000, 150_000, interval_us=NEXT_US)
    town.trade("bat", SELL, 3_000, 200_000, interval_us=later_us)
    town.refused("bat", town.order("bat", SELL, 1, 200_000, interval_us=later_us), Reason.NEGATIVE, "short")


def test_a_storage_buys_what_it_has_room_for(town: Town) -> None:
    town.trade("bat", BUY, 4_000, 200_000)
    town.refused("bat", town.order("bat", BUY, 1, 200_000), Reason.OVERFLOW, "would hold 10001")
    town.desk.demand(Stored("bat.dev", 5_000))
    town.trade("bat", BUY, 1_000, 200_000)


def test_a_storage_whose_level_nobody_knows_sells_nothing(town: Town) -> None:
    del town.community.limits.levels["bat.dev"]
    town.refused("bat", town.order("bat", SELL, 1, 200_000), Reason.UNKNOWN, "not known")


def test_a_vehicle_trades_within_its_session(town: Town) -> None:
    town.refused("ev", town.order("ev", SELL, 100, 200_000), Reason.NOT_ALLOWED, "no session")
    town.refused("ev", Session("ev.dev", NOON_US, NEXT_US, 1, 1), Reason.NOT_ALLOWED, "operator")
    town.refused("market", Session("ev.dev", NOON_US, NOON_US, 1, 1), Reason.MALFORMED)
    town.refused("market", Session("ev.dev", NOON_US, NEXT_US, 10_001, 1), Reason.OVERFLOW)
    town.refused("market", Session("bat.dev", NOON_US, NEXT_US, 1, 1), Reason.UNKNOWN)
    town.desk.demand(Session("ev.dev", NOON_US, NEXT_US, 3_000, 500))
    town.trade("ev", SELL, 2_000, 200_000)
    early = FIRST_US - QUARTER_US
    town.refused("ev", town.order("ev", SELL, 1_001, 200_000, interval_us=early), Reason.OVERFLOW, "session")
    town.trade("ev", SELL, 1_000, 200_000, interval_us=early)
    town.refused("ev", town.order("ev", BUY, 501, 100_000), Reason.OVERFLOW, "session")
    over = town.order("ev", BUY, 1, 100_000, interval_us=NEXT_US)
    town.refused("ev", over, Reason.NOT_ALLOWED, "no session")


def test_a_source_sells_no_more_than_its_forecast(town: Town) -> None:
    town.desk.demand(Forecast("pv1.dev", FIRST_US, 1_200))
    town.refused("pv1", town.order("pv1", SELL, 1_201, 200_000), Reason.OVERFLOW, "gives 1200")
    town.trade("pv1", SELL, 1_200, 200_000)


def test_what_the_meter_has_shown_bounds_what_is_traded(town: Town) -> None:
    town.desk.demand(replace(RULES, proven_share=1_250_000))
    town.trade("pv1", SELL, 900, 300_000)
    for quarter in range(5):
        town.read("pv1", NOON_US - (5 - quarter) * QUARTER_US, 0, 400 * quarter)
    town.refused("pv1", town.order("pv1", SELL, 1, 300_000), Reason.OVERFLOW, "the meters of pv1 prove")
    town.trade("pv1", SELL, 500, 300_000, interval_us=NEXT_US)


def test_a_deposit_bounds_what_is_bought_and_covers_what_is_sold(town: Town) -> None:
    town.must("home1", Withdrawal(100_000_000 - 500_000))
    assert town.book.state.balances()["home1.deposit"] == 500_000
    town.trade("home1", BUY, 2_000, 200_000)
    town.refused(
        "home1", town.order("home1", BUY, 501, 200_000), Reason.NEGATIVE, "100000 of its deposit free"
    )
    town.trade("home1", BUY, 500, 200_000)
    town.refused("home1", Withdrawal(1), Reason.NEGATIVE, "0 of its deposit free")
    town.post(transfer("pay in", "bank", "home1.deposit", "EUR", 1))
    town.must("home1", Withdrawal(1))
    town.must("pv1", Withdrawal(100_000_000 - 100_000))
    town.trade("pv1", SELL, 1_000, 200_000)  # covered by 0.10 a kWh
    town.refused("pv1", town.order("pv1", SELL, 1, 200_000), Reason.NEGATIVE, "free")


def test_a_withdrawal_is_more_than_nothing(town: Town) -> None:
    town.refused("home1", Withdrawal(0), Reason.NEGATIVE)
    town.refused("home1", Withdrawal(-5), Reason.NEGATIVE)


def test_rules_that_cannot_work_are_void(town: Town) -> None:
    for change, reason in (
        ({"interval_s": 1_800}, Reason.NOT_ALLOWED),
        ({"currency": "USD"}, Reason.NOT_ALLOWED),
        ({"interval_s": 700}, Reason.MALFORMED),
        ({"price_high": 9_999}, Reason.OVERFLOW),
        ({"price_low": -1}, Reason.NEGATIVE),
        ({"short_share": 999_999}, Reason.OVERFLOW),
        ({"long_share": 1_000_001}, Reason.OVERFLOW),
    ):
        town.refused("market", replace(RULES, **change), reason)  # type: ignore[arg-type]  # fields of rules
    town.refused("pv1", RULES, Reason.NOT_ALLOWED)


# ---------------------------------------------------------------- who disappears


def test_who_is_suspended_or_loses_its_key_has_no_open_orders(town: Town) -> None:
    town.trade("pv1", SELL, 100, 200_000)
    town.trade("pv2", SELL, 100, 200_000)
    town.trade("home1", BUY, 100, 100_000)
    town.suspend("pv1")
    town.post(KeyChange(KeyAction.REVOKE, "pv2", Role.MEMBER, town.keys["pv2"].public))
    town.desk.demand(StatusChange("home1.dev", True, Status.MAINTENANCE, 0, "broken"))
    assert not town.community.market.orders
    assert not any(town.community.market.reserved.values())
    town.trade("home2", BUY, 100, 300_000)
    assert trades(town) == []
    town.refused("pv1", town.order("pv1", SELL, 1, 200_000), Reason.NOT_ALLOWED, "suspended")
    town.refused("home1", town.order("home1", BUY, 1, 200_000), Reason.NOT_ALLOWED, "maintenance")


def test_trades_of_who_disappeared_still_count(town: Town) -> None:
    town.trade("pv1", SELL, 100, 200_000)
    town.trade("home1", BUY, 100, 200_000)
    town.suspend("home1")
    town.now_us = FIRST_US
    town.desk.close_gates()
    assert town.book.state.balances()["market.escrow"] == 20_000


# ---------------------------------------------------------------- the gate


def test_the_gate_clears_the_auction_at_one_price_and_posts_all_trades(town: Town) -> None:
    a = Venue.AUCTION
    town.trade("pv1", SELL, 333, 111_111, venue=a)
    town.trade("pv2", SELL, 400, 150_001, venue=a)
    town.trade("home1", BUY, 501, 200_003, venue=a)
    town.trade("home2", BUY, 100, 140_000, venue=a)
    town.trade("bat", SELL, 50, 200_000)
    town.trade("home2", BUY, 50, 200_000)
    town.refused("market", Gate(FIRST_US), Reason.EARLY)
    town.refused("pv1", Gate(FIRST_US), Reason.NOT_ALLOWED)
    town.now_us = FIRST_US - 300 * 1_000_000
    assert town.desk.close_gates() == [FIRST_US]
    clearing = town.community.market.intervals[FIRST_US].clearing
    assert clearing is not None
    assert (clearing.price, clearing.volume_wh) == (150_001, 501)
    balances = town.book.state.balances()
    # 501 × 150.001 = 75150.501; 333 × 150.001 = 49950.333; 168 × 150.001 = 25200.168; and 50 at 0.2
    assert balances["home1.deposit"] == 100_000_000 - 75_151
    assert balances["home2.deposit"] == 100_000_000 - 10_000
    assert balances["market.escrow"] == 49_950 + 25_200 + 10_000
    assert balances["market.surplus"] == 1
    assert (balances["home1.wh"], balances["pv1.wh"], balances["pv2.wh"]) == (501, -333, -168)
    assert balances["market.pool-wh"] == 0
    assert not town.community.market.orders
    town.refused("market", Gate(FIRST_US), Reason.EXISTS)
    town.refused("pv1", town.order("pv1", SELL, 1, 200_000), Reason.LATE)
    assert town.desk.close_gates() == []


def test_a_gate_that_closes_late_clears_what_was_good_until_it_should_have_closed(town: Town) -> None:
    closes_us = FIRST_US - 300 * 1_000_000
    town.trade("pv1", SELL, 100, 100_000, venue=Venue.AUCTION, good_until_us=closes_us)
    town.trade("pv2", SELL, 100, 100_000, venue=Venue.AUCTION, good_until_us=closes_us - 1)
    town.trade("home1", BUY, 200, 300_000, venue=Venue.AUCTION, good_until_us=closes_us)
    town.now_us = FIRST_US + 10 * QUARTER_US
    town.desk.close_gates()
    assert [trade.wh for trade in town.community.trades] == [100, 100]
    assert trades(town)[1] == ("", "pv1", 100, 300_000)


def test_pay_as_bid_gives_each_its_own_price_and_the_community_the_rest(town: Town) -> None:
    town.desk.demand(replace(RULES, pay_as_bid=True))
    town.trade("pv1", SELL, 1_000, 100_000, venue=Venue.AUCTION)
    town.trade("home1", BUY, 1_000, 300_000, venue=Venue.AUCTION)
    town.now_us = FIRST_US
    town.desk.close_gates()
    balances = town.book.state.balances()
    assert (balances["market.escrow"], balances["market.surplus"]) == (100_000, 200_000)
