"""The synchronous driver: the consensus core with its ports. Asyncio lives outside, in the shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consensus.types import Domain, Height, ValidatorSet, View
from node.driver.events import Effect, Event
from node.driver.ports import Archive, Clock, Log, Signer, Transport


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """What does not change while the process runs.

    Args:
        domain: chain id and genesis hash.
        hash_of_body: the hash of a block from its body; None if the body is malformed. It must bind every byte: two
            different bodies never have the same hash (so it checks the transactions root, and decodes strictly).
        max_body_bytes: larger bodies are refused.
        view_timeout_ms, max_view_timeout_ms: the first view's timeout, doubled with every view, and its cap.
        status_ms: how often STATUS is exchanged while a height is open; ten times less often when idle.
    """

    domain: Domain
    hash_of_body: Callable[[bytes], bytes | None]
    max_body_bytes: int = 4 * 1024 * 1024
    view_timeout_ms: int = 4_000
    max_view_timeout_ms: int = 30_000
    status_ms: int = 300


class Driver:
    """Call `start` once, then `handle` for every event, from one thread; do what the effects say.

    Args:
        config: constants.
        height: the height to decide next: the committed head's + 1.
        validators: the validators of `height`.
    """

    def __init__(
        self,
        config: DriverConfig,
        *,
        height: int,
        validators: ValidatorSet,
        clock: Clock,
        transport: Transport,
        log: Log,
        signer: Signer,
        archive: Archive,
    ) -> None:
        raise NotImplementedError

    @property
    def height(self) -> Height:
        """The height that is being decided."""
        raise NotImplementedError

    @property
    def view(self) -> View:
        """The view it is in, or wants to enter."""
        raise NotImplementedError

    @property
    def leader(self) -> bytes:
        """The node key of this height's and view's leader."""
        raise NotImplementedError

    @property
    def validators(self) -> ValidatorSet:
        """The validators of the height that is being decided."""
        raise NotImplementedError

    @property
    def warning(self) -> str | None:
        """A plain sentence if the validators tolerate no fault; None otherwise."""
        raise NotImplementedError

    def start(self) -> list[Effect]:
        """Begin, with what the log restored. Call `handle(WorkAvailable())` afterwards if something waits."""
        raise NotImplementedError

    def handle(self, event: Event) -> list[Effect]:
        """Process one event; what had to be durable is, and what had to be sent was, when it returns.

        Raises:
            WriteAheadLogError: the log cannot be written. The node must stop; it is safe to start it again.
        """
        raise NotImplementedError
