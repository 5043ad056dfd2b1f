"""Pedersen commitments: C = v·H + γ·G hides an amount v for ever, and nobody can open it to another one.

Sums and differences of commitments commit to those of the amounts, which is what makes sealed books balance.
Source: Pedersen 1991; Mezquita et al. 2022, §4.2 (confidential amounts).
"""

from __future__ import annotations

from typing import TypeVar

from privacy.group import Group, Scalar

P = TypeVar("P")
VALUE_USE = "value-base"


def value_base(group: Group[P]) -> P:
    """Return H, to whose logarithm there is no clue: it is hashed from its label alone."""
    return group.hash_to_point(VALUE_USE, b"")


def commit(group: Group[P], amount: int, blinding: Scalar) -> P:
    """Return C = v·H + γ·G.

    Args:
        group: the suite.
        amount: v; negative ones are taken modulo the order, so a range proof has to exclude them.
        blinding: γ, uniform and secret.
    """
    return group.sum((group.multiply(group.scalar(amount), value_base(group)), group.multiply_generator(blinding)))


def opens(group: Group[P], commitment: P, amount: int, blinding: Scalar) -> bool:
    """Return whether a commitment is to this amount with this blinding."""
    return (
        0 <= amount < group.order
        and 0 <= blinding < group.order
        and group.equal(commitment, commit(group, amount, blinding))
    )
