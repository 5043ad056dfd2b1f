"""A street's relays and mail in one process: what goes over a line is kept, and handed to the agent at its end."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from nacl.public import PrivateKey

from agents.private.mail import ENVELOPE_BYTES, MailAgent
from agents.private.packets import PACKET_BYTES, Relay
from agents.private.post import Post
from agents.private.relay import MAIL, RELAY, RelayAgent, unwrap


@dataclass(frozen=True)
class Sent:
    """A message on a line: to which endpoint and agent, and its bytes."""

    endpoint: str
    agent: str
    data: bytes


@dataclass
class Wires:
    """The lines between `count` members, none of whose relays waits."""

    count: int
    seed: int = 0
    sent: list[Sent] = field(default_factory=list)
    submitted: dict[int, list[bytes]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    paused_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secrets = [PrivateKey(bytes([number + 1]) * 32) for number in range(self.count)]
        self.relays = {
            self.account(number): Relay(self.account(number), bytes(secret.public_key), self.endpoint(number))
            for number, secret in enumerate(self.secrets)
        }
        self.agents = [self._relay(number) for number in range(self.count)]
        self.mails = [
            MailAgent(self.account(n), lambda: self.relays, deliver=self.deliver, rng=random.Random(self.seed + n))
            for n in range(self.count)
        ]

    @staticmethod
    def account(number: int) -> bytes:
        """The account of a member."""
        return bytes([number]) * 20

    @staticmethod
    def endpoint(number: int) -> str:
        """Where a member listens."""
        return f"tcp://127.0.0.1:{9000 + number}"

    def post(self, number: int) -> Post:
        """A member's way out."""
        own = self.account(number)
        return Post(own, lambda: self.relays, deliver=self.deliver, rng=random.Random(self.seed + 100 + number))

    async def deliver(self, endpoint: str, agent: str, content: dict[str, Any]) -> bool:
        """Take a message to the agent at its end."""
        if endpoint in self.silent:
            return False
        data = unwrap(content, PACKET_BYTES if agent == RELAY else ENVELOPE_BYTES)
        assert data is not None
        self.sent.append(Sent(endpoint, agent, data))
        number = int(endpoint.rpartition(":")[2]) - 9000
        receiver = {RELAY: self.agents[number], MAIL: self.mails[number]}[agent]
        receiver.handle_message(content, {"peer": "127.0.0.1"})
        return True

    def _relay(self, number: int) -> RelayAgent:
        async def submit(transaction: bytes) -> None:
            self.submitted.setdefault(number, []).append(transaction)

        async def pause(chain_s: float) -> None:
            self.paused_s.append(chain_s)

        return RelayAgent(
            self.secrets[number],
            lambda: self.relays,
            deliver=self.deliver,
            submit=submit,
            pause=pause,
            rng=random.Random(self.seed + 200 + number),
            envelope_bytes=ENVELOPE_BYTES,
        )


async def settled() -> None:
    """Let everything that is under way arrive."""
    own = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks() if task is not own]:
        await asyncio.gather(*others)
