"""Points for what was measured (solidity/RewardSystem.sol)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum

from historian.ledger.contracts.contract import DAY_S, Contract, Message, check_range
from historian.ledger.contracts.words import NO_ADDRESS, Reverted, add, mul


class Trigger(IntEnum):
    """What points are given for."""

    SAVING = 0
    PEAK_REDUCTION = 1
    STABILITY = 2
    RENEWABLE = 3
    PARTICIPATION = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """What a trigger is worth, and the most of it for one in a day (UTC)."""

    points_per_kwh: int = 0
    daily_cap: int = 0


@dataclass(frozen=True, slots=True)
class Stake:
    """Points that are locked until then (s)."""

    amount: int = 0
    until: int = 0


class RewardSystem(Contract):
    """All points. Their sum is what was awarded less what was slashed and redeemed."""

    MOST_LOCK = 4 * 365 * DAY_S
    MOST_POINTS = 10**18
    MOST_ENERGY = 10**12

    def __init__(self, operator: bytes) -> None:
        super().__init__(operator)
        self._terms: dict[Trigger, Terms] = {}
        self._awarded: defaultdict[tuple[bytes, Trigger, int], int] = defaultdict(int)
        self._balances: defaultdict[bytes, int] = defaultdict(int)
        self._stakes: dict[bytes, Stake] = {}
        self._total = 0

    def set_terms(self, message: Message, trigger: Trigger, points_per_kwh: int, daily_cap: int) -> None:
        """What a trigger is worth from here on."""
        self._only_operator(message)
        check_range(points_per_kwh, self.MOST_POINTS)
        check_range(daily_cap, self.MOST_POINTS)
        self._terms[trigger] = Terms(points_per_kwh, daily_cap)
        self._tell(message, "TermsSet", trigger, points_per_kwh, daily_cap)

    def award_points(self, message: Message, to: bytes, trigger: Trigger, energy: int) -> int:
        """Points for measured energy (Wh), down to what the day's cap leaves."""
        self._only_operator(message)
        if to == NO_ADDRESS:
            raise Reverted("NoAddress")
        check_range(energy, self.MOST_ENERGY)
        terms = self._terms.get(trigger, Terms())
        had = self._awarded.get((to, trigger, message.now // DAY_S), 0)
        left = max(terms.daily_cap - had, 0)
        points = min(mul(energy, terms.points_per_kwh) // 1_000, left)
        if not points:
            raise Reverted("NotEnough", 1, 0)
        self._total = add(self._total, points)
        self._awarded[to, trigger, message.now // DAY_S] = had + points
        self._balances[to] += points
        self._tell(message, "PointsAwarded", to, trigger, energy, points)
        return points

    def transfer_points(self, message: Message, to: bytes, points: int) -> None:
        """Give points to another."""
        if to == NO_ADDRESS:
            raise Reverted("NoAddress")
        self._take(message.sender, points)
        self._balances[to] += points
        self._tell(message, "PointsTransferred", message.sender, to, points)

    def stake(self, message: Message, points: int, lock: int) -> None:
        """Lock points; more of them, or longer, never shorter."""
        check_range(lock, self.MOST_LOCK)
        self._take(message.sender, points)
        held = self._stakes.get(message.sender, Stake())
        held = Stake(held.amount + points, max(held.until, message.now + lock))
        self._stakes[message.sender] = held
        self._tell(message, "PointsStaked", message.sender, points, held.until)

    def unstake(self, message: Message) -> int:
        """Have them back when the lock is over."""
        held = self._stakes.get(message.sender, Stake())
        if not held.amount:
            raise Reverted("NotEnough", 1, 0)
        if message.now < held.until:
            raise Reverted("TooEarly", held.until)
        del self._stakes[message.sender]
        self._balances[message.sender] += held.amount
        self._tell(message, "PointsUnstaked", message.sender, held.amount)
        return held.amount

    def slash(self, message: Message, owner: bytes, points: int) -> None:
        """Points at stake are lost, for what their owner did."""
        self._only_operator(message)
        held = self._stakes.get(owner, Stake())
        if not 0 < points <= held.amount:
            raise Reverted("NotEnough", points, held.amount)
        self._stakes[owner] = Stake(held.amount - points, held.until)
        self._total -= points
        self._tell(message, "StakeSlashed", owner, points)

    def redeem_points(self, message: Message, points: int) -> None:
        """Use points up."""
        self._take(message.sender, points)
        self._total -= points
        self._tell(message, "PointsRedeemed", message.sender, points)

    def terms_of(self, _: Message, trigger: Trigger) -> Terms:
        """What a trigger is worth."""
        return self._terms.get(trigger, Terms())

    def stake_of(self, _: Message, owner: bytes) -> Stake:
        """What somebody has at stake, and until when."""
        return self._stakes.get(owner, Stake())

    def balance_of(self, _: Message, owner: bytes) -> int:
        """Points that are free."""
        return self._balances.get(owner, 0)

    def total_points(self, _: Message) -> int:
        """All points that there are, those at stake too."""
        return self._total

    def _take(self, owner: bytes, points: int) -> None:
        has = self._balances.get(owner, 0)
        if not 0 < points <= has:
            raise Reverted("NotEnough", points, has)
        self._balances[owner] = has - points
