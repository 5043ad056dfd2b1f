"""The gas of every step of a window, held against the committed snapshot `gas.txt`.

`GRIDPACT_REWRITE=1 pytest tests/contracts/test_gas.py` renews the snapshot after a deliberate change.
"""

from __future__ import annotations

import os
from pathlib import Path

from contracts import system
from contracts.bindings import consortium, fiat_token, market, meter_registry
from tests.contracts.street import CLOSE_S, Street, account

SNAPSHOT = Path(__file__).parent / "gas.txt"
LIMIT = 1_000_000
TOLERANCE = 0.02


def measure(street: Street) -> dict[str, int]:
    """Gas of each step: its execution, and what a transaction costs before it (21,000 and its data, EIP-2028)."""
    gas: dict[str, int] = {}

    def run(step: str, sender: str, to: bytes, data: bytes) -> bytes:
        sent = street.send(sender, to, data)
        gas[step] = sent.gas_used + 21_000 + sum(16 if byte else 4 for byte in data)
        return sent.output

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


def test_every_step_is_cheap_and_as_cheap_as_recorded(street: Street) -> None:
    gas = measure(street)
    assert max(gas.values()) < LIMIT
    if os.environ.get("GRIDPACT_REWRITE"):
        SNAPSHOT.write_text("".join(f"{step}: {used}\n" for step, used in gas.items()), encoding="utf-8")
    recorded = dict(line.rsplit(": ", 1) for line in SNAPSHOT.read_text(encoding="utf-8").splitlines())
    assert list(recorded) == list(gas)
    for step, used in gas.items():
        assert abs(used - int(recorded[step])) <= TOLERANCE * used, f"{step}: {used} gas, recorded {recorded[step]}"
