// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claims} from "./Claims.sol";
import {ContractDomain} from "./ContractDomain.sol";
import {WindowClock} from "./WindowClock.sol";

/// @notice What the auditors' book asks of the consortium.
interface Members {
    function isMember(address account) external view returns (bool);

    function votesNeeded() external view returns (uint256);
}

/// @notice An auditor: who sends its parts, and the public share behind them (33 bytes).
struct Auditor {
    address account;
    bytes publicShare;
}

/// @title Who the auditors are, window by window
/// @notice The consortium appoints auditors: those of the genesis file, and later ones by the votes of its members. They
/// act from a window on that had not begun when the last vote came, so that everything of a window is encrypted to
/// one joint key, and opened by those who hold its shares.
/// @dev Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.2 (auditors);
/// Feldman 1987 (shares). That the joint key is the sum of fair dealings is checked by whoever votes, off the chain.
abstract contract AuditorBook is ContractDomain, WindowClock {
    /// @notice Auditors, their joint key (33 bytes), and how many of them open a thing together.
    struct AuditorSet {
        uint64 fromWindow;
        uint16 threshold;
        bytes jointKey;
        Auditor[] auditors;
    }

    uint256 public constant MAX_AUDITORS = 16;
    /// @notice The most sets: bounds the search.
    uint256 public constant MAX_AUDITOR_SETS = 256;

    Members private immutable _consortium;
    AuditorSet[] private _sets;
    mapping(bytes32 set => address[] members) private _votes;
    /// @notice Whether an account is an auditor's of any window.
    mapping(address account => bool) public isAuditor;

    /// @notice A member votes for auditors to come; the set's hash is over its ABI encoding.
    event AuditorsVoted(bytes32 indexed set, address indexed member, uint256 votes, uint256 needed);
    /// @notice Auditors act from a window on.
    event AuditorsAppointed(uint64 indexed fromWindow, uint256 number, bytes32 set);

    /// @notice The auditors do not add up.
    error InvalidAuditors(string reason, uint256 index);
    /// @notice Only a member of the consortium may vote for auditors, once for each set.
    error NoVoteForAuditors(address sender, bytes32 set);
    /// @notice The window in which the auditors are to begin is too near, or not after that of the set before.
    error AuditorsTooSoon(uint64 fromWindow, uint64 earliestWindow);

    constructor(AuditorSet memory first, address consortium) {
        _consortium = Members(consortium);
        _check(first);
        _appoint(first);
    }

    /// @notice Votes for auditors; they are appointed once as many members as a motion needs have voted for the same.
    /// @return appointed whether this was the last vote.
    function voteForAuditors(AuditorSet calldata set) external onlyDirect returns (bool appointed) {
        bytes32 id = auditorsId(set);
        address[] storage votes = _votes[id];
        if (!_consortium.isMember(msg.sender)) revert NoVoteForAuditors(msg.sender, id);
        uint256 count = 1;
        for (uint256 i = 0; i < votes.length; ++i) {
            if (votes[i] == msg.sender) revert NoVoteForAuditors(msg.sender, id);
            if (_consortium.isMember(votes[i])) ++count;
        }
        (uint64 now_,) = currentWindow();
        uint64 newest = _sets[_sets.length - 1].fromWindow + 1;
        uint64 earliest = now_ + 2 > newest ? now_ + 2 : newest; // what is sealed in window w is of w + 1 at most
        if (set.fromWindow < earliest) revert AuditorsTooSoon(set.fromWindow, earliest);
        if (_sets.length == MAX_AUDITOR_SETS) revert InvalidAuditors("too many sets", _sets.length);
        _check(set);
        votes.push(msg.sender);
        uint256 needed = _consortium.votesNeeded();
        emit AuditorsVoted(id, msg.sender, count, needed);
        appointed = count >= needed;
        if (appointed) {
            _appoint(set);
            emit AuditorsAppointed(set.fromWindow, _sets.length - 1, id);
        }
    }

    /// @notice The auditors of a window: those appointed last from it or an earlier one on.
    function auditorsOf(uint64 window) external view returns (AuditorSet memory) {
        return _setOf(window);
    }

    /// @notice The number of sets so far, that of the genesis file included.
    function auditorSetCount() external view returns (uint256) {
        return _sets.length;
    }

    /// @notice A set by its number, from 0; those of the genesis file are the first.
    function auditorSet(uint256 number) external view returns (AuditorSet memory) {
        return _sets[number];
    }

    /// @notice The joint key that what is of a window is encrypted to.
    function jointKeyOf(uint64 window) external view returns (bytes memory) {
        return _setOf(window).jointKey;
    }

    /// @notice What members vote for.
    function auditorsId(AuditorSet calldata set) public view returns (bytes32) {
        return keccak256(abi.encode("gridpact/auditors/v1", block.chainid, address(this), set));
    }

    function _setOf(uint64 window) internal view returns (AuditorSet storage set) {
        uint256 i = _sets.length - 1;
        while (i > 0 && _sets[i].fromWindow > window) --i;
        return _sets[i];
    }

    function _appoint(AuditorSet memory set) private {
        _sets.push(set);
        for (uint256 i = 0; i < set.auditors.length; ++i) {
            isAuditor[set.auditors[i].account] = true;
        }
    }

    function _check(AuditorSet memory set) private pure {
        uint256 count = set.auditors.length;
        if (count > MAX_AUDITORS) revert InvalidAuditors("too many auditors", count);
        if (set.threshold < 2 || set.threshold > count) revert InvalidAuditors("threshold", set.threshold);
        if (set.jointKey.length != Claims.POINT_BYTES) revert InvalidAuditors("joint key", 0);
        for (uint256 i = 0; i < count; ++i) {
            Auditor memory auditor = set.auditors[i];
            if (auditor.account == address(0)) revert InvalidAuditors("an auditor without account", i);
            if (auditor.publicShare.length != Claims.POINT_BYTES) revert InvalidAuditors("public share", i);
            for (uint256 j = 0; j < i; ++j) {
                if (set.auditors[j].account == auditor.account) revert InvalidAuditors("an auditor twice", i);
            }
        }
    }
}
