// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claims} from "./Claims.sol";
import {HiddenAmounts} from "./HiddenAmounts.sol";
import {Tariff, TariffBook} from "./TariffBook.sol";
import {Schedule, WindowClock} from "./WindowClock.sol";

/// @notice What the private market asks of the registry: the ring of a window.
interface IRings {
    function ringOf(uint64 window) external view returns (address ring, uint64 fromWindow, uint16 members);
}

/// @notice What it asks of the auditors' book: the key that what is of a window is encrypted to.
interface IJointKeys {
    function jointKeyOf(uint64 window) external view returns (bytes memory);
}

/// @title The accounts that send as sessions
/// @dev Apart, so that it is slot 0: the chain's admission reads it.
abstract contract SessionAccounts {
    /// @dev Until which chain second an account is admitted without a member that vouches for it.
    mapping(address session => uint64 untilS) internal _sessionUntil;
}

/// @title Sessions of a private window: who trades, nobody knows; what is at stake, nobody reads
/// @notice A member offers once a window, anonymously, and names a session key, by which everything else is sent. A session
/// has one hidden balance: escrow and bond leave it when a trade is recorded.
/// @dev docs/private-window.md, "A session". Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy
/// Marketplace", section 4.1 (the steps of a window) and 4.2 (anonymous offers, hidden amounts).
abstract contract PrivateSessions is SessionAccounts, WindowClock, TariffBook {
    using HiddenAmounts for HiddenAmounts.Amount;

    enum Side {
        None,
        Sell,
        Buy
    }

    enum SessionState {
        None,
        Offered,
        Funded,
        Settled,
        Forfeited
    }

    enum TradeState {
        None,
        Allocated,
        Allowed,
        Delivered,
        Defaulted
    }

    /// @notice A session. `nullifier` and `budget` are hashes: of D, and of the lock that funds it.
    struct Session {
        uint64 window;
        uint16 tick;
        Side side;
        SessionState state;
        bytes32 contactKey;
        bytes32 nullifier;
        bytes32 budget;
        HiddenAmounts.Amount balance;
        bytes32[] sales;
        bytes32[] purchases;
    }

    /// @notice A trade. `amount` is what was agreed; once delivered, what is short of it, and `delivered` the rest.
    struct Trade {
        address seller;
        uint16 tick;
        TradeState state;
        address buyer;
        HiddenAmounts.Amount amount;
        Claims.Point delivered;
    }

    /// @notice A window: how many funded sessions are not settled, its rows, and what it owes the operator.
    struct Window {
        address rows;
        uint16 members;
        uint16 open;
        bool paid;
        int64 total;
        Claims.Point ephemeral;
        Claims.Point masked;
    }

    /// @notice The least members of a ring: below that, an offer would tell too much.
    uint16 public constant MIN_MEMBERS = 8;
    /// @notice The most sales of a session: their amounts and rests are in one range proof.
    uint256 public constant MAX_SALES = 6;
    /// @notice The most purchases of a session.
    uint256 public constant MAX_PURCHASES = 8;
    uint8 internal constant ENERGY_BITS = 32;
    uint8 internal constant BALANCE_BITS = 64;
    uint256 internal constant PROOF_BYTES = 128;
    uint256 internal constant SEALED_AT = 33;

    IRings public immutable registry;
    address public immutable pool;
    address public immutable sealedMeters;
    uint16 internal immutable _penaltyTicks;

    mapping(address session => Session) internal _sessions;
    mapping(bytes32 tradeId => Trade) internal _trades;
    mapping(uint64 window => Window) internal _windows;
    mapping(uint64 window => address[] sessions) private _sessionsIn;
    mapping(address caller => bool) private _offered;

    /// @notice A member offers, or says that it does not; everything else comes from the session.
    event SessionOffered(
        uint64 indexed window, address indexed session, bytes32 contactKey, Side side, uint16 tick, bytes nullifier
    );
    /// @notice A session's budget was locked: commitment and ciphertext.
    event SessionFunded(uint64 indexed window, address indexed session, bytes amount);
    /// @notice A seller allocated energy to a buyer: commitment and ciphertext of how much.
    event TradeAllocated(
        bytes32 indexed tradeId,
        uint64 indexed window,
        address indexed buyer,
        address seller,
        uint16 tick,
        bytes quantity
    );
    /// @notice The buyer has paid into escrow: the trade binds.
    event TradeAllowed(bytes32 indexed tradeId, uint64 indexed window, address indexed buyer, address seller);

    /// @notice The genesis file's private market does not add up.
    error InvalidTerms(string reason);
    /// @notice The ring of this window has too few members for private trade.
    error RingTooSmall(uint64 window, uint16 members, uint16 needed);
    /// @notice The sender is not the hash of scope and nullifier: no member of this window's ring has said this.
    error NotAnonymous(address sender, address expected);
    /// @notice This member has had its one call of the window.
    error OfferedBefore(address sender);
    /// @notice The window is not the one that is traded now.
    error NotTradedNow(uint64 window, uint64 tradedWindow);
    /// @notice Offers are made in the first half of the time for negotiation.
    error OffersClosed(uint64 window, uint32 elapsedS, uint32 closeS);
    /// @notice The offer does not add up.
    error InvalidOffer(string reason);
    /// @notice The session's own key has not signed that it is this offer's.
    error NotTheSession(address session);
    /// @notice The account was a session before.
    error SessionTaken(address session);
    /// @notice Only the pool brings budgets.
    error NotThePool(address sender);
    /// @notice This is not the budget that the session's offer named, or it has been brought.
    error NotTheBudget(address session, uint64 window);
    /// @notice The account is no session that may do this now.
    error WrongSessionState(address session, SessionState state);
    /// @notice The session has not offered this side in the window.
    error WrongSide(address session, Side side);
    /// @notice The session has as many trades as it may.
    error TooManyTrades(address session, uint256 limit);
    /// @notice This very trade was allocated before.
    error TradeTaken(bytes32 tradeId);
    /// @notice The trade is not where this is done with it.
    error WrongTradeState(bytes32 tradeId, TradeState state);
    /// @notice Only the buyer allows a trade.
    error NotTheTradesBuyer(bytes32 tradeId, address sender);
    /// @notice Bytes of another length than they have.
    error WrongLength(string what, uint256 length);
    /// @notice Bytes that are not points, one behind the other.
    error NotPoints(string what);
    /// @notice A commitment and a ciphertext to the auditors are not shown to hold the same amount.
    error NotTheSameAmount(string what);
    /// @notice Amounts are not shown to be in range.
    error NotInRange(string what);

    constructor(
        Schedule memory schedule_,
        Tariff[] memory tariffs_,
        uint32 penaltyMicroeurPerKwh,
        IRings registry_,
        address pool_,
        address sealedMeters_
    ) WindowClock(schedule_) TariffBook(tariffs_) {
        if (penaltyMicroeurPerKwh % PRICE_TICK != 0) revert InvalidTerms("the penalty is a multiple of the tick");
        if (penaltyMicroeurPerKwh / PRICE_TICK > type(uint16).max) revert InvalidTerms("the penalty is too large");
        if (address(registry_) == address(0) || pool_ == address(0) || sealedMeters_ == address(0)) {
            revert InvalidTerms("a zero address");
        }
        (registry, pool, sealedMeters) = (registry_, pool_, sealedMeters_);
        _penaltyTicks = uint16(penaltyMicroeurPerKwh / PRICE_TICK);
    }

    /// @notice A member's one call of a window: what its session wants, or nothing. By a transaction 0x6e.
    /// @param nullifier D, 33 bytes: the sender is the hash of it and the window's scope.
    /// @param session the account that sends everything else.
    /// @param contactKey to which others encrypt what they tell the session (X25519).
    /// @param tick the price that it asks or bids, in ticks of a thousand micro-euro per kWh; 0 with side none.
    /// @param budget the hash of the lock (commitment 33, ciphertext 66) that will fund the session: without it,
    /// anybody could add an amount that its owner cannot open.
    /// @param consent the session's own signature (r, s, v): without it, who sees an offer coming could name its session
    /// first.
    function offer(
        uint64 window,
        bytes calldata nullifier,
        address session,
        bytes32 contactKey,
        Side side,
        uint16 tick,
        bytes32 budget,
        bytes calldata consent
    ) external {
        uint32 elapsedS = _requireTraded(window);
        if (elapsedS >= _negotiationCloseS / 2) revert OffersClosed(window, elapsedS, _negotiationCloseS / 2);
        bytes32 hashed = keccak256(abi.encodePacked("gridpact/anonymous/v1", _scopeOf(window), nullifier));
        address expected = address(uint160(uint256(hashed)));
        if (msg.sender != expected) revert NotAnonymous(msg.sender, expected);
        (,, uint16 members) = registry.ringOf(window);
        if (members < MIN_MEMBERS) revert RingTooSmall(window, members, MIN_MEMBERS);
        if (_offered[msg.sender]) revert OfferedBefore(msg.sender);
        if (contactKey == 0) revert InvalidOffer("a contact key");
        if (!_consents(session, window, nullifier, consent)) revert NotTheSession(session);
        if ((side == Side.None) != (tick == 0)) revert InvalidOffer("a tick if there is a side");
        (uint32 lowest, uint32 highest) = rails(window);
        if (lowest > highest) revert NoTradePays(window, lowest, highest);
        if (side != Side.None) _checkPrice(window, uint32(tick) * PRICE_TICK);
        if (_sessionUntil[session] != 0) revert SessionTaken(session);

        _offered[msg.sender] = true;
        _sessionUntil[session] =
            _windowZeroS + (window + 2 * uint64(_settlementDeadlineWindows) + 3) * uint64(_windowLengthS);
        Session storage opened = _sessions[session];
        (opened.window, opened.tick, opened.side, opened.state) = (window, tick, side, SessionState.Offered);
        (opened.contactKey, opened.nullifier, opened.budget) = (contactKey, keccak256(nullifier), budget);
        _sessionsIn[window].push(session);
        emit SessionOffered(window, session, contactKey, side, tick, nullifier);
    }

    /// @notice The pool has locked a budget for a session that has offered.
    /// @param lock commitment 33, ciphertext 66; the pool has checked that they hold one amount, in range.
    function fund(address session, uint64 window, bytes calldata lock) external {
        if (msg.sender != pool) revert NotThePool(msg.sender);
        _requireTraded(window);
        Session storage funded = _sessions[session];
        if (
            funded.state != SessionState.Offered || funded.window != window || lock.length != HiddenAmounts.AMOUNT_BYTES
                || keccak256(lock) != funded.budget
        ) revert NotTheBudget(session, window);
        funded.state = SessionState.Funded;
        funded.balance.store(lock);
        _windows[window].open += 1;
        emit SessionFunded(window, session, lock);
    }

    /// @notice A seller's session allocates energy to a buyer's; a bond leaves its balance.
    /// @param quantity commitment and ciphertext of how much.
    /// @param sealing that both hold the same amount.
    /// @param energyRange that it is below 2^32 Wh.
    /// @param balanceRange that what the bond leaves is below 2^64; empty if this market has no penalty.
    function allocate(
        address buyer,
        uint16 tick,
        bytes calldata quantity,
        bytes calldata sealing,
        bytes calldata energyRange,
        bytes calldata balanceRange
    ) external returns (bytes32 tradeId) {
        Session storage seller = _requireFunded(msg.sender, Side.Sell);
        uint64 window = seller.window;
        _requireTraded(window);
        if (_requireFunded(buyer, Side.Buy).window != window) revert WrongSide(buyer, Side.Buy);
        _checkPrice(window, uint32(tick) * PRICE_TICK);
        if (seller.sales.length == MAX_SALES) revert TooManyTrades(msg.sender, MAX_SALES);
        if (quantity.length != HiddenAmounts.AMOUNT_BYTES) revert WrongLength("quantity", quantity.length);
        tradeId = _tradeIdOf(window, msg.sender, buyer, tick, quantity);
        if (_trades[tradeId].state != TradeState.None) revert TradeTaken(tradeId);
        _requireSealed(tradeId, window, quantity, sealing, "quantity");
        _requireInRange(ENERGY_BITS, tradeId, quantity[:SEALED_AT], energyRange, "quantity");
        if (_penaltyTicks == 0) {
            if (balanceRange.length != 0) revert WrongLength("no bond", balanceRange.length);
        } else {
            _take(seller, _penaltyTicks, quantity, tradeId, balanceRange);
        }
        seller.sales.push(tradeId);
        Trade storage trade = _trades[tradeId];
        (trade.seller, trade.buyer, trade.tick, trade.state) = (msg.sender, buyer, tick, TradeState.Allocated);
        trade.amount.store(quantity);
        emit TradeAllocated(tradeId, window, buyer, msg.sender, tick, quantity);
    }

    /// @notice The buyer's session pays the price of a trade from its balance: from here the trade binds.
    /// @param balanceRange that what the price leaves is below 2^64.
    function allow(bytes32 tradeId, bytes calldata balanceRange) external {
        Trade storage trade = _trades[tradeId];
        if (trade.state != TradeState.Allocated) revert WrongTradeState(tradeId, trade.state);
        if (trade.buyer != msg.sender) revert NotTheTradesBuyer(tradeId, msg.sender);
        Session storage buyer = _requireFunded(msg.sender, Side.Buy);
        _requireTraded(buyer.window);
        if (buyer.purchases.length == MAX_PURCHASES) revert TooManyTrades(msg.sender, MAX_PURCHASES);
        bytes32 message = keccak256(abi.encode("gridpact/allow/v1", block.chainid, address(this), tradeId));
        _take(buyer, trade.tick, trade.amount.load(), message, balanceRange);
        buyer.purchases.push(tradeId);
        trade.state = TradeState.Allowed;
        emit TradeAllowed(tradeId, buyer.window, msg.sender, trade.seller);
    }

    /// @notice A session: zeros if there is none.
    function sessionOf(address account) external view returns (Session memory) {
        return _sessions[account];
    }

    /// @notice A trade: zeros if there is none.
    function tradeOf(bytes32 tradeId) external view returns (Trade memory) {
        return _trades[tradeId];
    }

    /// @notice A session's balance: commitment and ciphertext.
    function balanceOf(address account) external view returns (bytes memory) {
        return _sessions[account].balance.load();
    }

    /// @notice The sessions of a window, in the order of their offers.
    function sessionsOf(uint64 window) external view returns (address[] memory) {
        return _sessionsIn[window];
    }

    /// @dev A window's scope: what nullifiers and trace tags are bound to.
    function _scopeOf(uint64 window) internal view returns (bytes32) {
        return keccak256(
            abi.encode("gridpact/scope/v1", block.chainid, address(registry), address(this), window)
        );
    }

    /// @dev A trade's number: everything that was agreed, and where. The proofs of an allocation are bound to it.
    function _tradeIdOf(uint64 window, address seller, address buyer, uint16 tick, bytes calldata quantity)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode("gridpact/trade/v1", block.chainid, address(this), window, seller, buyer, tick, quantity)
        );
    }

    /// @dev Whether a session's key has signed that it is that of the offer with this nullifier.
    function _consents(address session, uint64 window, bytes calldata nullifier, bytes calldata consent)
        private
        view
        returns (bool)
    {
        if (session == address(0) || consent.length != 65) return false;
        bytes32 digest =
            keccak256(abi.encode("gridpact/session/v1", block.chainid, address(this), window, nullifier));
        return ecrecover(digest, uint8(consent[64]), bytes32(consent[:32]), bytes32(consent[32:64])) == session;
    }

    /// @dev Takes a multiple of an amount from a session's balance; what is left is shown to be in range.
    function _take(
        Session storage from,
        uint256 ticks,
        bytes memory amount,
        bytes32 message,
        bytes calldata balanceRange
    ) private {
        bytes memory left = HiddenAmounts.plus(from.balance.load(), HiddenAmounts.minus(ticks), amount);
        _requireInRange(BALANCE_BITS, message, HiddenAmounts.slice(left, 0, SEALED_AT), balanceRange, "balance");
        from.balance.store(left);
    }

    function _requireSealed(
        bytes32 message,
        uint64 window,
        bytes memory amount,
        bytes calldata proof,
        string memory what
    ) internal view {
        bytes memory turned = bytes.concat(
            HiddenAmounts.slice(amount, SEALED_AT, 2 * Claims.POINT_BYTES), HiddenAmounts.slice(amount, 0, SEALED_AT)
        );
        bytes memory key = IJointKeys(sealedMeters).jointKeyOf(window);
        if (!Claims.sameAmount(message, key, turned, proof)) revert NotTheSameAmount(what);
    }

    function _requireInRange(
        uint8 bits,
        bytes32 message,
        bytes memory commitments,
        bytes calldata proof,
        string memory what
    ) internal view {
        if (!Claims.inRange(bits, message, commitments, proof)) revert NotInRange(what);
    }

    function _requireTraded(uint64 window) private view returns (uint32 elapsedS) {
        uint64 current;
        (current, elapsedS) = currentWindow();
        if (window != current + 1) revert NotTradedNow(window, current + 1);
    }

    function _requireFunded(address account, Side side) private view returns (Session storage found) {
        found = _sessions[account];
        if (found.state != SessionState.Funded) revert WrongSessionState(account, found.state);
        if (found.side != side) revert WrongSide(account, side);
    }
}
