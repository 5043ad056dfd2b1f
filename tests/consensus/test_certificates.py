"""Certificates prove what they say, or are refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.certificates import Certificate, InvalidCertificate, assemble, verify
from consensus.types import Epoch, Phase
from tests.consensus.machine import DOMAIN, Machine, validator_set

MACHINE = Machine()
GOOD = MACHINE.certificate(Phase.COMMIT)


def test_a_quorum_of_commits_is_a_certificate_with_sorted_signers() -> None:
    verify(GOOD, MACHINE.validators, DOMAIN)
    assert list(GOOD.signers) == sorted(GOOD.signers)
    assert assemble(reversed(GOOD.votes())) == GOOD


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (MACHINE.certificate(Phase.PREPARE), "phase PREPARE"),
        (MACHINE.certificate(Phase.COMMIT, who=(0, 1)), "expected a quorum of 3"),
        (replace(GOOD, epoch=Epoch(1)), "epoch 1, expected 0"),
        (replace(GOOD, signers=GOOD.signers[::-1]), "distinct and sorted"),
        (replace(GOOD, signers=GOOD.signers[:1] * 3, signatures=GOOD.signatures[:1] * 3), "distinct and sorted"),
        (replace(GOOD, signatures=GOOD.signatures[:2]), "3 signers, 2 signatures"),
        (replace(GOOD, signatures=GOOD.signatures[::-1]), "does not hold"),
        (replace(GOOD, block_hash=bytes(32)), "does not hold"),
    ],
)
def test_what_proves_nothing_is_refused(certificate: Certificate, reason: str) -> None:
    with pytest.raises(InvalidCertificate, match=reason):
        verify(certificate, MACHINE.validators, DOMAIN)


def test_a_stranger_in_a_certificate_is_refused() -> None:
    strangers = Machine(size=7)
    certificate = strangers.certificate(Phase.COMMIT, who=tuple(range(7)))
    with pytest.raises(InvalidCertificate, match="no validator of epoch 0"):
        verify(certificate, validator_set(4), DOMAIN)
