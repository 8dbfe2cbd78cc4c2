"""Orders, matches, settlement by what was delivered, energy credits (solidity/EnergyTrading.sol)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import IntEnum

from historian.ledger.contracts.abi import id_of
from historian.ledger.contracts.contract import DAY_S, Contract, Message, check_range
from historian.ledger.contracts.words import NO_ADDRESS, Reverted, add, mul

ONE = 1_000_000


class OrderType(IntEnum):
    """What an order wants."""

    BUY = 0
    SELL = 1


class OrderStatus(IntEnum):
    """Where an order stands."""

    NONE = 0
    OPEN = 1
    FILLED = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class Order:
    """``energy_amount`` is what is still open, in Wh; of two orders the lesser number is the older."""

    id: bytes
    owner: bytes
    order_type: OrderType
    energy_amount: int
    price: int
    expires_at: int
    number: int
    status: OrderStatus

    @property
    def cover(self) -> int:
        """What it costs at most, rounded up."""
        return -(-mul(self.energy_amount, self.price) // 1_000)

    def filled(self, energy: int) -> Order:
        """After a match."""
        left = self.energy_amount - energy
        return replace(self, energy_amount=left, status=OrderStatus.OPEN if left else OrderStatus.FILLED)


@dataclass(frozen=True, slots=True)
class Trade:
    """A match, to be settled until ``settle_by``."""

    id: bytes
    buyer: bytes
    seller: bytes
    energy_amount: int
    price: int
    cost: int
    settle_by: int
    is_settled: bool = False


class EnergyTrading(Contract):
    """All orders and trades."""

    MOST_DURATION = 7 * DAY_S
    SETTLE_WITHIN = 30 * DAY_S
    MOST_FACTOR = 100 * ONE

    def __init__(self, operator: bytes) -> None:
        super().__init__(operator)
        self._orders: dict[bytes, Order] = {}
        self._trades: dict[bytes, Trade] = {}
        self._deposits: defaultdict[bytes, int] = defaultdict(int)
        self._credits: defaultdict[bytes, int] = defaultdict(int)
        self._last_price = 0

    def deposit(self, message: Message) -> None:
        """Put money in, to buy for."""
        if not message.value:
            raise Reverted("NotEnough", 1, 0)
        self._deposits[message.sender] = add(self._deposits[message.sender], message.value)
        self._tell(message, "Deposited", message.sender, message.value)

    def withdraw(self, message: Message, amount: int) -> None:
        """Take money out that no order is covered by."""
        self._spend(message.sender, amount)
        message.payouts.append((message.sender, amount))
        self._tell(message, "Withdrawn", message.sender, amount)

    def create_order(
        self, message: Message, energy_amount: int, price: int, duration: int, order_type: OrderType
    ) -> bytes:
        """Buy or sell at a limit or better; what a buy may cost is taken from the deposit at once."""
        if not energy_amount:
            raise Reverted("NotEnough", 1, 0)
        check_range(duration, self.MOST_DURATION, 1)
        number = len(self._orders)
        order_id = id_of("order", message.sender, number)
        expires_at = message.now + duration
        order = Order(
            order_id, message.sender, order_type, energy_amount, price, expires_at, number, OrderStatus.OPEN
        )
        if order_type is OrderType.BUY and order.cover:
            self._spend(message.sender, order.cover)
        self._orders[order_id] = order
        self._tell(
            message, "OrderCreated", order_id, message.sender, order_type, energy_amount, price, expires_at
        )
        return order_id

    def cancel_order(self, message: Message, order_id: bytes) -> None:
        """End an own order, expired or not."""
        order = self._open(message, order_id)
        if message.sender != order.owner:
            raise Reverted("NotOwner", order_id, message.sender)
        self._orders[order_id] = replace(order, status=OrderStatus.CANCELLED)
        if order.order_type is OrderType.BUY:
            self._deposits[order.owner] += order.cover
        self._tell(message, "OrderCancelled", order_id, order.energy_amount)

    def match_orders(self, message: Message, buy_id: bytes, sell_id: bytes) -> bytes:
        """Match a buy with a sell, as far as both go, at the price of the older of them."""
        self._only_operator(message)
        buy = self._live(message, buy_id, OrderType.BUY)
        sell = self._live(message, sell_id, OrderType.SELL)
        if buy.owner == sell.owner:
            raise Reverted("SelfTrade", buy.owner)
        if buy.price < sell.price:
            raise Reverted("PricesDoNotCross", buy.price, sell.price)
        price = min(buy, sell, key=lambda order: order.number).price
        energy = min(buy.energy_amount, sell.energy_amount)
        cost = mul(energy, price) // 1_000
        self._orders[buy_id], self._orders[sell_id] = buy.filled(energy), sell.filled(energy)
        # What covered this energy at the limit, and is not needed at the price, is free again.
        self._deposits[buy.owner] += buy.cover - self._orders[buy_id].cover - cost
        trade_id = id_of("trade", buy_id, sell_id, len(self._trades))
        settle_by = message.now + self.SETTLE_WITHIN
        self._trades[trade_id] = Trade(trade_id, buy.owner, sell.owner, energy, price, cost, settle_by)
        self._last_price = price
        self._tell(message, "OrdersMatched", trade_id, buy_id, sell_id, energy, price)
        return trade_id

    def settle_trade(self, message: Message, trade_id: bytes, delivered: int) -> None:
        """Pay a trade as far as the meters show that it was delivered; the rest goes back to the buyer."""
        self._only_operator(message)
        trade = self.trade_of(message, trade_id)
        if trade.is_settled:
            raise Reverted("WrongStatus", trade_id, 1)
        if message.now > trade.settle_by:
            raise Reverted("TooLate", trade.settle_by)
        if delivered > trade.energy_amount:
            raise Reverted("MoreThanPossible", delivered, trade.energy_amount)
        self._settle(message, trade, delivered)

    def reclaim_trade(self, message: Message, trade_id: bytes) -> None:
        """The buyer takes its money back where nobody settled in time."""
        trade = self.trade_of(message, trade_id)
        if message.sender != trade.buyer:
            raise Reverted("NotOwner", trade_id, message.sender)
        if trade.is_settled:
            raise Reverted("WrongStatus", trade_id, 1)
        if message.now <= trade.settle_by:
            raise Reverted("TooEarly", trade.settle_by + 1)
        self._settle(message, trade, 0)

    def transfer_credits(self, message: Message, to: bytes, amount: int) -> None:
        """Give energy credits to another."""
        if to == NO_ADDRESS:
            raise Reverted("NoAddress")
        has = self._credits[message.sender]
        if not 0 < amount <= has:
            raise Reverted("NotEnough", amount, has)
        self._credits[message.sender] -= amount
        self._credits[to] += amount
        self._tell(message, "CreditsTransferred", message.sender, to, amount)

    def energy_price(
        self,
        _: Message,
        base_rate: int,
        demand_factor: int,
        grid_stress_factor: int,
        time_of_day_multiplier: int,
    ) -> int:
        """baseRate × (demandFactor + gridStressFactor) × timeOfDayMultiplier, rounded down."""
        for factor in (demand_factor, grid_stress_factor, time_of_day_multiplier):
            check_range(factor, self.MOST_FACTOR)
        return mul(base_rate, demand_factor + grid_stress_factor, time_of_day_multiplier) // ONE**2

    def order_of(self, _: Message, order_id: bytes) -> Order:
        """An order."""
        order = self._orders.get(order_id)
        if order is None:
            raise Reverted("Unknown", order_id)
        return order

    def trade_of(self, _: Message, trade_id: bytes) -> Trade:
        """A trade."""
        trade = self._trades.get(trade_id)
        if trade is None:
            raise Reverted("Unknown", trade_id)
        return trade

    def deposit_of(self, _: Message, owner: bytes) -> int:
        """Money that its owner may withdraw or buy for."""
        return self._deposits.get(owner, 0)

    def energy_credits(self, _: Message, owner: bytes) -> int:
        """Wh that were bought and delivered."""
        return self._credits.get(owner, 0)

    def last_price(self, _: Message) -> int:
        """The price of the last match."""
        return self._last_price

    def _settle(self, message: Message, trade: Trade, delivered: int) -> None:
        paid = mul(delivered, trade.price) // 1_000
        refunded = trade.cost - paid
        self._trades[trade.id] = replace(trade, is_settled=True)
        self._deposits[trade.seller] += paid
        self._deposits[trade.buyer] += refunded
        self._credits[trade.buyer] += delivered
        self._tell(message, "TradeSettled", trade.id, delivered, paid, refunded)

    def _spend(self, owner: bytes, amount: int) -> None:
        has = self._deposits.get(owner, 0)
        if not 0 < amount <= has:
            raise Reverted("NotEnough", amount, has)
        self._deposits[owner] = has - amount

    def _open(self, message: Message, order_id: bytes) -> Order:
        order = self.order_of(message, order_id)
        if order.status is not OrderStatus.OPEN:
            raise Reverted("WrongStatus", order_id, order.status)
        return order

    def _live(self, message: Message, order_id: bytes, order_type: OrderType) -> Order:
        order = self._open(message, order_id)
        if order.order_type is not order_type:
            raise Reverted("Unknown", order_id)
        if message.now > order.expires_at:
            raise Reverted("TooLate", order.expires_at)
        return order
