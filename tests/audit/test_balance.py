"""`gridpact audit balance` believes no contract: all proofs and sums are checked, and what is tampered is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.bindings import sealed_meters
from contracts.bindings.sealed_meters import (
    Auditor,
    AuditorsAppointed,
    AuditorSet,
    BalanceOpened,
    FeederAttested,
    PartGiven,
    Sealed,
    SealedAttested,
    WindowClosed,
)
from contracts.system import MARKET, SEALED_METERS
from node.audit.balance import BalanceReport, Logged, Street, check_balance
from node.audit.balance_sources import database_logs, from_directory, from_node
from node.cli import app
from node.client import NodeClient
from node.config import DATABASE_NAME
from privacy.auditors import Ciphertext, decrypt_partially, encrypt, prove_same_amount
from privacy.commitment import commit
from tests.contracts.test_sealed_meters import JOINT_KEY, PUBLIC, SHARES, G
from tests.node.chains import OneChain
from tests.node.samples import account_key, address_of, hex_of, sample_genesis
from tests.privacy.keys import random_bytes, secret
from tests.rpc.harness import RunningNode
from tests.storage.raw import entries, overwrite

CHAIN_ID = 2016
MEMBERS = 4
IMPORT_WH, EXPORT_WH = 4 * (100 + 101 + 102 + 103), 4 * 40


def sections() -> dict[str, Any]:
    """What the genesis file of a private street has besides."""
    auditors = [
        {"account": hex_of(address_of(account_key(f"auditor {i}"))), "public_share": hex_of(G.point_to_bytes(public))}
        for i, public in enumerate(PUBLIC, 1)
    ]
    joint_key, feeder = hex_of(G.point_to_bytes(JOINT_KEY)), hex_of(address_of(account_key("feeder")))
    return {"sealing": {"joint_key": joint_key, "threshold": 2, "feeder_meter": feeder, "auditors": auditors}}


def seal(meter: int, quarter: int, energy_wh: int, *, is_export: bool) -> Sealed:
    """What a meter attests of one direction of a quarter."""
    rho, gamma = (secret(f"{what} {meter} {quarter} {is_export}") for what in ("rho", "gamma"))
    account = address_of(account_key(f"meter {meter}"))
    message = sealed_meters.seal_message(CHAIN_ID, account, quarter, is_export=is_export)
    proof = prove_same_amount(G, JOINT_KEY, energy_wh, rho, gamma, message, random_bytes("seal"))
    points = encrypt(G, JOINT_KEY, energy_wh, rho).to_bytes(G) + G.point_to_bytes(commit(G, energy_wh, gamma))
    return Sealed(points, proof.to_bytes(G))


def attest(meter: int, quarter: int, import_wh: int, export_wh: int) -> bytes:
    imported = seal(meter, quarter, import_wh, is_export=False)
    return sealed_meters.attest(quarter, imported, seal(meter, quarter, export_wh, is_export=True))


def part(auditor: int, window: int, sums: bytes) -> bytes:
    """An auditor's parts of both sums."""
    points = [G.point_from_bytes_checked(sums[at : at + 33]) for at in range(0, 132, 33)]
    parts = [
        decrypt_partially(
            G,
            auditor,
            SHARES[auditor - 1],
            Ciphertext(*points[2 * is_export : 2 * is_export + 2]).ephemeral,
            sealed_meters.request(CHAIN_ID, window, is_export=bool(is_export)),
            random_bytes("part"),
        )
        for is_export in (0, 1)
    ]
    return sealed_meters.give_part(
        window, auditor, [G.point_to_bytes(p.point) for p in parts], [p.proof.to_bytes(G) for p in parts]
    )


