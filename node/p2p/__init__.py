"""Validators talking to each other: WebSocket and msgpack over mutual TLS 1.3 by the node keys."""

from node.p2p.frames import Channel, Offence
from node.p2p.network import NetworkIdentity, PeerNetwork
from node.p2p.peer import PeerInfo

__all__ = ["Channel", "NetworkIdentity", "Offence", "PeerInfo", "PeerNetwork"]
