"""Forgers that know the format: certificates of something else, headers that a quorum signs, a database cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consensus.codec import encode_certificate
from consensus.types import Phase
from node.audit import Offence
from node.audit.commands import app
from node.chain.header import FIELDS, Header, decode_header
from node.chain.record import decode_record
from node.storage import tables
from tests.audit.street import HEAD, Street, certify, fill

pytestmark = pytest.mark.tamper


def header_of(street: Street, height: int) -> Header:
    """Return the stored header of a height."""
    return decode_header(street.stored("headers")[tables.height_key(height)])


def offence_with_certificate(street: Street, height: int, certificate: bytes) -> Offence | None:
    """Audit with another certificate at a height, its checksum right."""
    with street.altered("certificates", tables.height_key(height), certificate):
        return street.audit().offence


def test_no_byte_of_a_certificate_can_change(street: Street) -> None:
    whole = street.stored("certificates")[tables.height_key(2)]
    for at in range(0, len(whole), 9):
        flipped = bytes((whole[at] ^ 1 << at % 8,))
        offence = offence_with_certificate(street, 2, whole[:at] + flipped + whole[at + 1 :])
        assert offence is not None, at
        assert (offence.height, offence.chain, offence.kind) == (2, "round", "certificate"), at


def test_a_certificate_must_be_a_quorum_of_this_chain_for_this_block(street: Street) -> None:
    block = header_of(street, 2).hash
    other_chain = replace(street.domain, chain_id=1)
    other_genesis = replace(street.domain, genesis_hash=bytes(32))
    for forged, reason in (
        (certify(street.domain, 2, block, signers=(0, 1)), "2 signers, expected a quorum of 3"),
        (certify(street.domain, 2, block, signers=(0, 1, 7)), "is no validator"),
        (certify(street.domain, 2, block, epoch=1), "epoch 1, expected 0"),
        (certify(street.domain, 2, block, phase=Phase.PREPARE), "phase PREPARE, expected COMMIT"),
        (certify(street.domain, 3, block), "it is for height 3"),
        (certify(other_chain, 2, block), "does not hold"),
        (certify(other_genesis, 2, block), "does not hold"),
    ):
        offence = offence_with_certificate(street, 2, encode_certificate(forged))
        assert offence is not None, reason
        assert (offence.height, offence.chain, offence.kind) == (2, "round", "certificate")
        assert reason in offence.detail


def test_a_certificate_that_a_quorum_signed_for_another_block(street: Street) -> None:
    offence = offence_with_certificate(street, 2, encode_certificate(certify(street.domain, 2, bytes(32))))
    assert offence is not None
    assert offence.height == 2
    assert offence.kind in ("certificate", "header")


def test_more_signers_than_a_quorum_are_fine(street: Street) -> None:
    block = header_of(street, 2).hash
    four = certify(street.domain, 2, block, signers=(0, 1, 2, 3))
    assert offence_with_certificate(street, 2, encode_certificate(four)) is None


@pytest.mark.parametrize("field", FIELDS)
def test_a_quorum_cannot_certify_a_wrong_header_past_an_auditor(street: Street, field: str) -> None:
    """Any field of the head's header changed, and three of four validators sign it: execution says otherwise."""
    header = header_of(street, HEAD)
    value = getattr(header, field)
    changed = value + 1 if isinstance(value, int) else bytes((value[0] ^ 1,)) + value[1:]
    wrong = replace(header, **{field: changed})  # type: ignore[arg-type]
    forged = encode_certificate(certify(street.domain, HEAD, wrong.hash))
    key = tables.height_key(HEAD)
    with street.altered("headers", key, wrong.encode()), street.altered("certificates", key, forged):
        offence = street.audit().offence
    assert offence is not None
    assert offence.height == HEAD


def test_a_record_and_a_header_that_agree_with_each_other_alone(street: Street) -> None:
    key = tables.height_key(3)
    record = replace(decode_record(street.stored("records")[key]), history_root=bytes(32))
    header = replace(header_of(street, 3), extra_data=record.digest)
    forged = encode_certificate(certify(street.domain, 3, header.hash))
    with (
        street.altered("records", key, record.encode()),
        street.altered("headers", key, header.encode()),
        street.altered("certificates", key, forged),
    ):
        offence = street.audit().offence
    assert offence is not None
    assert (offence.height, offence.chain, offence.kind) == (3, "round", "record")


def test_a_head_that_was_rolled_back_or_forward(street: Street) -> None:
    for height in (HEAD - 1, HEAD + 1):
        with street.altered("meta", b"head", tables.height_key(height)):
            offence = street.audit().offence
        assert offence is not None
        assert offence.height == height


def test_a_running_node_is_audited(tmp_path: Path) -> None:
    made = Street(tmp_path / "node-0")
    result = CliRunner().invoke(app, ["verify", str(made.directory)])
    assert result.output.splitlines()[-1] == f"audit: ok head 0 0x{made.genesis_hash.hex()}"
    fill(made)
    result = CliRunner().invoke(app, ["verify", str(made.directory)])
    made.close()
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith(f"audit: ok head {HEAD} 0x")


def test_a_page_that_kills_the_reader_is_an_offence(tmp_path: Path) -> None:
    made = fill(Street(tmp_path / "node-0"))
    made.close()
    path = made.path / "data.mdb"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 4 // 4096 * 4096)
    result = CliRunner().invoke(app, ["verify", str(made.directory)])
    assert result.exit_code == 1, result.output
    assert "kind database: the reader was killed by signal" in result.output.splitlines()[-1]
