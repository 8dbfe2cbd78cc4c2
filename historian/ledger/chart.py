"""The chart of accounts beside the market's: which are open, and what opens one when it is first needed. Pure.

All amounts are claims on the community: an account of income that is above 0 is earned, one of costs is below 0, and
``money.bank`` is the world outside: below 0 by what the bank holds.
"""

from __future__ import annotations

from historian.ledger.entry import Account, Body, Posting, balanced
from historian.ledger.errors import Reason, Refused

BANK = "money.bank"
REVENUE = "market.revenue"  # what batches brought, until it is distributed
DUNNING_FEES = "income.dunning"
BAD_DEBT = "costs.bad-debt"
POINTS_ISSUED, POINTS_EXPIRED, POINTS_SLASHED = "points.issued", "points.expired", "points.slashed"
CERTIFICATES_ISSUED, CERTIFICATES_RETIRED = "certificates.issued", "certificates.retired"
POINTS, CERTIFICATES = "points", "certificates"  # units, and what participants' accounts of them are called

# An account of 64 bits takes a million of these.
MOST_AMOUNT = 9 * 10**12


class Chart:
    """Names of accounts, after some entries."""

    def __init__(self) -> None:
        self.operator = ""
        self.open: set[str] = set()
        self.own: set[str] = set()  # that only what is owed may touch

    def opening(self, *accounts: tuple[str, str, bool]) -> list[Body]:
        """What opens those (name, unit, may be negative) that are not open; ``Refused`` where a name is taken."""
        missing = [account for account in accounts if account[0] not in self.own]
        for name, _, _ in missing:
            if name in self.open:
                raise Refused(Reason.EXISTS, f"the account {name} is open: the community's own has that name")
        return [Account(name, unit, self.operator, negative) for name, unit, negative in missing]

    def opened(self, bodies: list[Body]) -> None:
        """These will be posted."""
        names = {body.name for body in bodies if isinstance(body, Account)}
        self.open |= names
        self.own |= names


def moved(reference: str, unit: str, amounts: dict[str, int]) -> Body:
    """A transfer of these amounts that sum to 0."""
    return balanced(reference, [Posting(name, unit, amount) for name, amount in amounts.items() if amount])


def check_amount(what: str, amount: int) -> None:
    """``Refused`` where it is not above 0, or so great that it is a slip of the unit."""
    if amount <= 0:
        raise Refused(Reason.NEGATIVE, f"{what} of {amount}: an amount is more than 0")
    if amount > MOST_AMOUNT:
        raise Refused(Reason.OVERFLOW, f"{what} of {amount}: {MOST_AMOUNT} at most")
