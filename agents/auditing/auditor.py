"""An auditor: gives its part of the opening of a window's two sums, once the window is closed, and of nothing else.

A part is worth as much as what it is a part of: a node that could make an auditor give its part of a single reading,
dressed as a sum, would learn that reading with a second one. So the auditor adds the readings up itself, asks other
members' nodes for the same sums, wants enough meters in them, and gives parts of one pair of sums a window, for ever.
Source: Desmedt and Frankel 1989 (threshold ElGamal); docs/privacy.md.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from secrets import token_bytes
from typing import Any

from agents.attempts import Attempts
from agents.auditing.amounts import found_amount
from agents.auditing.configuration import AuditorConfig
from agents.auditing.sums import WindowReadings
from agents.auditing.totals import OperatorTotals, number_of
from agents.chain import Call, Chain, NodeError, NodeUnreachable, Sender
from agents.clock import ChainClock, Windows
from agents.errors import AgentError
from agents.follower import Follower
from agents.home import hexed
from agents.journal import JOURNAL_NAME, Journal, Line, PartGoing, Problem, SumsFound, TotalPartGoing, lines_of
from agents.keys import KeyFileError, load_key, read_passphrase
from agents.ledger import MarketView
from contracts.bindings import sealed_meters
from contracts.bindings.abi import Event
from contracts.bindings.private_market import OperatorPartGiven
from contracts.bindings.sealed_meters import BalanceOpened, PartGiven, SealedAttested, WindowClosed
from contracts.system import PRIVATE_MARKET, SEALED_METERS
from privacy.auditors import decrypt_partially, open_together
from privacy.secp256k1 import SECP256K1

logger = logging.getLogger("gridpact.auditor")

PART_GAS = 400_000
OPEN_GAS = 400_000
IDLE_S = 1.0
CATCH_UP_WINDOWS = 168  # a week: what an auditor that was away still helps to open
WITNESS_PATIENCE_S = 2.0
_G = SECP256K1


class Auditor:
    """One auditor, from start to cancellation."""

    def __init__(self, config: AuditorConfig) -> None:
        passphrase = read_passphrase(config.passphrase_file)
        self._config = config
        self._key = load_key(config.key, passphrase)
        try:
            self._share = _G.scalar_from_bytes_checked(load_key(config.share, passphrase).to_bytes())
        except ValueError:
            raise KeyFileError(config.share, "a share below the order of secp256k1") from None
        self._chain = Chain(config.rpc)
        self._witnesses = [Chain(url, WITNESS_PATIENCE_S) for url in config.confirm]
        self._readings: dict[int, WindowReadings] = {}
        self._closed: dict[int, float] = {}  # window -> chain time at which its closing was seen
        self._parts: dict[int, dict[int, PartGiven]] = {}
        self._opened: set[int] = set()
        self._attempts = Attempts()
        self._refused: set[int] = set()

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            AgentError: the node cannot be reached, or has no sealed meters.
        """
        self._journal = Journal(self._config.directory / JOURNAL_NAME)
        self._promised = {line.window: line.sums for line in lines_of(self._journal.path, PartGoing)}
        self._promised_totals = {line.window: line.total for line in lines_of(self._journal.path, TotalPartGoing)}
        try:
            await self._start()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.run())
                tasks.create_task(self._audit_for_ever())
        finally:
            for chain in (self._chain, *self._witnesses):
                await chain.close()
            self._journal.close()

    async def _start(self) -> None:
        genesis, clock = await self._chain.batch([("grid_genesis", []), ("grid_clock", [])])
        if "sealing" not in genesis:
            raise AgentError(f"node {self._config.rpc}: expected a chain with sealed meters, its genesis file has none")
        self._chain_id = int(genesis["chain_id"])
        self._windows = Windows(**genesis["schedule"])
        self._meters = frozenset(bytes.fromhex(row["meter"].removeprefix("0x")) for row in genesis["meters"])
        self._clock = ChainClock.from_rpc(clock)
        self._sender = Sender(self._chain, self._key, self._chain_id)
        self._totals = self._totals_of(genesis)
        self._follower = Follower(
            self._chain,
            MarketView(),
            [SEALED_METERS, PRIVATE_MARKET] if self._totals else [SEALED_METERS],
            [self._sender],
            on_event=self._learn,
            on_problem=self._problem,
        )
        self._first = max(self._windows.window_at(self._clock.now_s()) - CATCH_UP_WINDOWS, 0)
        self._follower.height = await self._height_before(self._windows.start_s(self._first))

    def _totals_of(self, genesis: dict[str, Any]) -> OperatorTotals | None:
        if "privacy" not in genesis:
            return None
        return OperatorTotals(
            self._chain,
            self._witnesses,
            self._chain_id,
            self._sender,
            self._share,
            len(self._meters),
            self._config.least_meters,
            self._promised_totals,
            self._write,
            self._clock.now_s,
            self._windows.window_length_s,
        )

    async def _height_before(self, chain_s: int) -> int:
        """Return a height all blocks up to which are older than `chain_s`; -1 if there is none."""
        low, high = -1, await self._chain.height()
        while low < high:
            middle = (low + high + 1) // 2
            block = await self._chain.request("eth_getBlockByNumber", hex(middle), False)
            if int(block["timestamp"], 16) < chain_s:
                low = middle
            else:
                high = middle - 1
        return low

    def _learn(self, event: Event) -> None:
        match event:
            case SealedAttested():
                window = event.quarter // self._windows.quarters
                readings = self._readings.setdefault(window, WindowReadings())
                if event.meter not in self._meters or not readings.learn(event):
                    self._refuse(window, f"meter {hexed(event.meter)}, quarter {event.quarter}: not a first reading")
            case WindowClosed():
                self._closed.setdefault(event.window, self._clock.now_s())
            case PartGiven():
                self._parts.setdefault(event.window, {})[event.auditor] = event
            case BalanceOpened():
                self._opened.add(event.window)
            case OperatorPartGiven() if self._totals is not None:
                self._totals.learn(event)
            case _:
                pass

    async def _audit_for_ever(self) -> None:
        while True:
            try:
                await self._step()
            except (NodeError, NodeUnreachable) as error:
                self._problem("auditing", error)
            except Exception as error:  # the other windows go on without what failed, and the journal says so
                logger.exception("auditing failed")
                self._problem("auditing", f"{type(error).__name__}: {error}")
            await self._follower.changed(IDLE_S)

    async def _step(self) -> None:
        """Give parts of closed windows, and open those that have enough."""
        self._forget_old()
        for window in sorted(set(self._closed) - self._refused - self._opened):
            (auditors,) = await self._chain.read(sealed_meters.auditors_of(window))
            number = number_of(auditors, self._sender.account, self._share)
            if number == 0:
                self._refuse(window, "this auditor's account and share are not among those of the window")
                continue
            if number not in self._parts.get(window, {}):
                await self._give(window, number)
            await self._open(window, number, auditors.threshold)
        if self._totals is not None:
            for window in range(self._first, self._windows.window_at(self._clock.now_s())):
                await self._totals.step(window)

    async def _give(self, window: int, number: int) -> None:
        """Give our parts of both sums, if these are what all readings add up to, and what every node says."""
        if not self._attempts.due(("part", window)):
            return
        readings = self._readings.get(window, WindowReadings())
        reason, enough = self._why_never(window, readings), False
        if not reason:
            enough, reason = await self._asked(window, readings.sums)
        if reason:
            self._refuse(window, reason)
        if reason or not enough:
            return
        if window not in self._promised:
            self._promised[window] = readings.sums.hex()
            self._write(PartGoing(window=window, sums=readings.sums.hex()), durable=True)
        parts = [
            decrypt_partially(
                _G,
                number,
                self._share,
                ciphertext.ephemeral,
                sealed_meters.request(self._chain_id, window, is_export=is_export),
                token_bytes(32),
            )
            for is_export, ciphertext in zip((False, True), readings.ciphertexts, strict=True)
        ]
        points, proofs = [_G.point_to_bytes(p.point) for p in parts], [p.proof.to_bytes(_G) for p in parts]
        data = sealed_meters.give_part(window, number, points, proofs)
        await self._attempts.send(
            self._sender, {("part", window): Call(SEALED_METERS, data, PART_GAS, f"part of window {window}")}
        )

    def _why_never(self, window: int, readings: WindowReadings) -> str:
        """Return why no part of a window's sums may ever be given; nothing if it may."""
        if len(readings.meters) < self._config.least_meters:
            return f"{len(readings.meters)} meters are in its sums, expected at least {self._config.least_meters}"
        if self._promised.get(window, readings.sums.hex()) != readings.sums.hex():
            return "a part of other sums was given before"
        return ""

    async def _asked(self, window: int, sums: bytes) -> tuple[bool, str]:
        """Ask our node and the other members'; return whether enough of them confirm, and who contradicts."""
        confirmed = 0
        for chain in (self._chain, *self._witnesses):
            try:
                balance, found = await chain.read(sealed_meters.balance_of(window), sealed_meters.sums(window))
            except (NodeError, NodeUnreachable):
                continue  # it confirms nothing
            if balance.closed and found != sums:
                return False, f"node {chain.url} has other sums than the readings add up to"
            confirmed += balance.closed
        return confirmed >= 1 + (len(self._witnesses) + 1) // 2, ""

    async def _open(self, window: int, number: int, threshold: int) -> None:
        """Open a window's sums from the first parts that are enough, if ours was the last of them, or nobody does."""
        given = list(self._parts.get(window, {}).values())[:threshold]
        late = self._clock.now_s() > self._closed[window] + self._windows.window_length_s
        if (
            len(given) < threshold
            or not (given[-1].auditor == number or late)
            or not self._attempts.due(("open", window))
        ):
            return
        found = []
        ciphertexts = self._readings[window].ciphertexts
        for ciphertext, raw in zip(
            ciphertexts, ([p.import_part for p in given], [p.export_part for p in given]), strict=True
        ):
            parts = {p.auditor: _G.point_from_bytes_checked(r) for p, r in zip(given, raw, strict=True)}
            found.append(found_amount(open_together(_G, ciphertext, parts)))
        import_wh, export_wh = found
        if import_wh is None or export_wh is None:
            self._refuse(window, f"the parts of auditors {[p.auditor for p in given]} open to no amount")
            return
        by = sorted(part.auditor for part in given)
        data = sealed_meters.open_balance(window, import_wh, export_wh, by)
        await self._attempts.send(
            self._sender, {("open", window): Call(SEALED_METERS, data, OPEN_GAS, f"open window {window}")}
        )
        self._write(SumsFound(window=window, import_wh=import_wh, export_wh=export_wh, auditors=by))

    def _refuse(self, window: int, reason: str) -> None:
        """Give no part of a window from now on, and say why once."""
        if window not in self._refused:
            self._refused.add(window)
            self._problem(f"window {window}: no part", reason)

    def _forget(self, window: int) -> None:
        """Drop what is no longer needed of a window that is opened, or too old."""
        for table in (self._closed, self._readings, self._parts, self._promised):
            table.pop(window, None)
        self._attempts.forget([("part", window), ("open", window)])
        self._opened.discard(window)
        self._refused.discard(window)

    def _forget_old(self) -> None:
        first = max(self._windows.window_at(self._clock.now_s()) - CATCH_UP_WINDOWS, 0)
        for window in range(self._first, first):
            self._forget(window)
        if self._totals is not None:
            self._totals.forget_before(first)
        self._first = first

    def _problem(self, what: str, reason: object) -> None:
        self._write(Problem(what=what, reason=str(reason)[:500]))

    def _write(self, line: Line, *, durable: bool = False) -> None:
        self._journal.write(replace(line, at_s=int(self._clock.now_s())), durable=durable)
