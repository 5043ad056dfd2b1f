"""A household's private side: it registers, turns its money into notes, relays for others, and trades every window.

Each window has a session of its own that goes on beside the next ones until it is settled. What fails is noted and
tried again with the next window.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from secrets import token_bytes
from typing import Any

from eth_keys.datatypes import PrivateKey

from agents.chain import RETRY_S, Call, Chain, NodeError, Sender
from agents.devices.sealing import MeterSeal
from agents.home import Home, hexed
from agents.journal import NoTrade
from agents.private.chain_street import ChainStreet
from agents.private.mail import ENVELOPE_BYTES, MailAgent
from agents.private.member import MemberKeys, keys_behind, make_registration, member_keys, relay_key, relays_of
from agents.private.memory import WindowMemory
from agents.private.outbox import Outbox
from agents.private.packets import Relay
from agents.private.post import COVERS_OF_WINDOW, NoRelay, Post
from agents.private.relay import MAIL, RELAY, RelayAgent
from agents.private.scribe import EXPIRY_HEIGHTS, HouseholdScribe
from agents.private.session import open_session
from agents.private.window import Means, PrivateWindow
from agents.trading.plan import Trading, WindowPlan
from agents.wallet.client import DEPOSIT_GAS, WalletClient, deposit_call, served_chain
from agents.wallet.keys import SEED_BYTES
from agents.wallet.store import WalletFile, create_wallet_file, open_wallet_file
from contracts.bindings import erc20, fiat_token, privacy_registry, sealed_meters, shielded_pool
from contracts.bindings.abi import Event
from contracts.bindings.private_market import MIN_MEMBERS
from contracts.bindings.shielded_pool import BinClosed, NoteMade, Spent
from contracts.system import FIAT_TOKEN, PRIVACY_REGISTRY, SHIELDED_POOL
from privacy.transcript import Transcript

logger = logging.getLogger("gridpact.agents")

WALLET_NAME = "wallet.json"
REGISTER_GAS = 3_000_000
SETUP_GAS = 300_000
FIRST_NOTES = 8  # into which the first money is parted: two of them are spent for a session
LEAST_DEPOSIT_MICROEUR = 1_000_000  # what is less stays with the account
ROTATE_WINDOWS = 7 * 24  # a key that is stolen tells the windows in whose rings it was
LOOK_AGAIN_S = 300.0  # chain seconds
MIN_PAUSE_S = 1.0  # wall seconds


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the household lends to its private side.

    Args:
        home: what its agents share.
        chain: its node.
        sender: of its account.
        key: of its account.
        seal: its meter's secrets.
        directory: for the wallet's file.
        passphrase: of its key files.
        plan: what is wanted of a window, once its quarters so far are measured.
        readings: of a window by quarter: import and export in watt-hours.
        changed: returns at the next news of the chain, or after so many wall seconds.
        reply_timeout_s: how long to wait for an answer (chain seconds).
        trading: the limits of price, the same in all households of the street.
    """

    home: Home
    chain: Chain
    sender: Sender
    key: PrivateKey
    seal: MeterSeal
    directory: Path
    passphrase: bytes
    plan: Callable[[int], Awaitable[WindowPlan]]
    readings: Callable[[int], Mapping[int, tuple[int, int]]]
    changed: Callable[[float], Awaitable[None]]
    reply_timeout_s: int
    trading: Trading


