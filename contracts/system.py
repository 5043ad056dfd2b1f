"""Where the system contracts live, and what genesis runs to put them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.artifact import load_artifact

CONSORTIUM = bytes.fromhex("0000000000000000000000000000000000004801")
METER_REGISTRY = bytes.fromhex("0000000000000000000000000000000000004802")
ENERGY_TOKEN = bytes.fromhex("0000000000000000000000000000000000004803")
FIAT_TOKEN = bytes.fromhex("0000000000000000000000000000000000004804")
MARKET = bytes.fromhex("0000000000000000000000000000000000004805")
SEALED_METERS = bytes.fromhex("0000000000000000000000000000000000004806")
PRIVACY_REGISTRY = bytes.fromhex("0000000000000000000000000000000000004807")
SHIELDED_POOL = bytes.fromhex("0000000000000000000000000000000000004808")
PRIVATE_MARKET = bytes.fromhex("0000000000000000000000000000000000004809")
DISCLOSURES = bytes.fromhex("000000000000000000000000000000000000480a")

SYSTEM_CONTRACTS: Mapping[bytes, str] = {
    CONSORTIUM: "Consortium",
    METER_REGISTRY: "MeterRegistry",
    ENERGY_TOKEN: "EnergyToken",
    FIAT_TOKEN: "FiatToken",
    MARKET: "Market",
    SEALED_METERS: "SealedMeters",
    PRIVACY_REGISTRY: "PrivacyRegistry",
    DISCLOSURES: "Disclosures",
    SHIELDED_POOL: "ShieldedPool",
    PRIVATE_MARKET: "PrivateMarket",
}
"""`SealedMeters` is deployed where the genesis file has `sealing`, what follows it where it has `privacy` too."""
CONTRACT_DOMAIN = (CONSORTIUM, METER_REGISTRY, SEALED_METERS, PRIVACY_REGISTRY, DISCLOSURES)
"""Destinations whose transactions belong to the contract chain."""

GRID = keccak(b"gridpact/party/grid")[:20]
"""The electricity grid as a party of the market's books; nobody has a key to it."""

MAX_AUDITORS = 16
MAX_NAME_BYTES = 32  # a bytes32 on chain: a hundred members' constructor arguments must fit EIP-3860's 49,152 bytes

_SCHEDULE = (
    "window_zero_s",
    "window_length_s",
    "quarter_length_s",
    "negotiation_close_s",
    "recording_margin_s",
    "settlement_deadline_windows",
)
_TARIFF = (
    "valid_from_window",
    "energy_microeur_per_kwh",
    "grid_microeur_per_kwh",
    "levies_microeur_per_kwh",
    "local_charges_microeur_per_kwh",
    "feed_in_microeur_per_kwh",
)
_PARAMETERS = ("penalty_microeur_per_kwh", "operator_margin_microeur_per_kwh", "minimum_lot_wh")


class GenesisContractError(ValueError):
    """The genesis file lacks, or gives wrongly, what a system contract's constructor needs."""

    def __init__(self, key: str, expected: str) -> None:
        super().__init__(f"genesis: {key}: expected {expected}")
        self.key = key
        self.expected = expected


