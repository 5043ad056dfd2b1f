"""`gridpact node init --join`: from a member's RPC to a database, through liars, gaps and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_hash.auto import keccak
from typer.testing import CliRunner

from node.commands import app
from node.config import load_config
from node.keys import save_key
from node.rpc.server import RpcServer
from node.snapshot import join as join_module
from node.snapshot.format import decode_manifest
from node.snapshot.join import JoinError, fetch_database
from node.snapshot.shelf import Shelf
from node.storage import CorruptValue, StorageError
from tests.audit.certified import CertifiedChain
from tests.node.samples import seed
from tests.rpc.harness import RunningNode
from tests.snapshot.chain import MAP_BYTES, STATE_TABLES, content, long_chain, open_store, origin, small_chunks


class Member:
    """A node's RPC over a certified chain, with a shelf."""

    def __init__(self, folder: Path, certified: CertifiedChain) -> None:
        self.shelf = Shelf(folder / "shelf")
        self.node = RunningNode(folder / "unused")
        self.certified = certified
        self.server = RpcServer(self.node.backend, self.node.config, shelf=self.shelf)
        self.url = f"http://127.0.0.1:{self.node.run(self.server.start())}"

    def close(self) -> None:
        """End both servers."""
        self.node.run(self.server.close())
        self.node.close()


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CertifiedChain]:
    """A chain whose snapshots have small chunks."""
    small_chunks(monkeypatch)
    made = long_chain(tmp_path / "node")
    yield made
    made.close()


@pytest.fixture
def member(tmp_path: Path, certified: CertifiedChain) -> Iterator[Member]:
    """A member that serves a snapshot of it."""
    served = Member(tmp_path / "member", certified)
    served.shelf.add(certified.chain.store)
    yield served
    served.close()


def fetch(folder: Path, certified: CertifiedChain, *urls: str) -> list[str]:
    """Make a database in `folder`; return what was reported."""
    lines: list[str] = []
    assert fetch_database(folder, origin(certified.chain), urls, lines.append, map_bytes=MAP_BYTES) is not None
    return lines


def same_state(certified: CertifiedChain, path: Path) -> bool:
    """Return whether a database holds the chain's state."""
    store = open_store(certified.chain, path)
    with store.read() as ours, certified.chain.store.read() as theirs:
        same = all(list(ours.items(table)) == list(theirs.items(table)) for table in STATE_TABLES)
    store.close()
    return same


def test_nobody_has_a_snapshot_yet(tmp_path: Path, certified: CertifiedChain) -> None:
    young = Member(tmp_path / "young", certified)
    assert fetch_database(tmp_path / "new", origin(certified.chain), [young.url], lambda _: None) is None
    young.close()


def test_chunks_that_were_verified_are_not_fetched_again(
    tmp_path: Path, certified: CertifiedChain, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = join_module._fetch_chunk, list[int]()

    def fail_at_ten(manifest: object, index: int, urls: object) -> bytes:
        if index == 10:
            raise KeyboardInterrupt
        taken.append(index)
        return real(manifest, index, urls)  # type: ignore[arg-type]

    monkeypatch.setattr(join_module, "_fetch_chunk", fail_at_ten)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "new", certified, member.url)
    with pytest.raises((StorageError, CorruptValue)):
        open_store(certified.chain, tmp_path / "new" / "chain")
    monkeypatch.setattr(join_module, "_fetch_chunk", real)
    lines = fetch(tmp_path / "new", certified, member.url)
    assert lines[0].startswith("going on with chunk 10 of ")
    assert same_state(certified, tmp_path / "new" / "chain")
    assert fetch(tmp_path / "new", certified, member.url) == []  # killed just before the folder got its name


