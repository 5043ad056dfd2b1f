"""`gridpact audit trace`, `open`, `disclose` and `verify-disclosure` against a real node: all steps, and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from contracts.bindings import disclosures, privacy_registry
from contracts.system import DISCLOSURES, PRIVACY_REGISTRY, PRIVATE_MARKET
from privacy.envelopes import call_images, scope_of
from privacy.secp256k1 import SECP256K1
from tests.agents.disclosure.chain import (
    BAD_DEALER,
    NOTE_MICROEUR,
    READING_WH,
    WINDOW,
    PrivateChain,
    account_of,
    secrets_of,
)
from tests.contracts.street import CHAIN_ID, account, hexed
from tests.node.samples import account_key, address_of

ASKED = "the court, 3 May"
REASON = "dan says that the offer was a hoax"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateChain]:
    made = PrivateChain(tmp_path_factory.mktemp("private"))
    yield made
    made.close()


def ok(result: object) -> str:
    """What a command printed that must have succeeded."""
    assert result.exit_code == 0, result.output  # type: ignore[attr-defined]
    return str(result.stdout)  # type: ignore[attr-defined]


def requested(printed: str) -> str:
    """The id that `request` printed."""
    return printed.split()[1]


def trace_of(chain: PrivateChain, member: int, *approving: str) -> str:
    """Let eve request to trace a member in the window, and others approve; return the request's id."""
    words = ("request", "--member", hexed(account_of(member)), "--window", str(WINDOW), "--reason", REASON)
    request = requested(ok(chain.trace(*words, *chain.secret("--key", "eve"))))
    for name in approving:
        shown = ok(chain.trace("approve", request, *chain.secret("--key", name)))
        assert f"the action of member {hexed(account_of(member))} for window {WINDOW}" in shown
    return request


def part(chain: PrivateChain, request: str, name: str, file: str) -> str:
    """Let an auditor write its part of a trace; return the file."""
    ok(chain.trace("part", request, *chain.secret("--box-key", f"{name}-box"), "--out", chain.file(file)))
    return chain.file(file)


def test_two_auditors_trace_one_action_on_record(chain: PrivateChain) -> None:
    request = trace_of(chain, 0, "gus")
    parts = [part(chain, request, name, f"trace-{name}.json") for name in ("eve", "gus")]
    printed = ok(chain.trace("open", request, *parts))
    scope = scope_of(CHAIN_ID, PRIVACY_REGISTRY, PRIVATE_MARKET, WINDOW)
    _, tag = call_images(scope, (secrets_of(0).ring, secrets_of(0).trace))
    assert f"trace tag {hexed(tag)}\n" in printed
    assert f"transaction {chain.transaction} in block " in printed
    assert f"nullifier {chain.nullifier}\n" in printed
    view = disclosures.request_of(bytes.fromhex(request[2:]))
    call = {"to": hexed(DISCLOSURES), "data": hexed(view.data)}
    on_record = view.decode(bytes.fromhex(chain.node.result("eth_call", call, "latest")[2:]))
    assert on_record.auditors == (account("eve"), account("gus"))
    assert on_record.reason == keccak(REASON.encode())


def test_a_member_that_made_no_call_is_seen_to_have_made_none(chain: PrivateChain) -> None:
    request = trace_of(chain, 1, "fay")
    parts = [part(chain, request, name, f"none-{name}.json") for name in ("eve", "fay")]
    printed = ok(chain.trace("open", request, *parts))
    assert f"no call of this member for window {WINDOW}" in printed
    assert chain.transaction not in printed


def test_one_auditor_opens_nothing_and_a_wrong_part_is_named(chain: PrivateChain) -> None:
    request = trace_of(chain, 0, "fay")
    first, second = (part(chain, request, name, f"few-{name}.json") for name in ("eve", "fay"))
    alone = chain.trace("open", request, first)
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert "parts of 1 auditors: expected 2; fewer open nothing" in alone.stderr
    forged = json.loads(Path(second).read_text())
    forged["point"] = json.loads(Path(first).read_text())["point"]
    Path(chain.file("forged.json")).write_text(json.dumps(forged))
    wrong = chain.trace("open", request, first, chain.file("forged.json"))
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert f"the part of auditor 2 ({hexed(account('fay'))}): the proof does not hold" in wrong.stderr
    other = trace_of(chain, 1, "fay")
    elsewhere = chain.trace("open", other, first, second)
    assert f"the part of auditor 1 ({hexed(account('eve'))}): it is for request {request}" in elsewhere.stderr


