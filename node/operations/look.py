"""A running node seen from outside: what it says of itself and of its peers over RPC."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from node.client import NodeClient, NodeUnanswered

NAMESPACES = ("grid", "eth", "web3")  # that looking asks for


@dataclass(frozen=True, slots=True)
class PeerRow:
    """Another member, as a node sees it: `height` and `behind` (blocks behind that node) are None if it told none."""

    name: str
    node_key: str
    endpoint: str
    connected: bool
    height: int | None
    behind: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """How a node is doing; `target` is the height that it catches up to, None if it is not behind."""

    rpc: str
    client: str
    chain_id: int
    node_key: str
    height: int
    hash: str
    timestamp: int
    chain_time: int
    view: int
    epoch: int
    contract_height: int
    ledger_height: int
    target: int | None
    validates: bool
    validators: int
    peers: int
    connected: int
    pool: int

    def lines(self) -> list[str]:
        """Return what to print."""
        late = self.chain_time - self.timestamp
        catching = "in step" if self.target is None else f"catching up to {self.target}"
        role = f"one of {self.validators} validators" if self.validates else f"follows {self.validators} validators"
        return [
            f"{self.client} at {self.rpc}",
            f"chain      {self.chain_id}, {role}, node key {self.node_key}",
            f"head       {self.height} {self.hash}, {late} s of chain time ago; {catching}",
            f"chains     contract {self.contract_height}, ledger {self.ledger_height}",
            f"consensus  epoch {self.epoch}, height {self.height + 1}, view {self.view}",
            f"peers      {self.connected} of {self.peers} connected",
            f"pool       {self.pool} transactions",
        ]


def look(client: NodeClient) -> tuple[Status, list[PeerRow]]:
    """Return how a node and its peers are doing.

    Raises:
        NodeError: it does not answer, or not as a gridpact node does.
    """
    told = client.ask("grid_status")
    try:
        return _status(client, told), _peers(told)
    except (KeyError, TypeError, ValueError) as error:
        raise NodeUnanswered(client.url, f"its status cannot be read ({type(error).__name__}: {error})") from None


def _status(client: NodeClient, told: dict[str, Any]) -> Status:
    return Status(
        rpc=client.url,
        client=str(client.ask("web3_clientVersion")),
        chain_id=client.quantity("eth_chainId"),
        node_key=str(told["nodeKey"]),
        height=int(told["height"], 16),
        hash=str(told["hash"]),
        timestamp=int(told["timestamp"], 16),
        chain_time=int(told["chainTime"], 16),
        view=int(told["view"], 16),
        epoch=int(told["epoch"], 16),
        contract_height=int(told["contractHead"]["number"], 16),
        ledger_height=int(told["ledgerHead"]["number"], 16),
        target=None if told["targetHeight"] is None else int(told["targetHeight"], 16),
        validates=told["nodeKey"] in told["validators"],
        validators=len(told["validators"]),
        peers=len(told["peers"]),
        connected=sum(bool(peer["connected"]) for peer in told["peers"]),
        pool=int(told["waiting"], 16),
    )


def _peers(told: dict[str, Any]) -> list[PeerRow]:
    own = int(told["height"], 16)
    heights = [None if peer["height"] is None else int(peer["height"], 16) for peer in told["peers"]]
    return [
        PeerRow(
            str(peer["name"]),
            str(peer["nodeKey"]),
            str(peer["endpoint"]),
            bool(peer["connected"]),
            height,
            None if height is None else max(0, own - height),
        )
        for peer, height in zip(told["peers"], heights, strict=True)
    ]


def as_json(row: Status | PeerRow) -> dict[str, Any]:
    """Return a row as plain values."""
    return asdict(row)
