// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice What a line of a settlement is for.
enum CashKind {
    Trade,
    Shortage,
    Penalty,
    Unused,
    LocalCharges,
    Surplus,
    GridPurchase,
    Margin
}

/// @title The books of the market: one signed balance a party, and what is locked in deposits and escrows
/// @notice Fiat tokens held by the market = sum of all balances + everything locked, always. A negative balance is a
/// debt; it is paid by later credits, by payIn, or out of the party's wallet as far as it allows.
/// @dev Every settlement writes `Cash` lines that sum to zero. State changes come first and transfers last, every
/// transfer is checked: Shvetsov, "Exploring auction based energy trade with the support of MAS and blockchain
/// technology", 6.2.3.
abstract contract CashBook {
    using SafeERC20 for IERC20;

    /// @notice The electricity grid as a party: nobody has a key to this address.
    address public constant GRID = address(bytes20(keccak256("gridpact/party/grid")));

    /// @notice The money.
    IERC20 public immutable fiat;
    /// @notice The microgrid operator's account.
    address public immutable operator;

    mapping(address party => int256 amountMicroeur) private _balances;
    /// @notice Micro-euro that lie in deposits and escrows.
    uint256 public lockedMicroeur;

    /// @notice A line of a settlement: what `party` receives (or pays, negative). The lines of a transaction sum to
    /// zero.
    event Cash(uint64 indexed window, address indexed party, CashKind indexed kind, int256 amountMicroeur);
    /// @notice The party owes after a settlement.
    event DebtBooked(address indexed party, uint64 indexed window, uint256 debtMicroeur);
    /// @notice Money came in to a party's balance.
    event PaidIn(address indexed party, address indexed payer, uint256 amountMicroeur);
    /// @notice Money left a party's balance.
    event PaidOut(address indexed party, address indexed to, uint256 amountMicroeur);

    /// @notice The party's wallet and balance do not cover what it commits to (debts are paid first).
    error InsufficientFunds(address party, uint256 neededMicroeur, uint256 availableMicroeur);
    /// @notice The party's balance is smaller than what it wants to take out.
    error BalanceTooSmall(address party, uint256 wantedMicroeur, int256 balanceMicroeur);
    /// @notice Debtors have not paid in yet what the party wants to take out.
    error NotPaidInYet(uint256 wantedMicroeur, uint256 availableMicroeur);
    /// @notice Only the operator settles with the grid.
    error NotTheOperator(address sender, address operator);
    /// @notice An amount of nothing.
    error ZeroAmount();
    /// @notice A genesis address is zero.
    error ZeroAddress(string what);

    constructor(address fiat_, address operator_) {
        if (fiat_ == address(0)) revert ZeroAddress("fiat");
        if (operator_ == address(0)) revert ZeroAddress("operator");
        fiat = IERC20(fiat_);
        operator = operator_;
    }

    /// @notice Pays `amountMicroeur` of the caller's tokens in to the balance of `party`, which may be another's or the
    /// grid.
    function payIn(address party, uint256 amountMicroeur) external {
        if (amountMicroeur == 0) revert ZeroAmount();
        _balances[party] += int256(amountMicroeur);
        emit PaidIn(party, msg.sender, amountMicroeur);
        fiat.safeTransferFrom(msg.sender, address(this), amountMicroeur);
    }

    /// @notice Takes `amountMicroeur` of the caller's balance out as tokens.
    function payOut(uint256 amountMicroeur) external {
        _payOut(msg.sender, msg.sender, amountMicroeur);
    }

    /// @notice The operator takes what the grid has earned, to pay the supplier outside.
    function payOutGrid(uint256 amountMicroeur) external {
        if (msg.sender != operator) revert NotTheOperator(msg.sender, operator);
        _payOut(GRID, operator, amountMicroeur);
    }

    /// @notice The balance of a party in micro-euro; negative is a debt.
    function balanceOf(address party) external view returns (int256) {
        return _balances[party];
    }

    /// @notice What a party could commit now: its balance and what its wallet allows the market to take.
    function availableTo(address party) public view returns (uint256 amountMicroeur) {
        int256 available = _balances[party] + int256(_walletOf(party));
        return available > 0 ? uint256(available) : 0;
    }

    /// @dev Locks `amount` of the party's money: from its balance first, the rest by transferFrom; a debt is paid
    /// before.
    function _lock(address party, uint256 amount) internal {
        if (amount == 0) return;
        uint256 available = availableTo(party);
        if (available < amount) revert InsufficientFunds(party, amount, available);
        lockedMicroeur += amount;
        _balances[party] -= int256(amount);
        _pull(party);
    }

    /// @dev Moves what was locked to the balance of `party`.
    function _unlock(address party, uint256 amount) internal {
        if (amount == 0) return;
        lockedMicroeur -= amount;
        _balances[party] += int256(amount);
    }

    /// @dev Books a line of a settlement on both sides: `amount` from `payer` to `payee`.
    function _book(uint64 window, CashKind kind, address payer, address payee, uint256 amount) internal {
        if (amount == 0) return;
        _balances[payer] -= int256(amount);
        _balances[payee] += int256(amount);
        emit Cash(window, payer, kind, -int256(amount));
        emit Cash(window, payee, kind, int256(amount));
    }

    /// @dev Takes as much of a debt as the party's wallet allows; what is left is booked as a debt. Never reverts.
    function _collect(uint64 window, address party) internal {
        _pull(party);
        int256 balance = _balances[party];
        if (balance < 0) emit DebtBooked(party, window, uint256(-balance));
    }

    function _pull(address party) private {
        int256 balance = _balances[party];
        if (balance >= 0) return;
        uint256 debt = uint256(-balance);
        uint256 wallet = _walletOf(party);
        uint256 amount = wallet < debt ? wallet : debt;
        if (amount == 0) return;
        _balances[party] = balance + int256(amount);
        emit PaidIn(party, party, amount);
        fiat.safeTransferFrom(party, address(this), amount);
    }

    function _payOut(address party, address to, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        int256 balance = _balances[party];
        if (balance < 0 || uint256(balance) < amount) revert BalanceTooSmall(party, amount, balance);
        uint256 held = fiat.balanceOf(address(this));
        uint256 available = held > lockedMicroeur ? held - lockedMicroeur : 0;
        if (amount > available) revert NotPaidInYet(amount, available);
        _balances[party] = balance - int256(amount);
        emit PaidOut(party, to, amount);
        fiat.safeTransfer(to, amount);
    }

    function _walletOf(address party) private view returns (uint256) {
        uint256 held = fiat.balanceOf(party);
        uint256 allowed = fiat.allowance(party, address(this));
        return held < allowed ? held : allowed;
    }
}
