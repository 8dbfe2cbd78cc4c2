// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What is owed for what was used, and who gets it
/// @notice Money in the smallest unit of the chain; rates a kWh; multipliers in millionths; a period is a day (UTC).
interface IBilling {
    enum BillStatus {
        None,
        Issued,
        PartlyPaid,
        Paid
    }

    struct Rate {
        bytes32 id;
        uint256 baseRate;
        uint256 peakMultiplier;
        uint256 incentiveRate;
        uint256 validFrom;
    }

    struct Bill {
        bytes32 id;
        bytes32 consumerId;
        uint256 period;
        uint256 amount;
        uint256 incentives;
        BillStatus status;
    }

    event RateSet(
        bytes32 indexed rateId, uint256 baseRate, uint256 peakMultiplier, uint256 incentiveRate, uint256 validFrom
    );
    event BillIssued(bytes32 indexed billId, bytes32 indexed consumerId, uint256 period, uint256 amount);
    event IncentiveGranted(bytes32 indexed consumerId, uint256 energy, uint256 cap, uint256 expiresAt);
    event IncentivesApplied(bytes32 indexed billId, uint256 incentives);
    event PaymentProcessed(bytes32 indexed billId, address indexed payer, uint256 amount, uint256 outstanding);
    event RevenueShared(bytes32 indexed batchId, bytes32 indexed sourceId, address indexed owner, uint256 amount);
    event RevenueDistributed(bytes32 indexed batchId, uint256 amount);
    event Withdrawn(address indexed to, uint256 amount);

    /// @notice Issue a consumer's bill of a period that is over, once.
    function calculateBill(bytes32 consumerId, uint256 period) external returns (uint256 amount);

    /// @notice Pay a bill, or part of it; never more than is outstanding.
    function processPayment(bytes32 billId) external payable;

    /// @notice Share what was paid for a batch's period among its sources, by what they gave.
    function distributeRevenue(bytes32 batchId) external;

    /// @notice Take what was granted to the consumer off its bill.
    function applyIncentives(bytes32 billId) external returns (uint256 incentives);
}
