"""A node of one process behind a real RPC server: what is submitted is mined at once (or when told), then announced."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from consensus.certificates import assemble
from consensus.codec import encode_certificate
from consensus.types import Domain, Phase, SignedVote, ValidatorSet, Vote, vote_bytes
from consensus.types import Height as VoteHeight
from consensus.types import View as VoteView
from contracts.bindings.consortium_votes import Equivocation
from node.chain.transaction import Transaction
from node.execution import Loop
from node.intake import Intake
from node.mempool import Mempool
from node.rpc.backend import NodeStatus, PeerStatus
from node.rpc.server import RpcConfig, RpcServer
from node.rules import RuleBook
from node.snapshot.shelf import Shelf
from node.storage import Store
from node.wallet import Wallet
from tests.node.chains import OneChain
from tests.node.samples import node_key

T = TypeVar("T")


class LocalBackend:
    """A backend whose blocks are decided by nobody but itself; its certificates are real signatures of all members."""

    def __init__(self, path: Path, sections: Mapping[str, Any] | None = None, **rules: Any) -> None:
        self.chain = OneChain(path, sections, **rules)
        self.mempool = Mempool()
        self.intake = Intake(self.mempool, self.store, self.rule_book.rules_at, time.monotonic, self._tell)
        self.mining = True
        self.wallet = Wallet()
        self.target_height: int | None = None
        self.reasons: list[str] = []
        self._heads: list[Callable[[int], None]] = []
        self._pending: list[Callable[[Transaction], None]] = []

    @property
    def store(self) -> Store:
        return self.chain.store

    @property
    def loop(self) -> Loop:
        return Loop.INLINED

    @property
    def rule_book(self) -> RuleBook:
        return self.chain.rule_book

    @property
    def genesis(self) -> Mapping[str, Any]:
        return self.chain.genesis.content

    async def submit(self, raw: bytes) -> bytes:
        transaction, _ = await self.intake.submit(raw)
        if self.mining:
            self.mine()
        return transaction.hash

    def _tell(self, transaction: Transaction) -> None:
        for listener in list(self._pending):
            listener(transaction)

    def mine(self) -> int:
        """Commit a block of everything executable and announce it; return its height."""
        with self.store.read() as view:
            candidates = list(self.mempool.executable(view.state, view.head))
        built = self.chain.application.build(self.chain.height + 1, candidates)
        header = built.sealed.header
        self.chain.application.commit(built.body, self._certificate(header.number, header.hash))
        with self.store.read() as view:
            self.mempool.commit(built.transactions, view.state, view.head, open_accounts=True)
        for listener in list(self._heads):
            listener(header.number)
        return header.number

    def _certificate(self, height: int, block_hash: bytes) -> bytes:
        epoch = self.validators().epoch
        vote = Vote(epoch, VoteHeight(height), VoteView(0), Phase.COMMIT, block_hash)
        domain = Domain(self.chain.genesis.chain_id, self.chain.genesis_hash)
        keys = [node_key(index) for index in range(len(self.chain.genesis.members))]
        message = vote_bytes(domain, vote)
        return encode_certificate(
            assemble([SignedVote(vote, bytes(key.verify_key), key.sign(message).signature) for key in keys])
        )

    def status(self) -> NodeStatus:
        return NodeStatus(bytes(node_key(0).verify_key), 0, self.target_height)

    def unready(self) -> Sequence[str]:
        return self.reasons

    def peers(self) -> Sequence[PeerStatus]:
        return [
            PeerStatus(member.node_key, member.name, "{}:{}".format(*member.endpoint), connected=True, height=0)
            for member in self.chain.genesis.members[1:]
        ]

    def validators(self) -> ValidatorSet:
        return self.chain.application.validators()

    def clock_segments(self) -> Sequence[tuple[int, int, int]]:
        return [(part.wall_ms, part.chain_s, part.scale) for part in self.chain.clock.segments]

    def chain_time_s(self) -> int:
        return self.chain.clock.now_s()

    def evidence(self) -> Sequence[Equivocation]:
        """Nobody equivocates here."""
        return ()

    def on_head(self, listener: Callable[[int], None]) -> Callable[[], None]:
        self._heads.append(listener)
        return lambda: self._heads.remove(listener)

    def on_pending(self, listener: Callable[[Transaction], None]) -> Callable[[], None]:
        self._pending.append(listener)
        return lambda: self._pending.remove(listener)


class RunningNode:
    """A backend and its server on a loop in a thread of its own, so that blocking clients can be used."""

    def __init__(
        self,
        path: Path,
        config: RpcConfig | None = None,
        shelf: Shelf | None = None,
        sections: Mapping[str, Any] | None = None,
        **rules: Any,
    ) -> None:
        self.backend = LocalBackend(path, sections, **rules)
        self.config = config or RpcConfig(port=0, open=("*",))
        self.shelf = shelf
        self.server = RpcServer(self.backend, self.config, shelf=shelf)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self.run(self.server.start())
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine that runs on the server's loop."""
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(30)

    def mine(self) -> int:
        """Commit a block of what waits, on the server's loop."""

        async def job() -> int:
            return self.backend.mine()

        return self.run(job())

    def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Return (status, body) of a raw POST."""
        names = {"Content-Type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(self.url, data=body, headers=names)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def ask(self, method: str, *params: Any) -> Any:
        """Return the whole answer to one request."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        status, answer = self.post(body.encode())
        assert status == 200
        return json.loads(answer)

    def result(self, method: str, *params: Any) -> Any:
        """Return the result of one request, which must succeed."""
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, method: str, *params: Any) -> Any:
        """Return the error of one request, which must fail."""
        answer = self.ask(method, *params)
        assert "result" not in answer, answer
        return answer["error"]

    def close(self) -> None:
        """Stop the server, what is left of its connections, the loop and the database."""

        async def end() -> None:
            await self.server.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}  # as asyncio.Runner does for a node
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.backend.chain.close()
