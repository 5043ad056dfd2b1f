"""The gas of a private window's steps, in rings of 8 and of 41, held against the committed snapshot `private_gas.txt`.

`GRIDPACT_REWRITE=1 pytest tests/contracts/test_private_gas.py` renews it after a deliberate change.
"""

from __future__ import annotations

import os
from pathlib import Path

from agents.private.openings import NOTHING, Purchase, Sale, allocation, allowance
from contracts import system
from contracts.bindings import fiat_token, private_market, sealed_meters
from contracts.bindings.private_market import Side
from tests.contracts.private_street import (
    HOUSES,
    PENALTY,
    WINDOW,
    Trader,
    deposit,
    founded,
    fund,
    offer_data,
    quantity,
    send,
    settle_data,
    shared_key,
)
from tests.contracts.street import DEADLINE
from tests.contracts.test_gas import TOLERANCE
from tests.contracts.test_private_settlement import give_part, owed_in
from tests.contracts.test_sealed_meters import attest
from tests.privacy.keys import random_bytes

SNAPSHOT = Path(__file__).parent / "private_gas.txt"
MOST = {"offer": 300_000, "settle (two sales)": 4_000_000}
READINGS = {"ann": (50, 1300), "bob": (1200, 0), "cat": (500, 20)}


def measure(members: int) -> dict[str, int]:
    """Gas of each step: ann sells to bob and cat, who never settles; most meters are silent."""
    gas: dict[str, int] = {}
    houses = (*HOUSES, *(f"house{number}" for number in range(len(HOUSES), members)))
    street = founded(houses).fresh().fund("ann", euro=300).at(WINDOW - 1)
    street.send("ann", system.FIAT_TOKEN, fiat_token.approve(system.SHIELDED_POOL))
    deposit(street, "ann", [300_000_000])

    def run(step: str, sender: str | bytes, data: bytes) -> None:
        """Execution, and what a transaction costs before it."""
        gas[step] = send(street, sender, data).gas_used + 21_000 + sum(16 if byte else 4 for byte in data)

    ann, bob, cat = traders = [Trader(house) for house in ("ann", "bob", "cat")]
    for trader, side in zip(traders, (Side.SELL, Side.BUY, Side.BUY), strict=True):
        run("offer", trader.caller, offer_data(trader, side))
        gas["fund (from the pool)"] = fund(street, trader).gas_used
    for buyer, energy_wh in ((bob, 1000), (cat, 400)):
        agreed = quantity(ann, buyer, energy_wh)
        made = allocation(ann.place, buyer.session, 200, agreed, ann.balance, PENALTY // 1000, random_bytes("a"))
        run("allocate", ann.name, made.data)
        ann.balance = made.balance
        ann.sales.append(Sale(made.trade_id, 200, agreed, shared_key(ann, buyer)))
        made = allowance(buyer.place, made.trade_id, 200, agreed, buyer.balance, random_bytes("b"))
        run("allow", buyer.name, made.data)
        buyer.balance = made.balance
        buyer.purchases[made.trade_id] = Purchase(200, agreed, NOTHING)
    street.at(WINDOW + 1)
    for house, reading in READINGS.items():
        for quarter in range(4 * WINDOW, 4 * WINDOW + 4):
            attest(street, house, quarter, *(reading if quarter == 4 * WINDOW else (0, 0)))
    street.at(WINDOW + DEADLINE + 1)
    street.send("anyone", system.SEALED_METERS, sealed_meters.close_window(WINDOW))
    run("prepare", "anyone", private_market.prepare(WINDOW))
    sold = settle_data(street, ann, READINGS["ann"])
    run("settle (two sales)", ann.name, sold.data)
    ((trade_id, purchase),) = bob.purchases.items()
    bob.purchases[trade_id] = Purchase(purchase.tick, purchase.quantity, sold.delivered[0])
    run("settle (one purchase)", bob.name, settle_data(street, bob, READINGS["bob"]).data)
    street.at(WINDOW + 2 * DEADLINE + 3)
    run("forfeit", "anyone", private_market.forfeit(cat.session))
    for auditor in (1, 2):
        sender, number, part, proof = give_part(street, auditor)
        run("givePart", sender, private_market.give_part(WINDOW, number, part, proof))
    run("payOperator", "anyone", private_market.pay_operator(WINDOW, owed_in(street), [1, 2]))
    return gas


def test_every_step_costs_what_is_recorded() -> None:
    gas = {f"{step}, ring of {members}": used for members in (8, 41) for step, used in measure(members).items()}
    for step, used in gas.items():
        assert used < MOST.get(step.split(",")[0], 5_000_000)
    if os.environ.get("GRIDPACT_REWRITE"):
        SNAPSHOT.write_text("".join(f"{step}: {used}\n" for step, used in gas.items()), encoding="utf-8")
    recorded = dict(line.rsplit(": ", 1) for line in SNAPSHOT.read_text(encoding="utf-8").splitlines())
    assert list(recorded) == list(gas)
    for step, used in gas.items():
        assert abs(used - int(recorded[step])) <= TOLERANCE * used, f"{step}: {used} gas, recorded {recorded[step]}"
