"""Bills: a pure function of a ledger and a tariff: what settlement brought since the last one, and charges.

A bill's amount is what is owed then: what was owed before, less what was paid, less what settlement brought, plus the
tariff's charges on all that the participant's meters showed in the period.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import BillIssue, Incentive, Tariff, Window
from historian.ledger.market.auction import pro_rata
from historian.ledger.market.price import MOST_RATE, ONE
from historian.ledger.metering import HOUR_S, MICROS, Meters
from historian.ledger.registry import Author, needs_operator

LONGEST_PERIOD_US = 366 * 86_400 * MICROS
CENT = 10_000  # millionths
# Lines that are no charges of the bill: what earlier ones left, and what was paid for them.
BROUGHT_FORWARD = frozenset(
    ("owed before", "paid", "paid back", "paid out", "written off", "deposit withdrawn")
)
MOST_CHARGES = 10**15  # a billion of money; a thousand of them do not overflow an account
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BillLine:
    """What for, how much of it (in its unit), and what the participant owes for it (negative: gets)."""

    what: str
    quantity: int
    unit: str
    amount: int


@dataclass(frozen=True, slots=True)
class Bill:
    """A participant's bill. ``amount`` is the sum of its lines; negative: the community owes."""

    participant: str
    tariff: str
    tariff_from_us: int
    from_us: int
    to_us: int
    lines: tuple[BillLine, ...]

    @property
    def amount(self) -> int:
        """What is owed then."""
        return sum(line.amount for line in self.lines)

    @property
    def charges(self) -> int:
        """What of it the tariff makes, and is posted with the bill."""
        return sum(line.amount for line in self.lines if line.what.startswith("tariff"))

    @property
    def own(self) -> int:
        """What it adds to what was owed before."""
        return sum(line.amount for line in self.lines if line.what not in BROUGHT_FORWARD)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all of it, in JSON without spaces, keys ascending."""
        lines = [[line.what, line.quantity, line.unit, line.amount] for line in self.lines]
        content = {
            "from_us": self.from_us,
            "lines": lines,
            "participant": self.participant,
            "tariff": [self.tariff, self.tariff_from_us],
            "to_us": self.to_us,
        }
        return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()

    def cents(self) -> list[int]:
        """The lines in hundredths that sum to the amount in hundredths, by largest remainder."""
        whole = [line.amount // CENT for line in self.lines]
        left = (self.amount + CENT // 2) // CENT - sum(whole)
        order = sorted(range(len(whole)), key=lambda i: (-(self.lines[i].amount % CENT), i))
        for index in order[:left]:
            whole[index] += 1
        return whole


class Billing:
    """Tariffs, incentives and bills, after some facts. Each method refuses, or changes, never half."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self.tariffs: defaultdict[str, list[Tariff]] = defaultdict(
            list
        )  # by time from which on they are valid
        self.windows: defaultdict[tuple[str, int], list[Window]] = defaultdict(list)
        self.incentives: defaultdict[str, list[Incentive]] = defaultdict(list)
        self.bills: list[tuple[int, Bill]] = []  # with the entries that issued them
        self.billed_to_us: dict[str, int] = {}
        # What a participant owes since its last bill, by what for; negative: is owed.
        self._since: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._multipliers: dict[tuple[str, int], dict[int, int]] = {}

    def add_tariff(self, author: Author, fact: Tariff, now_us: int) -> None:
        """A tariff's next version; told before it begins, and never changed."""
        needs_operator(author, "sets tariffs")
        _is_ahead(fact.valid_from_us, now_us)
        versions = self.tariffs[fact.tariff]
        if versions and versions[-1].valid_from_us >= fact.valid_from_us:
            raise Refused(
                Reason.EXISTS, f"{fact.tariff} has a version from {versions[-1].valid_from_us} µs on"
            )
        check_zone(fact.time_zone)
        for what in ("base_rate", "export_credit", "demand_charge", "standing_charge", "incentive_rate"):
            rate = getattr(fact, what)
            if not 0 <= rate <= MOST_RATE:
                raise Refused(
                    Reason.NEGATIVE if rate < 0 else Reason.OVERFLOW, f"{what} is {rate}: 0 to {MOST_RATE}"
                )
        versions.append(fact)

    def add_window(self, author: Author, fact: Window, now_us: int) -> None:
        """A time of a tariff's version; of several that hold, the first told counts."""
        needs_operator(author, "sets tariffs")
        _is_ahead(fact.valid_from_us, now_us)
        if not any(version.valid_from_us == fact.valid_from_us for version in self.tariffs[fact.tariff]):
            raise Refused(Reason.UNKNOWN, f"{fact.tariff} has no version from {fact.valid_from_us} µs on")
        if not (0 < fact.months < 1 << 12 and 0 < fact.weekdays < 1 << 7):
            raise Refused(Reason.MALFORMED, "a window of no month or no weekday")
        if not 0 <= fact.from_minute < fact.to_minute <= 1440:
            raise Refused(Reason.MALFORMED, f"minutes {fact.from_minute} to {fact.to_minute} of a day")
        if not 0 <= fact.multiplier <= 10 * ONE:
            raise Refused(Reason.OVERFLOW, f"a multiplier of {fact.multiplier}: 0 to {10 * ONE}")
        self.windows[fact.tariff, fact.valid_from_us].append(fact)
        self._multipliers.pop((fact.tariff, fact.valid_from_us), None)

    def add_incentive(self, author: Author, fact: Incentive) -> None:
        """kWh that are rewarded by the next bill that has its time."""
        needs_operator(author, "grants incentives")
        if fact.wh <= 0 or fact.cap < 0 or not fact.reason:
            raise Refused(Reason.NEGATIVE, "an incentive has energy, a cap and a reason")
        if fact.at_us < self.billed_to_us.get(fact.participant, -(2**63)):
            raise Refused(Reason.LATE, f"{fact.participant} is billed for that time already")
        self.incentives[fact.participant].append(fact)

    def note(self, participant: str, what: str, owed: int) -> None:
        """Something that the next bill is to have."""
        self._since[participant][what] += owed

    def owed(self, participant: str) -> int:
        """What it owes before the charges of a bill to come: its current account with the sign turned."""
        return sum(self._since[participant].values()) if participant in self._since else 0

    def billed(self, participant: str) -> int:
        """What it owes of the bills that were issued, less what was paid since."""
        since: dict[str, int] = self._since.get(participant, defaultdict(int))
        return sum(owed for what, owed in since.items() if what in BROUGHT_FORWARD)

    def issue(self, author: Author, fact: BillIssue, entry: int, now_us: int, interval_us: int) -> Bill:
        """The bill, where it is what the fact says it is."""
        needs_operator(author, "issues bills")
        if fact.to_us > now_us:
            raise Refused(Reason.EARLY, "a period that is not over")
        bill = self.reckon(fact.participant, fact.tariff, fact.from_us, fact.to_us, interval_us)
        if (bill.amount, bill.digest) != (fact.amount, fact.digest):
            raise Refused(Reason.CONFLICT, f"the bill is {bill.amount}, {bill.digest.hex()}")
        if abs(bill.charges) > MOST_CHARGES:
            raise Refused(Reason.OVERFLOW, f"charges of {bill.charges}: {MOST_CHARGES} at most")
        self.bills.append((entry, bill))
        self.billed_to_us[fact.participant] = fact.to_us
        self._since[fact.participant].clear()
        self.note(fact.participant, "owed before", bill.amount)
        return bill

    # ------------------------------------------------------------ pure: what a bill is

    def reckon(self, participant: str, tariff: str, from_us: int, to_us: int, interval_us: int) -> Bill:
        """The bill as the ledger is now; ``Refused`` where it cannot be made."""
        if not 0 < to_us - from_us <= LONGEST_PERIOD_US or from_us % interval_us or to_us % interval_us:
            raise Refused(Reason.MALFORMED, "a period is whole intervals, a year at most")
        billed_to_us = self.billed_to_us.get(participant)
        if billed_to_us is not None and from_us != billed_to_us:
            raise Refused(Reason.CONFLICT, f"{participant} is billed to {billed_to_us} µs: go on from there")
        versions = self.tariffs.get(tariff, [])
        valid = next((v for v in reversed(versions) if v.valid_from_us <= from_us), None)
        if valid is None:
            raise Refused(Reason.UNKNOWN, f"no tariff {tariff} is valid at {from_us} µs")
        later = next((v.valid_from_us for v in versions if from_us < v.valid_from_us < to_us), None)
        if later is not None:
            raise Refused(Reason.CONFLICT, f"{tariff} changes at {later} µs: bill to there first")
        since: dict[str, int] = self._since.get(participant, defaultdict(int))
        lines = [BillLine(what, 1, "", owed) for what, owed in sorted(since.items()) if owed]
        lines += self._charges(participant, valid, from_us, to_us, interval_us)
        return Bill(participant, tariff, valid.valid_from_us, from_us, to_us, tuple(lines))

    def _charges(
        self, participant: str, tariff: Tariff, from_us: int, to_us: int, interval_us: int
    ) -> Iterator[BillLine]:
        taken: defaultdict[int, int] = defaultdict(int)
        given = greatest = 0
        for at_us in range(from_us, to_us, interval_us):
            energy = self._meters.of_participant(participant, at_us, at_us + interval_us, may_be_new=True)
            if energy is None:
                raise Refused(Reason.UNKNOWN, f"a meter of {participant} has no reading after {at_us} µs")
            taken[self.multiplier(tariff, at_us)] += energy.import_wh
            given += energy.export_wh
            greatest = max(greatest, energy.import_wh)
        for multiplier, wh in sorted(taken.items()):
            if wh:
                amount = _nearest(wh * tariff.base_rate * multiplier, 1_000 * ONE)
                yield BillLine(f"tariff: taken, rate times {_decimal(multiplier)}", wh, "Wh", amount)
        if given and tariff.export_credit:
            yield BillLine("tariff: given", given, "Wh", -_nearest(given * tariff.export_credit, 1_000))
        if tariff.demand_charge and greatest:
            watts = greatest * HOUR_S * MICROS // interval_us
            yield BillLine(
                "tariff: greatest demand", watts, "W", _nearest(watts * tariff.demand_charge, 1_000)
            )
        if tariff.standing_charge:
            yield BillLine("tariff: standing charge", 1, "", tariff.standing_charge)
        for incentive in self.incentives.get(participant, ()):
            if from_us <= incentive.at_us < to_us:
                reward = min(_nearest(incentive.wh * tariff.incentive_rate, 1_000), incentive.cap)
                yield BillLine(f"tariff: incentive, {incentive.reason}", incentive.wh, "Wh", -reward)

    def multiplier(self, tariff: Tariff, at_us: int) -> int:
        """Of the base rate, by the local time at which an interval begins."""
        version = (tariff.tariff, tariff.valid_from_us)
        known = self._multipliers.setdefault(version, {})
        if at_us not in known:
            local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(tariff.time_zone))
            minute = local.hour * 60 + local.minute
            known[at_us] = next(
                (
                    window.multiplier
                    for window in self.windows.get(version, ())
                    if window.months >> (local.month - 1) & 1
                    and window.weekdays >> local.weekday() & 1
                    and window.from_minute <= minute < window.to_minute
                ),
                ONE,
            )
        return known[at_us]


def distributed(amount: int, shares: dict[str, int]) -> dict[str, int]:
    """Revenue by shares: by largest remainder, exact to the last unit; of equal ones the lesser name first."""
    names = sorted(name for name, share in shares.items() if share > 0)
    if amount < 0 or not names:
        raise Refused(Reason.NEGATIVE, f"{amount} over {len(names)} shares")
    parts = pro_rata(amount, [(index, shares[name]) for index, name in enumerate(names)])
    return {name: parts[index] for index, name in enumerate(names)}


def check_zone(name: str) -> None:
    """``Refused`` where there is no such time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(Reason.UNKNOWN, f"no time zone {name!r}") from None


def _is_ahead(valid_from_us: int, now_us: int) -> None:
    if valid_from_us <= now_us:
        raise Refused(Reason.LATE, "a tariff is told before it begins: a bill stays what it was")


def _decimal(share: int) -> str:
    return f"{share // ONE}.{share % ONE:06}".rstrip("0").rstrip(".")


def _nearest(number: int, divisor: int) -> int:
    """Halves up."""
    return (2 * number + divisor) // (2 * divisor)
