// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NoAddress, NotOwner, OutOfRange, Unknown, WrongStatus} from "./Errors.sol";
import {Operated} from "./Operated.sol";

/// @title Devices: registration, validation, performance, maintenance alerts
contract DeviceRegistry is Operated {
    enum DeviceStatus {
        Pending,
        Active,
        Maintenance,
        Suspended,
        Retired
    }

    struct Device {
        bytes32 id;
        address owner;
        string deviceType;
        bytes32 certificate; // SHA-256 of the device's certificate
        bytes32 manifest; // SHA-256 of what it can do
        uint256 lastMaintenance;
        DeviceStatus status;
    }

    bytes32 private constant _DEVICE = keccak256("tieline.device");
    /// @notice Seconds after which a device is due for maintenance.
    uint256 public constant MAINTAIN_EVERY = 180 days;
    /// @notice Millionths of availability below which it is due at once.
    uint256 public constant LEAST_AVAILABILITY = 950_000;

    struct _Performance {
        uint256 last;
        uint256 sum;
        uint256 count;
    }

    mapping(bytes32 => Device) private _devices;
    mapping(bytes32 => _Performance) private _performances;
    uint256 private _count;

    event DeviceRegistered(
        bytes32 indexed deviceId, address indexed owner, string deviceType, bytes32 certificate, bytes32 manifest
    );
    event DeviceStatusChanged(bytes32 indexed deviceId, DeviceStatus status, address indexed by);
    event PerformanceRecorded(bytes32 indexed deviceId, uint256 availability);
    event MaintenanceDue(bytes32 indexed deviceId, uint256 lastMaintenance, uint256 availability);
    event MaintenanceRecorded(bytes32 indexed deviceId, uint256 timestamp);
    event DeviceTransferred(bytes32 indexed deviceId, address indexed from, address indexed to);

    constructor(address operator_) Operated(operator_) {}

    /// @notice The caller's device applies.
    function registerDevice(string calldata deviceType, bytes32 certificate, bytes32 manifest)
        external
        returns (bytes32 deviceId)
    {
        _checkText(deviceType);
        deviceId = keccak256(abi.encode(_DEVICE, msg.sender, _count++));
        _devices[deviceId] =
            Device(deviceId, msg.sender, deviceType, certificate, manifest, 0, DeviceStatus.Pending);
        emit DeviceRegistered(deviceId, msg.sender, deviceType, certificate, manifest);
    }

    /// @notice Let a device in that applied; its time to maintenance begins.
    function validateDevice(bytes32 deviceId) external onlyOperator {
        Device storage device = _device(deviceId);
        if (device.status != DeviceStatus.Pending) revert WrongStatus(deviceId, uint8(device.status));
        device.status = DeviceStatus.Active;
        device.lastMaintenance = block.timestamp;
        emit DeviceStatusChanged(deviceId, DeviceStatus.Active, msg.sender);
    }

    /// @notice By its owner between active, maintenance and retired; by the operator otherwise.
    function updateDeviceStatus(bytes32 deviceId, DeviceStatus status) external {
        Device storage device = _device(deviceId);
        DeviceStatus before = device.status;
        bool isFinal = before == DeviceStatus.Retired || (before == DeviceStatus.Pending && status == DeviceStatus.Active);
        if (isFinal || status == DeviceStatus.Pending || status == before) {
            revert WrongStatus(deviceId, uint8(before));
        }
        if (msg.sender != operator) {
            if (msg.sender != device.owner) revert NotOwner(deviceId, msg.sender);
            bool isOwners = status == DeviceStatus.Retired
                || (before == DeviceStatus.Active && status == DeviceStatus.Maintenance)
                || (before == DeviceStatus.Maintenance && status == DeviceStatus.Active);
            if (!isOwners) revert WrongStatus(deviceId, uint8(before));
        }
        device.status = status;
        emit DeviceStatusChanged(deviceId, status, msg.sender);
    }

    /// @notice How much of the time a device was there; tells when it is due for maintenance.
    function recordPerformance(bytes32 deviceId, uint256 availability) external onlyOperator {
        Device storage device = _device(deviceId);
        if (device.status != DeviceStatus.Active) revert WrongStatus(deviceId, uint8(device.status));
        if (availability > 1e6) revert OutOfRange(availability, 1e6);
        _Performance storage performance = _performances[deviceId];
        performance.last = availability;
        performance.sum += availability;
        performance.count += 1;
        emit PerformanceRecorded(deviceId, availability);
        if (_isDue(device, performance)) emit MaintenanceDue(deviceId, device.lastMaintenance, availability);
    }

    /// @notice A device was maintained, says its owner or the operator.
    function recordMaintenance(bytes32 deviceId) external {
        Device storage device = _device(deviceId);
        if (msg.sender != device.owner && msg.sender != operator) revert NotOwner(deviceId, msg.sender);
        bool isIn = device.status == DeviceStatus.Active || device.status == DeviceStatus.Maintenance;
        if (!isIn) revert WrongStatus(deviceId, uint8(device.status));
        device.lastMaintenance = block.timestamp;
        delete _performances[deviceId];
        emit MaintenanceRecorded(deviceId, block.timestamp);
    }

    /// @notice Give a device to another; the operator validates it anew.
    function transferDevice(bytes32 deviceId, address to) external {
        Device storage device = _device(deviceId);
        if (msg.sender != device.owner) revert NotOwner(deviceId, msg.sender);
        if (to == address(0)) revert NoAddress();
        bool isFree = device.status == DeviceStatus.Active || device.status == DeviceStatus.Maintenance;
        if (!isFree) revert WrongStatus(deviceId, uint8(device.status));
        device.owner = to;
        device.status = DeviceStatus.Pending;
        emit DeviceTransferred(deviceId, msg.sender, to);
    }

    /// @notice A device.
    function getDevice(bytes32 deviceId) external view returns (Device memory device) {
        return _device(deviceId);
    }

    /// @notice The mean availability since the last maintenance, and of how many records.
    function getPerformance(bytes32 deviceId) external view returns (uint256 availability, uint256 count) {
        _device(deviceId);
        _Performance storage performance = _performances[deviceId];
        count = performance.count;
        availability = count == 0 ? 0 : performance.sum / count;
    }

    /// @notice Whether a device that is in use is due for maintenance.
    function isMaintenanceDue(bytes32 deviceId) external view returns (bool) {
        return _isDue(_device(deviceId), _performances[deviceId]);
    }

    function _isDue(Device storage device, _Performance storage performance) private view returns (bool) {
        if (device.status != DeviceStatus.Active) return false;
        return block.timestamp >= device.lastMaintenance + MAINTAIN_EVERY
            || (performance.count > 0 && performance.last < LEAST_AVAILABILITY);
    }

    function _device(bytes32 deviceId) private view returns (Device storage device) {
        device = _devices[deviceId];
        if (device.owner == address(0)) revert Unknown(deviceId);
    }
}
