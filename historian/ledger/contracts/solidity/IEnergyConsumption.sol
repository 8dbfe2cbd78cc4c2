// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What is used, by what, and when
/// @notice Powers in W, energies in Wh, times in seconds of the Unix epoch.
interface IEnergyConsumption {
    enum ConsumerStatus {
        Pending,
        Active,
        Suspended,
        Retired
    }

    enum UsageType {
        Base,
        Peak
    }

    struct Consumer {
        bytes32 id;
        address owner;
        string consumerType;
        uint256 maxDemand;
        ConsumerStatus status;
    }

    struct Usage {
        bytes32 consumerId;
        uint256 timestamp;
        uint256 amount;
        uint256 peakDemand;
        UsageType usageType;
    }

    event ConsumerRegistered(bytes32 indexed consumerId, address indexed owner, string consumerType, uint256 maxDemand);
    event ConsumerStatusChanged(bytes32 indexed consumerId, ConsumerStatus status, address indexed by);
    event UsageRecorded(
        bytes32 indexed consumerId, uint256 timestamp, uint256 amount, uint256 peakDemand, UsageType usageType
    );
    event PeakHoursSet(uint256 fromHour, uint256 toHour);

    /// @notice The caller's consumer applies; the operator lets it in by making it active.
    /// @param consumerType what it is, as "home"; 1 to 32 bytes
    /// @param maxDemand the most it takes, in W
    function registerConsumer(string calldata consumerType, uint256 maxDemand) external returns (bytes32 consumerId);

    /// @notice What the consumer used since its last record, and the greatest power of that time.
    function recordUsage(bytes32 consumerId, uint256 amount, uint256 peakDemand) external;

    /// @notice What it will use in so many seconds from now if it goes on as in its last records.
    function predictDemand(bytes32 consumerId, uint256 horizon) external view returns (uint256 amount);

    /// @notice Its records from the `offset`th on, the oldest first, at most `limit` of them.
    function getUsageHistory(bytes32 consumerId, uint256 offset, uint256 limit)
        external
        view
        returns (Usage[] memory usages);
}
