"""The audit of a node that is only known by its RPC: all of its blocks are fetched, then audited as a directory is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.audit.launch import audit_in_child
from node.audit.report import AuditReport, Counts, Offence
from node.client import NodeClient
from node.config import DATABASE_NAME
from node.creation import create_database
from node.genesis import load_genesis
from node.operations.blocks import BadBlock, remote_blocks
from node.operations.database import open_database
from node.operations.importing import import_blocks
from node.operations.progress import progress_bar
from node.parsing import ConfigError


def audit_remote(
    client: NodeClient,
    genesis_file: Path,
    *,
    checkpoints: Mapping[int, bytes],
    parents: Sequence[tuple[Path, Path]] = (),
    execute: bool = True,
) -> AuditReport:
    """Fetch a node's chain up to its present head into a temporary database, and audit that.

    Every certificate is verified and every block executed on the way; the first that does not hold is the offence.

    Args:
        client: asks the node; nothing that it says is believed.
        genesis_file: is trusted.
        checkpoints, parents, execute: as in `node.audit.launch.Order`.

    Raises:
        NodeError: the node does not answer, or does not give all blocks.
        GridpactError: the genesis file cannot be used.
    """
    genesis = load_genesis(genesis_file)
    with tempfile.TemporaryDirectory(prefix="gridpact-audit-") as folder:
        database = Path(folder) / DATABASE_NAME
        genesis_hash = create_database(database, genesis, parents[0][0].parent if parents else None)
        block_0 = client.ask("eth_getBlockByNumber", "0x0", False)
        found = block_0.get("hash") if isinstance(block_0, dict) else None
        if found != "0x" + genesis_hash.hex():
            raise ConfigError(
                genesis_file, "", f"the genesis file of the chain of {client.url}, whose block 0 is {found}"
            )
        last = client.quantity("eth_blockNumber")
        store, domain = open_database(database, genesis, readonly=False)
        try:
            with progress_bar("fetch and execute", last) as advance:
                blocks = remote_blocks(client, 1, last)
                done = import_blocks(store, genesis, domain, blocks, reached=lambda height: advance(height, None))
            with store.read() as view:
                head_hash = view.head.hash
        finally:
            store.close()
        if isinstance(done.failure, BadBlock):
            offence = Offence(done.failure.height, "round", done.failure.kind, done.failure.reason)
            return AuditReport(done.after, head_hash, Counts(), (), offence, executed=execute)
        if done.failure is not None:
            raise done.failure
        with progress_bar("audit", last) as advance:
            return audit_in_child(
                database,
                genesis_file,
                checkpoints=checkpoints,
                parents=parents,
                execute=execute,
                reached=lambda height: advance(height, None),
            )