def live(chain: OneChain) -> None:
    """Window 0 whole and opened, window 1 attested alone."""
    chain.wall_ms += 7_200_000

    def mine(label: str, data: bytes) -> None:
        chain.mine(chain.transaction(label, SEALED_METERS, data, gas=900_000))
        with chain.store.read() as view:
            assert [receipt.status for receipt in view.receipts(view.head_height)] == [1], label

    for meter in range(MEMBERS):
        for quarter in range(8):
            mine(f"meter {meter}", attest(meter, quarter, 100 + meter, 40 if meter == 1 else 0))
    mine("household 0", sealed_meters.close_window(0))
    with chain.store.read() as view:
        logs = database_logs(view, CHAIN_ID)
    sums = next(entry.event.sums for entry in logs if isinstance(entry.event, WindowClosed))
    for auditor in (1, 3):
        mine(f"auditor {auditor}", part(auditor, 0, sums))
    mine("household 0", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, [1, 3]))
    mine("feeder", sealed_meters.attest_feeder(0, IMPORT_WH - EXPORT_WH + 25, 0))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with that chain."""
    path = tmp_path_factory.mktemp("private") / DATABASE_NAME
    running = RunningNode(path, sections=sections(), open_accounts=True)
    try:
        live(running.backend.chain)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def directory(node: RunningNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of its data directory: a database is opened once in a process."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(node.backend.chain.path, copy / DATABASE_NAME)
    content = {**sample_genesis(MEMBERS, open_accounts=True), **sections()}
    (copy / "genesis.json").write_text(json.dumps(content), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def found(directory: Path) -> tuple[Street, list[Logged]]:
    """What is read of the data directory."""
    return from_directory(directory, None)


# -- what holds


def test_everything_of_an_opened_window_is_checked(found: tuple[Street, list[Logged]]) -> None:
    report = check_balance(found[0], 0, found[1])
    assert report.verdict == (
        "balance: ok window 0: 32 sealed readings, 2 sums, 4 parts and the opening by auditors 1, 3"
    )
    assert (report.sums, report.losses_wh, report.opened_by) == ((IMPORT_WH, EXPORT_WH), 25, (1, 3))
    assert report.as_json()["checked"] == {"same_amount_proofs": 32, "parts": 4}


def test_a_window_that_is_not_closed_says_so(found: tuple[Street, list[Logged]]) -> None:
    report = check_balance(found[0], 1, found[1])
    assert not report.ok
    assert report.verdict == "balance: window 1 is still open: 16 of 16 quarters attested"


def test_a_window_that_is_not_opened_says_so(found: tuple[Street, list[Logged]]) -> None:
    logs = [entry for entry in found[1] if not isinstance(entry.event, BalanceOpened)]
    report = check_balance(found[0], 0, logs)
    assert not report.ok
    assert report.verdict == "balance: window 0 is not opened yet: parts of 2 auditors"
    assert report.losses_wh is None


def test_a_node_tells_the_same_as_the_directory(node: RunningNode, found: tuple[Street, list[Logged]]) -> None:
    street, logs = from_node(NodeClient(node.url), None, 0)
    assert street == found[0]
    quarters = {type(entry.event): entry for entry in logs}
    assert set(quarters) == {SealedAttested, WindowClosed, PartGiven, BalanceOpened, FeederAttested}
    of_window = [e for e in found[1] if not (isinstance(e.event, SealedAttested) and e.event.quarter >= 4)]
    assert logs == of_window
    assert check_balance(street, 0, logs) == check_balance(found[0], 0, found[1])


# -- what is tampered

Tamper = Callable[[list[Logged]], Sequence[Logged]]


def place(logs: Sequence[Logged], kind: type[Any], number: int = 0) -> int:
    """Where the log of a kind is, by its number."""
    return [at for at, entry in enumerate(logs) if isinstance(entry.event, kind)][number]


def changed(kind: type[Any], number: int = 0, **changes: Any) -> Tamper:
    """Change fields of a log's transaction, or of its event (`event_…`)."""

    def tamper(logs: list[Logged]) -> list[Logged]:
        at = place(logs, kind, number)
        entry = logs[at]
        fields: dict[str, Any] = {
            name.removeprefix("event_"): value(getattr(entry.event, name.removeprefix("event_")))
            for name, value in changes.items()
            if name.startswith("event_")
        }
        plain = {name: value(getattr(entry, name)) for name, value in changes.items() if not name.startswith("event_")}
        logs[at] = replace(entry, event=replace(entry.event, **fields), **plain)  # type: ignore[type-var]
        return logs

    return tamper


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[: at % len(raw)] + bytes((raw[at % len(raw)] ^ 1,)) + raw[at % len(raw) + 1 :]


def dropped(kind: type[Any], number: int = 0) -> Tamper:
    def tamper(logs: list[Logged]) -> list[Logged]:
        del logs[place(logs, kind, number)]
        return logs

    return tamper


def again(kind: type[Any]) -> Tamper:
    def tamper(logs: list[Logged]) -> list[Logged]:
        at = place(logs, kind)
        return [*logs[: at + 1], *logs[at:]]

    return tamper


