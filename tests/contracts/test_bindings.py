"""The bindings against the committed interface: every function, event and error is there, typed and readable."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from eth_abi.exceptions import EncodingError

from contracts import system
from contracts.artifact import load_artifact
from contracts.bindings import (
    consortium,
    consortium_votes,
    disclosures,
    energy_token,
    erc20,
    events,
    fiat_token,
    market,
    meter_registry,
    privacy_registry,
    private_market,
    sealed_meters,
    shielded_pool,
)
from contracts.bindings.abi import Event, MalformedAnswer, snake_case
from contracts.bindings.consortium_events import EndpointChanged
from contracts.bindings.market_types import EVENTS, Cash, CashKind, OfferMade
from contracts.bindings.reverts import decode_revert, explain_revert
from tests.contracts.street import Refused, Street, account, genesis, hexed

MODULES: dict[str, ModuleType] = {
    "Consortium": consortium,
    "MeterRegistry": meter_registry,
    "EnergyToken": energy_token,
    "FiatToken": fiat_token,
    "Market": market,
    "SealedMeters": sealed_meters,
    "PrivacyRegistry": privacy_registry,
    "Disclosures": disclosures,
    "ShieldedPool": shielded_pool,
    "PrivateMarket": private_market,
}
NOT_BOUND = {
    "ACCEPTANCE_TYPEHASH",  # written out in acceptance_digest
    "acceptanceDigest",  # acceptance_digest computes it
    "depositRequired",  # deposit_required computes it
    "eip712Domain",
    "GRID",  # system.GRID
    "energy",
    "fiat",
    "meters",
    "sealedMeters",
    "deliver",
    "market",
    "name",
    "symbol",
    "decimals",
    "transferFrom",
    "ruleBounds",  # InvalidRule names them
    "ruleChanges",  # layout.rule_changes reads them
    "evidenceId",  # Equivocation.evidence_id computes it
}


@pytest.mark.parametrize("contract", MODULES)
def test_every_function_has_a_binding(contract: str) -> None:
    for entry in load_artifact(contract).abi:
        name = entry.get("name", "")
        if entry["type"] != "function" or name in NOT_BOUND or name.isupper() or name == "PRICE_TICK":
            continue
        module = MODULES[contract]
        also = {"EnergyToken": erc20, "Consortium": consortium_votes}.get(contract)
        bound = hasattr(module, snake_case(name)) or hasattr(also, snake_case(name))
        assert bound, f"{contract}.{name} has no binding"


@pytest.mark.parametrize("contract", MODULES)
def test_every_event_has_its_dataclass(contract: str) -> None:
    classes = {
        cls.__name__: cls
        for cls in (*EVENTS, *vars(MODULES[contract]).values(), *vars(erc20).values())
        if is_event(cls)
    }
    for entry in load_artifact(contract).abi:
        if entry["type"] == "event" and entry["name"] != "EIP712DomainChanged":
            names = [field.name for field in fields(classes[entry["name"]])]
            assert names == [snake_case(parameter["name"]) for parameter in entry["inputs"]]


def is_event(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Event) and value is not Event


def test_every_error_of_ours_says_what_it_means_and_is_tested() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    for contract in MODULES:
        artifact = load_artifact(contract)
        for signature, meaning in artifact.errors.items():
            assert meaning
            assert f'"{signature.split("(")[0]}"' in tests, f"{contract}: no test is refused by {signature}"
        ours = {entry["name"] for entry in artifact.abi if entry["type"] == "error"} - THEIRS
        assert ours == {signature.split("(")[0] for signature in artifact.errors}


THEIRS = {  # declared by OpenZeppelin, where errors carry no notice
    "AddressEmptyCode",
    "ERC20InsufficientAllowance",
    "ERC20InsufficientBalance",
    "ERC20InvalidApprover",
    "ERC20InvalidReceiver",
    "ERC20InvalidSender",
    "ERC20InvalidSpender",
    "FailedCall",
    "InvalidShortString",
    "SafeERC20FailedOperation",
    "StringTooLong",
}


def test_arguments_out_of_range_are_refused_before_they_are_sent() -> None:
    with pytest.raises(EncodingError):
        market.make_offer(1, 2**32, 1000, 0)
    with pytest.raises(EncodingError):
        meter_registry.attest(0, -1, 0)
    with pytest.raises(ValueError, match="1500 is not a multiple of 1000"):
        market.cost_microeur(1500, 1)


def test_a_wrong_answer_says_what_and_from_where() -> None:
    with pytest.raises(MalformedAnswer, match=r"Market\.getOffers: .*: 0x \(0 bytes\)"):
        market.get_offers(1).decode(b"")
    with pytest.raises(MalformedAnswer, match=r"MeterRegistry\.windowReading"):
        meter_registry.window_reading(bytes(20), 1).decode(b"\xff" * 128)


def test_logs_become_dataclasses() -> None:
    topic = events.topic_of(system.MARKET, Cash)
    topics = [topic, (7).to_bytes(32, "big"), account("ann").rjust(32, b"\0"), (3).to_bytes(32, "big")]
    amount = (-5).to_bytes(32, "big", signed=True)
    assert events.decode_log(system.MARKET, topics, amount) == Cash(7, account("ann"), CashKind.UNUSED, -5)
    assert events.decode_log(bytes(20), topics, amount) is None
    assert events.decode_log(system.MARKET, [], b"") is None
    assert events.decode_log(system.MARKET, [bytes(32)], b"") is None
    endpoint = (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"\xffab".ljust(32, b"\0")
    changed = [events.topic_of(system.CONSORTIUM, EndpointChanged), account("ann").rjust(32, b"\0")]
    read = events.decode_log(system.CONSORTIUM, changed, endpoint)  # what is no UTF-8 stops no reader
    assert read == EndpointChanged(account("ann"), "\N{REPLACEMENT CHARACTER}ab")
    with pytest.raises(MalformedAnswer, match="2 topics, expected 4"):
        events.decode_log(system.MARKET, topics[:2], amount)
    with pytest.raises(MalformedAnswer):
        events.decode_log(system.MARKET, topics, b"")
    assert events.topic_of(system.MARKET, OfferMade) != topic


def test_reverts_are_explained(street: Street) -> None:
    with pytest.raises(Refused) as caught:
        street.market("ann", market.make_offer(1, 9, 200_000, 0))
    assert str(caught.value) == "The energy is less than the smallest lot: LotTooSmall(energy_wh=9, minimum_wh=10)"
    reason = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"no".ljust(32, b"\0")
    assert explain_revert(reason) == "no"
    panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
    assert explain_revert(panic) == "the contract stopped at an arithmetic overflow or underflow (Panic 0x11)"
    assert "without a reason" in explain_revert(b"")
    for unknown in (b"\0", b"\xde\xad\xbe\xef", caught.value.data[:20]):
        assert decode_revert(unknown) is None
        assert "no system contract declares" in explain_revert(unknown)


def test_contract_domain_and_addresses() -> None:
    private = [system.SEALED_METERS, system.PRIVACY_REGISTRY, system.DISCLOSURES]
    assert list(system.CONTRACT_DOMAIN) == [system.CONSORTIUM, system.METER_REGISTRY, *private]
    deployed = [address for address, _ in system.genesis_deployments(genesis())]
    assert [*deployed, *private, system.SHIELDED_POOL, system.PRIVATE_MARKET] == list(system.SYSTEM_CONTRACTS)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("members", None, "genesis: members: expected a list"),
        ("operator", "0x12", "genesis: operator: expected 0x and 40 hexadecimal digits, found '0x12'"),
        ("operator", hexed(b"x" * 20)[:-1] + "g", "genesis: operator"),
        ("issuers", [5], "genesis: issuers: expected 0x and 40"),
        ("market", [], "genesis: market: expected a table"),
        ("market", {}, "genesis: market.penalty_microeur_per_kwh: expected a value, but the key is missing"),
        ("tariffs", [{}], r"genesis: tariffs\[0\].valid_from_window: expected a value"),
        ("meters", [{"max_power_w": True}], r"genesis: meters\[0\].max_power_w: expected a whole number"),
        ("meters", [{"max_power_w": 2**32}], "below 2\\^32"),
    ],
)
def test_a_wrong_genesis_names_the_key(key: str, value: object, message: str) -> None:
    with pytest.raises(system.GenesisContractError, match=message):
        system.genesis_deployments(genesis() | {key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x" * 33}, r"members\[0\].name: expected at most 32 bytes"),
        ({"vouched": [hexed(i.to_bytes(20, "big")) for i in range(1, 257)]}, "at most 255 accounts, found 256"),
    ],
)
def test_a_wrong_member_names_the_key(change: dict[str, object], message: str) -> None:
    content = genesis()
    content["members"][0] |= change
    with pytest.raises(system.GenesisContractError, match=message):
        system.genesis_deployments(content)
