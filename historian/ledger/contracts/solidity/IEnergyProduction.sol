// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What is generated, by what, and how well
/// @notice Powers in W, energies in Wh, times in seconds of the Unix epoch, shares in millionths.
interface IEnergyProduction {
    enum SourceStatus {
        Pending,
        Active,
        Maintenance,
        Suspended,
        Retired
    }

    struct EnergySource {
        bytes32 id;
        address owner;
        string sourceType;
        uint256 capacity;
        uint256 lastMaintenance;
        SourceStatus status;
    }

    struct Production {
        bytes32 sourceId;
        uint256 timestamp;
        uint256 amount;
        uint256 efficiency;
        bytes32 batchId;
    }

    event SourceRegistered(bytes32 indexed sourceId, address indexed owner, string sourceType, uint256 capacity);
    event SourceStatusChanged(bytes32 indexed sourceId, SourceStatus status, address indexed by);
    event ProductionRecorded(
        bytes32 indexed sourceId, bytes32 indexed batchId, uint256 timestamp, uint256 amount, uint256 efficiency
    );

    /// @notice The caller's source applies; the operator lets it in by making it active.
    /// @param sourceType what it is, as "solar"; 1 to 32 bytes
    /// @param capacity the most it gives, in W
    function registerSource(string calldata sourceType, uint256 capacity) external returns (bytes32 sourceId);

    /// @notice What the source gave since its last record; at most its capacity over that time.
    function recordProduction(bytes32 sourceId, uint256 amount) external;

    /// @notice By its owner between active, maintenance and retired; by the operator otherwise.
    function updateSourceStatus(bytes32 sourceId, SourceStatus status) external;

    /// @notice What it gave of what its capacity would have given in the time on record.
    function getSourceEfficiency(bytes32 sourceId) external view returns (uint256 efficiency);
}
