"""Random auction books, what a linear program makes of them, and what must hold of any clearing.

Run by itself it looks at many: python tests/historian/ledger/auction_books.py 10000
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from historian.ledger.market.auction import Bid, Clearing, clear


def book(draw: random.Random) -> tuple[list[Bid], list[Bid]]:
    """Few prices, so that ties are common; sizes from 1 Wh to 50 kWh."""
    prices = draw.choice([range(1, 6), range(1, 100), range(10_000, 1_000_000)])
    most = draw.choice([3, 1_000, 50_000])
    sides: tuple[list[Bid], list[Bid]] = ([], [])
    for priority in range(draw.randint(0, draw.choice([4, 12, 60]))):
        draw.choice(sides).append(Bid(priority, draw.randint(1, most), draw.choice(prices)))
    return sides


def optimum(buys: Sequence[Bid], sells: Sequence[Bid]) -> int:
    """The greatest welfare, Σ price × Wh of buyers less that of sellers, by a linear program (HiGHS)."""
    if not buys or not sells:
        return 0
    bids = [*buys, *sells]
    signs = np.array([1] * len(buys) + [-1] * len(sells))
    worth = np.array([bid.price for bid in bids]) * signs
    found = linprog(
        -worth, A_eq=signs[np.newaxis], b_eq=[0], bounds=[(0, bid.wh) for bid in bids], method="highs"
    )
    assert found.status == 0, found
    return round(-found.fun)  # whole: one equality is totally unimodular, and all is whole


def welfare(buys: Sequence[Bid], sells: Sequence[Bid], found: Clearing) -> int:
    price = {bid.priority: bid.price for bid in (*buys, *sells)}
    bought = sum(price[priority] * wh for priority, wh in found.bought.items())
    return bought - sum(price[priority] * wh for priority, wh in found.sold.items())


def check(buys: Sequence[Bid], sells: Sequence[Bid]) -> None:
    """All that must hold where no order has a smallest fill."""
    found = clear(buys, sells)
    assert sum(found.bought.values()) == sum(found.sold.values()) == found.volume_wh
    assert welfare(buys, sells, found) == optimum(buys, sells), (buys, sells)
    assert (found.price is None) == (found.volume_wh == 0)
    price = found.price
    for bids, filled, sign in ((buys, found.bought, 1), (sells, found.sold, -1)):
        for bid in bids:
            wh = filled.get(bid.priority, 0)
            assert 0 <= wh <= bid.wh
            if price is None:
                continue
            gain = (bid.price - price) * sign
            assert gain >= 0 or not wh, "nobody trades beyond its limit"
            assert gain <= 0 or wh == bid.wh, "nobody who would gain is left out"
        at_margin = {bid.price for bid in bids if 0 < filled.get(bid.priority, 0) < bid.wh}
        assert len(at_margin) <= 1
        for bid in bids:
            level = [other for other in bids if other.price == bid.price]
            share = sum(filled.get(other.priority, 0) for other in level)
            exact = share * bid.wh / sum(other.wh for other in level)
            assert abs(filled.get(bid.priority, 0) - exact) < 1, "in proportion, to the unit"
    # Of the greatest welfare the greatest volume: who is left at one price on both sides would have traded.
    left_buy = max((b.price for b in buys if found.bought.get(b.priority, 0) < b.wh), default=-1)
    left_sell = min((b.price for b in sells if found.sold.get(b.priority, 0) < b.wh), default=2**63)
    assert left_buy < left_sell


if __name__ == "__main__":
    count = int(sys.argv[1])
    draw = random.Random(7)
    for _ in range(count):
        check(*book(draw))
    print(f"{count:,} books: welfare is the linear program's, prices within limits, ties as stated")
