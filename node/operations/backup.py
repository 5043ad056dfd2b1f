"""Backups: a copy of a data directory, made while its node runs, and put back as a node that abstains until it is safe.

A backup is a folder: `chain/data.mdb` (one head, without free pages), `genesis.json`, `node.toml`, the restore marker,
the node key only if it was asked for, and `backup.json`, the manifest: format, versions, chain, head, and of every file
its size and SHA-256.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from node.config import CONFIG_NAME, DATABASE_NAME, RESTORED_NAME, NodeConfig, load_config
from node.errors import GridpactError
from node.genesis import load_genesis
from node.operations.database import check_head, domain_of, open_database
from node.operations.progress import Advance, unheard
from node.parsing import ConfigError
from node.restore import mark, sync_folder
from node.storage import Store, View
from node.storage.tables import SCHEMA_VERSION, TABLES
from node.versions import versions

MANIFEST = "backup.json"
FORMAT = 1
KEY_NAME = "node-key.json"
GENESIS_NAME = "genesis.json"
DATA = f"{DATABASE_NAME}/data.mdb"
ALLOWED = (DATA, GENESIS_NAME, CONFIG_NAME, RESTORED_NAME, KEY_NAME)
MAX_MANIFEST_BYTES = 64 * 1024
PIECE_BYTES = 1 << 20
TOLD_AFTER = 10_000  # values read back
POLL_S = 0.1
_OPENED = (f"{DATABASE_NAME}/lock.mdb", f"{DATABASE_NAME}/writer.lock")  # what opening a database leaves beside it


class BackupError(GridpactError):
    """A backup cannot be made or put back: where, what was wrong, what was expected."""

    def __init__(self, path: Path, what: str, expected: str) -> None:
        super().__init__(f"{path}: {what}; expected {expected}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Args:
        created: UTC, ISO 8601.
        versions: of software, wire and storage that made it.
        chain_id, genesis_hash: of the chain; the hash is that of block 0, 0x….
        height, block_hash: the head.
        files: size in bytes and SHA-256 (hexadecimal) by path in the backup.
    """

    created: str
    versions: Mapping[str, str]
    chain_id: int
    genesis_hash: str
    height: int
    block_hash: str
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(size for size, _ in self.files.values())

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as plain values."""
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(self.files.items())}
        return {"format": FORMAT, **asdict(self), "files": files}


# -- making one


def back_up(config: NodeConfig, out: Path, *, with_key: bool = False, advance: Advance = unheard) -> Manifest:
    """Copy a data directory while its node may be running, and check the copy; it has its name only when it is whole.

    Args:
        config: of the node.
        out: the new folder.
        with_key: whether the node key's file is copied too (as it is, encrypted; never its passphrase).
        advance: told how many bytes of how many are done.

    Raises:
        BackupError: there is something at `out`, or too little room.
        GridpactError: the database cannot be read, or the copy not be written or not be verified.
    """
    if out.exists():
        raise BackupError(out, "the folder exists", "a new folder for the backup")
    out.parent.mkdir(parents=True, exist_ok=True)
    genesis = load_genesis(config.genesis)
    store, domain = open_database(config.directory / DATABASE_NAME, genesis, readonly=True)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as draft:
            folder = Path(draft) / "backup"
            folder.mkdir()
            _copy_database(store, folder / DATABASE_NAME, advance)
            _copy_files(config, folder, with_key=with_key)
            copy, _ = open_database(folder / DATABASE_NAME, genesis, readonly=True)
            try:
                with copy.read() as view:
                    check_head(view, genesis, domain)
                    _check_values(view, advance)
                    head = view.head
            finally:
                copy.close()
            for name in _OPENED:
                (folder / name).unlink(missing_ok=True)
            mark(folder)
            names = [name for name in ALLOWED if (folder / name).exists()]
            manifest = Manifest(
                created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                versions=versions(),
                chain_id=genesis.chain_id,
                genesis_hash="0x" + domain.genesis_hash.hex(),
                height=head.number,
                block_hash="0x" + head.hash.hex(),
                files={name: ((folder / name).stat().st_size, _digest(folder / name)) for name in names},
            )
            _write(folder / MANIFEST, json.dumps(manifest.as_json(), indent=2) + "\n")
            folder.replace(out)
    except OSError as error:
        raise BackupError(out, f"cannot be written ({error.strerror})", "a folder with room for the copy") from None
    finally:
        store.close()
    sync_folder(out.parent)
    return manifest


def _copy_database(store: Store, path: Path, advance: Advance) -> None:
    total = store.live_bytes()
    free = shutil.disk_usage(path.parent).free
    if free < total:
        raise BackupError(path, f"{free} bytes are free", f"room for {total} bytes of the database")
    with ThreadPoolExecutor(1) as thread:
        copying = thread.submit(store.copy_to, path)
        while True:
            try:
                copying.result(POLL_S)
            except NotYet:
                data = path / "data.mdb"
                advance(min(data.stat().st_size if data.exists() else 0, total), total)
            else:
                advance(total, total)
                return


def _check_values(view: View, advance: Advance) -> None:
    """Read back every value; one that does not fit its checksum is no value for a backup."""
    total, done = sum(view.count(table) for table in TABLES), 0
    for table in TABLES:
        for _ in view.items(table):
            done += 1
            if done % TOLD_AFTER == 0:
                advance(done, total)


def _copy_files(config: NodeConfig, folder: Path, *, with_key: bool) -> None:
    """Copy genesis file, configuration and perhaps the key; the copy's configuration names the copies."""
    text = (config.directory / CONFIG_NAME).read_text(encoding="utf-8")
    shutil.copy(config.genesis, folder / GENESIS_NAME)
    text = _naming(text, "genesis", GENESIS_NAME)
    if with_key:
        shutil.copy(_key_file(config), folder / KEY_NAME)
        (folder / KEY_NAME).chmod(0o600)
        text = _naming(text, "key", KEY_NAME)
    _write(folder / CONFIG_NAME, text)
    load_config(folder / CONFIG_NAME)
    for name in (GENESIS_NAME, KEY_NAME):
        if (folder / name).exists():
            _sync_file(folder / name)


