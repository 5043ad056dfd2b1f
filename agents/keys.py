"""Keys of a household, its meter or the operator: Ethereum keystore V3 files, mode 0600, and the passphrase that
opens them."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_keys.datatypes import PrivateKey

from agents.errors import AgentError

PASSPHRASE_VARIABLE = "GRIDPACT_PASSPHRASE"
SCRYPT_WORK_FACTOR = 262_144  # the keystore's usual cost: about a second a guess


class KeyFileError(AgentError):
    """A key file or passphrase cannot be used."""

    def __init__(self, path: Path, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = path
        self.expected = expected


def create_key(
    path: Path, passphrase: bytes, *, private_key: bytes | None = None, work_factor: int = SCRYPT_WORK_FACTOR
) -> bytes:
    """Write a new keystore file and return its account (20 bytes).

    Args:
        path: must not exist yet.
        passphrase: opens the file.
        private_key: 32 bytes; random if None.
        work_factor: scrypt's N; a devnet with public keys may lower it.

    Raises:
        KeyFileError: the file exists: a key is never overwritten.
    """
    key = PrivateKey(private_key if private_key is not None else secrets.token_bytes(32))
    content = create_keyfile_json(key.to_bytes(), passphrase, kdf="scrypt", iterations=work_factor)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(path, "no file of this name yet; a key is never overwritten") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(content, file)
    account: bytes = key.public_key.to_canonical_address()
    return account


def load_key(path: Path, passphrase: bytes) -> PrivateKey:
    """Open a keystore file.

    Raises:
        KeyFileError: there is none, it is no keystore, or the passphrase is wrong.
    """
    try:
        content = json.loads(path.read_text(encoding="ascii"))
    except OSError as error:
        raise KeyFileError(path, f"a readable key file ({error.strerror})") from None
    except ValueError:
        raise KeyFileError(path, "an Ethereum keystore (JSON)") from None
    try:
        return PrivateKey(decode_keyfile_json(content, passphrase))
    except ValueError:
        raise KeyFileError(path, "another passphrase: this one does not open the key") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise KeyFileError(path, "an Ethereum keystore of version 3") from None


def read_passphrase(path: Path | None) -> bytes:
    """Return the passphrase in a file, or in the environment if no file is named.

    Raises:
        KeyFileError: there is neither.
    """
    if path is None:
        text = os.environ.get(PASSPHRASE_VARIABLE)
        if text is None:
            raise KeyFileError(Path("passphrase_file"), f"a passphrase file, or the variable {PASSPHRASE_VARIABLE}")
        return text.encode()
    try:
        return path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise KeyFileError(path, f"a readable passphrase file ({error.strerror})") from None
