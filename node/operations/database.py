"""A data directory's database, opened for one of the chain's genesis file; its head, checked."""

from __future__ import annotations

from pathlib import Path

from consensus.types import Domain, Epoch, ValidatorSet
from node.application import following_keys, make_block_0
from node.chain.transitions import InvalidTransition, check_round, follow
from node.epochs import transitions
from node.errors import GridpactError
from node.genesis import Genesis
from node.rules import RuleBook
from node.storage import StateNotKept, Store, View
from node.storage.store import DEFAULT_MAP_BYTES


class HeadNotCertified(GridpactError):
    """The head of a database is not what the validators, followed from the genesis file on, have certified."""


def domain_of(genesis: Genesis) -> Domain:
    """Return the chain that a genesis file begins."""
    rules = RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
    return Domain(genesis.chain_id, make_block_0(genesis, rules).header.hash)


def open_database(
    path: Path, genesis: Genesis, *, readonly: bool, map_bytes: int = DEFAULT_MAP_BYTES
) -> tuple[Store, Domain]:
    """Open the database of the chain that a genesis file begins.

    Raises:
        StorageError: no database, of another chain, genesis file or schema; or in use, if it is to be written.
    """
    domain = domain_of(genesis)
    store = Store.open(
        path, chain_id=genesis.chain_id, genesis_hash=domain.genesis_hash, readonly=readonly, map_bytes=map_bytes
    )
    return store, domain


def check_head(view: View, genesis: Genesis, domain: Domain) -> None:
    """Check that a quorum certified the head, following the validators from the genesis file over every epoch change.

    Raises:
        HeadNotCertified: naming what is wrong.
        CorruptValue: a stored value is damaged.
    """
    height = view.head_height
    if height == 0:
        return  # what the genesis file makes, which opening has compared
    founders = [member.node_key for member in genesis.members]
    try:
        validators = _validators(view, height, founders, domain)
        check_round(view.header(height), view.record(height), view.certificate(height) or b"", validators, domain)
    except InvalidTransition as error:
        raise HeadNotCertified(
            f"height {error.height}: {error.reason}; expected a head that a quorum certified"
        ) from None


def _validators(view: View, height: int, founders: list[bytes], domain: Domain) -> ValidatorSet:
    """Return the validators of a height; as its own state names them, where those that prove them are gone."""
    try:
        return follow(founders, transitions(view, height), domain)
    except StateNotKept:
        return ValidatorSet(Epoch(view.record(height).epoch), tuple(sorted(following_keys(view, height - 1))))
