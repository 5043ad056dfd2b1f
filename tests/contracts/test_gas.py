"""The gas of every step of a window and of every vote, held against the committed snapshot `gas.txt`.

A consortium may vote the block gas limit down to `LIMIT`. If one of its own steps did not fit then, it could never
vote it up again: so the votes are measured at their worst, with as many members as there may be.

`GRIDPACT_REWRITE=1 pytest tests/contracts/test_gas.py` renews the snapshot after a deliberate change.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nacl.signing import SigningKey

from consensus.types import Domain, Epoch, Height, Phase, View, Vote, vote_bytes
from contracts import system
from contracts.bindings import consortium, consortium_votes, fiat_token, market, meter_registry, shielded_pool
from contracts.bindings.consortium_votes import Equivocation
from privacy.envelopes import shielded_sender
from tests.contracts import pool
from tests.contracts.street import CHAIN_ID, CLOSE_S, Street, account, block_hash, genesis, hexed

SNAPSHOT = Path(__file__).parent / "gas.txt"
LIMIT = 1_000_000
TOLERANCE = 0.02
LONGEST = "h" * 253 + ":30303"

Run = Callable[[str, str, bytes, bytes], bytes]


def recorder(street: Street, gas: dict[str, int]) -> Run:
    """Record the gas of steps: execution, and what a transaction costs before it (21,000 and its data, EIP-2028)."""

    def run(step: str, sender: str, to: bytes, data: bytes) -> bytes:
        sent = street.send(sender, to, data)
        gas[step] = sent.gas_used + 21_000 + sum(16 if byte else 4 for byte in data)
        return sent.output

    return run


def signing_key(name: str) -> SigningKey:
    """The node key of a validator of these tests."""
    return SigningKey(name.encode().ljust(32))


def crowd(size: int) -> Street:
    """A consortium of this size, members "m 0" and so on, in a block whose hashes are known."""
    content = genesis()
    content["members"] = [
        {
            "name": f"m {i}",
            "node_key": hexed(bytes(signing_key(f"m {i}").verify_key)),
            "p2p": LONGEST,
            "account": hexed(account(f"m {i}")),
            "vouched": [],
        }
        for i in range(size)
    ]
    content["meters"] = []
    street = Street(content)
    street.begin_block()
    street.next_block()
    return street


def readiness(street: Street, name: str) -> tuple[int, bytes]:
    """A node key's proof over the newest block."""
    height = street.height - 1
    message = consortium_votes.ready_bytes(CHAIN_ID, block_hash(0), height, block_hash(height))
    return height, bytes(signing_key(name).sign(message).signature)


def equivocation(name: str) -> Equivocation:
    """Two votes of one validator at one place."""
    votes = [Vote(Epoch(0), Height(1), View(0), Phase.COMMIT, bytes((letter,)) * 32) for letter in (0xA, 0xB)]
    domain = Domain(CHAIN_ID, block_hash(0))
    first, second = (bytes(signing_key(name).sign(vote_bytes(domain, vote)).signature) for vote in votes)
    key = bytes(signing_key(name).verify_key)
    return Equivocation(key, 0, 1, 0, int(Phase.COMMIT), votes[0].block_hash, first, votes[1].block_hash, second)


def measure_votes() -> dict[str, int]:
    """Gas of what a consortium does to itself, with 99 members where one more joins, otherwise with 100."""
    gas: dict[str, int] = {}
    consortium_address = system.CONSORTIUM

    def passed(street: Street, step: str, data: bytes) -> int:
        run = recorder(street, gas)
        number = int.from_bytes(run(f"Consortium.{step}", "m 0", consortium_address, data), "big")
        needed = street.view(consortium_votes.votes_needed())
        for i in range(1, needed - 1):
            street.consortium(f"m {i}", consortium_votes.vote(number))
        last = f"Consortium.vote (the last for {step})"
        run(last, f"m {needed - 1}", consortium_address, consortium_votes.vote(number))
        return number

    street = crowd(99)
    for i in range(7):  # seven other motions of the proposer are open
        street.consortium("m 0", consortium_votes.propose_rule("version", 2 + i))
    eve = bytes(signing_key("eve").verify_key)
    number = passed(
        street, "proposeAdmission", consortium_votes.propose_admission(account("eve"), eve, "x" * 32, LONGEST)
    )
    proof = consortium_votes.prove_readiness(number, *readiness(street, "eve"))
    recorder(street, gas)("Consortium.proveReadiness (who joins)", "m 1", consortium_address, proof)

    street = crowd(100)
    run = recorder(street, gas)
    passed(street, "proposeRule", consortium_votes.propose_rule("block_gas_limit", LIMIT))
    passed(street, "proposeUpgrade", consortium_votes.propose_upgrade(system.MARKET, system.FIAT_TOKEN))
    evidence = consortium_votes.submit_evidence(equivocation("m 7"))
    run("Consortium.submitEvidence", "m 5", consortium_address, evidence)
    passed(street, "proposeRemoval", consortium_votes.propose_removal(account("m 98")))
    new_key = bytes(signing_key("new").verify_key)
    rotation = consortium_votes.rotate_node_key(new_key, *readiness(street, "new"))
    run("Consortium.rotateNodeKey (queued)", "m 6", consortium_address, rotation)
    run("Consortium.leave (queued)", "m 97", consortium_address, consortium_votes.leave())
    run("Consortium.setEndpoint", "m 3", consortium_address, consortium.set_endpoint(LONGEST))
    return gas


