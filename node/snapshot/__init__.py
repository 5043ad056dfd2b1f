"""Snapshots: the state of one height in chunks that prove themselves, for newcomers who have the genesis file."""
