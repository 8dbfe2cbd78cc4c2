// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NoAddress, NotEnough, OutOfRange, TooEarly} from "./Errors.sol";
import {Operated} from "./Operated.sol";

/// @title Points for what was measured: saving, peak reduction, stability, renewable generation, participation
contract RewardSystem is Operated {
    enum Trigger {
        Saving,
        PeakReduction,
        Stability,
        Renewable,
        Participation
    }

    struct Terms {
        uint256 pointsPerKwh;
        uint256 dailyCap;
    }

    struct Stake {
        uint256 amount;
        uint256 until;
    }

    /// @notice The longest lock of a stake.
    uint256 public constant MOST_LOCK = 4 * 365 days;
    /// @notice The most points a kWh, and a day.
    uint256 public constant MOST_POINTS = 1e18;
    /// @notice 1 TWh: what is more is a slip of the unit.
    uint256 public constant MOST_ENERGY = 1e12;

    mapping(Trigger => Terms) private _terms;
    mapping(address => mapping(Trigger => mapping(uint256 => uint256))) private _awarded; // by day
    mapping(address => uint256) public balanceOf;
    mapping(address => Stake) private _stakes;
    /// @notice All points that there are, those at stake too.
    uint256 public totalPoints;

    event TermsSet(Trigger indexed trigger, uint256 pointsPerKwh, uint256 dailyCap);
    event PointsAwarded(address indexed to, Trigger indexed trigger, uint256 energy, uint256 points);
    event PointsTransferred(address indexed from, address indexed to, uint256 points);
    event PointsStaked(address indexed owner, uint256 points, uint256 until);
    event PointsUnstaked(address indexed owner, uint256 points);
    event StakeSlashed(address indexed owner, uint256 points);
    event PointsRedeemed(address indexed owner, uint256 points);

    constructor(address operator_) Operated(operator_) {}

    /// @notice What a trigger is worth from here on, and the most of it for one in a day (UTC).
    function setTerms(Trigger trigger, uint256 pointsPerKwh, uint256 dailyCap) external onlyOperator {
        if (pointsPerKwh > MOST_POINTS) revert OutOfRange(pointsPerKwh, MOST_POINTS);
        if (dailyCap > MOST_POINTS) revert OutOfRange(dailyCap, MOST_POINTS);
        _terms[trigger] = Terms(pointsPerKwh, dailyCap);
        emit TermsSet(trigger, pointsPerKwh, dailyCap);
    }

    /// @notice Points for measured energy, down to what the day's cap leaves.
    function awardPoints(address to, Trigger trigger, uint256 energy) external onlyOperator returns (uint256 points) {
        if (to == address(0)) revert NoAddress();
        if (energy > MOST_ENERGY) revert OutOfRange(energy, MOST_ENERGY);
        Terms storage terms = _terms[trigger];
        uint256 day = block.timestamp / 1 days;
        uint256 had = _awarded[to][trigger][day];
        uint256 left = terms.dailyCap > had ? terms.dailyCap - had : 0;
        points = energy * terms.pointsPerKwh / 1000;
        if (points > left) points = left;
        if (points == 0) revert NotEnough(1, 0);
        _awarded[to][trigger][day] = had + points;
        balanceOf[to] += points;
        totalPoints += points;
        emit PointsAwarded(to, trigger, energy, points);
    }

    /// @notice Give points to another.
    function transferPoints(address to, uint256 points) external {
        if (to == address(0)) revert NoAddress();
        _take(msg.sender, points);
        balanceOf[to] += points;
        emit PointsTransferred(msg.sender, to, points);
    }

    /// @notice Lock points; more of them, or longer, never shorter.
    function stake(uint256 points, uint256 lock) external {
        if (lock > MOST_LOCK) revert OutOfRange(lock, MOST_LOCK);
        _take(msg.sender, points);
        Stake storage held = _stakes[msg.sender];
        uint256 until = block.timestamp + lock;
        held.amount += points;
        if (until > held.until) held.until = until;
        emit PointsStaked(msg.sender, points, held.until);
    }

    /// @notice Have them back when the lock is over.
    function unstake() external returns (uint256 points) {
        Stake storage held = _stakes[msg.sender];
        points = held.amount;
        if (points == 0) revert NotEnough(1, 0);
        if (block.timestamp < held.until) revert TooEarly(held.until);
        delete _stakes[msg.sender];
        balanceOf[msg.sender] += points;
        emit PointsUnstaked(msg.sender, points);
    }

    /// @notice Points at stake are lost, for what their owner did.
    function slash(address owner, uint256 points) external onlyOperator {
        Stake storage held = _stakes[owner];
        if (points == 0 || points > held.amount) revert NotEnough(points, held.amount);
        held.amount -= points;
        totalPoints -= points;
        emit StakeSlashed(owner, points);
    }

    /// @notice Use points up.
    function redeemPoints(uint256 points) external {
        _take(msg.sender, points);
        totalPoints -= points;
        emit PointsRedeemed(msg.sender, points);
    }

    /// @notice What a trigger is worth.
    function termsOf(Trigger trigger) external view returns (Terms memory terms) {
        return _terms[trigger];
    }

    /// @notice What somebody has at stake, and until when.
    function stakeOf(address owner) external view returns (Stake memory held) {
        return _stakes[owner];
    }

    function _take(address owner, uint256 points) private {
        uint256 has = balanceOf[owner];
        if (points == 0 || points > has) revert NotEnough(points, has);
        balanceOf[owner] = has - points;
    }
}
