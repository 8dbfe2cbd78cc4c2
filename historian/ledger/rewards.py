"""Points: earned against a baseline in events, with caps and a time to live; given, locked, lost. Pure.

Points are lots with a time at which they expire. A lot keeps it whoever gets it: giving or locking points does not
make them younger. What expires first is spent first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from historian.ledger.billing import check_zone
from historian.ledger.certificates import Certificates
from historian.ledger.chart import POINTS, POINTS_EXPIRED, POINTS_ISSUED, POINTS_SLASHED, Chart, moved
from historian.ledger.entry import Body
from historian.ledger.errors import Reason, Refused
from historian.ledger.fields import NO_DIGEST
from historian.ledger.market.price import ONE
from historian.ledger.metering import HOUR_S, MICROS, Meters
from historian.ledger.registry import Author, Registry, needs_operator
from historian.ledger.reward_facts import (
    Award,
    Batch,
    Expiry,
    PointTransfer,
    Release,
    RewardEvent,
    RewardKind,
    RewardRule,
    Slash,
    Stake,
    StakeRule,
)
from historian.ledger.settlement import account_of

MOST_POINTS = 10**12
MOST_RATE = 10**9
LONGEST_S = 10 * 366 * 86_400
LONGEST_EVENT_US = 86_400 * MICROS
_PER = {RewardKind.PARTICIPATION: 1}  # all others are told in thousandths of what the rate is for


@dataclass(frozen=True, slots=True)
class Lot:
    """Points that expire together."""

    expires_us: int
    points: int


@dataclass(frozen=True, slots=True)
class Awarded:
    """An award that counts: its entry, what was measured (quantity), and its points after the caps."""

    entry: int
    award: Award
    from_us: int
    to_us: int
    quantity: int
    points: int


@dataclass(slots=True)
class Locked:
    """A stake: whose, until when, and what is left of it."""

    owner: str
    until_us: int
    lots: tuple[Lot, ...]

    @property
    def points(self) -> int:
        return sum(lot.points for lot in self.lots)


class Rewards:
    """All of them, after some facts. Each method refuses, or changes, never half; what is to be posted it returns."""

    def __init__(self, registry: Registry, meters: Meters, certificates: Certificates, chart: Chart) -> None:
        self._registry = registry
        self._meters = meters
        self._certificates = certificates
        self._chart = chart
        self.rules: dict[RewardKind, RewardRule] = {}
        self.staking: StakeRule | None = None
        self.events: dict[str, tuple[int, RewardEvent]] = {}  # with when they were announced
        self.awards: list[Awarded] = []
        self.lots: defaultdict[str, tuple[Lot, ...]] = defaultdict(tuple)
        self.stakes: dict[int, Locked] = {}  # by the entry
        self._awarded: defaultdict[tuple[str, RewardKind], list[Awarded]] = defaultdict(list)

    # ------------------------------------------------------------ to look at

    def available(self, participant: str, now_us: int) -> int:
        """Points that can be given or locked now."""
        return sum(lot.points for lot in self.lots.get(participant, ()) if lot.expires_us > now_us)

    def expired(self, participant: str, now_us: int) -> int:
        """Points whose time is over and that are still on the account."""
        return sum(lot.points for lot in self.lots.get(participant, ()) if lot.expires_us <= now_us)

    def staked(self, participant: str) -> int:
        """Points under lock."""
        return sum(stake.points for stake in self.stakes.values() if stake.owner == participant)

    # ------------------------------------------------------------ rules and events

    def set_rule(self, author: Author, fact: RewardRule) -> list[Body]:
        """What a kind earns from here on."""
        needs_operator(author, "sets rewards")
        for what, low, high in (
            ("rate", 0, MOST_RATE),
            ("cap_each", 0, MOST_POINTS),
            ("cap_period", 0, MOST_POINTS),
            ("period_s", 3600, LONGEST_S),
            ("valid_s", 3600, LONGEST_S),
            ("most_adjustment", 0, ONE),
        ):
            _between(what, getattr(fact, what), low, high)
        self.rules[fact.kind] = fact
        return []

    def set_staking(self, author: Author, fact: StakeRule) -> list[Body]:
        """For how long points may be locked from here on."""
        needs_operator(author, "sets rewards")
        _between("shortest_s", fact.shortest_s, 1, LONGEST_S)
        _between("longest_s", fact.longest_s, fact.shortest_s, LONGEST_S)
        self.staking = fact
        return []

    def announce(self, author: Author, fact: RewardEvent, now_us: int, interval_us: int) -> list[Body]:
        """A call: from here on participants know of it."""
        needs_operator(author, "calls events")
        if fact.event in self.events or fact.event in self._certificates.batches:
            raise Refused(Reason.EXISTS, f"there is an event or batch {fact.event}")
        if not 0 < fact.to_us - fact.from_us <= LONGEST_EVENT_US:
            raise Refused(Reason.MALFORMED, "an event ends after it begins, a day at most")
        if fact.from_us % interval_us or fact.to_us % interval_us:
            raise Refused(Reason.MALFORMED, "an event is whole intervals")
        if fact.from_us <= now_us:
            raise Refused(Reason.LATE, f"event {fact.event} is announced before it begins")
        check_zone(fact.time_zone)
        self.events[fact.event] = (now_us, fact)
        return []

    # ------------------------------------------------------------ awards

    def award(self, author: Author, fact: Award, entry: int, now_us: int, interval_us: int) -> list[Body]:
        """Points for what the meters of a participant show against its baseline."""
        needs_operator(author, "awards points")
        from_us, to_us, quantity, points = self.worth(fact, now_us, interval_us)
        account = account_of(fact.participant, POINTS)
        bodies = self._post(f"award {entry}", POINTS_ISSUED, account, points)
        made = Awarded(entry, fact, from_us, to_us, quantity, points)
        self.awards.append(made)
        self._awarded[fact.participant, fact.kind].append(made)
        self._add(fact.participant, (Lot(now_us + self.rules[fact.kind].valid_s * MICROS, points),))
        return bodies

    def worth(self, fact: Award, now_us: int, interval_us: int) -> tuple[int, int, int, int]:
        """Of which time an award is, what was measured, its points after the caps; ``Refused`` where it is void."""
        self._registry.trader(fact.participant)
        rule = self.rules.get(fact.kind)
        if rule is None:
            raise Refused(Reason.UNKNOWN, f"no rule rewards {fact.kind.name.lower()}")
        if fact.kind is RewardKind.RENEWABLE:
            from_us, to_us, quantity = self._batch(fact)
        else:
            from_us, to_us, quantity = self._answer(fact, rule, now_us, interval_us)
        earlier = self._awarded.get((fact.participant, fact.kind), [])
        for other in earlier:
            is_again = other.award.event == fact.event
            if is_again or (
                fact.kind is not RewardKind.RENEWABLE and other.from_us < to_us and from_us < other.to_us
            ):
                raise Refused(
                    Reason.EXISTS, f"entry {other.entry} rewards {fact.participant} for that time already"
                )
        if quantity <= 0:
            raise Refused(Reason.NEGATIVE, f"{fact.participant} did not do better than its baseline")
        period = from_us // (rule.period_s * MICROS)
        had = sum(o.points for o in earlier if o.from_us // (rule.period_s * MICROS) == period)
        points = quantity * rule.rate // _PER.get(fact.kind, 1_000)
        points = min(points, rule.cap_each, max(0, rule.cap_period - had))
        if not points:
            raise Refused(Reason.OVERFLOW, f"{fact.participant} has {had} points of that period: no more now")
        return from_us, to_us, quantity, points

    def _batch(self, fact: Award) -> tuple[int, int, int]:
        known = self._certificates.batches.get(fact.event)
        if known is None:
            raise Refused(Reason.UNKNOWN, f"no batch {fact.event}")
        batch = known[1]
        if self._registry.devices[batch.device].owner != fact.participant:
            raise Refused(Reason.NOT_ALLOWED, f"batch {fact.event} is not {fact.participant}'s")
        expected = (0, 0, batch.wh, batch_evidence(batch))
        if (fact.unadjusted, fact.baseline, fact.measured, fact.evidence) != expected:
            raise Refused(Reason.CONFLICT, f"batch {fact.event} is {batch.wh} Wh, its evidence is its own")
        return batch.from_us, batch.to_us, batch.wh

    def _answer(self, fact: Award, rule: RewardRule, now_us: int, interval_us: int) -> tuple[int, int, int]:
        known = self.events.get(fact.event)
        if known is None:
            raise Refused(Reason.UNKNOWN, f"no event {fact.event}")
        event = known[1]
        if now_us < event.to_us:
            raise Refused(Reason.EARLY, f"event {fact.event} is not over")
        if fact.evidence == NO_DIGEST:
            raise Refused(Reason.MALFORMED, "an award has the evidence of its baseline")
        # Whatever the day itself did: a baseline that was raised by more is void (docs/rewards.md).
        most = fact.unadjusted + abs(fact.unadjusted) * rule.most_adjustment // ONE
        if fact.baseline > most:
            raise Refused(
                Reason.OVERFLOW,
                f"a baseline of {fact.baseline}, {fact.unadjusted} unadjusted: {most} at most",
            )
        measured = self.measured(fact.participant, fact.kind, event, interval_us)
        if fact.measured != measured:
            raise Refused(Reason.CONFLICT, f"its meters show {measured}, not {fact.measured}")
        better = fact.baseline - measured
        return (
            event.from_us,
            event.to_us,
            int(better > 0) if fact.kind is RewardKind.PARTICIPATION else better,
        )

    def measured(self, participant: str, kind: RewardKind, event: RewardEvent, interval_us: int) -> int:
        """What the meters show of an event, as its kind counts it; ``Refused`` where they were not read."""
        taken = list(self._taken(participant, event, interval_us))
        if kind is RewardKind.STABILITY:
            return sum(imported - exported for imported, exported in taken)
        if kind is RewardKind.PEAK:
            return max(imported for imported, _ in taken) * HOUR_S * MICROS // interval_us
        return sum(imported for imported, _ in taken)

    def _taken(self, participant: str, event: RewardEvent, interval_us: int) -> Iterator[tuple[int, int]]:
        if not self._registry.mains.get(participant):
            raise Refused(Reason.UNKNOWN, f"{participant} has no meter")
        for at_us in range(event.from_us, event.to_us, interval_us):
            energy = self._meters.of_participant(participant, at_us, at_us + interval_us, may_be_new=False)
            if energy is None:
                raise Refused(Reason.UNKNOWN, f"a meter of {participant} has no reading after {at_us} µs")
            if energy.is_estimated:
                raise Refused(Reason.CONFLICT, f"a meter of {participant} is estimated after {at_us} µs")
            yield energy.import_wh, energy.export_wh

    # ------------------------------------------------------------ what is done with points

    def give(self, author: Author, fact: PointTransfer, entry: int, now_us: int) -> list[Body]:
        """Points change hands, and keep their time."""
        self._registry.trader(author.name)
        self._registry.trader(fact.to)
        if fact.to == author.name:
            raise Refused(Reason.CONFLICT, f"{author.name} has them already")
        taken, rest = self._split(author.name, fact.points, now_us)
        bodies = self._post(
            f"points {entry}", account_of(author.name, POINTS), account_of(fact.to, POINTS), fact.points
        )
        self.lots[author.name] = rest
        self._add(fact.to, taken)
        return bodies

    def stake(self, author: Author, fact: Stake, entry: int, now_us: int) -> list[Body]:
        """Points are locked: they cannot be given, and can be slashed."""
        self._registry.trader(author.name)
        if self.staking is None:
            raise Refused(Reason.UNKNOWN, "no rule of staking")
        _between(
            "a lock of s", (fact.until_us - now_us) // MICROS, self.staking.shortest_s, self.staking.longest_s
        )
        taken, rest = self._split(author.name, fact.points, now_us)
        bodies = self._post(
            f"stake {entry}", account_of(author.name, POINTS), account_of(author.name, "staked"), fact.points
        )
        self.lots[author.name] = rest
        self.stakes[entry] = Locked(author.name, fact.until_us, taken)
        return bodies

    def release(self, author: Author, fact: Release, entry: int, now_us: int) -> list[Body]:
        """After its time, a stake's points are free; those that have expired meanwhile are so still."""
        stake = self._stake(fact.stake)
        if not author.is_operator and stake.owner != author.name:
            raise Refused(Reason.NOT_ALLOWED, f"stake {fact.stake} is {stake.owner}'s")
        if now_us < stake.until_us:
            raise Refused(Reason.EARLY, f"stake {fact.stake} is locked until {stake.until_us} µs")
        source, target = account_of(stake.owner, "staked"), account_of(stake.owner, POINTS)
        bodies = self._post(f"release {entry}", source, target, stake.points)
        self._add(stake.owner, stake.lots)
        del self.stakes[fact.stake]
        return bodies

    def slash(self, author: Author, fact: Slash, entry: int) -> list[Body]:
        """An operator takes points of a stake, for a reason."""
        needs_operator(author, "slashes stakes")
        stake = self._stake(fact.stake)
        if not fact.reason:
            raise Refused(Reason.MALFORMED, "a stake is slashed for a reason")
        _check_points(fact.points, stake.points, f"stake {fact.stake} has")
        source = account_of(stake.owner, "staked")
        bodies = self._post(f"slash {entry}", source, POINTS_SLASHED, fact.points)
        stake.lots = _cut(stake.lots, fact.points)[1]
        if not stake.lots:
            del self.stakes[fact.stake]
        return bodies

    def expire(self, author: Author, fact: Expiry, entry: int, now_us: int) -> list[Body]:
        """What has expired leaves the account."""
        needs_operator(author, "takes what has expired")
        points = self.expired(fact.participant, now_us)
        if not points:
            raise Refused(Reason.EARLY, f"no points of {fact.participant} have expired")
        bodies = self._post(f"expiry {entry}", account_of(fact.participant, POINTS), POINTS_EXPIRED, points)
        lots = self.lots[fact.participant]
        self.lots[fact.participant] = tuple(lot for lot in lots if lot.expires_us > now_us)
        return bodies

    def _stake(self, entry: int) -> Locked:
        found = self.stakes.get(entry)
        if found is None:
            raise Refused(Reason.UNKNOWN, f"no stake {entry}, or it has ended")
        return found

    def _split(self, name: str, points: int, now_us: int) -> tuple[tuple[Lot, ...], tuple[Lot, ...]]:
        _check_points(points, self.available(name, now_us), f"{name} has")
        lots = self.lots[name]
        dead = tuple(lot for lot in lots if lot.expires_us <= now_us)
        taken, rest = _cut(lots[len(dead) :], points)  # they are in order of their time
        return taken, dead + rest

    def _add(self, name: str, lots: tuple[Lot, ...]) -> None:
        points: defaultdict[int, int] = defaultdict(int)
        for lot in (*self.lots[name], *lots):
            points[lot.expires_us] += lot.points
        self.lots[name] = tuple(Lot(at, points[at]) for at in sorted(points))

    def _post(self, reference: str, source: str, target: str, points: int) -> list[Body]:
        opening = self._chart.opening(*((name, POINTS, name == POINTS_ISSUED) for name in (source, target)))
        return [*opening, moved(reference, POINTS, {source: -points, target: points})]


def batch_evidence(batch: Batch) -> bytes:
    """What proves a batch: SHA-256 of what it says, one field a line."""
    said = (batch.batch, batch.device, batch.from_us, batch.to_us, batch.wh)
    return sha256("\n".join(map(str, said)).encode()).digest()


def _cut(lots: tuple[Lot, ...], points: int) -> tuple[tuple[Lot, ...], tuple[Lot, ...]]:
    """The first points of lots, and the rest."""
    taken: list[Lot] = []
    rest: list[Lot] = []
    for lot in lots:
        part = min(lot.points, points)
        points -= part
        taken += [replace(lot, points=part)] if part else []
        rest += [replace(lot, points=lot.points - part)] if lot.points > part else []
    return tuple(taken), tuple(rest)


def _check_points(points: int, there: int, whose: str) -> None:
    if points <= 0:
        raise Refused(Reason.NEGATIVE, f"{points} points: more than 0")
    if points > there:
        raise Refused(Reason.NEGATIVE, f"{whose} {there} points, less than {points}")


def _between(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        reason = Reason.NEGATIVE if value < 0 else Reason.OVERFLOW
        raise Refused(reason, f"{what} is {value}: from {low} to {high}")
