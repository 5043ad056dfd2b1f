// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What Foundry deploys, calls and tests
contract Counter {
    uint256 public number;

    event Set(uint256 indexed number);

    error TooLarge(uint256 given);

    constructor(uint256 first) {
        number = first;
    }

    function set(uint256 given) external {
        if (given > 1_000) revert TooLarge(given);
        number = given;
        emit Set(given);
    }
}
