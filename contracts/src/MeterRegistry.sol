// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ContractDomain} from "./ContractDomain.sol";
import {Schedule, WindowClock} from "./WindowClock.sol";

/// @title Certified meters and what they attest
/// @notice A meter is an oracle with a key of its own, bound to one household. It attests every quarter-hour's import
/// and export registers apart, once, when the quarter is over, and sends the transaction itself: whoever is no
/// certified meter cannot attest anything.
/// @dev Sources: Perekalskiy et al., section IV, eq. (1) and Table I (status report); Mezquita et al., "Multi-Agent
/// Architecture for Peer-to-Peer Electricity Trading", section II-A (meters as sealed, audited oracles).
contract MeterRegistry is ContractDomain, WindowClock {
    /// @notice A certified meter; `connection` is its point of the street's grid.
    struct Meter {
        address meter;
        uint32 maxPowerW;
        address household;
        string connection;
    }

    /// @notice What a meter attested of one quarter.
    struct QuarterReading {
        uint32 importWh;
        uint32 exportWh;
        uint64 attestedAtS;
    }

    /// @notice What a household's meter has attested of one window so far.
    struct WindowReading {
        uint48 importWh;
        uint48 exportWh;
        uint16 quarters;
    }

    enum Intention {
        None,
        Sell,
        Buy,
        Alert
    }

    /// @notice The last status report of a household.
    struct Status {
        uint64 reportedAtS;
        uint32 generationW;
        uint32 consumptionW;
        uint32 storedWh;
        int64 availableWh;
        Intention intention;
    }

    /// @notice The most meters that a genesis file may certify: more would not fit a constructor (EIP-3860).
    uint256 public constant MAX_METERS = 128;
    /// @notice The most quarters of one transaction: a day.
    uint256 public constant MAX_BATCH = 96;

    address[] private _meterList;
    mapping(address meter => Meter) private _meters;
    mapping(address household => address meter) private _meterOf;
    mapping(address meter => uint64) private _nextQuarter;
    mapping(address household => mapping(uint64 quarter => QuarterReading)) private _quarterReadings;
    mapping(address household => mapping(uint64 window => WindowReading)) private _windowReadings;
    mapping(address household => Status) private _statuses;

    /// @notice A meter was certified for a household.
    event MeterCertified(address indexed meter, address indexed household, string connection, uint32 maxPowerW);
    /// @notice A meter attested a quarter.
    event Attested(
        address indexed meter,
        address indexed household,
        uint64 indexed window,
        uint64 quarter,
        uint32 importWh,
        uint32 exportWh
    );
    /// @notice A meter reported its household's state, available energy and intention.
    event StatusReported(
        address indexed meter,
        address indexed household,
        uint32 generationW,
        uint32 consumptionW,
        uint32 storedWh,
        int64 availableWh,
        Intention intention
    );

    /// @notice The genesis file's meters do not add up.
    error InvalidMeter(string reason, uint256 index);
    /// @notice Only a certified meter may attest or report, with its own key.
    error NotAMeter(address sender);
    /// @notice The quarter is not over yet.
    error QuarterNotOver(address meter, uint64 quarter, uint256 endsAtS, uint256 nowS);
    /// @notice The meter has already attested this quarter or a later one.
    error QuarterNotNew(address meter, uint64 quarter, uint64 nextQuarter);
    /// @notice The reading is more than the connection can carry in a quarter.
    error ImplausibleReading(address meter, uint64 quarter, uint32 readingWh, uint256 limitWh);
    /// @notice A batch has as many imports as exports, at least one and not more than the limit.
    error InvalidBatch(uint256 imports, uint256 exports, uint256 limit);

    constructor(Schedule memory schedule_, Meter[] memory meters) WindowClock(schedule_) {
        if (meters.length > MAX_METERS) revert InvalidMeter("too many meters", meters.length);
        for (uint256 i = 0; i < meters.length; ++i) {
            _certify(meters[i], i);
        }
    }

    /// @notice Attests one quarter; sent by the meter itself.
    /// @param quarter quarters since window zero began, from 0.
    function attest(uint64 quarter, uint32 importWh, uint32 exportWh) external onlyDirect {
        _attest(_sender(), quarter, importWh, exportWh);
    }

    /// @notice Attests consecutive quarters from `firstQuarter` on: a meter that was cut off catches up.
    function attestBatch(uint64 firstQuarter, uint32[] calldata importWh, uint32[] calldata exportWh)
        external
        onlyDirect
    {
        if (importWh.length != exportWh.length || importWh.length == 0 || importWh.length > MAX_BATCH) {
            revert InvalidBatch(importWh.length, exportWh.length, MAX_BATCH);
        }
        Meter storage meter = _sender();
        for (uint256 i = 0; i < importWh.length; ++i) {
            _attest(meter, firstQuarter + uint64(i), importWh[i], exportWh[i]);
        }
    }

    /// @notice Reports the household's state: D = P_gen * T - P_c * T + S_b over one window T, sell for D > 0, buy for
    /// D < 0. |D| above what the connection carries in T is an alert, which is judged first.
    /// @dev Perekalskiy et al., eq. (1), Table I. D is available energy (the paper's text calls it demand). The energy
    /// of (P_gen - P_c) * T is rounded towards zero to a watt-hour.
    function reportStatus(uint32 generationW, uint32 consumptionW, uint32 storedWh) external onlyDirect {
        Meter storage meter = _sender();
        int256 powerW = int256(uint256(generationW)) - int256(uint256(consumptionW));
        int256 availableWh = powerW * int256(uint256(_windowLengthS)) / 3600 + int256(uint256(storedWh));
        int256 limitWh = int256(uint256(meter.maxPowerW) * _windowLengthS / 3600);
        Intention intention = Intention.None;
        if (availableWh > limitWh || availableWh < -limitWh) intention = Intention.Alert;
        else if (availableWh > 0) intention = Intention.Sell;
        else if (availableWh < 0) intention = Intention.Buy;
        _statuses[meter.household] = Status({
            reportedAtS: uint64(block.timestamp),
            generationW: generationW,
            consumptionW: consumptionW,
            storedWh: storedWh,
            availableWh: int64(availableWh),
            intention: intention
        });
        emit StatusReported(
            meter.meter, meter.household, generationW, consumptionW, storedWh, int64(availableWh), intention
        );
    }

    /// @notice What the household's meter attested of `window`, and whether that is all of it.
    function windowReading(address household, uint64 window)
        external
        view
        returns (uint48 importWh, uint48 exportWh, uint16 quarters, bool complete)
    {
        WindowReading storage reading = _windowReadings[household][window];
        return (reading.importWh, reading.exportWh, reading.quarters, reading.quarters == _quartersPerWindow);
    }

    /// @notice What the household's meter attested of `quarter`; `attestedAtS` is 0 if nothing.
    function quarterReading(address household, uint64 quarter) external view returns (QuarterReading memory) {
        return _quarterReadings[household][quarter];
    }

    /// @notice The first quarter that `meter` may still attest.
    function nextQuarter(address meter) external view returns (uint64) {
        return _nextQuarter[meter];
    }

    /// @notice The last status report of a household; `reportedAtS` is 0 if there is none.
    function status(address household) external view returns (Status memory) {
        return _statuses[household];
    }

    /// @notice The meter of a household; zero if it has none.
    function meterOf(address household) external view returns (address) {
        return _meterOf[household];
    }

    /// @notice A certified meter; all zero if it is none.
    function getMeter(address meter) external view returns (Meter memory) {
        return _meters[meter];
    }

    /// @notice The certified meters from `offset` on, at most `limit`.
    function getMeters(uint256 offset, uint256 limit) external view returns (Meter[] memory page, uint256 total) {
        total = _meterList.length;
        uint256 first = offset < total ? offset : total;
        uint256 count = total - first < limit ? total - first : limit;
        page = new Meter[](count);
        for (uint256 i = 0; i < count; ++i) {
            page[i] = _meters[_meterList[first + i]];
        }
    }

    /// @notice Quarters in a window.
    function quartersPerWindow() external view returns (uint32) {
        return _quartersPerWindow;
    }

    function _certify(Meter memory meter, uint256 index) private {
        if (meter.meter == address(0) || meter.household == address(0)) revert InvalidMeter("a zero address", index);
        if (meter.meter == meter.household) revert InvalidMeter("the meter's key is the household's", index);
        if (meter.maxPowerW == 0) revert InvalidMeter("a connection without power", index);
        if (_meters[meter.meter].meter != address(0)) revert InvalidMeter("a meter twice", index);
        if (_meterOf[meter.household] != address(0)) revert InvalidMeter("a household twice", index);
        _meterList.push(meter.meter);
        _meters[meter.meter] = meter;
        _meterOf[meter.household] = meter.meter;
        emit MeterCertified(meter.meter, meter.household, meter.connection, meter.maxPowerW);
    }

    function _attest(Meter storage meter, uint64 quarter, uint32 importWh, uint32 exportWh) private {
        uint256 endsAtS = _windowZeroS + (uint256(quarter) + 1) * _quarterLengthS;
        if (block.timestamp < endsAtS) revert QuarterNotOver(meter.meter, quarter, endsAtS, block.timestamp);
        uint64 next = _nextQuarter[meter.meter];
        if (quarter < next) revert QuarterNotNew(meter.meter, quarter, next);
        uint256 limitWh = uint256(meter.maxPowerW) * _quarterLengthS / 3600;
        uint32 largestWh = importWh > exportWh ? importWh : exportWh;
        if (largestWh > limitWh) revert ImplausibleReading(meter.meter, quarter, largestWh, limitWh);

        uint64 window = quarter / _quartersPerWindow;
        _nextQuarter[meter.meter] = quarter + 1;
        _quarterReadings[meter.household][quarter] =
            QuarterReading({importWh: importWh, exportWh: exportWh, attestedAtS: uint64(block.timestamp)});
        WindowReading storage reading = _windowReadings[meter.household][window];
        reading.importWh += importWh;
        reading.exportWh += exportWh;
        reading.quarters += 1;
        emit Attested(meter.meter, meter.household, window, quarter, importWh, exportWh);
    }

    function _sender() private view returns (Meter storage meter) {
        meter = _meters[msg.sender];
        if (meter.meter == address(0)) revert NotAMeter(msg.sender);
    }
}
