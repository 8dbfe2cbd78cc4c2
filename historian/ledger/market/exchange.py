"""The market: orders of all intervals, what they reserve, what they trade. Pure: facts in, trades out."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import Amendment, Order, Price, Rules, Side, Venue
from historian.ledger.market.auction import Bid, Clearing, clear
from historian.ledger.market.book import ContinuousBook, OpenOrder
from historian.ledger.market.limits import Limits
from historian.ledger.market.price import amount_down, amount_up
from historian.ledger.metering import MICROS
from historian.ledger.registry import Registry

MOST_OPEN_ORDERS = 1_000  # of one participant: ten of each interval of a day

OrderId = tuple[str, bytes]
_Pool = tuple[str, int, Venue, Side]  # whose, interval, where: orders that never meet each other


class Trade(NamedTuple):
    """Energy that changed hands. In an auction either party is the market: its order's id is None."""

    interval_us: int
    at_us: int
    entry: int
    buyer: OrderId | None
    seller: OrderId | None
    wh: int
    price: int
    amount: int


@dataclass(slots=True)
class Position:
    """What somebody traded of an interval: energy, money, and the cover held for what it sold."""

    bought_wh: int = 0
    sold_wh: int = 0
    pays: int = 0
    earns: int = 0
    cover: int = 0

    @property
    def net_export_wh(self) -> int:
        """What it is to give more than take."""
        return self.sold_wh - self.bought_wh


@dataclass(slots=True)
class Interval:
    """Trading of one interval."""

    book: ContinuousBook = field(default_factory=ContinuousBook)
    orders: dict[OrderId, OpenOrder] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    positions: defaultdict[str, Position] = field(default_factory=lambda: defaultdict(Position))
    clearing: Clearing | None = None
    is_gated: bool = False
    rules: Rules | None = None  # those in force at the gate; the interval is settled by them


