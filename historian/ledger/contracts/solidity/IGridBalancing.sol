// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title How supply and demand stand, and what is stored
/// @notice Energies in Wh of an interval of 15 minutes, times in seconds of the Unix epoch.
interface IGridBalancing {
    enum GridStatus {
        Balanced,
        Surplus,
        Deficit,
        Critical
    }

    enum StorageStatus {
        Idle,
        Charging,
        Discharging,
        Offline
    }

    struct GridState {
        uint256 timestamp;
        uint256 totalSupply;
        uint256 totalDemand;
        uint256 storedEnergy;
        GridStatus status;
    }

    struct StorageUnit {
        bytes32 id;
        uint256 capacity;
        uint256 currentLevel;
        StorageStatus status;
    }

    event GridStateUpdated(
        bytes32 indexed stateId,
        uint256 timestamp,
        uint256 totalSupply,
        uint256 totalDemand,
        uint256 storedEnergy,
        GridStatus status
    );
    event StorageRegistered(bytes32 indexed storageId, address indexed owner, uint256 capacity);
    event StorageManaged(bytes32 indexed storageId, uint256 amount, bool isCharging, uint256 currentLevel);
    event StorageOnline(bytes32 indexed storageId, bool isOnline);
    event PeakDemandHandled(uint256 expectedDemand, uint256 available, bool isCovered);

    /// @notice The state of an interval: recorded once, never changed.
    /// @return stateId the hash of all that the record says
    function updateGridState(uint256 supply, uint256 demand) external returns (bytes32 stateId);

    /// @notice Energy went into a storage unit, or out of it.
    function manageStorage(bytes32 storageId, uint256 amount, bool isCharging) external;

    /// @notice Whether the last supply and all that is stored cover a demand to come.
    function handlePeakDemand(uint256 expectedDemand) external returns (bool isCovered);

    /// @notice The last state.
    function getGridMetrics() external view returns (GridState memory state);
}
