// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Auditor, AuditorBook} from "./AuditorBook.sol";
import {AuditorsOnly} from "./AuditorsOnly.sol";
import {Claims} from "./Claims.sol";
import {ContractDomain} from "./ContractDomain.sol";
import {DataContract} from "./DataContract.sol";
import {SealedMeters} from "./SealedMeters.sol";
import {Schedule, WindowClock} from "./WindowClock.sol";

/// @title Who may act without a name: the keys of members, and the ring of every window
/// @notice A household with a sealed meter registers its ring key and trace key, and deals the secret of the latter to
/// the auditors. What is registered, changed or left in window c acts for windows from c + 2 on, so that the ring of a
/// window stands when it begins to be traded.
/// @dev docs/private-window.md, "Registry and ring". The chain's admission reads slots 0 and 1 without a call.
contract PrivacyRegistry is ContractDomain, WindowClock, AuditorsOnly {
    /// @notice A ring: the first window that it is for, and the data contract that has its rows.
    struct Version {
        uint64 fromWindow;
        address ring;
    }

    /// @notice What an account registers.
    /// @dev `keys` are ring key P, trace key K, and the stealth meta-address, spending key S and viewing key V, 33 bytes
    /// each; `proofs` of their possession, in that order, 64 bytes each; `commitments` to the polynomial that deals the
    /// secret of K, 33 bytes each, as many as the threshold; `shares` of it, 80 bytes for each auditor, boxed to it. The
    /// auditors are those of the first window for which it acts.
    struct Registration {
        bytes keys;
        bytes proofs;
        bytes commitments;
        bytes shares;
        bytes32 relayKey;
        string endpoint;
    }

    /// @notice What an account registered last.
    struct Member {
        uint64 fromWindow;
        bytes32 relayKey;
        bytes keys;
        bytes commitments;
        string endpoint;
    }

    /// @dev A trace key that was registered: by whom, after how many readmissions, and which of the auditors to whom it
    /// was dealt said that their share is not right.
    struct Dealing {
        address account;
        uint64 fromWindow;
        uint32 readmissions;
        uint256 complaints;
    }

    /// @dev Whether an account is barred, how often it was readmitted, and which auditors want that now.
    struct Standing {
        bool barred;
        uint32 readmissions;
        address[] readmitting;
    }

    uint256 public constant MAX_MEMBERS = 64;
    /// @notice Account (20 bytes), ring key and trace key.
    uint256 public constant ROW_BYTES = 86;
    /// @notice A share of 32 bytes in a sealed box: an ephemeral key of 32 bytes, and a tag of 16.
    uint256 public constant BOX_BYTES = 80;
    /// @notice The longest endpoint: a host name of 253 characters, a colon and a port.
    uint256 public constant MAX_ENDPOINT_BYTES = 259;
    uint256 private constant PROOF_BYTES = 64;
    uint256 private constant KEYS = 4;

    Version[] private _versions; // slot 0
    uint64 private _clockZeroS; // slot 1, lowest
    uint32 private _clockLengthS;
    /// @notice An auditor's key for boxes (X25519); zero if there is none.
    mapping(address auditor => bytes32) public boxKeyOf;
    mapping(address account => Member) private _members;
    mapping(bytes32 x => bool) private _registered;
    mapping(bytes32 traceKeyHash => Dealing) private _dealings;
    mapping(address account => Standing) private _standings;

    /// @notice An account registered, or changed its keys; with what the auditors and its neighbours need of it.
    event Registered(
        address indexed account,
        uint64 indexed fromWindow,
        bytes keys,
        bytes commitments,
        bytes shares,
        bytes32 relayKey,
        string endpoint
    );
    /// @notice An account is in no ring from this window on: it left, or was barred.
    event Left(address indexed account, uint64 indexed fromWindow);
    /// @notice The ring from this window on, unless it changes again in the same window; `root` is its code hash.
    event RingChanged(uint64 indexed fromWindow, address ring, uint16 members, bytes32 root);
    /// @notice An auditor says that its share of this trace key is not right.
    event Complained(address indexed account, address indexed auditor, bytes traceKey);
    /// @notice As many auditors as open together complained of this trace key: the account may not register any more.
    event Barred(address indexed account, bytes traceKey);
    /// @notice These auditors let a barred account register again.
    event Readmitted(address indexed account, address[] auditors);
    /// @notice Shares for this auditor are boxed to this key from now on.
    event BoxKeyChanged(address indexed auditor, bytes32 boxKey);

    /// @notice A box key is zero, or the genesis file has not one for each auditor.
    error InvalidBoxKeys(string reason, uint256 index);
    /// @notice Only a household that has a sealed meter may register.
    error NoSealedMeter(address sender);
    /// @notice What is registered now acts from another window on.
    error AnotherFirstWindow(uint64 given, uint64 next);
    /// @notice A part of a registration is missing, or of another form than it has to be.
    error InvalidRegistration(address account, string part);
    /// @notice A key comes without a proof that its secret is known, for this registry, account and window.
    error NotPossessed(address account, uint8 role);
    /// @notice The key was registered before, in either column, by whomever.
    error KeySeenBefore(bytes key);
    /// @notice There are as many members as a ring may have.
    error RingIsFull(uint256 limit);
    /// @notice The account is not in the ring to come.
    error NotInTheRing(address account);
    /// @notice Auditors complained of the account's trace key: it may register once as many auditors of the window now as
    /// open together have sent `readmit` for it.
    error AccountBarred(address account);
    /// @notice The account is not barred, so there is nothing to lift.
    error NotBarred(address account);
    /// @notice The auditor has already sent `readmit` for this account since it was barred.
    error ReadmittedBefore(address account, address auditor);
    /// @notice Only an auditor of the window now readmits.
    error NotAnAuditorNow(address sender, uint64 window);
    /// @notice The account did not register this trace key, or was readmitted since.
    error AnotherTraceKey(address account, bytes traceKey);
    /// @notice The auditor has already said so.
    error ComplainedBefore(address account, address auditor);
    /// @notice The key was dealt to other auditors.
    error NotDealtTo(address account, address auditor);

    constructor(Schedule memory schedule_, bytes32[] memory boxKeys_, SealedMeters sealedMeters_)
        WindowClock(schedule_)
        AuditorsOnly(sealedMeters_)
    {
        Auditor[] memory auditors = sealedMeters_.auditorsOf(0).auditors;
        if (boxKeys_.length != auditors.length) revert InvalidBoxKeys("not one for each auditor", boxKeys_.length);
        for (uint256 i = 0; i < auditors.length; ++i) {
            if (boxKeys_[i] == 0) revert InvalidBoxKeys("zero", i);
            boxKeyOf[auditors[i].account] = boxKeys_[i];
        }
        (_clockZeroS, _clockLengthS) = (schedule_.windowZeroS, schedule_.windowLengthS);
    }

    /// @notice Registers the sender, or changes all of its keys.
    /// @param fromWindow the first window for which this acts, to which the proofs are bound: `nextWindow()`.
    function register(uint64 fromWindow, Registration calldata given) external onlyDirect {
        if (sealedMeters.meterOf(msg.sender) == address(0)) revert NoSealedMeter(msg.sender);
        Standing storage standing = _standings[msg.sender];
        if (standing.barred) revert AccountBarred(msg.sender);
        if (fromWindow != nextWindow()) revert AnotherFirstWindow(fromWindow, nextWindow());
        _checkForm(fromWindow, given);
        for (uint8 role = 0; role < KEYS; ++role) {
            bytes calldata proof = given.proofs[role * PROOF_BYTES:(role + 1) * PROOF_BYTES];
            if (!Claims.possessed(role, domain(), msg.sender, fromWindow, _key(given.keys, role), proof)) {
                revert NotPossessed(msg.sender, role);
            }
        }
        _takeUp(_key(given.keys, 0));
        bytes memory traceKey = _key(given.keys, 1);
        _takeUp(traceKey);
        _dealings[keccak256(traceKey)] = Dealing(msg.sender, fromWindow, standing.readmissions, 0);
        bytes memory row = abi.encodePacked(msg.sender, given.keys[:2 * Claims.POINT_BYTES]);
        _members[msg.sender] = Member(fromWindow, given.relayKey, given.keys, given.commitments, given.endpoint);
        emit Registered(
            msg.sender, fromWindow, given.keys, given.commitments, given.shares, given.relayKey, given.endpoint
        );
        bytes memory rows = _newestRows();
        uint256 at = _find(rows, msg.sender);
        if (at == rows.length) {
            if (rows.length == MAX_MEMBERS * ROW_BYTES) revert RingIsFull(MAX_MEMBERS);
            rows = bytes.concat(rows, row);
        } else {
            assembly ("memory-safe") {
                mcopy(add(add(rows, 32), at), add(row, 32), ROW_BYTES)
            }
        }
        _publish(fromWindow, rows);
    }

    /// @notice Takes the sender out of the rings from the next window on; it may register again, with other keys.
    function leave() external onlyDirect {
        bytes memory rows = _newestRows();
        uint256 at = _find(rows, msg.sender);
        if (at == rows.length) revert NotInTheRing(msg.sender);
        _removeAt(rows, at, msg.sender);
    }

    /// @notice An auditor says that the share it was sent is not right. Once as many did as open together, the account
    /// is barred, because its actions could not be traced: it is taken out of the ring and may not register.
    /// @param traceKey the key whose share it is, also one that the account has replaced since: no complaint is late
    /// because its account was quicker, and none counts for another key.
    function complain(address account, bytes calldata traceKey) external onlyDirect onlyAuditor {
        Dealing storage dealing = _dealings[keccak256(traceKey)];
        Standing storage standing = _standings[account];
        if (
            dealing.fromWindow == 0 || dealing.account != account || dealing.readmissions != standing.readmissions
        ) revert AnotherTraceKey(account, traceKey);
        AuditorBook.AuditorSet memory dealtTo = sealedMeters.auditorsOf(dealing.fromWindow);
        uint256 bit = _bitOf(dealtTo.auditors, msg.sender);
        if (bit == 0) revert NotDealtTo(account, msg.sender);
        if (dealing.complaints & bit != 0) revert ComplainedBefore(account, msg.sender);
        dealing.complaints |= bit;
        emit Complained(account, msg.sender, traceKey);
        if (complaints(traceKey) < dealtTo.threshold || standing.barred) return;
        standing.barred = true;
        emit Barred(account, traceKey);
        bytes memory rows = _newestRows();
        uint256 at = _find(rows, account);
        if (at < rows.length) _removeAt(rows, at, account);
    }

    /// @notice An auditor of the window now wants a barred account to register again; it may, once as many do as open
    /// together. Of what it registered before nobody can complain any more.
    function readmit(address account) external onlyDirect {
        Standing storage standing = _standings[account];
        uint64 window;
        if (block.timestamp >= _windowZeroS) (window,) = currentWindow();
        AuditorBook.AuditorSet memory current = sealedMeters.auditorsOf(window);
        if (_bitOf(current.auditors, msg.sender) == 0) revert NotAnAuditorNow(msg.sender, window);
        if (!standing.barred) revert NotBarred(account);
        address[] memory before = standing.readmitting;
        uint256 count = 1;
        for (uint256 i = 0; i < before.length; ++i) {
            if (before[i] == msg.sender) revert ReadmittedBefore(account, msg.sender);
            if (_bitOf(current.auditors, before[i]) != 0) ++count;
        }
        standing.readmitting.push(msg.sender);
        if (count < current.threshold) return;
        emit Readmitted(account, standing.readmitting);
        standing.barred = false;
        ++standing.readmissions;
        delete standing.readmitting;
    }

    /// @notice Sets to which key shares for the sending auditor are boxed from now on.
    function setBoxKey(bytes32 boxKey) external onlyDirect onlyAuditor {
        if (boxKey == 0) revert InvalidBoxKeys("zero", 0);
        boxKeyOf[msg.sender] = boxKey;
        emit BoxKeyChanged(msg.sender, boxKey);
    }

    /// @notice The ring of a window: its data contract, since when it is the ring, and how many it has; zeros if none.
    function ringOf(uint64 window) external view returns (address ring, uint64 fromWindow, uint16 members) {
        Version memory found = _versionOf(window);
        if (found.ring == address(0)) return (address(0), 0, 0);
        return (found.ring, found.fromWindow, uint16((found.ring.code.length - 1) / ROW_BYTES));
    }

    /// @notice The rows of the ring of a window: account, ring key and trace key of each member.
    function rowsOf(uint64 window) external view returns (bytes memory) {
        return DataContract.read(_versionOf(window).ring);
    }

    /// @notice What an account registered last, whether or not it has left since; empty if it never did.
    function memberOf(address account) external view returns (Member memory) {
        return _members[account];
    }

    /// @notice Whether auditors barred an account, so that it may not register.
    function isBarred(address account) external view returns (bool) {
        return _standings[account].barred;
    }

    /// @notice The keys for boxes of a window's auditors, in the order of their numbers from 1; zero for one without.
    function boxKeys(uint64 window) external view returns (bytes32[] memory keys) {
        Auditor[] memory auditors = sealedMeters.auditorsOf(window).auditors;
        keys = new bytes32[](auditors.length);
        for (uint256 i = 0; i < auditors.length; ++i) {
            keys[i] = boxKeyOf[auditors[i].account];
        }
    }

    /// @notice How many auditors said that their share of a trace key is not right.
    function complaints(bytes memory traceKey) public view returns (uint16 count) {
        for (uint256 left = _dealings[keccak256(traceKey)].complaints; left > 0; left &= left - 1) {
            ++count;
        }
    }

    /// @notice The first window for which acts what is registered now.
    function nextWindow() public view returns (uint64 window) {
        if (block.timestamp < _windowZeroS) return 1;
        (window,) = currentWindow();
        window += 2;
    }

    /// @notice What proofs of possession are bound to: this chain and this contract.
    function domain() public view returns (bytes32) {
        return keccak256(abi.encode("gridpact/registry/v1", block.chainid, address(this)));
    }

    function _checkForm(uint64 fromWindow, Registration calldata given) private view {
        AuditorBook.AuditorSet memory auditors = sealedMeters.auditorsOf(fromWindow);
        if (given.keys.length != KEYS * Claims.POINT_BYTES) revert InvalidRegistration(msg.sender, "keys");
        if (given.proofs.length != KEYS * PROOF_BYTES) revert InvalidRegistration(msg.sender, "proofs");
        if (
            given.commitments.length != auditors.threshold * Claims.POINT_BYTES
                || keccak256(given.commitments[:Claims.POINT_BYTES]) != keccak256(_key(given.keys, 1))
                || !Claims.arePoints(given.commitments)
        ) revert InvalidRegistration(msg.sender, "commitments");
        if (given.shares.length != auditors.auditors.length * BOX_BYTES) {
            revert InvalidRegistration(msg.sender, "shares");
        }
        if (given.relayKey == 0) revert InvalidRegistration(msg.sender, "relay key");
        bytes calldata endpoint = bytes(given.endpoint);
        bool sound = endpoint.length > 0 && endpoint.length <= MAX_ENDPOINT_BYTES;
        for (uint256 i = 0; sound && i < endpoint.length; ++i) {
            sound = endpoint[i] > 0x20 && endpoint[i] < 0x7f;
        }
        if (!sound) revert InvalidRegistration(msg.sender, "endpoint");
    }

    /// @dev By its x: who knows the secret of a key knows that of its negative.
    function _takeUp(bytes memory key) private {
        bytes32 x;
        assembly ("memory-safe") {
            x := mload(add(key, 33))
        }
        if (_registered[x]) revert KeySeenBefore(key);
        _registered[x] = true;
    }

    function _removeAt(bytes memory rows, uint256 at, address account) private {
        assembly ("memory-safe") {
            let length := sub(mload(rows), ROW_BYTES)
            let place := add(add(rows, 32), at)
            mcopy(place, add(place, ROW_BYTES), sub(length, at))
            mstore(rows, length)
        }
        uint64 fromWindow = nextWindow();
        emit Left(account, fromWindow);
        _publish(fromWindow, rows);
    }

    function _publish(uint64 fromWindow, bytes memory rows) private {
        address ring = DataContract.write(rows);
        uint256 count = _versions.length;
        if (count > 0 && _versions[count - 1].fromWindow == fromWindow) {
            _versions[count - 1].ring = ring;
        } else {
            _versions.push(Version(fromWindow, ring));
        }
        emit RingChanged(fromWindow, ring, uint16(rows.length / ROW_BYTES), ring.codehash);
    }

    function _newestRows() private view returns (bytes memory) {
        uint256 count = _versions.length;
        return DataContract.read(count == 0 ? address(0) : _versions[count - 1].ring);
    }

    /// @dev The last version from this window or an earlier one on.
    function _versionOf(uint64 window) private view returns (Version memory found) {
        (uint256 low, uint256 high) = (0, _versions.length);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_versions[middle].fromWindow <= window) low = middle + 1;
            else high = middle;
        }
        if (low > 0) found = _versions[low - 1];
    }

    /// @dev The bit of an auditor in a set of complaints; zero if it is none of these.
    function _bitOf(Auditor[] memory auditors, address account) private pure returns (uint256) {
        for (uint256 i = 0; i < auditors.length; ++i) {
            if (auditors[i].account == account) return 1 << i;
        }
        return 0;
    }

    /// @dev Where an account's row begins; the length of all if it has none.
    function _find(bytes memory rows, address account) private pure returns (uint256 at) {
        for (; at < rows.length; at += ROW_BYTES) {
            address found;
            assembly ("memory-safe") {
                found := shr(96, mload(add(add(rows, 32), at)))
            }
            if (found == account) return at;
        }
    }

    function _key(bytes memory keys, uint256 role) private pure returns (bytes memory key) {
        key = new bytes(Claims.POINT_BYTES);
        assembly ("memory-safe") {
            mcopy(add(key, 32), add(add(keys, 32), mul(role, 33)), 33)
        }
    }
}
