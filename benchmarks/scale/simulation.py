"""A run: so many validators on such lines, so many transactions a second, and what came of it."""

from __future__ import annotations

import random
import time as wall
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from unittest.mock import patch

from eth_hash.auto import keccak
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from benchmarks.scale.lines import Household, Time, transmit
from benchmarks.scale.validator import BODY_FORMAT, HASH_OF_BODY, Costs, Validator
from consensus.codec import Tag
from consensus.types import Domain, Epoch, ValidatorSet
from node.chain import rlp
from node.chain.transaction import decode_transaction
from node.driver import DriverConfig
from node.driver.compact_messages import CompactTag
from node.p2p.frames import Channel, decode_frame

CHAIN_ID = 2016
DOMAIN = Domain(CHAIN_ID, bytes(32))
EXECUTE_S = 0.000_3  # a transfer of tokens, executed and stored: the share of it in `make bench`
ROUNDS = 500


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Args:
        validators: how many.
        offered: transactions a second, arriving at random moments, each at a random validator.
        line_kbit_s: of every validator, up and down.
        latency_ms: one way, between any two.
        warm_up_s, measured_s: simulated time before, and of, the measurement.
        view_timeout_ms: the rule.
        slower: how many times slower than this one the households' machines are.
        one_origin: all transactions arrive at one validator.
    """

    validators: int
    offered: float
    line_kbit_s: int = 1_000
    latency_ms: int = 30
    warm_up_s: float = 10.0
    measured_s: float = 40.0
    view_timeout_ms: int = 4_000
    slower: float = 1.0
    one_origin: bool = False
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run gave; finality is from a client's submission to the commit at the validator that it submitted to."""

    setting: Setting
    committed_s: float
    finality_p50_s: float
    finality_p99_s: float
    heights: int
    bytes_a_height: int  # carried up by a validator, mean
    busiest_bytes_s: int  # the fullest line up
    signatures_a_height: int  # checked by a validator, mean
    processor: float  # share of time that the busiest processor was busy
    view_changes: int
    carried: dict[str, int]  # bytes by kind of message, all validators together
    wall_s: float
    handle_us: float


class _CountingKey:
    """Ed25519 keys that check each signature once and count how often they are asked."""

    count = 0

    def __init__(self, key: bytes) -> None:
        self._key = key

    def verify(self, message: bytes, signature: bytes) -> bytes:
        """Check a signature, or remember that it was checked."""
        _CountingKey.count += 1
        if not _holds(self._key, message, signature):
            raise BadSignatureError("signature was forged or corrupt")
        return message


