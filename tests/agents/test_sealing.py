"""What a meter seals, it alone opens; the wire, and the feeder's meter at the end of all wires."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_keys.datatypes import PrivateKey

from agents.devices.feeder import FeederMeter, FeederReading
from agents.devices.sealing import MeterSeal
from agents.devices.wire import Wire
from contracts.bindings.sealed_meters import Sealed, seal_message
from privacy.auditors import ciphertext_from_bytes_checked, find_amount, same_amount_from_bytes_checked
from privacy.auditors import same_amount_holds as holds
from privacy.commitment import opens
from privacy.secp256k1 import SECP256K1 as G
from tests.privacy.keys import secret

CHAIN = 2016
KEY = PrivateKey(b"\x07" * 32)
SEAL = MeterSeal(KEY, CHAIN)
JOINT_SECRET = secret("joint")
JOINT_KEY = G.multiply_generator(JOINT_SECRET)


def proof_holds(sealed: Sealed, quarter: int, *, is_export: bool) -> bool:
    message = seal_message(CHAIN, SEAL.meter, quarter, is_export=is_export)
    ciphertext = ciphertext_from_bytes_checked(G, sealed.points[:66])
    commitment = G.point_from_bytes_checked(sealed.points[66:])
    return holds(G, JOINT_KEY, ciphertext, commitment, message, same_amount_from_bytes_checked(G, sealed.proof))


@pytest.mark.parametrize(("energy_wh", "is_export"), [(0, False), (0, True), (123, False), (2**32 - 1, True)])
def test_what_is_sealed_is_proved_and_opens_to_the_reading(energy_wh: int, is_export: bool) -> None:
    sealed = SEAL.seal(JOINT_KEY, 5, energy_wh, is_export=is_export)
    assert proof_holds(sealed, 5, is_export=is_export)
    assert not proof_holds(sealed, 6, is_export=is_export)
    assert not proof_holds(sealed, 5, is_export=not is_export)
    commitment = G.point_from_bytes_checked(sealed.points[66:])
    assert opens(G, commitment, energy_wh, SEAL.blinding(5, is_export=is_export))
    assert not opens(G, commitment, energy_wh + 1, SEAL.blinding(5, is_export=is_export))


def test_the_auditors_key_opens_the_ciphertext() -> None:
    ciphertext = ciphertext_from_bytes_checked(G, SEAL.seal(JOINT_KEY, 5, 321, is_export=False).points[:66])
    opened = G.subtract(ciphertext.masked, G.multiply(JOINT_SECRET, ciphertext.ephemeral))
    assert find_amount(G, opened, 1 << 10) == 321


def test_a_window_opens_by_the_sum_of_its_blindings() -> None:
    readings = {quarter: 100 + quarter for quarter in range(8, 12)}
    points = [SEAL.seal(JOINT_KEY, q, v, is_export=True).points[66:] for q, v in readings.items()]
    total = G.sum(map(G.point_from_bytes_checked, points))
    assert opens(G, total, sum(readings.values()), SEAL.sum_of_blindings(readings, is_export=True))
    assert not opens(G, total, sum(readings.values()), SEAL.sum_of_blindings(readings, is_export=False))


def test_the_same_reading_is_sealed_to_the_same_bytes() -> None:
    """A meter that starts again must not say a second thing of a quarter."""
    again = MeterSeal(PrivateKey(b"\x07" * 32), CHAIN)
    assert again.seal(JOINT_KEY, 9, 40, is_export=False) == SEAL.seal(JOINT_KEY, 9, 40, is_export=False)


def test_no_two_quarters_directions_meters_or_chains_share_a_blinding_or_an_ephemeral_key() -> None:
    """Two commitments with one blinding tell the difference of what they hold."""
    blindings, ephemerals = set(), set()
    others = [SEAL, MeterSeal(PrivateKey(b"\x08" * 32), CHAIN), MeterSeal(KEY, CHAIN + 1)]
    rows = [(seal, quarter, d) for seal in others for quarter in (0, 1, 255, 256, 2**32) for d in (False, True)]
    for seal, quarter, is_export in rows:
        blindings.add(seal.blinding(quarter, is_export=is_export))
        points = seal.seal(JOINT_KEY, quarter, 7, is_export=is_export).points
        ephemerals |= {points[:33], G.point_to_bytes(G.multiply_generator(seal.blinding(quarter, is_export=is_export)))}
    assert len(blindings) == len(rows)
    assert len(ephemerals) == 2 * len(rows)


def test_another_reading_of_a_quarter_has_another_proof_nonce() -> None:
    """Responses of two proofs with one mask would give the secrets away."""
    one, two = (SEAL.seal(JOINT_KEY, 3, energy, is_export=False) for energy in (1, 2))
    proofs = [same_amount_from_bytes_checked(G, each.proof) for each in (one, two)]
    rho = {
        (p.encryption - q.encryption) * G.inverse(G.scalar(q.challenge - p.challenge)) % G.order
        for p in proofs
        for q in proofs
        if p is not q
    }
    ephemeral = G.point_from_bytes_checked(one.points[:33])
    assert all(G.multiply_generator(G.scalar(guess)) != ephemeral for guess in rho)


# -- wires


def test_a_wire_says_what_flowed_once_and_ignores_a_torn_line(tmp_path: Path) -> None:
    wire, feeder_end = Wire(tmp_path / "street" / "wire-0"), Wire(tmp_path / "street" / "wire-0")
    assert feeder_end.flows(range(4)) == {}
    wire.flow(0, 10, 0)
    wire.flow(1, 0, 5)
    wire.flow(1, 0, 5)
    with (tmp_path / "street" / "wire-0").open("ab") as file:
        file.write(b"[2, 1")
    assert feeder_end.flows(range(4)) == {0: (10, 0), 1: (0, 5)}
    with (tmp_path / "street" / "wire-0").open("ab") as file:
        file.write(b"7, 0]\n")
    assert feeder_end.flows(range(4)) == {0: (10, 0), 1: (0, 5), 2: (17, 0)}


def test_the_feeder_brings_what_the_street_lacks_and_what_is_lost(tmp_path: Path) -> None:
    wires = [Wire(tmp_path / name) for name in "ab"]
    meter = FeederMeter(wires, 2, 15)
    wires[0].flow(0, 1000, 0)
    wires[1].flow(0, 0, 400)
    assert meter.read(0) == FeederReading(615, 0, whole=False)
    wires[0].flow(1, 200, 0)
    wires[1].flow(1, 0, 500)
    assert meter.read(0) == FeederReading(615, 297, whole=True)
    assert meter.read(1) == FeederReading(0, 0, whole=False)
    wires[0].flow(2, 200, 0)
    assert meter.read(0).whole
