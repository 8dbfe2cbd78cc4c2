"""IBilling: bills of what was used, paid to those who gave it (solidity/Billing.sol)."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import IntEnum
from operator import attrgetter

from historian.ledger.contracts.abi import id_of
from historian.ledger.contracts.consumption import EnergyConsumption
from historian.ledger.contracts.contract import DAY_S, Contract, Message, check_range
from historian.ledger.contracts.production import EnergyProduction
from historian.ledger.contracts.words import Reverted, add, mul, nearest
from historian.ledger.market.auction import pro_rata

ONE = 1_000_000
MOST_GRANTED_WH = 10**12


class BillStatus(IntEnum):
    """Where a bill stands."""

    NONE = 0
    ISSUED = 1
    PARTLY_PAID = 2
    PAID = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """A version of the rate: money a kWh, multiplier of peak hours in ppm, in force from then (s) on."""

    id: bytes
    base_rate: int
    peak_multiplier: int
    incentive_rate: int
    valid_from: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What a consumer owes for a period (a day), and what was taken off."""

    id: bytes
    consumer_id: bytes
    period: int
    amount: int
    incentives: int
    status: BillStatus


@dataclass(frozen=True, slots=True)
class _Grant:
    energy: int
    cap: int
    expires_at: int


class Billing(Contract):
    """Rates, bills, what was paid, what is shared."""

    PERIOD = DAY_S
    MOST_RATE = 10**24
    MOST_MULTIPLIER = 10 * ONE
    MOST_GRANTS = 8

    def __init__(self, operator: bytes, production: EnergyProduction, consumption: EnergyConsumption) -> None:
        super().__init__(operator)
        self._production = production
        self._consumption = consumption
        self._rates: list[Rate] = []
        self._bills: dict[bytes, Bill] = {}
        self._paid: defaultdict[bytes, int] = defaultdict(int)
        self._grants: dict[bytes, list[_Grant]] = {}
        self._revenues: dict[int, int] = {}
        self._credits: dict[bytes, int] = {}

    def set_rate(
        self,
        message: Message,
        base_rate: int,
        peak_multiplier: int,
        incentive_rate: int,
        valid_from: int,
    ) -> bytes:
        """The next version of the rate, told before it begins and never changed."""
        self._only_operator(message)
        check_range(base_rate, self.MOST_RATE)
        check_range(peak_multiplier, self.MOST_MULTIPLIER)
        check_range(incentive_rate, self.MOST_RATE)
        for last in (message.now, *(rate.valid_from for rate in self._rates[-1:])):
            if valid_from <= last:
                raise Reverted("NotLater", valid_from, last)
        rate_id = id_of("rate", valid_from)
        self._rates.append(Rate(rate_id, base_rate, peak_multiplier, incentive_rate, valid_from))
        self._tell(message, "RateSet", rate_id, base_rate, peak_multiplier, incentive_rate, valid_from)
        return rate_id

    def calculate_bill(self, message: Message, consumer_id: bytes, period: int) -> int:
        """Issue a consumer's bill of a period that is over, once."""
        self._only_operator(message)
        self._is_over(message, period)
        bill_id = id_of("bill", consumer_id, period)
        if bill_id in self._bills:
            raise Reverted("AlreadyThere", bill_id)
        base, peak = self._consumption.usage_in(message, consumer_id, period)
        rate = self.rate_at(message, mul(period, DAY_S))
        weighted = add(mul(base, ONE), mul(peak, rate.peak_multiplier))
        amount = nearest(mul(weighted, rate.base_rate), 1_000 * ONE)
        status = BillStatus.ISSUED if amount else BillStatus.PAID
        self._bills[bill_id] = Bill(bill_id, consumer_id, period, amount, 0, status)
        self._tell(message, "BillIssued", bill_id, consumer_id, period, amount)
        return amount

    def grant_incentive(
        self, message: Message, consumer_id: bytes, energy: int, cap: int, expires_at: int
    ) -> None:
        """Energy of a consumer that its next bill is to reward: what it is worth at the rate, at most ``cap``."""
        self._only_operator(message)
        self._consumption.consumer_of(message, consumer_id)
        check_range(energy, MOST_GRANTED_WH, 1)
        if expires_at < message.now:
            raise Reverted("TooLate", expires_at)
        if len(self._grants.get(consumer_id, ())) == self.MOST_GRANTS:
            raise Reverted("TooMany", self.MOST_GRANTS)
        self._grants.setdefault(consumer_id, []).append(_Grant(energy, cap, expires_at))
        self._tell(message, "IncentiveGranted", consumer_id, energy, cap, expires_at)

    def apply_incentives(self, message: Message, bill_id: bytes) -> int:
        """Take what was granted to the consumer off its bill."""
        bill = self._open(message, bill_id)
        owner = self._consumption.consumer_of(message, bill.consumer_id).owner
        if message.sender not in (self._operator, owner):
            raise Reverted("NotOwner", bill_id, message.sender)
        rate = self.rate_at(message, bill.period * DAY_S).incentive_rate
        worth = add(
            *(
                min(nearest(mul(grant.energy, rate), 1_000), grant.cap)
                for grant in self._grants.get(bill.consumer_id, ())
                if grant.expires_at >= message.now
            )
        )
        left = self.outstanding_of(message, bill_id)
        incentives = min(worth, left)
        self._grants.pop(bill.consumer_id, None)
        status = BillStatus.PAID if incentives == left else bill.status
        self._bills[bill_id] = replace(bill, incentives=bill.incentives + incentives, status=status)
        self._tell(message, "IncentivesApplied", bill_id, incentives)
        return incentives

    def process_payment(self, message: Message, bill_id: bytes) -> None:
        """Pay a bill, or part of it, with the message's money; never more than is outstanding."""
        bill = self._open(message, bill_id)
        left = self.outstanding_of(message, bill_id)
        check_range(message.value, left, 1)
        self._paid[bill_id] += message.value
        self._revenues[bill.period] = self._revenues.get(bill.period, 0) + message.value
        status = BillStatus.PAID if message.value == left else BillStatus.PARTLY_PAID
        self._bills[bill_id] = replace(bill, status=status)
        self._tell(message, "PaymentProcessed", bill_id, message.sender, message.value, left - message.value)

    def distribute_revenue(self, message: Message, batch_id: bytes) -> None:
        """Share what was paid for a batch's period among its sources by largest remainder, to the last unit."""
        self._only_operator(message)
        batch = self._production.batch_of(message, batch_id)
        if not batch.sources:
            raise Reverted("Unknown", batch_id)
        self._is_over(message, batch.period)
        revenue = self._revenues.get(batch.period, 0)
        if not revenue:
            raise Reverted("NotEnough", 1, 0)
        for amount in batch.amounts:
            mul(revenue, amount)  # must not leave its word
        self._revenues[batch.period] = 0
        shares = pro_rata(revenue, list(enumerate(batch.amounts)))
        for index, (source, owner) in enumerate(zip(batch.sources, batch.owners, strict=True)):
            self._credits[owner] = self._credits.get(owner, 0) + shares[index]
            self._tell(message, "RevenueShared", batch_id, source, owner, shares[index])
        self._tell(message, "RevenueDistributed", batch_id, revenue)

    def withdraw(self, message: Message) -> int:
        """Take out what was credited."""
        amount = self._credits.pop(message.sender, 0)
        if not amount:
            raise Reverted("NotEnough", 1, 0)
        message.payouts.append((message.sender, amount))
        self._tell(message, "Withdrawn", message.sender, amount)
        return amount

    def bill_of(self, _: Message, bill_id: bytes) -> Bill:
        """A bill."""
        bill = self._bills.get(bill_id)
        if bill is None:
            raise Reverted("Unknown", bill_id)
        return bill

    def outstanding_of(self, _: Message, bill_id: bytes) -> int:
        """What is still to be paid."""
        bill = self._bills.get(bill_id)
        return bill.amount - bill.incentives - self._paid.get(bill_id, 0) if bill else 0

    def rate_at(self, _: Message, time: int) -> Rate:
        """The rate in force at a time."""
        place = bisect_right(self._rates, time, key=attrgetter("valid_from"))
        if not place:
            raise Reverted("NoRate", time)
        return self._rates[place - 1]

    def revenue_of(self, _: Message, period: int) -> int:
        """What was paid for a period and is not shared yet."""
        return self._revenues.get(period, 0)

    def credit_of(self, _: Message, owner: bytes) -> int:
        """What somebody may withdraw."""
        return self._credits.get(owner, 0)

    def _open(self, message: Message, bill_id: bytes) -> Bill:
        bill = self.bill_of(message, bill_id)
        if bill.status is BillStatus.PAID:
            raise Reverted("WrongStatus", bill_id, bill.status)
        return bill

    def _is_over(self, message: Message, period: int) -> None:
        end = mul(add(period, 1), DAY_S)
        if message.now <= end:
            raise Reverted("TooEarly", add(end, 1))  # a record at its very end is of the period
