"""A whole ledger as a few tables, whatever its size: by day, by participant, and the latest of what is rare. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from historian.ledger import facts as f
from historian.ledger.coding import fact_of
from historian.ledger.community import Community
from historian.ledger.dunning import State, earliest_us
from historian.ledger.entry import Account, Genesis, PeriodClose, Record, Transfer
from historian.ledger.errors import Refused
from historian.ledger.payments import Claim
from historian.ledger.settlement import account_of
from historian.ledger.settling import Settled
from historian.ledger.state import Placed


@dataclass(frozen=True, slots=True)
class Restated:
    """A participant's line that a later settlement changed: what it gave less what it took, and money it gets."""

    entry: int
    at_us: int
    interval_us: int
    version: int
    participant: str
    metered_wh: tuple[int, int]  # before, after
    current: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Closed:
    """A period of the ledger that was closed, and by which entry."""

    entry: int
    at_us: int
    close: PeriodClose


@dataclass(slots=True)
class Gathered:
    """A ledger that was read once, with what its community does not keep."""

    community: Community = field(default_factory=Community)
    name: str = ""
    began_us: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    balances: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    placed_us: dict[int, int] = field(default_factory=dict)  # of void facts and refusals
    restated: list[Restated] = field(default_factory=list)
    reversals: list[tuple[int, f.Reversal]] = field(default_factory=list)
    closes: list[Closed] = field(default_factory=list)

    @property
    def entries(self) -> int:
        """How many there are."""
        return self.community.sequence + 1

    @property
    def currency(self) -> str:
        """The market's; none where there is no market."""
        rules = self.community.market.rules
        return rules.currency if rules is not None else ""


def gather(entries: Iterable[Placed]) -> Gathered:
    """All entries of a ledger, in their order."""
    found = Gathered()
    for placed in entries:
        fact = _fact(placed)
        known = found.community.settled.get(fact.interval_us) if isinstance(fact, f.Settlement) else None
        found.community.take(placed)
        is_void = placed.sequence in found.community.voids
        if is_void or isinstance(fact, f.Refusal):
            found.placed_us[placed.sequence] = placed.placed_at_us
        if isinstance(fact, f.Settlement) and known is not None and not is_void:
            found.restated += _changes(
                placed, fact.interval_us, known, found.community.settled[fact.interval_us]
            )
        elif isinstance(fact, f.Reversal) and not is_void:
            found.reversals.append((placed.sequence, fact))
        match placed.statement.body:
            case Transfer(_, postings):
                for posting in postings:
                    found.balances[posting.account] += posting.amount
            case Account() as account:
                found.accounts[account.name] = account
            case PeriodClose() as close:
                found.closes.append(Closed(placed.sequence, placed.placed_at_us, close))
            case Genesis(name, _):
                found.name, found.began_us = name, placed.placed_at_us
    return found


def _fact(placed: Placed) -> f.Fact | None:
    """A fact of the kinds that are looked at here; what cannot be read is void, and the community says so."""
    body = placed.statement.body
    if isinstance(body, Record) and body.topic in ("market.settlement", "meter.reversal", "ledger.refusal"):
        with suppress(Refused):
            return fact_of(body)
    return None


def _changes(placed: Placed, interval_us: int, before: Settled, after: Settled) -> Iterator[Restated]:
    for name in sorted({*before.lines, *after.lines}):
        old, new = before.lines.get(name), after.lines.get(name)
        if old != new:
            yield Restated(
                placed.sequence,
                placed.placed_at_us,
                interval_us,
                after.version,
                name,
                (old.metered_wh if old else 0, new.metered_wh if new else 0),
                (old.current if old else 0, new.current if new else 0),
            )


# ---------------------------------------------------------------- by day


