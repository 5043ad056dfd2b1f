// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Points of secp256k1 and claims about them, by the chain's precompiled contracts
/// @notice Commitments and ciphertexts are points, 33 bytes each (SEC 1, compressed; zeros for the identity).
/// @dev The encodings are those of the node's `privacy/claims.py`; the precompiled contracts are at 0x4701 to 0x4706.
library Claims {
    /// @notice A point as it is stored: the first byte of its encoding apart, so that several share a slot.
    struct Point {
        bytes32 x;
        uint8 prefix;
    }

    uint256 internal constant POINT_BYTES = 33;
    /// @notice The number of points of secp256k1.
    uint256 internal constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    address private constant RANGE = address(0x4703);
    address private constant SUM = address(0x4704);
    address private constant EQUALITY = address(0x4705);
    uint8 private constant POSSESSION = 1;
    uint8 private constant PART = 2;
    uint8 private constant SAME_AMOUNT = 3;
    uint8 private constant PLUS = 0;
    uint8 private constant MINUS = 1;
    uint8 private constant TIMES = 2;
    uint8 private constant TIMES_VALUE_BASE = 3;

    /// @notice Whether who registers a key knows its secret.
    /// @param role what the key is for: 0 ring, 1 trace, 2 spending, 3 viewing, 4 auditor.
    /// @param domain a hash of chain and contract.
    /// @param epoch from which the key acts.
    function possessed(
        uint8 role,
        bytes32 domain,
        address account,
        uint64 epoch,
        bytes memory key,
        bytes memory proof
    ) internal view returns (bool) {
        return _holds(EQUALITY, abi.encodePacked(POSSESSION, role, domain, account, epoch, key, proof));
    }

    /// @notice Whether a ciphertext and a commitment are to the same amount.
    /// @param sealed_ ciphertext (66 bytes) and commitment (33).
    function sameAmount(bytes32 message, bytes memory jointKey, bytes memory sealed_, bytes memory proof)
        internal
        view
        returns (bool)
    {
        return _holds(EQUALITY, abi.encodePacked(SAME_AMOUNT, message, jointKey, sealed_, proof));
    }

    /// @notice Whether an auditor's part of an opening was made with its share.
    function partHolds(
        uint16 auditor,
        bytes32 request,
        bytes memory publicShare,
        bytes memory base,
        bytes memory part,
        bytes memory proof
    ) internal view returns (bool) {
        return _holds(EQUALITY, abi.encodePacked(PART, auditor, request, publicShare, base, part, proof));
    }

    /// @notice The sum of two points.
    function add(bytes memory left, bytes memory right) internal view returns (bytes memory) {
        if (isIdentity(left)) return right;
        if (isIdentity(right)) return left;
        return _sum(abi.encodePacked(uint16(2), uint16(0), uint8(0), left, uint8(0), right));
    }

    /// @notice Whether bytes are points, one behind the other, none of them the identity.
    function arePoints(bytes calldata points) internal view returns (bool) {
        uint256 count = points.length / POINT_BYTES;
        if (points.length != count * POINT_BYTES) return false;
        bytes memory terms = abi.encodePacked(uint16(count), uint16(0));
        for (uint256 i = 0; i < count; ++i) {
            terms = bytes.concat(terms, hex"00", points[i * POINT_BYTES:(i + 1) * POINT_BYTES]);
        }
        (bool success, bytes memory sum) = SUM.staticcall(terms);
        return success && sum.length == POINT_BYTES;
    }

    /// @notice Whether what commitments hold is below 2^bits, each of them.
    function inRange(uint8 bits, bytes32 message, bytes memory commitments, bytes memory proof)
        internal
        view
        returns (bool)
    {
        uint8 count = uint8(commitments.length / POINT_BYTES);
        return _holds(RANGE, abi.encodePacked(bits, count, message, commitments, proof));
    }

    /// @notice Whether these points, less those, and a scalar times the base of values add up to nothing.
    /// @dev False also if any is no point.
    function cancel(bytes memory plus, bytes memory minus, uint256 scalar) internal view returns (bool) {
        uint256 count = (plus.length + minus.length) / POINT_BYTES;
        bytes memory terms = abi.encodePacked(uint16(count + 1), uint16(1), TIMES_VALUE_BASE, scalar);
        terms = bytes.concat(terms, _terms(PLUS, plus), _terms(MINUS, minus));
        (bool success, bytes memory sum) = SUM.staticcall(terms);
        return success && isIdentity(sum);
    }

    /// @notice Whether M = v·H + the parts by their weights.
    /// @dev Terms: M, then -v times the base of values, then minus each weight times its part.
    function opensTo(bytes memory masked, uint256 amount, bytes[] memory parts, uint256[] memory weights)
        internal
        view
        returns (bool)
    {
        bytes memory terms = abi.encodePacked(
            uint16(parts.length + 2),
            uint16(parts.length + 1),
            uint8(0),
            masked,
            TIMES_VALUE_BASE,
            amount == 0 ? 0 : ORDER - amount
        );
        for (uint256 i = 0; i < parts.length; ++i) {
            terms = abi.encodePacked(terms, TIMES, ORDER - weights[i], parts[i]);
        }
        return isIdentity(_sum(terms));
    }

    /// @notice The weight of auditor `at` among `auditors` when the shares' polynomial is read at zero (Lagrange).
    function weight(uint16 at, uint16[] memory auditors) internal view returns (uint256 found) {
        found = 1;
        uint256 bottom = 1;
        for (uint256 i = 0; i < auditors.length; ++i) {
            uint256 other = auditors[i];
            if (other == at) continue;
            found = mulmod(found, other, ORDER);
            bottom = mulmod(bottom, addmod(other, ORDER - at, ORDER), ORDER);
        }
        return mulmod(found, _inverse(bottom), ORDER);
    }

    /// @notice Whether a point's encoding is the identity's.
    function isIdentity(bytes memory point) internal pure returns (bool) {
        return point.length == POINT_BYTES && keccak256(point) == keccak256(new bytes(POINT_BYTES));
    }

    /// @notice The encoding of a stored point; the identity's, if nothing is stored.
    function load(Point storage point) internal view returns (bytes memory) {
        return abi.encodePacked(point.prefix, point.x);
    }

    /// @notice Stores a point.
    function store(Point storage place, bytes memory point) internal {
        assert(point.length == POINT_BYTES);
        (place.prefix, place.x) = (uint8(point[0]), _word(point, 1));
    }

    function _holds(address checker, bytes memory claim) private view returns (bool) {
        (bool success, bytes memory answer) = checker.staticcall(claim);
        return success && answer.length == 32 && abi.decode(answer, (uint256)) == 1;
    }

    function _sum(bytes memory terms) private view returns (bytes memory sum) {
        bool success;
        (success, sum) = SUM.staticcall(terms);
        assert(success && sum.length == POINT_BYTES); // what is added up was read by a claim before
    }

    /// @dev Each point behind the kind of its term.
    function _terms(uint8 kind, bytes memory points) private pure returns (bytes memory terms) {
        uint256 count = points.length / POINT_BYTES;
        terms = new bytes(count * (1 + POINT_BYTES));
        for (uint256 i = 0; i < count; ++i) {
            assembly ("memory-safe") {
                let to := add(add(terms, 32), mul(i, 34))
                mstore8(to, kind)
                mcopy(add(to, 1), add(add(points, 32), mul(i, 33)), 33)
            }
        }
    }

    function _inverse(uint256 number) private view returns (uint256) {
        (bool success, bytes memory answer) = address(5).staticcall(
            abi.encodePacked(uint256(32), uint256(32), uint256(32), number, ORDER - 2, ORDER)
        );
        assert(success);
        return abi.decode(answer, (uint256));
    }

    function _word(bytes memory data, uint256 from) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), from))
        }
    }
}
