"""Members of a private street as a load generator has them: keys, what they send, what they know of their notes.

No agents and no relays: every call is made here, as an agent would make it, and handed to a node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import PrivateKey
from nacl.public import PrivateKey as BoxKey

from agents.private import openings
from agents.private.member import MemberKeys, make_registration
from benchmarks.ethereum import sign
from contracts.bindings import privacy_registry, private_market, sealed_meters, shielded_pool
from contracts.bindings.private_market import Side
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL
from devnet.accounts import derived_key
from node.keys import account_address
from privacy import clsag, notes, range_proof, stealth
from privacy.auditors import encrypt, prove_same_amount
from privacy.claims import Row
from privacy.commitment import commit
from privacy.envelopes import (
    AnonymousCall,
    OwnSpend,
    RingRow,
    ShieldedTransfer,
    call_images,
    scope_of,
    sign_call,
    sign_transfer,
)
from privacy.group import Scalar
from privacy.secp256k1 import POINT_BYTES, SECP256K1, Point

G = SECP256K1
EXPIRY = 900  # heights
OFFER_GAS, FUND_GAS = 1_000_000, 2_500_000
TRADE_GAS, SETTLE_GAS = 1_500_000, 4_000_000
NOTE_BITS = 64


def random(what: str) -> bytes:
    """Return 32 bytes that nobody but this benchmark should ever sign with."""
    return hashlib.sha256(f"gridpact/benchmark/{what}".encode()).digest()


def secret(what: str) -> Scalar:
    """Return a scalar of the same kind."""
    return G.scalar(int.from_bytes(hashlib.sha512(what.encode()).digest(), "big"))


@dataclass(slots=True)
class Member:
    """One household: its keys, its session of the one window, and its notes.

    Args:
        index: on the street; its keys follow from it as in a devnet.
        chain_id: of the chain.
        joint_key: the auditors'.
        side: what its session does.
        import_wh, export_wh: what its meter reads in each quarter.
    """

    index: int
    chain_id: int
    joint_key: Point
    side: Side
    import_wh: int
    export_wh: int
    found: list[tuple[int, notes.FoundNote[Point]]] = field(default_factory=list)
    balance: openings.Opening = openings.NOTHING

    @property
    def account(self) -> bytes:
        """The household's account."""
        return account_address(derived_key(f"household {self.index}"))

    @property
    def meter(self) -> bytes:
        """Its meter's account."""
        return account_address(derived_key(f"meter {self.index}"))

    @property
    def secrets(self) -> tuple[Scalar, Scalar]:
        """Of ring key and trace key."""
        return secret(f"ring {self.index}"), secret(f"trace {self.index}")

    @property
    def session(self) -> LocalAccount:
        """The session's key."""
        account: LocalAccount = Account.from_key(random(f"session {self.index}"))
        return account

    @property
    def session_account(self) -> bytes:
        """The session's account."""
        return bytes.fromhex(self.session.address[2:])

    @property
    def stealth_secrets(self) -> tuple[Scalar, Scalar]:
        """Spending and viewing secret."""
        return secret(f"spending {self.index}"), secret(f"viewing {self.index}")

    @property
    def payee(self) -> stealth.MetaAddress[Point]:
        """Where its notes go."""
        return stealth.MetaAddress(*map(G.multiply_generator, self.stealth_secrets))

    # -- before the window

    def registration(self, from_window: int, box_keys: Sequence[bytes], threshold: int) -> bytes:
        """Return the calldata that registers it."""
        made = make_registration(
            MemberKeys(*self.secrets, BoxKey(random(f"relay {self.index}"))),
            self.stealth_secrets,
            chain_id=self.chain_id,
            account=self.account,
            from_window=from_window,
            threshold=threshold,
            box_keys=box_keys,
            endpoint=f"127.0.0.1:{20_000 + self.index}",
            randomness=random(f"registration {self.index}"),
        )
        return privacy_registry.register(from_window, made)

    def deposit(self, round_: int, amount: int) -> bytes:
        """Return the calldata that turns money into two notes of half the amount."""
        blinding = secret(f"deposit {self.index} {round_}")
        made, said = [], []
        for place, factor in enumerate((1, -1)):
            note, opening = self._note(amount // 2, f"deposit {round_} {place}", G.scalar(factor * blinding))
            made.append(note.to_bytes(G))
            said.append(opening)
        message = shielded_pool.deposit_message(self.chain_id, self.account, b"".join(made))
        points = tuple(commit(G, each.amount, each.blinding) for each in said)
        statement = range_proof.Statement(points, NOTE_BITS, message)
        pairs = [(each.amount, each.blinding) for each in said]
        proof = range_proof.prove(G, statement, pairs, random(f"deposit range {self.index} {round_}"))
        return shielded_pool.deposit(amount, b"".join(made), proof.to_bytes(G))

    def _note(self, amount: int, what: str, blinding: Scalar) -> tuple[notes.Note[Point], notes.Opening]:
        return notes.make_note(
            G,
            self.payee,
            amount,
            self.joint_key,
            lambda key: shielded_pool.note_message(self.chain_id, key),
            random(f"note {self.index} {what}"),
            blinding=blinding,
        )

    def scan(self, index: int, note: bytes) -> None:
        """Keep a published note, if it is this member's."""
        spending, viewing = self.stealth_secrets
        found = notes.scan(G, viewing, G.multiply_generator(spending), note)
        if found is not None:
            self.found.append((index, found))

    # -- the window

    def offer(self, window: int, tick: int, rows: Sequence[RingRow], root: bytes, height: int, budget: int) -> bytes:
        """Return the raw anonymous call that offers."""
        scope = scope_of(self.chain_id, PRIVACY_REGISTRY, PRIVATE_MARKET, window)
        nullifier, tag = call_images(scope, self.secrets)
        data = private_market.offer(
            window,
            nullifier,
            self.session_account,
            bytes(BoxKey(random(f"contact {self.index}")).public_key),
            self.side,
            tick if self.side is not Side.NONE else 0,
            private_market.budget_of(self._lock(window, budget)[0].to_bytes(G)),
            openings.consent(PrivateKey(random(f"session {self.index}")), self.chain_id, window, nullifier),
        )
        to = PRIVATE_MARKET
        call = AnonymousCall(self.chain_id, window, root, nullifier, tag, height + EXPIRY, OFFER_GAS, to, data)
        index = next(place for place, row in enumerate(rows) if row.account == self.account)
        return sign_call(call, PRIVACY_REGISTRY, rows, self.secrets, index, random(f"offer {self.index}"))

    def _lock(self, window: int, budget: int) -> tuple[notes.Hidden[Point], notes.Opening]:
        message = shielded_pool.lock_message(self.chain_id, self.session_account, window)
        return notes.make_lock(G, budget, self.joint_key, message, random(f"lock {self.index}"))

    def fund(self, window: int, budget: int, bins: dict[int, tuple[clsag.Member[Point], ...]], height: int) -> bytes:
        """Return the raw transfer that locks a budget for the session."""
        spent = [(index, note) for index, note in self.found if index // notes.BIN_NOTES in bins][:2]
        lock, lock_opening = self._lock(window, budget)
        change = sum(note.opening.amount for _, note in spent) - budget
        outputs = [
            self._note(amount, f"change {place}", secret(f"change {self.index} {place}"))
            for place, amount in enumerate((change, 0))
        ]
        opened = [*(opening for _, opening in outputs), lock_opening]
        total = G.scalar(sum(each.blinding for each in opened))
        pseudo = notes.balancing_blindings(G, total, 2, secret(f"pseudo {self.index}"), random(f"fund {self.index}"))
        spends, own = [], []
        for (index, note), blinding in zip(spent, pseudo, strict=True):
            key = stealth.spending_secret(G, self.stealth_secrets[1], self.stealth_secrets[0], note.output.ephemeral)
            goes_on = commit(G, note.opening.amount, blinding)
            number, place = divmod(index, notes.BIN_NOTES)
            spends.append(notes.Spend(number, clsag.key_image(G, key), goes_on))
            secrets = clsag.Secrets(key, G.scalar(note.opening.blinding - blinding))
            own.append(OwnSpend(bins[number], place, goes_on, secrets))
        data = shielded_pool.spend(
            notes.spends_to_bytes(G, spends),
            b"".join(note.to_bytes(G) for note, _ in outputs),
            lock.to_bytes(G),
            self.session_account,
            window,
        )
        transfer = ShieldedTransfer(self.chain_id, height + EXPIRY, FUND_GAS, SHIELDED_POOL, data)
        pairs = [(each.amount, each.blinding) for each in opened]
        self.balance = openings.budget(lock_opening)
        self.found = [row for row in self.found if row not in spent]
        return sign_transfer(transfer, own, pairs, random(f"transfer {self.index}"))

    def place(self, window: int) -> openings.Place:
        """Return where its proofs hold."""
        return openings.Place(self.chain_id, window, self.session_account, self.joint_key)

    def by_session(self, nonce: int, data: bytes, gas: int) -> str:
        """Return a transaction of the session to the market."""
        to = f"0x{PRIVATE_MARKET.hex()}"
        return sign(self.session, chain_id=self.chain_id, nonce=nonce, to=to, data=f"0x{data.hex()}", gas=gas)

    # -- delivery

    def attestation(self, quarter: int) -> bytes:
        """Return the calldata by which its meter attests a quarter."""
        rows = []
        for is_export, amount in ((False, self.import_wh), (True, self.export_wh)):
            gamma, rho = self._blindings(quarter, is_export=is_export)
            message = sealed_meters.seal_message(self.chain_id, self.meter, quarter, is_export=is_export)
            proof = prove_same_amount(G, self.joint_key, amount, rho, gamma, message, random(f"seal {self.index}"))
            sealed = encrypt(G, self.joint_key, amount, rho).to_bytes(G) + G.point_to_bytes(commit(G, amount, gamma))
            rows.append(sealed_meters.Sealed(sealed, proof.to_bytes(G)))
        return sealed_meters.attest(quarter, *rows)

    def _blindings(self, quarter: int, *, is_export: bool) -> tuple[Scalar, Scalar]:
        what = f"{self.index} {quarter} {is_export}"
        return secret(f"gamma {what}"), secret(f"rho {what}")

    def read(self, rows: tuple[Row, ...], quarters: range) -> openings.Member:
        """Return what it settles with."""
        key = G.point_to_bytes(G.multiply_generator(self.secrets[0]))
        index = next(place for place, row in enumerate(rows) if G.point_to_bytes(row[0]) == key)
        blindings = [
            G.scalar(sum(self._blindings(quarter, is_export=is_export)[0] for quarter in quarters))
            for is_export in (False, True)
        ]
        count = len(quarters)
        return openings.Member(
            self.secrets, index, rows, count * self.import_wh, count * self.export_wh, blindings[0], blindings[1]
        )


def rows_from(raw: bytes) -> tuple[Row, ...]:
    """Return a prepared window's rows: ring key, trace key, readings of each member."""

    def point(at: int) -> Point:
        encoded = raw[at : at + POINT_BYTES]
        return G.identity if encoded == bytes(POINT_BYTES) else G.point_from_bytes_checked(encoded)

    starts = range(0, len(raw), 3 * POINT_BYTES)
    return tuple((point(at), point(at + POINT_BYTES), point(at + 2 * POINT_BYTES)) for at in starts)
