"""A chain out of one node, into a file, an auditor's hands, a fresh node: the same, or its first fault is named."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consensus.codec import encode_certificate
from node.audit import AuditReport
from node.audit import remote as audit_remote
from node.audit.child import main as audit_child
from node.audit.launch import Order
from node.audit.verify import Auditor
from node.chain import rlp
from node.chain.assembly import decode_body, encode_body
from node.cli import app
from node.client import NodeClient
from node.config import CONFIG_NAME, DATABASE_NAME, WAL_NAME, render_config
from node.creation import create_database
from node.driver.wal import WriteAheadLog
from node.genesis import load_genesis
from node.operations import blocks, transfer
from node.operations.blocks import Block
from node.operations.stream import StreamHead, open_stream, write_stream
from node.restore import is_marked
from tests.audit.street import HEAD, Street, certify, fill
from tests.rpc.harness import RunningNode
from tests.storage.raw import entries


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    made = fill(Street(tmp_path_factory.mktemp("transfer") / "house"))
    made.close()
    configure(made.directory)
    return made


def configure(directory: Path) -> None:
    text = render_config(
        genesis="genesis.json", key="key.json", passphrase_file="", p2p_listen="127.0.0.1:0", rpc_listen="127.0.0.1:0"
    )
    (directory / CONFIG_NAME).write_text(text, encoding="utf-8")


def fresh(street: Street, directory: Path) -> Path:
    """Return a data directory that holds block 0 alone, as `gridpact node init` makes it."""
    directory.mkdir()
    shutil.copy(street.directory / "genesis.json", directory)
    create_database(directory / DATABASE_NAME, load_genesis(directory / "genesis.json"))
    configure(directory)
    return directory


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["node", *map(str, words)])
    return result.exit_code, result.output


def audit(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", "verify", *map(str, words)])
    return result.exit_code, result.output


def audit_here(database: Path, genesis: Path, **_options: Any) -> AuditReport:
    """Audit in this process: another one takes a second to start."""
    return audit_child(Order(str(database), str(genesis)), lambda _height: None)


def audited(directory: Path) -> list[str]:
    """Return what an audit of a data directory prints."""
    return audit_here(directory / DATABASE_NAME, directory / "genesis.json").lines()


@pytest.fixture(scope="module")
def exported(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "street.blocks"
    transfer.export_directory(street.directory, out)
    return out


def test_exported_and_imported_it_is_the_same_chain_to_an_auditor(street: Street, tmp_path: Path) -> None:
    file, house = tmp_path / "street.blocks.gz", fresh(street, tmp_path / "house")
    code, output = run("export", "--data", street.directory, "--out", file, "--json")
    assert (code, json.loads(output)["to"]) == (0, HEAD)
    assert file.read_bytes()[:2] == b"\x1f\x8b"
    code, output = run("import", file, "--data", house)
    assert code == 0, output
    assert output.startswith(f"imported heights 1 to {HEAD} into {house}, at height {HEAD}\n")
    assert is_marked(house)  # its key may have voted on them elsewhere
    assert audited(house) == audited(street.directory)
    assert audited(house)[-1].startswith(f"audit: ok head {HEAD} 0x")
    for table in ("headers", "bodies", "receipts", "records", "certificates", "accounts", "storage", "trie", "meta"):
        assert list(entries(house / DATABASE_NAME, table)) == list(entries(street.path, table))
    assert run("import", file, "--data", house)[1].startswith("imported nothing new")


def test_an_import_goes_on_where_it_was(street: Street, exported: Path, tmp_path: Path) -> None:
    first, house = tmp_path / "first", fresh(street, tmp_path / "house")
    WriteAheadLog(house / WAL_NAME, street.genesis_hash + bytes(32)).close()
    transfer.export_directory(street.directory, first, last=3)
    assert transfer.import_file(first, house).after == 3
    rest = tmp_path / "rest"
    transfer.export_directory(street.directory, rest, first=5)
    assert run("import", rest, "--data", house)[1].endswith("begins with height 5; expected height 4 or a lower one\n")
    done = transfer.import_file(exported, house)
    assert (done.before, done.after, done.failure) == (3, HEAD, None)
    assert not is_marked(house)  # it has its log, which remembers
    assert run("export", "--data", house, "--out", tmp_path / "x", "--from", "4", "--to", "9")[0] == 2


def altered(exported: Path, out: Path, height: int, change: Callable[[Block], Block]) -> Path:
    """Return an exported file with one block changed by somebody who knows the format."""
    with open_stream(exported) as stream:
        blocks = [change(block) if block.height == height else block for block in stream.blocks()]
        write_stream(out, stream.head, blocks, compressed=False)
    return out


def _other_body(street: Street) -> Callable[[Block], Block]:
    def change(block: Block) -> Block:
        head, _ = rlp.decode_list(rlp.decode(block.body), 2)
        return Block(block.height, rlp.encode([head, []]), block.certificate, block.record)

    return change


def _recertified(street: Street) -> Callable[[Block], Block]:
    """A block that a quorum certified though executing its transactions gives something else."""

    def change(block: Block) -> Block:
        header, raws = decode_body(block.body)
        forged = replace(header, gas_used=header.gas_used + 1)
        certificate = encode_certificate(certify(street.domain, block.height, forged.hash))
        return Block(block.height, encode_body(forged, raws), certificate, block.record)

    return change


def _of_another_block(street: Street) -> Callable[[Block], Block]:
    certificate = encode_certificate(certify(street.domain, 5, bytes(32)))
    return lambda block: Block(block.height, block.body, certificate, block.record)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: lambda b: Block(b.height, b.body, b"\1" * 40, b.record), "certificate"),
        (lambda s: lambda b: Block(b.height, b.body, b.certificate[:-1] + b"\0", b.record), "certificate"),
        (_other_body, "body"),
        (lambda s: lambda b: Block(b.height, b.body, b.certificate, b"\xc0"), "record"),
        (_recertified, "body: gas_used: expected"),
        (_of_another_block, "header: its hash is"),
    ],
)
def test_the_first_block_that_does_not_hold_is_named_and_those_before_it_stay(
    street: Street, exported: Path, tmp_path: Path, change: Callable[[Street], Callable[[Block], Block]], said: str
) -> None:
    forged = altered(exported, tmp_path / "forged", 5, change(street))
    house = fresh(street, tmp_path / "house")
    code, output = run("import", forged, "--data", house)
    assert code == 1
    assert "imported heights 1 to 4" in output
    assert f"import: FAILED height 5: {said}" in output
    assert transfer.import_file(exported, house).after == HEAD  # with the right file it goes on


@pytest.mark.parametrize(
    ("damage", "after", "said"),
    [
        (lambda raw: raw[:-20], HEAD - 1, "height 8: truncated"),
        (lambda raw: raw[:-8], HEAD, "the end: truncated"),
        (lambda raw: raw[:1500] + bytes([raw[1500] ^ 4]) + raw[1501:], None, "damaged; expected a block that fits"),
        (lambda raw: b"x" + raw[1:], None, "it begins with b'xpblocks'"),
        (lambda raw: raw[:8] + b"\0\7" + raw[10:], None, "version 7; expected version 1"),
        (lambda raw: raw[:12] + b"\7" + raw[13:], None, "the head is damaged"),
        (lambda raw: raw[:30], None, "the head: truncated"),
        (lambda raw: b"", None, "the head: truncated"),
        (lambda raw: gzip.compress(raw)[:-300], None, "expected a whole gzip file"),
        (lambda raw: raw[:70] + b"\xff" * 8 + raw[78:], 0, "4294967295 bytes; expected a block of"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(
    street: Street, exported: Path, tmp_path: Path, damage: Callable[[bytes], bytes], after: int | None, said: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(damage(exported.read_bytes()))
    house = fresh(street, tmp_path / "house")
    code, output = run("import", file, "--data", house)
    assert code in (1, 2)
    assert said in output
    if after is not None:
        assert f"at height {after}\n" in output


def test_a_file_of_another_chain_is_refused(street: Street, exported: Path, tmp_path: Path) -> None:
    with open_stream(exported) as stream:
        head = stream.head
        other = StreamHead(head.chain_id, bytes(32), head.first, head.last)
        write_stream(tmp_path / "other", other, stream.blocks(), compressed=False)
    assert "expected chain 2016, genesis block 0x" in run("import", tmp_path / "other", "--data", street.directory)[1]
    assert "the file exists" in run("export", "--data", street.directory, "--out", exported)[1]
    assert run("export", "--out", tmp_path / "none")[0] == 2


# -- over RPC


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("remote") / DATABASE_NAME)
    for _ in range(3):
        running.mine()
    (running.backend.chain.path.parent / "genesis.json").write_text(json.dumps(running.backend.genesis))
    yield running
    running.close()


def test_a_running_node_is_audited_over_rpc_like_a_directory(
    node: RunningNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_remote, "audit_in_child", audit_here)
    directory = node.backend.chain.path.parent
    code, output = audit("--rpc", node.url, "--genesis", directory / "genesis.json")
    assert code == 0
    with node.backend.store.read() as view:
        assert output.splitlines() == Auditor(node.backend.chain.genesis).audit(view).lines()
    file = tmp_path / "exported"
    assert run("export", "--rpc", node.url, "--out", file)[0] == 0
    with open_stream(file) as stream:
        assert [block.height for block in stream.blocks()] == [1, 2, 3]


def test_a_node_that_lies_over_rpc_is_found_out(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    genesis = node.backend.chain.path.parent / "genesis.json"
    honest = blocks.certified_range

    def lying(client: NodeClient, first: int) -> list[Any]:
        rows = honest(client, first)
        rows[1]["certificate"] = rows[0]["certificate"]
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(blocks, "certified_range", lying)
        code, output = audit("--rpc", node.url, "--genesis", genesis)
        assert code == 1
        assert output == "audit: FAILED at height 2, chain round, kind certificate: it is for height 1\n"
        patched.setattr(blocks, "certified_range", lambda client, first: [])
        code, output = audit("--rpc", node.url, "--genesis", genesis)
        assert code == 2
        assert "it gives no block of height 1, of 3" in output
    assert audit("--rpc", node.url)[0] == 2
    assert audit()[0] == 2
    assert "no answer to eth_getBlockByNumber" in audit("--rpc", "http://127.0.0.1:9", "--genesis", genesis)[1]
