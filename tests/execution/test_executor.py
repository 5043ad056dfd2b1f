"""Blocks, calls, estimates, the history contract and genesis."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak

from node.admission import intrinsic_gas
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.execution import (
    VOID,
    CallFailed,
    CallReverted,
    GenesisError,
    InvalidBlock,
    OutOfGasEstimate,
    genesis_changes,
)
from node.execution.machine import HISTORY_ADDRESS, HISTORY_CODE
from node.state import StateChanges, slot_key
from tests.execution.programs import RETURN_WORD, assemble, calling, deploying
from tests.execution.signing import signed
from tests.execution.states import DictState, Holding
from tests.execution.stock import ENVIRONMENT, GRIDPACT, NUMBER, ancestor, executor
from tests.node.samples import account_key, address_of

KEY, POOR = account_key("sender"), account_key("poor")
SENDER = address_of(KEY)
CONTRACT, OTHER, NOBODY = b"\xc0" * 20, b"\xc1" * 20, b"\xd0" * 20
RICH = Holding(10**20)


def state(code: bytes = b"") -> DictState:
    return DictState({SENDER: RICH, CONTRACT: Holding(1_000, 1, code, {1: 11})})


def transaction(nonce: int = 0, **values: object) -> Transaction:
    return decode_transaction(signed(KEY, 2, nonce=nonce, **({"to": CONTRACT} | values)), 2016)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nonce": 0}, "transaction 1: nonce too low: next nonce 1, tx nonce 0"),
        ({"nonce": 2}, "transaction 1: nonce too high: next nonce 1, tx nonce 2"),
        ({"nonce": 1, "value": 10**21}, "transaction 1: insufficient funds for gas \\* price \\+ value"),
        ({"nonce": 1, "price": 10**15}, "transaction 1: insufficient funds for gas \\* price \\+ value"),
        ({"nonce": 1, "gas": 10_000_000}, "transaction 1: gas limit reached: 10000000 of 9979000 left"),
    ],
)
def test_a_block_with_one_that_cannot_be_applied(wrong: dict[str, int], words: str) -> None:
    with pytest.raises(InvalidBlock, match=words) as caught:
        executor(GRIDPACT).execute(state(), ENVIRONMENT, [transaction(0), transaction(**wrong)])
    assert caught.value.index == 1


def test_building_leaves_out_what_cannot_be_applied() -> None:
    candidates = [transaction(0), transaction(0, value=1), transaction(2), transaction(1)]
    built = executor(GRIDPACT).build(state(), ENVIRONMENT, iter(candidates), time_budget_s=1, clock=lambda: 0.0)
    assert built.included == (candidates[0], candidates[3])
    assert [reason.split(":")[0] for _, reason in built.left_out] == ["nonce too low", "nonce too high"]
    again = executor(GRIDPACT).execute(state(), ENVIRONMENT, built.included)
    assert (again.changes, again.receipts, again.gas_used) == (built.changes, built.receipts, built.gas_used)


def test_building_stops_at_the_gas_the_bytes_and_the_time() -> None:
    many = [transaction(n, gas=3_000_000) for n in range(10)]
    full = executor(GRIDPACT).build(state(b"\xfe"), ENVIRONMENT, many, time_budget_s=1, clock=lambda: 0.0)
    assert (len(full.included), full.gas_used) == (3, 9_000_000)
    narrow = replace(GRIDPACT, max_block_bytes=1024 + 3 * (len(many[0].raw) + 4))
    assert len(executor(narrow).build(state(), ENVIRONMENT, many, time_budget_s=1, clock=lambda: 0.0).included) == 3
    ticks = iter(range(100))
    slow = executor(GRIDPACT).build(state(), ENVIRONMENT, many, time_budget_s=4, clock=lambda: next(ticks))
    assert len(slow.included) == 4


def test_an_empty_block_changes_nothing_without_the_history_contract() -> None:
    result = executor(GRIDPACT).execute(state(), ENVIRONMENT, [])
    assert (result.changes, result.receipts, result.gas_used) == (StateChanges(), (), 0)


def test_a_block_writes_its_parents_hash() -> None:
    history = DictState({HISTORY_ADDRESS: Holding(0, 1, HISTORY_CODE), SENDER: RICH})
    changes = executor(GRIDPACT).execute(history, ENVIRONMENT, []).changes
    assert changes.storage == {slot_key(HISTORY_ADDRESS, NUMBER - 1): int.from_bytes(ENVIRONMENT.parent_hash, "big")}
    after = replace(ENVIRONMENT, number=NUMBER + 1, parent_hash=keccak(b"block 300"))
    asked = (NUMBER - 1).to_bytes(32, "big")
    answer = executor(GRIDPACT).call(
        history.after(changes), after, sender=SENDER, to=HISTORY_ADDRESS, data=asked, gas=100_000
    )
    assert answer.output == ENVIRONMENT.parent_hash


def test_history_wraps_after_its_window() -> None:
    history = DictState({HISTORY_ADDRESS: Holding(0, 1, HISTORY_CODE)})
    far = replace(ENVIRONMENT, number=8_191 + 5)
    assert set(executor(GRIDPACT).execute(history, far, []).changes.storage) == {slot_key(HISTORY_ADDRESS, 4)}


def test_blockhash_of_the_last_256() -> None:
    code = assemble(0, "CALLDATALOAD BLOCKHASH") + RETURN_WORD
    for back in (0, 1, 2, 256, 257, NUMBER):
        asked = (NUMBER - back).to_bytes(32, "big")
        result = executor(GRIDPACT).call(state(code), ENVIRONMENT, sender=SENDER, to=CONTRACT, data=asked, gas=50_000)
        assert result.output == (ancestor(NUMBER - back) or bytes(32))


def test_what_a_contract_sees_of_the_block_does_not_depend_on_the_leader() -> None:
    for opcode, expected in (("COINBASE", 0), ("BASEFEE", 0), ("GASPRICE", 0), ("NUMBER", NUMBER), ("CHAINID", 2016)):
        code = assemble(opcode) + RETURN_WORD
        result = executor(GRIDPACT).call(state(code), ENVIRONMENT, sender=SENDER, to=CONTRACT, gas=50_000)
        assert int.from_bytes(result.output, "big") == expected


def test_a_call_changes_nothing_and_returns_logs_and_output() -> None:
    code = assemble(5, 1, "SSTORE", 9, 0, 0, "LOG1", 1, "SLOAD") + RETURN_WORD
    before = state(code)
    result = executor(GRIDPACT).call(before, ENVIRONMENT, sender=NOBODY, to=CONTRACT, gas=100_000)
    assert (result.success, int.from_bytes(result.output, "big"), result.error) == (True, 5, "")
    assert [log.topics for log in result.logs] == [((9).to_bytes(32, "big"),)]
    assert before.storage(CONTRACT, 1) == 11


def test_a_call_that_reverts_gives_its_data_and_no_logs() -> None:
    code = assemble(9, 0, 0, "LOG1", 77, 0, "MSTORE", 32, 0, "REVERT")
    result = executor(GRIDPACT).call(state(code), ENVIRONMENT, sender=NOBODY, to=CONTRACT, gas=100_000)
    assert (result.success, result.output, result.logs) == (False, (77).to_bytes(32, "big"), ())
    assert result.error == "execution reverted"
    assert result.gas_used < 3_000


def test_a_call_whose_sender_has_not_the_value() -> None:
    with pytest.raises(ValueError, match="insufficient funds for transfer"):
        executor(GRIDPACT).call(state(), ENVIRONMENT, sender=NOBODY, to=CONTRACT, value=1, gas=100_000)


def test_a_call_that_creates_returns_the_code() -> None:
    result = executor(GRIDPACT).call(
        state(), ENVIRONMENT, sender=SENDER, to=None, data=deploying(b"\x01\x02"), gas=200_000
    )
    assert result.output == b"\x01\x02"


@pytest.mark.parametrize(
    "code",
    [
        b"",
        assemble(5, 9, "SSTORE"),
        assemble(0, 1, "SSTORE"),  # a refund: more is needed on the way than is used
        calling(OTHER) + assemble(5, "SSTORE"),
        assemble("GAS", 200_000, "GT", 8, "JUMPI STOP", 0, 0, "REVERT"),
    ],
)
@pytest.mark.parametrize("data", [b"", b"\1" * 300, b"\0" * 700])
def test_an_estimate_suffices_and_one_less_does_not(code: bytes, data: bytes) -> None:
    before = state(code)
    gas = executor(GRIDPACT).estimate_gas(before, ENVIRONMENT, transaction(data=data))
    enough = executor(GRIDPACT).execute(before, ENVIRONMENT, [transaction(data=data, gas=gas)])
    assert enough.receipts[0].status == 1
    less = transaction(data=data, gas=gas - 1)
    floor = 21_000 + 10 * (data.count(0) + 4 * (len(data) - data.count(0)))
    if gas - 1 >= max(intrinsic_gas(less), floor):
        assert executor(GRIDPACT).execute(before, ENVIRONMENT, [less]).receipts[0].status == 0


def test_an_estimate_of_what_reverts_carries_its_data() -> None:
    before = state(assemble(77, 0, "MSTORE", 32, 0, "REVERT"))
    with pytest.raises(CallReverted) as caught:
        executor(GRIDPACT).estimate_gas(before, ENVIRONMENT, transaction())
    assert caught.value.data == (77).to_bytes(32, "big")


def test_an_estimate_beyond_its_cap() -> None:
    with pytest.raises(OutOfGasEstimate, match=r"gas required exceeds allowance \(100000\)"):
        executor(GRIDPACT).estimate_gas(state(assemble("JUMPDEST", 0, "JUMP")), ENVIRONMENT, transaction(gas=100_000))
    with pytest.raises(CallFailed, match="Invalid opcode 0xfe"):
        executor(GRIDPACT).estimate_gas(state(b"\xfe"), ENVIRONMENT, transaction(gas=100_000))
    with pytest.raises(OutOfGasEstimate, match=r"gas required exceeds allowance \(20999\)"):
        executor(GRIDPACT).estimate_gas(state(), ENVIRONMENT, transaction(gas=20_999))


def test_an_estimate_whose_cap_is_below_the_calldata_floor() -> None:
    with pytest.raises(OutOfGasEstimate):
        executor(GRIDPACT).estimate_gas(state(), ENVIRONMENT, transaction(data=b"\1" * 1_000, gas=40_000))


def test_an_estimate_whose_sender_cannot_pay() -> None:
    poor = decode_transaction(signed(POOR, 2, to=CONTRACT, value=1), 2016)
    with pytest.raises(InvalidTransaction, match="insufficient funds"):
        executor(GRIDPACT).estimate_gas(state(), ENVIRONMENT, poor)


def test_the_fee_goes_to_nobody_in_particular() -> None:
    result = executor(GRIDPACT).execute(state(), ENVIRONMENT, [transaction(to=NOBODY, price=3, tip=3)])
    coinbase, sender = result.changes.accounts[bytes(20)], result.changes.accounts[SENDER]
    assert coinbase is not None
    assert sender is not None
    assert (coinbase.balance, sender.balance) == (63_000, RICH.balance - 63_000)
    free = executor(GRIDPACT).execute(state(), ENVIRONMENT, [transaction(to=NOBODY)])
    assert set(free.changes.accounts) == {SENDER}


def test_genesis_runs_constructors_at_their_addresses() -> None:
    changes = genesis_changes(
        GRIDPACT,
        timestamp=5,
        balances={SENDER: 9},
        deployments=[(CONTRACT, assemble("TIMESTAMP", 3, "SSTORE") + deploying(b"\x01")), (OTHER, deploying(b"\x02"))],
    )
    after = DictState({}).after(changes)
    assert {a: (h.balance, h.nonce, h.code, h.storage) for a, h in after.holdings.items()} == {
        SENDER: (9, 0, b"", {}),
        HISTORY_ADDRESS: (0, 1, HISTORY_CODE, {}),
        OTHER: (0, 1, b"\x02", {}),
    } | {CONTRACT: (0, 1, after.holdings[CONTRACT].code, {3: 5})}
    assert VOID.account(SENDER) is None


def test_genesis_names_the_constructor_that_fails() -> None:
    broken = assemble(7, 0, "MSTORE", 32, 0, "REVERT")
    with pytest.raises(GenesisError, match="c0c0: execution reverted") as caught:
        genesis_changes(GRIDPACT, timestamp=5, balances={}, deployments=[(CONTRACT, broken)])
    assert (caught.value.address, caught.value.output) == (CONTRACT, (7).to_bytes(32, "big"))
