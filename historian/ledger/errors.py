"""What can go wrong with a ledger.

LedgerError
├── Refused       a statement that does not count; ``reason`` says of which kind
└── NotALedger    a file that is none, or of another version, or damaged
"""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """Why a statement is refused."""

    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    FORGED = "forged"
    WRONG_LEDGER = "wrong_ledger"
    KEY_NOT_VALID = "key_not_valid"
    NOT_ALLOWED = "not_allowed"
    LATE = "late"
    EARLY = "early"
    REORDERED = "reordered"
    CONFLICT = "conflict"  # the client id stands for something else
    EXISTS = "exists"
    UNKNOWN = "unknown"  # an account or author that is not
    MIXED_UNITS = "mixed_units"
    NOT_CONSERVED = "not_conserved"
    NEGATIVE = "negative"
    OVERFLOW = "overflow"
    WRONG_PERIOD = "wrong_period"


class LedgerError(Exception):
    """Root of this package's exceptions."""


class Refused(LedgerError):  # noqa: N818 - reads as the claim it makes
    """A statement that does not count."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(f"{reason.value}: {why}")
        self.reason = reason
        self.why = why


class NotALedger(LedgerError):  # noqa: N818
    """A file that is no ledger, or of another version, or damaged."""
