"""The fixtures that web3.py's module tests ask for, on a chain for them alone.

Their names and what they stand for are those of web3.py's tests/integration (MIT licence, © The Ethereum Foundation).
There is no plugin for asynchronous tests here: a test that is a coroutine runs in the event loop of its connection.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_canonical_address, to_checksum_address
from web3 import HTTPProvider, Web3
from web3._utils.contract_sources.contract_data._custom_contract_data import EMITTER_ENUM
from web3._utils.contract_sources.contract_data.emitter_contract import EMITTER_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.math_contract import MATH_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.offchain_lookup import OFFCHAIN_LOOKUP_DATA
from web3._utils.contract_sources.contract_data.panic_errors_contract import PANIC_ERRORS_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.revert_contract import REVERT_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.storage_contract import STORAGE_CONTRACT_DATA
from web3._utils.module_testing.utils import RequestMocker

from devnet.accounts import mnemonic_addresses, mnemonic_keys
from tests.devnet.running import until
from tests.tools.conftest import FOLDER as TOOLS
from tests.tools.web3py import targets
from tests.tools.web3py.expected import ASYNC, FLAKY, FLAKY_TESTS, HELD, SYNC
from tests.tools.web3py.targets import Target

EMPTY_BLOCK_BOUND_S = 30.0
TEST_BOUND_S = 30.0  # a subscription that never tells anything
PRICE_WEI = 10**9  # gridpact asks for nothing, and web3.py looks at what was paid
CONTRACTS: dict[str, Any] = {
    "math": MATH_CONTRACT_DATA,
    "emitter": EMITTER_CONTRACT_DATA,
    "revert": REVERT_CONTRACT_DATA,
    "offchain_lookup": OFFCHAIN_LOOKUP_DATA,
    "panic_errors": PANIC_ERRORS_CONTRACT_DATA,
    "storage": STORAGE_CONTRACT_DATA,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect of gridpact exactly the failures that are explained, in place of those that web3.py expects of geth."""
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents or not isinstance(item, pytest.Function) or item.cls is None:
            continue
        item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "xfail"]
        explained = ASYNC if inspect.iscoroutinefunction(item.function) else SYNC
        if item.originalname in FLAKY_TESTS:
            item.add_marker(pytest.mark.xfail(reason=str(FLAKY), strict=False))
        elif item.originalname in explained:
            item.add_marker(pytest.mark.xfail(reason=str(explained[item.originalname]), strict=True))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test; one that needs its transaction to wait in the pool, while no block is made."""
    target: Any = pyfuncitem.funcargs.get("target")
    if target is None:
        return None
    call = pyfuncitem.obj
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    target.settle()
    with target.held() if pyfuncitem.originalname in HELD else nullcontext():
        if inspect.iscoroutinefunction(call):
            runner: Any = pyfuncitem.funcargs["runner"]
            runner.run(asyncio.wait_for(call(**wanted), TEST_BOUND_S))
        else:
            call(**wanted)
    return True


# -- the chain


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, installed: Callable[[Path], Path]) -> Iterator[Target]:
    """The chain under test, a new one for each provider."""
    folder = tmp_path_factory.mktemp("web3py")
    if targets.chosen() == targets.Anvil.name:
        installed(TOOLS)
        with targets.anvil(folder, TOOLS) as it:
            yield it
    else:
        with targets.gridpact(folder) as it:
            yield it


@pytest.fixture(scope="module")
def known(target: Target) -> dict[str, Any]:
    """What web3.py's fixture chain for geth has: contracts, and blocks with and without transactions."""
    w3: Any = Web3(HTTPProvider(f"http://{target.endpoint}"))
    sender = w3.eth.accounts[1]

    def done(transaction: Any) -> Any:
        return w3.eth.wait_for_transaction_receipt(transaction, poll_latency=0.05)

    found: dict[str, Any] = {}
    for name, contract in CONTRACTS.items():
        receipt = done(w3.eth.contract(**contract).constructor().transact({"from": sender}))
        found[name] = receipt["contractAddress"]
        found[f"{name}_deploy"] = receipt["transactionHash"].to_0x_hex()
    emitter = w3.eth.contract(address=found["emitter"], abi=EMITTER_CONTRACT_DATA["abi"])
    logged = done(
        emitter.functions.logDouble(which=EMITTER_ENUM["LogDoubleWithIndex"], arg0=12345, arg1=54321).transact(
            {"from": sender}
        )
    )
    found["logged"], found["block_with_log"] = logged["transactionHash"].to_0x_hex(), logged["blockHash"].to_0x_hex()
    before = w3.eth.block_number

    def empty() -> Any:
        block = w3.eth.get_block("latest")
        return block if block["number"] > before and not block["transactions"] else None

    found["empty_block"] = until("an empty block", empty, EMPTY_BLOCK_BOUND_S)["hash"].to_0x_hex()
    price = {"gasPrice": max(PRICE_WEI, w3.eth.gas_price)}
    mined = done(w3.eth.send_transaction({"from": sender, "to": sender, "value": 1, "gas": 21_000, **price}))
    found["mined"], found["block_with_txn"] = mined["transactionHash"].to_0x_hex(), mined["blockHash"].to_0x_hex()
    return found


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of one test."""
    with asyncio.Runner() as it:
        yield it


@pytest.fixture
def w3(target: Target) -> Any:
    return Web3(HTTPProvider(f"http://{target.endpoint}", request_kwargs={"timeout": 10}))


@pytest.fixture(scope="module", params=["bytes", "text"])
def address_conversion_func(request: pytest.FixtureRequest) -> Any:
    """An address as 20 bytes, or as checksummed text."""
    return to_canonical_address if request.param == "bytes" else str


@pytest.fixture
def request_mocker() -> type[RequestMocker]:
    return RequestMocker


@pytest.fixture
def skip_if_testrpc() -> Callable[[Any], None]:
    return lambda _w3: None


@pytest.fixture
def async_skip_if_testrpc() -> Callable[[Any], None]:
    return lambda _w3: None


@pytest.fixture
def datadir(target: Target) -> str:
    return str(target.folder)


# -- the account


@pytest.fixture
def keyfile_account_pkey() -> str:
    return "0x" + mnemonic_keys()[0].hex()


@pytest.fixture
def keyfile_account_address() -> str:
    return to_checksum_address(mnemonic_addresses()[0])


@pytest.fixture
def keyfile_account_address_dual_type(keyfile_account_address: str, address_conversion_func: Any) -> Any:
    return keyfile_account_address


@pytest.fixture
def async_keyfile_account_address(keyfile_account_address: str) -> str:
    return keyfile_account_address


@pytest.fixture
def async_keyfile_account_address_dual_type(keyfile_account_address: str, address_conversion_func: Any) -> Any:
    return keyfile_account_address


# -- contracts


def _contract(name: str) -> tuple[Any, Any]:
    """Return the fixtures of a contract: for Web3, and for AsyncWeb3."""

    @pytest.fixture(name=f"{name}_contract")
    def plain(w3: Any, known: dict[str, Any]) -> Any:
        return w3.eth.contract(**CONTRACTS[name])(address=known[name])

    @pytest.fixture(name=f"async_{name}_contract")
    def asynchronous(async_w3: Any, known: dict[str, Any]) -> Any:
        return async_w3.eth.contract(**CONTRACTS[name])(address=known[name])

    return plain, asynchronous


def _contract_address(name: str) -> tuple[Any, Any]:
    @pytest.fixture(name=f"{name}_contract_address")
    def plain(known: dict[str, Any], address_conversion_func: Any) -> Any:
        return address_conversion_func(known[name])

    @pytest.fixture(name=f"async_{name}_contract_address")
    def asynchronous(known: dict[str, Any], address_conversion_func: Any) -> Any:
        return address_conversion_func(known[name])

    return plain, asynchronous


math_contract, async_math_contract = _contract("math")
emitter_contract, async_emitter_contract = _contract("emitter")
revert_contract, async_revert_contract = _contract("revert")
offchain_lookup_contract, async_offchain_lookup_contract = _contract("offchain_lookup")
panic_errors_contract, async_panic_errors_contract = _contract("panic_errors")
storage_contract, async_storage_contract = _contract("storage")
math_contract_address, async_math_contract_address = _contract_address("math")
emitter_contract_address, async_emitter_contract_address = _contract_address("emitter")


@pytest.fixture
def math_contract_deploy_txn_hash(known: dict[str, Any]) -> Any:
    return known["math_deploy"]


# -- transactions and blocks


@pytest.fixture
def mined_txn_hash(known: dict[str, Any]) -> Any:
    return known["mined"]


@pytest.fixture
def txn_hash_with_log(known: dict[str, Any]) -> Any:
    return known["logged"]


def _block(name: str, key: str) -> tuple[Any, Any]:
    """Return the fixtures of a block: asked for by Web3, and by AsyncWeb3."""

    @pytest.fixture(name=name)
    def plain(w3: Any, known: dict[str, Any]) -> Any:
        return w3.eth.get_block(known[key])

    @pytest.fixture(name=f"async_{name}")
    def asynchronous(async_w3: Any, runner: asyncio.Runner, known: dict[str, Any]) -> Any:
        return runner.run(async_w3.eth.get_block(known[key]))

    return plain, asynchronous


empty_block, async_empty_block = _block("empty_block", "empty_block")
block_with_txn, async_block_with_txn = _block("block_with_txn", "block_with_txn")
block_with_txn_with_log, async_block_with_txn_with_log = _block("block_with_txn_with_log", "block_with_log")


@pytest.fixture(autouse=True)
def _clean_provider(request: pytest.FixtureRequest) -> None:
    if "async_w3" in request.fixturenames:
        provider = request.getfixturevalue("async_w3").provider
        if hasattr(provider, "_request_processor"):
            provider._request_processor.clear_caches()
