"""The validator process: the asyncio shell around the synchronous driver.

Here, and only here, effects become sockets, timers and threads. Three things run: the event loop (driver, p2p, RPC,
mempool), one chain thread (build, execute, commit: one writer), and the RPC's readers.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from eth_hash.auto import keccak

from consensus.inputs import Timing
from consensus.messages import CertifiedBlock
from consensus.state import Stage
from consensus.types import Domain
from node.application import Application, BlockRefused, Replayed, make_block_0
from node.backend import ValidatorBackend
from node.budget import BlockBudget
from node.chain.assembly import hash_of_body, join_body, split_body
from node.clock import ChainClock, wall_ms
from node.config import CONFIG_NAME, DATABASE_NAME, SNAPSHOTS_NAME, WAL_NAME, NodeConfig, SignerAddress, load_config
from node.driver.compact import BodyFormat
from node.driver.driver import Driver, DriverConfig
from node.driver.events import (
    BuildProposal,
    CommitBlock,
    Committed,
    Effect,
    Event,
    Execute,
    Executed,
    ForwardWork,
    MessageReceived,
    PeerConnected,
    ProposalReady,
    Reject,
    ReportEvidence,
    TimerFired,
    WorkAvailable,
)
from node.epochs import keep_transitions
from node.evidence import Reporter
from node.execution import Loop, proofs
from node.genesis import Genesis, load_genesis
from node.heap import settle_heap
from node.keys import load_key, read_passphrase
from node.listeners import Listeners
from node.log import effective_levels, set_levels
from node.membership import Membership, membership
from node.mempool import Mempool
from node.metrics import (
    ConsensusMetrics,
    ExecutionMetrics,
    Metrics,
    Observed,
    PoolMetrics,
    TimedLog,
    watch_loop,
    watch_node,
)
from node.p2p import Channel, NetworkIdentity, PeerNetwork
from node.parsing import ConfigError
from node.ports import LoopClock, PeerTransport, StoreArchive
from node.restore import is_marked, open_log, unmark
from node.rpc.server import RpcServer
from node.rules import RuleBook
from node.signer.holder import KeyHolder, NodeSigner
from node.signer.remote import RemoteSigner, await_signer
from node.snapshot.shelf import Shelf, Snapshotter
from node.storage import Store
from node.sync.follower import Follower
from node.sync.target import target_height
from node.transactions import Transactions
from node.wallet import open_wallet

FORWARD_AFTER = 0.25  # of the view timeout: well before the view is given up
GIB = 1 << 30

log = logging.getLogger("node")
T = TypeVar("T")


class Validator:
    """One running validator; `backend` is what its RPC, and whoever runs it in its own process, asks of it.

    Args:
        config: where everything is.
        genesis: the checked genesis file.
        seed: the node key's Ed25519 seed; empty where a signer process holds it.

    A validator that misbehaves for a test has another `holder` of its key, or another `transport`.

    Raises:
        SignerAway: it is not there.
    """

    holder: ClassVar[type[KeyHolder]] = KeyHolder
    transport: ClassVar[type[PeerTransport]] = PeerTransport

    def __init__(self, config: NodeConfig, genesis: Genesis, seed: bytes) -> None:
        self._config = config
        self._genesis = genesis
        self._rule_book = RuleBook(genesis.content["rules"], genesis.chain_id, config.genesis)
        rules = self._rule_book.rules_at(0)
        wallet = open_wallet(config.directory / CONFIG_NAME, config.keystores, config.keystores_passphrase_file, rules)
        sealed = make_block_0(genesis, rules)
        domain = Domain(genesis.chain_id, sealed.header.hash)
        self._remote = RemoteSigner(config.key, domain) if isinstance(config.key, SignerAddress) else None
        signer: NodeSigner = self._remote or self.holder(seed, domain)
        self._domain = domain
        self._node_key = signer.node_key
        self._store = Store.open(
            config.directory / DATABASE_NAME,
            chain_id=genesis.chain_id,
            genesis_hash=domain.genesis_hash,
            map_bytes=config.map_size_gib * GIB,
            history_heights=config.history_heights,
        )
        if config.history_heights:
            keep_transitions(self._store)
        self._restored = is_marked(config.directory)
        self._wal = open_log(config.directory, domain.genesis_hash, signer.node_key, self._store)
        self._clock = ChainClock(genesis, lambda: wall_ms() + config.clock_offset_ms)
        self._metrics = Metrics()
        self._rounds = ConsensusMetrics(self._metrics, self._clock)
        self._executed = ExecutionMetrics(self._metrics)
        self._mempool = Mempool(config.pool)
        self._application = Application(self._store, self._rule_book, self._clock, self._mempool.get, Loop(config.loop))
        acting = self._application.validators()
        with self._store.read() as view:
            height = view.head_height + 1
            self._membership = membership(view, acting, signer.node_key)
        rules = self._rule_book.rules_at(height)
        self._network = PeerNetwork(
            NetworkIdentity(signer.node_key, signer.issue_leaf, genesis.chain_id, domain.genesis_hash),
            self._dialled(self._membership),
            config.p2p_listen,
            self._on_message,
            on_connect=self._on_connect,
        )
        journalled = config.pool.journal and not config.pool.no_locals
        self._transactions = Transactions(
            self._mempool,
            self._store,
            self._rule_book,
            self._network,
            validators=lambda: self._driver.validators.keys,
            node_key=self._node_key,
            journal=config.directory / config.pool.journal if journalled else None,
            metrics=PoolMetrics(self._metrics),
            on_work=self._on_work,
        )
        self._reporter = Reporter(signer.reporter, signer.report, self._transactions.report)
        self._budget = BlockBudget()
        self._timers = LoopClock(lambda timer: self._handle(TimerFired(timer)))
        self._driver = Driver(
            DriverConfig(
                domain,
                hash_of_body,
                max_body_bytes=rules.max_block_bytes,
                view_timeout_ms=rules.view_timeout_ms,
                max_view_timeout_ms=rules.max_view_timeout_ms,
                heartbeat_ms=config.heartbeat_ms,
                body_format=BodyFormat(split_body, join_body, keccak),
            ),
            height=height,
            validators=acting,
            clock=self._timers,
            transport=self.transport(self._network),
            log=TimedLog(self._metrics, self._wal),
            signer=signer,
            archive=StoreArchive(self._store),
            restored=self._restored,
            source=self._transactions.raw,
            watch=self._rounds.observe,
        )
        self._follower = Follower(config.sync_urls, self) if config.sync_urls else None
        observed = self._observe()
        watch_node(self._metrics, observed)
        self._heads: Listeners[int] = Listeners()
        shelf = Shelf(config.directory / SNAPSHOTS_NAME)
        self._snapshotter = Snapshotter(self._store, shelf, config.snapshot_every_heights)
        self._heads.add(self._snapshotter.on_head)
        self.backend = ValidatorBackend(
            store=self._store,
            loop=Loop(config.loop),
            rule_book=self._rule_book,
            mempool=self._mempool,
            wallet=wallet,
            genesis=genesis.content,
            node=observed,
            clock=self._clock,
            reporter=self._reporter,
            transactions=self._transactions,
            heads=self._heads,
        )
        rpc_config = replace(config.rpc, metrics_listen=config.metrics_listen)
        self._rpc = RpcServer(self.backend, rpc_config, shelf=shelf, metrics=self._metrics)
        self._chain_thread = ThreadPoolExecutor(1, thread_name_prefix="chain")
        self._tasks: set[asyncio.Task[None]] = set()
        self._replayed: dict[int, Replayed] = {}  # committed, the driver does not know it yet
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    # -- life

    async def run(self) -> None:
        """Serve until `stop` is called.

        Raises:
            GridpactError: a port is taken, or the node had to stop because it could not go on safely.
        """
        following: asyncio.Task[None] | None = None
        watching = asyncio.create_task(watch_loop(self._metrics))
        try:
            self._chain_thread.submit(proofs.warm)
            await self._listen()
            log.info("validator runs", extra={"node_key": self._node_key, "height": self._driver.height})
            if self._driver.warning is not None:
                log.warning(self._driver.warning)
            if self._restored:
                log.warning("older data were put back, or the log was lost: this node abstains until that is safe")
            if not self._membership.trusted:
                log.warning("this node's key is no member's: it follows, without a vote")
            if self._remote is not None:
                self._remote.keep(lambda: self._drive(self._driver.retry))
            self._do(self._driver.start())
            if self._membership.pending:
                self._on_work()
            self._transactions.start()
            following = self._follow()
            await self._stop.wait()
        finally:
            watching.cancel()
            if following is not None:
                following.cancel()
            await self._close()
        if self._failure is not None:
            raise self._failure

    async def _listen(self) -> None:
        host, port = self._config.p2p_listen
        try:
            await self._network.start()
        except OSError as error:
            raise ConfigError(
                self._config.directory / "node.toml", "p2p.listen", f"a free port at {host}:{port} ({error.strerror})"
            ) from None
        await self._rpc.start()

    def stop(self, failure: BaseException | None = None) -> None:
        """End the process; `failure` is why it could not go on, if it could not."""
        self._failure = self._failure or failure
        self._stop.set()

    async def _close(self) -> None:
        log.info("stopping", extra={"height": self._driver.height})
        self._timers.close()
        await self._rpc.close()
        await self._transactions.close()
        await self._network.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._chain_thread.shutdown(wait=True)
        self._snapshotter.close()
        if self._remote is not None:
            await self._remote.close()
        self._wal.close()
        self._store.close()

    # -- driver

    def _handle(self, event: Event) -> None:
        self._drive(lambda: self._driver.handle(event))

    def _drive(self, act: Callable[[], list[Effect]]) -> None:
        if self._stop.is_set():
            return
        try:
            effects = act()
        except Exception as error:  # the log cannot be written, or we are wrong: nothing may be sent any more
            log.critical("cannot go on", exc_info=error)
            self.stop(error)
            return
        self._do(effects)

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case BuildProposal():
                    self._spawn(self._build(effect))
                case Execute():
                    self._spawn(self._execute(effect))
                case CommitBlock():
                    self._spawn(self._commit(effect))
                case ForwardWork():
                    # Gossip has told the leader of it already, unless a transaction got lost: then it does not propose.
                    delay_s = FORWARD_AFTER * self._rule_book.rules_at(self._driver.height).view_timeout_ms / 1000
                    position = (self._driver.height, self._driver.view)
                    asyncio.get_running_loop().call_later(delay_s, self._remind, position)
                case ReportEvidence():
                    self._rounds.equivocations.inc()
                    self._reporter.found(effect, self._driver.height, self._driver.validators, self._node_key)
                case Reject(sender, reason):
                    self._rounds.rejected_messages.inc()
                    self._network.complain(sender.hex()[:16], reason)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.critical("cannot go on", exc_info=task.exception())
            self.stop(task.exception())

    async def _in_chain_thread(self, stage: str, work: Callable[[], T]) -> T:
        timed = self._executed.timed(stage, work)
        return await asyncio.get_running_loop().run_in_executor(self._chain_thread, timed)

    async def _build(self, effect: BuildProposal) -> None:
        candidates = self._transactions.candidates()[: self._budget.transactions]
        try:
            built = await self._in_chain_thread("build", lambda: self._application.build(effect.height, candidates))
        except BlockRefused:
            return  # the head has moved on meanwhile; nobody waits for this proposal any more
        self._transactions.drop(built.left_out)
        self._handle(ProposalReady(effect.height, effect.view, built.sealed.header.hash, built.body))

    async def _execute(self, effect: Execute) -> None:
        reason = ""
        try:
            await self._in_chain_thread("execute", lambda: self._application.execute(effect.body, voting=True))
        except BlockRefused as error:
            reason = error.reason
            log.warning("invalid proposal", extra={"height": effect.height, "view": effect.view, "reason": reason})
        self._handle(Executed(effect.height, effect.view, effect.block_hash, not reason, reason))

    async def _commit(self, effect: CommitBlock) -> None:
        done = self._replayed.pop(effect.height, None)
        if done is None:
            done = await self._replay(effect)
        # Between heights that were committed together the driver goes straight on: only the last of them is the head.
        work = False
        if not self._replayed:
            with self._store.read() as view:
                self._follow_members(membership(view, done.validators, self._node_key))
                self._reporter.on_head(effect.height, view.state)
                work = self._membership.pending
                work |= self._transactions.has_work(view)
        header = done.prepared.sealed.header
        log.info(
            "committed",
            extra={
                "height": effect.height,
                "view": effect.certificate.view,
                "transactions": len(done.prepared.transactions),
                "gas": header.gas_used,
                "hash": effect.block_hash,
                "round_ms": self._rounds.committing(header.timestamp),
            },
        )
        self._executed.committed(done.prepared.transactions, header.gas_used)
        self._budget.committed(
            time.monotonic(),
            transactions=len(done.prepared.transactions),
            view=effect.certificate.view,
            work=work,
            view_timeout_s=self._rule_book.rules_at(effect.height).view_timeout_ms / 1000,
        )
        rules = self._rule_book.rules_at(effect.height + 1)
        timing = Timing(rules.view_timeout_ms, rules.max_view_timeout_ms)
        self._handle(Committed(effect.height, effect.block_hash, done.validators, work, timing))
        if self._restored and not self._driver.abstaining:
            self._restored = False
            unmark(self._config.directory)
            log.info(
                "votes again: it knows by now what it voted before it was restored", extra={"height": effect.height}
            )
        self._heads.tell(effect.height)

    async def _replay(self, effect: CommitBlock) -> Replayed:
        """Commit a block, and with it those at hand that follow: a node that catches up waits for the disk once."""
        blocks = [CertifiedBlock(effect.body, effect.certificate), *self._driver.fetched]
        first, *others = await self._in_chain_thread("commit", lambda: self._application.replay(blocks, self._domain))
        self._replayed = {each.prepared.sealed.header.number: each for each in others}
        with self._store.read() as view:
            done = [tx for each in (first, *others) for tx in each.prepared.transactions]
            self._transactions.committed(done, view)
        return first

    def _follow_members(self, now: Membership) -> None:
        """Trust those who belong over the new head: who has left is hung up on, who has come is dialled."""
        before, self._membership = self._membership, now
        if now.trusted != before.trusted:
            self._spawn(self._network.update_members(self._dialled(now)))

    def _dialled(self, belonging: Membership) -> dict[bytes, tuple[str, int]]:
        """Return where those who are trusted are reached: where they say, unless they are behind a forward."""
        return {key: self._config.p2p_dial.get(key, endpoint) for key, endpoint in belonging.trusted.items()}

    def _remind(self, position: tuple[int, int]) -> None:
        """Tell the leader what waits, if since then it has not proposed."""
        idle = (self._driver.height, self._driver.view) == position and self._driver.stage is Stage.WAITING
        if idle and not self._stop.is_set():
            self._transactions.remind(self._driver.leader)

    # -- peers

    def _on_message(self, node_key: bytes, channel: Channel, payload: bytes) -> None:
        if channel is Channel.CONSENSUS:
            self._handle(MessageReceived(node_key, payload))
            return
        self._transactions.receive(node_key, payload)

    def _on_work(self) -> None:
        self._budget.work(time.monotonic())
        self._handle(WorkAvailable())

    def _on_connect(self, node_key: bytes) -> None:
        self._handle(PeerConnected(node_key))
        self._transactions.greet(node_key)

    # -- following by RPC (Chain)

    def _follow(self) -> asyncio.Task[None] | None:
        if self._follower is None:
            return None
        self._heads.add(self._follower.on_head)
        task = asyncio.create_task(self._follower.run())
        task.add_done_callback(self._finished)
        return task

    @property
    def next_height(self) -> int:
        """The height that is decided next."""
        return self._driver.height

    @property
    def follows(self) -> bool:
        """Whether blocks come by RPC: to a node that is no validator, or has no peer to ask."""
        return self._node_key not in self._driver.validators or not self._network.connected()

    def offer(self, payload: bytes) -> bool:
        """Hand over an encoded certified block; return whether the height that was open has its block."""
        height = self._driver.height
        self._handle(MessageReceived(self._node_key, payload))
        return self._driver.height > height or self._driver.stage is Stage.DECIDED

    def _observe(self) -> Observed:
        return Observed(
            node_key=self._node_key,
            chain_id=self._genesis.chain_id,
            wal=self._config.directory / WAL_NAME,
            driver=self._driver,
            store=self._store,
            mempool=self._mempool,
            network=self._network,
            members=lambda: self._membership.members,
            chain_time_s=self._clock.now_s,
            work_waiting_s=lambda: self._budget.waited_s(time.monotonic()),
            signer_away=lambda: self._remote.away if self._remote is not None else "",
            target_height=lambda: target_height(self._driver, self._follower),
            follows=lambda: self._follower is not None and self._follower.answered,
        )


def reload_levels(path: Path) -> None:
    """Take the levels of the log from a node.toml; one that cannot be read changes nothing."""
    try:
        config = load_config(path)
    except ConfigError as error:
        log.warning("the levels of the log stay as they are", extra={"reason": str(error)})
        return
    set_levels(config.log_level, config.log_levels)
    log.info("levels of the log", extra=effective_levels())


async def serve(config: NodeConfig, kind: type[Validator] = Validator) -> None:
    """Run a validator until SIGINT or SIGTERM; SIGHUP takes the levels of the log from its node.toml again.

    Raises:
        GridpactError: what a person has to put right before it can run.
    """
    genesis = load_genesis(config.genesis)
    if isinstance(config.key, SignerAddress):
        await await_signer(config.key.socket)
    seed = load_key(config.key, read_passphrase(config.passphrase_file)) if isinstance(config.key, Path) else b""
    validator = kind(config, genesis, seed)
    settle_heap()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, validator.stop)
    loop.add_signal_handler(signal.SIGHUP, reload_levels, config.directory / CONFIG_NAME)
    await validator.run()
