"""A ledger whose clock the vectors set; each actor has a key and a deposit."""

from __future__ import annotations

from pathlib import Path

from evm_vectors import Step, Vectors

from historian.ledger.book import Book
from historian.ledger.bundle import sign
from historian.ledger.coding import record_of
from historian.ledger.contracts.calls import Calls
from historian.ledger.contracts.world import operation
from historian.ledger.desk import Desk, Outcome
from historian.ledger.entry import Body, KeyAction, KeyChange, Role, transfer
from historian.ledger.facts import NO_DIGEST, Approval, Call, Fact, Join, ParticipantKind, Rules
from historian.ledger.pen import Pen
from historian.signing import SigningKey

DEPOSIT = 10_000_000  # millionths of money
RULES = Rules(
    currency="EUR",
    interval_s=900,
    gate_lead_s=300,
    horizon_s=2 * 86_400,
    price_low=10_000,
    price_high=1_000_000,
    max_order_wh=50_000,
    proven_share=0,
    proven_after=4,
    cover=100_000,
    community_fee=5_000,
    grid_fee=20_000,
    loss_share=30_000,
    short_share=1_500_000,
    long_share=500_000,
    pay_as_bid=False,
    demand_low=500_000,
    demand_high=1_500_000,
    stress_low=0,
    stress_high=1_000_000,
    time_low=500_000,
    time_high=2_000_000,
)


class Site:
    """One, on disk."""

    def __init__(self, file: Path, vectors: Vectors) -> None:
        self.file = file
        self.now_us = vectors.steps[0].at_s * 1_000_000 - 10_000_000
        self.operator = vectors.operator
        self.keys = {name: SigningKey.generate() for name in vectors.actors}
        Book.create(file, "site", self.operator, self.keys[self.operator], self.clock).close()
        self.open()
        self.desk.demand(RULES)
        for name, key in self.keys.items():
            if name == self.operator:
                continue
            self._post(KeyChange(KeyAction.ENROL, name, Role.MEMBER, key.public))
            self.say(name, Join(ParticipantKind.PROSUMER, "here", NO_DIGEST))
            self.desk.demand(Approval(name, is_device=False))
            self._post(transfer("paid in", f"{name}.current", f"{name}.deposit", "EUR", DEPOSIT))

    def open(self) -> None:
        """As after a start: all is read from the ledger."""
        self.book = Book.open(self.file, self.clock)
        self.desk = Desk(self.book, self.keys[self.operator], self.clock)
        self.desk.start()

    def clock(self) -> int:
        return self.now_us

    def say(self, name: str, fact: Fact) -> Outcome:
        ((outcome,),) = self.desk.submit(
            [sign(self.keys[name], [self._pen(name).statement(record_of(fact))])]
        )
        return outcome

    def call(self, step: Step) -> Outcome:
        self.now_us = step.at_s * 1_000_000
        content = operation(step.contract, step.operation).call(*step.arguments)
        return self.say(step.by, Call(step.contract, step.value, content))

    @property
    def calls(self) -> Calls:
        assert self.desk.community.calls is not None
        return self.desk.community.calls

    def balance(self, account: str) -> int:
        return self.book.state.accounts[account].amount

    def _post(self, body: Body) -> None:
        self.book.append([self._pen(self.operator).sign([body])])

    def _pen(self, name: str) -> Pen:
        pen = Pen(self.keys[name], self.book.id, self.clock)
        pen.follow(self.book.state.authors[name].number if name in self.book.state.authors else 0)
        return pen
