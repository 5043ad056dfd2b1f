// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claims} from "./Claims.sol";
import {DataContract} from "./DataContract.sol";
import {HiddenAmounts} from "./HiddenAmounts.sol";
import {PrivateSessions} from "./PrivateSessions.sol";
import {SealedMeters} from "./SealedMeters.sol";
import {Tariff} from "./TariffBook.sol";

/// @notice What the private market asks of the pool.
interface INotes {
    function payOut(bytes calldata note) external;

    function release(uint64 amount, address to) external;

    function collect(uint64 amount, address from) external;
}

/// @title Settlement of a private window, against readings that nobody can read
/// @notice A session shows that what it sold, bought, took from the grid and gave to it add up to what *the meter of the
/// member that offered* attested, without telling which meter; what is left of its balance becomes a note.
/// @dev docs/private-window.md, "A session", steps 4 and 5.
abstract contract PrivateSettlement is PrivateSessions {
    using Claims for Claims.Point;
    using HiddenAmounts for HiddenAmounts.Amount;

    /// @notice What a session settles with.
    /// @param sales for each sale that was allowed, in the order of allocation: commitment 33 and ciphertext 66 of what was
    /// delivered, and what the buyer is told of it, 72.
    /// @param residuals commitments to what was bought from the grid, resold to it of what was bought, and sold to it of
    /// the export; then the ciphertext, 66, of what is owed to the operator, whose commitment follows from them.
    /// @param payout of the note: key 33, ephemeral 33, view tag 1, opening 40.
    /// @param declined bit i: the i-th purchase is given up, because what the seller told does not open it.
    /// @param sealings the proofs of the sales' ciphertexts, and of what is owed, 128 each.
    /// @param energyRange that residuals, deliveries and shortages, in this order, are below 2^32.
    /// @param balanceRange that what is left is below 2^64.
    /// @param ring the signature of the member, with the offer's nullifier.
    struct Settlement {
        bytes sales;
        bytes residuals;
        bytes payout;
        uint16 declined;
        bytes sealings;
        bytes energyRange;
        bytes balanceRange;
        bytes ring;
    }

    /// @dev What is added up while a session settles.
    struct Account {
        bytes32 message;
        uint64 window;
        bytes balance;
        bytes delivered;
        bytes short;
        bytes exported;
        bytes bought;
    }

    uint256 private constant POINT_BYTES = 33;
    uint256 private constant SALE_BYTES = 171;
    uint256 private constant RESIDUAL_BYTES = 165;
    uint256 private constant OWED_AT = 99;
    uint256 private constant PAYOUT_BYTES = 107;
    uint256 private constant EPHEMERAL_AT = 33;
    uint256 private constant REST_AT = 66;
    uint256 private constant ROW_BYTES = 86;
    uint256 private constant KEYS_AT = 20;
    /// @dev Imports and exports in one commitment: every sum of either stays below 2^37.
    uint256 private constant IMPORT_WEIGHT = 1 << 40;
    uint8 private constant DELIVERY = 4;
    address private constant RING = address(0x4701);

    /// @notice The rows that settlements of a window are checked against: ring key, trace key and readings of each member.
    event RowsPrepared(uint64 indexed window, address rows, uint16 members);
    /// @notice A seller's session delivered: commitment and ciphertext of how much, and what the buyer is told of it.
    event TradeDelivered(
        bytes32 indexed tradeId, uint64 indexed window, address indexed buyer, bytes delivered, bytes told
    );
    /// @notice A session settled; what is left of its balance is the note with this key.
    event SessionSettled(uint64 indexed window, address indexed session, bytes residuals, uint16 declined, bytes key);

    /// @notice The window's readings are not closed, or its rows are not prepared.
    error WindowNotReady(uint64 window);
    /// @notice The window's rows are prepared.
    error PreparedBefore(uint64 window);
    /// @notice It is too late for this.
    error TooLate(uint64 window, uint64 lastWindow);
    /// @notice A sale that was not settled in time is in default, and has to be put on record first.
    error SaleOverdue(bytes32 tradeId);
    /// @notice A buyer settles once its sellers have.
    error SellerNotSettled(bytes32 tradeId);
    /// @notice This is not shown by the member that offered, or its meter reads something else.
    error NotTheReading(address session);

    /// @notice Stores what settlements of a window are checked against, once its readings are closed. Anyone may.
    function prepare(uint64 window) external {
        Window storage state = _windows[window];
        if (state.rows != address(0)) revert PreparedBefore(window);
        SealedMeters meters = SealedMeters(sealedMeters);
        if (!meters.balanceOf(window).closed) revert WindowNotReady(window);
        (address ring,, uint16 members) = registry.ringOf(window);
        if (members < MIN_MEMBERS) revert RingTooSmall(window, members, MIN_MEMBERS);
        bytes memory ringRows = DataContract.read(ring);
        bytes memory rows;
        for (uint256 at = 0; at < ringRows.length; at += ROW_BYTES) {
            address account = address(bytes20(HiddenAmounts.slice(ringRows, at, KEYS_AT)));
            (bytes memory imported, bytes memory exported,) = meters.sealedReading(account, window);
            rows = bytes.concat(
                rows,
                HiddenAmounts.slice(ringRows, at + KEYS_AT, 2 * POINT_BYTES),
                HiddenAmounts.plus(exported, IMPORT_WEIGHT, imported)
            );
        }
        (state.rows, state.members) = (DataContract.write(rows), members);
        emit RowsPrepared(window, state.rows, members);
    }

    /// @notice A session settles its window: sellers first. What is left of its balance becomes a note.
    function settle(Settlement calldata given) external {
        Session storage own = _sessions[msg.sender];
        if (own.state != SessionState.Funded) revert WrongSessionState(msg.sender, own.state);
        Account memory account;
        account.window = own.window;
        Window storage state = _windows[account.window];
        if (state.rows == address(0)) revert WindowNotReady(account.window);
        (uint64 now_,) = currentWindow();
        if (now_ > lastFor(account.window, Side.Buy)) {
            revert TooLate(account.window, lastFor(account.window, Side.Buy));
        }
        account.message = _settlementMessage(account.window, msg.sender, given);
        if (given.residuals.length != RESIDUAL_BYTES) revert WrongLength("residuals", given.residuals.length);
        if (given.payout.length != PAYOUT_BYTES) revert WrongLength("payout", given.payout.length);
        if (!Claims.arePoints(given.residuals)) revert NotPoints("residuals");
        account.balance = own.balance.load();
        (account.exported, account.bought) = (given.residuals[REST_AT:OWED_AT], new bytes(POINT_BYTES));

        _settleSales(own, account, given, now_);
        _settlePurchases(own, account, given.declined);
        _settleOperator(state, account, given);
        _requireReading(own, state, account, given);
        own.state = SessionState.Settled;
        own.balance.store(account.balance);
        state.open -= 1;
        emit SessionSettled(
            account.window, msg.sender, given.residuals, given.declined, given.payout[:EPHEMERAL_AT]
        );
        INotes(pool).payOut(
            bytes.concat(
                given.payout[:EPHEMERAL_AT],
                HiddenAmounts.slice(account.balance, 0, POINT_BYTES),
                given.payout[EPHEMERAL_AT:],
                HiddenAmounts.slice(account.balance, POINT_BYTES, 2 * POINT_BYTES)
            )
        );
    }

    /// @notice The last window in which sessions settle the trades of a window: sellers, and then all others.
    function lastFor(uint64 window, Side side) public view returns (uint64) {
        uint64 deadline = _settlementDeadlineWindows;
        return side == Side.Sell ? window + deadline + 1 : window + 2 * deadline + 2;
    }

    /// @dev What the proofs of a settlement are bound to: this chain, this contract, the window, the session, and all
    /// that is posted.
    function _settlementMessage(uint64 window, address session, Settlement calldata given)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                "gridpact/settle/v1",
                block.chainid,
                address(this),
                window,
                session,
                given.sales,
                given.residuals,
                given.payout,
                given.declined
            )
        );
    }

    /// @dev Every sale that was allowed: what was delivered is paid for, what is short of it waits for the buyer.
    function _settleSales(Session storage own, Account memory account, Settlement calldata given, uint64 now_)
        private
    {
        uint256 count = 0;
        for (uint256 i = 0; i < own.sales.length; ++i) {
            bytes32 tradeId = own.sales[i];
            Trade storage sale = _trades[tradeId];
            if (sale.state == TradeState.Allocated) {
                account.balance = HiddenAmounts.plus(account.balance, _penaltyTicks, sale.amount.load());
            }
            if (sale.state != TradeState.Allowed) continue;
            if (now_ > lastFor(account.window, Side.Sell)) revert SaleOverdue(tradeId);
            uint256 at = count++;
            if (given.sales.length < count * SALE_BYTES || given.sealings.length < count * PROOF_BYTES) {
                revert WrongLength("sales", given.sales.length);
            }
            _settleSale(
                account,
                sale,
                tradeId,
                given.sales[at * SALE_BYTES:count * SALE_BYTES],
                given.sealings[at * PROOF_BYTES:count * PROOF_BYTES]
            );
        }
        if (given.sales.length != count * SALE_BYTES) revert WrongLength("sales", given.sales.length);
        if (given.sealings.length != (count + 1) * PROOF_BYTES) revert WrongLength("sealings", given.sealings.length);
    }

    function _settleSale(
        Account memory account,
        Trade storage sale,
        bytes32 tradeId,
        bytes calldata said,
        bytes calldata sealing
    ) private {
        bytes calldata delivered = said[:HiddenAmounts.AMOUNT_BYTES];
        _requireSealed(account.message, account.window, delivered, sealing, "sale");
        bytes memory short = HiddenAmounts.plus(sale.amount.load(), HiddenAmounts.minus(1), delivered);
        account.balance =
            HiddenAmounts.plus(account.balance, sale.tick + uint256(_penaltyTicks), delivered);
        account.exported = HiddenAmounts.plus(account.exported, 1, delivered[:POINT_BYTES]);
        account.delivered = bytes.concat(account.delivered, delivered[:POINT_BYTES]);
        account.short = bytes.concat(account.short, HiddenAmounts.slice(short, 0, POINT_BYTES));
        sale.state = TradeState.Delivered;
        sale.amount.store(short);
        sale.delivered.store(delivered[:POINT_BYTES]);
        emit TradeDelivered(
            tradeId, account.window, sale.buyer, delivered, said[HiddenAmounts.AMOUNT_BYTES:]
        );
    }

    /// @dev Every purchase: what was delivered counts as bought, price and bond of the rest come back.
    function _settlePurchases(Session storage own, Account memory account, uint16 declined) private {
        if (declined >> own.purchases.length != 0) revert WrongLength("declined", declined);
        for (uint256 i = 0; i < own.purchases.length; ++i) {
            bytes32 tradeId = own.purchases[i];
            Trade storage bought = _trades[tradeId];
            if (bought.state == TradeState.Allowed) revert SellerNotSettled(tradeId);
            uint256 ticks = bought.tick + uint256(_penaltyTicks);
            if ((declined >> i) & 1 == 1) {
                _owe(_windows[account.window], ticks, bought.amount.load());
                continue;
            }
            account.balance = HiddenAmounts.plus(account.balance, ticks, bought.amount.load());
            if (bought.state == TradeState.Delivered) {
                account.bought = HiddenAmounts.plus(account.bought, 1, bought.delivered.load());
            }
        }
    }

    /// @dev Grid purchases at retail, local charges on what was bought and used, less what the grid pays for.
    function _settleOperator(Window storage state, Account memory account, Settlement calldata given) private {
        Tariff memory tariff = tariffAt(account.window);
        uint256 local = tariff.localChargesMicroeurPerKwh / PRICE_TICK;
        uint256 feedIn = tariff.feedInMicroeurPerKwh / PRICE_TICK;
        bytes calldata residuals = given.residuals;
        bytes memory owed = HiddenAmounts.plus(new bytes(POINT_BYTES), local, account.bought);
        owed = HiddenAmounts.plus(owed, _retail(tariff) / PRICE_TICK, residuals[:POINT_BYTES]);
        owed = HiddenAmounts.plus(owed, HiddenAmounts.minus(local + feedIn), residuals[POINT_BYTES:REST_AT]);
        owed = HiddenAmounts.plus(owed, HiddenAmounts.minus(feedIn), residuals[REST_AT:OWED_AT]);
        owed = bytes.concat(owed, residuals[OWED_AT:]);
        _requireSealed(
            account.message,
            account.window,
            owed,
            given.sealings[given.sealings.length - PROOF_BYTES:],
            "owed to the operator"
        );
        _requireInRange(
            ENERGY_BITS,
            account.message,
            bytes.concat(residuals[:OWED_AT], account.delivered, account.short),
            given.energyRange,
            "energy"
        );
        account.balance = HiddenAmounts.plus(account.balance, HiddenAmounts.minus(1), owed);
        _requireInRange(
            BALANCE_BITS,
            account.message,
            HiddenAmounts.slice(account.balance, 0, POINT_BYTES),
            given.balanceRange,
            "balance"
        );
        _owe(state, 1, owed);
    }

    /// @dev The member that offered reads this: bought + from the grid - resold, and sold + given to the grid.
    function _requireReading(
        Session storage own,
        Window storage state,
        Account memory account,
        Settlement calldata given
    ) private view {
        bytes memory imported = HiddenAmounts.plus(account.bought, 1, given.residuals[:POINT_BYTES]);
        imported = HiddenAmounts.plus(imported, HiddenAmounts.minus(1), given.residuals[POINT_BYTES:REST_AT]);
        if (given.ring.length < POINT_BYTES || keccak256(given.ring[:POINT_BYTES]) != own.nullifier) {
            revert NotTheReading(msg.sender);
        }
        bytes memory claim = abi.encodePacked(
            DELIVERY,
            state.members,
            _scopeOf(account.window),
            account.message,
            HiddenAmounts.plus(account.exported, IMPORT_WEIGHT, imported),
            DataContract.read(state.rows),
            given.ring
        );
        (bool success, bytes memory answer) = RING.staticcall(claim);
        if (!success || answer.length != 32 || abi.decode(answer, (uint256)) != 1) revert NotTheReading(msg.sender);
    }

    /// @dev Adds a multiple of an amount's ciphertext to what a window owes the operator.
    function _owe(Window storage state, uint256 factor, bytes memory amount) internal {
        bytes memory sums = bytes.concat(state.ephemeral.load(), state.masked.load());
        sums = HiddenAmounts.plus(sums, factor, HiddenAmounts.slice(amount, POINT_BYTES, 2 * POINT_BYTES));
        state.ephemeral.store(HiddenAmounts.slice(sums, 0, POINT_BYTES));
        state.masked.store(HiddenAmounts.slice(sums, POINT_BYTES, POINT_BYTES));
    }
}
