"""Headers, both chains, the Merkle Mountain Range, receipts, transactions, proofs: values, pure functions."""
