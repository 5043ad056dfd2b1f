"""What a restarted household remembers of its private windows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from agents.journal import Contract, Line, NoDeal, PrivateClosed, PrivateIntent, PrivateSent, Recorded, Signed
from agents.market.mechanism import Terms
from agents.private.packets import InvalidRelayKey
from agents.private.session import PublicSession, Session
from agents.private.street import Deal, Intent, make_deal
from contracts.bindings.private_market import Side
from privacy.secp256k1 import Point


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that was signed, and its nonce (-1: it has none)."""

    transaction: bytes
    nonce: int


@dataclass(slots=True)
class WindowMemory:
    """What was written down of a window.

    `agreed` are the agreements by their numbers, in order: with whom, and the terms; `bought_wh` what was signed of
    each demand; `recorded` are the trades that bind.
    """

    intent: Intent | None = None
    sent: dict[str, Sent] = field(default_factory=dict)
    agreed: dict[bytes, tuple[bytes, Terms]] = field(default_factory=dict)
    bought_wh: dict[int, int] = field(default_factory=dict)
    recorded: set[bytes] = field(default_factory=set)
    closed: bool = False

    def deals(self, chain_id: int, joint_key: Point, session: Session, known: Iterable[PublicSession]) -> list[Deal]:
        """Return the agreements of the window's session as deals.

        Args:
            chain_id: the chain's.
            joint_key: of the window's auditors.
            session: the window's.
            known: its other sessions; an agreement with one that is not among them is none, and neither is one with a
                session that gave a contact key of small order, which would make no secret.
        """
        side, peers = self.intent.side if self.intent else Side.NONE, {each.address: each for each in known}
        deals = []
        for agreement, (peer, terms) in self.agreed.items():
            if peer in peers:
                with suppress(InvalidRelayKey):
                    deals.append(make_deal(chain_id, joint_key, session, peers[peer], agreement, terms, side))
        return deals


def remember_windows(lines: Iterable[Line]) -> dict[int, WindowMemory]:
    """Return what the lines of a journal, in their order, leave to remember of private windows."""
    windows: dict[int, WindowMemory] = {}
    demands: dict[bytes, int] = {}
    for line in lines:
        match line:
            case PrivateIntent():
                windows.setdefault(line.window, WindowMemory()).intent = Intent(
                    side=Side[line.side.upper()],
                    purpose=line.purpose,
                    energy_wh=line.energy_wh,
                    price_microeur_per_kwh=line.price_microeur_per_kwh,
                    budget_microeur=line.budget_microeur,
                    height=line.height,
                )
            case PrivateSent() if line.window in windows:
                windows[line.window].sent[line.step] = Sent(_bytes(line.transaction), line.nonce)
            case Recorded() if line.window in windows:
                windows[line.window].recorded.add(_bytes(line.trade))
            case PrivateClosed() if line.window in windows:
                windows[line.window].closed = True
            case Signed() if line.window in windows:
                memory, trade = windows[line.window], _bytes(line.trade)
                memory.agreed[trade] = (_bytes(line.peer), Terms(line.energy_wh, line.price_microeur_per_kwh))
                memory.bought_wh[line.demand] = memory.bought_wh.get(line.demand, 0) + line.energy_wh
                demands[trade] = line.demand
            case NoDeal(role="buyer", trade=text) if text and line.window in windows:
                memory, trade = windows[line.window], _bytes(text)
                if trade in memory.agreed:
                    _, terms = memory.agreed.pop(trade)
                    memory.bought_wh[demands[trade]] -= terms.energy_wh
            case Contract(role="seller") if line.window in windows:
                terms = Terms(line.energy_wh, line.price_microeur_per_kwh)
                windows[line.window].agreed[_bytes(line.trade)] = (_bytes(line.peer), terms)
            case _:
                pass
    return windows


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
