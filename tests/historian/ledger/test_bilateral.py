"""Trades between two: both sign the same terms, both are judged as orders are, each is done once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_town import FIRST_US, QUARTER_US, Town

from historian.ledger.errors import Reason
from historian.ledger.facts import Acceptance, Amendment, Cancellation, Feeder, Gate, Offer, Side, Venue
from historian.ledger.market.price import amount_down
from historian.ledger.pen import client_id

ID = client_id("offer")
OFFER = Offer("home1", Side.SELL, FIRST_US, "pv1.dev", 1_000, 200_000, "EUR", FIRST_US)
YES = Acceptance("pv1", ID, "home1.dev", 1_000, 200_000)


def offered(town: Town, offer: Offer = OFFER, by: str = "pv1") -> None:
    ((outcome,),) = town.desk.submit([town.request(by, offer, ID)])
    assert outcome.refused is None, outcome


def test_an_offer_that_is_accepted_is_a_trade_of_both(town: Town) -> None:
    offered(town)
    assert town.community.market.reserved["pv1"] == amount_down(1_000, 100_000), "its cover"
    for _ in range(2):
        ((outcome,),) = town.desk.submit([town.request("home1", YES, client_id("yes"))])
        assert outcome.refused is None, "said again, it is done once"
    (trade,) = town.community.trades
    assert (trade.buyer, trade.seller) == (("home1", client_id("yes")), ("pv1", ID))
    assert (trade.wh, trade.price, trade.amount) == (1_000, 200_000, 200_000)
    assert town.community.market.orders == {}
    assert town.community.market.partners == {}
    town.now_us = FIRST_US
    town.desk.demand(Gate(FIRST_US))
    assert town.book.state.balances()["market.escrow"] == 200_000
    positions = town.community.market.intervals[FIRST_US].positions
    assert {name: position.net_export_wh for name, position in positions.items()} == {
        "pv1": 1_000,
        "home1": -1_000,
    }


def test_a_purchase_can_be_offered_too(town: Town) -> None:
    offered(town, replace(OFFER, counterparty="pv2", side=Side.BUY, device="home1.dev"), by="home1")
    town.must("pv2", Acceptance("home1", ID, "pv2.dev", 1_000, 200_000))
    (trade,) = town.community.trades
    assert trade.buyer == ("home1", ID)
    assert town.community.market.reserved["home1"] == 200_000


@pytest.mark.parametrize(
    ("who", "fact", "reason"),
    [
        ("home2", YES, Reason.UNKNOWN),
        ("home1", replace(YES, wh=999), Reason.CONFLICT),
        ("home1", replace(YES, price=199_999), Reason.CONFLICT),
        ("home1", replace(YES, offer=client_id("another")), Reason.UNKNOWN),
        ("home1", replace(YES, device="home2.dev"), Reason.UNKNOWN),
        ("pv1", Amendment(ID, 500, 200_000, 0, FIRST_US), Reason.NOT_ALLOWED),
        ("home1", Cancellation(ID), Reason.UNKNOWN),
    ],
)
def test_what_the_other_did_not_offer_to_one_is_refused(
    town: Town, who: str, fact: Acceptance, reason: Reason
) -> None:
    offered(town)
    town.refused(who, fact, reason)


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (replace(OFFER, counterparty="pv1"), Reason.CONFLICT),
        (replace(OFFER, counterparty="nobody"), Reason.UNKNOWN),
        (replace(OFFER, wh=5_001), Reason.OVERFLOW),
        (replace(OFFER, wh=-1), Reason.NEGATIVE),
        (replace(OFFER, price=1_000_001), Reason.OVERFLOW),
        (replace(OFFER, currency="USD"), Reason.MIXED_UNITS),
        (replace(OFFER, interval_us=FIRST_US + 1), Reason.MALFORMED),
        (replace(OFFER, interval_us=FIRST_US - 8 * QUARTER_US), Reason.LATE),
        (replace(OFFER, device="pv2.dev"), Reason.UNKNOWN),
    ],
)
def test_an_offer_is_judged_as_an_order_is(town: Town, offer: Offer, reason: Reason) -> None:
    town.refused("pv1", offer, reason)


def test_the_acceptance_must_fit_the_others_feeder_and_deposit_too(town: Town) -> None:
    offered(town)
    town.desk.demand(Feeder("f1", 60_000, 3_000))
    town.refused("home1", YES, Reason.OVERFLOW, "the feeder f1 carries")
    town.desk.demand(Feeder("f1", 60_000, 60_000))
    town.suspend("pv1")
    town.refused("home1", YES, Reason.UNKNOWN)


def test_an_offer_ends_with_its_time_its_cancellation_or_its_gate(town: Town) -> None:
    offered(town, replace(OFFER, good_until_us=town.now_us + 60_000_000))
    town.now_us += 61_000_000
    town.trade("pv1", Side.SELL, 100, 200_000)  # with the next entry, what is over is taken out
    town.refused("home1", YES, Reason.UNKNOWN)
    assert town.community.market.partners == {}
    second = client_id("second")
    ((outcome,),) = town.desk.submit([town.request("pv1", OFFER, second)])
    assert outcome.refused is None
    town.must("pv1", Cancellation(second))
    town.refused("home1", replace(YES, offer=second), Reason.UNKNOWN)
    assert town.community.market.reserved["pv1"] == amount_down(100, 100_000)


def test_an_order_does_not_meet_an_offer(town: Town) -> None:
    offered(town)
    town.trade("home1", Side.BUY, 1_000, 300_000)
    assert not town.community.trades
    town.refused("pv1", town.order("pv1", Side.SELL, 10, 200_000, venue=Venue.BILATERAL), Reason.NOT_ALLOWED)
