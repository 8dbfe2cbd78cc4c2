// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EnergyTrading} from "./EnergyTrading.sol";

/// @title Somebody who calls back while money is paid to it
contract Taker {
    EnergyTrading private immutable _trading;
    uint256 public tried;
    bytes public refusedWith;
    bool public isClosed;

    constructor(EnergyTrading trading) payable {
        _trading = trading;
    }

    receive() external payable {
        if (isClosed) revert("closed");
        ++tried;
        (bool isDone, bytes memory said) = address(_trading).call(abi.encodeCall(EnergyTrading.withdraw, (1)));
        if (!isDone) refusedWith = said;
    }

    function put() external {
        _trading.deposit{value: address(this).balance}();
    }

    function take(uint256 amount) external {
        _trading.withdraw(amount);
    }

    function close(bool is_) external {
        isClosed = is_;
    }
}
