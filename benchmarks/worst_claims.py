"""Claims for `make bench-worst-case`: valid ones, which take the longest to check, of several sizes."""

from __future__ import annotations

from collections.abc import Mapping

from eth_hash.auto import keccak

from privacy import claims, clsag, range_proof, ring
from privacy.auditors import encrypt, prove_same_amount
from privacy.commitment import commit
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1

G = SECP256K1
SAID = keccak(b"said")


def _secret(name: str) -> Scalar:
    return G.scalar(int.from_bytes(keccak(name.encode()), "big"))


def _ring(columns: int, members: int) -> bytes:
    keys = [[_secret(f"ring {column} {member}") for column in range(columns)] for member in range(members)]
    rows = tuple(tuple(map(G.multiply_generator, row)) for row in keys)
    said = ring.Statement(claims.COLUMNS[columns], rows, SAID, SAID)
    return claims.ring_claim(said, ring.sign(G, said, keys[0], 0, SAID))


def _delivery(members: int) -> bytes:
    keys = [[_secret(f"delivery {column} {member}") for column in range(2)] for member in range(members)]
    points = [[*map(G.multiply_generator, row)] for row in keys]
    rows = tuple((row[0], row[1], commit(G, 7, _secret(f"reading {at}"))) for at, row in enumerate(points))
    delivered = commit(G, 7, _secret("delivered"))
    statement = claims.delivery_statement(rows, delivered, SAID, SAID)
    difference = G.scalar(_secret("reading 0") - _secret("delivered"))
    return claims.delivery_claim(rows, delivered, SAID, SAID, ring.sign(G, statement, (*keys[0], difference), 0, SAID))


def _note(members: int) -> bytes:
    keys, blindings = ([_secret(f"{what} {member}") for member in range(members)] for what in ("key", "blinding"))
    pairs = zip(keys, blindings, strict=True)
    notes = tuple(clsag.Member(G.multiply_generator(key), commit(G, 7, blinding)) for key, blinding in pairs)
    said = clsag.Statement(notes, commit(G, 7, _secret("pseudo")), SAID)
    secrets = clsag.Secrets(keys[0], G.scalar(blindings[0] - _secret("pseudo")))
    return claims.note_claim(said, clsag.sign(G, said, secrets, 0, SAID))


def _range(bits: int, count: int) -> bytes:
    opened = [(place, _secret(f"amount {place}")) for place in range(count)]
    said = range_proof.Statement(tuple(commit(G, *each) for each in opened), bits, SAID)
    return claims.range_claim(said, range_proof.prove(G, said, opened, SAID))


def _same_amount() -> bytes:
    joint, rho, gamma = (_secret(each) for each in ("joint", "rho", "gamma"))
    key = G.multiply_generator(joint)
    proof = prove_same_amount(G, key, 5, rho, gamma, SAID, SAID)
    return claims.same_amount_claim(key, encrypt(G, key, 5, rho), commit(G, 5, gamma), SAID, proof)


def _sum(kind: int, count: int) -> bytes:
    point, scalar = G.multiply_generator(_secret("point")), _secret("scalar")
    has_point, has_scalar = kind <= claims.TIMES, kind >= claims.TIMES
    term = claims.Term(kind, point if has_point else None, scalar if has_scalar else None)
    return claims.sum_claim([term] * count)


def worst_claims() -> Mapping[str, tuple[int, bytes]]:
    """Return (number of the precompiled contract, input) by name."""
    return {
        **{f"ring claim, {c} columns, {m} members": (0x4701, _ring(c, m)) for c in (1, 2, 3) for m in (2, 64)},
        **{f"delivery claim, {m} members": (0x4701, _delivery(m)) for m in (2, 64)},
        **{f"note claim, {m} members": (0x4702, _note(m)) for m in (2, 64)},
        **{f"range claim, {c} of {b} bits": (0x4703, _range(b, c)) for b, c in ((8, 1), (64, 1), (64, 16))},
        **{f"sum of {n} terms, kind {k}": (0x4704, _sum(k, n)) for k in range(5) for n in (1, 200)},
        "sum of no terms": (0x4704, _sum(0, 0)),
        "claim of the same amount": (0x4705, _same_amount()),
        "hash to point, the same again": (0x4706, SAID),
        "a claim that is none": (0x4701, b""),
    }
