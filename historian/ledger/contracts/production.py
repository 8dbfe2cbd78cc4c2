"""IEnergyProduction: sources and what they gave (solidity/EnergyProduction.sol)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from historian.ledger.contracts.abi import id_of
from historian.ledger.contracts.contract import DAY_S, HOUR_S, Contract, Message, check_range, check_text
from historian.ledger.contracts.words import NO_ID, Reverted, add

MOST_CAPACITY_W = 10**9
MOST_IN_BATCH = 32
ONE = 1_000_000


class SourceStatus(IntEnum):
    """Where a source stands."""

    PENDING = 0
    ACTIVE = 1
    MAINTENANCE = 2
    SUSPENDED = 3
    RETIRED = 4


# What an owner may do by itself; the rest is the operator's.
OWNERS_CHANGES = {
    SourceStatus.PENDING: {SourceStatus.RETIRED},
    SourceStatus.ACTIVE: {SourceStatus.MAINTENANCE, SourceStatus.RETIRED},
    SourceStatus.MAINTENANCE: {SourceStatus.ACTIVE, SourceStatus.RETIRED},
    SourceStatus.SUSPENDED: {SourceStatus.RETIRED},
}


@dataclass(frozen=True, slots=True)
class EnergySource:
    """Capacity in W, the time of the last maintenance in s."""

    id: bytes
    owner: bytes
    source_type: bytes
    capacity: int
    last_maintenance: int = 0
    status: SourceStatus = SourceStatus.PENDING


@dataclass(frozen=True, slots=True)
class Production:
    """What a source gave until ``timestamp``, in Wh; its efficiency in ppm of its capacity."""

    source_id: bytes
    timestamp: int
    amount: int
    efficiency: int
    batch_id: bytes


@dataclass(slots=True)
class _Record:
    source: EnergySource
    last: Production = field(default_factory=lambda: Production(NO_ID, 0, 0, 0, NO_ID))
    since: int = 0
    amount: int = 0
    counted_s: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """All that was given in a period (a day), by source."""

    period: int = 0
    sources: tuple[bytes, ...] = ()
    owners: tuple[bytes, ...] = ()
    amounts: tuple[int, ...] = ()


class EnergyProduction(Contract):
    """All sources."""

    PERIOD = DAY_S
    MOST_CAPACITY = MOST_CAPACITY_W
    MOST_IN_BATCH = MOST_IN_BATCH

    def __init__(self, operator: bytes) -> None:
        super().__init__(operator)
        self._records: dict[bytes, _Record] = {}
        self._batches: dict[bytes, tuple[int, dict[bytes, int]]] = {}

    def register_source(self, message: Message, source_type: bytes, capacity: int) -> bytes:
        """The sender's source applies; the operator lets it in by making it active."""
        check_text(source_type)
        check_range(capacity, MOST_CAPACITY_W, 1)
        source_id = id_of("source", message.sender, len(self._records))
        self._records[source_id] = _Record(EnergySource(source_id, message.sender, source_type, capacity))
        self._tell(message, "SourceRegistered", source_id, message.sender, source_type, capacity)
        return source_id

    def record_production(self, message: Message, source_id: bytes, amount: int) -> None:
        """What the source gave since its last record; at most its capacity over that time."""
        record = self._record(source_id)
        source = record.source
        if message.sender != source.owner:
            raise Reverted("NotOwner", source_id, message.sender)
        if source.status is not SourceStatus.ACTIVE:
            raise Reverted("WrongStatus", source_id, source.status)
        if message.now <= record.since:
            raise Reverted("NotLater", message.now, record.since)
        elapsed_s = message.now - record.since
        most = source.capacity * elapsed_s // HOUR_S
        if amount > most:
            raise Reverted("MoreThanPossible", amount, most)
        efficiency = amount * HOUR_S * ONE // (source.capacity * elapsed_s)
        period = (message.now - 1) // DAY_S  # what ends at midnight is of the day before
        batch_id = id_of("batch", period)
        _, amounts = self._batches.get(batch_id, (period, {}))
        if amount:
            if source_id not in amounts and len(amounts) == MOST_IN_BATCH:
                raise Reverted("TooMany", MOST_IN_BATCH)
            self._batches[batch_id] = (
                period,
                {**amounts, source_id: add(amounts.get(source_id, 0), amount)},
            )
        record.since = message.now
        record.amount = add(record.amount, amount)
        record.counted_s += elapsed_s
        record.last = Production(source_id, message.now, amount, efficiency, batch_id)
        self._tell(message, "ProductionRecorded", source_id, batch_id, message.now, amount, efficiency)

    def update_source_status(self, message: Message, source_id: bytes, status: SourceStatus) -> None:
        """By its owner between active, maintenance and retired; by the operator otherwise."""
        record = self._record(source_id)
        source = record.source
        before = source.status
        if before is SourceStatus.RETIRED or status in (SourceStatus.PENDING, before):
            raise Reverted("WrongStatus", source_id, before)
        if message.sender != self._operator:
            if message.sender != source.owner:
                raise Reverted("NotOwner", source_id, message.sender)
            if status not in OWNERS_CHANGES[before]:
                raise Reverted("WrongStatus", source_id, before)
        is_maintained = before is SourceStatus.MAINTENANCE and status is SourceStatus.ACTIVE
        if status is SourceStatus.ACTIVE:
            record.since = message.now  # it gave nothing while it was not
        record.source = replace(
            source,
            status=status,
            last_maintenance=message.now if is_maintained else source.last_maintenance,
        )
        self._tell(message, "SourceStatusChanged", source_id, status, message.sender)

    def get_source_efficiency(self, _: Message, source_id: bytes) -> int:
        """What it gave of what its capacity would have given in the time on record, in ppm."""
        record = self._record(source_id)
        if not record.counted_s:
            return 0
        return record.amount * HOUR_S * ONE // (record.source.capacity * record.counted_s)

    def source_of(self, _: Message, source_id: bytes) -> EnergySource:
        """A source."""
        return self._record(source_id).source

    def last_production(self, _: Message, source_id: bytes) -> Production:
        """A source's last record."""
        return self._record(source_id).last

    def batch_of(self, _: Message, batch_id: bytes) -> Batch:
        """A batch; an empty one where nothing was given."""
        period, amounts = self._batches.get(batch_id, (0, {}))
        owners = tuple(self._records[source].source.owner for source in amounts)
        return Batch(period, tuple(amounts), owners, tuple(amounts.values()))

    def _record(self, source_id: bytes) -> _Record:
        record = self._records.get(source_id)
        if record is None:
            raise Reverted("Unknown", source_id)
        return record
