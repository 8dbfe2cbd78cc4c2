"""What becomes of a bill: a table of states. Time is the ledger's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from historian.ledger.payment_facts import DunningStep, Terms

MICROS = 1_000_000


class State(Enum):
    """Where a bill stands."""

    OPEN = "open"
    OVERDUE = "overdue"
    REMINDED = "reminded"
    WARNED = "warned"
    COLLECTION = "collection"
    PAID = "paid"
    WRITTEN_OFF = "written_off"


class Turn(Enum):
    """What moves a bill that is not a step of dunning."""

    DUE = "due"
    PAY = "pay"  # nothing of it is open any more
    REOPEN = "reopen"  # something of it is open again, as a payment went back


TABLE: Mapping[State, Mapping[Turn | DunningStep, State]] = {
    State.OPEN: {Turn.DUE: State.OVERDUE, Turn.PAY: State.PAID},
    State.OVERDUE: {DunningStep.REMIND: State.REMINDED, Turn.PAY: State.PAID},
    State.REMINDED: {DunningStep.WARN: State.WARNED, Turn.PAY: State.PAID},
    State.WARNED: {DunningStep.COLLECT: State.COLLECTION, Turn.PAY: State.PAID},
    State.COLLECTION: {DunningStep.WRITE_OFF: State.WRITTEN_OFF, Turn.PAY: State.PAID},
    State.PAID: {Turn.REOPEN: State.OPEN},
    State.WRITTEN_OFF: {Turn.REOPEN: State.OPEN},
}


def next_step(state: State) -> DunningStep | None:
    """What dunning does next about a bill in this state."""
    return next((step for step in TABLE[state] if isinstance(step, DunningStep)), None)


def earliest_us(state: State, since_us: int, terms: Terms) -> int:
    """When what follows this state by time alone, or the next step, may be; the state has been since ``since_us``."""
    waits_s = {
        State.OPEN: terms.due_s,
        State.REMINDED: terms.warn_after_s,
        State.WARNED: terms.collect_after_s,
    }
    return since_us + waits_s.get(state, 0) * MICROS


def fee_of(step: DunningStep, terms: Terms) -> int:
    """What a step costs the participant."""
    return {DunningStep.REMIND: terms.reminder_fee, DunningStep.WARN: terms.warning_fee}.get(step, 0)
