// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What validators sign, rebuilt byte for byte and checked on chain
/// @notice Votes and readiness are fixed-width bytes under a validator's Ed25519 node key; integers are big-endian.
/// @dev The bytes are those of `consensus.types.vote_bytes`; the check is the chain's precompile at 0x4700 (RFC 8032).
library NodeSignatures {
    address internal constant ED25519_VERIFY = address(0x4700);
    uint256 internal constant SIGNATURE_BYTES = 64;

    /// @notice The place of a vote, without what it says: one validator signs one hash a place.
    struct Place {
        uint64 epoch;
        uint64 height;
        uint64 view_;
        uint8 phase;
    }

    /// @notice Whether `signature` is by `nodeKey` over the vote for `blockHash` at a place of this chain.
    function voteHolds(
        bytes32 nodeKey,
        bytes32 genesisHash,
        Place memory place,
        bytes32 blockHash,
        bytes memory signature
    ) internal view returns (bool) {
        return holds(
            nodeKey,
            signature,
            abi.encodePacked(
                bytes16("gridpact/vote/v1"),
                uint64(block.chainid),
                genesisHash,
                place.epoch,
                place.height,
                place.view_,
                place.phase,
                blockHash
            )
        );
    }

    /// @notice Whether `signature` is by `nodeKey` over a block of this chain: its validator follows the chain.
    function readinessHolds(
        bytes32 nodeKey,
        bytes32 genesisHash,
        uint64 height,
        bytes32 blockHash,
        bytes memory signature
    ) internal view returns (bool) {
        return holds(
            nodeKey,
            signature,
            abi.encodePacked(bytes17("gridpact/ready/v1"), uint64(block.chainid), genesisHash, height, blockHash)
        );
    }

    /// @notice Whether an Ed25519 signature holds.
    function holds(bytes32 nodeKey, bytes memory signature, bytes memory message) internal view returns (bool) {
        if (signature.length != SIGNATURE_BYTES) return false;
        (bool success, bytes memory answer) =
            ED25519_VERIFY.staticcall(abi.encodePacked(nodeKey, signature, message));
        return success && answer.length == 32 && abi.decode(answer, (uint256)) == 1;
    }
}