def measure(street: Street) -> dict[str, int]:
    """Gas of each step of a window."""
    gas: dict[str, int] = {}
    run = recorder(street, gas)
    run("Consortium.vouch", "ann-member", system.CONSORTIUM, consortium.vouch(account("eve")))
    run("FiatToken.mint", "issuer", system.FIAT_TOKEN, fiat_token.mint(account("eve"), 5, b"r" * 32))
    info = market.publish_info(account("ann"), "tcp://127.0.0.1:9001", "gridpact-energy/1")
    run("Market.publishInfo", "ann", system.MARKET, info)
    run("Market.makeOffer", "ann", system.MARKET, market.make_offer(1, 1000, 200_000, 87_000))
    street.at(0, CLOSE_S)
    terms = street.terms(1, "ann", "bob", 1000, 200_000)
    signature = street.sign("bob", terms)
    data = market.allocate_energy(1, account("bob"), 1000, 200_000, terms["negotiation_id"], signature)
    trade_id = run("Market.allocateEnergy", "ann", system.MARKET, data)
    run("Market.allowTransaction", "bob", system.MARKET, market.allow_transaction(trade_id))
    street.at(2)
    run(
        "MeterRegistry.attest (first of a window)", "ann-meter", system.METER_REGISTRY, meter_registry.attest(4, 0, 250)
    )
    run("MeterRegistry.attest", "ann-meter", system.METER_REGISTRY, meter_registry.attest(5, 0, 250))
    batch = meter_registry.attest_batch(4, [300] * 4, [0] * 4)
    run("MeterRegistry.attestBatch (4 quarters)", "bob-meter", system.METER_REGISTRY, batch)
    run("MeterRegistry.reportStatus", "ann-meter", system.METER_REGISTRY, meter_registry.report_status(5000, 300, 0))
    street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest_batch(6, [0, 0], [250, 100]))
    run("Market.makeTransaction (seller short)", "eve", system.MARKET, market.make_transaction(trade_id))
    run("Market.settleWindow (grid purchase)", "eve", system.MARKET, market.settle_window(1, account("bob")))
    return gas


def measure_pool() -> dict[str, int]:
    """Gas of deposits and of transfers, without what the proofs of a transfer cost before it runs."""
    gas: dict[str, int] = {}
    kept, owner = pool.filled()
    street = kept.fresh()
    purse, run = owner.twin(street), recorder(street, gas)
    for number, name in enumerate(pool.DEPOSITORS[:8]):
        step = {0: "first of a bin", 7: "closes a bin"}.get(number, "")
        data = purse.deposit_data(name, [1, 2])
        run(f"ShieldedPool.deposit ({step or 'two notes'})", name, system.SHIELDED_POOL, data)
    for at, lock in ((0, None), (2, 600)):
        rest = 1_000 - (lock or 0)
        values = purse.parts(purse.notes[at : at + 2], [rest, 0], lock=lock)
        data = shielded_pool.spend(**values)
        step = f"ShieldedPool.spend{' (locks)' if lock else ''}"
        sent = street.send(shielded_sender(data), system.SHIELDED_POOL, data)
        gas[step] = sent.gas_used + 21_000 + sum(16 if byte else 4 for byte in data)
    data = shielded_pool.pay_out(purse.note(5)[0][:206])
    gas["ShieldedPool.payOut (from a contract)"] = street.send(
        system.PRIVATE_MARKET, system.SHIELDED_POOL, data
    ).gas_used
    return gas


def test_every_step_is_cheap_and_as_cheap_as_recorded(street: Street) -> None:
    gas = measure(street) | measure_votes() | measure_pool()
    assert max(gas.values()) < LIMIT
    if os.environ.get("GRIDPACT_REWRITE"):
        SNAPSHOT.write_text("".join(f"{step}: {used}\n" for step, used in gas.items()), encoding="utf-8")
    recorded = dict(line.rsplit(": ", 1) for line in SNAPSHOT.read_text(encoding="utf-8").splitlines())
    assert list(recorded) == list(gas)
    for step, used in gas.items():
        assert abs(used - int(recorded[step])) <= TOLERANCE * used, f"{step}: {used} gas, recorded {recorded[step]}"
