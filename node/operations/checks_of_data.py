"""What doctor looks at in a data directory: key, passphrase, database, write-ahead log, marker."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from node.application import next_validators
from node.config import CONFIG_NAME, RESTORED_NAME, WAL_NAME, SignerAddress
from node.driver.signer import SignerAway
from node.driver.wal import DamagedLog, OtherLog, WriteAheadLog
from node.keys import PASSPHRASE_VARIABLE, KeyFileError, load_key, public_node_key, read_passphrase
from node.membership import membership
from node.operations.database import check_head, domain_of, open_database
from node.operations.doctor import Check, Finding, Patient, fail, ok, warn
from node.restore import is_marked
from node.signer.remote import RemoteSigner
from node.storage import CorruptValue, StorageError, View
from node.storage.store import LOCK_NAME
from node.storage.tables import TABLES

SAMPLE = 200  # values of a table, and heights below the head, that are read


def _key(patient: Patient) -> Iterator[Finding]:
    path = patient.config.key
    if isinstance(path, SignerAddress):
        yield _signer(patient, path)
        return
    try:
        node_key = public_node_key(path)
    except KeyFileError as error:
        yield fail("key", str(error), "chmod 600, or name the right file in node.toml")
        return
    yield ok("key", f"{path}: node key 0x{node_key.hex()}, mode 0600")
    if patient.config.passphrase_file is None and PASSPHRASE_VARIABLE not in os.environ:
        yield warn("passphrase", "none is configured", f"the node asks for it, or takes {PASSPHRASE_VARIABLE}")
        return
    try:
        load_key(path, read_passphrase(patient.config.passphrase_file))
    except KeyFileError as error:
        yield fail("passphrase", str(error), "write the key's passphrase into the file that node.toml names")
        return
    yield ok("passphrase", "it opens the key")


def _signer(patient: Patient, address: SignerAddress) -> Finding:
    try:
        RemoteSigner(address, domain_of(patient.genesis)).hang_up()
    except SignerAway as error:
        return fail("signer", str(error), "start it: `gridpact signer run`")
    return ok("signer", f"{address.socket}: holds node key 0x{address.node_key.hex()}")


def _database(patient: Patient) -> Iterator[Finding]:
    patient.running = _is_locked(patient.database / LOCK_NAME)
    try:
        store, domain = open_database(patient.database, patient.genesis, readonly=True)
    except (StorageError, CorruptValue) as error:
        yield fail("database", str(error), "")
        return
    try:
        with store.read() as view:
            kept = f", from height {view.first_height} on" if view.first_height else ""
            state = "in use by the running node" if patient.running else "not in use"
            yield ok("database", f"height {view.head_height}{kept}, fits the genesis file, {state}")
            check_head(view, patient.genesis, domain)
            whose = "is certified by a quorum" if view.head_height else "is the genesis file's"
            yield ok("head", f"0x{view.head.hash.hex()} {whose}")
            yield ok("checksums", f"{_sample(view)} values read")
            yield from _seat(patient, view)
    except CorruptValue as error:
        yield fail("checksums", str(error), "`gridpact audit verify` shows what else; restore a backup, or join anew")
    finally:
        store.close()


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _sample(view: View) -> int:
    """Read the beginning of every table, and the newest heights whole; return how many values that were."""
    count = sum(1 for table in TABLES for _ in islice(view.items(table), SAMPLE))
    for height in range(max(view.first_height, view.head_height - SAMPLE), view.head_height + 1):
        view.body(height), view.receipts(height), view.record(height), view.certificate(height)
        count += 5
    return count


def _seat(patient: Patient, view: View) -> Iterator[Finding]:
    own = _own_key(patient)
    if own is None:
        return
    validators = next_validators(view)
    found = membership(view, validators, own)
    patient.quorum, patient.head_time_s = validators.quorum, view.head.timestamp
    for member in found.members:
        if member.node_key != own and member.node_key in found.trusted:
            endpoint = patient.config.p2p_dial.get(member.node_key, found.trusted[member.node_key])
            patient.endpoints[member.name] = endpoint
    if own in validators:
        yield ok("seat", f"the key is one of {validators.size} validators'; {validators.quorum} decide")
    else:
        yield warn("seat", "the key is no validator's", "the node follows; name members' RPC in [sync] urls")


def _own_key(patient: Patient) -> bytes | None:
    """Return the node's public key; None if its file cannot be used, which has a line of its own."""
    try:
        return patient.config.node_key()
    except KeyFileError:
        return None


def _log(patient: Patient) -> Iterator[Finding]:
    path, marked = patient.config.directory / WAL_NAME, is_marked(patient.config.directory)
    restore = f"`gridpact node restore --config {patient.config.directory / CONFIG_NAME}`, then start the node"
    if marked:
        advice = "the node abstains until it knows from the others what it voted; it removes the marker itself"
        yield warn("marker", f"{RESTORED_NAME} is there", advice)
    else:
        yield ok("marker", "none: the node votes")
    if not path.exists():
        store, _ = open_database(patient.database, patient.genesis, readonly=True)
        with store.read() as view:
            voted = view.head_height > view.first_height
        store.close()
        yield ok("log", "none yet") if marked or not voted else fail("log", f"{path} is missing", restore)
        return
    own = _own_key(patient)
    if own is None:
        return
    identity = domain_of(patient.genesis).genesis_hash + own
    with tempfile.TemporaryDirectory() as folder:  # opening drops a torn tail: of a copy
        copy = shutil.copy(path, Path(folder) / WAL_NAME)
        try:
            log = WriteAheadLog(Path(copy), identity)
        except DamagedLog as error:
            yield fail("log", f"{path}: {error.what}", restore)
        except OtherLog:
            yield warn("log", f"{path} is that of another key", "the node keeps it aside and begins one of its own")
        else:
            yield ok("log", f"{path}: {len(log.records())} records")
            log.close()


DATA_CHECKS: tuple[tuple[str, Check], ...] = (("key", _key), ("database", _database), ("log", _log))
