"""A private street behind a real RPC: eight members in the ring, auditors with keys in files; on the chain there are a
call without an account, a sealed reading and a note."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from typer.testing import CliRunner, Result

from agents.keys import create_key
from agents.private.member import make_registration, member_keys
from agents.wallet.keys import WalletKeys
from contracts import system
from contracts.bindings import fiat_token, privacy_registry, sealed_meters, shielded_pool
from contracts.bindings.privacy_registry import Registration
from contracts.bindings.sealed_meters import Sealed
from node.cli import app
from privacy import range_proof
from privacy.auditors import encrypt, prove_same_amount
from privacy.commitment import commit
from privacy.envelopes import AnonymousCall, call_images, ring_from_code, ring_to_code, scope_of, sign_call
from privacy.group import Scalar
from privacy.notes import balancing_blindings, make_note
from privacy.secp256k1 import SECP256K1
from privacy.stealth import MetaAddress
from tests.agents.consortium_street import PASSPHRASE, SCRYPT_TEST
from tests.contracts.registered import BOX_KEYS, BOX_SECRETS, THRESHOLD, Keys, keys_of
from tests.contracts.street import CHAIN_ID, account, hexed, key
from tests.contracts.test_sealed_meters import AUDITORS, JOINT_KEY, SHARES, sealing
from tests.node.samples import account_key, address_of, sample_genesis
from tests.privacy.keys import random_bytes, secret
from tests.rpc.harness import RunningNode

G = SECP256K1
MEMBERS = 8
WINDOW = 2  # traded in window 1
BAD_DEALER = 7
HOUR_MS = 3_600_000
GAS = 6_000_000
EXPIRY = 500  # a height that these tests do not reach
READING_WH = 321
NOTE_MICROEUR = 500


def private_genesis(members: int = MEMBERS, **rules: Any) -> dict[str, Any]:
    """The sample genesis file with sealed meters, and auditors that may send transactions."""
    content = sample_genesis(members, **rules)
    content["members"][0]["vouched"] += [hexed(account(name)) for name in AUDITORS]
    return content | {"sealing": sealing(), "privacy": {"box_keys": [hexed(box_key) for box_key in BOX_KEYS]}}


def account_of(member: int) -> bytes:
    """The account of a member."""
    return address_of(account_key(f"household {member}"))


def secrets_of(member: int) -> Keys:
    """The secrets of a member: those of the ring follow from its account's key."""
    household, wallet = PrivateKey(account_key(f"household {member}").secret), keys_of(f"member-{member}")
    keys = member_keys(household, CHAIN_ID, WINDOW)
    return Keys(*keys.secrets, wallet.spending, wallet.viewing)


def registration_of(member: int) -> Registration:
    """What a member registers; the last one deals badly."""
    secrets = secrets_of(member)
    made = make_registration(
        member_keys(PrivateKey(account_key(f"household {member}").secret), CHAIN_ID, WINDOW),
        (secrets.spending, secrets.viewing),
        chain_id=CHAIN_ID,
        account=account_of(member),
        from_window=WINDOW,
        threshold=THRESHOLD,
        box_keys=BOX_KEYS,
        endpoint=f"house-{member}.street:30500",
        randomness=random_bytes(f"member {member}"),
    )
    return replace(made, shares=bytes(len(made.shares))) if member == BAD_DEALER else made


