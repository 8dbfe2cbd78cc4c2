"""A continuous book of one interval: better price first, of equal prices the older order. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from historian.ledger.facts import Order, Side


class OpenOrder:
    """An order with something still open. It changes only when it trades or is amended."""

    __slots__ = (
        "author",
        "client",
        "device",
        "feeder",
        "good_until_us",
        "id",
        "interval_us",
        "min_fill_wh",
        "open_wh",
        "pool",
        "price",
        "priority",
        "reserve",
        "side",
        "venue",
    )

    def __init__(self, author: str, client: bytes, fact: Order, feeder: str, priority: int) -> None:
        self.id = (author, client)
        self.pool = (author, fact.interval_us, fact.venue, fact.side)
        self.author = author
        self.client = client
        self.venue = fact.venue
        self.side = fact.side
        self.interval_us = fact.interval_us
        self.device = fact.device
        self.feeder = feeder
        self.price = fact.price
        self.min_fill_wh = fact.min_fill_wh
        self.good_until_us = fact.good_until_us
        self.open_wh = fact.wh
        self.priority = priority
        self.reserve = 0

    @property
    def least_wh(self) -> int:
        """The least that it trades at once: its smallest fill, or all of a rest that is less."""
        return min(self.min_fill_wh, self.open_wh)


class Half:
    """The orders of one side."""

    def __init__(self, side: Side) -> None:
        self._sign = -1 if side is Side.BUY else 1  # keys ascend from the best price to the worst
        self._keys: list[int] = []
        self._levels: dict[int, dict[int, OpenOrder]] = {}

    def add(self, order: OpenOrder) -> None:
        """Behind those of its price; priorities come ascending."""
        key = order.price * self._sign
        level = self._levels.get(key)
        if level is None:
            insort(self._keys, key)
            level = self._levels[key] = {}
        level[order.priority] = order

    def remove(self, order: OpenOrder) -> None:
        """Out of the book."""
        key = order.price * self._sign
        level = self._levels[key]
        del level[order.priority]
        if not level:
            del self._levels[key]
            del self._keys[bisect_left(self._keys, key)]

    def best(self) -> int | None:
        """The best price."""
        return self._keys[0] * self._sign if self._keys else None

    def until(self, price: int) -> Iterator[OpenOrder]:
        """Those at least as good as a price for who trades with them, the best first."""
        limit = price * self._sign
        for key in self._keys:
            if key > limit:
                return
            yield from self._levels[key].values()

    def depth(self) -> list[tuple[int, int]]:
        """Price and open energy, the best first."""
        return [
            (key * self._sign, sum(order.open_wh for order in self._levels[key].values()))
            for key in self._keys
        ]


class ContinuousBook:
    """Both halves."""

    def __init__(self) -> None:
        self.halves = {side: Half(side) for side in Side}

    def plan(self, order: OpenOrder) -> list[tuple[OpenOrder, int]]:
        """What the order would trade now: nothing, or its smallest fill at least.

        A resting order that would get less than its own smallest fill is passed over.
        """
        other = self.halves[Side.SELL if order.side is Side.BUY else Side.BUY]
        left = order.open_wh
        planned: list[tuple[OpenOrder, int]] = []
        for resting in other.until(order.price):
            open_wh = resting.open_wh
            wh = left if left < open_wh else open_wh
            if wh < resting.min_fill_wh and wh < open_wh:  # than its least_wh
                continue
            planned.append((resting, wh))
            left -= wh
            if not left:
                break
        return planned if order.open_wh - left >= order.least_wh else []
