"""What each participant earned by week, beside the week before: by the intervals that are settled. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, tzinfo

from historian.ledger.community import Community
from historian.ledger.pnl import week_of


@dataclass(slots=True)
class Week:
    """Money in millionths: sales and imbalance are what it got, purchases and fees what it gave."""

    sold_wh: int = 0
    bought_wh: int = 0
    sales: int = 0
    purchases: int = 0
    imbalance: int = 0
    fees: int = 0
    points: int = 0

    @property
    def earned(self) -> int:
        """All of the market together; below 0: it paid."""
        return self.sales - self.purchases + self.imbalance - self.fees

    def add(self, other: Week) -> None:
        """As one."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def by_week(community: Community, zone: tzinfo) -> dict[tuple[str, str], Week]:
    """Of each participant and week of ISO 8601 in which it traded or was rewarded."""
    weeks: defaultdict[tuple[str, str], Week] = defaultdict(Week)
    for at_us, settled in sorted(community.settled.items()):
        week = week_of(at_us, zone)
        positions = community.market.intervals[at_us].positions
        for name, line in settled.lines.items():
            position = positions.get(name)
            fees = line.community_fee + line.grid_fee + line.losses
            weeks[name, week].add(
                Week(
                    sold_wh=position.sold_wh if position else 0,
                    bought_wh=position.bought_wh if position else 0,
                    sales=line.sale,
                    purchases=position.pays if position else 0,
                    imbalance=line.imbalance,
                    fees=fees,
                )
            )
    for awarded in community.treasury.rewards.awards:
        weeks[awarded.award.participant, week_of(awarded.from_us, zone)].points += awarded.points
    return dict(weeks)


def compared(weeks: dict[tuple[str, str], Week]) -> Iterator[tuple[str, str, Week, Week | None]]:
    """Participant, week, what was, and what was the week before (None: nothing)."""
    for name, week in sorted(weeks):
        yield name, week, weeks[name, week], weeks.get((name, _week_before(week)))


def _week_before(week: str) -> str:
    year, number = week.split("-W")
    monday = datetime.fromisocalendar(int(year), int(number), 1) - timedelta(days=7)
    before = monday.isocalendar()
    return f"{before.year}-W{before.week:02}"
