"""Payments and dunning: what of each bill is open, and what is done about it. Pure.

A bill carries forward what was owed before, so what is owed is of the youngest bills: payments go to the oldest.
What is paid beyond all bills is credit, which the next bill counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from historian.ledger.billing import Bill, Billing
from historian.ledger.chart import BAD_DEBT, BANK, DUNNING_FEES, Chart, check_amount, moved
from historian.ledger.dunning import TABLE, State, Turn, earliest_us, fee_of, next_step
from historian.ledger.entry import Body
from historian.ledger.errors import Reason, Refused
from historian.ledger.market.exchange import Exchange
from historian.ledger.payment_facts import Dunning, DunningStep, Payment, Payout, Refund, Terms
from historian.ledger.registry import Author, Registry, needs_operator
from historian.ledger.settlement import account_of

MOST_WAIT_S = 366 * 86_400
MOST_FEE = 10**9  # a thousand of money


@dataclass(slots=True)
class Claim:
    """A bill, and what is open of its own lines (not of what it carries forward)."""

    entry: int
    participant: str
    own: int
    terms: Terms | None  # those in force when it was issued; None: it is never dunned
    state: State
    since_us: int
    open: int


@dataclass(slots=True)
class Paid:
    """A payment, and what of it went back."""

    participant: str
    amount: int
    is_by_bank: bool
    refunded: int = 0


class Payments:
    """All of them, after some facts. Each method refuses, or changes, never half; what is to be posted it returns."""

    def __init__(self, registry: Registry, billing: Billing, market: Exchange, chart: Chart) -> None:
        self._registry = registry
        self._billing = billing
        self._market = market
        self._chart = chart
        self.terms: Terms | None = None
        self.claims: dict[int, Claim] = {}  # by the entry of the bill
        self.paid: dict[int, Paid] = {}  # by the entry of the payment
        self._of: defaultdict[str, list[Claim]] = defaultdict(list)
        self._references: set[tuple[str, str]] = set()

    # ------------------------------------------------------------ to look at

    def of(self, participant: str) -> tuple[Claim, ...]:
        """Its bills, the oldest first."""
        return tuple(self._of.get(participant, ()))

    def state(self, claim: Claim, now_us: int) -> State:
        """Where it stands at a time of the ledger: what is not paid when due is overdue from then on."""
        is_due = claim.terms and now_us >= earliest_us(State.OPEN, claim.since_us, claim.terms)
        return TABLE[State.OPEN][Turn.DUE] if claim.state is State.OPEN and is_due else claim.state

    def due(self, now_us: int) -> Iterator[tuple[Claim, DunningStep]]:
        """The steps that may be taken now, but for writing off, which somebody decides."""
        for claim in self.claims.values():
            step = next_step(self.state(claim, now_us))
            if step not in (None, DunningStep.WRITE_OFF) and self._why_not(claim, step, now_us) is None:
                assert step is not None
                yield claim, step

    def credit(self, participant: str) -> int:
        """What it is owed now; 0 where it owes."""
        return max(0, -self._billing.owed(participant))

    # ------------------------------------------------------------ facts

    def set_terms(self, author: Author, fact: Terms) -> list[Body]:
        """For bills issued from here on."""
        needs_operator(author, "sets terms")
        for what in ("due_s", "warn_after_s", "collect_after_s"):
            wait = getattr(fact, what)
            if not 0 <= wait <= MOST_WAIT_S:
                raise Refused(
                    Reason.NEGATIVE if wait < 0 else Reason.OVERFLOW, f"{what} is {wait}: 0 to {MOST_WAIT_S}"
                )
        for what in ("reminder_fee", "warning_fee", "least_amount"):
            fee = getattr(fact, what)
            if not 0 <= fee <= MOST_FEE:
                raise Refused(
                    Reason.NEGATIVE if fee < 0 else Reason.OVERFLOW, f"{what} is {fee}: 0 to {MOST_FEE}"
                )
        self.terms = fact
        return []

    def add_bill(self, entry: int, bill: Bill, now_us: int) -> None:
        """A bill was issued."""
        claim = Claim(entry, bill.participant, bill.own, self.terms, State.OPEN, now_us, 0)
        self.claims[entry] = claim
        self._of[bill.participant].append(claim)
        self.follow(bill.participant, now_us)

    def pay(self, author: Author, fact: Payment, entry: int, now_us: int) -> list[Body]:
        """Money for what a participant owes, now or later."""
        check_amount("a payment", fact.amount)
        self._check_currency(fact.currency)
        self._registry.known(fact.participant)
        if author.is_operator:
            self._check_reference("payment", fact.reference)
            source, opening = BANK, self._opening(BANK)
        else:
            if author.name != fact.participant:
                raise Refused(
                    Reason.NOT_ALLOWED, f"{author.name} pays for itself, not for {fact.participant}"
                )
            free = self._market.available(author.name)
            if fact.amount > free:
                raise Refused(
                    Reason.NEGATIVE, f"{author.name} has {free} of its deposit free, less than {fact.amount}"
                )
            source, opening = account_of(author.name, "deposit"), []
            self._market.deposits[author.name] -= fact.amount
        self._keep_reference("payment", fact.reference, is_kept=author.is_operator)
        self.paid[entry] = Paid(fact.participant, fact.amount, author.is_operator)
        return opening + self._to_current(source, fact.participant, fact.amount, "paid", entry, now_us)

    def refund(self, author: Author, fact: Refund, entry: int, now_us: int) -> list[Body]:
        """What a payment was, or a part of it, goes back: bills that it had paid are open again."""
        needs_operator(author, "refunds")
        check_amount("a refund", fact.amount)
        paid = self.paid.get(fact.payment)
        if paid is None:
            raise Refused(Reason.UNKNOWN, f"entry {fact.payment} is no payment")
        if not fact.reason:
            raise Refused(Reason.MALFORMED, "a refund has a reason")
        if fact.amount > paid.amount - paid.refunded:
            left = paid.amount - paid.refunded
            raise Refused(
                Reason.OVERFLOW, f"of payment {fact.payment} {left} are left, less than {fact.amount}"
            )
        target = BANK if paid.is_by_bank else account_of(paid.participant, "deposit")
        if not paid.is_by_bank:
            self._market.deposits[paid.participant] += fact.amount
        paid.refunded += fact.amount
        return self._to_current(target, paid.participant, -fact.amount, "paid back", entry, now_us)

    def pay_out(self, author: Author, fact: Payout, entry: int, now_us: int) -> list[Body]:
        """Credit leaves by the bank."""
        needs_operator(author, "pays out")
        check_amount("a payout", fact.amount)
        self._check_currency(fact.currency)
        self._registry.known(fact.participant)
        credit = self.credit(fact.participant)
        if fact.amount > credit:
            raise Refused(Reason.NEGATIVE, f"{fact.participant} is owed {credit}, less than {fact.amount}")
        self._check_reference("payout", fact.reference)
        opening = self._opening(BANK)
        self._keep_reference("payout", fact.reference, is_kept=True)
        return opening + self._to_current(BANK, fact.participant, -fact.amount, "paid out", entry, now_us)

    def dun(self, author: Author, fact: Dunning, entry: int, now_us: int) -> list[Body]:
        """The next step about a bill."""
        needs_operator(author, "duns")
        claim = self.claims.get(fact.bill)
        if claim is None:
            raise Refused(Reason.UNKNOWN, f"entry {fact.bill} issues no bill")
        if (refused := self._why_not(claim, fact.step, now_us)) is not None:
            raise refused
        if fact.step is DunningStep.WRITE_OFF:
            return self._write_off(claim, fact, entry, now_us)
        assert claim.terms is not None
        fee = fee_of(fact.step, claim.terms)
        bodies: list[Body] = []
        if fee:
            current = account_of(claim.participant, "current")
            bodies = self._opening(DUNNING_FEES)
            reference = f"dunning {fact.bill} {fact.step.name.lower()}"
            bodies.append(moved(reference, self._currency, {current: -fee, DUNNING_FEES: fee}))
            self._billing.note(claim.participant, f"dunning: {fact.step.name.lower()}", fee)
        self._turn(claim, fact.step, now_us)
        return bodies

    def _write_off(self, claim: Claim, fact: Dunning, entry: int, now_us: int) -> list[Body]:
        if not fact.reason:
            raise Refused(Reason.MALFORMED, "a bill is written off for a reason")
        oldest = next(other for other in self._of[claim.participant] if other.open)
        if oldest is not claim:
            raise Refused(Reason.NOT_ALLOWED, f"bill {oldest.entry} is older and open: write that off first")
        opening = self._opening(BAD_DEBT)
        self._turn(claim, fact.step, now_us)
        return opening + self._to_current(
            BAD_DEBT, claim.participant, claim.open, "written off", entry, now_us
        )

    # ------------------------------------------------------------ what follows

    def follow(self, participant: str, now_us: int) -> None:
        """After money came or went: what is open of each bill, and which are paid by that or open again."""
        left = max(0, self._billing.billed(participant))
        for claim in reversed(self._of.get(participant, [])):
            claim.open = min(left, max(0, claim.own))
            left -= claim.open
            if not claim.open and Turn.PAY in TABLE[claim.state]:
                self._turn(claim, Turn.PAY, now_us)
            elif claim.open and Turn.REOPEN in TABLE[claim.state]:
                self._turn(claim, Turn.REOPEN, now_us)

    def _why_not(self, claim: Claim, step: DunningStep, now_us: int) -> Refused | None:
        state = self.state(claim, now_us)
        if claim.terms is None:
            return Refused(Reason.UNKNOWN, f"bill {claim.entry} was issued without terms")
        if step not in TABLE[state]:
            return Refused(
                Reason.NOT_ALLOWED, f"bill {claim.entry} is {state.value}: no {step.name.lower()} now"
            )
        if state is not State.OVERDUE:
            earliest = earliest_us(state, claim.since_us, claim.terms)
            if now_us < earliest:
                return Refused(Reason.EARLY, f"bill {claim.entry} is {state.value}, next at {earliest} µs")
        if claim.open < claim.terms.least_amount:
            return Refused(
                Reason.NOT_ALLOWED,
                f"of bill {claim.entry} {claim.open} are open, less than {claim.terms.least_amount}",
            )
        return None

    def _turn(self, claim: Claim, turn: Turn | DunningStep, now_us: int) -> None:
        claim.state = TABLE[self.state(claim, now_us)][turn]
        claim.since_us = now_us

    def _to_current(
        self, other: str, participant: str, amount: int, what: str, entry: int, now_us: int
    ) -> list[Body]:
        """``amount`` from the other account to the participant's, or (negative) back."""
        current = account_of(participant, "current")
        body = moved(f"{what} {entry}", self._currency, {other: -amount, current: amount})
        self._billing.note(participant, what, -amount)
        self.follow(participant, now_us)
        return [body]

    @property
    def _currency(self) -> str:
        return self._market.in_force().currency

    def _opening(self, name: str) -> list[Body]:
        return self._chart.opening((name, self._currency, True))

    def _check_currency(self, currency: str) -> None:
        if currency != self._currency:
            raise Refused(Reason.MIXED_UNITS, f"{currency}: this ledger's money is {self._currency}")

    def _check_reference(self, what: str, reference: str) -> None:
        if not reference:
            raise Refused(Reason.MALFORMED, f"a {what} has the bank's reference")
        if (what, reference) in self._references:
            raise Refused(Reason.EXISTS, f"a {what} of reference {reference!r} is there already")

    def _keep_reference(self, what: str, reference: str, *, is_kept: bool) -> None:
        if is_kept:
            self._references.add((what, reference))
