"""Typed bindings of the contracts, without transport.

A function that changes state has a function here that returns its calldata; a function that only reads has one that
returns a `View`: where to call, with what, and how to read the answer. `events.decode_log` turns a log into a
dataclass, `reverts.explain_revert` revert data into a sentence. Addresses are 20 bytes, hashes 32 bytes.
"""
