// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Claims} from "./Claims.sol";
import {DataContract} from "./DataContract.sol";
import {Schedule, WindowClock} from "./WindowClock.sol";

/// @notice What the pool needs of the sealed meters: the auditors' key of a window.
interface IJointKeys {
    function jointKeyOf(uint64 window) external view returns (bytes memory);
}

/// @notice What the pool needs of the private market: a budget that it locked for a session.
interface IFunded {
    function fund(address session, uint64 window, bytes calldata lock) external;
}

/// @title Fiat notes: hidden amounts that belong to one-time keys
/// @notice Money goes in by name (`deposit`), moves and goes out without one (`spend`), or comes from the private market
/// (`payOut`). The notes' amounts and what is locked add up to the pool's balance, as points, in every transaction.
/// @dev docs/private-window.md, "Notes". A `spend` comes as a transaction 0x6f. Before it runs, the chain has checked
/// for each spent note that one of its bin has this key image and goes on as this pseudo-output (CLSAG), and that all
/// new amounts are in range; its caller is the hash of the calldata that this was checked for. That is why the caller is
/// all that has to be asked for here. Nobody has a key to such an address, nor code at it, short of a collision of 160
/// bits; and an ordinary transaction from it would need a member that vouches for it.
/// Sources: van Saberhagen 2013 (key images); Noether, Mackenzie 2016 (amounts that balance).
contract ShieldedPool is WindowClock {
    using SafeERC20 for IERC20;

    /// @notice A note of the bin that is not closed yet: x of key and commitment, and the first bytes of their encodings.
    struct OpenNote {
        bytes32 keyX;
        bytes32 commitmentX;
        uint8 keyPrefix;
        uint8 commitmentPrefix;
    }

    /// @notice How many notes of the bin `number` are an account's deposits, for the last bin that has any.
    struct Deposits {
        uint32 number;
        uint8 notes;
    }

    /// @notice Notes in a bin: the ring of who spends one.
    uint256 public constant BIN_NOTES = 16;
    /// @notice An account's deposits in a bin: so that nobody fills bins with notes of its own, among which a stranger's
    /// hides nothing.
    uint256 public constant MAX_DEPOSITS = 2;
    /// @notice key 33, commitment 33, ephemeral 33, view tag 1, opening 40, sealed 66; then the proof.
    uint256 private constant PUBLIC_BYTES = 206;
    uint256 private constant NOTE_BYTES = 334;
    uint256 private constant LOCK_BYTES = 227;
    uint256 private constant SPEND_BYTES = 70;
    uint256 private constant SPENDS = 2;
    uint256 private constant COMMITMENT_AT = 33;
    uint256 private constant EPHEMERAL_AT = 66;
    uint256 private constant SEALED_AT = 140;
    uint256 private constant LOCK_PROOF_AT = 99;

    address[] private _bins; // slot 0: read by the chain's admission
    mapping(bytes32 imageHash => bool) private _spent; // slot 1: likewise
    mapping(bytes32 keyHash => bool) private _keys;
    OpenNote[BIN_NOTES] private _open;
    mapping(address account => Deposits) private _deposits;
    /// @notice Micro-euro that the notes and locks add up to.
    uint256 public balance;
    /// @notice How many notes were made.
    uint64 public noteCount;
    IERC20 public immutable fiat;
    IJointKeys public immutable sealedMeters;
    IFunded public immutable market;

    /// @notice An account put money in.
    event Deposited(address indexed account, uint256 amount);
    /// @notice A note was made: all of it but its proof. It is in bin `index / 16`, at `index % 16`.
    event NoteMade(uint64 indexed index, bytes note);
    /// @notice Two notes were spent: their key images.
    event Spent(bytes images);
    /// @notice Money went to an account from notes.
    event Withdrawn(address indexed recipient, uint256 amount);
    /// @notice A bin is full: its notes can be spent.
    event BinClosed(uint32 indexed number, address bin);
    /// @notice The market paid an account out of what was locked.
    event Released(address indexed to, uint256 amount);
    /// @notice The market took money of an account in.
    event Collected(address indexed from, uint256 amount);

    /// @notice Only the private market may do this.
    error NotTheMarket(address sender);
    /// @notice The sender is not the hash of this call: the chain has checked no proofs for it.
    error NotProved(address sender, address expected);
    /// @notice Notes, spends or a lock of another length than they have.
    error WrongLength(string what, uint256 length);
    /// @notice As many notes of this bin are the account's deposits as may be: it has to wait for the next one.
    error TooManyDeposits(address account, uint32 number);
    /// @notice One of a note's points is none.
    error NotANote(bytes key);
    /// @notice A note had this key before: only one of the two could ever be spent.
    error KeyUsed(bytes key);
    /// @notice Note and ciphertext to the auditors are not shown to hold the same amount.
    error NoteNotSealed(bytes key);
    /// @notice Lock and ciphertext to the auditors are not shown to hold the same amount, for this session and window.
    error LockNotSealed(address session, uint64 window);
    /// @notice The amounts are not shown to be in range.
    error NotInRange(address account);
    /// @notice What goes in is not what comes out.
    error Unbalanced();
    /// @notice Only notes of closed bins can be spent.
    error BinNotClosed(uint32 number);
    /// @notice The note with this key image is spent.
    error ImageSpent(bytes image);
    /// @notice A session without a lock, or a recipient without an amount, or the other way round.
    error HalfGiven(string what);

    modifier onlyMarket() {
        if (msg.sender != address(market)) revert NotTheMarket(msg.sender);
        _;
    }

    constructor(Schedule memory schedule_, IERC20 fiat_, IJointKeys sealedMeters_, IFunded market_)
        WindowClock(schedule_)
    {
        (fiat, sealedMeters, market) = (fiat_, sealedMeters_, market_);
    }

    /// @notice Turns money of the sender into notes whose amounts add up to it.
    /// @param notes of 334 bytes, at least one; at most two in a bin.
    /// @param rangeProof that all their amounts are below 2^64, for `depositMessage`.
    function deposit(uint64 amount, bytes calldata notes, bytes calldata rangeProof) external {
        uint256 count = notes.length / NOTE_BYTES;
        if (count == 0 || notes.length != count * NOTE_BYTES) revert WrongLength("notes", notes.length);
        _countDeposits(count);
        bytes memory commitments = _makeProved(notes, count);
        bytes32 message = keccak256(
            abi.encode("gridpact/deposit/v1", block.chainid, address(this), msg.sender, keccak256(notes))
        );
        if (!Claims.inRange(64, message, commitments, rangeProof)) revert NotInRange(msg.sender);
        if (!Claims.cancel("", commitments, amount)) revert Unbalanced();
        balance += amount;
        fiat.safeTransferFrom(msg.sender, address(this), amount);
        emit Deposited(msg.sender, amount);
    }

    /// @notice Spends two notes; makes two others, and what is left goes to a session's budget, or to an account.
    /// @param spends for each: bin 4, key image 33, pseudo-output 33.
    /// @param notes two of 334 bytes.
    /// @param lock empty, or commitment 33, sealed 66, proof 128: the budget of `session` in `window`.
    /// @param withdrawal micro-euro for `recipient`; both zero if there is none.
    function spend(
        bytes calldata spends,
        bytes calldata notes,
        bytes calldata lock,
        address session,
        uint64 window,
        uint64 withdrawal,
        address recipient
    ) external {
        _requireProved();
        if (spends.length != SPENDS * SPEND_BYTES) revert WrongLength("spends", spends.length);
        if (notes.length != 2 * NOTE_BYTES) revert WrongLength("notes", notes.length);
        if (lock.length != 0 && lock.length != LOCK_BYTES) revert WrongLength("lock", lock.length);
        if ((lock.length == 0) != (session == address(0)) || (lock.length == 0 && window != 0)) {
            revert HalfGiven("lock");
        }
        if ((withdrawal == 0) != (recipient == address(0))) revert HalfGiven("withdrawal");
        bytes memory pseudoOutputs = _takeImages(spends);
        bytes memory made = _makeProved(notes, 2);
        if (lock.length != 0) {
            _requireSealedLock(lock, session, window);
            made = bytes.concat(made, lock[:Claims.POINT_BYTES]);
        }
        uint256 minus = withdrawal == 0 ? 0 : Claims.ORDER - withdrawal;
        if (!Claims.cancel(pseudoOutputs, made, minus)) revert Unbalanced();
        if (lock.length != 0) market.fund(session, window, lock[:LOCK_PROOF_AT]);
        if (withdrawal != 0) {
            balance -= withdrawal;
            fiat.safeTransfer(recipient, withdrawal);
            emit Withdrawn(recipient, withdrawal);
        }
    }

    /// @notice Makes a note of an amount that was locked, and proved, before.
    /// @param note 206 bytes.
    function payOut(bytes calldata note) external onlyMarket {
        if (note.length != PUBLIC_BYTES) revert WrongLength("note", note.length);
        _make(note);
    }

    /// @notice Pays an account out of what was locked.
    function release(uint64 amount, address to) external onlyMarket {
        balance -= amount;
        fiat.safeTransfer(to, amount);
        emit Released(to, amount);
    }

    /// @notice Takes money in from an account that approved it, for amounts that the market will pay out.
    function collect(uint64 amount, address from) external onlyMarket {
        balance += amount;
        fiat.safeTransferFrom(from, address(this), amount);
        emit Collected(from, amount);
    }

    /// @notice The notes of a closed bin, key and commitment of each.
    function bin(uint32 number) external view returns (bytes memory) {
        if (number >= _bins.length) revert BinNotClosed(number);
        return DataContract.read(_bins[number]);
    }

    /// @notice How many bins are closed.
    function binCount() external view returns (uint32) {
        return uint32(_bins.length);
    }

    /// @notice The notes that wait for their bin to be full, key and commitment of each.
    function openBin() external view returns (bytes memory) {
        return _openNotes(noteCount % BIN_NOTES);
    }

    /// @notice Whether the note with this key image is spent.
    function isSpent(bytes calldata image) external view returns (bool) {
        return _spent[keccak256(image)];
    }

    /// @notice How many notes of the open bin an account may still deposit.
    function depositsLeft(address account) external view returns (uint256) {
        Deposits storage made = _deposits[account];
        return MAX_DEPOSITS - (made.number == noteCount / BIN_NOTES ? made.notes : 0);
    }

    function _requireProved() private view {
        bytes32 hashed = keccak256(abi.encodePacked("gridpact/shielded/v1", keccak256(msg.data)));
        address expected = address(uint160(uint256(hashed)));
        if (msg.sender != expected) revert NotProved(msg.sender, expected);
    }

    function _requireSealedLock(bytes calldata lock, address session, uint64 window) private view {
        bytes32 message =
            keccak256(abi.encode("gridpact/lock/v1", block.chainid, address(this), session, window));
        bytes memory sealed_ = bytes.concat(lock[Claims.POINT_BYTES:LOCK_PROOF_AT], lock[:Claims.POINT_BYTES]);
        if (!Claims.sameAmount(message, sealedMeters.jointKeyOf(window), sealed_, lock[LOCK_PROOF_AT:])) {
            revert LockNotSealed(session, window);
        }
    }

    /// @dev Before they are made.
    function _countDeposits(uint256 count) private {
        Deposits memory made = _deposits[msg.sender];
        for (uint256 i = 0; i < count; ++i) {
            uint32 number = uint32((noteCount + i) / BIN_NOTES);
            if (made.number != number) made = Deposits(number, 0);
            if (made.notes == MAX_DEPOSITS) revert TooManyDeposits(msg.sender, number);
            ++made.notes;
        }
        _deposits[msg.sender] = made;
    }

    /// @dev Marks the images as spent; returns the pseudo-outputs.
    function _takeImages(bytes calldata spends) private returns (bytes memory pseudoOutputs) {
        bytes memory images;
        for (uint256 at = 0; at < spends.length; at += SPEND_BYTES) {
            uint32 number = uint32(bytes4(spends[at:at + 4]));
            if (number >= _bins.length) revert BinNotClosed(number);
            bytes calldata image = spends[at + 4:at + 37];
            bytes32 hashed = keccak256(image);
            if (_spent[hashed]) revert ImageSpent(image);
            _spent[hashed] = true;
            images = bytes.concat(images, image);
            pseudoOutputs = bytes.concat(pseudoOutputs, spends[at + 37:at + SPEND_BYTES]);
        }
        emit Spent(images);
    }

    /// @dev Makes notes that prove themselves; returns their commitments.
    function _makeProved(bytes calldata notes, uint256 count) private returns (bytes memory commitments) {
        bytes memory jointKey = sealedMeters.jointKeyOf(_window());
        for (uint256 i = 0; i < count; ++i) {
            bytes calldata note = notes[i * NOTE_BYTES:(i + 1) * NOTE_BYTES];
            _make(note[:PUBLIC_BYTES]);
            bytes calldata key = note[:COMMITMENT_AT];
            bytes calldata commitment = note[COMMITMENT_AT:EPHEMERAL_AT];
            bytes32 message = keccak256(abi.encode("gridpact/note/v1", block.chainid, address(this), key));
            bytes memory sealed_ = bytes.concat(note[SEALED_AT:PUBLIC_BYTES], commitment);
            if (!Claims.sameAmount(message, jointKey, sealed_, note[PUBLIC_BYTES:])) revert NoteNotSealed(key);
            commitments = bytes.concat(commitments, commitment);
        }
    }

    /// @dev Its points are read here, because one that is none would keep all notes of its bin from being spent.
    function _make(bytes calldata note) private {
        bytes calldata key = note[:COMMITMENT_AT];
        if (!Claims.arePoints(note[:99]) || !Claims.arePoints(note[SEALED_AT:PUBLIC_BYTES])) revert NotANote(key);
        bytes32 hashed = keccak256(key);
        if (_keys[hashed]) revert KeyUsed(key);
        _keys[hashed] = true;
        uint64 index = noteCount++;
        _open[index % BIN_NOTES] = OpenNote({
            keyX: bytes32(note[1:COMMITMENT_AT]),
            commitmentX: bytes32(note[COMMITMENT_AT + 1:EPHEMERAL_AT]),
            keyPrefix: uint8(note[0]),
            commitmentPrefix: uint8(note[COMMITMENT_AT])
        });
        emit NoteMade(index, note);
        if (noteCount % BIN_NOTES == 0) {
            address closed = DataContract.write(_openNotes(BIN_NOTES));
            emit BinClosed(uint32(_bins.length), closed);
            _bins.push(closed);
        }
    }

    /// @dev The current window; before the first one it is that.
    function _window() private view returns (uint64 window) {
        if (block.timestamp >= _windowZeroS) (window,) = currentWindow();
    }

    function _openNotes(uint256 count) private view returns (bytes memory notes) {
        for (uint256 i = 0; i < count; ++i) {
            OpenNote storage note = _open[i];
            notes = abi.encodePacked(notes, note.keyPrefix, note.keyX, note.commitmentPrefix, note.commitmentX);
        }
    }
}