class PrivateTrading:
    """The private side of one household.

    Args:
        around: what the household lends.
        memories: what its journal says of windows that are not closed.
    """

    def __init__(self, around: Surroundings, memories: dict[int, WindowMemory]) -> None:
        self._around = around
        self._home = home = around.home
        self._memories = {window: memory for window, memory in memories.items() if not memory.closed}
        self._relays: dict[bytes, Relay] = {}
        self._notes = asyncio.Event()
        self._piece_microeur = 0
        rng = SystemRandom()
        self._street = ChainStreet(around.chain)
        self._post = Post(home.account, lambda: self._relays, deliver=home.container.deliver, rng=rng)
        self._mail = home.container.register(
            MailAgent(home.account, lambda: self._relays, deliver=home.container.deliver, rng=rng), MAIL
        )
        home.container.register(
            RelayAgent(
                relay_key(around.key, home.chain_id),
                lambda: self._relays,
                deliver=home.container.deliver,
                submit=self._submit,
                pause=lambda chain_s: home.sleep_until(home.clock.now_s() + chain_s),
                rng=rng,
                envelope_bytes=ENVELOPE_BYTES,
            ),
            RELAY,
        )

    def learn(self, event: Event) -> None:
        """Take one event of the chain: of the private market, the sealed meters or the pool."""
        self._street.learn(event)
        if isinstance(event, NoteMade | Spent | BinClosed):
            self._notes.set()

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            AgentError: the node cannot be reached, or the wallet's file cannot be used.
        """
        around, home = self._around, self._home
        self._file = await self._open_wallet()
        self._wallet_client = WalletClient(around.chain, self._file, wait_s=0.0)
        scribe = HouseholdScribe(
            home, around.chain, self._keys, around.seal, self._file.wallet, around.readings, self._file.save
        )
        self._means = Means(
            home=home,
            street=self._street,
            scribe=scribe,
            post=self._post,
            outbox=Outbox(home, self._post, self._street, around.changed),
            mail=self._mail,
            changed=around.changed,
            reply_timeout_s=around.reply_timeout_s,
            trading=around.trading,
        )
        await self._wallet_client.scan()
        self._reserve_what_is_under_way()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._for_ever("wallet", self._wallet_step))
            tasks.create_task(self._for_ever("membership", self._member_step))
            tasks.create_task(self._for_ever("private trading", self._window_step))
            tasks.create_task(self._for_ever("cover", self._cover_step))
            for window in sorted(self._memories):
                if window != self._current() + 1:
                    tasks.create_task(self._live(window, trading=False))

    # -- steps, each again and again

    async def _wallet_step(self) -> None:
        """Look for notes whenever some were made or spent."""
        await self._notes.wait()
        self._notes.clear()
        await self._wallet_client.scan()

    async def _member_step(self) -> None:
        """Be registered, have the account's money in notes, and know the others' relays; if so, until the next window
        begins."""
        left_microeur = await self._deposit()
        await self._register()
        window = max(self._current(), -1) + 2
        (rows,) = await self._around.chain.read(privacy_registry.rows_of(window))
        accounts = [row.account for row in rows]
        members = await self._around.chain.read_all([privacy_registry.member_of(each) for each in accounts])
        self._relays = relays_of(list(zip(accounts, members, strict=True)))
        if self._home.account in self._relays and left_microeur < LEAST_DEPOSIT_MICROEUR:
            await self._home.sleep_until(self._home.windows.start_s(self._current() + 1))
        else:
            await asyncio.sleep(self._pause_s())

    async def _window_step(self) -> None:
        """Open the session of the next window, and sleep until the next one begins."""
        current, home = self._current(), self._home
        if current >= 0:
            (rows,) = await self._around.chain.read(privacy_registry.rows_of(current + 1))
            if len(rows) < MIN_MEMBERS:
                reason = f"a ring of {len(rows)}: expected {MIN_MEMBERS} members, or an offer would tell too much"
                home.write(NoTrade(window=current + 1, reason=reason))
            elif any(row.account == home.account for row in rows):
                self._tasks.create_task(self._live(current + 1, trading=True))
        await home.sleep_until(home.windows.start_s(current + 1))

    async def _cover_step(self) -> None:
        """Send the cover packets of a window, each at its own time."""
        home, post = self._home, self._post
        now_s, end_s = home.clock.now_s(), home.windows.start_s(max(self._current(), -1) + 1)
        for slot_s in sorted(post.slot(now_s, end_s) for _ in range(COVERS_OF_WINDOW)):
            await home.sleep_until(slot_s)
            try:
                await post.cover()
            except (NoRelay, ValueError):
                pass  # nothing is lost with it
        await home.sleep_until(end_s)

    async def _live(self, window: int, *, trading: bool) -> None:
        """Be a session, from what the journal has of it to its end."""
        home, memory = self._home, self._memories.setdefault(window, WindowMemory())
        session = PrivateWindow(self._means, open_session(self._around.key, home.chain_id, window), memory)
        if trading:
            try:
                async with asyncio.timeout(home.clock.wall_until_s(home.windows.start_s(window)) + MIN_PAUSE_S):
                    await session.trade(await self._around.plan(window))
            except Exception as error:  # a session goes on to its settlement
                logger.exception("trading window %s in private", window)
                home.problem(f"trade window {window}", f"{type(error).__name__}: {error}")
        while not memory.closed:
            try:
                await session.settle()
            except Exception as error:
                logger.exception("settling window %s in private", window)
                home.problem(f"settle window {window}", f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._pause_s())
        del self._memories[window]

    # -- what they take

    async def _register(self) -> None:
        """Register, if the chain does not have the household's keys and relay as they are; and anew when the keys are
        old, or their trace key is shared among others than the coming auditors."""
        around, home = self._around, self._home
        member, from_window = await around.chain.read(
            privacy_registry.member_of(home.account), privacy_registry.next_window()
        )
        endpoint = ":".join(map(str, home.container.addr))
        dealt_to, auditors = await around.chain.read_all(
            [sealed_meters.auditors_of(window) for window in (member.from_window, from_window)]
        )
        if member.keys and member.endpoint == endpoint and dealt_to == auditors:
            keys = member_keys(around.key, home.chain_id, member.from_window)
            ours = member.keys[: len(keys.ring_key)] == keys.ring_key
            if ours and from_window - member.from_window < ROTATE_WINDOWS:
                return
        (box_keys,) = await around.chain.read(privacy_registry.box_keys(from_window))
        wallet = self._file.wallet.keys
        registration = make_registration(
            member_keys(around.key, home.chain_id, from_window),
            (wallet.spending, wallet.viewing),
            chain_id=home.chain_id,
            account=home.account,
            from_window=from_window,
            threshold=auditors.threshold,
            box_keys=box_keys,
            endpoint=endpoint,
            randomness=token_bytes(32),
        )
        data = privacy_registry.register(from_window, registration)
        (pending,) = await around.sender.send([Call(PRIVACY_REGISTRY, data, REGISTER_GAS, "register as a member")])
        await pending.outcome

    async def _deposit(self) -> int:
        """Turn the account's money into notes, as many at a time as the pool takes; return what was left before."""
        around, home = self._around, self._home
        held, left, allowed = await around.chain.read(
            fiat_token.balance_of(home.account),
            shielded_pool.deposits_left(home.account),
            fiat_token.allowance(home.account, SHIELDED_POOL),
        )
        if held < LEAST_DEPOSIT_MICROEUR or not left:
            return held
        self._piece_microeur = self._piece_microeur or -(-held // FIRST_NOTES)
        pieces = [min(self._piece_microeur, held - at) for at in range(0, held, self._piece_microeur)][:left]
        (joint_key,) = await around.chain.read(sealed_meters.joint_key_of(max(self._current(), 0)))
        data, _ = deposit_call(self._file.wallet, home.account, pieces, joint_key)
        calls = [Call(SHIELDED_POOL, data, DEPOSIT_GAS, "turn money into notes")]
        if allowed < erc20.UNLIMITED // 2:
            approve = fiat_token.approve(SHIELDED_POOL)
            calls.insert(0, Call(FIAT_TOKEN, approve, SETUP_GAS, "let the pool take money"))
        sent = await around.sender.send(calls)
        await sent[-1].outcome
        return held

    async def _open_wallet(self) -> WalletFile:
        """Open the household's wallet; its seed follows from the account's key, so that nothing is lost with the
        file."""
        around, path = self._around, self._around.directory / WALLET_NAME
        if path.exists():
            return open_wallet_file(path, around.passphrase)
        said = Transcript("household-wallet")
        said.append("account key", around.key.to_bytes())
        seed = said.challenge_bytes("seed")[:SEED_BYTES]
        served = await served_chain(around.chain)
        return create_wallet_file(path, around.passphrase, seed, chain_id=served.chain_id, genesis=served.genesis)

    def _reserve_what_is_under_way(self) -> None:
        """Spend no note again that a transfer of before a restart may still spend."""
        wallet = self._file.wallet
        for memory in self._memories.values():
            sent = memory.sent.get("fund")
            for note in wallet.notes.values():
                if sent is not None and bytes.fromhex(note.image) in sent.transaction:
                    note.reserved_until = max(note.reserved_until, wallet.height + EXPIRY_HEIGHTS)

    async def _submit(self, transaction: bytes) -> None:
        try:
            await self._around.chain.request("eth_sendRawTransaction", hexed(transaction))
        except NodeError as error:
            logger.debug("a relayed transaction was refused: %s", error)  # its sender finds out by itself

    def _keys(self, window: int, ring_key: bytes) -> MemberKeys | None:
        return keys_behind(self._around.key, self._home.chain_id, window, ring_key)

    async def _for_ever(self, what: str, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:  # a household goes on without what failed, and says so
                logger.exception("%s failed", what)
                self._home.problem(what, f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_S)

    def _pause_s(self) -> float:
        clock = self._home.clock
        return max(clock.wall_until_s(clock.now_s() + LOOK_AGAIN_S), MIN_PAUSE_S)

    def _current(self) -> int:
        return self._home.windows.window_at(self._home.clock.now_s())
