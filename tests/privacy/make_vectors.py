"""Vectors of our own proofs on secp256k1, from fixed keys: `python -m tests.privacy.make_vectors` writes them anew.

They hold the format still: a label, an order or an encoding that changes makes other bytes. Every case is made over
any group of secp256k1's points, so that plain integers (`tests.privacy.plain_secp256k1`) are the second witness.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from privacy import clsag, range_proof, ring, stealth
from privacy.auditors import (
    Partial,
    ciphertext_from_bytes_checked,
    deal,
    decrypt_partially,
    encrypt,
    partial_is_right,
    prove_same_amount,
    same_amount_from_bytes_checked,
    same_amount_holds,
)
from privacy.claims import COLUMNS
from privacy.commitment import VALUE_USE, commit, value_base
from privacy.equality import (
    difference_from_bytes_checked,
    equality_from_bytes_checked,
    prove_different,
    prove_equal,
    verify_different,
    verify_equal,
)
from privacy.group import Group
from privacy.possession import Registration, Role, possession_holds, prove_possession
from privacy.secp256k1 import SECP256K1
from tests.privacy.keys import random_bytes, secret

FOLDER = Path(__file__).parent / "vectors"
P = TypeVar("P")
Case = dict[str, Any]
SCOPE, MESSAGE = bytes.fromhex("51" * 32), bytes.fromhex("52" * 32)
MEMBERS, SIGNER = 3, 1
USES = ("scope", clsag.KEY_IMAGE_USE, VALUE_USE, range_proof.LEFT_USE, range_proof.RIGHT_USE)
REGISTRATION = Registration(bytes.fromhex("53" * 32), bytes.fromhex("aa" * 20), 7)
RANGES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "range single": (8, (200,)),
    "range aggregated": (8, (3, 255, 0)),
}


def _hex(group: Group[P], *points: P) -> list[str]:
    return [group.point_to_bytes(point).hex() for point in points]


def _points(group: Group[P], raws: list[str]) -> tuple[P, ...]:
    return tuple(group.point_from_bytes_checked(bytes.fromhex(raw)) for raw in raws)


# -- making


def _ring(group: Group[P], columns: int) -> Case:
    keys = [[secret(f"vector {column} of {member}") for column in range(columns)] for member in range(MEMBERS)]
    rows = tuple(tuple(map(group.multiply_generator, row)) for row in keys)
    said = ring.Statement(COLUMNS[columns], rows, SCOPE, MESSAGE)
    signature = ring.sign(group, said, keys[SIGNER], SIGNER, random_bytes("vector ring"))
    return {
        "columns": list(said.columns),
        "members": [_hex(group, *row) for row in rows],
        "scope": SCOPE.hex(),
        "message": MESSAGE.hex(),
        "proof": signature.to_bytes(group).hex(),
    }


def _clsag(group: Group[P]) -> Case:
    keys, blindings = ([secret(f"vector {what} {at}") for at in range(MEMBERS)] for what in ("key", "blinding"))
    notes = tuple(
        clsag.Member(group.multiply_generator(key), commit(group, 7, blinding))
        for key, blinding in zip(keys, blindings, strict=True)
    )
    pseudo = secret("vector pseudo-output")
    said = clsag.Statement(notes, commit(group, 7, pseudo), MESSAGE)
    secrets = clsag.Secrets(keys[SIGNER], group.scalar(blindings[SIGNER] - pseudo))
    return {
        "members": [_hex(group, note.key, note.commitment) for note in notes],
        "pseudo_output": _hex(group, said.pseudo_output)[0],
        "message": MESSAGE.hex(),
        "proof": clsag.sign(group, said, secrets, SIGNER, random_bytes("vector CLSAG")).to_bytes(group).hex(),
    }


def _range(group: Group[P], bits: int, amounts: tuple[int, ...]) -> Case:
    openings = [(amount, secret(f"vector blinding {at}")) for at, amount in enumerate(amounts)]
    said = range_proof.Statement(tuple(commit(group, *each) for each in openings), bits, MESSAGE)
    proof = range_proof.prove(group, said, openings, random_bytes("vector range"))
    return {
        "bits": bits,
        "amounts": list(amounts),
        "commitments": _hex(group, *said.commitments),
        "message": MESSAGE.hex(),
        "proof": proof.to_bytes(group).hex(),
    }


def _equality(group: Group[P]) -> Case:
    bases = (group.generator, ring.scope_base(group, SCOPE))
    x = secret("vector equality")
    return {
        "use": "vector",
        "bases": _hex(group, *bases),
        "points": _hex(group, *(group.multiply(x, base) for base in bases)),
        "message": MESSAGE.hex(),
        "proof": prove_equal(group, "vector", bases, x, MESSAGE, random_bytes("vector equality")).to_bytes(group).hex(),
    }


def _difference(group: Group[P]) -> Case:
    base, other = group.generator, ring.scope_base(group, SCOPE)
    x, point = secret("vector difference"), group.multiply(secret("vector another"), other)
    proof = prove_different(group, "vector", base, other, point, x, MESSAGE, random_bytes("vector difference"))
    return {
        "use": "vector",
        "points": _hex(group, base, other, group.multiply(x, base), point),
        "message": MESSAGE.hex(),
        "proof": proof.to_bytes(group).hex(),
    }


def _possession(group: Group[P]) -> Case:
    key = secret("vector possession")
    proof = prove_possession(group, Role.TRACE, REGISTRATION, key, random_bytes("vector possession"))
    return {
        "role": str(Role.TRACE),
        "registration": REGISTRATION.to_bytes().hex(),
        "key": _hex(group, group.multiply_generator(key))[0],
        "proof": proof.to_bytes(group).hex(),
    }


def _same_amount(group: Group[P]) -> Case:
    joint, rho, gamma = group.multiply_generator(secret("vector joint")), secret("vector rho"), secret("vector gamma")
    proof = prove_same_amount(group, joint, 5, rho, gamma, MESSAGE, random_bytes("vector same"))
    return {
        "joint_key": _hex(group, joint)[0],
        "amount": 5,
        "ciphertext": encrypt(group, joint, 5, rho).to_bytes(group).hex(),
        "commitment": _hex(group, commit(group, 5, gamma))[0],
        "message": MESSAGE.hex(),
        "proof": proof.to_bytes(group).hex(),
    }


def _part(group: Group[P]) -> Case:
    dealing = deal(group, secret("vector dealer"), 2, 3, random_bytes("vector dealer"))
    base = ring.scope_base(group, SCOPE)
    part = decrypt_partially(group, 2, dealing.shares[1], base, MESSAGE, random_bytes("vector part"))
    return {
        "commitments": _hex(group, *dealing.commitments),
        "shares": [group.scalar_to_bytes(share).hex() for share in dealing.shares],
        "auditor": part.auditor,
        "public": _hex(group, group.multiply_generator(dealing.shares[1]))[0],
        "base": _hex(group, base)[0],
        "point": _hex(group, part.point)[0],
        "request": MESSAGE.hex(),
        "proof": part.proof.to_bytes(group).hex(),
    }


def _stealth(group: Group[P]) -> Case:
    spend, view, ephemeral = (secret(f"vector {what}") for what in ("spend", "view", "ephemeral"))
    meta = stealth.MetaAddress(group.multiply_generator(spend), group.multiply_generator(view))
    output = stealth.derive(group, meta, ephemeral)
    return {
        "spending": group.scalar_to_bytes(spend).hex(),
        "viewing": group.scalar_to_bytes(view).hex(),
        "meta_address": _hex(group, meta.spending, meta.viewing),
        "ephemeral": _hex(group, output.ephemeral)[0],
        "key": _hex(group, output.key)[0],
        "view_tag": output.view_tag,
        "amount_key": stealth.amount_key(group, view, output.ephemeral).hex(),
    }


def _hashes(group: Group[P]) -> Case:
    inputs = (b"", b"\0" * 32, MESSAGE)
    return {use: {data.hex(): _hex(group, group.hash_to_point(use, data))[0] for data in inputs} for use in USES}


def _generators(group: Group[P]) -> Case:
    left, right = range_proof.TRANSCRIPT.bases(group, 8)
    return {"H": _hex(group, value_base(group))[0], "G_i": _hex(group, *left), "H_i": _hex(group, *right)}


MAKERS: Mapping[str, Callable[[Group[Any]], Case]] = {
    "ring of one column": lambda group: _ring(group, 1),
    "ring of two columns": lambda group: _ring(group, 2),
    "ring of three columns": lambda group: _ring(group, 3),
    "clsag": _clsag,
    **{name: partial(_range, bits=bits, amounts=amounts) for name, (bits, amounts) in RANGES.items()},
    "equality": _equality,
    "difference": _difference,
    "possession": _possession,
    "same amount": _same_amount,
    "part": _part,
    "stealth": _stealth,
    "hash to point": _hashes,
    "generators": _generators,
}


# -- checking what is written


def _ring_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    members = tuple(_points(group, row) for row in case["members"])
    columns = tuple(map(ring.Column, case["columns"]))
    said = ring.Statement(columns, members, bytes.fromhex(case["scope"]), bytes.fromhex(case["message"]))
    signature = ring.signature_from_bytes_checked(group, raw, len(columns), len(members))
    return ring.verify(group, said, signature)


def _clsag_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    notes = tuple(clsag.Member(*_points(group, row)) for row in case["members"])
    (pseudo_output,) = _points(group, [case["pseudo_output"]])
    said = clsag.Statement(notes, pseudo_output, bytes.fromhex(case["message"]))
    return clsag.verify(group, said, clsag.clsag_from_bytes_checked(group, raw, len(notes)))


def _range_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    said = range_proof.Statement(_points(group, case["commitments"]), case["bits"], bytes.fromhex(case["message"]))
    return range_proof.verify(group, said, range_proof.range_proof_from_bytes_checked(group, raw, said))


def _equality_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    bases, points = (_points(group, case[what]) for what in ("bases", "points"))
    proof = equality_from_bytes_checked(group, raw)
    return verify_equal(group, case["use"], bases, points, bytes.fromhex(case["message"]), proof)


def _difference_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    base, other, key, point = _points(group, case["points"])
    message, proof = bytes.fromhex(case["message"]), difference_from_bytes_checked(group, raw)
    return verify_different(group, case["use"], base, other, key, point, message, proof)


def _possession_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    said = bytes.fromhex(case["registration"])
    registration = Registration(said[:32], said[32:52], int.from_bytes(said[52:], "big"))
    (key,), proof = _points(group, [case["key"]]), equality_from_bytes_checked(group, raw)
    return possession_holds(group, Role(case["role"]), registration, key, proof)


def _same_amount_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    joint, commitment = _points(group, [case["joint_key"], case["commitment"]])
    ciphertext = ciphertext_from_bytes_checked(group, bytes.fromhex(case["ciphertext"]))
    proof = same_amount_from_bytes_checked(group, raw)
    return same_amount_holds(group, joint, ciphertext, commitment, bytes.fromhex(case["message"]), proof)


def _part_holds(group: Group[P], case: Case, raw: bytes) -> bool:
    public, base, point = _points(group, [case["public"], case["base"], case["point"]])
    partial = Partial(case["auditor"], point, equality_from_bytes_checked(group, raw))
    return partial_is_right(group, public, base, bytes.fromhex(case["request"]), partial)


CHECKS: Mapping[str, Callable[[Group[Any], Case, bytes], bool]] = {
    "ring of one column": _ring_holds,
    "ring of two columns": _ring_holds,
    "ring of three columns": _ring_holds,
    "clsag": _clsag_holds,
    "range single": _range_holds,
    "range aggregated": _range_holds,
    "equality": _equality_holds,
    "difference": _difference_holds,
    "possession": _possession_holds,
    "same amount": _same_amount_holds,
    "part": _part_holds,
}


def path_of(name: str) -> Path:
    """Return the file of a case."""
    return FOLDER / f"{name.replace(' ', '_')}.json"


def written(name: str) -> Case:
    """Return a case as it is committed."""
    found: Case = json.loads(path_of(name).read_text())
    return found


def main() -> None:
    """Write all cases."""
    for name, make in MAKERS.items():
        path_of(name).write_text(json.dumps(make(SECP256K1), indent=1) + "\n")
        print(f"{path_of(name).name} written")


if __name__ == "__main__":
    main()
