"""One simulated validator: the real driver, gossip and encodings; a pool without state, a processor with one core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Protocol

from eth_hash.auto import keccak

from benchmarks.scale.lines import Household, Time
from consensus.inputs import Timer, TimerKind
from consensus.state import Stage
from consensus.types import Height, ValidatorSet
from node.budget import BlockBudget
from node.chain.assembly import encode_body, hash_of_body, join_body, split_body
from node.chain.header import EMPTY_LIST_ROOT, MIX_HASH, NO_COINBASE, NONCE, OMMERS_HASH, REQUESTS_HASH, Header
from node.driver import (
    BuildProposal,
    CommitBlock,
    Committed,
    Driver,
    DriverConfig,
    Effect,
    Event,
    Execute,
    Executed,
    ForwardWork,
    LocalSigner,
    MessageReceived,
    PeerConnected,
    ProposalReady,
    TimerFired,
    WorkAvailable,
)
from node.driver.compact import BodyFormat
from node.gossip import Gossip
from node.p2p.frames import Channel, decode_frame, encode_frame
from node.service import FORWARD_AFTER
from node.state.trie import list_root

BODY_FORMAT = BodyFormat(lru_cache(maxsize=64)(split_body), join_body, lru_cache(maxsize=65_536)(keccak))
HASH_OF_BODY = lru_cache(maxsize=64)(hash_of_body)  # every node would compute it: charged, but done once
FIRST_PARENT = bytes(32)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a machine needs, in seconds: for a signature of a vote, for a transaction, for a message."""

    verify_s: float
    sign_s: float
    admit_s: float  # decode a transaction and recover its sender
    execute_s: float  # execute it and store what it changed
    handle_s: float  # a message beside its signatures

    def times(self, slower: float) -> Costs:
        """Return the costs on a machine that is so many times slower."""
        names = ("verify_s", "sign_s", "admit_s", "execute_s", "handle_s")
        return replace(self, **{name: slower * getattr(self, name) for name in names})


class World(Protocol):
    """What a validator needs of the simulation."""

    time: Time
    costs: Costs

    def carry(self, sender: Validator, receiver: int, channel: Channel, frame: bytes) -> None:
        """Carry a frame to another validator."""

    def verified(self) -> int:
        """Return how many signatures have been checked, by all validators together."""

    def committed(self, validator: Validator, height: int, hashes: Sequence[bytes]) -> None:
        """A validator has committed a block of these transactions."""


