// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {
    MoreThanPossible,
    NoAddress,
    NotEnough,
    NotOwner,
    OutOfRange,
    PricesDoNotCross,
    SelfTrade,
    TooEarly,
    TooLate,
    Unknown,
    WrongStatus
} from "./Errors.sol";
import {Operated} from "./Operated.sol";
import {Paying} from "./Paying.sol";

/// @title Energy between neighbours: orders, matches, settlement by what was delivered, energy credits
/// @notice Energies in Wh, prices in the chain's smallest unit a kWh, factors in millionths.
contract EnergyTrading is Operated, Paying {
    enum OrderType {
        Buy,
        Sell
    }

    enum OrderStatus {
        None,
        Open,
        Filled,
        Cancelled
    }

    struct Order {
        bytes32 id;
        address owner;
        OrderType orderType;
        uint256 energyAmount; // what is still open
        uint256 price;
        uint256 expiresAt;
        uint256 number; // of two orders the lesser is the older
        OrderStatus status;
    }

    struct Trade {
        bytes32 id;
        address buyer;
        address seller;
        uint256 energyAmount;
        uint256 price;
        uint256 cost;
        uint256 settleBy;
        bool isSettled;
    }

    bytes32 private constant _ORDER = keccak256("tieline.order");
    bytes32 private constant _TRADE = keccak256("tieline.trade");
    /// @notice The longest that an order lives.
    uint256 public constant MOST_DURATION = 7 days;
    /// @notice How long the operator has to settle a trade; after it the buyer may take its money back.
    uint256 public constant SETTLE_WITHIN = 30 days;
    /// @notice The most of each factor of the price formula: a hundred times.
    uint256 public constant MOST_FACTOR = 100e6;

    mapping(bytes32 => Order) private _orders;
    mapping(bytes32 => Trade) private _trades;
    /// @notice Money that its owner may withdraw or buy for.
    mapping(address => uint256) public depositOf;
    /// @notice Wh that were bought and delivered.
    mapping(address => uint256) public energyCredits;
    /// @notice The price of the last match.
    uint256 public lastPrice;
    uint256 private _count;
    uint256 private _traded;

    event Deposited(address indexed owner, uint256 amount);
    event Withdrawn(address indexed to, uint256 amount);
    event OrderCreated(
        bytes32 indexed orderId,
        address indexed owner,
        OrderType orderType,
        uint256 energyAmount,
        uint256 price,
        uint256 expiresAt
    );
    event OrderCancelled(bytes32 indexed orderId, uint256 energyAmount);
    event OrdersMatched(
        bytes32 indexed tradeId, bytes32 indexed buyId, bytes32 indexed sellId, uint256 energyAmount, uint256 price
    );
    event TradeSettled(bytes32 indexed tradeId, uint256 delivered, uint256 paid, uint256 refunded);
    event CreditsTransferred(address indexed from, address indexed to, uint256 amount);

    constructor(address operator_) Operated(operator_) {}

    /// @notice Put money in, to buy for.
    function deposit() external payable alone {
        if (msg.value == 0) revert NotEnough(1, 0);
        depositOf[msg.sender] += msg.value;
        emit Deposited(msg.sender, msg.value);
    }

    /// @notice Take money out that no order is covered by.
    function withdraw(uint256 amount) external alone {
        uint256 has = depositOf[msg.sender];
        if (amount == 0 || amount > has) revert NotEnough(amount, has);
        depositOf[msg.sender] = has - amount;
        emit Withdrawn(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @notice Buy or sell at a limit or better; what a buy may cost is taken from the deposit at once.
    function createOrder(uint256 energyAmount, uint256 price, uint256 duration, OrderType orderType)
        external
        alone
        returns (bytes32 orderId)
    {
        if (energyAmount == 0) revert NotEnough(1, 0);
        if (duration == 0 || duration > MOST_DURATION) revert OutOfRange(duration, MOST_DURATION);
        if (orderType == OrderType.Buy) {
            uint256 cover = _up(energyAmount * price);
            uint256 has = depositOf[msg.sender];
            if (cover > has) revert NotEnough(cover, has);
            depositOf[msg.sender] = has - cover;
        }
        uint256 expiresAt = block.timestamp + duration;
        orderId = keccak256(abi.encode(_ORDER, msg.sender, _count));
        _orders[orderId] =
            Order(orderId, msg.sender, orderType, energyAmount, price, expiresAt, _count++, OrderStatus.Open);
        emit OrderCreated(orderId, msg.sender, orderType, energyAmount, price, expiresAt);
    }

    /// @notice End an own order, expired or not.
    function cancelOrder(bytes32 orderId) external alone {
        Order storage order = _openOrder(orderId);
        if (msg.sender != order.owner) revert NotOwner(orderId, msg.sender);
        order.status = OrderStatus.Cancelled;
        if (order.orderType == OrderType.Buy) depositOf[order.owner] += _up(order.energyAmount * order.price);
        emit OrderCancelled(orderId, order.energyAmount);
    }

    /// @notice Match a buy with a sell, as far as both go, at the price of the older of them.
    function matchOrders(bytes32 buyId, bytes32 sellId) external onlyOperator alone returns (bytes32 tradeId) {
        Order storage buy = _liveOrder(buyId, OrderType.Buy);
        Order storage sell = _liveOrder(sellId, OrderType.Sell);
        if (buy.owner == sell.owner) revert SelfTrade(buy.owner);
        if (buy.price < sell.price) revert PricesDoNotCross(buy.price, sell.price);
        uint256 price = buy.number < sell.number ? buy.price : sell.price;
        uint256 energy = buy.energyAmount < sell.energyAmount ? buy.energyAmount : sell.energyAmount;
        uint256 cost = energy * price / 1000;
        uint256 covered = _up(buy.energyAmount * buy.price);
        _fill(buy, energy);
        _fill(sell, energy);
        // What covered this energy at the limit, and is not needed at the price, is free again.
        depositOf[buy.owner] += covered - _up(buy.energyAmount * buy.price) - cost;
        tradeId = keccak256(abi.encode(_TRADE, buyId, sellId, _traded++));
        _trades[tradeId] =
            Trade(tradeId, buy.owner, sell.owner, energy, price, cost, block.timestamp + SETTLE_WITHIN, false);
        lastPrice = price;
        emit OrdersMatched(tradeId, buyId, sellId, energy, price);
    }

    /// @notice Pay a trade as far as the meters show that it was delivered; the rest goes back to the buyer.
    function settleTrade(bytes32 tradeId, uint256 delivered) external onlyOperator alone {
        Trade storage trade = _trades[tradeId];
        if (trade.buyer == address(0)) revert Unknown(tradeId);
        if (trade.isSettled) revert WrongStatus(tradeId, 1);
        if (block.timestamp > trade.settleBy) revert TooLate(trade.settleBy);
        if (delivered > trade.energyAmount) revert MoreThanPossible(delivered, trade.energyAmount);
        _settle(trade, delivered);
    }

    /// @notice The buyer takes its money back where nobody settled in time.
    function reclaimTrade(bytes32 tradeId) external alone {
        Trade storage trade = _trades[tradeId];
        if (trade.buyer == address(0)) revert Unknown(tradeId);
        if (msg.sender != trade.buyer) revert NotOwner(tradeId, msg.sender);
        if (trade.isSettled) revert WrongStatus(tradeId, 1);
        if (block.timestamp <= trade.settleBy) revert TooEarly(trade.settleBy + 1);
        _settle(trade, 0);
    }

    /// @notice Give energy credits to another.
    function transferCredits(address to, uint256 amount) external {
        if (to == address(0)) revert NoAddress();
        uint256 has = energyCredits[msg.sender];
        if (amount == 0 || amount > has) revert NotEnough(amount, has);
        energyCredits[msg.sender] = has - amount;
        energyCredits[to] += amount;
        emit CreditsTransferred(msg.sender, to, amount);
    }

    /// @notice baseRate x (demandFactor + gridStressFactor) x timeOfDayMultiplier, rounded down.
    function energyPrice(
        uint256 baseRate,
        uint256 demandFactor,
        uint256 gridStressFactor,
        uint256 timeOfDayMultiplier
    ) external pure returns (uint256 price) {
        if (demandFactor > MOST_FACTOR) revert OutOfRange(demandFactor, MOST_FACTOR);
        if (gridStressFactor > MOST_FACTOR) revert OutOfRange(gridStressFactor, MOST_FACTOR);
        if (timeOfDayMultiplier > MOST_FACTOR) revert OutOfRange(timeOfDayMultiplier, MOST_FACTOR);
        return baseRate * (demandFactor + gridStressFactor) * timeOfDayMultiplier / 1e12;
    }

    /// @notice An order.
    function orderOf(bytes32 orderId) external view returns (Order memory order) {
        order = _orders[orderId];
        if (order.status == OrderStatus.None) revert Unknown(orderId);
    }

    /// @notice A trade.
    function tradeOf(bytes32 tradeId) external view returns (Trade memory trade) {
        trade = _trades[tradeId];
        if (trade.buyer == address(0)) revert Unknown(tradeId);
    }

    function _settle(Trade storage trade, uint256 delivered) private {
        uint256 paid = delivered * trade.price / 1000;
        trade.isSettled = true;
        depositOf[trade.seller] += paid;
        depositOf[trade.buyer] += trade.cost - paid;
        energyCredits[trade.buyer] += delivered;
        emit TradeSettled(trade.id, delivered, paid, trade.cost - paid);
    }

    function _fill(Order storage order, uint256 energy) private {
        order.energyAmount -= energy;
        if (order.energyAmount == 0) order.status = OrderStatus.Filled;
    }

    function _openOrder(bytes32 orderId) private view returns (Order storage order) {
        order = _orders[orderId];
        if (order.status == OrderStatus.None) revert Unknown(orderId);
        if (order.status != OrderStatus.Open) revert WrongStatus(orderId, uint8(order.status));
    }

    function _liveOrder(bytes32 orderId, OrderType orderType) private view returns (Order storage order) {
        order = _openOrder(orderId);
        if (order.orderType != orderType) revert Unknown(orderId);
        if (block.timestamp > order.expiresAt) revert TooLate(order.expiresAt);
    }

    /// @dev Money for Wh times a price a kWh, rounded up.
    function _up(uint256 product) private pure returns (uint256) {
        return product / 1000 + (product % 1000 == 0 ? 0 : 1);
    }
}
