// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Something of everything that a client library decodes: events, custom errors, reasons, panics
contract Probe {
    uint256 public number;
    mapping(address who => uint256 amount) public amounts;

    event NumberSet(address indexed by, uint256 indexed number, string note);

    error TooLarge(uint256 given, uint256 bound);

    constructor(uint256 first) payable {
        number = first;
    }

    function set(uint256 given, string calldata note) external returns (uint256 before) {
        require(given != 13, "thirteen is refused");
        if (given > 1_000) revert TooLarge(given, 1_000);
        before = number;
        number = given;
        amounts[msg.sender] += given;
        emit NumberSet(msg.sender, given, note);
    }

    function divide(uint256 by) external view returns (uint256) {
        return number / by;
    }
}
