"""A client of a running node's RPC, for commands: bounded, and with a token where the node wants one."""

from node.client.client import DEFAULT_RPC, NodeClient, NodeError, NodeRefused, NodeUnanswered

__all__ = ["DEFAULT_RPC", "NodeClient", "NodeError", "NodeRefused", "NodeUnanswered"]
