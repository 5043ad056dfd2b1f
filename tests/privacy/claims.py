"""One claim of every kind that holds, as contracts would hand it over."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from privacy import claims, clsag, range_proof, ring
from privacy.auditors import deal, decrypt_partially, encrypt, prove_same_amount, public_share
from privacy.claims import COLUMNS, Term
from privacy.commitment import commit
from privacy.possession import Registration, Role, prove_possession
from privacy.secp256k1 import SECP256K1
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
SCOPE, MESSAGE = b"\x51" * 32, b"\x52" * 32
HERE = Registration(b"\x53" * 32, b"\xaa" * 20, 7)


def ring_claim(columns: int, members: int = 3) -> bytes:
    keys = [[secret(f"column {column} of {member}") for column in range(columns)] for member in range(members)]
    rows = tuple(tuple(map(G.multiply_generator, row)) for row in keys)
    said = ring.Statement(COLUMNS[columns], rows, SCOPE, MESSAGE)
    return claims.ring_claim(said, ring.sign(G, said, keys[1], 1, random_bytes("ring")))


def delivery_claim(members: int = 3, signer: int = 1, read: tuple[int, ...] = (0, 500, 70), told: int = 500) -> bytes:
    """A member says what its meter reads; who read nothing (0) has no commitment."""
    keys = [[secret(f"delivery {column} of {member}") for column in range(2)] for member in range(members)]
    points = [[*map(G.multiply_generator, row)] for row in keys]
    amounts = [read[at % len(read)] for at in range(members)]
    readings = [commit(G, wh, secret(f"reading {at}")) if wh else G.identity for at, wh in enumerate(amounts)]
    rows = tuple((row[0], row[1], reading) for row, reading in zip(points, readings, strict=True))
    delivered = commit(G, told, secret("delivered"))
    said = claims.delivery_statement(rows, delivered, SCOPE, MESSAGE)
    difference = G.scalar(secret(f"reading {signer}") * bool(read[signer]) - secret("delivered"))
    signature = ring.sign(G, said, (*keys[signer], difference), signer, random_bytes("delivery"))
    return claims.delivery_claim(rows, delivered, SCOPE, MESSAGE, signature)


def note_claim(members: int = 3) -> bytes:
    keys, blindings = ([secret(f"{what} {member}") for member in range(members)] for what in ("key", "blinding"))
    notes = tuple(
        clsag.Member(G.multiply_generator(key), commit(G, 7, blinding))
        for key, blinding in zip(keys, blindings, strict=True)
    )
    said = clsag.Statement(notes, commit(G, 7, secret("pseudo")), MESSAGE)
    secrets = clsag.Secrets(keys[1], G.scalar(blindings[1] - secret("pseudo")))
    return claims.note_claim(said, clsag.sign(G, said, secrets, 1, random_bytes("note")))


def range_claim(*amounts: int, bits: int = 8) -> bytes:
    opened = [(amount, secret(f"blinding {place}")) for place, amount in enumerate(amounts)]
    said = range_proof.Statement(tuple(commit(G, *each) for each in opened), bits, MESSAGE)
    return claims.range_claim(said, range_proof.prove(G, said, opened, random_bytes("range")))


def possession_claim() -> bytes:
    proof = prove_possession(G, Role.TRACE, HERE, secret("key"), random_bytes("possession"))
    return claims.possession_claim(Role.TRACE, HERE, G.multiply_generator(secret("key")), proof)


def part_claim() -> bytes:
    dealing = deal(G, secret("dealer"), 2, 3, random_bytes("dealer"))
    base = ring.scope_base(G, SCOPE)
    partial = decrypt_partially(G, 2, dealing.shares[1], base, MESSAGE, random_bytes("part"))
    return claims.part_claim(public_share(G, dealing.commitments, 2), base, MESSAGE, partial)


def same_amount_claim() -> bytes:
    joint, rho, gamma = G.multiply_generator(secret("joint")), secret("rho"), secret("gamma")
    proof = prove_same_amount(G, joint, 5, rho, gamma, MESSAGE, random_bytes("same"))
    return claims.same_amount_claim(joint, encrypt(G, joint, 5, rho), commit(G, 5, gamma), MESSAGE, proof)


def all_terms() -> list[Term]:
    """Return a term of every kind."""
    point, scalar = G.multiply_generator(secret("point")), secret("scalar")
    return [
        Term(claims.PLUS, point),
        Term(claims.MINUS, G.generator),
        Term(claims.TIMES, point, scalar),
        Term(claims.TIMES_VALUE_BASE, scalar=scalar),
        Term(claims.TIMES_GENERATOR, scalar=scalar),
    ]


@cache
def good() -> Mapping[str, tuple[int, bytes]]:
    """Return claims that hold, by name, with the number of their precompiled contract."""
    return {
        "ring of one column": (0x4701, ring_claim(1)),
        "ring of two columns": (0x4701, ring_claim(2)),
        "ring of three columns": (0x4701, ring_claim(3)),
        "delivery": (0x4701, delivery_claim()),
        "note": (0x4702, note_claim()),
        "range": (0x4703, range_claim(3, 200)),
        "possession": (0x4705, possession_claim()),
        "part": (0x4705, part_claim()),
        "same amount": (0x4705, same_amount_claim()),
    }
