"""A wallet over a node's JSON-RPC: it looks through the chain for its notes, and sends what the wallet signed.

Whatever spends a note is saved before it is sent, so that no second command takes the same note while the first
transfer may still come.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from eth_keys.datatypes import PrivateKey

from agents.chain import MAX_LOG_RANGE, POLL_S, Call, Chain, NodeError, Sender
from agents.client import WAIT_S, NodeClient, NotCommitted, Refused, Reverted, WrongChain, reason_of
from agents.wallet.keys import address_text, amount_text
from agents.wallet.store import WalletFile
from agents.wallet.wallet import Output, OwnedNote, Transfer, Wallet, Withdrawal
from contracts.bindings import fiat_token, sealed_meters, shielded_pool
from contracts.system import FIAT_TOKEN, SHIELDED_POOL
from privacy import range_proof
from privacy.commitment import commit
from privacy.group import Scalar
from privacy.notes import balancing_blindings
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress

PATIENCE_S = 10.0
SAVE_EVERY = 20  # parts of the chain
DEPOSIT_NOTES = 2
DEPOSIT_GAS = 2_000_000
APPROVE_GAS = 100_000
RANGE_BITS = 64
RANDOM_BYTES = 64
_G = SECP256K1

Progress = Callable[[int, int], None]
"""(heights looked at, heights there are)"""


@dataclass(frozen=True, slots=True)
class Served:
    """The chain that a node serves: its id, the hash of its genesis block (hexadecimal digits), the newest height."""

    chain_id: int
    genesis: str
    height: int


async def served_chain(chain: Chain) -> Served:
    """Return which chain a node serves.

    Raises:
        WrongChain: it is no node of a street with a shielded pool.
        NodeUnreachable: nobody answers.
    """
    told, block, code, height = await chain.try_batch(
        [
            ("eth_chainId", []),
            ("eth_getBlockByNumber", ["0x0", False]),
            ("eth_getCode", [f"0x{SHIELDED_POOL.hex()}", "latest"]),
            ("eth_blockNumber", []),
        ]
    )
    if not (isinstance(told, str) and isinstance(block, dict) and isinstance(code, str) and isinstance(height, str)):
        raise WrongChain(chain.url, "a gridpact node", "something else")
    if code == "0x":
        raise WrongChain(chain.url, "a street with a shielded pool", f"chain {int(told, 16)}, which has none")
    return Served(int(told, 16), str(block["hash"]), int(height, 16))


@asynccontextmanager
async def connected(url: str, file: WalletFile, wait_s: float = WAIT_S) -> AsyncIterator[WalletClient]:
    """Connect a wallet to a node.

    Args:
        url: http://HOST:PORT.
        file: the wallet's.
        wait_s: how long a receipt is waited for (wall seconds).

    Raises:
        WrongChain: it serves another chain than the wallet's.
        NodeUnreachable: nobody answers.
    """
    chain = Chain(url, patience_s=PATIENCE_S)
    try:
        found = await served_chain(chain)
        if (found.chain_id, found.genesis) != (file.wallet.chain_id, file.genesis):
            wanted = f"chain {file.wallet.chain_id} with genesis {file.genesis}"
            raise WrongChain(url, wanted, f"chain {found.chain_id} with genesis {found.genesis}")
        yield WalletClient(chain, file, wait_s)
    finally:
        await chain.close()


class WalletClient:
    """A wallet and a node; `connected` makes one."""

    def __init__(self, chain: Chain, file: WalletFile, wait_s: float) -> None:
        self._chain = chain
        self._file = file
        self._wait_s = wait_s

    @property
    def wallet(self) -> Wallet:
        """The wallet."""
        return self._file.wallet

    async def scan(self, progress: Progress = lambda done, all_: None) -> int:
        """Look through the heights that are new for what came and went; return how many notes came.

        What was looked at is saved, also if this is interrupted.
        """
        wallet, before = self.wallet, len(self.wallet.notes)
        newest = await self._chain.height()
        first = wallet.height + 1
        try:
            for part, start in enumerate(range(first, newest + 1, MAX_LOG_RANGE), start=1):
                end = min(newest, start + MAX_LOG_RANGE - 1)
                for logged in await self._chain.events([SHIELDED_POOL], start, end):
                    wallet.learn(logged.height, logged.event)
                wallet.height = end
                progress(end - first + 1, newest - first + 1)
                if part % SAVE_EVERY == 0:
                    self._file.save()
        finally:
            self._file.save()
        return len(wallet.notes) - before

    async def shield(self, key: PrivateKey, amount: int) -> int:
        """Turn money of an account into notes of the wallet; return the height.

        Args:
            key: the account's.
            amount: micro-euro.

        Raises:
            Refused: the account has less, or its notes fill up the bin; or the contract refuses.
            Reverted, NotCommitted: as `NodeClient.transact`.
        """
        account: bytes = key.public_key.to_canonical_address()
        what = f"shield {amount_text(amount)}"
        held, allowed, left = await self._chain.read(
            fiat_token.balance_of(account),
            fiat_token.allowance(account, SHIELDED_POOL),
            shielded_pool.deposits_left(account),
        )
        if held < amount:
            raise Refused(what, f"the account holds {amount_text(held)}")
        if left < DEPOSIT_NOTES:
            raise Refused(what, f"{DEPOSIT_NOTES - left} notes of the open bin are this account's: wait for the next")
        node = NodeClient(
            self._chain, self.wallet.chain_id, Sender(self._chain, key, self.wallet.chain_id), self._wait_s
        )
        if allowed < amount:
            approval = f"let the pool take money of 0x{account.hex()}"
            await node.transact(Call(FIAT_TOKEN, fiat_token.approve(SHIELDED_POOL), APPROVE_GAS, approval))
        part = secrets.randbelow(amount + 1)
        data, keys = deposit_call(self.wallet, account, (part, amount - part), await self._joint_key())
        self.wallet.memos |= dict.fromkeys(keys, f"shielded from 0x{account.hex()}")
        self._file.save()
        receipt = await node.transact(Call(SHIELDED_POOL, data, DEPOSIT_GAS, what))
        await self.scan()
        return receipt.height

    async def pay(self, recipient: MetaAddress[Point], amount: int) -> int:
        """Pay somebody; return the height.

        Raises:
            NotEnough: no two notes hold as much.
            Refused, Reverted, NotCommitted: as `NodeClient.transact`.
        """
        what = f"paid to {address_text(recipient)}"
        return await self._spend(amount, what, [Output(recipient, amount)], None)

    async def unshield(self, recipient: bytes, amount: int) -> int:
        """Turn notes into money of an account (20 bytes); return the height. Raises as `pay`."""
        what = f"unshielded to 0x{recipient.hex()}"
        return await self._spend(amount, what, [], Withdrawal(amount, recipient))

    async def _spend(self, amount: int, what: str, outputs: Sequence[Output], withdrawal: Withdrawal | None) -> int:
        spent = self.wallet.choose(amount)
        transfer = self.wallet.build_spend(
            spent,
            outputs,
            await self.bins_of(spent),
            joint_key=await self._joint_key(),
            randomness=secrets.token_bytes(RANDOM_BYTES),
            withdrawal=withdrawal,
        )
        self.wallet.reserve(transfer, what)
        self._file.save()
        try:
            await self._chain.request("eth_sendRawTransaction", f"0x{transfer.raw.hex()}")
        except NodeError as error:
            self._forget(transfer)
            raise Refused(what, reason_of(error)) from None
        height = await self._mined(transfer, what)
        await self.scan()
        return height

    async def bins_of(self, notes: Sequence[OwnedNote]) -> dict[int, bytes]:
        """Return the bins that notes are in, by number: 16 times key and commitment each."""
        numbers = sorted({note.bin_number for note in notes})
        found = await self._chain.read_all([shielded_pool.bin(number) for number in numbers])
        return dict(zip(numbers, found, strict=True))

    def _forget(self, transfer: Transfer) -> None:
        self.wallet.release(transfer)
        self._file.save()

    async def _mined(self, transfer: Transfer, what: str) -> int:
        transaction, until = f"0x{transfer.hash.hex()}", time.monotonic() + self._wait_s
        while True:
            receipt = await self._chain.request("eth_getTransactionReceipt", transaction)
            if isinstance(receipt, dict):
                height = int(receipt["blockNumber"], 16)
                if int(receipt["status"], 16) == 1:
                    return height
                self._forget(transfer)
                call = Call(SHIELDED_POOL, transfer.call.data, transfer.call.gas_limit, what)
                raise Reverted(what, height, await self._chain.explain(transfer.call.sender(), call))
            if time.monotonic() > until:
                raise NotCommitted(what, transaction, f"in no block after {self._wait_s:.0f} s: it may still be")
            await asyncio.sleep(POLL_S)

    async def _joint_key(self) -> bytes:
        """Return the key of the current window's auditors."""
        try:
            (now,) = await self._chain.read(shielded_pool.current_window())
            window = now.window
        except NodeError:  # before the first window
            window = 0
        (key,) = await self._chain.read(sealed_meters.joint_key_of(window))
        return key


