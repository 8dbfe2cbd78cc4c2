"""Whatever is said: units are conserved, no stock goes negative, and the ledger tells it all again.

The fold alone, without a file: what is owed is posted by the ledger's own rules as soon as it is owed.
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy

from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from ledger_town import FIRST_US, NOON_US, QUARTER_US, RULES, Entries, Feed, Town

from historian.ledger.community import Community
from historian.ledger.facts import (
    Amendment,
    Cancellation,
    Gate,
    Order,
    Price,
    Reading,
    ReadingQuality,
    Session,
    Settlement,
    Side,
    Status,
    StatusChange,
    Stored,
    Venue,
    Withdrawal,
)
from historian.ledger.market.price import ONE, amount_up
from historian.ledger.rules import price_of

NAMES = sorted(Town.KINDS)
INTERVALS = [FIRST_US, FIRST_US + QUARTER_US]


def orders(
    wh: st.SearchStrategy[int], price: st.SearchStrategy[int], **more: list[object]
) -> st.SearchStrategy[Order]:
    return st.builds(
        Order,
        st.sampled_from(list(Venue)),
        st.sampled_from(list(Side)),
        st.sampled_from(INTERVALS),
        st.sampled_from(NAMES).map("{}.dev".format),
        wh,
        price,
        st.sampled_from(more.get("currency", ["EUR"])),
        st.sampled_from(more.get("least", [0])),
        st.sampled_from(more.get("until", [FIRST_US + 9 * QUARTER_US])),
    )


FIT = orders(st.integers(1, 2_000), st.sampled_from([150_000, 150_001, 200_000]))
ODD = orders(
    st.integers(-2, 60_000),
    st.integers(0, 1_100_000),
    currency=["EUR", "EUR", "EUR", "USD"],
    least=[0, 100, 1_000],
    until=[FIRST_US - QUARTER_US, FIRST_US + 9 * QUARTER_US],
)
TRADING = st.lists(FIT, min_size=4, max_size=8)
OTHERS = st.one_of(
    ODD,
    st.tuples(st.just("amend"), st.integers(0, 30), st.integers(1, 4_000), st.integers(10_000, 400_000)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.builds(Withdrawal, st.sampled_from([1, 10_000_000, 99_000_000])).map(lambda fact: ("home1", fact)),
    st.builds(Stored, st.sampled_from(["bat.dev", "ev.dev"]), st.integers(0, 10_000)),
    st.builds(
        StatusChange,
        st.sampled_from(NAMES),
        st.just(False),
        st.just(Status.SUSPENDED),
        st.just(0),
        st.just(""),
    ),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)
# Some that most likely trade, one thing that disturbs, and so on.
STEPS = st.lists(st.tuples(TRADING, OTHERS), min_size=1, max_size=5).map(
    lambda rounds: [step for trading, other in rounds for step in (*trading, other)]
)


def run(feed: Feed, steps: list[object]) -> None:
    feed.fact("market", Session("ev.dev", NOON_US, FIRST_US + 2 * QUARTER_US, 5_000, 5_000))
    for step in steps:
        match step:
            case Order():
                feed.fact(step.device.split(".")[0], step)
            case ("amend", int(which), int(wh), int(price)) if feed.clients:
                client = feed.clients[which % len(feed.clients)]
                until = FIRST_US + 9 * QUARTER_US
                feed.fact(owner_of(feed, client), Amendment(client, wh, price, 0, until))
            case ("cancel", int(which)) if feed.clients:
                client = feed.clients[which % len(feed.clients)]
                feed.fact(owner_of(feed, client), Cancellation(client))
            case ("home1", Withdrawal() as withdrawal):
                feed.fact("home1", withdrawal)
            case ("wait", int(minutes)):
                feed.now_us += minutes * 60_000_000
                for interval_us in INTERVALS:
                    feed.fact("market", Gate(interval_us))
            case Stored() | StatusChange():
                feed.fact("market", step)
        check(feed)


def owner_of(feed: Feed, client: bytes) -> str:
    return feed.kept[int.from_bytes(client, "big")].author


def check(feed: Feed) -> None:
    """What must hold after each step."""
    market = feed.community.market
    for unit in ("EUR", "Wh"):
        assert not sum(amount for name, amount in feed.balances.items() if feed.units[name] == unit)
    assert not feed.community.strays
    reserved: defaultdict[str, int] = defaultdict(int)
    promised: defaultdict[tuple[Side, int, str], int] = defaultdict(int)
    for order in market.orders.values():
        assert 0 < order.open_wh <= RULES.max_order_wh
        reserved[order.author] += order.reserve
        limit = order.price if order.side is Side.BUY else RULES.cover
        assert order.reserve >= amount_up(order.open_wh, limit) - 1
        promised[order.side, order.interval_us, order.device] += order.open_wh
    for at, interval in market.intervals.items():
        bought = sold = 0
        for name, position in interval.positions.items():
            bought += position.bought_wh
            sold += position.sold_wh
            reserved[name] += position.cover + (0 if interval.is_gated else position.pays)
            promised[Side.BUY, at, f"{name}.dev"] += position.bought_wh
            promised[Side.SELL, at, f"{name}.dev"] += position.sold_wh
        assert bought == sold
    for name in NAMES:
        assert market.reserved[name] == reserved[name], name
        assert market.deposits[name] == feed.balances[f"{name}.deposit"]
        assert market.available(name) >= 0, name
        assert feed.community.billing.owed(name) == -feed.balances[f"{name}.current"], name
        for at in INTERVALS:
            for side in Side:
                device = f"{name}.dev"
                assert feed.community.limits.promised(device, side, at) == promised[side, at, device] <= 5_000
    for trade in feed.community.trades:
        assert trade.wh > 0
        assert trade.buyer is None or trade.seller is None or trade.buyer[0] != trade.seller[0]


def finish(feed: Feed, meters: list[int]) -> None:
    """Gates, meters, settlement of both intervals, and a correction of one meter."""
    feed.now_us = FIRST_US + 6 * QUARTER_US
    registers = [0] * len(NAMES)
    for at in (*INTERVALS, INTERVALS[-1] + QUARTER_US):
        feed.fact("market", Gate(at))
        for index, name in enumerate(NAMES):
            reading = Reading(f"{name}.meter", at, registers[index], 7, ReadingQuality.ESTIMATED)
            feed.fact("market", reading)
            registers[index] += meters[index]
    for at in INTERVALS:
        measured = Price(at, 200_000, 1, 2, 10, 0, 0, ONE, 0, 0, 0)
        feed.fact("market", price_of(RULES, measured))
        feed.fact("market", Settlement(at))
        assert at in feed.community.settled
    check(feed)
    last = INTERVALS[-1] + QUARTER_US
    before = feed.balances.copy()
    feed.fact(
        "market", Reading("home1.meter", last, registers[NAMES.index("home1")] + 1, 7, ReadingQuality(1))
    )
    feed.fact("market", Settlement(INTERVALS[-1]))
    check(feed)
    for name in NAMES:
        assert feed.balances[f"{name}.wh"] == 0, "all that was owed was given, or settled as imbalance"
        changed = before[f"{name}.current"] != feed.balances[f"{name}.current"]
        assert not changed or name == "home1"
    assert feed.balances["market.escrow"] == 0
    assert feed.balances["market.pool-wh"] == 0


# Not shrunk: with steps that hang on each other it takes minutes and says little more.
@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(STEPS, st.lists(st.integers(0, 1_200), min_size=6, max_size=6))
def test_conservation_no_negative_stock_and_the_same_again_from_the_entries(
    built_entries: Entries, steps: list[object], meters: list[int]
) -> None:
    feed = Feed(built_entries)
    run(feed, steps)
    finish(feed, meters)
    event(f"{min(len(feed.community.trades), 5)} trades or more")
    again = Community()
    for placed in feed.kept:
        again.take(placed)
    assert told(again) == told(feed.community)


def told(community: Community) -> object:
    market = community.market
    return deepcopy(
        (
            community.trades,
            {sequence: str(refused) for sequence, refused in community.voids.items()},
            {at: (settled.version, settled.lines) for at, settled in community.settled.items()},
            {name: amount for name, amount in market.reserved.items() if amount},
            dict(market.deposits),
            community.owed,
        )
    )
