"""What is read of a node when somebody scrapes: where it stands, what waits, who is there, how much room is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from contracts.bindings.consortium import Member
from node.driver.driver import Driver
from node.mempool import Mempool
from node.mempool.dropped import Reason
from node.metrics.registry import Family, Labelled, Metrics, single
from node.p2p import Channel, PeerNetwork
from node.storage import Store

CHANNELS = {channel: channel.name.lower() for channel in Channel}


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of a node that are looked at, on the event loop.

    Args:
        node_key: ours (32 bytes).
        chain_id: as in EIP-155.
        wal: the write-ahead log's file.
        members: of the consortium, as of the committed head.
        chain_time_s: the chain clock.
        work_waiting_s: how long something executable has waited for the open height; 0 if nothing does.
        target_height: the highest certified height heard of while this node is behind it; else None.
        signer_away: why the process that holds the node key does not answer; empty if it does.
        follows: whether a member's RPC, which is followed, answers.
    """

    node_key: bytes
    chain_id: int
    wal: Path
    driver: Driver
    store: Store
    mempool: Mempool
    network: PeerNetwork
    members: Callable[[], Sequence[Member]]
    chain_time_s: Callable[[], int]
    work_waiting_s: Callable[[], float]
    target_height: Callable[[], int | None]
    signer_away: Callable[[], str]
    follows: Callable[[], bool]

    def up(self) -> frozenset[bytes]:
        """Return the node keys of the connected peers."""
        return frozenset(info.node_key for info in self.network.connected())

    def reachable(self) -> int:
        """Return how many validators of the open height can vote, as far as connections tell: us and our peers."""
        return sum(key in self.driver.validators for key in (*self.up(), self.node_key))


def watch_node(metrics: Metrics, node: Observed) -> None:
    """Add all families that are read of a node at scrape time."""
    for families in (_about, _consensus, _chain, _pool, _storage, _peers):
        metrics.read(families(node))


def _about(node: Observed) -> Sequence[Family]:
    about: Labelled = {(version("gridpact"), str(node.chain_id), "0x" + node.node_key.hex()): 1}
    labels = ("version", "chain_id", "node_key")
    return (Family("gridpact_node_info", "What runs, on which chain, as whom.", labels, lambda: about),)


def _consensus(node: Observed) -> Sequence[Family]:
    driver = node.driver
    return (
        single("gridpact_consensus_height", "The height that is being decided.", lambda: driver.height),
        single("gridpact_consensus_view", "The view of the open height.", lambda: driver.view),
        single("gridpact_consensus_epoch", "The epoch of the open height.", lambda: driver.validators.epoch),
        single("gridpact_consensus_validators", "Validators of the open height.", lambda: driver.validators.size),
        single("gridpact_consensus_quorum", "Votes that decide.", lambda: driver.validators.quorum),
        single(
            "gridpact_consensus_is_validator",
            "1 if this node is a validator of the open height.",
            lambda: node.node_key in driver.validators,
        ),
        single(
            "gridpact_consensus_is_leader",
            "1 if this node leads the open height and view.",
            lambda: driver.leader == node.node_key,
        ),
        single(
            "gridpact_consensus_abstaining",
            "1 while this node does not vote, because it may have forgotten votes of its own.",
            lambda: driver.abstaining,
        ),
        single(
            "gridpact_consensus_validators_reachable",
            "Validators that are connected, this node among them if it is one.",
            node.reachable,
        ),
        single(
            "gridpact_consensus_work_waiting_seconds",
            "How long something executable has waited for the open height; 0 if nothing does.",
            node.work_waiting_s,
        ),
    )


def _chain(node: Observed) -> Sequence[Family]:
    def heights() -> Labelled:
        with node.store.read() as view:
            height = view.head_height
            record = view.record(height)
        return {
            ("round",): height,
            ("contract",): record.contract_head.number,
            ("ledger",): record.ledger_head.number,
        }

    return (
        Family("gridpact_chain_height", "The newest block of each chain.", ("chain",), heights),
        single("gridpact_chain_time_seconds", "Chain time now, in seconds since 1970.", node.chain_time_s),
    )


def _pool(node: Observed) -> Sequence[Family]:
    pool = node.mempool
    return (
        single("gridpact_pool_pending", "Transactions that can be executed.", lambda: pool.pending),
        single("gridpact_pool_queued", "Transactions that cannot be executed yet.", lambda: pool.queued),
        single("gridpact_pool_bytes", "Bytes of all that wait.", lambda: pool.size),
        single("gridpact_pool_transactions_limit", "Transactions at most.", lambda: pool.limits.global_slots),
        single("gridpact_pool_bytes_limit", "Bytes at most.", lambda: pool.limits.global_bytes),
        single("gridpact_pool_fullest_room_ratio", "How full the fullest member's room is.", lambda: pool.fullest),
        Family(
            "gridpact_pool_dropped_total",
            "Transactions that left without being committed, and those of clients that were refused.",
            ("reason",),
            lambda: {(reason.value,): pool.departures.counts[reason] for reason in Reason},
        ),
    )


def _storage(node: Observed) -> Sequence[Family]:
    store, directory, wal = node.store, node.wal.parent, node.wal
    return (
        single("gridpact_storage_map_bytes", "How large the database may grow.", lambda: store.map_bytes),
        single("gridpact_storage_used_bytes", "Bytes of the database in use.", lambda: store.used_bytes),
        single("gridpact_storage_wal_bytes", "Size of the write-ahead log.", lambda: wal.stat().st_size),
        single(
            "gridpact_storage_disk_free_bytes",
            "Free bytes on the data directory's disk.",
            lambda: shutil.disk_usage(directory).free,
        ),
        single(
            "gridpact_storage_disk_bytes",
            "Size of the data directory's disk.",
            lambda: shutil.disk_usage(directory).total,
        ),
    )


def _peers(node: Observed) -> Sequence[Family]:
    network = node.network

    def by_member() -> Labelled:
        up = node.up()
        others = (member for member in node.members() if member.node_key != node.node_key)
        return {(member.name, "0x" + member.node_key.hex()): member.node_key in up for member in others}

    def traffic(amount: str) -> Callable[[], Labelled]:
        def read() -> Labelled:
            counted = network.traffic
            return {
                (name, direction): getattr(getattr(counted, direction)[channel], amount)
                for channel, name in CHANNELS.items()
                for direction in ("received", "sent")
            }

        return read

    labels = ("channel", "direction")
    return (
        single("gridpact_peers_connected", "Connected peers.", lambda: len(network.connected())),
        single("gridpact_peers_known", "Peers that this node trusts and dials or accepts.", lambda: network.known),
        Family("gridpact_peer_connected", "1 for a connected member, 0 for another.", ("name", "node_key"), by_member),
        Family("gridpact_p2p_messages_total", "Messages by channel and direction.", labels, traffic("messages")),
        Family("gridpact_p2p_bytes_total", "Payload bytes by channel and direction.", labels, traffic("bytes")),
        single(
            "gridpact_p2p_messages_dropped_total",
            "Messages that were not sent because a peer's queue was full.",
            lambda: network.traffic.dropped,
        ),
        single("gridpact_p2p_dials_failed_total", "Dials that failed.", lambda: network.traffic.failed_dials),
    )