class Exchange:
    """All intervals, deposits and limits, after some facts. Each method refuses, or changes, never half."""

    def __init__(self, registry: Registry, limits: Limits) -> None:
        self._registry = registry
        self.limits = limits
        self.rules: Rules | None = None
        self.intervals: dict[int, Interval] = {}
        self.orders: dict[OrderId, OpenOrder] = {}
        self.partners: dict[OrderId, str] = {}  # of offers: to whom
        self.deposits: defaultdict[str, int] = defaultdict(int)
        self.reserved: defaultdict[str, int] = defaultdict(int)
        self.prices: dict[int, Price] = {}
        self._open_of: defaultdict[str, dict[OrderId, OpenOrder]] = defaultdict(dict)
        self._beside: defaultdict[_Pool, dict[OrderId, OpenOrder]] = defaultdict(dict)
        self._expiries: list[tuple[int, int, OrderId]] = []

    def in_force(self) -> Rules:
        """The rules; ``Refused`` before there are any."""
        if self.rules is None:
            raise Refused(Reason.UNKNOWN, "the market has no rules yet")
        return self.rules

    def trader(self, name: str) -> None:
        """``Refused`` where it may not trade."""
        self._registry.trader(name)

    def available(self, name: str) -> int:
        """What of a deposit is not reserved."""
        return self.deposits[name] - self.reserved[name]

    # ------------------------------------------------------------ orders

    def place(self, author: str, client: bytes, fact: Order, entry: int, now_us: int) -> list[Trade]:
        """An order in; what it trades at once."""
        if fact.venue is Venue.BILATERAL:
            raise Refused(Reason.NOT_ALLOWED, "an order to one other: make it an offer")
        return self.enter(self.judged(author, client, fact, entry, now_us), entry, now_us)

    def judged(self, author: str, client: bytes, fact: Order, entry: int, now_us: int) -> OpenOrder:
        """An order that may be entered: its energy is promised, its money not reserved yet."""
        rules = self.in_force()
        self._registry.trader(author)
        if author not in self._registry.mains:
            raise Refused(Reason.NOT_ALLOWED, f"{author} has no meter that proves what it trades")
        if fact.currency != rules.currency:
            raise Refused(
                Reason.MIXED_UNITS, f"an order in {fact.currency}: the market's is {rules.currency}"
            )
        self._check_interval(fact.interval_us, rules, now_us)
        device = self.limits.owned(author, fact.device)
        if len(self._open_of[author]) >= MOST_OPEN_ORDERS:
            raise Refused(Reason.OVERSIZED, f"{author} has {MOST_OPEN_ORDERS} open orders")
        order = OpenOrder(author, client, fact, device.manifest.feeder, entry)
        self._check_terms(order, rules, now_us)
        self.limits.check(device, order.side, order.interval_us, order.open_wh, rules)
        order.reserve = _reserve(order, rules)
        self._check_funds(author, order.reserve)
        self._check_own(order)
        self.limits.promise(author, order.device, order.feeder, order.side, order.interval_us, order.open_wh)
        return order

    def amend(self, author: str, fact: Amendment, entry: int, now_us: int) -> list[Trade]:
        """An open order changed. Less energy of the same terms keeps its place; all else goes behind."""
        rules = self.in_force()
        self._registry.trader(author)
        order = self._own(author, fact.order)
        if order.venue is Venue.BILATERAL:
            raise Refused(Reason.NOT_ALLOWED, "an offer stays as it was made: cancel it and make another")
        self._check_interval(order.interval_us, rules, now_us)
        device = self.limits.owned(author, order.device)
        changed = OpenOrder(
            author,
            fact.order,
            Order(
                order.venue,
                order.side,
                order.interval_us,
                order.device,
                fact.wh,
                fact.price,
                rules.currency,
                fact.min_fill_wh,
                fact.good_until_us,
            ),
            order.feeder,
            entry,
        )
        self._check_terms(changed, rules, now_us)
        more = changed.open_wh - order.open_wh
        if more > 0:
            self.limits.check(device, order.side, order.interval_us, more, rules)
        changed.reserve = _reserve(changed, rules)
        self._check_funds(author, changed.reserve - order.reserve)
        self._check_own(changed)
        is_only_less = more <= 0 and (changed.price, changed.min_fill_wh, changed.good_until_us) == (
            order.price,
            order.min_fill_wh,
            order.good_until_us,
        )
        self.limits.promise(author, order.device, order.feeder, order.side, order.interval_us, more)
        if is_only_less:
            order.open_wh = changed.open_wh
            self._reserve_again(order, changed.reserve)
            return []
        self._take_out(order)
        return self.enter(changed, entry, now_us)

    def cancel(self, author: str, client: bytes) -> None:
        """An open order ends."""
        self._end(self._own(author, client))

    def cancel_all(self, author: str, device: str | None = None) -> None:
        """All open orders of somebody (or of one device) end: it is suspended, or its key is gone."""
        for order in list(self._open_of[author].values()):
            if device is None or order.device == device:
                self._end(order)

    def expire(self, now_us: int) -> None:
        """Orders end whose time is over."""
        while self._expiries and self._expiries[0][0] < now_us:
            _, priority, order_id = heapq.heappop(self._expiries)
            order = self.orders.get(order_id)
            if order is not None and order.priority == priority:
                self._end(order)

    def _check_interval(self, interval_us: int, rules: Rules, now_us: int) -> None:
        if interval_us % (rules.interval_s * MICROS):
            raise Refused(Reason.MALFORMED, f"{interval_us} µs is no start of an interval")
        interval = self.intervals.get(interval_us)
        closes_us = interval_us - rules.gate_lead_s * MICROS
        if now_us >= closes_us or (interval is not None and interval.is_gated):
            raise Refused(Reason.LATE, f"trading of the interval ended at {closes_us} µs")
        if interval_us > now_us + rules.horizon_s * MICROS:
            raise Refused(Reason.EARLY, f"an interval more than {rules.horizon_s} s ahead")

    @staticmethod
    def _check_terms(order: OpenOrder, rules: Rules, now_us: int) -> None:
        if order.open_wh <= 0:
            raise Refused(Reason.NEGATIVE, f"an order of {order.open_wh} Wh: 1 at least")
        if order.open_wh > rules.max_order_wh:
            raise Refused(Reason.OVERFLOW, f"an order of {order.open_wh} Wh: {rules.max_order_wh} at most")
        if not rules.price_low <= order.price <= rules.price_high:
            reason = Reason.NEGATIVE if order.price < 0 else Reason.OVERFLOW
            raise Refused(
                reason, f"a price of {order.price}: from {rules.price_low} to {rules.price_high} a kWh"
            )
        if not 0 <= order.min_fill_wh <= order.open_wh:
            raise Refused(Reason.MALFORMED, f"a smallest fill of {order.min_fill_wh} of {order.open_wh} Wh")
        if order.good_until_us < now_us:
            raise Refused(Reason.LATE, "an order that is over already")

    def _check_funds(self, author: str, more: int) -> None:
        if more > 0 and more > (free := self.available(author)):
            raise Refused(Reason.NEGATIVE, f"{author} has {free} of its deposit free, less than {more}")

    def _check_own(self, order: OpenOrder) -> None:
        """Nobody trades with itself: not even an offer to is taken."""
        other_side = Side.SELL if order.side is Side.BUY else Side.BUY
        sign = 1 if order.side is Side.SELL else -1
        for other in self._beside.get(
            (order.author, order.interval_us, order.venue, other_side), {}
        ).values():
            if (other.price - order.price) * sign >= 0:
                raise Refused(
                    Reason.CONFLICT, f"{order.author} would trade with its own order {other.client.hex()}"
                )

    def _own(self, author: str, client: bytes) -> OpenOrder:
        order = self.orders.get((author, client))
        if order is None:
            raise Refused(Reason.UNKNOWN, f"{author} has no open order {client.hex()}")
        return order

    # ------------------------------------------------------------ changes, after all checks

    def enter(self, order: OpenOrder, entry: int, now_us: int) -> list[Trade]:
        """In with one that was judged; what it trades at once."""
        interval = self._interval(order.interval_us)
        author, order_id = order.author, order.id
        self.orders[order_id] = order
        self._open_of[author][order_id] = order
        self._beside[order.pool][order_id] = order
        interval.orders[order_id] = order
        self.reserved[author] += order.reserve
        # One that is good until its gate is cleared however late the gate's entry comes.
        if order.good_until_us < order.interval_us - self.in_force().gate_lead_s * MICROS:
            heapq.heappush(self._expiries, (order.good_until_us, order.priority, order_id))
        trades = []
        if order.venue is Venue.CONTINUOUS:
            planned = interval.book.plan(order)
            interval.book.halves[order.side].add(order)
            for resting, wh in planned:
                trades.append(self.trade(order, resting, wh, entry, now_us))
        return trades

    def _interval(self, interval_us: int) -> Interval:
        interval = self.intervals.get(interval_us)
        if interval is None:
            interval = self.intervals[interval_us] = Interval()
        return interval

    def trade(self, order: OpenOrder, resting: OpenOrder, wh: int, entry: int, now_us: int) -> Trade:
        """So much between two that are in, at the price of the one that was there."""
        interval = self.intervals[order.interval_us]
        buy, sell = (order, resting) if order.side is Side.BUY else (resting, order)
        price = resting.price
        amount = amount_down(wh, price)
        self._fill(interval, buy, wh, amount)
        self._fill(interval, sell, wh, amount)
        trade = Trade(order.interval_us, now_us, entry, buy.id, sell.id, wh, price, amount)
        interval.trades.append(trade)
        return trade

    def _fill(self, interval: Interval, order: OpenOrder, wh: int, amount: int) -> None:
        """What is traded stays reserved: a purchase until the gate, a sale's cover until it is settled."""
        author, side, reserve = order.author, order.side, order.reserve
        position = interval.positions[author]
        order.open_wh = left = order.open_wh - wh
        if side is Side.BUY:
            held = amount
            position.bought_wh += wh
            position.pays += amount
            rest = amount_up(left, order.price)
        else:
            # Of the order's own reserve: the rules may have changed since.
            held = reserve - reserve * left // (left + wh)
            position.sold_wh += wh
            position.earns += amount
            position.cover += held
            rest = reserve - held
        self.reserved[author] += held + rest - reserve
        order.reserve = rest
        self.limits.trade(order.device, side, order.interval_us, wh)
        if not left:
            self._take_out(order)

    def _reserve_again(self, order: OpenOrder, reserve: int) -> None:
        self.reserved[order.author] += reserve - order.reserve
        order.reserve = reserve

    def _end(self, order: OpenOrder) -> None:
        """What is still open of it is given back."""
        self.limits.promise(
            order.author, order.device, order.feeder, order.side, order.interval_us, -order.open_wh
        )
        self._take_out(order)

    def _take_out(self, order: OpenOrder) -> None:
        author, order_id, pool = order.author, order.id, order.pool
        interval = self.intervals[order.interval_us]
        del self.orders[order_id]
        del self._open_of[author][order_id]
        beside = self._beside[pool]
        del beside[order_id]
        if not beside:
            del self._beside[pool]
        del interval.orders[order_id]
        self.partners.pop(order_id, None)
        self.reserved[author] -= order.reserve
        order.reserve = 0
        if order.venue is Venue.CONTINUOUS:
            interval.book.halves[order.side].remove(order)

    # ------------------------------------------------------------ the gate

    def close_gate(self, interval_us: int, entry: int, now_us: int, *, has_auction: bool = True) -> Interval:
        """Trading of an interval ends: the auction (if any) is cleared, what is open ends. Deposits have paid."""
        rules = self.in_force()
        interval = self.intervals.get(interval_us)
        if interval is not None and interval.is_gated:
            raise Refused(Reason.EXISTS, f"the gate of {interval_us} µs is closed already")
        if interval_us % (rules.interval_s * MICROS):
            raise Refused(Reason.MALFORMED, f"{interval_us} µs is no start of an interval")
        if now_us < interval_us - rules.gate_lead_s * MICROS:
            raise Refused(Reason.EARLY, "trading of the interval goes on")
        interval = self._interval(interval_us)
        interval.rules = rules
        auction = {
            order.priority: order
            for order in interval.orders.values()
            if has_auction and order.venue is Venue.AUCTION
        }
        bids: dict[Side, list[Bid]] = {side: [] for side in Side}
        for order in auction.values():
            bids[order.side].append(Bid(order.priority, order.open_wh, order.price, order.min_fill_wh))
        interval.clearing = clearing = clear(bids[Side.BUY], bids[Side.SELL])
        for priority, wh in [*clearing.bought.items(), *clearing.sold.items()]:
            order = auction[priority]
            assert clearing.price is not None
            price = order.price if rules.pay_as_bid else clearing.price
            is_buy = order.side is Side.BUY
            # Rounded for the market: what its buyers pay is never less than what its sellers get.
            amount = amount_up(wh, price) if is_buy else amount_down(wh, price)
            self._fill(interval, order, wh, amount)
            buyer, seller = (order.id, None) if is_buy else (None, order.id)
            interval.trades.append(Trade(interval_us, now_us, entry, buyer, seller, wh, price, amount))
        for order in list(interval.orders.values()):
            self._end(order)
        interval.is_gated = True
        for name, position in interval.positions.items():
            self.reserved[name] -= position.pays
            self.deposits[name] -= position.pays
        return interval

    def release_cover(self, interval_us: int) -> None:
        """What was sold is settled."""
        interval = self.intervals[interval_us]
        for name, position in list(interval.positions.items()):
            self.reserved[name] -= position.cover
            interval.positions[name] = replace(position, cover=0)


def _reserve(order: OpenOrder, rules: Rules) -> int:
    return amount_up(order.open_wh, order.price if order.side is Side.BUY else rules.cover)
