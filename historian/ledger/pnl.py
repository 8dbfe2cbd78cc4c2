"""Profit and loss: what accounts of income and cost got and gave, by the time of the entry that posted it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from historian.ledger.entry import Transfer
from historian.ledger.settlement import IMBALANCE, SURPLUS
from historian.ledger.state import Placed

INCOME, COST = "income", "cost"
_OF_PREFIX = {"fees": INCOME, "income": INCOME, "costs": COST}
_OF_ACCOUNT = {SURPLUS: INCOME, IMBALANCE: INCOME}


@dataclass(frozen=True, slots=True)
class ResultLine:
    """What an account of income or cost brought in a period; a cost is below 0."""

    period: str
    section: str
    account: str
    amount: int


def section_of(account: str, participants: Collection[str]) -> str | None:
    """Income, cost, or neither; a participant's own accounts are neither, whatever its name is."""
    owner = account.rpartition(".")[0]
    if owner in participants:
        return None
    return _OF_ACCOUNT.get(account, _OF_PREFIX.get(owner))


def profit_and_loss(
    entries: Iterable[Placed],
    participants: Collection[str],
    currency: str,
    period_of: Callable[[int], str | None],
) -> Iterator[ResultLine]:
    """Lines by period, section, account; ``period_of`` names the period of a time in µs, None: not asked for."""
    found: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for placed in entries:
        body = placed.statement.body
        if not isinstance(body, Transfer) or (period := period_of(placed.placed_at_us)) is None:
            continue
        for posting in body.postings:
            section = section_of(posting.account, participants)
            if section is not None and posting.unit == currency:
                found[period, section, posting.account] += posting.amount
    for period, section, account in sorted(found, key=lambda key: (key[0], key[1] == COST, key[2])):
        yield ResultLine(period, section, account, found[period, section, account])


def month_of(at_us: int, zone: tzinfo) -> str:
    """As 2026-11."""
    return _local(at_us, zone).strftime("%Y-%m")


def week_of(at_us: int, zone: tzinfo) -> str:
    """The week of ISO 8601, as 2026-W47."""
    year, week, _ = _local(at_us, zone).isocalendar()
    return f"{year}-W{week:02}"


def _local(at_us: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, zone)
