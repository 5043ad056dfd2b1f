// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claims} from "./Claims.sol";

/// @title Amounts that nobody reads, and that add up: a commitment, and the same under the auditors' joint key
/// @notice C = v·H + γ·G, R = ρ·G, M = v·H + ρ·Y, in this order, 33 bytes each. Whatever is done to the commitment is
/// done to the ciphertext, so that the auditors can open every amount that comes of it.
/// @dev Points are read before they come here: what cannot be added up is our own fault.
library HiddenAmounts {
    /// @notice An amount as it is stored: x of C, R and M, and the first bytes of their encodings.
    struct Amount {
        bytes32 commitment;
        bytes32 ephemeral;
        bytes32 masked;
        uint8 commitmentPrefix;
        uint8 ephemeralPrefix;
        uint8 maskedPrefix;
    }

    uint256 internal constant AMOUNT_BYTES = 99;
    address private constant SUM = address(0x4704);

    /// @notice C ‖ R ‖ M; zeros for what was never stored.
    function load(Amount storage place) internal view returns (bytes memory) {
        return abi.encodePacked(
            place.commitmentPrefix,
            place.commitment,
            place.ephemeralPrefix,
            place.ephemeral,
            place.maskedPrefix,
            place.masked
        );
    }

    /// @notice Stores C ‖ R ‖ M.
    function store(Amount storage place, bytes memory amount) internal {
        assert(amount.length == AMOUNT_BYTES);
        (place.commitment, place.ephemeral, place.masked) = (_word(amount, 1), _word(amount, 34), _word(amount, 67));
        (place.commitmentPrefix, place.ephemeralPrefix, place.maskedPrefix) =
            (uint8(amount[0]), uint8(amount[33]), uint8(amount[66]));
    }

    /// @notice A commitment or a ciphertext of an amount, or a point of any row of points.
    function slice(bytes memory points, uint256 at, uint256 length) internal pure returns (bytes memory found) {
        found = new bytes(length);
        assembly ("memory-safe") {
            mcopy(add(found, 32), add(add(points, 32), at), length)
        }
    }

    /// @notice What every point on the left gives with a factor times its counterpart on the right.
    /// @param factor below the order of the group; `Claims.ORDER - f` takes f times away.
    function plus(bytes memory left, uint256 factor, bytes memory right) internal view returns (bytes memory sum) {
        assert(left.length == right.length);
        if (factor == 0) return left;
        sum = new bytes(0);
        for (uint256 at = 0; at < left.length; at += Claims.POINT_BYTES) {
            sum = bytes.concat(
                sum,
                _plus(slice(left, at, Claims.POINT_BYTES), factor, slice(right, at, Claims.POINT_BYTES))
            );
        }
    }

    /// @notice The opposite of a factor.
    function minus(uint256 factor) internal pure returns (uint256) {
        return factor == 0 ? 0 : Claims.ORDER - factor;
    }

    function _plus(bytes memory left, uint256 factor, bytes memory right) private view returns (bytes memory sum) {
        if (Claims.isIdentity(right)) return left;
        bytes memory terms = Claims.isIdentity(left)
            ? abi.encodePacked(uint16(1), uint16(1), uint8(2), factor, right)
            : abi.encodePacked(uint16(2), uint16(1), uint8(2), factor, right, uint8(0), left);
        bool success;
        (success, sum) = SUM.staticcall(terms);
        assert(success && sum.length == Claims.POINT_BYTES);
    }

    function _word(bytes memory data, uint256 from) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), from))
        }
    }
}
