"""The epoch changes of a chain, read from its database, for one who has nothing but the genesis file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count

from node.application import following_keys
from node.chain import rlp
from node.chain.transitions import Transition, decode_transition
from node.storage import CorruptValue, StateNotKept, Store, View
from node.storage.tables import transition_key


def transition_into(view: View, epoch: int) -> Transition | None:
    """Return what proves the validators of `epoch` to those who know the epoch before; None if it has not begun."""
    told = view.told_transition(epoch)
    if told is not None:
        try:
            return decode_transition(told)
        except rlp.InvalidRlp as error:
            raise CorruptValue("meta", transition_key(epoch), str(error)) from None
    height = view.epoch_end(epoch)
    certificate = None if height is None else view.certificate(height)
    if height is None or certificate is None:
        return None
    keys = tuple(sorted(following_keys(view, height)))
    return Transition(view.header(height), view.record(height), certificate, keys)


def transitions(view: View, height: int) -> Iterator[Transition]:
    """Yield every epoch change below `height`, in order: what leads from the founders to its validators."""
    epoch = 1
    while (found := transition_into(view, epoch)) is not None and found.header.number < height:
        yield found
        epoch += 1


def keep_transitions(store: Store, below: int | None = None) -> None:
    """Write down the epoch changes that only old states tell, before those are let go of.

    Args:
        store: opened for writing.
        below: only changes below this height; None for all.
    """
    found: dict[int, bytes] = {}
    with store.read() as view:
        for epoch in count(1):
            if view.told_transition(epoch) is not None:
                continue
            with suppress(StateNotKept):  # an earlier software let go of it
                step = transition_into(view, epoch)
                if step is None or (below is not None and step.header.number >= below):
                    break
                found[epoch] = step.encode()
    if found:
        with store.batch() as batch:
            for epoch, raw in found.items():
                batch.keep_transition(epoch, raw)
