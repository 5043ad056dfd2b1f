"""A signature is verified once: every replica checks the same ones, and the answer depends on nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar
from unittest import mock

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from consensus import types


class RememberedKey:
    """Stands in for `nacl.signing.VerifyKey` in `consensus.types`.

    Args:
        key: the public key, of whatever length a peer sent.
    """

    answers: ClassVar[dict[tuple[bytes, bytes, bytes], bool]] = {}

    def __init__(self, key: bytes) -> None:
        self._key = key

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature.

        Raises:
            BadSignatureError: it does not hold, or key or signature are none.
        """
        asked = (self._key, message, signature)
        holds = self.answers.get(asked)
        if holds is None:
            try:
                VerifyKey(self._key).verify(message, signature)
            except (BadSignatureError, ValueError, TypeError):
                holds = False
            else:
                holds = True
            self.answers[asked] = holds
        if not holds:
            raise BadSignatureError("Signature was forged or corrupt")


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Let the core use the answers while the context lasts; a new run begins without any."""
    RememberedKey.answers.clear()
    with mock.patch.object(types, "VerifyKey", RememberedKey):
        yield
