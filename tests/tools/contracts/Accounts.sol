// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What Caliper's load calls: accounts that are opened and read
contract Accounts {
    mapping(string id => uint256 amount) private _amounts;

    error AlreadyOpen(string id);

    function open(string calldata id, uint256 amount) external {
        if (_amounts[id] != 0) revert AlreadyOpen(id);
        _amounts[id] = amount;
    }

    function query(string calldata id) external view returns (uint256) {
        return _amounts[id];
    }
}
