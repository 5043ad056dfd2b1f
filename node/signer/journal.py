"""The signer's own memory of votes: durable before a signature leaves, read back before the first one.

It is a write-ahead log as the node's (node/driver/wal.py), with the same rules for a torn end and for damage, and holds
votes, not signatures. When it grows large it begins anew with the votes of the newest height, in one rename.
"""

from __future__ import annotations

from pathlib import Path

import msgpack

from consensus.types import Domain, Vote
from node.driver.signer import VoteBook
from node.driver.wal import WriteAheadLog, WriteAheadLogError
from node.signer.frames import InvalidSignerFrame, read_vote, vote_fields


def _bar(height: int) -> bytes:
    return bytes(msgpack.packb([height]))


def _packed(vote: Vote) -> bytes:
    return bytes(msgpack.packb(vote_fields(vote)))


class SignerJournal:
    """The votes of one key on one chain.

    Args:
        path: the file; made, with its folder's entry synced, if it is not there.
        domain: the chain.
        node_key: whose votes these are (32 bytes).

    Raises:
        WriteAheadLogError: damaged, of another key or chain, or not writable.
    """

    def __init__(self, path: Path, domain: Domain, node_key: bytes) -> None:
        self._log = WriteAheadLog(path, domain.genesis_hash + node_key)
        self._path = path
        self._barred = -1
        self._book: VoteBook | None = None

    def read_into(self, book: VoteBook) -> None:
        """Let a book remember what the file holds; from then on it is the book that the file follows.

        Raises:
            WriteAheadLogError: a record that is none.
        """
        for record in self._log.records():
            try:
                fields = msgpack.unpackb(record)
                if isinstance(fields, list) and len(fields) == 1:
                    self._barred = int(fields[0])
                    book.bar(self._barred)
                else:
                    book.remember(read_vote(fields))
            except (ValueError, TypeError, msgpack.UnpackException, InvalidSignerFrame) as error:
                raise WriteAheadLogError(self._path, f"a record that is none ({error})", "votes") from None
        self._book = book

    def bar(self, height: int) -> None:
        """Write down that nothing may be signed at or below a height."""
        self._log.append([_bar(height)])

    def write(self, vote: Vote) -> None:
        """Write down a vote that is about to be signed; it is on the disk on return.

        Raises:
            WriteAheadLogError: the disk refused; the file is closed, and nothing may be signed.
        """
        self._log.append([_packed(vote)])
        if self._book is not None:
            newest = [each for each in self._book.votes if each.height == vote.height]
            self._log.clear([_bar(self._barred), *map(_packed, newest), _packed(vote)])

    def close(self) -> None:
        """Close the file."""
        self._log.close()
