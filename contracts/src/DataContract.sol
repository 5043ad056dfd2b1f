// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Data that is written once, as the code of a contract: a zero byte, so that it never runs, then the data
/// @dev Source: 0xsequence's SSTORE2. Reading it costs one cold account, whatever its length; at most 24,575 bytes.
library DataContract {
    /// @dev PUSH1 11, MSIZE, DUP2, CODESIZE, SUB, DUP1, SWAP3, MSIZE, CODECOPY, RETURN: what follows these 11 bytes.
    bytes11 private constant RETURN_REST = hex"600b5981380380925939f3";

    /// @notice Writes data; the address is that of the new contract.
    function write(bytes memory data) internal returns (address place) {
        bytes memory code = abi.encodePacked(RETURN_REST, uint8(0), data);
        assembly ("memory-safe") {
            place := create(0, add(code, 32), mload(code))
        }
        assert(place != address(0)); // it has no more than a few thousand bytes, and gas is the caller's
    }

    /// @notice The data of such a contract; nothing of the zero address.
    function read(address place) internal view returns (bytes memory data) {
        if (place == address(0)) return data;
        data = new bytes(place.code.length - 1);
        assembly ("memory-safe") {
            extcodecopy(place, add(data, 32), 1, mload(data))
        }
    }
}
