"""The auction: welfare of a linear program, one price within every limit, ties as stated."""

from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from historian.ledger.market.auction import Bid, Clearing, clear, pro_rata

_spec = importlib.util.spec_from_file_location("auction_books", Path(__file__).with_name("auction_books.py"))
assert _spec is not None
assert _spec.loader is not None
books = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(books)

BOOKS = int(os.environ.get("TIELINE_AUCTION_BOOKS", "300"))


def test_welfare_is_that_of_a_linear_program_and_the_price_suits_all() -> None:
    draw = random.Random(20261121)
    for _ in range(BOOKS):
        books.check(*books.book(draw))


def test_a_book_by_hand() -> None:
    buys = [Bid(1, 10, 90), Bid(2, 10, 70), Bid(3, 10, 50)]
    sells = [Bid(4, 12, 40), Bid(5, 20, 60)]
    # 20 Wh: 90 and 70 meet 40 and the best 8 of 60; who is left of the sellers at 60 sets the price.
    assert clear(buys, sells) == Clearing(60, 20, {1: 10, 2: 10}, {4: 12, 5: 8})


def test_where_a_band_of_prices_clears_the_middle_is_taken_rounded_down() -> None:
    assert clear([Bid(1, 5, 81)], [Bid(2, 5, 40)]).price == 60
    assert clear([Bid(1, 5, 81), Bid(3, 5, 70)], [Bid(2, 5, 40)]).price == 75


def test_the_margin_is_shared_in_proportion_and_the_older_gets_the_odd_unit() -> None:
    found = clear([Bid(1, 100, 50)], [Bid(2, 100, 50), Bid(3, 100, 50), Bid(4, 100, 50)])
    assert found.sold == {2: 34, 3: 33, 4: 33}


def test_nothing_trades_where_nobody_meets() -> None:
    assert clear([Bid(1, 5, 40)], [Bid(2, 5, 41)]) == Clearing(None, 0, {}, {})
    assert clear([], [Bid(2, 5, 41)]) == clear([Bid(1, 5, 1)], []) == Clearing(None, 0, {}, {})


def test_who_would_get_less_than_its_smallest_fill_is_out_the_youngest_first() -> None:
    buys = [Bid(1, 100, 50)]
    sells = [Bid(2, 100, 50, 60), Bid(3, 100, 50, 60)]
    assert clear(buys, sells).sold == {2: 100}
    assert clear([Bid(1, 50, 50)], sells) == Clearing(None, 0, {}, {})


SIDE = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 6), st.integers(0, 30)), max_size=8)


@given(SIDE, SIDE)
def test_smallest_fills_hold_and_so_do_limits(
    buys: list[tuple[int, int, int]], sells: list[tuple[int, int, int]]
) -> None:
    ours = [Bid(i, wh, price, least) for i, (wh, price, least) in enumerate(buys)]
    theirs = [Bid(100 + i, wh, price, least) for i, (wh, price, least) in enumerate(sells)]
    found = clear(ours, theirs)
    assert sum(found.bought.values()) == sum(found.sold.values()) == found.volume_wh
    for bid in (*ours, *theirs):
        wh = found.bought.get(bid.priority, 0) or found.sold.get(bid.priority, 0)
        assert wh == 0 or min(bid.min_fill_wh, bid.wh) <= wh <= bid.wh
        if wh:
            assert found.price is not None
            assert (bid.price - found.price) * (1 if bid in ours else -1) >= 0


@given(st.integers(0, 10**15), st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_a_split_sums_to_the_last_unit(amount: int, weights: list[int]) -> None:
    shares = pro_rata(amount, list(enumerate(weights)))
    assert sum(shares.values()) == amount
    for key, weight in enumerate(weights):
        assert abs(shares[key] - amount * weight / sum(weights)) < 1 + amount * 1e-15
