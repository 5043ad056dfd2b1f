// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AuditorBook} from "./AuditorBook.sol";
import {Claims} from "./Claims.sol";
import {DataContract} from "./DataContract.sol";
import {HiddenAmounts} from "./HiddenAmounts.sol";
import {IRings, PrivateSessions} from "./PrivateSessions.sol";
import {INotes, PrivateSettlement} from "./PrivateSettlement.sol";
import {Tariff} from "./TariffBook.sol";
import {Schedule} from "./WindowClock.sol";

/// @title The private market: what becomes of sessions that do not settle, and what the operator gets
/// @notice Sessions offer, trade and settle by the contracts below. Who is late loses: a seller its bond, any session its
/// balance. The operator gets one sum a window, opened by the auditors together.
/// @dev docs/private-window.md, "A session", steps 6 and 7.
contract PrivateMarket is PrivateSettlement {
    using Claims for Claims.Point;
    using HiddenAmounts for HiddenAmounts.Amount;

    /// @notice A window as it can be read.
    struct WindowView {
        bool prepared;
        uint16 members;
        uint16 open;
        bool paid;
        int64 totalMicroeur;
        bytes sealedTotal;
    }

    address public immutable operator;
    mapping(uint64 window => mapping(uint16 auditor => bytes)) private _parts;

    /// @notice A seller's session did not settle in time: escrow and bond of this trade are the buyer's.
    event TradeDefaulted(bytes32 indexed tradeId, uint64 indexed window, address indexed buyer);
    /// @notice A session did not settle in time: its balance is the operator's.
    event SessionForfeited(uint64 indexed window, address indexed session);
    /// @notice An auditor gave its part of the opening of what a window owes the operator.
    event OperatorPartGiven(uint64 indexed window, uint16 indexed auditor, bytes part);
    /// @notice The operator got what a window owes it; if negative, it paid.
    event OperatorPaid(uint64 indexed window, int64 totalMicroeur, uint16[] auditors);

    /// @notice It is too early for this.
    error TooEarly(uint64 window, uint64 fromWindow);
    /// @notice Sessions of this window are not settled.
    error SessionsOpen(uint64 window, uint16 open);
    /// @notice Only an auditor of the window may give parts, with its own account.
    error NotAnAuditor(address sender);
    /// @notice The part is not shown to be made with the auditor's share for this window's total.
    error InvalidOperatorPart(uint64 window, uint16 auditor);
    /// @notice Fewer auditors than the threshold, out of order, or one that gave no parts.
    error NotEnoughParts(uint64 window, uint256 given, uint16 needed);
    /// @notice This is not the total that the parts open.
    error AnotherTotal(uint64 window, int64 totalMicroeur);
    /// @notice The operator has been paid for this window.
    error OperatorPaidBefore(uint64 window);

    constructor(
        Schedule memory schedule_,
        Tariff[] memory tariffs_,
        uint32 penaltyMicroeurPerKwh,
        IRings registry_,
        address pool_,
        address sealedMeters_,
        address operator_
    ) PrivateSessions(schedule_, tariffs_, penaltyMicroeurPerKwh, registry_, pool_, sealedMeters_) {
        if (operator_ == address(0)) revert InvalidTerms("a zero address");
        operator = operator_;
    }

    /// @notice Puts on record that a seller did not settle a trade in time. Anyone may.
    function default_(bytes32 tradeId) external {
        Trade storage trade = _trades[tradeId];
        if (trade.state != TradeState.Allowed) revert WrongTradeState(tradeId, trade.state);
        uint64 window = _sessions[trade.seller].window;
        _requireAfter(window, Side.Sell);
        trade.state = TradeState.Defaulted;
        emit TradeDefaulted(tradeId, window, trade.buyer);
    }

    /// @notice Gives the operator the balance of a session that did not settle in time. Anyone may.
    function forfeit(address account) external {
        Session storage lost = _sessions[account];
        if (lost.state != SessionState.Funded) revert WrongSessionState(account, lost.state);
        _requireAfter(lost.window, Side.Buy);
        bytes memory balance = lost.balance.load();
        for (uint256 i = 0; i < lost.sales.length; ++i) {
            Trade storage sale = _trades[lost.sales[i]];
            if (sale.state == TradeState.Allowed) revert SaleOverdue(lost.sales[i]);
            if (sale.state == TradeState.Allocated) {
                balance = HiddenAmounts.plus(balance, _penaltyTicks, sale.amount.load());
            }
        }
        for (uint256 i = 0; i < lost.purchases.length; ++i) {
            Trade storage bought = _trades[lost.purchases[i]];
            if (bought.state == TradeState.Allowed) revert SaleOverdue(lost.purchases[i]);
            balance = HiddenAmounts.plus(balance, bought.tick + uint256(_penaltyTicks), bought.amount.load());
        }
        lost.state = SessionState.Forfeited;
        _windows[lost.window].open -= 1;
        _owe(_windows[lost.window], 1, balance);
        emit SessionForfeited(lost.window, account);
    }

    /// @notice An auditor gives its part of the opening of what a window owes the operator, with its proof, once no
    /// session of it is open.
    function givePart(uint64 window, uint16 auditor, bytes calldata part, bytes calldata proof) external {
        Window storage state = _requireAllSettled(window);
        AuditorBook.AuditorSet memory set = AuditorBook(sealedMeters).auditorsOf(window);
        if (auditor == 0 || auditor > set.auditors.length || set.auditors[auditor - 1].account != msg.sender) {
            revert NotAnAuditor(msg.sender);
        }
        bool holds = Claims.partHolds(
            auditor, _request(window), set.auditors[auditor - 1].publicShare, state.ephemeral.load(), part, proof
        );
        if (part.length != Claims.POINT_BYTES || !holds) revert InvalidOperatorPart(window, auditor);
        _parts[window][auditor] = part;
        emit OperatorPartGiven(window, auditor, part);
    }

    /// @notice Pays the operator the total that the parts of these auditors open to, or takes it in if it is negative.
    /// Anyone may.
    /// @param by the auditors whose parts are used, rising; exactly as many as the threshold.
    function payOperator(uint64 window, int64 totalMicroeur, uint16[] calldata by) external {
        Window storage state = _requireAllSettled(window);
        if (state.paid) revert OperatorPaidBefore(window);
        uint16 threshold = AuditorBook(sealedMeters).auditorsOf(window).threshold;
        if (by.length != threshold) revert NotEnoughParts(window, by.length, threshold);
        uint256[] memory weights = new uint256[](by.length);
        bytes[] memory parts = new bytes[](by.length);
        for (uint256 i = 0; i < by.length; ++i) {
            parts[i] = _parts[window][by[i]];
            if (parts[i].length == 0 || (i > 0 && by[i] <= by[i - 1])) revert NotEnoughParts(window, i, threshold);
            weights[i] = Claims.weight(by[i], by);
        }
        bool owed = totalMicroeur >= 0;
        uint64 amount = uint64(uint256(owed ? int256(totalMicroeur) : -int256(totalMicroeur)));
        if (!Claims.opensTo(state.masked.load(), owed ? amount : HiddenAmounts.minus(amount), parts, weights)) {
            revert AnotherTotal(window, totalMicroeur);
        }
        (state.paid, state.total) = (true, totalMicroeur);
        emit OperatorPaid(window, totalMicroeur, by);
        if (amount == 0) return;
        if (owed) INotes(pool).release(amount, operator);
        else INotes(pool).collect(amount, operator);
    }

    /// @notice A window: what is prepared, how many funded sessions are open, and the encrypted total of the operator.
    function windowState(uint64 window) external view returns (WindowView memory) {
        Window storage state = _windows[window];
        return WindowView({
            prepared: state.rows != address(0),
            members: state.members,
            open: state.open,
            paid: state.paid,
            totalMicroeur: state.total,
            sealedTotal: bytes.concat(state.ephemeral.load(), state.masked.load())
        });
    }

    /// @notice The rows of a window: ring key, trace key and readings of each member; empty before they are prepared.
    function rowsOf(uint64 window) external view returns (bytes memory) {
        return DataContract.read(_windows[window].rows);
    }

    /// @notice The penalty, in micro-euro per kWh.
    function penalty() external view returns (uint32) {
        return uint32(_penaltyTicks) * PRICE_TICK;
    }

    /// @dev What an auditor's proof of its part is bound to: this chain, this contract, the window.
    function _request(uint64 window) private view returns (bytes32) {
        return keccak256(abi.encode("gridpact/operator/v1", block.chainid, address(this), window));
    }

    function _requireAfter(uint64 window, Side side) private view {
        if (_windows[window].rows == address(0)) revert WindowNotReady(window);
        (uint64 now_,) = currentWindow();
        uint64 from = lastFor(window, side) + 1;
        if (now_ < from) revert TooEarly(window, from);
    }

    function _requireAllSettled(uint64 window) private view returns (Window storage state) {
        state = _windows[window];
        if (state.rows == address(0)) revert WindowNotReady(window);
        if (state.open != 0) revert SessionsOpen(window, state.open);
    }
}
