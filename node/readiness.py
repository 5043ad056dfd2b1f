"""Proof that this node follows the chain: its node key signs the newest block that a running node knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from consensus.types import Domain
from contracts.readiness import Readiness
from node.client import NodeClient, NodeUnanswered
from node.client.target import client_at
from node.config import NodeConfig
from node.errors import GridpactError
from node.genesis import canonical_json, load_genesis
from node.keys import load_key, read_passphrase
from node.parsing import parse_hex
from node.signer.holder import KeyHolder, NodeSigner
from node.signer.remote import RemoteSigner


class OtherChain(GridpactError):
    """A node serves another chain than that of our genesis file."""

    def __init__(self, url: str, genesis: str) -> None:
        super().__init__(f"node {url}: it serves another chain; expected that of {genesis}")
        self.url = url


def show_readiness(
    config: NodeConfig,
    url: str | None = None,
    *,
    key: Path | None = None,
    passphrase_file: Path | None = None,
    token_file: Path | None = None,
) -> Readiness:
    """Sign the newest block of a running node with a node key.

    Args:
        config: of the data directory whose node follows the chain.
        url: the node to ask for the newest block; None for the data directory's own.
        token_file: holds a token for that node; None for what the data directory's configuration names for its own.
        key: signs, in place of the data directory's key: the one that is to take its place.
        passphrase_file: opens `key`; None for that of the data directory's key.

    Raises:
        NodeError: it does not answer.
        OtherChain: it serves another genesis file.
        KeyFileError: the node key cannot be opened.
        SignerAway: the process that holds it does not answer.
    """
    client = client_at(url, config, token_file, "grid", "eth")
    genesis = load_genesis(config.genesis)
    found = client.ask("grid_genesis")
    if not isinstance(found, dict) or canonical_json(found) != canonical_json(genesis.content):
        raise OtherChain(client.url, str(config.genesis))
    _, genesis_hash = _block(client, "0x0")
    height, block_hash = _block(client, "latest")
    held = key or config.key
    domain = Domain(genesis.chain_id, genesis_hash)
    signer: NodeSigner
    if isinstance(held, Path):
        signer = KeyHolder(load_key(held, read_passphrase(passphrase_file or config.passphrase_file)), domain)
    else:
        signer = RemoteSigner(held, domain)
    return Readiness(height, signer.show_ready(height, block_hash))


def _block(client: NodeClient, which: str) -> tuple[int, bytes]:
    block = client.ask("eth_getBlockByNumber", which, False)

    def malformed() -> NodeUnanswered:
        return NodeUnanswered(client.url, f"block {which} is {str(block)[:100]}")

    if not isinstance(block, Mapping) or not isinstance(block.get("hash"), str):
        raise malformed()
    try:
        height = int(str(block.get("number")), 16)
    except ValueError:
        raise malformed() from None
    return height, parse_hex(block["hash"], 32, malformed)
