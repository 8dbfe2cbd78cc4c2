// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NoAddress, NotOperator, TextLength} from "./Errors.sol";

/// @title Who runs a contract
/// @notice The operator hands over in two steps, so that a slip of an address costs nothing.
abstract contract Operated {
    /// @notice Who may do what only an operator does.
    address public operator;
    /// @notice To whom that is offered.
    address public heir;

    event OperatorOffered(address indexed from, address indexed to);
    event OperatorChanged(address indexed from, address indexed to);

    modifier onlyOperator() {
        if (msg.sender != operator) revert NotOperator(msg.sender);
        _;
    }

    constructor(address first) {
        if (first == address(0)) revert NoAddress();
        operator = first;
        emit OperatorChanged(address(0), first);
    }

    /// @notice Offer the contract to another; the address 0 takes an offer back.
    function offerOperator(address to) external onlyOperator {
        heir = to;
        emit OperatorOffered(msg.sender, to);
    }

    /// @notice Take it.
    function acceptOperator() external {
        if (msg.sender != heir) revert NotOperator(msg.sender);
        emit OperatorChanged(operator, msg.sender);
        operator = msg.sender;
        heir = address(0);
    }

    /// @dev A text of 1 to 32 bytes.
    function _checkText(string calldata text) internal pure {
        uint256 length = bytes(text).length;
        if (length == 0 || length > 32) revert TextLength(length);
    }
}
