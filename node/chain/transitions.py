"""Epoch changes, checkable from the genesis file on: who may certify which height, told to one who was not there.

The validators of height h + 1 are named, by their hash, in the round record of height h, which the validators of h
certify. So the founders certify the last header of their epoch, it names the next validators, and so on:

    genesis members ─certify─► (header, record, certificate, next keys) ─certify─► … ─certify─► any header of today
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

from consensus.certificates import InvalidCertificate, verify
from consensus.codec import InvalidPeerMessage, decode_certificate
from consensus.types import Domain, Epoch, ValidatorSet
from node.chain import rlp
from node.chain.header import Header, InvalidHeader, decode_header
from node.chain.record import RoundRecord, decode_record
from node.errors import GridpactError


class InvalidTransition(GridpactError):
    """A round or an epoch change is not certified by those who may; the message names height and what was expected."""

    def __init__(self, height: int, reason: str) -> None:
        super().__init__(f"height {height}: {reason}")
        self.height = height
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Transition:
    """The last round of an epoch.

    Args:
        header, record: of that height; the record names the next validators by their hash.
        certificate: of the header, by the validators of the epoch that ends; encoded.
        keys: the node keys (32 bytes each, sorted) of the next epoch's validators.
    """

    header: Header
    record: RoundRecord
    certificate: bytes
    keys: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the canonical RLP."""
        return rlp.encode((self.header.encode(), self.record.encode(), self.certificate, self.keys))


def decode_transition(raw: bytes) -> Transition:
    """Return the transition that `raw` encodes; nothing in it is verified.

    Raises:
        InvalidRlp: not of that shape.
    """
    header, record, certificate, keys = rlp.decode_list(rlp.decode(raw), 4)
    try:
        decoded = decode_header(rlp.decode_data(header))
    except InvalidHeader as error:
        raise rlp.InvalidRlp(str(error)) from None
    return Transition(
        decoded,
        decode_record(rlp.decode_data(record)),
        rlp.decode_data(certificate),
        tuple(rlp.decode_data(key, 32) for key in rlp.decode_list(keys)),
    )


def validators_hash(keys: Sequence[bytes]) -> bytes:
    """Return the hash of a validator set: keccak over the sorted node keys, domain-separated."""
    return keccak(b"gridpact/validators/v1" + b"".join(sorted(keys)))


def check_round(
    header: Header, record: RoundRecord, certificate: bytes, validators: ValidatorSet, domain: Domain
) -> None:
    """Check that `validators` certified this header, and that the record is the one that it names.

    Raises:
        InvalidTransition: naming the first thing that is not as expected.
    """
    height = header.number
    if record.digest != header.extra_data:
        raise InvalidTransition(height, "the round record is not the one that the header names")
    if record.epoch != validators.epoch or record.validators_hash != validators_hash(validators.keys):
        raise InvalidTransition(
            height, f"epoch {record.epoch}, expected epoch {validators.epoch} and the validators followed so far"
        )
    try:
        found = decode_certificate(certificate)
        verify(found, validators, domain)
    except (InvalidPeerMessage, InvalidCertificate) as error:
        raise InvalidTransition(height, f"certificate: {error.reason}") from None
    if (found.height, found.block_hash) != (height, header.hash):
        raise InvalidTransition(height, f"the certificate is for another block, of height {found.height}")


def next_set(record: RoundRecord, height: int, keys: Sequence[bytes]) -> ValidatorSet:
    """Return the validators of the height after `record`'s.

    Args:
        record: of `height`, believed.
        height: for errors.
        keys: the node keys that it is said to name, in any order.

    Raises:
        InvalidTransition: the record names others.
    """
    if validators_hash(keys) != record.next_validators_hash:
        raise InvalidTransition(height, "the next validators' keys are not those that the round record names")
    epoch = record.epoch + (record.next_validators_hash != record.validators_hash)
    try:
        return ValidatorSet(Epoch(epoch), tuple(sorted(keys)))
    except ValueError as error:
        raise InvalidTransition(height, f"the next validators: {error}") from None


def follow(founders: Sequence[bytes], transitions: Iterable[Transition], domain: Domain) -> ValidatorSet:
    """Return the validators of the epoch after the last transition, following every one from the founders on.

    Args:
        founders: the node keys of the genesis file's members.
        transitions: every epoch change since, in order; none for the first epoch.
        domain: the chain.

    Raises:
        InvalidTransition: one of them is not certified by the validators of its time, or changes nothing.
    """
    *_, last = follow_each(founders, transitions, domain)
    return last


def follow_each(founders: Sequence[bytes], transitions: Iterable[Transition], domain: Domain) -> Iterator[ValidatorSet]:
    """Yield the founders, and the validators after each transition; as `follow`."""
    validators = ValidatorSet(Epoch(0), tuple(sorted(founders)))
    yield validators
    for step in transitions:
        check_round(step.header, step.record, step.certificate, validators, domain)
        following = next_set(step.record, step.header.number, step.keys)
        if following.epoch == validators.epoch:
            raise InvalidTransition(step.header.number, "the validators stay the same, expected an epoch change")
        validators = following
        yield validators