def proof_flipped(import_or_export: int) -> Tamper:
    """Change a proof within the transaction of meter 0's quarter 0."""

    def tamper(logs: list[Logged]) -> list[Logged]:
        at = place(logs, SealedAttested)
        quarter, *sealed = sealed_meters.attested(logs[at].data)
        sealed[import_or_export] = replace(sealed[import_or_export], proof=flipped(-1)(sealed[0].proof))
        logs[at] = replace(logs[at], data=sealed_meters.attest(quarter, *sealed))
        return logs

    return tamper


def reading_of(energy_wh: int) -> Tamper:
    """Another reading of meter 0's quarter 0, well proved: no proof fails, but the sums do."""

    def tamper(logs: list[Logged]) -> list[Logged]:
        at = place(logs, SealedAttested)
        data = attest(0, 0, energy_wh, 0)
        _, imported, exported = sealed_meters.attested(data)
        event = replace(logs[at].event, import_points=imported.points, export_points=exported.points)  # type: ignore[type-var]
        logs[at] = replace(logs[at], data=data, event=event)
        return logs

    return tamper


def part_of(auditor: int, window: int) -> Tamper:
    """Auditor 1's part replaced by one that is made with another share, or for another window."""

    def tamper(logs: list[Logged]) -> list[Logged]:
        sums = next(entry.event.sums for entry in logs if isinstance(entry.event, WindowClosed))
        _, _, parts, proofs = sealed_meters.given_part(part(auditor, window, sums))
        at = place(logs, PartGiven)
        event = replace(logs[at].event, import_part=parts[0], export_part=parts[1])  # type: ignore[type-var]
        logs[at] = replace(logs[at], data=sealed_meters.give_part(0, 1, parts, proofs), event=event)
        return logs

    return tamper


@pytest.mark.parametrize(
    ("tamper", "offence"),
    [
        (proof_flipped(0), "quarter 0, import: the proof of the same amount does not hold"),
        (proof_flipped(1), "quarter 0, export: the proof of the same amount does not hold"),
        (changed(SealedAttested, event_import_points=flipped(40)), "import: the log has other points"),
        (changed(SealedAttested, event_export_points=flipped(98)), "export: the log has other points"),
        (changed(SealedAttested, event_quarter=lambda q: q + 1), "the transaction attests quarter 0"),
        (changed(SealedAttested, event_meter=lambda _: bytes(20)), "not certified by the genesis file"),
        (changed(SealedAttested, sender=lambda _: bytes(20)), "sent by 0x0000"),
        (changed(SealedAttested, to=lambda _: MARKET), "a transaction to another account"),
        (changed(SealedAttested, data=lambda raw: raw[:40]), "something cannot be read"),
        (changed(SealedAttested, data=lambda _: b""), "something cannot be read"),
        (again(SealedAttested), "quarter 0: attested twice"),
        (dropped(SealedAttested), "closed with 16 quarters, but 15 were attested"),
        (reading_of(99), "the sum of the imports is not that of the readings"),
        (changed(WindowClosed, event_sums=flipped(1)), "the sum of the imports is not that of the readings"),
        (changed(WindowClosed, event_sums=flipped(131)), "the sum of the exports is not that of the readings"),
        (again(WindowClosed), "closed twice"),
        (lambda logs: [*logs, logs[0]], "quarter 0: attested after the closing"),
        (dropped(WindowClosed), "opened before it was closed"),
        (changed(PartGiven, event_import_part=flipped(3)), "part of auditor 1: the log has other points"),
        (changed(PartGiven, data=flipped(-1)), "part of auditor 1, export: the proof does not hold"),
        (part_of(2, 0), "part of auditor 1, import: the proof does not hold"),
        (part_of(1, 1), "part of auditor 1, import: the proof does not hold"),
        (changed(PartGiven, sender=lambda _: bytes(20)), "part of auditor 1: the transaction is another's"),
        (changed(PartGiven, event_auditor=lambda _: 9), "part of auditor 9: there are 3"),
        (dropped(PartGiven), "opened by auditors 1, 3, of whom not enough gave parts"),
        (changed(BalanceOpened, event_auditors=lambda _: (1,)), "opened by auditors 1, of whom not enough"),
        (changed(BalanceOpened, event_auditors=lambda _: (1, 2)), "opened by auditors 1, 2, of whom not enough"),
        (changed(BalanceOpened, event_import_wh=lambda v: v + 1), f"do not open the imports to {IMPORT_WH + 1} Wh"),
        (changed(BalanceOpened, event_export_wh=lambda v: v - 1), f"do not open the exports to {EXPORT_WH - 1} Wh"),
        (changed(FeederAttested, sender=lambda _: bytes(20)), "not by the feeder's meter"),
    ],
)
def test_what_is_tampered_is_named(found: tuple[Street, list[Logged]], tamper: Tamper, offence: str) -> None:
    report = check_balance(found[0], 0, tamper(list(found[1])))
    assert not report.ok
    assert offence in report.offence
    assert report.verdict == f"balance: FAILED window 0: {report.offence}"