class Validator:
    """A node of the simulation. It implements the ports of its driver and the network of its gossip."""

    def __init__(
        self, world: World, index: int, seed: bytes, validators: ValidatorSet, config: DriverConfig, line: Household
    ) -> None:
        self.index = index
        self.line = line
        self.pool: dict[bytes, bytes] = {}
        self.done: set[bytes] = set()
        self.head = FIRST_PARENT
        self.height = 0
        self.views = 0  # heights that were not decided in their first view
        self.handled = 0
        self.busy_s = 0.0
        self._world = world
        self._time = world.time
        self._places = {key: place for place, key in enumerate(validators.keys)}
        self._validators = validators
        self._free_s = 0.0
        self._jobs: deque[Callable[[], float | None]] = deque()
        self._timers: dict[TimerKind, int] = {}
        self._timer_number = 0
        self._outbox: dict[tuple[Channel, int], list[bytes]] = {}
        self._config = config
        self.budget = BlockBudget()
        own = validators.keys[index]
        self.gossip = Gossip(
            self, self.pool.get, lambda: validators.keys, own, later=self._later, now=lambda: self._time.now_s
        )
        self.driver = Driver(
            config,
            height=1,
            validators=validators,
            clock=self,
            transport=_ConsensusTransport(self),
            log=_NoLog(),
            signer=LocalSigner(seed, config.domain),
            archive=_NoArchive(),
            source=self.pool.get,
        )

    # -- what happens to it

    def start(self) -> None:
        """Begin, connected to all."""
        self._compute(lambda: self._do(self.driver.start()))
        for key, place in self._places.items():
            if place != self.index:
                self._compute(partial(self._handle, PeerConnected(key)))

    def submit(self, transaction_hash: bytes, raw: bytes) -> None:
        """A client sends a transaction."""
        self._compute(lambda: self._take_own(transaction_hash, raw))

    def receive(self, sender: bytes, frame: bytes) -> None:
        """A frame has arrived."""
        self._compute(lambda: self._on_frame(sender, frame))

    def _handle(self, event: Event) -> None:
        self._do(self.driver.handle(event))

    def _take_own(self, transaction_hash: bytes, raw: bytes) -> float:
        self.pool[transaction_hash] = raw
        self.gossip.publish(transaction_hash, raw)
        self._on_work()
        return self._world.costs.admit_s

    def _on_frame(self, sender: bytes, frame: bytes) -> float:
        cost_s = 0.0
        for channel, payload in decode_frame(frame):
            cost_s += self._world.costs.handle_s
            self.handled += 1
            if channel is Channel.CONSENSUS:
                self._do(self.driver.handle(MessageReceived(sender, payload)))
                continue
            parcel = self.gossip.receive(sender, payload)
            taken = []
            for raw in parcel.raws:
                transaction_hash = BODY_FORMAT.hash_of_item(raw)
                if transaction_hash not in self.done and transaction_hash not in self.pool:
                    self.pool[transaction_hash] = raw
                    taken.append(raw)
            self.gossip.pass_on(taken, parcel.onward)
            if taken:
                cost_s += len(taken) * self._world.costs.admit_s
                self._on_work()
        return cost_s

    def _on_work(self) -> None:
        self.budget.work(self._time.now_s)
        self._do(self.driver.handle(WorkAvailable()))

    # -- its processor: one thing after the other; what it sends leaves when the thing is done

    def _compute(self, work: Callable[[], float | None]) -> None:
        self._jobs.append(work)
        if len(self._jobs) == 1:
            self._time.at(max(self._time.now_s, self._free_s), self._next_job)

    def _next_job(self) -> None:
        signatures = self._world.verified()
        cost_s = self._jobs[0]() or 0.0
        self._jobs.popleft()
        cost_s += (self._world.verified() - signatures) * self._world.costs.verify_s
        self.busy_s += cost_s
        self._free_s = self._time.now_s + cost_s
        outbox, self._outbox = self._outbox, {}
        if outbox:
            self._time.at(self._free_s, lambda: self._leave(outbox))
        if self._jobs:
            self._time.at(self._free_s, self._next_job)

    def _leave(self, outbox: dict[tuple[Channel, int], list[bytes]]) -> None:
        """What one event sends to one validator on one channel shares a frame; consensus goes first."""
        frames: dict[tuple[bytes, ...], bytes] = {}
        for (channel, place), payloads in sorted(outbox.items()):
            key = tuple(payloads)
            if key not in frames:
                frames[key] = encode_frame([(channel, payload) for payload in payloads])
            self._world.carry(self, place, channel, frames[key])

    # -- ports

    def send(self, node_key: bytes, channel: Channel, payload: bytes) -> bool:
        """Gossip's network: send to one."""
        self._outbox.setdefault((channel, self._places[node_key]), []).append(payload)
        return True

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Gossip's network: send to all."""
        for key, place in self._places.items():
            if place != self.index:
                self.send(key, channel, payload)

    def schedule(self, timer: Timer, delay_ms: int) -> None:
        """Clock: start a timer."""
        self._timer_number += 1
        number = self._timers[timer.kind] = self._timer_number

        def fire() -> None:
            if self._timers.get(timer.kind) == number:
                del self._timers[timer.kind]
                self._compute(partial(self._handle, TimerFired(timer)))

        self._time.later(delay_ms / 1000, fire)

    def cancel(self, kind: TimerKind) -> None:
        """Clock: stop a timer."""
        self._timers.pop(kind, None)

    def _later(self, delay_s: float, act: Callable[[], None]) -> _Never:
        self._time.later(delay_s, lambda: self._compute(act))
        return _Never()

    # -- effects

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case BuildProposal():
                    self._compute(partial(self._build, effect))
                case Execute():
                    self._compute(partial(self._execute, effect))
                case CommitBlock():
                    self._compute(partial(self._commit, effect))
                case ForwardWork():
                    position = (self.driver.height, self.driver.view)
                    delay_s = FORWARD_AFTER * self._config.view_timeout_ms / 1000
                    self._later(delay_s, partial(self._remind, position))

    def _remind(self, position: tuple[Height, int]) -> None:
        if (self.driver.height, self.driver.view) == position and self.driver.stage is Stage.WAITING:
            self.gossip.announce(self.driver.leader, self.pool)

    def _build(self, effect: BuildProposal) -> float:
        raws = list(self.pool.values())[: self.budget.transactions]
        body = encode_body(self._header(effect.height, raws), raws)
        event: Event = ProposalReady(effect.height, effect.view, HASH_OF_BODY(body) or b"", body)
        cost_s = len(raws) * self._world.costs.execute_s + 2 * self._world.costs.sign_s
        self._answer(event, cost_s)
        return cost_s

    def _execute(self, effect: Execute) -> float:
        raws = (BODY_FORMAT.split(effect.body) or (b"", ()))[1]
        cost_s = len(raws) * self._world.costs.execute_s + 2 * self._world.costs.sign_s
        self._answer(Executed(effect.height, effect.view, effect.block_hash, True), cost_s)
        return cost_s

    def _commit(self, effect: CommitBlock) -> None:
        raws = (BODY_FORMAT.split(effect.body) or (b"", ()))[1]
        hashes = [BODY_FORMAT.hash_of_item(raw) for raw in raws]
        for each in hashes:
            self.pool.pop(each, None)
        self.done.update(hashes)
        self.head, self.height = effect.block_hash, effect.height
        self.views += effect.certificate.view > 0
        self.budget.committed(
            self._time.now_s,
            transactions=len(hashes),
            view=effect.certificate.view,
            work=bool(self.pool),
            view_timeout_s=self._config.view_timeout_ms / 1000,
        )
        self._world.committed(self, effect.height, hashes)
        self._do(self.driver.handle(Committed(effect.height, effect.block_hash, self._validators, bool(self.pool))))

    def _answer(self, event: Event, delay_s: float) -> None:
        """Hand the driver an event when the time that it took is over."""
        self._time.later(delay_s, lambda: self._compute(partial(self._handle, event)))

    def _header(self, height: int, raws: Sequence[bytes]) -> Header:
        return Header(
            parent_hash=self.head,
            ommers_hash=OMMERS_HASH,
            coinbase=NO_COINBASE,
            state_root=keccak(b"state" + self.head),
            transactions_root=list_root(raws),
            receipts_root=keccak(b"receipts" + self.head),
            bloom=keccak(self.head) * 8,
            difficulty=0,
            number=height,
            gas_limit=10_000_000,
            gas_used=50_000 * len(raws),
            timestamp=1_800_000_000 + int(self._time.now_s),
            extra_data=keccak(b"record" + self.head),
            mix_hash=MIX_HASH,
            nonce=NONCE,
            base_fee_per_gas=0,
            withdrawals_root=EMPTY_LIST_ROOT,
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_root=bytes(32),
            requests_hash=REQUESTS_HASH,
        )


class _ConsensusTransport:
    """The driver's transport over the outbox."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def send(self, node_key: bytes, payload: bytes) -> None:
        """Send to one validator."""
        self._validator.send(node_key, Channel.CONSENSUS, payload)

    def broadcast(self, payload: bytes) -> None:
        """Send to all others."""
        self._validator.broadcast(Channel.CONSENSUS, payload)


class _NoLog:
    """Nothing is lost in this simulation, so nothing is written down."""

    def records(self) -> Sequence[bytes]:
        """Return nothing."""
        return ()

    def append(self, batch: Sequence[bytes]) -> None:
        """Forget a batch."""

    def clear(self) -> None:
        """Do nothing."""


class _NoArchive:
    """Nobody lags so far behind that it must be sent committed blocks."""

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return nothing."""
        return None


class _Never:
    """Gossip cancels only when it closes, and here it never does."""

    def cancel(self) -> None:
        """Do nothing."""
