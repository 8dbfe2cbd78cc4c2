// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PaymentFailed, Reentered} from "./Errors.sol";

/// @title Money goes out last, and nothing comes in while it does
abstract contract Paying {
    bool private _isBusy;

    /// @dev Refuses a call that comes in while another is under way.
    modifier alone() {
        if (_isBusy) revert Reentered();
        _isBusy = true;
        _;
        _isBusy = false;
    }

    /// @dev The books are changed before this is called.
    function _pay(address to, uint256 amount) internal {
        (bool isTaken,) = to.call{value: amount}("");
        if (!isTaken) revert PaymentFailed(to);
    }
}
