// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AlreadyThere, NotLater, OutOfRange, Unknown} from "./Errors.sol";
import {Operated} from "./Operated.sol";

/// @title Roots of a ledger's settlement periods, and proofs against them
/// @notice The trees are those of RFC 6962 over the ledger's entries, by SHA-256.
contract LedgerAnchor is Operated {
    /// @notice Steps of a proof: more than any tree that 64 bits count.
    uint256 public constant MOST_STEPS = 64;

    struct Anchored {
        bytes32 root;
        uint256 size;
    }

    /// @notice The id of the ledger whose roots these are.
    bytes32 public immutable ledger;
    /// @notice The last period that is anchored; the first has the number 1.
    uint256 public lastPeriod;
    mapping(uint256 => Anchored) private _anchored;

    event PeriodAnchored(uint256 indexed period, bytes32 root, uint256 size);

    constructor(address operator_, bytes32 ledger_) Operated(operator_) {
        ledger = ledger_;
    }

    /// @notice Anchor the next period: each once, in their order, never changed.
    function anchor(uint256 period, bytes32 root, uint256 size) external onlyOperator {
        if (period <= lastPeriod) revert AlreadyThere(bytes32(period));
        if (period != lastPeriod + 1) revert NotLater(period, lastPeriod + 1);
        if (size == 0 || size > type(uint64).max) revert OutOfRange(size, type(uint64).max);
        lastPeriod = period;
        _anchored[period] = Anchored(root, size);
        emit PeriodAnchored(period, root, size);
    }

    /// @notice What is anchored of a period.
    function anchorOf(uint256 period) public view returns (Anchored memory anchored) {
        anchored = _anchored[period];
        if (anchored.size == 0) revert Unknown(bytes32(period));
    }

    /// @notice Whether these bytes are the entry at `index` of a period (RFC 9162, 2.1.3.2).
    function isIncluded(uint256 period, bytes calldata entry, uint256 index, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        Anchored memory anchored = anchorOf(period);
        if (index >= anchored.size || path.length > MOST_STEPS) return false;
        bytes32 node = sha256(abi.encodePacked(bytes1(0x00), entry));
        uint256 place = index;
        uint256 last = anchored.size - 1;
        for (uint256 i = 0; i < path.length; ++i) {
            if (last == 0) return false;
            if (place & 1 == 1 || place == last) {
                node = sha256(abi.encodePacked(bytes1(0x01), path[i], node));
                while (place & 1 == 0 && place != 0) {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                node = sha256(abi.encodePacked(bytes1(0x01), node, path[i]));
            }
            place >>= 1;
            last >>= 1;
        }
        return last == 0 && node == anchored.root;
    }
}
