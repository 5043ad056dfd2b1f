"""`grid_` methods for those who know only the genesis file: certified blocks in ranges, and every epoch change.

What they serve proves itself: whoever follows checks certificates, not the node that answered.
"""

from __future__ import annotations

from node.epochs import transition_into
from node.rpc import grid_schemas
from node.rpc.context import Context
from node.rpc.formats import Json, count, number, to_data, to_quantity
from node.rpc.methods import MethodTable, Parameter
from node.rpc.reads import Reader

MAX_CERTIFIED_BLOCKS = 256
MAX_CERTIFIED_BYTES = 1024 * 1024  # of bodies in an answer, beyond the first: a second on a fast line
MAX_TRANSITIONS = 64  # at a hundred validators one takes about 10 kB

table = MethodTable()


@table.method(
    "grid_getCertifiedBlocks",
    Parameter("from", number),
    Parameter("count", count),
    returns=grid_schemas.CERTIFIED_BLOCKS,
)
async def certified_blocks(context: Context, first: int, wanted: int) -> Json:
    """Return {body, certificate, record} of up to `count` heights from `from` on, a MiB or so; none above the head."""
    return await context.reads.render(_certified_blocks, first, wanted)


def _certified_blocks(reader: Reader, first: int, wanted: int) -> Json:
    found, size = [], 0
    with reader.store.read() as view:
        for height in range(max(1, first), min(first + min(wanted, MAX_CERTIFIED_BLOCKS), view.head_height + 1)):
            certificate = view.certificate(height)
            if certificate is None or size > MAX_CERTIFIED_BYTES:
                break
            body = view.body(height)
            size += len(body)
            record = view.record(height).encode()
            found.append({"body": to_data(body), "certificate": to_data(certificate), "record": to_data(record)})
    return found


@table.method(
    "grid_getTransitions",
    Parameter("from epoch", number, 1),
    Parameter("count", count, MAX_TRANSITIONS),
    returns=grid_schemas.TRANSITIONS,
)
async def epoch_transitions(context: Context, first: int, wanted: int) -> Json:
    """Return what proves each epoch's validators by those before: header, round record, certificate and node keys."""
    return await context.reads.render(_transitions, first, wanted)


def _transitions(reader: Reader, first: int, wanted: int) -> Json:
    found: list[Json] = []
    with reader.store.read() as view:
        for epoch in range(max(1, first), max(1, first) + min(wanted, MAX_TRANSITIONS)):
            step = transition_into(view, epoch)
            if step is None:
                break
            found.append(
                {
                    "epoch": to_quantity(epoch),
                    "height": to_quantity(step.header.number),
                    "header": to_data(step.header.encode()),
                    "record": to_data(step.record.encode()),
                    "certificate": to_data(step.certificate),
                    "validators": [to_data(key) for key in step.keys],
                }
            )
    return found
