"""What an agent may still do: a bid made smaller, or none. Pure; what was used comes from the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.config.market_agents import AgentLimits, AgentState
from historian.ledger.facts import Rules, Side
from historian.ledger.market.exchange import Interval, OrderId
from historian.ledger.market.price import amount_up
from historian.market_job.agents.strategy import Bid, NoBid, kwh, money


@dataclass(frozen=True, slots=True)
class Used:
    """Energy and money of orders: what they traded, and what is open of them at their limits."""

    bought_wh: int = 0
    sold_wh: int = 0
    spent: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.bought_wh + other.bought_wh, self.sold_wh + other.sold_wh, self.spent + other.spent)

    @property
    def wh(self) -> int:
        return self.bought_wh + self.sold_wh


def used_of(interval: Interval, own: bytes, author: str) -> Used:
    """Of an author's orders of an interval whose client ids begin with ``own``."""

    def is_own(order: OrderId | None) -> bool:
        return order is not None and order[0] == author and order[1].startswith(own)

    found = Used()
    for trade in interval.trades:
        if is_own(trade.buyer):
            found += Used(bought_wh=trade.wh, spent=trade.amount)
        if is_own(trade.seller):
            found += Used(sold_wh=trade.wh)
    for order_id, order in interval.orders.items():
        if is_own(order_id):
            found += (
                Used(order.open_wh, 0, amount_up(order.open_wh, order.price))
                if order.side is Side.BUY
                else Used(0, order.open_wh, 0)
            )
    return found


def total(each: Iterable[Used]) -> Used:
    """All together."""
    found = Used()
    for used in each:
        found += used
    return found


def allowed(bid: Bid, limits: AgentLimits, used: Used, rules: Rules, free: int) -> Bid | NoBid:
    """``used``: of the day; ``free``: what of the deposit is. A limit is moved only to the agent's good."""
    low, high = max(limits.price_low, rules.price_low), min(limits.price_high, rules.price_high)
    is_buy = bid.side is Side.BUY
    price = min(bid.price, high) if is_buy else max(bid.price, low)
    if not low <= price <= high:
        return NoBid(
            AgentState.AT_LIMIT, f"its price of {money(price)} is not within {money(low)} and {money(high)}"
        )
    wh = min(bid.wh, limits.order_wh, rules.max_order_wh, limits.day_wh - used.wh)
    if wh <= 0:
        return NoBid(AgentState.AT_LIMIT, f"{kwh(used.wh)} of the day's {kwh(limits.day_wh)} kWh are used")
    held = price if is_buy else rules.cover  # of the deposit, a kWh
    if is_buy and price > 0:
        wh = min(wh, (limits.day_spend - used.spent) * 1_000 // price)
        if wh <= 0:
            return NoBid(
                AgentState.AT_LIMIT, f"{money(used.spent)} of the day's {money(limits.day_spend)} are spent"
            )
    if held > 0:
        wh = min(wh, free * 1_000 // held)
        if wh <= 0:
            return NoBid(AgentState.AT_LIMIT, f"{money(free)} of the deposit is free: too little")
    return replace(bid, wh=wh, price=price)
