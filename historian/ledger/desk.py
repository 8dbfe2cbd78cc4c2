"""The operator's desk: what members hand in is placed in the ledger, and what follows of it is posted.

What is owed follows from the ledger alone, each posting with a client id of its fact: a desk that dies between the
two posts it when it starts again, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from historian.ledger.book import MOST_IN_BATCH, Book, Receipt
from historian.ledger.bundle import Bundle, sign
from historian.ledger.coding import MOST_TEXT_BYTES, record_of
from historian.ledger.community import Community
from historian.ledger.entry import MOST_IN_BUNDLE, Body, Statement
from historian.ledger.errors import LedgerError, Reason, Refused
from historian.ledger.facts import NO_DIGEST, BillIssue, Fact, Gate, Refusal, Settlement
from historian.ledger.metering import MICROS
from historian.ledger.payment_facts import Dunning
from historian.ledger.pen import Pen, client_id, now_us
from historian.ledger.state import Placed
from historian.signing import SigningKey

# A flood of forgeries must not fill the ledger: beyond these a minute, refusals are counted and told with the next.
MOST_REFUSALS = 60
MINUTE_US = 60 * MICROS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a statement: on the record (``receipt``) or not, in force or ``refused``."""

    receipt: Receipt | None
    refused: Refused | None = None


