"""IEnergyConsumption: consumers and what they used (solidity/EnergyConsumption.sol)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from historian.ledger.contracts.abi import id_of
from historian.ledger.contracts.contract import DAY_S, HOUR_S, Contract, Message, check_range, check_text
from historian.ledger.contracts.words import Reverted, add, mul


class ConsumerStatus(IntEnum):
    """Where a consumer stands."""

    PENDING = 0
    ACTIVE = 1
    SUSPENDED = 2
    RETIRED = 3


class UsageType(IntEnum):
    """When something was used."""

    BASE = 0
    PEAK = 1


@dataclass(frozen=True, slots=True)
class Consumer:
    """The greatest demand in W."""

    id: bytes
    owner: bytes
    consumer_type: bytes
    max_demand: int
    status: ConsumerStatus = ConsumerStatus.PENDING


@dataclass(frozen=True, slots=True)
class Usage:
    """What a consumer used until ``timestamp``, in Wh, and its greatest power of that time, in W."""

    consumer_id: bytes
    timestamp: int
    amount: int
    peak_demand: int
    usage_type: UsageType


@dataclass(slots=True)
class _Record:
    consumer: Consumer
    since: int = 0
    usages: list[Usage] = field(default_factory=list)
    lengths_s: list[int] = field(default_factory=list)
    amounts: dict[int, tuple[int, int]] = field(default_factory=dict)  # by period: base, peak


class EnergyConsumption(Contract):
    """All consumers."""

    PERIOD = DAY_S
    MOST_DEMAND = 10**9
    LOOK_BACK = 8
    MOST_ON_PAGE = 64

    def __init__(self, operator: bytes) -> None:
        super().__init__(operator)
        self._records: dict[bytes, _Record] = {}
        self._peak_hours = (0, 0)

    def register_consumer(self, message: Message, consumer_type: bytes, max_demand: int) -> bytes:
        """The sender's consumer applies; the operator lets it in by making it active."""
        check_text(consumer_type)
        check_range(max_demand, self.MOST_DEMAND, 1)
        consumer_id = id_of("consumer", message.sender, len(self._records))
        self._records[consumer_id] = _Record(Consumer(consumer_id, message.sender, consumer_type, max_demand))
        self._tell(message, "ConsumerRegistered", consumer_id, message.sender, consumer_type, max_demand)
        return consumer_id

    def record_usage(self, message: Message, consumer_id: bytes, amount: int, peak_demand: int) -> None:
        """What the consumer used since its last record, and the greatest power of that time."""
        record = self._record(consumer_id)
        consumer = record.consumer
        if message.sender != consumer.owner:
            raise Reverted("NotOwner", consumer_id, message.sender)
        if consumer.status is not ConsumerStatus.ACTIVE:
            raise Reverted("WrongStatus", consumer_id, consumer.status)
        if message.now <= record.since:
            raise Reverted("NotLater", message.now, record.since)
        if peak_demand > consumer.max_demand:
            raise Reverted("MoreThanPossible", peak_demand, consumer.max_demand)
        elapsed_s = message.now - record.since
        most = peak_demand * elapsed_s // HOUR_S  # a mean is not above the greatest
        if amount > most:
            raise Reverted("MoreThanPossible", amount, most)
        usage_type = UsageType.PEAK if self._touches_peak(record.since, elapsed_s) else UsageType.BASE
        period = (message.now - 1) // DAY_S  # what ends at midnight is of the day before
        base, peak = record.amounts.get(period, (0, 0))
        if usage_type is UsageType.PEAK:
            record.amounts[period] = (base, add(peak, amount))
        else:
            record.amounts[period] = (add(base, amount), peak)
        record.since = message.now
        record.usages.append(Usage(consumer_id, message.now, amount, peak_demand, usage_type))
        record.lengths_s.append(elapsed_s)
        self._tell(message, "UsageRecorded", consumer_id, message.now, amount, peak_demand, usage_type)

    def update_consumer_status(self, message: Message, consumer_id: bytes, status: ConsumerStatus) -> None:
        """By its owner to retired; by the operator otherwise."""
        record = self._record(consumer_id)
        before = record.consumer.status
        if before is ConsumerStatus.RETIRED or status in (ConsumerStatus.PENDING, before):
            raise Reverted("WrongStatus", consumer_id, before)
        if message.sender != self._operator:
            if message.sender != record.consumer.owner:
                raise Reverted("NotOwner", consumer_id, message.sender)
            if status is not ConsumerStatus.RETIRED:
                raise Reverted("WrongStatus", consumer_id, before)
        if before is ConsumerStatus.PENDING:
            record.since = message.now
        record.consumer = replace(record.consumer, status=status)
        self._tell(message, "ConsumerStatusChanged", consumer_id, status, message.sender)

    def set_peak_hours(self, message: Message, from_hour: int, to_hour: int) -> None:
        """Set the hours (UTC) in which usage is of the type Peak; equal: none."""
        self._only_operator(message)
        check_range(to_hour, 24)
        check_range(from_hour, to_hour)
        self._peak_hours = (from_hour, to_hour)
        self._tell(message, "PeakHoursSet", from_hour, to_hour)

    def peak_from(self, _: Message) -> int:
        """The hour from which usage is of the type Peak."""
        return self._peak_hours[0]

    def peak_to(self, _: Message) -> int:
        """The hour to which it is."""
        return self._peak_hours[1]

    def predict_demand(self, _: Message, consumer_id: bytes, horizon: int) -> int:
        """What it will use in so many seconds from now if it goes on as in its last records."""
        record = self._record(consumer_id)
        used = add(*(usage.amount for usage in record.usages[-self.LOOK_BACK :]))
        elapsed_s = add(*record.lengths_s[-self.LOOK_BACK :])
        return mul(used, horizon) // elapsed_s if elapsed_s else 0

    def get_usage_history(self, _: Message, consumer_id: bytes, offset: int, limit: int) -> list[Usage]:
        """Its records from the ``offset``th on, the oldest first, at most ``limit`` of them."""
        record = self._record(consumer_id)
        check_range(limit, self.MOST_ON_PAGE, 1)
        return record.usages[offset : offset + limit]

    def consumer_of(self, _: Message, consumer_id: bytes) -> Consumer:
        """A consumer."""
        return self._record(consumer_id).consumer

    def usage_in(self, _: Message, consumer_id: bytes, period: int) -> tuple[int, int]:
        """What it used in a period, by type."""
        return self._record(consumer_id).amounts.get(period, (0, 0))

    def _touches_peak(self, start: int, elapsed_s: int) -> bool:
        # Of a record any second of which is in a peak hour all is: who records often loses nothing, and nobody moves
        # a peak's energy out of it by recording late.
        from_hour, to_hour = self._peak_hours
        if from_hour == to_hour:
            return False
        second = start % DAY_S
        end = second + elapsed_s
        first, last = from_hour * HOUR_S, to_hour * HOUR_S
        return (second < last and end > first) or end > DAY_S + first

    def _record(self, consumer_id: bytes) -> _Record:
        record = self._records.get(consumer_id)
        if record is None:
            raise Reverted("Unknown", consumer_id)
        return record
