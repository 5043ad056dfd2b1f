// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AuditorsOnly} from "./AuditorsOnly.sol";
import {ContractDomain} from "./ContractDomain.sol";
import {SealedMeters} from "./SealedMeters.sol";

/// @title What auditors ask to see, on record before anybody sees it
/// @notice An auditor requests that one thing be opened, and others approve. An auditor's part of an opening carries a
/// proof that is bound to the request; only from the parts of as many as the threshold does anything follow.
/// @dev docs/private-window.md, "On record". What is opened is told to whom it concerns, not to the chain.
contract Disclosures is ContractDomain, AuditorsOnly {
    /// @notice A request: its kind and subject, the hash of its reason, and which auditors stand behind it.
    struct Request {
        uint8 kind;
        bytes32 reason;
        bytes subject;
        address[] auditors;
    }

    /// @notice Which action of a member, if any, was made for a window; subject: account (20 bytes), window (8).
    uint8 public constant TRACE = 1;
    /// @notice The amount in a ciphertext to the auditors; subject: its R and M (66 bytes).
    uint8 public constant AMOUNT = 2;

    uint256 public requests;
    mapping(bytes32 id => Request) private _requests;

    /// @notice An auditor asks that something be opened.
    event Requested(bytes32 indexed id, address indexed auditor, uint8 kind, bytes subject, bytes32 reason);
    /// @notice Another auditor agrees.
    event Approved(bytes32 indexed id, address indexed auditor);

    /// @notice There is no such kind of request, or its subject has another length.
    error InvalidSubject(uint8 kind, uint256 lengthBytes);
    /// @notice There is no such request.
    error UnknownRequest(bytes32 id);
    /// @notice The auditor stands behind this request already.
    error ApprovedBefore(bytes32 id, address auditor);

    constructor(SealedMeters sealedMeters_) AuditorsOnly(sealedMeters_) {}

    /// @notice Requests an opening; who requests also approves.
    /// @param reason the hash of why.
    function request(uint8 kind, bytes calldata subject, bytes32 reason)
        external
        onlyDirect
        onlyAuditor
        returns (bytes32 id)
    {
        if (subject.length != (kind == TRACE ? 28 : kind == AMOUNT ? 66 : 0) || subject.length == 0) {
            revert InvalidSubject(kind, subject.length);
        }
        id = keccak256(abi.encode("gridpact/disclosure/v1", block.chainid, address(this), requests, kind, subject));
        ++requests;
        Request storage made = _requests[id];
        (made.kind, made.reason, made.subject) = (kind, reason, subject);
        made.auditors.push(msg.sender);
        emit Requested(id, msg.sender, kind, subject, reason);
    }

    /// @notice Approves a request of another auditor.
    function approve(bytes32 id) external onlyDirect onlyAuditor {
        address[] storage auditors = _requests[id].auditors;
        if (auditors.length == 0) revert UnknownRequest(id);
        for (uint256 i = 0; i < auditors.length; ++i) {
            if (auditors[i] == msg.sender) revert ApprovedBefore(id, msg.sender);
        }
        auditors.push(msg.sender);
        emit Approved(id, msg.sender);
    }

    /// @notice A request; of kind 0 if there is none with this id.
    function requestOf(bytes32 id) external view returns (Request memory) {
        return _requests[id];
    }

    /// @notice The auditors that stand behind a request, who asked first.
    function approvals(bytes32 id) external view returns (address[] memory) {
        return _requests[id].auditors;
    }
}