def genesis_deployments(genesis: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Return what genesis runs, in order: (address, init code with the constructor's arguments).

    Args:
        genesis: the parsed genesis file.

    Raises:
        GenesisContractError: naming the key and what was expected. What does not add up beyond form (an account twice,
            a tariff off its tick) makes the constructor revert; `contracts.bindings.reverts.explain_revert` says why.
    """
    deployments = [
        (CONSORTIUM, _init_code("Consortium", *_consortium_arguments(genesis))),
        (METER_REGISTRY, _init_code("MeterRegistry", _schedule(genesis), _meters(genesis))),
        (ENERGY_TOKEN, _init_code("EnergyToken", MARKET)),
        (FIAT_TOKEN, _init_code("FiatToken", [_data(a, "issuers", 20) for a in _rows(genesis, "issuers")])),
        (
            MARKET,
            _init_code(
                "Market",
                _schedule(genesis),
                _tariffs(genesis),
                _integers(_value(genesis, "", "market"), "market", _PARAMETERS),
                METER_REGISTRY,
                ENERGY_TOKEN,
                FIAT_TOKEN,
                _data(_value(genesis, "", "operator"), "operator", 20),
            ),
        ),
    ]
    if "sealing" in genesis:
        deployments.append((SEALED_METERS, _init_code("SealedMeters", *_sealing_arguments(genesis))))
    if "privacy" in genesis:
        deployments += _private_deployments(genesis)
    return deployments


def constructor_arguments(contract: str, *arguments: object) -> bytes:
    """Return the ABI encoding of a constructor's arguments (addresses as 20 bytes, structs as tuples)."""
    for entry in load_artifact(contract).abi:
        if entry["type"] == "constructor":
            return encode([canonical_type(parameter) for parameter in entry["inputs"]], arguments)
    return b""


def canonical_type(parameter: Mapping[str, Any]) -> str:
    """Return the type that an ABI parameter has in a signature: structs as tuples of their components."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(canonical_type(component) for component in parameter["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def _init_code(contract: str, *arguments: object) -> bytes:
    return load_artifact(contract).bytecode + constructor_arguments(contract, *arguments)


def _consortium_arguments(genesis: Mapping[str, Any]) -> tuple[list[tuple[object, ...]], list[bytes]]:
    founders: list[tuple[object, ...]] = []
    vouched: list[bytes] = []
    for i, row in enumerate(_rows(genesis, "members")):
        where = f"members[{i}]"
        account = _data(_value(row, where, "account"), f"{where}.account", 20)
        others = sorted({_data(text, f"{where}.vouched", 20) for text in row.get("vouched", [])} - {account})
        if len(others) > 255:
            raise GenesisContractError(f"{where}.vouched", f"at most 255 accounts, found {len(others)}")
        name = str(_value(row, where, "name")).encode()
        if len(name) > MAX_NAME_BYTES:
            raise GenesisContractError(f"{where}.name", f"at most {MAX_NAME_BYTES} bytes of UTF-8, found {len(name)}")
        node_key = _data(_value(row, where, "node_key"), f"{where}.node_key", 32)
        founders.append((account, len(others), node_key, name, str(_value(row, where, "p2p"))))
        vouched.extend(others)
    return founders, vouched


def _meters(genesis: Mapping[str, Any]) -> list[tuple[object, ...]]:
    meters: list[tuple[object, ...]] = []
    for i, row in enumerate(_rows(genesis, "meters")):
        where = f"meters[{i}]"
        (max_power_w,) = _integers(row, where, ("max_power_w",))
        meter = _data(_value(row, where, "meter"), f"{where}.meter", 20)
        household = _data(_value(row, where, "household"), f"{where}.household", 20)
        meters.append((meter, max_power_w, household, str(_value(row, where, "connection"))))
    return meters


def _sealing_arguments(genesis: Mapping[str, Any]) -> tuple[object, ...]:
    sealing = _value(genesis, "", "sealing")
    meters = [(meter, household) for meter, _, household, _ in _meters(genesis)]
    rows = _value(sealing, "sealing", "auditors")
    if not isinstance(rows, list):
        raise GenesisContractError("sealing.auditors", "a list")
    auditors = [
        tuple(
            _data(_value(row, f"sealing.auditors[{i}]", key), f"sealing.auditors[{i}].{key}", length)
            for key, length in (("account", 20), ("public_share", 33))
        )
        for i, row in enumerate(rows)
    ]
    joint_key = _data(_value(sealing, "sealing", "joint_key"), "sealing.joint_key", 33)
    feeder = _data(_value(sealing, "sealing", "feeder_meter"), "sealing.feeder_meter", 20)
    (threshold,) = _integers(sealing, "sealing", ("threshold",))
    if threshold > MAX_AUDITORS:
        raise GenesisContractError("sealing.threshold", f"at most {MAX_AUDITORS}, found {threshold}")
    return _schedule(genesis), meters, (0, threshold, joint_key, auditors), feeder, CONSORTIUM


def _private_deployments(genesis: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    if "sealing" not in genesis:
        raise GenesisContractError("sealing", "a table, since there is `privacy`: it needs auditors and sealed meters")
    rows = _value(_value(genesis, "", "privacy"), "privacy", "box_keys")
    if not isinstance(rows, list):
        raise GenesisContractError("privacy.box_keys", "a list")
    box_keys = [_data(key, f"privacy.box_keys[{i}]", 32) for i, key in enumerate(rows)]
    return [
        (PRIVACY_REGISTRY, _init_code("PrivacyRegistry", _schedule(genesis), box_keys, SEALED_METERS)),
        (DISCLOSURES, _init_code("Disclosures", SEALED_METERS)),
        (SHIELDED_POOL, _init_code("ShieldedPool", _schedule(genesis), FIAT_TOKEN, SEALED_METERS, PRIVATE_MARKET)),
        (PRIVATE_MARKET, _init_code("PrivateMarket", *_private_market_arguments(genesis))),
    ]


def _private_market_arguments(genesis: Mapping[str, Any]) -> tuple[object, ...]:
    (penalty,) = _integers(_value(genesis, "", "market"), "market", _PARAMETERS[:1])
    operator = _data(_value(genesis, "", "operator"), "operator", 20)
    others = (PRIVACY_REGISTRY, SHIELDED_POOL, SEALED_METERS, operator)
    return _schedule(genesis), _tariffs(genesis), penalty, *others


def _tariffs(genesis: Mapping[str, Any]) -> list[tuple[int, ...]]:
    return [_integers(row, f"tariffs[{i}]", _TARIFF) for i, row in enumerate(_rows(genesis, "tariffs"))]


def _schedule(genesis: Mapping[str, Any]) -> tuple[int, ...]:
    return _integers(_value(genesis, "", "schedule"), "schedule", _SCHEDULE)


def _rows(genesis: Mapping[str, Any], key: str) -> Sequence[Any]:
    rows = _value(genesis, "", key)
    if not isinstance(rows, list):
        raise GenesisContractError(key, "a list")
    return rows


def _integers(row: Any, where: str, keys: Sequence[str]) -> tuple[int, ...]:
    numbers = []
    for key in keys:
        number = _value(row, where, key)
        bits = 64 if key in ("window_zero_s", "valid_from_window") else 32
        if type(number) is not int or not 0 <= number < 2**bits:
            raise GenesisContractError(f"{where}.{key}", f"a whole number from 0 below 2^{bits}, found {number!r}")
        numbers.append(number)
    return tuple(numbers)


def _value(row: Any, where: str, key: str) -> Any:
    name = f"{where}.{key}" if where else key
    if not isinstance(row, Mapping):
        raise GenesisContractError(where, "a table")
    if key not in row:
        raise GenesisContractError(name, "a value, but the key is missing")
    return row[key]


def _data(text: Any, where: str, length: int) -> bytes:
    expected = f"0x and {2 * length} hexadecimal digits, found {text!r}"
    if not isinstance(text, str) or not text.startswith("0x") or len(text) != 2 + 2 * length:
        raise GenesisContractError(where, expected)
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise GenesisContractError(where, expected) from None
