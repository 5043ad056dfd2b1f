"""What a private window's proofs cost a validator: `make bench-privacy`.

Milliseconds of one core (CPU time of the thread), as a validator checks them after a window's first: ring or bin are
parsed, and the base of the scope is prepared; the proof itself is parsed. Beside them stands what Monero has published.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import rlp
from eth_hash.auto import keccak

from benchmarks import machine
from benchmarks.results import Result, show
from privacy import claims, clsag, notes, range_proof, ring, stealth
from privacy.commitment import commit
from privacy.envelopes import (
    BIN_NOTES,
    RANGE_BITS,
    AnonymousCall,
    OwnSpend,
    RingRow,
    ShieldedTransfer,
    call_holds,
    call_images,
    ring_to_code,
    sign_call,
    sign_transfer,
    spend_holds,
)
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1, Point

RINGS = (16, 41, 64)
BATCH = 64
ROUNDS, TIMES = 7, 30  # the median of all; each round's median is kept, so that the spread shows
COMMITMENTS = 1_000
G = SECP256K1
SAID = keccak(b"said")
REGISTRY, POOL, MARKET = (bytes(18) + number.to_bytes(2, "big") for number in (0x4807, 0x4808, 0x4809))

PUBLISHED: Mapping[str, str] = {
    "Monero (C++), CLSAG of 16, 40, 64 members": "3.7, 9.5, 15.3 ms, and 2.6, 6.7, 10.8 ms in an earlier run; processor"
    " not stated (jeffro256/clsag_vs_fcmppp_bench, README, 2025)",
    "Monero (C++), CLSAG of 11 members": "10.6 ms on one core of a 2.1 GHz Opteron (monero-project/meta, issues 327"
    " of 2019 and 439 of 2020)",
    "Monero (C++), Bulletproof+ of 2 × 64 bits": "7.4 ms alone, 0.88 ms in a batch of 64; processor not stated"
    " (monero-project/research-lab, issue 101, 2022)",
    "Monero (C++), Bulletproof of 2 × 64 bits": "21 ms alone, 3.3 ms in a batch of 128, on a 2.1 GHz Opteron"
    " (monero-ecosystem/outreach-docs, pull request 184, a talk of 2019)",
}
"""By what; ours are Python over libsecp256k1, another curve: the table says what is affordable, not who is faster."""


@dataclass(frozen=True, slots=True)
class Taken:
    """CPU milliseconds: the median of all, each round's median, and the 5th and 95th percentile."""

    median: float
    rounds: tuple[float, ...]
    low: float
    high: float

    def text(self) -> str:
        """Return the median with its spread."""
        return f"{self.median:.3g} ms (5 to 95 %: {self.low:.3g} to {self.high:.3g})"


def taken(act: Callable[[], object], *, times: int = TIMES, each: int = 1) -> Taken:
    """Measure; `act` does `each` of what is measured at once.

    Raises:
        AssertionError: what was checked did not hold.
    """
    if act() is False:
        raise AssertionError("a proof that does not hold is measured")
    rounds = []
    for _ in range(ROUNDS):
        found = []
        for _ in range(times):
            before = time.thread_time_ns()
            act()
            found.append((time.thread_time_ns() - before) / 1e6 / each)
        rounds.append(found)
    everything = sorted(one for found in rounds for one in found)
    low, high = (everything[int(part * len(everything))] for part in (0.05, 0.95))
    return Taken(statistics.median(everything), tuple(map(statistics.median, rounds)), low, high)


def secret(name: str) -> Scalar:
    """Return a scalar that belongs to a name."""
    return G.scalar(int.from_bytes(keccak(name.encode()), "big"))


def row(member: int) -> RingRow:
    """Return a member of a ring."""
    return RingRow(bytes((member + 1,)) * 20, *map(G.multiply_generator, row_secrets(member)))


def row_secrets(member: int) -> tuple[Scalar, Scalar]:
    """Return x and k."""
    return secret(f"x {member}"), secret(f"k {member}")


