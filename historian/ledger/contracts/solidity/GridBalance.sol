// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AlreadyThere, MoreThanPossible, NoAddress, NotOwner, OutOfRange, Unknown, WrongStatus} from "./Errors.sol";
import {IGridBalancing} from "./IGridBalancing.sol";
import {Operated} from "./Operated.sol";

/// @title The balance of the grid, interval by interval
contract GridBalance is IGridBalancing, Operated {
    bytes32 private constant _STORAGE = keccak256("tieline.storage");
    /// @notice Seconds of an interval.
    uint256 public constant INTERVAL = 15 minutes;
    /// @notice 1 TWh: what is more is a slip of the unit.
    uint256 public constant MOST_STORED = 1e12;
    /// @notice Percent of the demand that supply may be away from it and be balanced.
    uint256 public constant TOLERANCE = 2;
    /// @notice Percent of the demand from which on a deficit that nothing stored covers is critical.
    uint256 public constant CRITICAL = 10;

    mapping(bytes32 => StorageUnit) private _units;
    mapping(bytes32 => address) private _owners;
    mapping(bytes32 => GridState) private _states;
    /// @notice The id of the last state; 0: none yet.
    bytes32 public lastState;
    /// @notice What is in all units that are online.
    uint256 public storedEnergy;
    uint256 private _count;

    constructor(address operator_) Operated(operator_) {}

    /// @inheritdoc IGridBalancing
    function updateGridState(uint256 supply, uint256 demand) external onlyOperator returns (bytes32 stateId) {
        if (lastState != 0 && block.timestamp / INTERVAL <= _states[lastState].timestamp / INTERVAL) {
            revert AlreadyThere(lastState);
        }
        GridStatus status = _statusOf(supply, demand);
        stateId = keccak256(abi.encode(block.timestamp, supply, demand, storedEnergy, uint256(status)));
        _states[stateId] = GridState(block.timestamp, supply, demand, storedEnergy, status);
        lastState = stateId;
        emit GridStateUpdated(stateId, block.timestamp, supply, demand, storedEnergy, status);
    }

    /// @notice Let a storage unit of somebody in; it is empty and idle.
    function registerStorage(address owner, uint256 capacity) external onlyOperator returns (bytes32 storageId) {
        if (owner == address(0)) revert NoAddress();
        if (capacity == 0 || capacity > MOST_STORED) revert OutOfRange(capacity, MOST_STORED);
        storageId = keccak256(abi.encode(_STORAGE, owner, _count++));
        _units[storageId] = StorageUnit(storageId, capacity, 0, StorageStatus.Idle);
        _owners[storageId] = owner;
        emit StorageRegistered(storageId, owner, capacity);
    }

    /// @inheritdoc IGridBalancing
    function manageStorage(bytes32 storageId, uint256 amount, bool isCharging) external {
        StorageUnit storage unit = _ownedUnit(storageId);
        if (unit.status == StorageStatus.Offline) revert WrongStatus(storageId, uint8(unit.status));
        uint256 level = unit.currentLevel;
        uint256 most = isCharging ? unit.capacity - level : level;
        if (amount > most) revert MoreThanPossible(amount, most);
        unit.currentLevel = isCharging ? level + amount : level - amount;
        storedEnergy = isCharging ? storedEnergy + amount : storedEnergy - amount;
        if (amount == 0) unit.status = StorageStatus.Idle;
        else unit.status = isCharging ? StorageStatus.Charging : StorageStatus.Discharging;
        emit StorageManaged(storageId, amount, isCharging, unit.currentLevel);
    }

    /// @notice Take a unit out of the balance, or bring it back, idle, with what it holds.
    function setStorageOnline(bytes32 storageId, bool isOnline) external {
        StorageUnit storage unit = _ownedUnit(storageId);
        if (isOnline != (unit.status == StorageStatus.Offline)) revert WrongStatus(storageId, uint8(unit.status));
        storedEnergy = isOnline ? storedEnergy + unit.currentLevel : storedEnergy - unit.currentLevel;
        unit.status = isOnline ? StorageStatus.Idle : StorageStatus.Offline;
        emit StorageOnline(storageId, isOnline);
    }

    /// @inheritdoc IGridBalancing
    function handlePeakDemand(uint256 expectedDemand) external onlyOperator returns (bool isCovered) {
        if (lastState == 0) revert Unknown(0);
        uint256 available = _states[lastState].totalSupply + storedEnergy;
        isCovered = expectedDemand <= available;
        emit PeakDemandHandled(expectedDemand, available, isCovered);
    }

    /// @inheritdoc IGridBalancing
    function getGridMetrics() external view returns (GridState memory state) {
        return _states[lastState];
    }

    /// @notice A state by its id.
    function gridStateOf(bytes32 stateId) external view returns (GridState memory state) {
        state = _states[stateId];
        if (state.timestamp == 0) revert Unknown(stateId);
    }

    /// @notice A storage unit.
    function storageOf(bytes32 storageId) external view returns (StorageUnit memory unit) {
        unit = _units[storageId];
        if (unit.capacity == 0) revert Unknown(storageId);
    }

    function _statusOf(uint256 supply, uint256 demand) private view returns (GridStatus) {
        if (supply >= demand) {
            return (supply - demand) * 100 <= demand * TOLERANCE ? GridStatus.Balanced : GridStatus.Surplus;
        }
        uint256 missing = demand - supply;
        if (missing * 100 <= demand * TOLERANCE) return GridStatus.Balanced;
        return missing * 100 > demand * CRITICAL && missing > storedEnergy ? GridStatus.Critical : GridStatus.Deficit;
    }

    function _ownedUnit(bytes32 storageId) private view returns (StorageUnit storage unit) {
        unit = _units[storageId];
        if (unit.capacity == 0) revert Unknown(storageId);
        if (msg.sender != _owners[storageId] && msg.sender != operator) revert NotOwner(storageId, msg.sender);
    }
}
