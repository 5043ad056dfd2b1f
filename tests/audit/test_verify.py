"""The audit finds nothing on an honest chain, and names height, chain and kind on a tampered one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.application import make_genesis
from node.audit.report import AuditReport
from node.audit.verify import KIND_OF_TABLE, Auditor
from node.chain.transaction import Transaction
from node.cli import app
from node.genesis import Genesis, load_genesis
from node.rules import RuleBook
from node.storage import CorruptValue, Store
from tests.audit.certified import CertifiedChain
from tests.node.samples import sample_genesis
from tests.storage.raw import entries, overwrite


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[CertifiedChain, list[Transaction]]:
    chain = CertifiedChain(Path(tmp_path_factory.mktemp("audit")) / "node")
    sent = chain.live_a_little()
    chain.close()
    return chain, sent


def audited(chain: CertifiedChain, genesis: Genesis | None = None) -> AuditReport:
    """Audit in this process, as the child does in its own."""
    parsed = genesis or load_genesis(chain.genesis)
    sealed, _ = make_genesis(parsed, RuleBook(parsed.content["rules"], parsed.chain_id).rules_at(0))
    store = Store.open(chain.folder / "chain", chain_id=parsed.chain_id, genesis_hash=sealed.header.hash, readonly=True)
    try:
        with store.read() as view:
            return Auditor(parsed).audit(view)
    finally:
        store.close()


def test_an_honest_chain_is_ok_and_says_what_was_checked(honest: tuple[CertifiedChain, list[Transaction]]) -> None:
    chain, sent = honest
    result = CliRunner().invoke(app, ["audit", "verify", str(chain.folder)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[-1].startswith("audit: ok head 6 0x")
    assert f"transactions {len(sent)}: {len(sent)} signatures" in result.output
    assert "contract chain 2 blocks, ledger chain 5 blocks" in result.output
    assert "supply 5000000 = 5000000 issued on 1 receipts" in result.output
    as_json = json.loads(CliRunner().invoke(app, ["audit", "verify", str(chain.folder), "--json"]).output)
    assert as_json["ok"] is True


def test_another_genesis_file_is_another_chain(
    honest: tuple[CertifiedChain, list[Transaction]], tmp_path: Path
) -> None:
    chain, _ = honest
    content = sample_genesis()
    content["members"][3]["name"] = "another"
    (tmp_path / "genesis.json").write_text(json.dumps(content))
    result = CliRunner().invoke(
        app, ["audit", "verify", str(chain.folder), "--genesis", str(tmp_path / "genesis.json")]
    )
    assert result.exit_code == 2
    assert "expected genesis hash" in result.output


# table, which entry (counted in the order of the keys), where in the payload, what the audit must name
FLIPS = [
    ("headers", 2, -40, 2, "round", None),
    ("bodies", 2, 30, 2, None, None),
    ("receipts", 1, -8, 1, None, "receipt"),
    ("records", 4, 8, 4, "round", "record"),
    ("certificates", 2, -9, 3, "round", "certificate"),
    ("certificates", 4, 8, 5, "round", "certificate"),
    ("senders", 1, 3, 1, "round", "index"),
    ("chains", 1, 60, 2, "contract", "chain block"),
    ("chains", 3, 60, 2, "ledger", "chain block"),
    ("history", 2, 5, 2, "round", "history"),
    ("accounts", 3, -20, 6, "state", "account"),
    ("storage", 5, 0, 6, "state", "storage value"),
    ("codes", 2, 11, 6, "state", "code"),
    ("jumps", 2, 11, 6, "state", "code"),
    ("trie", 9, 40, 6, "state", "trie node"),
    ("accounts_before", 2, -3, 6, "state", "history value"),
    ("storage_before", 15, 0, 6, "state", "history value"),
    ("trie_before", 2, 40, 6, "state", "history value"),
    ("heights", 3, -1, None, "round", "index"),
    ("transactions", 2, -2, None, "round", "index"),
]


@pytest.mark.tamper
@pytest.mark.parametrize("repair", [False, True], ids=["checksum broken", "checksum forged"])
@pytest.mark.parametrize(("table", "entry", "at", "height", "chain_name", "kind"), FLIPS)
def test_one_flipped_byte_is_named(
    honest: tuple[CertifiedChain, list[Transaction]],
    table: str,
    entry: int,
    at: int,
    height: int | None,
    chain_name: str | None,
    kind: str | None,
    repair: bool,
) -> None:
    chain, _ = honest
    database = chain.folder / "chain"
    key, value = list(entries(database, table))[entry]
    payload = bytearray(value[:-4])
    payload[at] ^= 1
    overwrite(database, table, key, bytes(payload) + value[-4:], repair_checksum=repair)
    try:
        result = CliRunner().invoke(app, ["audit", "verify", str(chain.folder)])
        report = audited(chain)
    finally:
        overwrite(database, table, key, value)
    assert result.exit_code == 1, result.output
    offence = report.offence
    assert offence is not None
    said = result.output.splitlines()[-1]
    assert said.startswith(f"audit: FAILED at height {offence.height}, chain {offence.chain}, kind {offence.kind}: ")
    if height is not None and KIND_OF_TABLE[table][0] != "state":
        assert offence.height == height
    if kind is not None:
        assert offence.kind == kind
    if chain_name is not None and not (repair and table == "receipts"):
        assert offence.chain == chain_name
    assert audited(chain).offence is None


@pytest.mark.tamper
def test_a_missing_certificate_and_a_cut_file_are_named(tmp_path: Path) -> None:
    chain = CertifiedChain(tmp_path / "node")
    chain.live_a_little()
    chain.close()
    data = chain.folder / "chain" / "data.mdb"
    content = bytearray(data.read_bytes())
    for at in range(len(content) // 2, len(content)):
        content[at] = 0x5A
    data.write_bytes(content)
    result = CliRunner().invoke(app, ["audit", "verify", str(chain.folder)])
    assert result.exit_code != 0


@pytest.mark.tamper
def test_corrupt_values_are_refused_by_a_running_node_too(honest: tuple[CertifiedChain, list[Transaction]]) -> None:
    chain, _ = honest
    database = chain.folder / "chain"
    key, value = next(iter(entries(database, "accounts")))
    overwrite(database, "accounts", key, value[:-1] + bytes((value[-1] ^ 1,)))
    store = Store.open(database, chain_id=2016, genesis_hash=chain.chain.genesis_hash, readonly=True)
    with store.read() as view, pytest.raises(CorruptValue, match="accounts"):
        view.state.account(key)
    store.close()
    overwrite(database, "accounts", key, value)