def test_auditors_whose_shares_do_not_make_the_joint_key_open_nothing(found: tuple[Street, list[Logged]]) -> None:
    street, logs = found
    other = G.point_to_bytes(G.multiply_generator(secret("other")))
    auditors = [*street.auditors.auditors[:2], Auditor(street.auditors.auditors[2].account, other)]
    report = check_balance(replace(street, auditors=replace(street.auditors, auditors=tuple(auditors))), 0, logs)
    assert report.offence == "part of auditor 3, import: the proof does not hold"
    key = replace(street.auditors, joint_key=other)
    assert "the proof of the same amount does not hold" in check_balance(replace(street, auditors=key), 0, logs).offence


def test_later_auditors_are_those_that_were_voted_for(found: tuple[Street, list[Logged]]) -> None:
    """Their votes are the transactions of their appointments; those of a later window change nothing."""
    street, logs = found
    later = AuditorSet(0, 2, G.point_to_bytes(G.multiply_generator(secret("later"))), street.auditors.auditors)
    vote = Logged(AuditorsAppointed(0, 1, bytes(32)), bytes(20), SEALED_METERS, sealed_meters.vote_for_auditors(later))
    assert "the proof of the same amount does not hold" in check_balance(street, 0, [vote, *logs]).offence
    far = replace(vote, event=AuditorsAppointed(1, 1, bytes(32)))
    assert check_balance(street, 0, [far, *logs]).ok
    lied = replace(vote, data=sealed_meters.vote_for_auditors(replace(later, from_window=5)))
    assert "the vote is for others" in check_balance(street, 0, [lied, *logs]).offence


# -- the command


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "balance", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def refused(*words: str, expected: str) -> None:
    status, text = run(*words)
    assert status == 2
    assert expected in text


def test_the_command_prints_what_it_checked(node: RunningNode, directory: Path) -> None:
    genesis = str(directory / "genesis.json")
    for source in ([str(directory)], ["--rpc", node.url], ["--rpc", node.url, "--genesis", genesis]):
        status, text = run("--window", "0", *source)
        assert status == 0, text
        assert f"{IMPORT_WH} Wh" in text
        assert "balance: ok window 0" in text
    status, text = run("--window", "1", str(directory), "--json")
    assert (status, json.loads(text)["closed"]) == (1, False)


def test_the_command_wants_one_source_of_that_chain(node: RunningNode, directory: Path, tmp_path: Path) -> None:
    for words in (["--window", "0"], ["--window", "0", str(directory), "--rpc", node.url]):
        refused(*words, expected="either a data directory or --rpc")
    other = tmp_path / "genesis.json"
    other.write_text(json.dumps(sample_genesis()), encoding="utf-8")
    refused("--window", "0", "--rpc", node.url, "--genesis", str(other), expected="that has another one")
    refused("--window", "0", str(directory), "--genesis", str(other), expected="no sealed meters")
    refused("--window", "0", "--rpc", "http://127.0.0.1:9", expected="http://127.0.0.1:9")


def test_a_damaged_value_fails(tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    content = {**sample_genesis(MEMBERS, open_accounts=True), **sections()}
    (folder / "genesis.json").write_text(json.dumps(content), encoding="utf-8")
    chain = OneChain(folder / DATABASE_NAME, sections=sections(), open_accounts=True)
    chain.wall_ms += 3_600_000
    chain.mine(chain.transaction("meter 0", SEALED_METERS, attest(0, 0, 1, 0), gas=900_000))
    chain.close()
    key, value = max(entries(folder / DATABASE_NAME, "bodies"))
    overwrite(folder / DATABASE_NAME, "bodies", key, flipped(len(value) // 2)(value), repair_checksum=False)
    status, text = run("--window", "0", str(folder))
    assert (status, "balance: FAILED window 0: corrupt value" in text) == (1, True)


def test_a_report_of_nothing_is_not_ok() -> None:
    assert not BalanceReport(0, 16).ok
