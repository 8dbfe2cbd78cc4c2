"""Fees, costs, and revenue of batches, as postings to accounts of income and cost. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from historian.ledger.billing import Billing, distributed
from historian.ledger.certificates import Certificates
from historian.ledger.chart import BANK, MOST_AMOUNT, REVENUE, Chart, check_amount, moved
from historian.ledger.entry import Body, Transfer
from historian.ledger.errors import Reason, Refused
from historian.ledger.market.exchange import Exchange
from historian.ledger.market.price import MOST_RATE
from historian.ledger.payment_facts import (
    Charge,
    Correction,
    Cost,
    CostCategory,
    Distribution,
    Fee,
    FeeUnit,
    Revenue,
    Share,
    Stream,
)
from historian.ledger.registry import Author, Registry, needs_operator
from historian.ledger.settlement import account_of, reversed_transfer

MOST_WEIGHT = 10**9
MOST_QUANTITY = 10**12
_PER = {FeeUnit.KWH: 1_000}  # told in Wh


@dataclass(slots=True)
class Item:
    """A charge or cost as it was posted; a charge's participant, what its bill calls it, and its amount."""

    posted: Transfer
    participant: str = ""
    what: str = ""
    amount: int = 0
    corrected: int = 0  # by which entry


@dataclass(slots=True)
class Earned:
    """What a batch has brought, and what of it is distributed."""

    amount: int = 0
    distributed: int = 0


