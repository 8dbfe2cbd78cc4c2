// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {
    MoreThanPossible,
    NotLater,
    NotOwner,
    OutOfRange,
    TooMany,
    Unknown,
    WrongStatus
} from "./Errors.sol";
import {IEnergyProduction} from "./IEnergyProduction.sol";
import {Operated} from "./Operated.sol";

/// @title Sources and what they gave
contract EnergyProduction is IEnergyProduction, Operated {
    bytes32 private constant _SOURCE = keccak256("tieline.source");
    bytes32 private constant _BATCH = keccak256("tieline.batch");
    /// @notice Seconds of a batch.
    uint256 public constant PERIOD = 1 days;
    /// @notice 1 GW: what is more is a slip of the unit.
    uint256 public constant MOST_CAPACITY = 1e9;
    /// @notice Sources of a batch: a bound of the loop that shares its revenue.
    uint256 public constant MOST_IN_BATCH = 32;

    struct _Record {
        EnergySource source;
        Production last;
        uint256 since; // the time that the next record begins at
        uint256 amount;
        uint256 counted; // seconds
    }

    struct _Batch {
        uint256 period;
        bytes32[] sources;
        mapping(bytes32 => uint256) amounts;
    }

    mapping(bytes32 => _Record) private _records;
    mapping(bytes32 => _Batch) private _batches;
    uint256 private _count;

    constructor(address operator_) Operated(operator_) {}

    /// @inheritdoc IEnergyProduction
    function registerSource(string calldata sourceType, uint256 capacity) external returns (bytes32 sourceId) {
        _checkText(sourceType);
        if (capacity == 0 || capacity > MOST_CAPACITY) revert OutOfRange(capacity, MOST_CAPACITY);
        sourceId = keccak256(abi.encode(_SOURCE, msg.sender, _count++));
        _records[sourceId].source =
            EnergySource(sourceId, msg.sender, sourceType, capacity, 0, SourceStatus.Pending);
        emit SourceRegistered(sourceId, msg.sender, sourceType, capacity);
    }

    /// @inheritdoc IEnergyProduction
    function recordProduction(bytes32 sourceId, uint256 amount) external {
        _Record storage record = _record(sourceId);
        EnergySource storage source = record.source;
        if (msg.sender != source.owner) revert NotOwner(sourceId, msg.sender);
        if (source.status != SourceStatus.Active) revert WrongStatus(sourceId, uint8(source.status));
        if (block.timestamp <= record.since) revert NotLater(block.timestamp, record.since);
        uint256 elapsed = block.timestamp - record.since;
        uint256 most = source.capacity * elapsed / 1 hours;
        if (amount > most) revert MoreThanPossible(amount, most);

        uint256 efficiency = amount * 1 hours * 1e6 / (source.capacity * elapsed);
        uint256 period = (block.timestamp - 1) / PERIOD; // what ends at midnight is of the day before
        bytes32 batchId = keccak256(abi.encode(_BATCH, period));
        _Batch storage batch = _batches[batchId];
        if (amount > 0 && batch.amounts[sourceId] == 0) {
            if (batch.sources.length == MOST_IN_BATCH) revert TooMany(MOST_IN_BATCH);
            batch.period = period;
            batch.sources.push(sourceId);
        }
        batch.amounts[sourceId] += amount;
        record.since = block.timestamp;
        record.amount += amount;
        record.counted += elapsed;
        record.last = Production(sourceId, block.timestamp, amount, efficiency, batchId);
        emit ProductionRecorded(sourceId, batchId, block.timestamp, amount, efficiency);
    }

    /// @inheritdoc IEnergyProduction
    function updateSourceStatus(bytes32 sourceId, SourceStatus status) external {
        _Record storage record = _record(sourceId);
        EnergySource storage source = record.source;
        SourceStatus before = source.status;
        if (before == SourceStatus.Retired || status == SourceStatus.Pending || status == before) {
            revert WrongStatus(sourceId, uint8(before));
        }
        if (msg.sender != operator) {
            if (msg.sender != source.owner) revert NotOwner(sourceId, msg.sender);
            bool isOwners = status == SourceStatus.Retired
                || (before == SourceStatus.Active && status == SourceStatus.Maintenance)
                || (before == SourceStatus.Maintenance && status == SourceStatus.Active);
            if (!isOwners) revert WrongStatus(sourceId, uint8(before));
        }
        if (before == SourceStatus.Maintenance && status == SourceStatus.Active) {
            source.lastMaintenance = block.timestamp;
        }
        if (status == SourceStatus.Active) record.since = block.timestamp; // it gave nothing while it was not
        source.status = status;
        emit SourceStatusChanged(sourceId, status, msg.sender);
    }

    /// @inheritdoc IEnergyProduction
    function getSourceEfficiency(bytes32 sourceId) external view returns (uint256 efficiency) {
        _Record storage record = _record(sourceId);
        if (record.counted == 0) return 0;
        return record.amount * 1 hours * 1e6 / (record.source.capacity * record.counted);
    }

    /// @notice A source.
    function sourceOf(bytes32 sourceId) external view returns (EnergySource memory source) {
        return _record(sourceId).source;
    }

    /// @notice A source's last record.
    function lastProduction(bytes32 sourceId) external view returns (Production memory production) {
        return _record(sourceId).last;
    }

    /// @notice A batch: all that was recorded in a period, by source.
    function batchOf(bytes32 batchId)
        external
        view
        returns (uint256 period, bytes32[] memory sources, address[] memory owners, uint256[] memory amounts)
    {
        _Batch storage batch = _batches[batchId];
        period = batch.period;
        sources = batch.sources;
        owners = new address[](sources.length);
        amounts = new uint256[](sources.length);
        for (uint256 i = 0; i < sources.length; ++i) {
            owners[i] = _records[sources[i]].source.owner;
            amounts[i] = batch.amounts[sources[i]];
        }
    }

    function _record(bytes32 sourceId) private view returns (_Record storage record) {
        record = _records[sourceId];
        if (record.source.owner == address(0)) revert Unknown(sourceId);
    }
}
