// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MoreThanPossible, NotLater, NotOwner, OutOfRange, Unknown, WrongStatus} from "./Errors.sol";
import {IEnergyConsumption} from "./IEnergyConsumption.sol";
import {Operated} from "./Operated.sol";

/// @title Consumers and what they used
contract EnergyConsumption is IEnergyConsumption, Operated {
    bytes32 private constant _CONSUMER = keccak256("tieline.consumer");
    /// @notice Seconds of a billing period.
    uint256 public constant PERIOD = 1 days;
    /// @notice 1 GW: what is more is a slip of the unit.
    uint256 public constant MOST_DEMAND = 1e9;
    /// @notice Records that a prediction looks at.
    uint256 public constant LOOK_BACK = 8;
    /// @notice Records of a page.
    uint256 public constant MOST_ON_PAGE = 64;

    struct _Record {
        Consumer consumer;
        uint256 since; // the time that the next record begins at
        Usage[] usages;
        uint256[] lengths; // seconds of each
        mapping(uint256 => uint256[2]) amounts; // by period and type
    }

    mapping(bytes32 => _Record) private _records;
    uint256 private _count;
    /// @notice Hours (UTC) of each day from which and to which usage is of the type Peak; equal: none.
    uint256 public peakFrom;
    uint256 public peakTo;

    constructor(address operator_) Operated(operator_) {}

    /// @inheritdoc IEnergyConsumption
    function registerConsumer(string calldata consumerType, uint256 maxDemand) external returns (bytes32 consumerId) {
        _checkText(consumerType);
        if (maxDemand == 0 || maxDemand > MOST_DEMAND) revert OutOfRange(maxDemand, MOST_DEMAND);
        consumerId = keccak256(abi.encode(_CONSUMER, msg.sender, _count++));
        _records[consumerId].consumer =
            Consumer(consumerId, msg.sender, consumerType, maxDemand, ConsumerStatus.Pending);
        emit ConsumerRegistered(consumerId, msg.sender, consumerType, maxDemand);
    }

    /// @inheritdoc IEnergyConsumption
    function recordUsage(bytes32 consumerId, uint256 amount, uint256 peakDemand) external {
        _Record storage record = _record(consumerId);
        Consumer storage consumer = record.consumer;
        if (msg.sender != consumer.owner) revert NotOwner(consumerId, msg.sender);
        if (consumer.status != ConsumerStatus.Active) revert WrongStatus(consumerId, uint8(consumer.status));
        if (block.timestamp <= record.since) revert NotLater(block.timestamp, record.since);
        if (peakDemand > consumer.maxDemand) revert MoreThanPossible(peakDemand, consumer.maxDemand);
        uint256 elapsed = block.timestamp - record.since;
        uint256 most = peakDemand * elapsed / 1 hours; // a mean is not above the greatest
        if (amount > most) revert MoreThanPossible(amount, most);

        UsageType usageType = _touchesPeak(record.since, elapsed) ? UsageType.Peak : UsageType.Base;
        uint256 period = (block.timestamp - 1) / PERIOD; // what ends at midnight is of the day before
        record.amounts[period][uint256(usageType)] += amount;
        record.since = block.timestamp;
        record.usages.push(Usage(consumerId, block.timestamp, amount, peakDemand, usageType));
        record.lengths.push(elapsed);
        emit UsageRecorded(consumerId, block.timestamp, amount, peakDemand, usageType);
    }

    /// @notice By its owner to retired; by the operator otherwise.
    function updateConsumerStatus(bytes32 consumerId, ConsumerStatus status) external {
        _Record storage record = _record(consumerId);
        Consumer storage consumer = record.consumer;
        ConsumerStatus before = consumer.status;
        if (before == ConsumerStatus.Retired || status == ConsumerStatus.Pending || status == before) {
            revert WrongStatus(consumerId, uint8(before));
        }
        if (msg.sender != operator) {
            if (msg.sender != consumer.owner) revert NotOwner(consumerId, msg.sender);
            if (status != ConsumerStatus.Retired) revert WrongStatus(consumerId, uint8(before));
        }
        if (before == ConsumerStatus.Pending) record.since = block.timestamp;
        consumer.status = status;
        emit ConsumerStatusChanged(consumerId, status, msg.sender);
    }

    /// @notice Set the hours (UTC) in which usage is of the type Peak.
    function setPeakHours(uint256 fromHour, uint256 toHour) external onlyOperator {
        if (toHour > 24) revert OutOfRange(toHour, 24);
        if (fromHour > toHour) revert OutOfRange(fromHour, toHour);
        peakFrom = fromHour;
        peakTo = toHour;
        emit PeakHoursSet(fromHour, toHour);
    }

    /// @inheritdoc IEnergyConsumption
    function predictDemand(bytes32 consumerId, uint256 horizon) external view returns (uint256 amount) {
        _Record storage record = _record(consumerId);
        uint256 count = record.usages.length;
        uint256 used = 0;
        uint256 elapsed = 0;
        for (uint256 i = count > LOOK_BACK ? count - LOOK_BACK : 0; i < count; ++i) {
            used += record.usages[i].amount;
            elapsed += record.lengths[i];
        }
        return elapsed == 0 ? 0 : used * horizon / elapsed;
    }

    /// @inheritdoc IEnergyConsumption
    function getUsageHistory(bytes32 consumerId, uint256 offset, uint256 limit)
        external
        view
        returns (Usage[] memory usages)
    {
        _Record storage record = _record(consumerId);
        if (limit == 0 || limit > MOST_ON_PAGE) revert OutOfRange(limit, MOST_ON_PAGE);
        uint256 count = record.usages.length;
        uint256 left = offset < count ? count - offset : 0;
        usages = new Usage[](left < limit ? left : limit);
        for (uint256 i = 0; i < usages.length; ++i) {
            usages[i] = record.usages[offset + i];
        }
    }

    /// @notice A consumer.
    function consumerOf(bytes32 consumerId) external view returns (Consumer memory consumer) {
        return _record(consumerId).consumer;
    }

    /// @notice What it used in a period, by type.
    function usageIn(bytes32 consumerId, uint256 period) external view returns (uint256 base, uint256 peak) {
        uint256[2] storage amounts = _record(consumerId).amounts[period];
        return (amounts[0], amounts[1]);
    }

    /// @dev Of a record any second of which is in a peak hour all is: who records often loses nothing, and nobody
    /// moves a peak's energy out of it by recording late.
    function _touchesPeak(uint256 start, uint256 elapsed) private view returns (bool) {
        if (peakFrom == peakTo) return false;
        uint256 second = start % 1 days;
        uint256 end = second + elapsed;
        return (second < peakTo * 1 hours && end > peakFrom * 1 hours) || end > 1 days + peakFrom * 1 hours;
    }

    function _record(bytes32 consumerId) private view returns (_Record storage record) {
        record = _records[consumerId];
        if (record.consumer.owner == address(0)) revert Unknown(consumerId);
    }
}