def call_of(members: int) -> tuple[Callable[[], bool], int, int]:
    """Return the check of an anonymous call with an offer, the transaction's length and its proof's."""
    rows = tuple(map(row, range(members)))
    bare = AnonymousCall(1, 5, keccak(ring_to_code(rows)), b"", b"", 40, 400_000, MARKET, bytes(4 + 6 * 32))
    images = call_images(bare.scope(REGISTRY), row_secrets(3))
    call = AnonymousCall(1, 5, bare.ring_root, *images, 40, 400_000, MARKET, bare.data)
    raw = sign_call(call, REGISTRY, rows, row_secrets(3), 3, SAID)
    proof = bytes(rlp.decode(raw[1:])[-1])
    return lambda: call_holds(call, REGISTRY, rows, proof), len(raw), len(proof)


def delivery_of(members: int) -> tuple[Callable[[], bool], int, int]:
    """Return the check of a delivery claim over all meters, its length and that of its signature."""
    blindings = [secret(f"meter {member}") for member in range(members)]
    rows = [
        (each.key, each.trace, commit(G, 100 + at, blindings[at])) for at, each in enumerate(map(row, range(members)))
    ]
    delivered = commit(G, 103, secret("posted"))
    said = claims.delivery_statement(rows, delivered, SAID, SAID)
    secrets = (*row_secrets(3), G.scalar(blindings[3] - secret("posted")))
    signature = ring.sign(G, said, secrets, 3, SAID)
    raw = claims.delivery_claim(rows, delivered, SAID, SAID, signature)
    G.prepare(ring.scope_base(G, SAID))  # as the window's calls did
    return lambda: claims.ring_holds(raw), len(raw), len(signature.to_bytes(G))


@dataclass(frozen=True, slots=True)
class Payment:
    """Two notes spent, two made: the checks of its parts, and the transaction's length."""

    spends: Callable[[], bool]
    sealed: Callable[[], bool]
    ranges: range_proof.Statement[Point]
    range_proof: range_proof.RangeProof[Point]
    length: int


def payment() -> Payment:
    """Return a payment, two notes in and two out, from bins of 16."""
    keys = [[(secret(f"note {bin_} {at}"), secret(f"hides {bin_} {at}")) for at in range(BIN_NOTES)] for bin_ in (0, 1)]
    bins = [tuple(clsag.Member(G.multiply_generator(k), commit(G, 1_000, b)) for k, b in each) for each in keys]
    recipient = stealth.MetaAddress(G.multiply_generator(secret("spend")), G.multiply_generator(secret("view")))
    joint = G.multiply_generator(secret("joint"))
    made = [notes.make_note(G, recipient, v, joint, lambda key: keccak(key), keccak(b"%d" % v)) for v in (1_500, 500)]
    pseudo = [secret("pseudo 0"), secret("pseudo 1")]
    spends = [
        OwnSpend(
            bins[at],
            3,
            commit(G, 1_000, pseudo[at]),
            clsag.Secrets(keys[at][3][0], G.scalar(keys[at][3][1] - pseudo[at])),
        )
        for at in (0, 1)
    ]
    images = [clsag.key_image(G, spend.secrets.key) for spend in spends]
    rows = notes.spends_to_bytes(G, [notes.Spend(at, images[at], spends[at].pseudo_output) for at in (0, 1)])
    words = 32 * 12  # selector, heads and lengths of the calldata
    data = bytes(4 + words) + rows + b"".join(note.to_bytes(G) for note, _ in made)
    transfer = ShieldedTransfer(1, 40, 1_500_000, POOL, data)
    openings = [(opening.amount, opening.blinding) for _, opening in made]
    raw = sign_transfer(transfer, spends, openings, SAID)
    first, second, last = rlp.decode(raw[1:])[-1]
    message = transfer.signing_hash()
    ranges = range_proof.Statement(tuple(commit(G, *each) for each in openings), RANGE_BITS, message)
    checks = [
        (
            spends[at].members,
            G.point_to_bytes(images[at]),
            G.point_to_bytes(spends[at].pseudo_output),
            message,
            bytes(proof),
        )
        for at, proof in ((0, first), (1, second))
    ]
    return Payment(
        lambda: all(spend_holds(*each) for each in checks),
        lambda: all(notes.note_is_sealed(G, joint, note, lambda key: keccak(key)) for note, _ in made),
        ranges,
        range_proof.range_proof_from_bytes_checked(G, bytes(last), ranges),
        len(raw),
    )


