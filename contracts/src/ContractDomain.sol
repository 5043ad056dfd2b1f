// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Base of the contracts whose transactions belong to the contract chain
/// @notice The contract chain and the ledger chain are told apart by a transaction's destination alone, so no contract
/// may reach a state-changing function of this domain on the way: the caller must be the account that signed.
/// @dev Source: Perekalskiy et al., "Setup of a local P2P electric energy market based on a smart contract blockchain
/// technology", section III ("contract chain").
abstract contract ContractDomain {
    /// @notice A contract called what only an account may call directly.
    error CalledThroughContract(address caller, address origin);

    modifier onlyDirect() {
        if (msg.sender != tx.origin) revert CalledThroughContract(msg.sender, tx.origin);
        _;
    }
}
