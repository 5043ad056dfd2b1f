// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Counter} from "../src/Counter.sol";

interface Cheats {
    function envAddress(string calldata name) external view returns (address);
    function expectRevert(bytes calldata data) external;
    function roll(uint256 height) external;
}

/// @title Tests on a fork of a gridpact chain: they read the contract that was deployed there
contract CounterTest {
    Cheats private constant VM = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
    Counter private counter;

    function setUp() external {
        counter = Counter(VM.envAddress("COUNTER"));
    }

    function test_reads_what_the_chain_holds() external view {
        require(block.chainid == 20_160_621, "chain id");
        require(counter.number() == 42, "number");
    }

    function test_writes_to_the_fork_alone() external {
        counter.set(7);
        require(counter.number() == 7, "number");
    }

    function test_expects_a_custom_error() external {
        VM.expectRevert(abi.encodeWithSelector(Counter.TooLarge.selector, 2_000));
        counter.set(2_000);
    }

    function testFuzz_keeps_what_is_set(uint256 given) external {
        counter.set(given % 1_001);
        require(counter.number() == given % 1_001, "number");
    }
}
