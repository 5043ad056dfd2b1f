"""A newcomer's database, from a member's snapshot: fetched in parts, verified from the genesis file, resumable.

Everything is made in a folder of its own. What was verified there is not fetched again when the process was killed;
nothing there is taken for a database before it is one.
"""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eth_hash.auto import keccak

from node.config import DATABASE_NAME, MANIFEST_NAME
from node.errors import GridpactError
from node.operations.progress import Advance, unheard
from node.snapshot.assembly import Assembly
from node.snapshot.format import MAX_MANIFEST_BYTES, InvalidSnapshot, Manifest, decode_manifest
from node.snapshot.verify import Origin, check_manifest
from node.storage import CorruptValue, StorageError, Store
from node.storage.draft import Draft
from node.storage.store import DEFAULT_MAP_BYTES

REQUEST_TIMEOUT_S = 60.0
MAX_RESTARTS = 3  # with a newer snapshot, when the one begun with is gone: two are kept, so that is rare
AHEAD = 4  # chunks fetched while one is verified

Report = Callable[[str], None]


class JoinError(GridpactError):
    """No database could be made: what each member answered."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons) or "no address to join at")
        self.reasons = tuple(reasons)


class _Unanswered(Exception):
    """One address did not give what was asked for."""


class _Gone(Exception):
    """Nobody serves the snapshot any more that was begun with."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What the new database begins with: a height, its block's hash, and how many epoch changes lead to it."""

    height: int
    block_hash: bytes
    epoch_changes: int


def fetch_database(
    folder: Path,
    origin: Origin,
    urls: Sequence[str],
    report: Report,
    *,
    map_bytes: int = DEFAULT_MAP_BYTES,
    advance: Advance = unheard,
) -> Joined | None:
    """Make the database `folder`/chain from a snapshot that one of `urls` serves; None if none of them has one yet.

    Args:
        folder: where to work; what an earlier run left there is gone on with.
        origin: what the genesis file makes.
        urls: RPC addresses of members; none of them is trusted.
        report: told, in a line each, what a person may want to know.
        map_bytes: bound of the database.
        advance: told how many of the snapshot's chunks are verified.

    Raises:
        JoinError: none of them gave a snapshot that holds.
        StorageError: the disk refuses, or another process is at work in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left, reasons, restarts = list(urls), list[str](), 0
    while left:
        begun, url = _begun(folder), left[0]
        try:
            raw = begun or _fetch_manifest(folder, url)
            if raw is not None:
                return _assemble(folder, raw, origin, left, report, map_bytes, advance)
        except (_Gone, InvalidSnapshot, _Unanswered) as error:
            report(f"{url}: {error}")
            if not isinstance(error, _Unanswered):
                _drop(folder)
            if begun is not None and not isinstance(error, _Unanswered):
                continue  # what an earlier run began with was of no use: the address has not been asked yet
            if isinstance(error, _Gone) and restarts < MAX_RESTARTS:
                restarts += 1
                continue
            reasons.append(f"{url}: {error}")
        left.remove(url)
    if reasons:
        raise JoinError(reasons)
    return None


def _fetch_manifest(folder: Path, url: str) -> bytes | None:
    raw = _fetch(f"{url}/snapshot", MAX_MANIFEST_BYTES)
    if raw is not None:
        _keep(folder, raw)
    return raw


def _assemble(
    folder: Path,
    raw: bytes,
    origin: Origin,
    urls: Sequence[str],
    report: Report,
    map_bytes: int,
    advance: Advance,
) -> Joined:
    manifest = decode_manifest(raw)
    anchor = check_manifest(manifest, origin)
    header = anchor.sealed.header
    joined = Joined(header.number, header.hash, len(anchor.transitions))
    if _finished(folder / DATABASE_NAME, origin, map_bytes):
        return joined
    draft = Draft(folder / DATABASE_NAME, keccak(raw), map_bytes=map_bytes)
    try:
        if not draft.matches:
            raise InvalidSnapshot("draft", "chunks of another manifest")
        assembly = Assembly(manifest, origin, draft)
        count = len(manifest.chunks)
        if draft.done:
            report(f"going on with chunk {draft.done} of {count}")
        report(f"height {header.number}, certified; {len(assembly.missing)} chunks to fetch and verify")
        for index, chunk in _chunks(manifest, assembly.missing, urls):
            assembly.take(index, chunk)
            advance(index + 1, count)
        assembly.finish()
    finally:
        draft.close()
    return joined


def _chunks(manifest: Manifest, missing: range, urls: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Yield (index, chunk) in order, a few of them on their way at any time."""
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="join") as threads:
        coming: dict[int, Future[bytes]] = {}
        try:
            for index in missing:
                for wanted in range(index, min(index + AHEAD, missing.stop)):
                    if wanted not in coming:
                        coming[wanted] = threads.submit(_fetch_chunk, manifest, wanted, urls)
                yield index, coming.pop(index).result()
        finally:
            for future in coming.values():
                future.cancel()


def _fetch_chunk(manifest: Manifest, index: int, urls: Sequence[str]) -> bytes:
    """Return a chunk from whoever serves the same one."""
    ref = manifest.chunks[index]
    reasons = []
    for url in urls:
        try:
            raw = _fetch(f"{url}/snapshot/{manifest.height}/{index}", ref.length)
        except _Unanswered as error:
            reasons.append(f"{url}: {error}")
            continue
        if raw is not None and keccak(raw) == ref.hash:
            return raw
        if raw is not None:
            reasons.append(f"{url}: chunk {index} is not the one that the manifest names")
    if reasons:
        raise _Unanswered("; ".join(reasons))
    raise _Gone(f"nobody serves the snapshot of height {manifest.height} (any more)")


def _fetch(url: str, most: int) -> bytes | None:
    """Return what is at `url`, at most `most` bytes; None if there is nothing."""
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_TIMEOUT_S) as response:
            raw = bytes(response.read(most + 1))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise _Unanswered(f"HTTP status {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Unanswered(f"no answer ({error})") from None
    if len(raw) > most:
        raise _Unanswered(f"more than {most} bytes at {url}")
    return raw


# -- the folder


def _begun(folder: Path) -> bytes | None:
    try:
        return (folder / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        return None


def _keep(folder: Path, raw: bytes) -> None:
    """Write the manifest whole or not at all; chunks of another one would be of no use."""
    _drop(folder)
    fresh = folder / f"{MANIFEST_NAME}.new"
    fresh.write_bytes(raw)
    fresh.replace(folder / MANIFEST_NAME)


def _drop(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    if (folder / DATABASE_NAME).exists():
        shutil.rmtree(folder / DATABASE_NAME)


def _finished(path: Path, origin: Origin, map_bytes: int) -> bool:
    """Return whether an earlier run ended between the last step and giving the folder its name."""
    domain = origin.domain
    try:
        Store.open(
            path, chain_id=domain.chain_id, genesis_hash=domain.genesis_hash, readonly=True, map_bytes=map_bytes
        ).close()
    except (StorageError, CorruptValue):
        return False
    return True
