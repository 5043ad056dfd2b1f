"""A consortium behind a real RPC for the tests of its commands: four members with keys in files, time that can move."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from coincurve import PrivateKey
from nacl.signing import SigningKey
from typer.testing import CliRunner, Result

from agents.keys import create_key
from contracts.bindings.consortium_votes import ready_bytes
from contracts.readiness import Readiness
from node.cli import app
from tests.node.samples import account_key, address_of, hex_of, seed
from tests.rpc.harness import RunningNode

PASSPHRASE = "a phrase"
SCRYPT_TEST = 2  # the least that there is: these keys are known to everyone
EVE_NODE = SigningKey(seed("node eve"))
EVE_NODE_KEY = hex_of(bytes(EVE_NODE.verify_key))
EVE = hex_of(address_of(account_key("household eve")))
ENDPOINT = "127.0.0.1:30309"


class ConsortiumStreet:
    """A node, and everybody's keys in `folder`."""

    def __init__(self, folder: Path, members: int = 4) -> None:
        self.node = RunningNode(folder / "chain", members=members)
        self.folder = folder
        self.submitted = Event()  # that a transaction has come to the node
        self.node.backend.on_pending(lambda _: self.submitted.set())
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        for name in [*(f"household {i}" for i in range(members)), "household eve", "meter 0"]:
            self._write_key(name, account_key(name))

    def account(self, index: int) -> str:
        """Return the account of member `index`."""
        return hex_of(address_of(account_key(f"household {index}")))

    def run(self, *words: str) -> Result:
        """Call a command that only reads."""
        return CliRunner().invoke(app, ["consortium", *words, "--rpc", self.node.url])

    def send(self, sender: int | str, *words: str) -> Result:
        """Call a command as member `sender`, or as the account with that label."""
        label = f"household {sender}" if isinstance(sender, int) else sender
        secrets = ("--key", str(self.key(label)), "--passphrase-file", str(self.folder / "passphrase"))
        return self.run(*words, *secrets)

    def ok(self, sender: int | str, *words: str) -> str:
        """Call a command as `send`, which must succeed, and return what it printed."""
        result = self.send(sender, *words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def admit(self, *more: str) -> str:
        """Let the first member move to admit eve."""
        words = ("--node-key", EVE_NODE_KEY, "--account", EVE, "--name", "eve", "--endpoint", ENDPOINT)
        return self.ok(0, "propose-admit", *words, *more)

    def key(self, label: str) -> Path:
        """Return the key file of an account."""
        return self.folder / f"{label}.json".replace(" ", "-")

    def token(self, signer: SigningKey = EVE_NODE, height: int | None = None, chain_id: int | None = None) -> str:
        """Return what a candidate's node prints: the newest block under its key, unless a height is named."""
        signed = self.height if height is None else height
        genesis, block = (self._hash(n) for n in (0, min(signed, self.height)))
        message = ready_bytes(chain_id or self.node.backend.genesis["chain_id"], genesis, signed, block)
        return Readiness(signed, bytes(signer.sign(message).signature)).token

    @property
    def height(self) -> int:
        """The newest height."""
        return self.node.backend.chain.height

    def later(self, seconds: int) -> None:
        """Let chain time pass, and a block with the new time be decided."""
        self.node.backend.chain.wall_ms += seconds * 1000
        self.node.mine()

    def close(self) -> None:
        """Stop the node."""
        self.node.close()

    def _hash(self, height: int) -> bytes:
        return bytes.fromhex(self.node.result("eth_getBlockByNumber", hex(height), False)["hash"][2:])

    def _write_key(self, label: str, key: PrivateKey) -> None:
        create_key(self.key(label), PASSPHRASE.encode(), private_key=key.secret, work_factor=SCRYPT_TEST)
