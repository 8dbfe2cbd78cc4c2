"""IGridBalancing: the balance of the grid, interval by interval (solidity/GridBalance.sol)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from historian.ledger.contracts.abi import encode, id_of, keccak
from historian.ledger.contracts.contract import Contract, Message, check_range
from historian.ledger.contracts.words import NO_ADDRESS, NO_ID, Reverted, add, mul


class GridStatus(IntEnum):
    """How supply and demand stand to each other."""

    BALANCED = 0
    SURPLUS = 1
    DEFICIT = 2
    CRITICAL = 3


class StorageStatus(IntEnum):
    """What a storage unit does."""

    IDLE = 0
    CHARGING = 1
    DISCHARGING = 2
    OFFLINE = 3


@dataclass(frozen=True, slots=True)
class GridState:
    """Energies in Wh of an interval."""

    timestamp: int = 0
    total_supply: int = 0
    total_demand: int = 0
    stored_energy: int = 0
    status: GridStatus = GridStatus.BALANCED


@dataclass(frozen=True, slots=True)
class StorageUnit:
    """Energies in Wh."""

    id: bytes
    capacity: int
    current_level: int = 0
    status: StorageStatus = StorageStatus.IDLE


class GridBalance(Contract):
    """All states and storage units."""

    INTERVAL = 900
    MOST_STORED = 10**12
    TOLERANCE = 2
    CRITICAL = 10

    def __init__(self, operator: bytes) -> None:
        super().__init__(operator)
        self._units: dict[bytes, StorageUnit] = {}
        self._owners: dict[bytes, bytes] = {}
        self._states: dict[bytes, GridState] = {}
        self._last = NO_ID
        self._stored = 0

    def update_grid_state(self, message: Message, supply: int, demand: int) -> bytes:
        """The state of an interval: recorded once, never changed; its id is the hash of all that it says."""
        self._only_operator(message)
        if (
            self._states
            and message.now // self.INTERVAL <= self._states[self._last].timestamp // self.INTERVAL
        ):
            raise Reverted("AlreadyThere", self._last)
        status = self._status_of(supply, demand)
        state = GridState(message.now, supply, demand, self._stored, status)
        said = (message.now, supply, demand, self._stored, int(status))
        state_id = keccak(encode(["uint256"] * 5, said))
        self._states[state_id] = state
        self._last = state_id
        self._tell(message, "GridStateUpdated", state_id, *said)
        return state_id

    def register_storage(self, message: Message, owner: bytes, capacity: int) -> bytes:
        """Let a storage unit of somebody in; it is empty and idle."""
        self._only_operator(message)
        if owner == NO_ADDRESS:
            raise Reverted("NoAddress")
        check_range(capacity, self.MOST_STORED, 1)
        storage_id = id_of("storage", owner, len(self._units))
        self._units[storage_id] = StorageUnit(storage_id, capacity)
        self._owners[storage_id] = owner
        self._tell(message, "StorageRegistered", storage_id, owner, capacity)
        return storage_id

    def manage_storage(self, message: Message, storage_id: bytes, amount: int, is_charging: bool) -> None:
        """Energy went into a storage unit, or out of it."""
        unit = self._owned(message, storage_id)
        if unit.status is StorageStatus.OFFLINE:
            raise Reverted("WrongStatus", storage_id, unit.status)
        most = unit.capacity - unit.current_level if is_charging else unit.current_level
        if amount > most:
            raise Reverted("MoreThanPossible", amount, most)
        change = amount if is_charging else -amount
        status = StorageStatus.IDLE
        if amount:
            status = StorageStatus.CHARGING if is_charging else StorageStatus.DISCHARGING
        self._stored += change
        level = unit.current_level + change
        self._units[storage_id] = replace(unit, current_level=level, status=status)
        self._tell(message, "StorageManaged", storage_id, amount, is_charging, level)

    def set_storage_online(self, message: Message, storage_id: bytes, is_online: bool) -> None:
        """Take a unit out of the balance, or bring it back, idle, with what it holds."""
        unit = self._owned(message, storage_id)
        if is_online != (unit.status is StorageStatus.OFFLINE):
            raise Reverted("WrongStatus", storage_id, unit.status)
        self._stored += unit.current_level if is_online else -unit.current_level
        status = StorageStatus.IDLE if is_online else StorageStatus.OFFLINE
        self._units[storage_id] = replace(unit, status=status)
        self._tell(message, "StorageOnline", storage_id, is_online)

    def handle_peak_demand(self, message: Message, expected_demand: int) -> bool:
        """Whether the last supply and all that is stored cover a demand to come."""
        self._only_operator(message)
        if not self._states:
            raise Reverted("Unknown", NO_ID)
        available = add(self._states[self._last].total_supply, self._stored)
        is_covered = expected_demand <= available
        self._tell(message, "PeakDemandHandled", expected_demand, available, is_covered)
        return is_covered

    def get_grid_metrics(self, _: Message) -> GridState:
        """The last state."""
        return self._states.get(self._last, GridState())

    def grid_state_of(self, _: Message, state_id: bytes) -> GridState:
        """A state by its id."""
        state = self._states.get(state_id)
        if state is None:
            raise Reverted("Unknown", state_id)
        return state

    def storage_of(self, _: Message, storage_id: bytes) -> StorageUnit:
        """A storage unit."""
        unit = self._units.get(storage_id)
        if unit is None:
            raise Reverted("Unknown", storage_id)
        return unit

    def last_state(self, _: Message) -> bytes:
        """The id of the last state; 0: none yet."""
        return self._last

    def stored_energy(self, _: Message) -> int:
        """What is in all units that are online."""
        return self._stored

    def _status_of(self, supply: int, demand: int) -> GridStatus:
        away = mul(abs(supply - demand), 100)
        if away <= mul(demand, self.TOLERANCE):
            return GridStatus.BALANCED
        if supply >= demand:
            return GridStatus.SURPLUS
        is_critical = away > mul(demand, self.CRITICAL) and demand - supply > self._stored
        return GridStatus.CRITICAL if is_critical else GridStatus.DEFICIT

    def _owned(self, message: Message, storage_id: bytes) -> StorageUnit:
        unit = self.storage_of(message, storage_id)
        if message.sender not in (self._owners[storage_id], self._operator):
            raise Reverted("NotOwner", storage_id, message.sender)
        return unit
