// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EnergyConsumption} from "./EnergyConsumption.sol";
import {EnergyProduction} from "./EnergyProduction.sol";
import {
    AlreadyThere,
    MoreThanPossible,
    NoRate,
    NotEnough,
    NotLater,
    NotOwner,
    OutOfRange,
    TooEarly,
    TooLate,
    TooMany,
    Unknown,
    WrongStatus
} from "./Errors.sol";
import {IBilling} from "./IBilling.sol";
import {Operated} from "./Operated.sol";
import {Paying} from "./Paying.sol";

/// @title Bills of what was used, paid to those who gave it
contract Billing is IBilling, Operated, Paying {
    bytes32 private constant _RATE = keccak256("tieline.rate");
    bytes32 private constant _BILL = keccak256("tieline.bill");
    /// @notice Seconds of a period.
    uint256 public constant PERIOD = 1 days;
    /// @notice The most of a rate, a kWh.
    uint256 public constant MOST_RATE = 1e24;
    /// @notice The most of a multiplier: ten times.
    uint256 public constant MOST_MULTIPLIER = 10e6;
    /// @notice Grants that wait for a consumer's bill.
    uint256 public constant MOST_GRANTS = 8;

    struct _Grant {
        uint256 energy;
        uint256 cap;
        uint256 expiresAt;
    }

    EnergyProduction private immutable _production;
    EnergyConsumption private immutable _consumption;
    Rate[] private _rates;
    mapping(bytes32 => Bill) private _bills;
    mapping(bytes32 => uint256) private _paid;
    mapping(bytes32 => _Grant[]) private _grants;
    /// @notice What was paid for a period and is not shared yet.
    mapping(uint256 => uint256) public revenueOf;
    /// @notice What somebody may withdraw.
    mapping(address => uint256) public creditOf;

    constructor(address operator_, EnergyProduction production, EnergyConsumption consumption) Operated(operator_) {
        _production = production;
        _consumption = consumption;
    }

    /// @notice The next version of the rate, told before it begins and never changed.
    function setRate(uint256 baseRate, uint256 peakMultiplier, uint256 incentiveRate, uint256 validFrom)
        external
        onlyOperator
        returns (bytes32 rateId)
    {
        if (baseRate > MOST_RATE) revert OutOfRange(baseRate, MOST_RATE);
        if (peakMultiplier > MOST_MULTIPLIER) revert OutOfRange(peakMultiplier, MOST_MULTIPLIER);
        if (incentiveRate > MOST_RATE) revert OutOfRange(incentiveRate, MOST_RATE);
        if (validFrom <= block.timestamp) revert NotLater(validFrom, block.timestamp);
        uint256 count = _rates.length;
        if (count > 0 && validFrom <= _rates[count - 1].validFrom) {
            revert NotLater(validFrom, _rates[count - 1].validFrom);
        }
        rateId = keccak256(abi.encode(_RATE, validFrom));
        _rates.push(Rate(rateId, baseRate, peakMultiplier, incentiveRate, validFrom));
        emit RateSet(rateId, baseRate, peakMultiplier, incentiveRate, validFrom);
    }

    /// @inheritdoc IBilling
    function calculateBill(bytes32 consumerId, uint256 period) external onlyOperator returns (uint256 amount) {
        uint256 end = (period + 1) * PERIOD;
        if (block.timestamp <= end) revert TooEarly(end + 1); // a record at its very end is of the period
        bytes32 billId = keccak256(abi.encode(_BILL, consumerId, period));
        if (_bills[billId].status != BillStatus.None) revert AlreadyThere(billId);
        (uint256 base, uint256 peak) = _consumption.usageIn(consumerId, period);
        Rate memory rate = rateAt(period * PERIOD);
        amount = _nearest((base * 1e6 + peak * rate.peakMultiplier) * rate.baseRate, 1e9);
        BillStatus status = amount == 0 ? BillStatus.Paid : BillStatus.Issued;
        _bills[billId] = Bill(billId, consumerId, period, amount, 0, status);
        emit BillIssued(billId, consumerId, period, amount);
    }

    /// @notice Energy of a consumer that its next bill is to reward: what it is worth at the rate, at most `cap`.
    function grantIncentive(bytes32 consumerId, uint256 energy, uint256 cap, uint256 expiresAt)
        external
        onlyOperator
    {
        _consumption.consumerOf(consumerId); // refuses who is unknown
        if (energy == 0 || energy > 1e12) revert OutOfRange(energy, 1e12);
        if (expiresAt < block.timestamp) revert TooLate(expiresAt);
        if (_grants[consumerId].length == MOST_GRANTS) revert TooMany(MOST_GRANTS);
        _grants[consumerId].push(_Grant(energy, cap, expiresAt));
        emit IncentiveGranted(consumerId, energy, cap, expiresAt);
    }

    /// @inheritdoc IBilling
    function applyIncentives(bytes32 billId) external returns (uint256 incentives) {
        Bill storage bill = _open(billId);
        bytes32 consumerId = bill.consumerId;
        if (msg.sender != operator && msg.sender != _consumption.consumerOf(consumerId).owner) {
            revert NotOwner(billId, msg.sender);
        }
        uint256 rate = rateAt(bill.period * PERIOD).incentiveRate;
        _Grant[] storage grants = _grants[consumerId];
        for (uint256 i = 0; i < grants.length; ++i) {
            // at most MOST_GRANTS
            if (grants[i].expiresAt < block.timestamp) continue;
            uint256 worth = _nearest(grants[i].energy * rate, 1000);
            incentives += worth < grants[i].cap ? worth : grants[i].cap;
        }
        delete _grants[consumerId];
        uint256 left = outstandingOf(billId);
        if (incentives > left) incentives = left;
        bill.incentives += incentives;
        if (incentives == left) bill.status = BillStatus.Paid;
        emit IncentivesApplied(billId, incentives);
    }

    /// @inheritdoc IBilling
    function processPayment(bytes32 billId) external payable alone {
        Bill storage bill = _open(billId);
        uint256 left = outstandingOf(billId);
        if (msg.value == 0 || msg.value > left) revert OutOfRange(msg.value, left);
        _paid[billId] += msg.value;
        revenueOf[bill.period] += msg.value;
        bill.status = msg.value == left ? BillStatus.Paid : BillStatus.PartlyPaid;
        emit PaymentProcessed(billId, msg.sender, msg.value, left - msg.value);
    }

    /// @inheritdoc IBilling
    function distributeRevenue(bytes32 batchId) external onlyOperator {
        (uint256 period, bytes32[] memory sources, address[] memory owners, uint256[] memory amounts) =
            _production.batchOf(batchId);
        if (sources.length == 0) revert Unknown(batchId);
        // Until the period is over for every source, the shares would be of some of them only.
        uint256 end = (period + 1) * PERIOD;
        if (block.timestamp <= end) revert TooEarly(end + 1);
        uint256 revenue = revenueOf[period];
        if (revenue == 0) revert NotEnough(1, 0);
        revenueOf[period] = 0;
        uint256[] memory shares = _shares(revenue, amounts);
        for (uint256 i = 0; i < shares.length; ++i) {
            creditOf[owners[i]] += shares[i];
            emit RevenueShared(batchId, sources[i], owners[i], shares[i]);
        }
        emit RevenueDistributed(batchId, revenue);
    }

    /// @notice Take out what was credited.
    function withdraw() external alone returns (uint256 amount) {
        amount = creditOf[msg.sender];
        if (amount == 0) revert NotEnough(1, 0);
        creditOf[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @notice A bill.
    function billOf(bytes32 billId) external view returns (Bill memory bill) {
        bill = _bills[billId];
        if (bill.status == BillStatus.None) revert Unknown(billId);
    }

    /// @notice What is still to be paid.
    function outstandingOf(bytes32 billId) public view returns (uint256) {
        return _bills[billId].amount - _bills[billId].incentives - _paid[billId];
    }

    /// @notice The rate in force at a time; versions ascend, so that halving finds it.
    function rateAt(uint256 time) public view returns (Rate memory rate) {
        uint256 low = 0;
        uint256 high = _rates.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_rates[middle].validFrom <= time) low = middle + 1;
            else high = middle;
        }
        if (low == 0) revert NoRate(time);
        return _rates[low - 1];
    }

    function _open(bytes32 billId) private view returns (Bill storage bill) {
        bill = _bills[billId];
        if (bill.status == BillStatus.None) revert Unknown(billId);
        if (bill.status == BillStatus.Paid) revert WrongStatus(billId, uint8(bill.status));
    }

    /// @dev By largest remainder, of equal ones the first: their sum is `total` to the last unit. At most
    /// `MOST_IN_BATCH` squared steps.
    function _shares(uint256 total, uint256[] memory weights) private pure returns (uint256[] memory shares) {
        uint256 whole = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            whole += weights[i];
        }
        shares = new uint256[](weights.length);
        uint256[] memory rests = new uint256[](weights.length);
        uint256 left = total;
        for (uint256 i = 0; i < weights.length; ++i) {
            shares[i] = total * weights[i] / whole;
            rests[i] = total * weights[i] % whole;
            left -= shares[i];
        }
        for (; left > 0; --left) {
            uint256 next = 0;
            for (uint256 i = 1; i < rests.length; ++i) {
                if (rests[i] > rests[next]) next = i;
            }
            ++shares[next];
            rests[next] = 0;
        }
    }

    /// @dev Halves up.
    function _nearest(uint256 number, uint256 divisor) private pure returns (uint256) {
        return (2 * number + divisor) / (2 * divisor);
    }
}
