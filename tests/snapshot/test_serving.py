"""Snapshots, certified blocks and epoch changes over the node's RPC port."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.certificates import verify
from consensus.codec import decode_certificate
from consensus.types import Domain
from node.chain.assembly import hash_of_body
from node.rpc.server import RpcServer
from node.snapshot.shelf import Shelf
from tests.rpc.harness import RunningNode
from tests.snapshot.chain import assemble, content, open_store, origin


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    """A node of seven heights that serves its snapshot."""
    running = RunningNode(tmp_path / "chain", shelf=Shelf(tmp_path / "snapshots"), open_accounts=True)
    for _ in range(7):
        running.mine()
    yield running
    running.close()


def get(node: RunningNode, path: str) -> tuple[int, bytes]:
    """Return (status, body) of a GET."""
    try:
        with urllib.request.urlopen(node.url + path, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_snapshot_is_served_in_parts(node: RunningNode, tmp_path: Path) -> None:
    assert get(node, "/snapshot")[0] == 404
    shelf = node.shelf
    assert shelf is not None
    file = shelf.add(node.backend.store)
    assert get(node, "/snapshot") == get(node, "/snapshot/7") == (200, content(file.manifest))
    for index, chunk in enumerate(file.chunks):
        assert get(node, f"/snapshot/7/{index}") == (200, content(chunk))
    for path in ("/snapshot/6", f"/snapshot/7/{len(file.chunks)}", "/snapshot/7/-1", "/snapshot/x", "/snapshot/7/0/0"):
        assert get(node, path)[0] == 404
    (tmp_path / "snapshots" / "000000000007.snapshot").unlink()
    assert get(node, "/snapshot/7/0")[0] == 404


def test_two_snapshots_are_kept(node: RunningNode, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    for _ in range(3):
        node.mine()
        shelf.add(node.backend.store)
    names = sorted(path.name for path in (tmp_path / "shelf").iterdir())
    assert names == ["000000000009.snapshot", "000000000010.snapshot"]
    again = Shelf(tmp_path / "shelf")
    assert again.newest is not None
    assert (again.newest.height, again.find(9) is not None, again.find(8)) == (10, True, None)


def test_a_damaged_snapshot_is_not_served(node: RunningNode, tmp_path: Path) -> None:
    file = Shelf(tmp_path / "shelf").add(node.backend.store)
    raw = bytearray(file.path.read_bytes())
    raw[100] ^= 1
    file.path.write_bytes(raw)
    assert Shelf(tmp_path / "shelf").newest is None
    file.path.write_bytes(b"")
    assert Shelf(tmp_path / "shelf").newest is None


def test_certified_blocks_come_in_bounded_ranges(node: RunningNode) -> None:
    domain = Domain(node.backend.chain.genesis.chain_id, node.backend.chain.genesis_hash)
    for first, count, heights in (
        (1, 3, [1, 2, 3]),
        (6, 100, [6, 7]),
        (8, 5, []),
        (0, 2, [1]),
        (1, 2**40, range(1, 8)),
    ):
        found = node.result("grid_getCertifiedBlocks", hex(first), count)
        certificates = [decode_certificate(bytes.fromhex(row["certificate"][2:])) for row in found]
        assert [certificate.height for certificate in certificates] == list(heights)
        for row, certificate in zip(found, certificates, strict=True):
            verify(certificate, node.backend.validators(), domain)
            assert hash_of_body(bytes.fromhex(row["body"][2:])) == certificate.block_hash
    assert node.error("grid_getCertifiedBlocks", "0x1")["code"] == -32602
    assert node.result("grid_getTransitions") == []


def test_a_joined_node_says_what_it_does_not_keep(node: RunningNode, tmp_path: Path) -> None:
    file = Shelf(tmp_path / "shelf").add(node.backend.store)
    assemble(file, origin(node.backend.chain), tmp_path / "joined")
    whole = node.backend.chain.store
    node.backend.chain.store = open_store(node.backend.chain, tmp_path / "joined")
    joined = RpcServer(node.backend, node.config)
    node.run(joined.start())
    node.url = f"http://127.0.0.1:{joined.port}"
    expected = (
        "pruned history unavailable: height 3 is not kept here: this database begins with the snapshot of height 7"
    )
    for method, *params in (
        ("eth_getBlockByNumber", "0x3", False),
        ("eth_getBalance", "0x" + "11" * 20, "0x3"),
        ("eth_getLogs", {"fromBlock": "0x3", "toBlock": "0x7"}),
        ("grid_getRoundRecord", "0x3"),
        ("grid_getCertificate", "0x3"),
        ("grid_getCertifiedBlocks", "0x3", 2),
    ):
        assert node.error(method, *params) == {"code": 4444, "message": expected}, method
    assert node.result("eth_getBlockByNumber", "0x7", True)["number"] == "0x7"
    assert node.result("eth_getBlockByNumber", "earliest", True)["number"] == "0x0"
    assert node.result("grid_status")["height"] == "0x7"
    node.run(joined.close())
    node.backend.chain.store.close()
    node.backend.chain.store = whole
