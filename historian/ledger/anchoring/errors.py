"""What can go wrong with a chain.

LedgerError
└── ChainError
    ├── ChainAway      nobody answers, or not in time: try again later
    └── ChainRefused   the chain, or the contract, says no; ``error`` is the contract's, where it is one
"""

from __future__ import annotations

from historian.ledger.errors import LedgerError


class ChainError(LedgerError):
    """Root of these."""


class ChainAway(ChainError):  # noqa: N818 - reads as the claim it makes
    """Nobody answers, or not in time."""


class ChainRefused(ChainError):  # noqa: N818
    """The chain says no."""

    def __init__(self, why: str, data: bytes = b"") -> None:
        super().__init__(why)
        self.data = data
