"""What answers a command is no node: every command says so, in a line."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.client import NodeClient, NodeUnanswered
from node.operations.transfer import export_remote
from node.tx_commands import why


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Listen, and answer one connection after the other with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def result(value: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(
    ("height", "block_hash", "chain_id"), [("0x2", "0x00", "0x1"), ("0x2", "0x" + "00" * 32, hex(2**64))]
)
def test_a_chain_that_no_file_can_name(tmp_path: Path, height: str, block_hash: str, chain_id: str) -> None:
    with (
        answering(result(height), result({"hash": block_hash}), result(chain_id)) as url,
        pytest.raises(NodeUnanswered, match="its chain id, its height"),
    ):
        export_remote(NodeClient(url), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [None, [], "text", {"status": "pending"}])
def test_an_explanation_that_is_none(value: Any) -> None:
    with answering(result(value)) as url, pytest.raises(NodeUnanswered, match="explained nothing"):
        why("0x" + "00" * 32, rpc=url)
