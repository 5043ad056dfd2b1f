"""The system contracts: Solidity sources, committed artifacts, typed bindings, genesis deployment, storage layout."""