def test_a_snapshot_that_is_gone_is_begun_anew(
    tmp_path: Path, certified: CertifiedChain, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = join_module._fetch_chunk

    def stop(manifest: object, index: int, urls: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(join_module, "_fetch_chunk", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "new", certified, member.url)
    monkeypatch.setattr(join_module, "_fetch_chunk", real)
    for _ in range(2):
        certified.mine()
        member.shelf.add(certified.chain.store)
    assert "nobody serves the snapshot of height 9" in fetch(tmp_path / "new", certified, member.url)[1]
    assert same_state(certified, tmp_path / "new" / "chain")


def test_a_liar_is_named_and_passed_over(tmp_path: Path, certified: CertifiedChain, member: Member) -> None:
    liar = Member(tmp_path / "liar", certified)
    file = liar.shelf.add(certified.chain.store)
    honest = file.path.read_bytes()
    raw = bytearray(honest)
    raw[file.chunks[5].start + 9] ^= 1
    file.path.write_bytes(raw)
    with pytest.raises(JoinError, match="chunk 5 is not the one that the manifest names"):
        fetch(tmp_path / "alone", certified, liar.url)
    fetch(tmp_path / "both", certified, liar.url, member.url)  # the same chunk is to be had elsewhere
    assert same_state(certified, tmp_path / "both" / "chain")
    manifest = decode_manifest(content(file.manifest))
    false = replace(manifest, certificate=manifest.certificate[:-1] + bytes((manifest.certificate[-1] ^ 1,))).encode()
    head = len(false).to_bytes(4, "big") + keccak(false)
    file.path.write_bytes(head + false + honest[file.chunks[0].start :])
    lines = fetch(tmp_path / "new", certified, liar.url, member.url)
    assert lines[0].startswith(f"{liar.url}: snapshot: certificates: height 9: certificate: the signature of")
    assert same_state(certified, tmp_path / "new" / "chain")
    with pytest.raises(JoinError, match="no answer"):
        fetch_database(tmp_path / "none", origin(certified.chain), ["http://127.0.0.1:9"], lambda _: None)
    liar.close()


def command(tmp_path: Path, certified: CertifiedChain, url: str) -> list[str]:
    """Return the words of the command that joins at `url`."""
    key, secret = tmp_path / "key.json", tmp_path / "secret"
    if not key.exists():
        secret.write_text("secret")
        save_key(key, seed("newcomer"), "secret")
    files = ["--genesis", str(certified.genesis), "--key", str(key), "--passphrase-file", str(secret)]
    return ["init", "--data", str(tmp_path / "house"), *files, "--join", url]


def test_the_command_makes_a_data_directory(tmp_path: Path, certified: CertifiedChain, member: Member) -> None:
    done = CliRunner().invoke(app, command(tmp_path, certified, member.url + "/"))
    assert done.exit_code == 0, done.output
    assert "at height 9, block 0x" in done.output
    assert load_config(tmp_path / "house" / "node.toml").sync_urls == (member.url,)
    assert sorted(path.name for path in (tmp_path / "house").iterdir()) == ["chain", "genesis.json", "node.toml"]
    assert same_state(certified, tmp_path / "house" / "chain")


def test_without_a_snapshot_the_command_begins_with_block_0(tmp_path: Path, certified: CertifiedChain) -> None:
    young = Member(tmp_path / "young", certified)
    done = CliRunner().invoke(app, command(tmp_path, certified, young.url))
    assert done.exit_code == 0, done.output
    assert "no snapshot there yet" in done.output
    store = open_store(certified.chain, tmp_path / "house" / "chain")
    with store.read() as view:
        assert (view.head_height, view.first_height) == (0, 0)
    store.close()
    young.close()


def test_killed_in_the_middle_the_command_goes_on(tmp_path: Path, certified: CertifiedChain, member: Member) -> None:
    words = [sys.executable, "-m", "node.cli", "node", *command(tmp_path, certified, member.url)]
    draft = tmp_path / ".house.joining" / "chain" / "data.mdb"
    kills = 0
    while not (tmp_path / "house").exists() and kills < 40:
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if "chunks to fetch and verify" in line and draft.exists() and kills < 3:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                assert not (tmp_path / "house").exists()
        process.wait(60)
        process.stderr.close()
    assert kills == 3
    assert json.loads((tmp_path / "house" / "genesis.json").read_text())
    assert same_state(certified, tmp_path / "house" / "chain")
