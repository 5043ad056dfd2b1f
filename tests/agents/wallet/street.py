"""A private street behind a real node: eight households with money, and wallets in files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from eth_keys.datatypes import PrivateKey
from typer.testing import CliRunner, Result

from agents.keys import create_key
from agents.wallet.client import WalletClient, connected
from agents.wallet.keys import MICROEUR, address_text
from agents.wallet.store import WalletFile, create_wallet_file, open_wallet_file
from contracts import system
from contracts.bindings import fiat_token, shielded_pool
from node.cli import app
from tests.contracts.pool import private_genesis
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of, hex_of, sample_genesis, seed
from tests.rpc.harness import RunningNode

T = TypeVar("T")
HOUSES = 8
PASSPHRASE = "a phrase"
SCRYPT_TEST = 2  # the least that there is: these keys are known to everyone
MONEY = 200 * MICROEUR


def private_sample(members: int = HOUSES, **rules: Any) -> dict[str, Any]:
    """The sample genesis file with sealed meters and a pool."""
    private = private_genesis()
    return {**sample_genesis(members, **rules), "sealing": private["sealing"], "privacy": private["privacy"]}


class WalletStreet:
    """A node, and in `folder` everybody's key and wallet."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.node.chains.sample_genesis", private_sample)
            self.node = RunningNode(folder / "chain")
        self._nonces: dict[str, int] = {}
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")
        for house in range(HOUSES):
            account = address_of(account_key(f"household {house}"))
            self.send("operator", system.FIAT_TOKEN, fiat_token.mint(account, MONEY, seed(f"receipt {house}")))
            secret = account_key(f"household {house}").secret
            create_key(self.key(house), PASSPHRASE.encode(), private_key=secret, work_factor=SCRYPT_TEST)
            self.new_wallet(f"house-{house}")

    @property
    def genesis(self) -> str:
        """The hash of block 0."""
        return hex_of(self.node.backend.chain.genesis_hash)

    def new_wallet(self, name: str, height: int = -1) -> WalletFile:
        """Write the wallet that belongs to a name."""
        chain_id = self.node.backend.genesis["chain_id"]
        return create_wallet_file(
            self.path(name),
            PASSPHRASE.encode(),
            seed(f"wallet {name}"),
            chain_id=chain_id,
            genesis=self.genesis,
            height=height,
            work_factor=SCRYPT_TEST,
        )

    def path(self, name: str) -> Path:
        """A wallet's file."""
        return self.folder / f"{name}.wallet"

    def key(self, house: int) -> Path:
        """The key file of a household's account."""
        return self.folder / f"household-{house}.json"

    def account(self, house: int) -> bytes:
        """A household's account."""
        return address_of(account_key(f"household {house}"))

    def address(self, name: str) -> str:
        """A wallet's address."""
        return address_text(open_wallet_file(self.path(name), PASSPHRASE.encode()).wallet.keys.address)

    def send(self, label: str, to: bytes, data: bytes) -> None:
        """Send a transaction of the account that `label` names; it must succeed."""
        nonce = self._nonces.get(label, 0)
        self._nonces[label] = nonce + 1
        raw = sign_transaction(account_key(label), chain_id=2016, nonce=nonce, to=to, data=data, gas=2_000_000)
        sent = self.node.result("eth_sendRawTransaction", hex_of(raw))
        assert self.node.result("eth_getTransactionReceipt", sent)["status"] == "0x1"

    def use(self, name: str, act: Callable[[WalletClient], Awaitable[T]], **options: Any) -> T:
        """Do something with a wallet and the node, without a command."""

        async def job() -> T:
            file = open_wallet_file(self.path(name), PASSPHRASE.encode())
            async with connected(self.node.url, file, **options) as client:
                return await act(client)

        return asyncio.run(job())

    def shield(self, house: int, amount: int) -> int:
        """Put money of a household into its wallet."""
        key = PrivateKey(account_key(f"household {house}").secret)
        return self.use(f"house-{house}", lambda client: client.shield(key, amount))

    def fill(self, amount: int = 50 * MICROEUR) -> None:
        """Let every household put in as much, which closes a bin."""
        for house in range(HOUSES):
            self.shield(house, amount)

    def scanned(self, name: str) -> WalletFile:
        """Let a wallet look through the chain; return it as it is in its file then."""
        self.use(name, lambda client: client.scan())
        return open_wallet_file(self.path(name), PASSPHRASE.encode())

    def fiat(self, account: bytes) -> int:
        """An account's money."""
        return int(self.view(fiat_token.balance_of(account)))

    def pool(self) -> int:
        """What the pool holds."""
        return int(self.view(shielded_pool.balance()))

    def view(self, call: Any) -> Any:
        """Make a reading call."""
        answer = self.node.result("eth_call", {"to": hex_of(call.to), "data": hex_of(call.data)}, "latest")
        return call.decode(bytes.fromhex(answer[2:]))

    def run(self, command: str, *words: str, wallet: str | None = None, stdin: str | None = None) -> Result:
        """Call `gridpact wallet` with the passphrase, and the node where one is asked."""
        secrets = ["--passphrase-file", str(self.passphrase)]
        rpc = [] if command in ("address", "export-view-key") else ["--rpc", self.node.url]
        file = [] if wallet is None else ["--wallet", str(self.path(wallet))]
        return CliRunner().invoke(app, ["wallet", command, *words, *file, *secrets, *rpc], input=stdin)

    def ok(self, command: str, *words: str, wallet: str, stdin: str | None = None) -> str:
        """Call as `run`; it must succeed; return what it printed."""
        result = self.run(command, *words, wallet=wallet, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, command: str, *words: str, wallet: str, stdin: str | None = None) -> str:
        """Call as `run`; it must be refused with one line; return that."""
        result = self.run(command, *words, wallet=wallet, stdin=stdin)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("gridpact: "), result.output
        assert len(result.stderr.splitlines()) == 1
        return result.stderr

    def close(self) -> None:
        """Stop the node."""
        self.node.close()