def test_who_did_not_approve_writes_no_part(chain: PrivateChain) -> None:
    request = trace_of(chain, 0)
    refused = chain.trace(
        "part", request, *chain.secret("--box-key", "gus-box"), "--out", chain.file("without-approval.json")
    )
    assert refused.exit_code == 2
    assert f"auditor 3 ({hexed(account('gus'))}) neither requested nor approved request {request}" in refused.stderr
    assert not Path(chain.file("without-approval.json")).exists()
    assert "the auditor stands behind this request already" in _lower(
        chain.trace("approve", request, *chain.secret("--key", "eve")).stderr
    )
    unknown = chain.trace(
        "part", "0x" + "11" * 32, *chain.secret("--box-key", "gus-box"), "--out", chain.file("unknown.json")
    )
    assert "no such request" in unknown.stderr
    amount = chain.open("part", request, *chain.secret("--share", "eve-share"), "--out", chain.file("kind.json"))
    assert "it is of kind trace, expected one of kind amount" in amount.stderr


def _lower(text: str) -> str:
    return text.lower()


def test_a_file_is_never_overwritten(chain: PrivateChain) -> None:
    request = trace_of(chain, 0)
    path = Path(part(chain, request, "eve", "kept.json"))
    before = path.read_text()
    again = chain.trace("part", request, *chain.secret("--box-key", "eve-box"), "--out", str(path))
    assert (again.exit_code, "a new file that can be written" in again.stderr) == (2, True)
    assert path.read_text() == before


def test_what_cannot_be_requested_is_not_sent(chain: PrivateChain) -> None:
    secret = chain.secret("--key", "eve")
    stranger = hexed(address_of(account_key("stranger")))
    nobody = chain.trace("request", "--member", stranger, "--window", "2", "--reason", "x", *secret)
    assert f"account {stranger} is not in the ring of window 2" in nobody.stderr
    early = chain.trace("request", "--member", hexed(account_of(0)), "--window", "1", "--reason", "x", *secret)
    assert "is not in the ring of window 1" in early.stderr
    both = chain.open("request", "--note", "0", "--ciphertext", "0x", "--reason", "x", *secret)
    assert "one of --ciphertext, --note and --reading" in both.stderr
    for reading in ("0x12:0:import", "x", f"{stranger}:a:import", f"{stranger}:0:both", f"{stranger}:0:import"):
        refused = chain.open("request", "--reading", reading, "--reason", "x", *secret)
        assert refused.exit_code == 2, refused.output
    assert "there is no note 77" in chain.open("request", "--note", "77", "--reason", "x", *secret).stderr


@pytest.mark.parametrize(
    ("what", "amount"),
    [
        (("--note", "0"), NOTE_MICROEUR),
        (("--reading", f"{hexed(address_of(account_key('meter 0')))}:0:import"), READING_WH),
        (("--reading", f"{hexed(address_of(account_key('meter 0')))}:0:export"), 0),
    ],
)
def test_two_auditors_open_one_amount_on_record(chain: PrivateChain, what: tuple[str, str], amount: int) -> None:
    request = requested(ok(chain.open("request", *what, "--reason", REASON, *chain.secret("--key", "fay"))))
    assert "the amount in 0x" in ok(chain.open("approve", request, *chain.secret("--key", "gus")))
    parts = []
    for name in ("fay", "gus"):
        parts.append(chain.file(f"{name}-{amount}.json"))
        ok(chain.open("part", request, *chain.secret("--share", f"{name}-share"), "--out", parts[-1]))
    alone = chain.open("amount", request, parts[0])
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert ok(chain.open("amount", request, *parts)).endswith(f"\namount {amount}\n")
    without = chain.open("part", request, *chain.secret("--share", "eve-share"), "--out", chain.file("eve.json"))
    assert "auditor 1 " in without.stderr
    assert "neither requested nor approved" in without.stderr


def test_a_right_share_is_no_ground_for_a_complaint(chain: PrivateChain) -> None:
    words = ("complain", "--member", hexed(account_of(0)), "--window", str(WINDOW))
    keys = (*chain.secret("--key", "eve"), *chain.secret("--box-key", "eve-box"))
    right = chain.trace(*words, *keys)
    assert (right.exit_code, "this one is, and nothing was sent" in right.stderr) == (2, True)
    other = chain.trace(*words, *chain.secret("--key", "eve"), *chain.secret("--box-key", "gus-box"))
    assert "expected one of the auditors, and its key" in other.stderr


def test_enough_complaints_take_a_bad_dealer_out_of_the_ring_until_it_is_readmitted(chain: PrivateChain) -> None:
    words = ("complain", "--member", hexed(account_of(BAD_DEALER)), "--window", str(WINDOW))
    for name in ("eve", "gus"):
        keys = (*chain.secret("--key", name), *chain.secret("--box-key", f"{name}-box"))
        assert "complaint in block" in ok(chain.trace(*words, *keys))
    view = privacy_registry.rows_of(WINDOW + 1)
    call = {"to": hexed(PRIVACY_REGISTRY), "data": hexed(view.data)}
    rows = view.decode(bytes.fromhex(chain.node.result("eth_call", call, "latest")[2:]))
    assert [row.account for row in rows] == [account_of(member) for member in range(BAD_DEALER)]
    readmit = ("readmit", "--member", hexed(account_of(BAD_DEALER)))
    assert "barred until more auditors say so" in ok(chain.trace(*readmit, *chain.secret("--key", "fay")))
    again = chain.trace(*readmit, *chain.secret("--key", "fay"))
    assert (again.exit_code, "ReadmittedBefore" in again.stderr) == (2, True)
    assert "the member may register again" in ok(chain.trace(*readmit, *chain.secret("--key", "eve")))
    nothing = chain.trace(*readmit, *chain.secret("--key", "gus"))
    assert "is not barred" in nothing.stderr