class PrivateChain:
    """A node in window 1, in whose ring for window 2 are all members; member 0 made a call for it, member 1 did not."""

    def __init__(self, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.node.chains.sample_genesis", private_genesis)
            self.node = RunningNode(folder / "chain", members=MEMBERS)
        self.folder = folder
        (folder / "passphrase").write_text(PASSPHRASE)
        for number, name in enumerate(AUDITORS):
            self._keep(name, key(name).to_bytes())
            self._keep(f"{name}-box", BOX_SECRETS[number])
            self._keep(f"{name}-share", SHARES[number].to_bytes(32, "big"))
        for member in range(2):
            self._keep(f"ring-{member}", secrets_of(member).ring.to_bytes(32, "big"))
            self._keep(f"household-{member}", account_key(f"household {member}").secret)
            wallet = WalletKeys(secrets_of(member).spending, secrets_of(member).viewing)
            (folder / f"view-{member}").write_text(wallet.view_key + "\n")
        for member in range(MEMBERS):
            data = privacy_registry.register(WINDOW, registration_of(member))
            self.send(f"household {member}", system.PRIVACY_REGISTRY, data)
        self._deposit()
        self.node.backend.chain.wall_ms += HOUR_MS
        self.node.mine()
        self._attest()
        self.nullifier, self.transaction = self._call()

    def close(self) -> None:
        """Stop the node."""
        self.node.close()

    # -- the chain

    def send(self, label: str, to: bytes, data: bytes) -> None:
        """Send a transaction, which must succeed."""
        chain = self.node.backend.chain
        self._accept(chain.transaction(label, to, data, gas=GAS).raw)

    def _accept(self, raw: bytes) -> str:
        found: str = self.node.result("eth_sendRawTransaction", hexed(raw))
        receipt = self.node.result("eth_getTransactionReceipt", found)
        assert receipt["status"] == "0x1", receipt
        return found

    def _attest(self) -> None:
        """Let the meter of member 0 attest quarter 0."""
        meter = address_of(account_key("meter 0"))
        sealed = []
        for is_export, amount in ((False, READING_WH), (True, 0)):
            rho, gamma = secret(f"rho {is_export}"), secret(f"gamma {is_export}")
            message = sealed_meters.seal_message(CHAIN_ID, meter, 0, is_export=is_export)
            proof = prove_same_amount(G, JOINT_KEY, amount, rho, gamma, message, random_bytes("attest"))
            points = encrypt(G, JOINT_KEY, amount, rho).to_bytes(G) + G.point_to_bytes(commit(G, amount, gamma))
            sealed.append(Sealed(points, proof.to_bytes(G)))
        self.send("meter 0", system.SEALED_METERS, sealed_meters.attest(0, *sealed))

    def _deposit(self) -> None:
        """Let member 0 turn money into two notes of its own."""
        sender = account_of(0)
        self.send("operator", system.FIAT_TOKEN, fiat_token.mint(sender, NOTE_MICROEUR, b"receipt".ljust(32, b"\0")))
        self.send("household 0", system.FIAT_TOKEN, fiat_token.approve(system.SHIELDED_POOL))
        address = MetaAddress(*secrets_of(0).points[2:])
        blindings = balancing_blindings(G, Scalar(0), 2, Scalar(1), random_bytes("blindings"))
        made = [
            make_note(
                G,
                address,
                amount,
                JOINT_KEY,
                lambda encoded: shielded_pool.note_message(CHAIN_ID, encoded),
                random_bytes(f"note {amount}"),
                blinding=blinding,
            )
            for amount, blinding in zip((NOTE_MICROEUR, 0), blindings, strict=True)
        ]
        notes = b"".join(note.to_bytes(G) for note, _ in made)
        openings = [(opening.amount, opening.blinding) for _, opening in made]
        message = shielded_pool.deposit_message(CHAIN_ID, sender, notes)
        statement = range_proof.Statement(tuple(commit(G, *opening) for opening in openings), 64, message)
        proof = range_proof.prove(G, statement, openings, random_bytes("deposit")).to_bytes(G)
        self.send("household 0", system.SHIELDED_POOL, shielded_pool.deposit(NOTE_MICROEUR, notes, proof))

    def _call(self) -> tuple[str, str]:
        """Let member 0 make its call for the window; return its nullifier and its hash."""
        call_data = {"to": hexed(system.PRIVACY_REGISTRY), "data": hexed(privacy_registry.ring_of(WINDOW).data)}
        ring = privacy_registry.ring_of(WINDOW).decode(_data(self.node.result("eth_call", call_data, "latest"))).ring
        rows = ring_from_code(_data(self.node.result("eth_getCode", hexed(ring), "latest")))
        secrets = secrets_of(0).ring, secrets_of(0).trace
        nullifier, tag = call_images(
            scope_of(CHAIN_ID, system.PRIVACY_REGISTRY, system.PRIVATE_MARKET, WINDOW), secrets
        )
        root = keccak(ring_to_code(rows))
        call = AnonymousCall(CHAIN_ID, WINDOW, root, nullifier, tag, EXPIRY, 400_000, system.PRIVATE_MARKET, b"")
        index = next(at for at, row in enumerate(rows) if row.account == account_of(0))
        raw = sign_call(call, system.PRIVACY_REGISTRY, rows, secrets, index, random_bytes("call"))
        # Whether the market takes what it says is no matter here: that it was made is on the chain.
        return hexed(nullifier), self.node.result("eth_sendRawTransaction", hexed(raw))

    # -- commands

    def trace(self, *words: str) -> Result:
        """Call `gridpact audit trace`."""
        return self._run("trace", *words)

    def open(self, *words: str) -> Result:
        """Call `gridpact audit open`."""
        return self._run("open", *words)

    def disclose(self, *words: str) -> Result:
        """Call `gridpact audit disclose`."""
        return self._run("disclose", *words)

    def verify(self, *words: str) -> Result:
        """Call `gridpact audit verify-disclosure`."""
        return self._run("verify-disclosure", *words)

    def statement(self, *words: str) -> Result:
        """Call `gridpact audit statement`."""
        return self._run("statement", *words)

    def _run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["audit", *words, "--rpc", self.node.url])

    def secret(self, option: str, name: str) -> tuple[str, ...]:
        """The words that name a key file and its passphrase."""
        return option, str(self.folder / f"{name}.json"), "--passphrase-file", str(self.folder / "passphrase")

    def file(self, name: str) -> str:
        """A path in the folder."""
        return str(self.folder / name)

    def _keep(self, name: str, private_key: bytes) -> None:
        path = self.folder / f"{name}.json"
        create_key(path, PASSPHRASE.encode(), private_key=private_key, work_factor=SCRYPT_TEST)


def _data(text: str) -> bytes:
    return bytes.fromhex(text[2:])
