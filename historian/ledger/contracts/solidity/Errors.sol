// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

// Why an operation is refused. The Python modules refuse with the same names and arguments.

/// The caller is not the contract's operator.
error NotOperator(address caller);
/// The caller does not own what it wants to change.
error NotOwner(bytes32 id, address caller);
/// Nothing has this id.
error Unknown(bytes32 id);
/// It is there already.
error AlreadyThere(bytes32 id);
/// What has this id is in a status that does not allow it.
error WrongStatus(bytes32 id, uint8 status);
/// Time has not gone on since the last record.
error NotLater(uint256 time, uint256 last);
/// Not before then.
error TooEarly(uint256 notBefore);
/// Not after then.
error TooLate(uint256 notAfter);
/// More than can be.
error MoreThanPossible(uint256 amount, uint256 most);
/// Less than is needed.
error NotEnough(uint256 wanted, uint256 has);
/// An argument that is 0, or more than the most that makes sense.
error OutOfRange(uint256 value, uint256 most);
/// A text that is empty or longer than 32 bytes.
error TextLength(uint256 length);
/// A list is full.
error TooMany(uint256 most);
/// No rate is in force at that time.
error NoRate(uint256 time);
/// Both orders are of one owner.
error SelfTrade(address owner);
/// The buyer pays less than the seller asks.
error PricesDoNotCross(uint256 bid, uint256 ask);
/// The address 0, where somebody is needed.
error NoAddress();
/// The receiver did not take the money.
error PaymentFailed(address to);
/// A call into a contract that is in the middle of another.
error Reentered();