def _key_file(config: NodeConfig) -> Path:
    if not isinstance(config.key, Path):
        raise ConfigError(config.directory / CONFIG_NAME, "signer.socket", "no --with-key: the signer holds the key")
    return config.key


def _naming(text: str, key: str, name: str) -> str:
    """Return a configuration in which [node] names another file; it stays as it is if it names that one already."""
    lines, table = text.splitlines(keepends=True), ""
    for index, line in enumerate(lines):
        if found := re.match(r"\s*\[([^\]]+)\]", line):
            table = found[1].strip()
        if table == "node" and re.match(rf"\s*{key}\s*=", line) and json.dumps(name) not in line:
            lines[index] = f"{key} = {json.dumps(name)}\n"
    return "".join(lines)


# -- putting one back


def read_manifest(backup: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises:
        BackupError: none, or not one of this format.
    """
    path = backup / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BackupError(path, "too large", f"at most {MAX_MANIFEST_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackupError(path, f"cannot be read ({error.strerror})", "a backup by `gridpact node backup`") from None
    except (ValueError, RecursionError) as error:
        raise BackupError(path, f"no JSON ({error})", "the manifest as it was written") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BackupError(path, f"format {found!r}", f"format {FORMAT}, or the gridpact that wrote it")
    try:
        manifest = Manifest(
            created=str(content["created"]),
            versions={str(name): str(value) for name, value in content["versions"].items()},
            chain_id=int(content["chain_id"]),
            genesis_hash=str(content["genesis_hash"]),
            height=int(content["height"]),
            block_hash=str(content["block_hash"]),
            files={str(name): (int(row["bytes"]), str(row["sha256"])) for name, row in content["files"].items()},
        )
        storage = int(manifest.versions["storage"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackupError(path, f"cannot be read ({type(error).__name__}: {error})", "the manifest as it was") from None
    if storage > SCHEMA_VERSION:
        raise BackupError(
            path, f"storage version {storage}", f"version {SCHEMA_VERSION} at most, or the newer gridpact that wrote it"
        )
    for name in manifest.files:
        if name not in ALLOWED:
            raise BackupError(path, f"a file {name!r}", f"nothing but {', '.join(ALLOWED)}")
    for name in (DATA, GENESIS_NAME, CONFIG_NAME, RESTORED_NAME):
        if name not in manifest.files:
            raise BackupError(path, f"no {name}", "all files of a backup")
    return manifest


def put_back(backup: Path, data: Path, *, advance: Advance = unheard) -> Manifest:
    """Make a data directory of a backup, marked as restored; every byte is checked on the way, and then the head.

    Raises:
        BackupError: there is something at `data`, or the backup is truncated or altered: which file, and how.
        GridpactError: what it holds is not the chain that it says.
    """
    manifest = read_manifest(backup)
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BackupError(data, "something is there", "a new or empty folder: nothing is overwritten")
    data.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(data.parent).free
    if free < manifest.size:
        raise BackupError(data, f"{free} bytes are free", f"room for {manifest.size} bytes")
    with tempfile.TemporaryDirectory(dir=data.parent, prefix=f".{data.name}-") as draft:
        folder = Path(draft) / "node"
        (folder / DATABASE_NAME).mkdir(parents=True)
        done = 0
        for name, (size, digest) in sorted(manifest.files.items()):
            before, done = done, done + size

            def told(now: int, before: int = before) -> None:
                advance(before + now, manifest.size)

            _copy_checked(backup / name, folder / name, size, digest, told)
        _check_content(folder, backup, manifest)
        if KEY_NAME in manifest.files:
            (folder / KEY_NAME).chmod(0o600)
        mark(folder)
        folder.replace(data)
    sync_folder(data.parent)
    return manifest


def _check_content(folder: Path, backup: Path, manifest: Manifest) -> None:
    """Check that the files are of the chain and head that the manifest says."""
    genesis = load_genesis(folder / GENESIS_NAME)
    load_config(folder / CONFIG_NAME)
    path = backup / MANIFEST
    found = "0x" + domain_of(genesis).genesis_hash.hex()
    if (genesis.chain_id, found) != (manifest.chain_id, manifest.genesis_hash):
        expected = f"chain {manifest.chain_id}, genesis block {manifest.genesis_hash}"
        raise BackupError(backup / GENESIS_NAME, f"chain {genesis.chain_id}, genesis block {found}", expected)
    if int(manifest.versions["storage"]) < SCHEMA_VERSION:
        return  # it is opened, and its head looked at, when it has been migrated
    store, domain = open_database(folder / DATABASE_NAME, genesis, readonly=True)
    try:
        with store.read() as view:
            head = view.head
            check_head(view, genesis, domain)
    finally:
        store.close()
    if (head.number, "0x" + head.hash.hex()) != (manifest.height, manifest.block_hash):
        expected = f"height {manifest.height}, block {manifest.block_hash}, as {path} says"
        raise BackupError(backup / DATA, f"height {head.number}, block 0x{head.hash.hex()}", expected)
    for name in _OPENED:
        (folder / name).unlink(missing_ok=True)


def _copy_checked(source: Path, target: Path, size: int, digest: str, told: Callable[[int], None]) -> None:
    hasher, done = hashlib.sha256(), 0
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            while piece := reader.read(PIECE_BYTES):
                hasher.update(piece)
                writer.write(piece)
                done += len(piece)
                told(min(done, size))
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise BackupError(source, f"cannot be copied ({error.strerror})", "a readable file, and room for it") from None
    if done != size:
        how = "truncated" if done < size else "longer than it was"
        raise BackupError(source, f"{how}: {done} bytes", f"{size} bytes, as {PurePosixPath(MANIFEST)} says")
    if hasher.hexdigest() != digest:
        raise BackupError(source, f"altered: SHA-256 {hasher.hexdigest()}", f"SHA-256 {digest}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync_file(path)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