@dataclass(slots=True)
class Day:
    """Intervals that begin on a day. Energy in Wh; prices of trades in millionths a kWh."""

    label: str
    trades: int = 0
    traded_wh: int = 0
    paid: int = 0
    least_price: int | None = None
    most_price: int | None = None
    taken_wh: int = 0
    given_wh: int = 0
    unplanned_wh: int = 0
    intervals: int = 0
    restated: int = 0
    estimated: int = 0

    @property
    def mean_price(self) -> int | None:
        """What a kWh cost its buyers, over the day."""
        return self.paid * 1_000 // self.traded_wh if self.traded_wh else None

    def add(self, other: Day) -> None:
        """As one, of two days or more."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.spread(price for price in (other.least_price, other.most_price) if price is not None)

    def spread(self, prices: Iterable[int]) -> None:
        """These were paid too."""
        for price in prices:
            self.least_price = price if self.least_price is None else min(self.least_price, price)
            self.most_price = price if self.most_price is None else max(self.most_price, price)


_SUMMED = (
    *("trades", "traded_wh", "paid", "taken_wh", "given_wh", "unplanned_wh"),
    *("intervals", "restated", "estimated"),
)


def by_day(community: Community, zone: tzinfo) -> list[Day]:
    """Days on which something was traded or settled, the oldest first."""
    days: dict[str, Day] = {}

    def day(at_us: int) -> Day:
        label = datetime.fromtimestamp(at_us // 1_000_000, zone).strftime("%Y-%m-%d")
        return days.setdefault(label, Day(label))

    for at_us, interval in community.market.intervals.items():
        bought = sum(position.bought_wh for position in interval.positions.values())
        if bought:
            found = day(at_us)
            found.traded_wh += bought
            found.paid += sum(position.pays for position in interval.positions.values())
            found.trades += len(interval.trades)
            found.spread(trade.price for trade in interval.trades)
    for at_us, settled in community.settled.items():
        found = day(at_us)
        found.intervals += 1
        found.restated += settled.version > 1
        for line in settled.lines.values():
            found.taken_wh += line.imported_wh
            found.given_wh += line.metered_wh + line.imported_wh
            found.unplanned_wh += abs(line.imbalance_wh)
            found.estimated += line.is_estimated
    return [days[label] for label in sorted(days)]


# ---------------------------------------------------------------- by participant


@dataclass(slots=True)
class Member:
    """A participant. ``current`` above 0 is owed to it; ``open_wh`` is traded and not settled yet."""

    name: str
    kind: str
    status: str
    deposit: int
    current: int
    open_wh: int
    bought_wh: int = 0
    sold_wh: int = 0
    taken_wh: int = 0
    given_wh: int = 0


def members(gathered: Gathered) -> list[Member]:
    """All of them, by name."""
    community = gathered.community
    found = {
        name: Member(
            name,
            who.kind.name.lower(),
            who.status.name.lower(),
            *(
                gathered.balances.get(account_of(name, purpose), 0)
                for purpose in ("deposit", "current", "wh")
            ),
        )
        for name, who in sorted(community.registry.participants.items())
    }
    for interval in community.market.intervals.values():
        for name, position in interval.positions.items():
            found[name].bought_wh += position.bought_wh
            found[name].sold_wh += position.sold_wh
    for settled in community.settled.values():
        for name, line in settled.lines.items():
            found[name].taken_wh += line.imported_wh
            found[name].given_wh += line.metered_wh + line.imported_wh
    return list(found.values())


def other_accounts(gathered: Gathered) -> list[tuple[str, str, int]]:
    """Name, unit and balance of what is no participant's deposit, current or energy account."""
    own = {
        account_of(name, purpose)
        for name in gathered.community.registry.participants
        for purpose in ("deposit", "current", "wh")
    }
    return [
        (name, account.unit, gathered.balances.get(name, 0))
        for name, account in sorted(gathered.accounts.items())
        if name not in own
    ]


# ---------------------------------------------------------------- bills


@dataclass(slots=True)
class Billed:
    """A participant's bills: what they added to what was owed before, what of that is open, and where they stand."""

    participant: str
    bills: int = 0
    own: int = 0
    open: int = 0
    states: Counter[State] = field(default_factory=Counter)
    last_entry: int = 0


def bills_by_participant(community: Community) -> list[Billed]:
    """Who was ever billed, by name."""
    payments = community.treasury.payments
    found: dict[str, Billed] = {}
    for entry, claim in payments.claims.items():
        billed = found.setdefault(claim.participant, Billed(claim.participant))
        billed.bills += 1
        billed.own += claim.own
        billed.open += claim.open
        billed.states[payments.state(claim, community.now_us)] += 1
        billed.last_entry = entry
    return [found[name] for name in sorted(found)]


def open_bills(community: Community) -> list[tuple[Claim, State, int | None]]:
    """Of which something is open, the oldest first; with when it is due, where that is known."""
    payments = community.treasury.payments
    found = []
    for claim in payments.claims.values():
        if claim.open:
            state = payments.state(claim, community.now_us)
            is_first = claim.terms is not None and claim.state is State.OPEN
            due_us = (
                earliest_us(State.OPEN, claim.since_us, claim.terms) if is_first and claim.terms else None
            )
            found.append((claim, state, due_us))
    return found


# ---------------------------------------------------------------- points and certificates


@dataclass(slots=True)
class Reward:
    """A participant's points and certificates (of a MWh each)."""

    participant: str
    points: int = 0
    staked: int = 0
    expired: int = 0
    certificates: int = 0
    retired: int = 0
    lapsed: int = 0


def rewards(community: Community) -> list[Reward]:
    """Who has or had any, by name."""
    points, certificates = community.treasury.rewards, community.treasury.certificates
    now_us = community.now_us
    found: dict[str, Reward] = {}
    for name in {*points.lots, *(stake.owner for stake in points.stakes.values())}:
        each = Reward(name, points.available(name, now_us), points.staked(name), points.expired(name, now_us))
        if each.points or each.staked or each.expired:
            found[name] = each
    for certificate in certificates.held.values():
        each = found.setdefault(certificate.owner, Reward(certificate.owner))
        if certificate.retired:
            each.retired += 1
        elif certificate.expires_us <= now_us:
            each.lapsed += 1
        else:
            each.certificates += 1
    return [found[name] for name in sorted(found)]