class Finance:
    """All of it, after some facts. Each method refuses, or changes, never half; what is to be posted it returns."""

    def __init__(
        self,
        registry: Registry,
        billing: Billing,
        market: Exchange,
        certificates: Certificates,
        chart: Chart,
    ) -> None:
        self._registry = registry
        self._billing = billing
        self._market = market
        self._certificates = certificates
        self._chart = chart
        self.fees: defaultdict[str, list[Fee]] = defaultdict(list)  # by time from which on they are valid
        self.items: dict[int, Item] = {}  # charges and costs by their entry
        self.shares: defaultdict[str, dict[str, int]] = defaultdict(dict)  # by source: participant's weight
        self.earned: defaultdict[str, Earned] = defaultdict(Earned)  # by batch
        self._references: set[tuple[str, str, str]] = set()

    def set_fee(self, author: Author, fact: Fee, now_us: int) -> list[Body]:
        """A fee's next rate, told before it begins."""
        needs_operator(author, "sets fees")
        if not 0 <= fact.rate <= MOST_RATE:
            reason = Reason.NEGATIVE if fact.rate < 0 else Reason.OVERFLOW
            raise Refused(reason, f"a rate of {fact.rate}: 0 to {MOST_RATE}")
        if fact.valid_from_us <= now_us:
            raise Refused(Reason.LATE, "a fee is told before it begins")
        versions = self.fees[fact.fee]
        if versions and versions[-1].valid_from_us >= fact.valid_from_us:
            raise Refused(Reason.EXISTS, f"{fact.fee} has a rate from {versions[-1].valid_from_us} µs on")
        if versions and (versions[-1].stream, versions[-1].unit) != (fact.stream, fact.unit):
            raise Refused(Reason.CONFLICT, f"{fact.fee} stays what it is for, and what it is one of")
        versions.append(fact)
        return []

    def charge(self, author: Author, fact: Charge, entry: int, now_us: int) -> list[Body]:
        """So much of a service, at the rate of its time."""
        needs_operator(author, "charges fees")
        self._registry.known(fact.participant)
        if fact.at_us > now_us:
            raise Refused(Reason.EARLY, "a charge for something to come")
        if fact.quantity <= 0 or fact.quantity > MOST_QUANTITY:
            reason = Reason.NEGATIVE if fact.quantity <= 0 else Reason.OVERFLOW
            raise Refused(reason, f"a quantity of {fact.quantity}: 1 to {MOST_QUANTITY}")
        versions = self.fees.get(fact.fee, [])
        place = bisect_right(versions, fact.at_us, key=lambda version: version.valid_from_us)
        if not place:
            raise Refused(Reason.UNKNOWN, f"no fee {fact.fee} is valid at {fact.at_us} µs")
        fee = versions[place - 1]
        key = self._reference(f"charge {fact.participant}", fact.fee, fact.reference)
        per = _PER.get(fee.unit, 1)
        amount = (2 * fact.quantity * fee.rate + per) // (2 * per)  # to the nearest, halves up
        check_amount("a charge", amount)
        income, current = income_account(fee.stream), account_of(fact.participant, "current")
        bodies = self._opening(income)
        posted = moved(f"charge {entry}", self._currency, {current: -amount, income: amount})
        assert isinstance(posted, Transfer)
        what = f"fee: {fact.fee}"
        self._billing.note(fact.participant, what, amount)
        self._references.add(key)
        self.items[entry] = Item(posted, fact.participant, what, amount)
        return [*bodies, posted]

    def cost(self, author: Author, fact: Cost, entry: int, now_us: int) -> list[Body]:
        """What the community paid, by the bank."""
        needs_operator(author, "books costs")
        check_amount("a cost", fact.amount)
        self._check_currency(fact.currency)
        if fact.at_us > now_us:
            raise Refused(Reason.EARLY, "a cost of the future")
        key = self._reference("cost", "", fact.reference)
        account = cost_account(fact.category)
        bodies = self._opening(account, BANK)
        posted = moved(f"cost {entry}", self._currency, {account: -fact.amount, BANK: fact.amount})
        assert isinstance(posted, Transfer)
        self._references.add(key)
        self.items[entry] = Item(posted)
        return [*bodies, posted]

    def correct(self, author: Author, fact: Correction, entry: int) -> list[Body]:
        """A charge or cost was wrong: it is taken back by an entry of its own."""
        needs_operator(author, "corrects")
        item = self.items.get(fact.entry)
        if item is None:
            raise Refused(Reason.UNKNOWN, f"entry {fact.entry} is no charge and no cost")
        if item.corrected:
            raise Refused(Reason.EXISTS, f"entry {item.corrected} has taken that back already")
        if not fact.reason:
            raise Refused(Reason.MALFORMED, "a correction has a reason")
        item.corrected = entry
        if item.participant:
            self._billing.note(item.participant, item.what, -item.amount)
        return [reversed_transfer(item.posted, f"correction {entry}")]

    # ------------------------------------------------------------ revenue of batches

    def share(self, author: Author, fact: Share) -> list[Body]:
        """Who has what part of a source."""
        needs_operator(author, "sets shares")
        if fact.device not in self._certificates.sources:
            raise Refused(Reason.UNKNOWN, f"{fact.device} is no certified source")
        self._registry.known(fact.participant)
        if not 0 <= fact.weight <= MOST_WEIGHT:
            reason = Reason.NEGATIVE if fact.weight < 0 else Reason.OVERFLOW
            raise Refused(reason, f"a share of {fact.weight}: 0 to {MOST_WEIGHT}")
        self.shares[fact.device][fact.participant] = fact.weight
        return []

    def earn(self, author: Author, fact: Revenue, entry: int) -> list[Body]:
        """Money came to the bank for a batch."""
        needs_operator(author, "books revenue")
        check_amount("revenue", fact.amount)
        self._check_currency(fact.currency)
        if fact.batch not in self._certificates.batches:
            raise Refused(Reason.UNKNOWN, f"no batch {fact.batch}")
        if self.earned[fact.batch].amount + fact.amount > MOST_AMOUNT:
            raise Refused(Reason.OVERFLOW, f"a batch that brings more than {MOST_AMOUNT}")
        key = self._reference("revenue", "", fact.reference)
        bodies = self._chart.opening((BANK, self._currency, True), (REVENUE, self._currency, False))
        self._references.add(key)
        self.earned[fact.batch].amount += fact.amount
        amounts = {BANK: -fact.amount, REVENUE: fact.amount}
        return [*bodies, moved(f"revenue {entry}", self._currency, amounts)]

    def distribute(self, author: Author, fact: Distribution, entry: int) -> list[Body]:
        """What the batch has brought since it was distributed goes to those who share in it, to the last unit."""
        needs_operator(author, "distributes revenue")
        known = self._certificates.batches.get(fact.batch)
        if known is None:
            raise Refused(Reason.UNKNOWN, f"no batch {fact.batch}")
        earned = self.earned[fact.batch]
        left = earned.amount - earned.distributed
        if not left:
            raise Refused(Reason.EXISTS, f"of batch {fact.batch} nothing is left to distribute")
        device = known[1].device
        shares = {name: weight for name, weight in self.shares[device].items() if weight}
        parts = distributed(left, shares or {self._registry.devices[device].owner: 1})
        earned.distributed += left
        for name, part in parts.items():
            self._billing.note(name, "revenue of batches", -part)
        amounts = {account_of(name, "current"): part for name, part in parts.items()}
        return [moved(f"distribution {entry}", self._currency, {**amounts, REVENUE: -left})]

    # ------------------------------------------------------------ what all of these need

    @property
    def _currency(self) -> str:
        return self._market.in_force().currency

    def _opening(self, *names: str) -> list[Body]:
        return self._chart.opening(*((name, self._currency, True) for name in names))

    def _check_currency(self, currency: str) -> None:
        if currency != self._currency:
            raise Refused(Reason.MIXED_UNITS, f"{currency}: this ledger's money is {self._currency}")

    def _reference(self, what: str, of: str, reference: str) -> tuple[str, str, str]:
        if not reference:
            raise Refused(Reason.MALFORMED, f"a {what.split()[0]} has a reference of its own")
        key = (what, of, reference)
        if key in self._references:
            raise Refused(Reason.EXISTS, f"a {what.split()[0]} of reference {reference!r} is there already")
        return key


def income_account(stream: Stream) -> str:
    """Where a fee's income is."""
    return f"income.{stream.name.lower().replace('_', '-')}"


def cost_account(category: CostCategory) -> str:
    """Where a cost is."""
    return f"costs.{category.name.lower()}"
