"""What a restarted household remembers from its journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agents.journal import Contract, Forecast, Line, NoDeal, Quarter, Signed, Started
from agents.market.mechanism import Terms
from agents.trading.seller_agent import Agreement


@dataclass(slots=True)
class Memory:
    """The last state that was written down.

    `quarters` are the readings by quarter, `signed` what was signed as buyer (window → trade → terms), `bought_wh`
    how much of each demand of a window that was, `agreements` what was agreed as seller, `forecasts` the newest of
    each window.
    """

    started: bool = False
    soc_wh: int | None = None
    next_quarter: int | None = None
    quarters: dict[int, Quarter] = field(default_factory=dict)
    signed: dict[int, dict[bytes, Terms]] = field(default_factory=dict)
    bought_wh: dict[int, dict[int, int]] = field(default_factory=dict)
    agreements: dict[int, list[Agreement]] = field(default_factory=dict)
    forecasts: dict[int, Forecast] = field(default_factory=dict)


def remember(lines: Iterable[Line]) -> Memory:
    """Return what the lines of a journal, in their order, leave to remember."""
    memory = Memory()
    demands: dict[bytes, int] = {}
    for line in lines:
        match line:
            case Started():
                memory.started = True
            case Quarter():
                memory.soc_wh = line.soc_wh
                memory.next_quarter = line.quarter + 1
                memory.quarters[line.quarter] = line
            case Forecast():
                memory.forecasts[line.window] = line
            case Signed():
                terms = Terms(line.energy_wh, line.price_microeur_per_kwh)
                memory.signed.setdefault(line.window, {})[_bytes(line.trade)] = terms
                bought = memory.bought_wh.setdefault(line.window, {})
                bought[line.demand] = bought.get(line.demand, 0) + line.energy_wh
                demands[_bytes(line.trade)] = line.demand
            case NoDeal(role="buyer", trade=trade) if trade:
                withdrawn = memory.signed.get(line.window, {}).pop(_bytes(trade), None)
                if withdrawn is not None:
                    memory.bought_wh[line.window][demands[_bytes(trade)]] -= withdrawn.energy_wh
            case Contract(role="seller"):
                agreement = Agreement(
                    trade_id=_bytes(line.trade),
                    offer_id=line.offer,
                    buyer=_bytes(line.peer),
                    terms=Terms(line.energy_wh, line.price_microeur_per_kwh),
                    conversation_id=_bytes(line.conversation),
                    signature=_bytes(line.signature),
                )
                memory.agreements.setdefault(line.window, []).append(agreement)
            case _:
                pass
    return memory


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
