"""A proof convinces someone who has the genesis file and nothing else; a changed one convinces nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.audit.commands import app
from node.audit.proof import check
from node.chain.proofs import InvalidProof, parse_proof
from node.chain.transaction import Transaction
from node.genesis import load_genesis
from tests.audit.certified import CertifiedChain
from tests.node.samples import sample_genesis


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[CertifiedChain, list[Transaction]]:
    one = CertifiedChain(Path(tmp_path_factory.mktemp("proof")) / "node")
    sent = one.live_a_little()
    one.close()
    return one, sent


def proof_of(chain: CertifiedChain, tx: Transaction, out: Path) -> dict[str, Any]:
    words = ["proof", "0x" + tx.hash.hex(), "--data", str(chain.folder), "--out", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def test_every_transaction_can_be_proved(chain: tuple[CertifiedChain, list[Transaction]], tmp_path: Path) -> None:
    one, sent = chain
    for tx in sent:
        proof_of(one, tx, tmp_path / "proof.json")
        words = ["check-proof", str(tmp_path / "proof.json"), "--genesis", str(one.genesis)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert f"proof: ok transaction 0x{tx.hash.hex()} succeeded" in result.output


def mutations(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the proof with each field changed in one place, emptied, and cut."""
    for key, value in content.items():
        if isinstance(value, dict):
            for inner, changed in mutations(value):
                yield f"{key}.{inner}", content | {key: changed}
        else:
            for wrong in _wrong(value):
                yield key, content | {key: wrong}


def _wrong(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [_flipped(value), "0x", value[:-2], value + "00", 5, None]
    if isinstance(value, int):
        return [value + 1, -1, "0", 10**30]
    if not value:
        return ["0x", ["0x" + "00" * 32]]
    return [[], value[:-1], "0x", [*value[:-1], _flipped(value[-1])]]


def _flipped(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def test_every_changed_field_is_refused(chain: tuple[CertifiedChain, list[Transaction]], tmp_path: Path) -> None:
    one, sent = chain
    genesis = load_genesis(one.genesis)
    content = proof_of(one, sent[3], tmp_path / "proof.json")
    check(parse_proof(content), genesis)
    seen = 0
    for key, changed in mutations(content):
        if changed == content:
            continue
        try:
            check(parse_proof(changed), genesis)
        except InvalidProof:
            seen += 1
        else:
            pytest.fail(f"accepted with {key} changed")
    assert seen > 50


def test_a_proof_of_another_chain_is_refused(chain: tuple[CertifiedChain, list[Transaction]], tmp_path: Path) -> None:
    one, sent = chain
    proof_of(one, sent[0], tmp_path / "proof.json")
    content = sample_genesis()
    content["schedule"]["settlement_deadline_windows"] = 5
    (tmp_path / "other.json").write_text(json.dumps(content))
    words = ["check-proof", str(tmp_path / "proof.json"), "--genesis", str(tmp_path / "other.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "proof: NOT VALID: height 1: certificate" in result.output


def test_nonsense_is_answered_with_what_is_wrong(
    chain: tuple[CertifiedChain, list[Transaction]], tmp_path: Path
) -> None:
    one, _ = chain
    for text in ("", "[]", "{}", "nonsense", "[" * 50_000, '{"format": "gridpact-proof/1"}'):
        (tmp_path / "proof.json").write_text(text)
        words = ["check-proof", str(tmp_path / "proof.json"), "--genesis", str(one.genesis)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1, text[:20]
        assert "NOT VALID" in result.output
    result = CliRunner().invoke(app, ["proof", "0x" + "11" * 32, "--data", str(one.folder)])
    assert result.exit_code == 1
    assert "is not committed" in result.output
