// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Fiduciary money as an ERC-20 token, in micro-euro
/// @notice Issuers that the consortium approved mint what they received and burn what they paid out, each with the hash
/// of a receipt that serves once: tokens in circulation are receipts minus withdrawals, exactly.
/// @dev Sources: Mezquita et al., "Multi-Agent Architecture for Peer-to-Peer Electricity Trading", section II-A;
/// "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.1.
contract FiatToken is ERC20 {
    enum WithdrawalState {
        None,
        Requested,
        Paid,
        Cancelled
    }

    /// @notice A holder's wish to be paid out; its tokens are held by this contract meanwhile.
    struct Withdrawal {
        address holder;
        WithdrawalState state;
        uint256 amountMicroeur;
    }

    /// @notice The most issuers that a genesis file may approve.
    uint256 public constant MAX_ISSUERS = 32;

    mapping(address account => bool) private _issuers;
    mapping(bytes32 receipt => bool) private _receipts;
    uint256 private _withdrawalCount;
    mapping(uint256 withdrawal => Withdrawal) private _withdrawals;
    /// @notice All that was ever minted.
    uint256 public receivedMicroeur;
    /// @notice All that was ever burnt.
    uint256 public withdrawnMicroeur;

    /// @notice An issuer was approved.
    event IssuerApproved(address indexed issuer);
    /// @notice An issuer received money and minted it.
    event Minted(address indexed issuer, address indexed holder, bytes32 indexed receipt, uint256 amountMicroeur);
    /// @notice A holder wants to be paid out.
    event WithdrawalRequested(uint256 indexed withdrawal, address indexed holder, uint256 amountMicroeur);
    /// @notice A holder took its tokens back.
    event WithdrawalCancelled(uint256 indexed withdrawal, address indexed holder, uint256 amountMicroeur);
    /// @notice An issuer paid a holder out and burnt the tokens.
    event WithdrawalPaid(
        uint256 indexed withdrawal, address indexed issuer, bytes32 indexed receipt, uint256 amountMicroeur
    );

    /// @notice Only an issuer that the consortium approved may do this.
    error NotAnIssuer(address sender);
    /// @notice The genesis file's issuers do not add up.
    error InvalidIssuers(string reason, uint256 index);
    /// @notice This receipt has been used.
    error ReceiptUsed(bytes32 receipt);
    /// @notice An amount of nothing.
    error ZeroAmount();
    /// @notice This withdrawal is not waiting: it never was, or it is paid or cancelled.
    error WithdrawalNotOpen(uint256 withdrawal, WithdrawalState state);
    /// @notice Only the holder may cancel its withdrawal.
    error NotYourWithdrawal(uint256 withdrawal, address holder, address sender);

    modifier onlyIssuer() {
        if (!_issuers[msg.sender]) revert NotAnIssuer(msg.sender);
        _;
    }

    constructor(address[] memory issuers) ERC20("gridpact micro-euro", "gEUR") {
        if (issuers.length == 0 || issuers.length > MAX_ISSUERS) revert InvalidIssuers("1 to 32", issuers.length);
        for (uint256 i = 0; i < issuers.length; ++i) {
            if (issuers[i] == address(0) || _issuers[issuers[i]]) revert InvalidIssuers("zero or twice", i);
            _issuers[issuers[i]] = true;
            emit IssuerApproved(issuers[i]);
        }
    }

    /// @notice Mints what the issuer received for `holder`; `receipt` is the hash of the proof of payment.
    function mint(address holder, uint256 amountMicroeur, bytes32 receipt) external onlyIssuer {
        if (amountMicroeur == 0) revert ZeroAmount();
        _useReceipt(receipt);
        receivedMicroeur += amountMicroeur;
        _mint(holder, amountMicroeur);
        emit Minted(msg.sender, holder, receipt, amountMicroeur);
    }

    /// @notice Asks to be paid out; the tokens are held here until an issuer burns them or the holder cancels.
    function requestWithdrawal(uint256 amountMicroeur) external returns (uint256 withdrawal) {
        if (amountMicroeur == 0) revert ZeroAmount();
        withdrawal = ++_withdrawalCount;
        _withdrawals[withdrawal] =
            Withdrawal({holder: msg.sender, state: WithdrawalState.Requested, amountMicroeur: amountMicroeur});
        _transfer(msg.sender, address(this), amountMicroeur);
        emit WithdrawalRequested(withdrawal, msg.sender, amountMicroeur);
    }

    /// @notice Takes the tokens of a waiting withdrawal back.
    function cancelWithdrawal(uint256 withdrawal) external {
        Withdrawal storage request = _open(withdrawal);
        if (request.holder != msg.sender) revert NotYourWithdrawal(withdrawal, request.holder, msg.sender);
        request.state = WithdrawalState.Cancelled;
        _transfer(address(this), msg.sender, request.amountMicroeur);
        emit WithdrawalCancelled(withdrawal, msg.sender, request.amountMicroeur);
    }

    /// @notice Burns the tokens of a withdrawal that the issuer paid; `receipt` is the hash of the proof of payment.
    function burn(uint256 withdrawal, bytes32 receipt) external onlyIssuer {
        Withdrawal storage request = _open(withdrawal);
        _useReceipt(receipt);
        request.state = WithdrawalState.Paid;
        withdrawnMicroeur += request.amountMicroeur;
        _burn(address(this), request.amountMicroeur);
        emit WithdrawalPaid(withdrawal, msg.sender, receipt, request.amountMicroeur);
    }

    /// @notice One token is a euro of a million units.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Whether the consortium approved `account` as an issuer.
    function isIssuer(address account) external view returns (bool) {
        return _issuers[account];
    }

    /// @notice Whether a receipt has been used.
    function receiptUsed(bytes32 receipt) external view returns (bool) {
        return _receipts[receipt];
    }

    /// @notice A withdrawal; all zero if there is none with this number.
    function getWithdrawal(uint256 withdrawal) external view returns (Withdrawal memory) {
        return _withdrawals[withdrawal];
    }

    function _useReceipt(bytes32 receipt) private {
        if (_receipts[receipt]) revert ReceiptUsed(receipt);
        _receipts[receipt] = true;
    }

    function _open(uint256 withdrawal) private view returns (Withdrawal storage request) {
        request = _withdrawals[withdrawal];
        if (request.state != WithdrawalState.Requested) revert WithdrawalNotOpen(withdrawal, request.state);
    }
}