# -- members


def test_a_member_confirms_and_another_denies_an_action(chain: PrivateChain) -> None:
    for member, says in ((0, "confirm"), (1, "deny")):
        path = chain.file(f"action-{member}.json")
        words = ("--window", str(WINDOW), "--nullifier", chain.nullifier, "--challenge", ASKED, "--out")
        key = chain.secret(*(("--key", "household-0") if member == 0 else ("--ring-key", "ring-1")))
        lie = {"confirm": "deny", "deny": "confirm"}[says]
        refused = chain.disclose("action", lie, *words, path, *key)
        assert (refused.exit_code, Path(path).exists()) == (2, False)
        assert "nothing was written" in refused.stderr
        ok(chain.disclose("action", says, *words, path, *key))
        printed = ok(chain.verify(path, "--challenge", ASKED))
        verb = "is" if says == "confirm" else "is not"
        assert f"for window {WINDOW} {verb} of member {hexed(account_of(member))}" in printed
        assert f"transaction {chain.transaction} in block" in printed
        for other in ("another court", ""):
            assert chain.verify(path, "--challenge", other).exit_code == 1


def test_a_member_confirms_and_another_denies_a_note(chain: PrivateChain) -> None:
    for member, says in ((0, "confirm"), (1, "deny")):
        path = chain.file(f"note-{member}.json")
        words = ("--note", "0", "--account", hexed(account_of(member)), "--challenge", ASKED, "--out", path)
        ok(chain.disclose("note", says, *words, "--view-key", chain.file(f"view-{member}")))
        printed = ok(chain.verify(path, "--challenge", ASKED))
        verb = "is" if says == "confirm" else "is not"
        assert f"note 0 {verb} of member {hexed(account_of(member))}, by its address from window {WINDOW}" in printed
    stolen = ("--note", "0", "--account", hexed(account_of(1)), "--challenge", ASKED, "--out", chain.file("no.json"))
    refused = chain.disclose("note", "deny", *stolen, "--view-key", chain.file("view-0"))
    assert "never registered this viewing key" in refused.stderr
    for text in ("", "view:gridpact:0x12", "st:gridpact:0x" + "11" * 65, "view:gridpact:0x" + "ff" * 65, "\u20ac"):
        Path(chain.file("no-view-key")).write_text(text, encoding="utf-8")
        refused = chain.disclose("note", "deny", *stolen, "--view-key", chain.file("no-view-key"))
        assert "expected what `gridpact wallet export-view-key` printed" in refused.stderr
    assert "a readable file" in chain.disclose("note", "deny", *stolen, "--view-key", chain.file("nowhere")).stderr


def test_a_statement_that_was_changed_proves_nothing(chain: PrivateChain) -> None:
    path = chain.file("changed.json")
    words = ("--window", str(WINDOW), "--nullifier", chain.nullifier, "--challenge", ASKED, "--out", path)
    ok(chain.disclose("action", "confirm", *words, *chain.secret("--ring-key", "ring-0")))
    good = json.loads(Path(path).read_text())
    for change in (
        {"account": hexed(account_of(1))},
        {"mine": False},
        {"chain_id": 5},
        {"point": hexed(SECP256K1.point_to_bytes(SECP256K1.generator))},
        {"proof": "0x" + "00" * 64},
        {"proof": "0x"},
    ):
        Path(path).write_text(json.dumps(good | change))
        refused = chain.verify(path, "--challenge", ASKED)
        assert refused.exit_code == 1, refused.output
        assert "disclosure: NOT VALID" in refused.stdout


def test_a_ring_key_of_no_member_speaks_of_no_action(chain: PrivateChain) -> None:
    words = ("--window", str(WINDOW), "--nullifier", chain.nullifier, "--challenge", ASKED)
    out = ("--out", chain.file("nobody.json"))
    refused = chain.disclose("action", "deny", *words, *out, *chain.secret("--ring-key", "eve-box"))
    assert f"is not in the ring of window {WINDOW}" in refused.stderr
    wrong = chain.disclose(
        "action",
        "deny",
        "--window",
        "2",
        "--nullifier",
        "0x12",
        "--challenge",
        ASKED,
        *out,
        *chain.secret("--ring-key", "ring-0"),
    )
    assert "--nullifier: expected 0x and 66" in wrong.stderr
