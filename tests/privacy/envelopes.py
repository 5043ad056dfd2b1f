"""Rings, bins, calls and transfers that hold, from seeds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from privacy import clsag
from privacy.commitment import commit
from privacy.envelopes import (
    BIN_NOTES,
    AnonymousCall,
    OwnSpend,
    RingRow,
    ShieldedTransfer,
    call_images,
    ring_to_code,
    sign_call,
    sign_transfer,
)
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1, Point
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
CHAIN_ID = 2016
REGISTRY, POOL, MARKET = (bytes(18) + number.to_bytes(2, "big") for number in (0x4807, 0x4808, 0x4809))
WINDOW = 5
SESSION = b"\x5e" * 20
SPEND = keccak(b"spend(bytes,bytes,bytes,address,uint64,uint64,address)")[:4]
AMOUNT = 1_000  # of every note
Note = clsag.Member[Point]


def member_secrets(index: int, epoch: str = "") -> tuple[Scalar, Scalar]:
    """Return x and k of a member; other ones in every epoch."""
    return secret(f"x {index}{epoch}"), secret(f"k {index}{epoch}")


@cache
def ring_rows(members: int = 8, epoch: str = "") -> tuple[RingRow, ...]:
    return tuple(
        RingRow(bytes((index + 1,)) * 20, *map(G.multiply_generator, member_secrets(index, epoch)))
        for index in range(members)
    )


def call_of(rows: tuple[RingRow, ...], index: int = 3, epoch: str = "", **values: Any) -> AnonymousCall:
    """Return what the member at `index` is about to sign."""
    call = AnonymousCall(CHAIN_ID, WINDOW, keccak(ring_to_code(rows)), b"", b"", 40, 400_000, MARKET, b"offer")
    call = replace(call, **values)
    nullifier, trace_tag = call_images(call.scope(REGISTRY), member_secrets(index, epoch))
    return replace(call, nullifier=nullifier, trace_tag=trace_tag)


def signed_call(rows: tuple[RingRow, ...] | None = None, index: int = 3, epoch: str = "", **values: Any) -> bytes:
    rows = rows or ring_rows()
    call = call_of(rows, index, epoch, **values)
    return sign_call(call, REGISTRY, rows, member_secrets(index, epoch), index, random_bytes("call"))


def note_secrets(bin_: int, index: int) -> tuple[Scalar, Scalar]:
    """Return a note's key and its commitment's blinding."""
    return secret(f"note {bin_} {index}"), secret(f"blinding {bin_} {index}")


@cache
def bin_notes(bin_: int) -> tuple[Note, ...]:
    made = []
    for index in range(BIN_NOTES):
        key, blinding = note_secrets(bin_, index)
        made.append(clsag.Member(G.multiply_generator(key), commit(G, AMOUNT, blinding)))
    return tuple(made)


def own_spend(bin_: int, index: int, name: str = "") -> OwnSpend:
    key, blinding = note_secrets(bin_, index)
    pseudo = secret(f"pseudo {bin_} {index} {name}")
    secrets = clsag.Secrets(key, G.scalar(blinding - pseudo))
    return OwnSpend(bin_notes(bin_), index, commit(G, AMOUNT, pseudo), secrets)


def spent_row(bin_: int, spend: OwnSpend) -> bytes:
    """Return bin ‖ key image ‖ pseudo-output."""
    image = clsag.key_image(G, spend.secrets.key)
    return bin_.to_bytes(4, "big") + G.point_to_bytes(image) + G.point_to_bytes(spend.pseudo_output)


def openings_of(
    amounts: tuple[int, ...], places: tuple[tuple[int, int], ...], name: str = ""
) -> list[tuple[int, Scalar]]:
    """Return (v, γ) of each amount; the blindings add up to those of the pseudo-outputs of these notes."""
    rest = [secret(f"output {place} {amount}") for place, amount in enumerate(amounts[1:])]
    pseudo = sum(secret(f"pseudo {bin_} {index} {name}") for bin_, index in places)
    return list(zip(amounts, (G.scalar(pseudo - sum(rest)), *rest), strict=True))


def note_bytes(opening: tuple[int, Scalar], name: str = "") -> bytes:
    """Return a new note of 334 bytes whose key, commitment and nothing else are real."""
    key = G.multiply_generator(secret(f"new {opening[0]} {name}"))
    return b"".join(map(G.point_to_bytes, (key, commit(G, *opening)))) + bytes(334 - 66)


def spend_data(spends: bytes, notes: bytes, lock: bytes = b"", withdrawal: int = 0) -> bytes:
    types = ("bytes", "bytes", "bytes", "address", "uint64", "uint64", "address")
    return SPEND + encode(types, (spends, notes, lock, SESSION, WINDOW, withdrawal, bytes(20)))


def transfer_of(**values: Any) -> ShieldedTransfer:
    """Return what the owners of notes are about to sign."""
    return replace(ShieldedTransfer(CHAIN_ID, 40, 1_500_000, POOL, b""), **values)


def signed_transfer(
    places: tuple[tuple[int, int], ...] = ((0, 3), (1, 5)),
    amounts: tuple[int, ...] = (1_500, 500),
    name: str = "",
    proved: tuple[int, ...] | None = None,
    withdrawal: int = 0,
    **values: Any,
) -> bytes:
    """Return a transfer of the notes at these places (bin, index); a third amount is a lock.

    It balances if the amounts and the withdrawal do: every note is of `AMOUNT`.

    `proved` are the amounts that are shown to be in range, if they are others than those that are transferred.
    """
    spends = [own_spend(*place, name) for place in places]
    openings = openings_of(amounts, places, name)
    rows = b"".join(spent_row(bin_, spend) for (bin_, _), spend in zip(places, spends, strict=True))
    notes = b"".join(note_bytes(opening, name) for opening in openings[:2])
    lock = b"".join(G.point_to_bytes(commit(G, *opening)) + bytes(227 - 33) for opening in openings[2:])
    transfer = transfer_of(data=spend_data(rows, notes, lock, withdrawal), **values)
    shown = openings if proved is None else openings_of(proved, places, name)
    return sign_transfer(transfer, spends, shown, random_bytes("transfer"))