def deposit_call(
    wallet: Wallet, account: bytes, pieces: Sequence[int], joint_key: bytes
) -> tuple[bytes, tuple[str, ...]]:
    """Return the calldata of a deposit, and the keys of its notes (hexadecimal digits).

    Args:
        wallet: whose notes they become.
        account: that pays (20 bytes).
        pieces: micro-euro in each note; a single one is known to everybody, two or more are not.
        joint_key: the auditors' of the current window (33 bytes).
    """
    randomness = secrets.token_bytes(RANDOM_BYTES)
    blindings = balancing_blindings(_G, Scalar(0), len(pieces), wallet.keys.viewing, randomness)
    made = [
        wallet.note(Output(wallet.keys.address, piece), joint_key, secrets.token_bytes(RANDOM_BYTES), blinding=blinding)
        for piece, blinding in zip(pieces, blindings, strict=True)
    ]
    notes = b"".join(note for note, _ in made)
    openings = [(opening.amount, opening.blinding) for _, opening in made]
    message = shielded_pool.deposit_message(wallet.chain_id, account, notes)
    statement = range_proof.Statement(tuple(commit(_G, *opening) for opening in openings), RANGE_BITS, message)
    proof = range_proof.prove(_G, statement, openings, secrets.token_bytes(RANDOM_BYTES)).to_bytes(_G)
    return shielded_pool.deposit(sum(pieces), notes, proof), tuple(note[: _G.point_bytes].hex() for note, _ in made)