def scans() -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the scan of a foreign note, passed over by its view tag, and of one's own."""
    view, spend = secret("view"), G.multiply_generator(secret("spend"))
    own = stealth.MetaAddress(spend, G.multiply_generator(view))
    joint = G.multiply_generator(secret("joint"))
    mine, _ = notes.make_note(G, own, 7, joint, lambda key: keccak(key), SAID)
    raw = mine.public_bytes(G)
    stranger = next(
        viewing
        for viewing in (secret(f"stranger {at}") for at in range(100))
        if stealth.shared_secret(G, viewing, mine.output.ephemeral)[0] != mine.output.view_tag
    )
    if notes.scan(G, view, spend, raw) is None:
        raise AssertionError("a note that its owner does not find")
    return lambda: notes.scan(G, stranger, spend, raw), lambda: notes.scan(G, view, spend, raw)


def calls() -> Result:
    """Measure anonymous calls."""
    found = {members: call_of(members) for members in RINGS}
    times = {members: taken(check) for members, (check, _, _) in found.items()}
    first = times[RINGS[0]]
    beside = {
        f"ring of {members}": f"{times[members].text()}; {proof:,} bytes of proof, {length:,} with an offer"
        for members, (_, length, proof) in found.items()
    }
    return result("privacy-call", f"check of an anonymous call, ring of {RINGS[0]}", first, "≤ 3", beside)


def deliveries() -> Result:
    """Measure delivery claims."""
    found = {members: delivery_of(members) for members in RINGS}
    times = {members: taken(check, times=TIMES // 2) for members, (check, _, _) in found.items()}
    beside = {
        f"ring of {members}": f"{times[members].text()}; {proof:,} bytes of proof, {length:,} with all meters"
        for members, (_, length, proof) in found.items()
    }
    return result("privacy-delivery", f"check of a delivery, ring of {RINGS[1]}", times[RINGS[1]], "≤ 9", beside)


def payments() -> Result:
    """Measure a payment."""
    paid = payment()
    batch = [(paid.ranges, paid.range_proof)] * BATCH
    spends = taken(paid.spends)
    ranges = taken(lambda: range_proof.verify_batch(G, batch, SAID), times=2, each=BATCH)
    alone = taken(lambda: range_proof.verify(G, paid.ranges, paid.range_proof), times=TIMES // 3)
    total = Taken(
        spends.median + ranges.median,
        tuple(map(sum, zip(spends.rounds, ranges.rounds, strict=True))),
        spends.low + ranges.low,
        spends.high + ranges.high,
    )
    beside = {
        "two CLSAGs, bins of 16": spends.text(),
        f"range proof, 2 × {RANGE_BITS} bits, in a batch of {BATCH}": ranges.text(),
        f"range proof, 2 × {RANGE_BITS} bits, alone": alone.text(),
        "the two new notes' proofs for the auditors, on top": taken(paid.sealed).text(),
        "bytes": f"{paid.length:,}, both new notes with what opens them among them",
        **PUBLISHED,
    }
    what = f"check of a payment, 2 notes in, 2 out, range proofs in batches of {BATCH}"
    return result("privacy-payment", what, total, "≤ 10", beside)


def others() -> Result:
    """Measure scanning and sums."""
    miss, hit = map(taken, scans())
    points = [commit(G, at, secret(f"sum {at}")) for at in range(COMMITMENTS)]
    raws = list(map(G.point_to_bytes, points))
    beside = {
        "scan of one's own note, opened": hit.text(),
        f"sum of {COMMITMENTS:,} commitments": taken(lambda: G.sum(points)).text(),
        f"the same with parsing of {COMMITMENTS:,} points": taken(
            lambda: G.sum(map(G.point_from_bytes_checked, raws))
        ).text(),
    }
    return result("privacy-scan", "scan of a foreign note", miss, "", beside)


def result(claim: str, what: str, found: Taken, bar: str, beside: Mapping[str, str]) -> Result:
    """Return what is shown and kept of a measurement."""
    with tempfile.TemporaryDirectory() as folder:
        described = machine.describe(Path(folder))
    bar = f"{bar} ms" if bar else ""
    return Result(claim, what, found.median, "ms", bar, [round(each, 4) for each in found.rounds], beside, described)


def main() -> None:
    """Measure all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    range_proof.warm(G)
    for measure in (calls, deliveries, payments, others):
        show(measure(), keep=options.keep)


if __name__ == "__main__":
    main()
