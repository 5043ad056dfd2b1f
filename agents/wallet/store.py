"""A wallet's file: its seed in an Ethereum keystore (scrypt), everything else under a key that follows from the seed.

The file has mode 0600 and is replaced whole: whatever happens, the old one or the new one is there. Who writes holds a
lock beside it, which the system takes back when the process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from agents.errors import AgentError
from agents.keys import SCRYPT_WORK_FACTOR
from agents.wallet.keys import SEED_BYTES, keys_of
from agents.wallet.wallet import Wallet
from privacy.transcript import Transcript

FORMAT = "gridpact wallet 1"


class WalletFileError(AgentError):
    """A wallet's file cannot be used."""

    def __init__(self, path: Path, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = path
        self.expected = expected


@dataclass(frozen=True, slots=True, repr=False)
class WalletFile:
    """An open wallet file.

    Args:
        path: where it is.
        seed: 32 bytes.
        keystore: what the seed is in.
        wallet: what it held when it was opened, and is saved as it is then.
        genesis: hash of the chain's genesis block, hexadecimal digits.
    """

    path: Path
    seed: bytes
    keystore: dict[str, Any]
    wallet: Wallet
    genesis: str

    def save(self) -> None:
        """Replace the file by what the wallet knows now."""
        plain = {"genesis": self.genesis, **self.wallet.to_plain()}
        box = SecretBox(_state_key(self.seed)).encrypt(json.dumps(plain, separators=(",", ":")).encode())
        content = {"format": FORMAT, "keystore": self.keystore, "state": bytes(box).hex()}
        _replace(self.path, json.dumps(content).encode("ascii"))


def create_wallet_file(
    path: Path,
    passphrase: bytes,
    seed: bytes,
    *,
    chain_id: int,
    genesis: str,
    height: int = -1,
    work_factor: int = SCRYPT_WORK_FACTOR,
) -> WalletFile:
    """Write a new wallet file.

    Args:
        path: must not exist yet.
        passphrase: opens the file.
        seed: 32 bytes.
        chain_id: of the chain that its notes are on.
        genesis: hash of the chain's genesis block.
        height: up to which nothing can have come for it; −1 to look at all of the chain.
        work_factor: scrypt's N.

    Raises:
        WalletFileError: the file exists: a wallet is never overwritten.
    """
    refuse_to_overwrite(path)
    keystore = dict(create_keyfile_json(seed, passphrase, kdf="scrypt", iterations=work_factor))
    keystore.pop("address", None)  # the account that has the seed for its key is nobody's
    file = WalletFile(path, seed, keystore, Wallet(keys_of(seed), chain_id, height), genesis)
    file.save()
    return file


def refuse_to_overwrite(path: Path) -> None:
    """Make sure that a new wallet's file does not exist.

    Raises:
        WalletFileError: it does.
    """
    if path.exists():
        raise WalletFileError(path, "no file of this name yet; a wallet is never overwritten")


def open_wallet_file(path: Path, passphrase: bytes) -> WalletFile:
    """Open a wallet file.

    Raises:
        WalletFileError: there is none, it is none, or the passphrase is wrong.
    """
    content = read_content(path)
    try:
        seed = bytes(decode_keyfile_json(content["keystore"], passphrase))
    except ValueError:
        raise WalletFileError(path, "another passphrase: this one does not open the wallet") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise WalletFileError(path, f"a {FORMAT} with its keystore") from None
    try:
        plain = json.loads(SecretBox(_state_key(seed)).decrypt(bytes.fromhex(content["state"])))
        wallet = Wallet.from_plain(keys_of(seed), plain)
        return WalletFile(path, seed, content["keystore"], wallet, plain["genesis"])
    except (CryptoError, ValueError, KeyError, TypeError):
        raise WalletFileError(path, "an unchanged file: restore the wallet from its words") from None


def read_content(path: Path) -> dict[str, Any]:
    """Return what is in a wallet file, which is still encrypted.

    Raises:
        WalletFileError: there is none, or it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="ascii"))
    except OSError as error:
        raise WalletFileError(path, f"a readable wallet file ({error.strerror})") from None
    except ValueError:
        raise WalletFileError(path, f"a {FORMAT}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise WalletFileError(path, f"a {FORMAT}")
    return content


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a wallet file's lock.

    Raises:
        WalletFileError: another command has it, or there is no such folder.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise WalletFileError(lock, f"a folder to write to ({error.strerror})") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WalletFileError(path, "a wallet that no other command uses: one is running") from None
        yield
    finally:
        os.close(descriptor)


def _state_key(seed: bytes) -> bytes:
    said = Transcript("wallet-file")
    said.append("seed", seed)
    return said.challenge_bytes("key")[:SEED_BYTES]


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise WalletFileError(path, f"a file that can be written ({error.strerror})") from None
