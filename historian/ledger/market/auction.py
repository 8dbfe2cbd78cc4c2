"""A double auction at one price: the greatest welfare, of those the greatest volume. Pure.

Rules of ties, in this order:
1. Better prices first. All that beats the margin is filled in full.
2. Orders at the marginal price share what is left in proportion to their size, by largest remainder; of equal
   remainders the older order's is rounded up.
3. Of the prices at which this clears, the middle one, rounded down.
4. An order that would get less than its smallest fill is taken out, the youngest of them first, and the rest
   cleared again. With such orders the welfare is what this rule gives, not a proven optimum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple


class Bid(NamedTuple):
    """An order of either side; ``priority`` ascends with age: the less, the older."""

    priority: int
    wh: int
    price: int
    min_fill_wh: int = 0


@dataclass(frozen=True, slots=True)
class Clearing:
    """What the auction gives. ``price`` is None where nothing trades; fills by priority, zeros left out."""

    price: int | None
    volume_wh: int
    bought: dict[int, int]
    sold: dict[int, int]


def clear(buys: Sequence[Bid], sells: Sequence[Bid]) -> Clearing:
    """The clearing of these orders."""
    buys, sells = [bid for bid in buys if bid.wh > 0], [bid for bid in sells if bid.wh > 0]
    while True:
        clearing = _clear(buys, sells)
        short = [*_short(buys, clearing.bought), *_short(sells, clearing.sold)]
        if not short:
            return clearing
        out = max(short)
        buys = [bid for bid in buys if bid.priority != out]
        sells = [bid for bid in sells if bid.priority != out]


def _short(bids: Sequence[Bid], filled: dict[int, int]) -> list[int]:
    return [bid.priority for bid in bids if 0 < filled.get(bid.priority, 0) < min(bid.min_fill_wh, bid.wh)]


class _Level(NamedTuple):
    price: int
    wh: int
    bids: list[Bid]


def _levels(bids: Iterable[Bid], *, is_descending: bool) -> list[_Level]:
    ordered = sorted(bids, key=attrgetter("price"), reverse=is_descending)
    levels = []
    for price, at_price in groupby(ordered, key=attrgetter("price")):
        of_level = list(at_price)
        levels.append(_Level(price, sum(bid.wh for bid in of_level), of_level))
    return levels


def _clear(buys: Sequence[Bid], sells: Sequence[Bid]) -> Clearing:
    demand, supply = _levels(buys, is_descending=True), _levels(sells, is_descending=False)
    volume = 0
    i = j = 0
    wanted = demand[0].wh if demand else 0
    offered = supply[0].wh if supply else 0
    last_buy = last_sell = 0
    while i < len(demand) and j < len(supply) and demand[i].price >= supply[j].price:
        last_buy, last_sell = demand[i].price, supply[j].price
        wh = min(wanted, offered)
        volume += wh
        wanted -= wh
        offered -= wh
        if not wanted:
            i += 1
            wanted = demand[i].wh if i < len(demand) else 0
        if not offered:
            j += 1
            offered = supply[j].wh if j < len(supply) else 0
    if not volume:
        return Clearing(None, 0, {}, {})
    # Who is not filled in full must not want to trade at the price: level i (j) is the best that is not.
    low = max(last_sell, demand[i].price) if i < len(demand) else last_sell
    high = min(last_buy, supply[j].price) if j < len(supply) else last_buy
    assert low <= high, (low, high)
    return Clearing((low + high) // 2, volume, _filled(demand, volume), _filled(supply, volume))


def _filled(levels: Sequence[_Level], volume: int) -> dict[int, int]:
    filled: dict[int, int] = {}
    left = volume
    for level in levels:
        if not left:
            break
        if level.wh <= left:
            filled.update((bid.priority, bid.wh) for bid in level.bids)
            left -= level.wh
            continue
        shares = pro_rata(left, [(bid.priority, bid.wh) for bid in level.bids])
        filled.update((priority, wh) for priority, wh in shares.items() if wh)
        left = 0
    return filled


def pro_rata(amount: int, weights: Sequence[tuple[int, int]]) -> dict[int, int]:
    """An amount split by weight to the last unit: by largest remainder, of equal ones the lesser key first."""
    total = sum(weight for _, weight in weights)
    shares = {key: amount * weight // total for key, weight in weights}
    left = amount - sum(shares.values())
    by_remainder = sorted(weights, key=lambda of: (-(amount * of[1] % total), of[0]))
    for key, _ in by_remainder[:left]:
        shares[key] += 1
    return shares
