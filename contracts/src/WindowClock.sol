// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice When windows and quarters begin, and how a trading window is divided.
/// @dev All times in chain seconds. Window w is [windowZeroS + w * windowLengthS, + windowLengthS).
struct Schedule {
    uint64 windowZeroS;
    uint32 windowLengthS;
    uint32 quarterLengthS;
    uint32 negotiationCloseS;
    uint32 recordingMarginS;
    uint32 settlementDeadlineWindows;
}

/// @title Window arithmetic, the only use that these contracts make of the block's timestamp
/// @dev Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.1 (windows of
/// an hour, negotiation until minute 55, a margin of 5 minutes to record the agreements).
abstract contract WindowClock {
    uint64 internal immutable _windowZeroS;
    uint32 internal immutable _windowLengthS;
    uint32 internal immutable _quarterLengthS;
    uint32 internal immutable _negotiationCloseS;
    uint32 internal immutable _recordingMarginS;
    uint32 internal immutable _settlementDeadlineWindows;
    uint32 internal immutable _quartersPerWindow;

    /// @notice The genesis schedule does not add up: lengths are positive, quarters divide the window, and the
    /// recording margin ends within it.
    error InvalidSchedule(Schedule schedule);
    /// @notice The first window has not begun.
    error BeforeFirstWindow(uint256 nowS, uint256 windowZeroS);

    constructor(Schedule memory schedule_) {
        if (
            schedule_.windowLengthS == 0 || schedule_.quarterLengthS == 0
                || schedule_.windowLengthS % schedule_.quarterLengthS != 0
                || schedule_.windowLengthS / schedule_.quarterLengthS > 96 || schedule_.negotiationCloseS == 0
                || schedule_.recordingMarginS == 0
                || uint256(schedule_.negotiationCloseS) + schedule_.recordingMarginS > schedule_.windowLengthS
                || schedule_.settlementDeadlineWindows == 0
        ) revert InvalidSchedule(schedule_);
        _windowZeroS = schedule_.windowZeroS;
        _windowLengthS = schedule_.windowLengthS;
        _quarterLengthS = schedule_.quarterLengthS;
        _negotiationCloseS = schedule_.negotiationCloseS;
        _recordingMarginS = schedule_.recordingMarginS;
        _settlementDeadlineWindows = schedule_.settlementDeadlineWindows;
        _quartersPerWindow = schedule_.windowLengthS / schedule_.quarterLengthS;
    }

    /// @notice The schedule of the genesis file.
    function schedule() external view returns (Schedule memory) {
        return Schedule({
            windowZeroS: _windowZeroS,
            windowLengthS: _windowLengthS,
            quarterLengthS: _quarterLengthS,
            negotiationCloseS: _negotiationCloseS,
            recordingMarginS: _recordingMarginS,
            settlementDeadlineWindows: _settlementDeadlineWindows
        });
    }

    /// @notice The window that the chain's clock is in, and the seconds since it began.
    function currentWindow() public view returns (uint64 window, uint32 elapsedS) {
        if (block.timestamp < _windowZeroS) revert BeforeFirstWindow(block.timestamp, _windowZeroS);
        uint256 sinceZeroS = block.timestamp - _windowZeroS;
        window = uint64(sinceZeroS / _windowLengthS);
        elapsedS = uint32(sinceZeroS % _windowLengthS);
    }
}
