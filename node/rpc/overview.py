"""`grid_overview`: all that the page at `/` shows, in one answer."""

from __future__ import annotations

from node.rpc.backend import PeerStatus
from node.rpc.context import Context
from node.rpc.formats import Json, to_data, to_quantity
from node.rpc.grid_schemas import OVERVIEW
from node.rpc.market_windows import Schedule, WindowRow
from node.rpc.methods import MethodTable
from node.rpc.overview_reads import Block, Street, Vote
from node.rpc.web3 import client_name

SHOWN_WINDOWS = 6  # with contracts, beside the one that is being traded and the one that is being delivered

table = MethodTable()


@table.method("grid_overview", returns=OVERVIEW)
async def overview(context: Context) -> Json:
    """Return what the page shows: head, chains, votes, pool, peers, market windows, readiness and newest blocks."""
    backend, mempool = context.backend, context.backend.mempool
    asked_s = backend.chain_time_s()
    street = await context.streets.read(asked_s)
    node, validators = backend.status(), backend.validators()
    reasons = list(backend.unready())
    height = street.header.number
    return {
        "software": client_name(),
        "chainId": to_quantity(context.chain_id),
        "nodeKey": to_data(node.node_key),
        "chainTime": to_quantity(backend.chain_time_s()),
        "clockScale": to_quantity(_scale(context)),
        "ready": not reasons,
        "reasons": reasons,
        "targetHeight": None if node.target_height is None else to_quantity(node.target_height),
        "head": _block(street.blocks[0]),
        "contractHead": {
            "number": to_quantity(street.record.contract_head.number),
            "hash": to_data(street.record.contract_head.hash),
        },
        "ledgerHead": {
            "number": to_quantity(street.record.ledger_head.number),
            "hash": to_data(street.record.ledger_head.hash),
        },
        "epoch": to_quantity(int(validators.epoch)),
        "quorum": to_quantity(validators.quorum),
        "view": to_quantity(node.view),
        "leader": to_data(validators.leader(height + 1, node.view)),
        "votes": [
            {
                "height": to_quantity(vote.height),
                "view": to_quantity(vote.view),
                "signatures": to_quantity(len(vote.signers)),
            }
            for vote in street.votes
        ],
        "validators": [_validator(key, street, street.votes) for key in validators.keys],
        "pool": {"pending": to_quantity(mempool.pending), "queued": to_quantity(mempool.queued)},
        "peers": [
            {
                "nodeKey": to_data(peer.node_key),
                "name": peer.name,
                "endpoint": peer.endpoint,
                "validator": peer.node_key in validators,
                "connected": peer.connected,
                "height": _reached(peer, street),
            }
            for peer in backend.peers()
        ],
        "market": _market(context.streets.schedule, street, asked_s),
        "blocks": [_block(block) for block in street.blocks],
    }


def _reached(peer: PeerStatus, street: Street) -> str | None:
    """Return the newest height that a peer is known to have: what it told seldom, and what its votes tell."""
    voted = [vote.height - 1 for vote in street.votes if peer.node_key in vote.signers]
    known = [height for height in (peer.height, *voted[-1:]) if height is not None]
    return to_quantity(max(known)) if known else None


def _scale(context: Context) -> int:
    """Return how many chain seconds pass in a second of the wall clock; 0 before the clock goes."""
    now_s = context.backend.chain_time_s()
    gone = [scale for _, chain_s, scale in context.backend.clock_segments() if chain_s <= now_s]
    return gone[-1] if gone else 0


def _block(block: Block) -> dict[str, Json]:
    header = block.header
    return {
        "number": to_quantity(header.number),
        "hash": to_data(header.hash),
        "timestamp": to_quantity(header.timestamp),
        "transactions": to_quantity(block.transactions),
        "gasUsed": to_quantity(header.gas_used),
    }


def _validator(key: bytes, street: Street, votes: tuple[Vote, ...]) -> dict[str, Json]:
    return {
        "nodeKey": to_data(key),
        "name": street.names.get(key, ""),
        "signed": [key in vote.signers for vote in votes],
    }


def _market(schedule: Schedule, street: Street, chain_time_s: int) -> Json:
    if street.windows is None:
        return None
    current = schedule.window_at(chain_time_s)
    newest = [row for row in street.windows if row.window >= current]
    older = [row for row in street.windows if row.window < current and row.entries][:SHOWN_WINDOWS]
    return {
        "private": schedule.private,
        "window": to_quantity(current) if current >= 0 else None,
        "windowLength": to_quantity(schedule.length_s),
        "windows": [_window(row, current, schedule.zero_s, schedule.length_s) for row in newest + older],
    }


def _window(row: WindowRow, current: int, zero_s: int, length_s: int) -> dict[str, Json]:
    if row.window >= current:
        state = "trading" if row.window > current else "delivering"
    else:
        state = "settled" if row.settled == row.entries else "settling"
    return {
        "window": to_quantity(row.window),
        "from": to_quantity(zero_s + row.window * length_s),
        "state": state,
        "entries": to_quantity(row.entries),
        "settled": to_quantity(row.settled),
        "energyWh": None if row.energy_wh is None else to_quantity(row.energy_wh),
    }
