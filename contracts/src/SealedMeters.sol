// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Auditor, AuditorBook} from "./AuditorBook.sol";
import {Claims} from "./Claims.sol";
import {Schedule, WindowClock} from "./WindowClock.sol";

/// @title Meters whose readings nobody can read, and the street's balance that everybody can check
/// @notice A certified meter attests every quarter-hour's import and export as commitments, each with a ciphertext to
/// the auditors' joint key and a proof that both hold the same amount. Once a window is closed, enough auditors together
/// open one sum over all meters and nothing else; the contract checks it, and the feeder's reading stands beside it.
/// @dev Sources: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.2 (amounts
/// hidden by commitments); Desmedt and Frankel 1989 (threshold ElGamal). Readings of a window add up as points.
contract SealedMeters is AuditorBook {
    using Claims for Claims.Point;

    /// @notice A certified meter and its household.
    struct Meter {
        address meter;
        address household;
    }

    /// @notice One direction of a quarter: ciphertext R and M, commitment C (33 bytes each), proof (128 bytes).
    struct Sealed {
        bytes points;
        bytes proof;
    }

    /// @notice Commitments to what a household's meter attested of a window so far, and how many quarters that is.
    struct SealedReading {
        Claims.Point importWh;
        Claims.Point exportWh;
        uint16 quarters;
    }

    /// @notice A window's sums over all meters: encrypted until enough auditors have opened them.
    struct Balance {
        Claims.Point[4] sums;
        uint32 quarters;
        bool closed;
        bool opened;
        uint64 importWh;
        uint64 exportWh;
        bool fed;
        uint64 feederImportWh;
        uint64 feederExportWh;
    }

    /// @notice What stands in an opened balance; losses are what the feeder brought more than all meters took.
    struct BalanceView {
        uint32 quarters;
        bool closed;
        bool opened;
        bool fed;
        uint64 importWh;
        uint64 exportWh;
        uint64 feederImportWh;
        uint64 feederExportWh;
        int64 lossesWh;
    }

    uint256 public constant MAX_METERS = 128;
    uint256 private constant PROOF_BYTES = 128;
    uint256 private constant EQUALITY_BYTES = 64;
    /// @notice No sum of a window is as large: 128 meters of 100 kW for a day.
    uint64 public constant MAX_SUM_WH = 1 << 32;
    uint256 private constant R_IMPORT = 0;
    uint256 private constant M_IMPORT = 1;
    uint256 private constant R_EXPORT = 2;
    uint256 private constant M_EXPORT = 3;

    address public immutable feederMeter;
    address[] private _meterList;
    mapping(address meter => address household) private _householdOf;
    /// @notice The meter of a household; zero if it has none here.
    mapping(address household => address meter) public meterOf;
    mapping(address meter => uint64) private _nextQuarter;
    mapping(address household => mapping(uint64 window => SealedReading)) private _readings;
    mapping(uint64 window => Balance) private _balances;
    mapping(uint64 window => mapping(uint16 auditor => bytes[2])) private _parts;

    /// @notice A meter attested a quarter.
    event SealedAttested(
        address indexed meter, address indexed household, uint64 indexed quarter, bytes importPoints, bytes exportPoints
    );
    /// @notice Nothing is attested of this window any more; these are the sums (R, M of import, R, M of export).
    event WindowClosed(uint64 indexed window, uint32 quarters, uint32 expected, bytes sums);
    /// @notice An auditor gave its parts of the opening of a window's sums.
    event PartGiven(uint64 indexed window, uint16 indexed auditor, bytes importPart, bytes exportPart);
    /// @notice Enough auditors opened a window's sums.
    event BalanceOpened(uint64 indexed window, uint64 importWh, uint64 exportWh, uint16[] auditors);
    /// @notice What the feeder of the street brought and took back in a window.
    event FeederAttested(uint64 indexed window, uint64 importWh, uint64 exportWh);

    /// @notice The genesis file's meters do not add up.
    error InvalidSealing(string reason, uint256 index);
    /// @notice Only a certified meter may attest, with its own key.
    error NotASealedMeter(address sender);
    /// @notice Only an auditor may give parts, with its own account.
    error NotAnAuditor(address sender);
    /// @notice Only the feeder's meter may attest for the feeder, once a window.
    error NotTheFeeder(address sender, uint64 window);
    /// @notice The quarter is not over yet.
    error SealedQuarterNotOver(address meter, uint64 quarter, uint256 endsAtS, uint256 nowS);
    /// @notice The meter has already attested this quarter or a later one.
    error SealedQuarterNotNew(address meter, uint64 quarter, uint64 nextQuarter);
    /// @notice Ciphertext and commitment are not shown to hold the same amount, or have another length.
    error NotSealed(address meter, uint64 quarter, bool isExport);
    /// @notice The window is closed: what came late counts as zero for good, so that no second sum tells it.
    error WindowIsClosed(uint64 window);
    /// @notice The window is not closed yet, or cannot be: readings are missing and the deadline has not passed.
    error WindowIsOpen(uint64 window, uint32 quarters, uint32 expected, uint64 closableFromWindow);
    /// @notice The part is not shown to be made with the auditor's share for these sums.
    error InvalidPart(uint64 window, uint16 auditor, bool isExport);
    /// @notice Fewer auditors than the threshold, out of order, or one that gave no parts.
    error NotEnoughParts(uint64 window, uint256 given, uint16 needed);
    /// @notice These are not the sums that the parts open.
    error AnotherSum(uint64 window, bool isExport);

    constructor(
        Schedule memory schedule_,
        Meter[] memory meters,
        AuditorSet memory auditors_,
        address feederMeter_,
        address consortium
    ) WindowClock(schedule_) AuditorBook(auditors_, consortium) {
        if (meters.length == 0 || meters.length > MAX_METERS) revert InvalidSealing("number of meters", meters.length);
        for (uint256 i = 0; i < meters.length; ++i) {
            (address meter, address household) = (meters[i].meter, meters[i].household);
            if (meter == address(0) || household == address(0)) revert InvalidSealing("a zero address", i);
            if (_householdOf[meter] != address(0)) revert InvalidSealing("a meter twice", i);
            if (meterOf[household] != address(0)) revert InvalidSealing("a household twice", i);
            (_householdOf[meter], meterOf[household]) = (household, meter);
            _meterList.push(meter);
        }
        feederMeter = feederMeter_;
    }

    /// @notice Attests one quarter; sent by the meter itself.
    function attest(uint64 quarter, Sealed calldata imported, Sealed calldata exported) external onlyDirect {
        address household = _householdOf[msg.sender];
        if (household == address(0)) revert NotASealedMeter(msg.sender);
        uint256 endsAtS = _windowZeroS + (uint256(quarter) + 1) * _quarterLengthS;
        if (block.timestamp < endsAtS) {
            revert SealedQuarterNotOver(msg.sender, quarter, endsAtS, block.timestamp);
        }
        uint64 next = _nextQuarter[msg.sender];
        if (quarter < next) revert SealedQuarterNotNew(msg.sender, quarter, next);
        uint64 window = quarter / _quartersPerWindow;
        Balance storage balance = _balances[window];
        if (balance.closed) revert WindowIsClosed(window);
        _nextQuarter[msg.sender] = quarter + 1;
        SealedReading storage reading = _readings[household][window];
        reading.quarters += 1;
        balance.quarters += 1;
        bytes memory jointKey = _setOf(window).jointKey;
        _take(balance, reading.importWh, R_IMPORT, quarter, imported, jointKey);
        _take(balance, reading.exportWh, R_EXPORT, quarter, exported, jointKey);
        emit SealedAttested(msg.sender, household, quarter, imported.points, exported.points);
    }

    /// @notice Closes a window: when every meter has attested all of it, or when the deadline has passed. Anyone may.
    function closeWindow(uint64 window) external onlyDirect {
        Balance storage balance = _balances[window];
        if (balance.closed) revert WindowIsClosed(window);
        uint32 expected = uint32(_meterList.length * _quartersPerWindow);
        (uint64 now_,) = currentWindow();
        uint64 closable = window + 1 + _settlementDeadlineWindows;
        if (balance.quarters < expected && now_ < closable) {
            revert WindowIsOpen(window, balance.quarters, expected, closable);
        }
        balance.closed = true;
        emit WindowClosed(window, balance.quarters, expected, sums(window));
    }

    /// @notice Gives an auditor's parts of the opening of a closed window's two sums, each with its proof.
    function givePart(uint64 window, uint16 auditor, bytes[2] calldata parts, bytes[2] calldata proofs)
        external
        onlyDirect
    {
        Auditor[] storage known = _setOf(window).auditors;
        if (auditor == 0 || auditor > known.length || known[auditor - 1].account != msg.sender) {
            revert NotAnAuditor(msg.sender);
        }
        Balance storage balance = _requireClosed(window);
        for (uint256 i = 0; i < 2; ++i) {
            bool holds = parts[i].length == Claims.POINT_BYTES && proofs[i].length == EQUALITY_BYTES
                && Claims.partHolds(
                    auditor,
                    request(window, i == 1),
                    known[auditor - 1].publicShare,
                    balance.sums[2 * i].load(),
                    parts[i],
                    proofs[i]
                );
            if (!holds) revert InvalidPart(window, auditor, i == 1);
        }
        _parts[window][auditor] = parts;
        emit PartGiven(window, auditor, parts[0], parts[1]);
    }

    /// @notice Puts the sums of a window on record, which the parts of these auditors open to. Anyone may.
    /// @param by the auditors whose parts are used, rising; exactly as many as the threshold.
    function openBalance(uint64 window, uint64 importWh, uint64 exportWh, uint16[] calldata by)
        external
        onlyDirect
    {
        Balance storage balance = _requireClosed(window);
        uint16 threshold = _setOf(window).threshold;
        if (by.length != threshold) revert NotEnoughParts(window, by.length, threshold);
        uint64[2] memory amounts = [importWh, exportWh];
        uint256[] memory weights = new uint256[](by.length);
        bytes[][2] memory parts = [new bytes[](by.length), new bytes[](by.length)];
        for (uint256 i = 0; i < by.length; ++i) {
            bytes[2] storage given = _parts[window][by[i]];
            if (given[0].length == 0 || (i > 0 && by[i] <= by[i - 1])) {
                revert NotEnoughParts(window, i, threshold);
            }
            weights[i] = Claims.weight(by[i], by);
            (parts[0][i], parts[1][i]) = (given[0], given[1]);
        }
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory masked = balance.sums[2 * i + 1].load();
            if (amounts[i] >= MAX_SUM_WH || !Claims.opensTo(masked, amounts[i], parts[i], weights)) {
                revert AnotherSum(window, i == 1);
            }
        }
        (balance.opened, balance.importWh, balance.exportWh) = (true, importWh, exportWh);
        emit BalanceOpened(window, importWh, exportWh, by);
    }

    /// @notice Attests what the feeder brought to the street and took from it in a window that is over, once.
    function attestFeeder(uint64 window, uint64 importWh, uint64 exportWh) external onlyDirect {
        Balance storage balance = _balances[window];
        if (msg.sender != feederMeter || balance.fed) revert NotTheFeeder(msg.sender, window);
        uint256 endsAtS = _windowZeroS + (uint256(window) + 1) * _windowLengthS;
        if (block.timestamp < endsAtS) revert SealedQuarterNotOver(msg.sender, window, endsAtS, block.timestamp);
        (balance.fed, balance.feederImportWh, balance.feederExportWh) = (true, importWh, exportWh);
        emit FeederAttested(window, importWh, exportWh);
    }

    /// @notice A window's sums, opened or not, beside the feeder's reading; losses only where both are there.
    function balanceOf(uint64 window) external view returns (BalanceView memory) {
        Balance storage balance = _balances[window];
        int64 losses = 0;
        if (balance.opened && balance.fed) {
            losses = int64(balance.feederImportWh) - int64(balance.feederExportWh)
                - (int64(balance.importWh) - int64(balance.exportWh));
        }
        return BalanceView({
            quarters: balance.quarters,
            closed: balance.closed,
            opened: balance.opened,
            fed: balance.fed,
            importWh: balance.importWh,
            exportWh: balance.exportWh,
            feederImportWh: balance.feederImportWh,
            feederExportWh: balance.feederExportWh,
            lossesWh: losses
        });
    }

    /// @notice The commitments to what a household's meter attested of a window, and how many quarters that is.
    function sealedReading(address household, uint64 window)
        external
        view
        returns (bytes memory importWh, bytes memory exportWh, uint16 quarters)
    {
        SealedReading storage reading = _readings[household][window];
        return (reading.importWh.load(), reading.exportWh.load(), reading.quarters);
    }

    /// @notice The first quarter that a meter may still attest.
    function nextQuarter(address meter) external view returns (uint64) {
        return _nextQuarter[meter];
    }

    /// @notice The encrypted sums of a window: R, M of the imports, R, M of the exports.
    function sums(uint64 window) public view returns (bytes memory) {
        Balance storage balance = _balances[window];
        return abi.encodePacked(
            balance.sums[0].load(), balance.sums[1].load(), balance.sums[2].load(), balance.sums[3].load()
        );
    }

    /// @notice What an auditor's proof is bound to: this chain, this contract, the window, the direction.
    function request(uint64 window, bool isExport) public view returns (bytes32) {
        return keccak256(abi.encode("gridpact/balance/v1", block.chainid, address(this), window, isExport));
    }

    /// @notice What a meter's proof is bound to: this chain, this contract, the meter, the quarter, the direction.
    function sealMessage(address meter, uint64 quarter, bool isExport) public view returns (bytes32) {
        return keccak256(abi.encode("gridpact/reading/v1", block.chainid, address(this), meter, quarter, isExport));
    }

    function _take(
        Balance storage balance,
        Claims.Point storage reading,
        uint256 place,
        uint64 quarter,
        Sealed calldata sealed_,
        bytes memory jointKey
    ) private {
        bool isExport = place == R_EXPORT;
        if (
            sealed_.points.length != 3 * Claims.POINT_BYTES || sealed_.proof.length != PROOF_BYTES
                || !Claims.sameAmount(
                    sealMessage(msg.sender, quarter, isExport), jointKey, sealed_.points, sealed_.proof
                )
        ) revert NotSealed(msg.sender, quarter, isExport);
        _addTo(balance.sums[place], sealed_.points[:33]);
        _addTo(balance.sums[place + 1], sealed_.points[33:66]);
        _addTo(reading, sealed_.points[66:]);
    }

    function _addTo(Claims.Point storage place, bytes memory point) private {
        place.store(Claims.add(place.load(), point));
    }

    function _requireClosed(uint64 window) private view returns (Balance storage balance) {
        balance = _balances[window];
        if (!balance.closed) {
            uint32 expected = uint32(_meterList.length * _quartersPerWindow);
            revert WindowIsOpen(window, balance.quarters, expected, window + 1 + _settlementDeadlineWindows);
        }
    }
}