class Desk:
    """One for a ledger: its operator's. Close the book when done."""

    def __init__(self, book: Book, key: SigningKey, clock: Callable[[], int] = now_us) -> None:
        self.book = book
        self.community = Community()
        self._key = key
        self._clock = clock
        self._pen = Pen(key, book.id, self._now_us)
        self._refused_at_us: list[int] = []
        self._untold = 0

    def _now_us(self) -> int:
        return max(self._clock(), self.book.state.head.placed_at_us)

    def start(self) -> None:
        """Read what the ledger has, and post what is owed since the last life."""
        self.book.follow = None
        community = self.community = Community()
        for placed in self.book.placed(-1):
            community.take(placed)
        operator = community.operator
        if self.book.state.authors[operator].key != self._key.public:
            raise LedgerError(f"this is not the key of {operator}, who runs the ledger")
        self.book.follow = self._take
        self._post_owed()

    def _take(self, placed: Placed) -> None:
        known = self.community.sequence
        if placed.sequence <= known:
            return
        for missed in self.book.placed(known) if placed.sequence > known + 1 else ():
            if missed.sequence < placed.sequence:
                self.community.take(missed)
        self.community.take(placed)

    # ------------------------------------------------------------ handing in

    def submit(self, bundles: Sequence[Bundle]) -> list[list[Outcome]]:
        """Each bundle's statements, placed and judged. A bundle that the ledger refuses is noted, and no more."""
        outcomes: list[list[Outcome]] = []
        batch: list[Bundle] = []
        size = 0
        for bundle in bundles:
            if batch and size + len(bundle.statements) > MOST_IN_BATCH:
                outcomes += self._submit(batch)
                batch, size = [], 0
            batch.append(bundle)
            size += len(bundle.statements)
        outcomes += self._submit(batch)
        self._post_owed()
        return outcomes

    def _submit(self, bundles: Sequence[Bundle]) -> list[list[Outcome]]:
        if not bundles:
            return []
        try:
            receipts = iter(self.book.append(bundles))
        except Refused as refused:
            if len(bundles) > 1:  # which one it was is found by halves: one forgery costs the others little
                half = len(bundles) // 2
                return self._submit(bundles[:half]) + self._submit(bundles[half:])
            self._note(bundles[0], refused)
            return [[Outcome(None, refused) for _ in bundles[0].statements]]
        voids = self.community.voids
        return [
            [
                Outcome(receipt, voids.get(receipt.sequence))
                for receipt in islice(receipts, len(bundle.statements))
            ]
            for bundle in bundles
        ]

    def _note(self, bundle: Bundle, refused: Refused) -> None:
        now = self._now_us()
        self._refused_at_us = [at for at in self._refused_at_us if at > now - MINUTE_US]
        if len(self._refused_at_us) >= MOST_REFUSALS:
            self._untold += 1
            return
        self._refused_at_us.append(now)
        digest = sha256(b"".join(bundle.statements)).digest()
        signer = bundle.statements[0][34:66] if bundle.statements else b""
        why = refused.why.encode()[: MOST_TEXT_BYTES - 1].decode(errors="ignore")
        fact = Refusal(
            digest, signer if len(signer) == 32 else NO_DIGEST, refused.reason.value, why, self._untold
        )
        self._untold = 0
        self._append([self._pen_now().statement(record_of(fact))])

    # ------------------------------------------------------------ the operator's own

    def say(self, *facts: Fact) -> list[Outcome]:
        """Facts by the operator."""
        return self.post(*map(record_of, facts))

    def post(self, *bodies: Body) -> list[Outcome]:
        """Statements of any kind by the operator, in one bundle."""
        pen = self._pen_now()
        (outcomes,) = self.submit([sign(self._key, [pen.statement(body) for body in bodies])])
        return outcomes

    def demand(self, *facts: Fact) -> None:
        """The same where each must hold: raises the first that does not."""
        for outcome in self.say(*facts):
            if outcome.refused is not None:
                raise outcome.refused

    def has_said(self, what: str) -> bool:
        """Whether `say_once` has it on record, in force or void."""
        return self.book.has_request(self.community.operator, client_id(what))

    def say_once(self, what: str, fact: Fact) -> Refused | None:
        """A fact under the client id of ``what``, once, however often it is asked for; why it is void, where it is.

        Raises Refused where it cannot be said at all.
        """
        client = client_id(what)
        if not self.has_said(what):
            ((outcome,),) = self.submit(
                [sign(self._key, [self._pen_now().statement(record_of(fact), client)])]
            )
            return outcome.refused
        sequence = self.book.sequence_of(self.community.operator, client)
        assert sequence is not None
        return self.community.voids.get(sequence)

    def close_gates(self) -> list[int]:
        """Close the gates of all intervals with orders whose trading time is over; which they were."""
        rules = self.community.market.in_force()
        closes_us = self._now_us() + rules.gate_lead_s * MICROS
        due = sorted(
            start_us
            for start_us, interval in self.community.market.intervals.items()
            if start_us <= closes_us and not interval.is_gated
        )
        for start_us in due:
            self.demand(Gate(start_us))
        return due

    def close_gate(self, interval_us: int) -> Outcome:
        """Close one gate, of an interval without orders too."""
        (outcome,) = self.say(Gate(interval_us))
        return outcome

    def settle(self, interval_us: int) -> Outcome:
        """Settle an interval as its meters are now; where they have changed since, restate it."""
        (outcome,) = self.say(Settlement(interval_us))
        return outcome

    def bill(self, participant: str, tariff: str, from_us: int, to_us: int) -> Outcome:
        """Issue a participant's bill as the ledger is now; ``Refused`` where it cannot be made."""
        interval_us = self.community.market.in_force().interval_s * MICROS
        made = self.community.billing.reckon(participant, tariff, from_us, to_us, interval_us)
        (outcome,) = self.say(BillIssue(participant, tariff, from_us, to_us, made.amount, made.digest))
        return outcome

    def dun(self) -> list[Outcome]:
        """Take the steps of dunning that are due, 1024 at most, but writing off, which somebody decides."""
        due = self.community.treasury.payments.due(self._now_us())
        facts = [Dunning(claim.entry, step, "") for claim, step in islice(due, MOST_IN_BUNDLE)]
        return self.say(*facts) if facts else []

    # ------------------------------------------------------------ what follows

    def _post_owed(self) -> None:
        while self.community.owed:
            some = list(islice(self.community.owed.items(), MOST_IN_BUNDLE))
            pen = self._pen_now()
            before = len(self.community.owed)
            self._append([pen.statement(body, client) for client, body in some])
            if len(self.community.owed) >= before:
                raise LedgerError(f"{self.book.file}: what is owed was posted before by another author")

    def _pen_now(self) -> Pen:
        self._pen.follow(self.book.state.authors[self.community.operator].number)
        return self._pen

    def _append(self, statements: list[Statement]) -> None:
        """The desk's own; its numbers may have been overtaken by another process with the operator's key."""
        try:
            self.book.append([sign(self._key, statements)])
        except Refused as refused:
            if refused.reason is not Reason.REORDERED:
                raise
            pen = self._pen_now()
            again = [pen.statement(statement.body, statement.client) for statement in statements]
            self.book.append([sign(self._key, again)])
