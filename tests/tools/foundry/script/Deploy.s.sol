// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Counter} from "../src/Counter.sol";

interface Cheats {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// @title Deploys a counter and sets it, in two transactions
contract Deploy {
    bool public constant IS_SCRIPT = true;
    Cheats private constant VM = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (Counter counter) {
        VM.startBroadcast();
        counter = new Counter(1);
        counter.set(2);
        VM.stopBroadcast();
    }
}
