"""The validator process: configuration, chain, state, storage, execution, mempool, networking, RPC, audit."""

import os

os.environ.setdefault(
    "ETH_HASH_BACKEND", "pysha3"
)  # before the first import that hashes: ten times the speed of others