@lru_cache(maxsize=100_000)
def _holds(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


@contextmanager
def counted_signatures() -> Iterator[None]:
    """Let consensus check signatures through `_CountingKey` meanwhile."""
    with patch("consensus.types.VerifyKey", _CountingKey):
        yield


def measure_costs(handle_s: float) -> Costs:
    """Measure on this machine what a signature and a transaction cost."""
    key = SigningKey(bytes(32))
    public, message = bytes(key.verify_key), bytes(113)
    signature = key.sign(message).signature
    raw = transaction(random.Random(0), 0)

    def each(act) -> float:  # type: ignore[no-untyped-def]
        begin = wall.perf_counter()
        for _ in range(ROUNDS):
            act()
        return (wall.perf_counter() - begin) / ROUNDS

    return Costs(
        verify_s=each(lambda: VerifyKey(public).verify(message, signature)),
        sign_s=each(lambda: key.sign(message)),
        admit_s=each(lambda: decode_transaction(raw, CHAIN_ID)),
        execute_s=EXECUTE_S,
        handle_s=handle_s,
    )


def transaction(rng: random.Random, number: int) -> bytes:
    """Return a transfer of tokens as it travels, of 170 to 180 bytes; whose signature it bears does not matter here."""
    data = b"\xa9\x05\x9c\xbb" + bytes(12) + rng.randbytes(20) + rng.randrange(1, 2**24).to_bytes(32, "big")
    fields = [CHAIN_ID, number, 0, 0, 60_000, rng.randbytes(20), 0, data, [], 1]
    return b"\x02" + rlp.encode([*fields, rng.randrange(1, 2**251), rng.randrange(1, 2**251)])


class Simulation:
    """A world of validators. It is what they see of it."""

    def __init__(self, setting: Setting, costs: Costs) -> None:
        self.time = Time()
        self.costs = costs.times(setting.slower)
        self._setting = setting
        self._random = random.Random(setting.seed)
        seeds = sorted((keccak(b"scale %d" % i) for i in range(setting.validators)), key=_public)
        self._keys = [_public(seed) for seed in seeds]
        validators = ValidatorSet(Epoch(0), tuple(self._keys))
        config = DriverConfig(
            DOMAIN,
            HASH_OF_BODY,
            view_timeout_ms=setting.view_timeout_ms,
            max_view_timeout_ms=max(30_000, setting.view_timeout_ms),
            body_format=BODY_FORMAT,
        )
        bytes_s = setting.line_kbit_s * 1000 / 8
        self.nodes = [
            Validator(self, index, seed, validators, config, Household(self.time, bytes_s))
            for index, seed in enumerate(seeds)
        ]
        self.carried: Counter[str] = Counter()
        self.wall_handling_s = 0.0
        self._submitted: dict[bytes, tuple[int, float]] = {}
        self._finality: list[tuple[float, float]] = []
        self._number = 0

    def carry(self, sender: Validator, receiver: int, channel: Channel, frame: bytes) -> None:
        """Carry a frame."""
        node, key = self.nodes[receiver], self._keys[sender.index]
        for kind, size in _shares(frame):
            self.carried[kind] += size
        transmit(
            self.time,
            self._setting.latency_ms / 1000,
            sender.line,
            node.line,
            len(frame),
            urgent=channel is Channel.CONSENSUS,
            arrive=lambda: node.receive(key, frame),
        )

    def verified(self) -> int:
        """Return how many signatures have been checked so far."""
        return _CountingKey.count

    def committed(self, validator: Validator, height: int, hashes: Sequence[bytes]) -> None:
        """Note when a client sees its transaction final."""
        for each in hashes:
            index, since_s = self._submitted[each]
            if index == validator.index:
                self._finality.append((self.time.now_s, self.time.now_s - since_s))

    def run(self) -> Figures:
        """Let the setting's time pass and return the figures."""
        setting, begin = self._setting, wall.perf_counter()
        for node in self.nodes:
            node.start()
        self._arrive()
        self.time.run(setting.warm_up_s)
        before = [(node.line.up.carried, node.height, node.busy_s) for node in self.nodes]
        signatures = _CountingKey.count
        self.carried.clear()
        self.time.run(setting.warm_up_s + setting.measured_s)
        heights = sum(node.height - height for node, (_, height, _) in zip(self.nodes, before, strict=True))
        up = [node.line.up.carried - carried for node, (carried, _, _) in zip(self.nodes, before, strict=True)]
        busy = [node.busy_s - seconds for node, (_, _, seconds) in zip(self.nodes, before, strict=True)]
        took = sorted(seconds for when, seconds in self._finality if when > setting.warm_up_s)
        wall_s = wall.perf_counter() - begin
        return Figures(
            setting=setting,
            committed_s=len(took) / setting.measured_s,
            finality_p50_s=took[len(took) // 2] if took else float("inf"),
            finality_p99_s=took[int(len(took) * 0.99)] if took else float("inf"),
            heights=heights // len(self.nodes),
            bytes_a_height=sum(up) // max(1, heights),
            busiest_bytes_s=int(max(up) / setting.measured_s),
            signatures_a_height=(_CountingKey.count - signatures) // max(1, heights),
            processor=max(busy) / setting.measured_s,
            view_changes=max(node.views for node in self.nodes),
            carried=dict(self.carried),
            wall_s=wall_s,
            handle_us=wall_s / max(1, sum(node.handled for node in self.nodes)) * 1e6,
        )

    def _arrive(self) -> None:
        """Let the next transaction come, and so on."""
        self.time.later(self._random.expovariate(self._setting.offered), self._submit)

    def _submit(self) -> None:
        self._number += 1
        raw = transaction(self._random, self._number)
        transaction_hash = BODY_FORMAT.hash_of_item(raw)
        index = 0 if self._setting.one_origin else self._random.randrange(len(self.nodes))
        self._submitted[transaction_hash] = (index, self.time.now_s)
        self.nodes[index].submit(transaction_hash, raw)
        self._arrive()


def simulate(setting: Setting, costs: Costs) -> Figures:
    """Run one setting."""
    with counted_signatures():
        return Simulation(setting, costs).run()


@lru_cache(maxsize=1024)
def _public(seed: bytes) -> bytes:
    return bytes(SigningKey(seed).verify_key)


@lru_cache(maxsize=4_096)
def _shares(frame: bytes) -> tuple[tuple[str, int], ...]:
    """Return kind and size of every message in a frame."""
    names = {**Tag.__members__, **CompactTag.__members__}
    by_number = {int(tag): name for name, tag in names.items()}
    return tuple(
        (by_number[payload[0]] if channel is Channel.CONSENSUS else "GOSSIP", len(payload))
        for channel, payload in decode_frame(frame)
    )
