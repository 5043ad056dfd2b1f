"""A node key in a process of its own: it signs what an honest node asks for and no more, whatever happens to it."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from nacl.signing import VerifyKey
from typer.testing import CliRunner

from consensus.types import Domain, Phase, signature_holds
from contracts.bindings.consortium_votes import Equivocation, ready_bytes
from node.chain.transaction import decode_transaction
from node.cli import app
from node.config import SignerAddress
from node.driver import wal
from node.driver.signer import Contradiction, SignerAway
from node.driver.wal import HEAD, DamagedLog, OtherLog
from node.evidence import reporter_account
from node.keys import SCRYPT_LIGHT, node_key_of, save_key
from node.p2p.certificates import make_leaf, peer_key
from node.signer import remote
from node.signer.config import load_signer_config, locked
from node.signer.frames import LENGTH, MAX_FRAME_BYTES, Answer, Kind, pack, unpack
from node.signer.journal import SignerJournal
from node.signer.remote import RemoteSigner, greet
from node.signer.server import SignerServer, SocketTaken
from tests.driver.test_signer import A, B, vote
from tests.node.real_application import RealCluster, household
from tests.node.samples import sample_genesis, seed
from tests.node.test_four_validators import settle, transfer

SEED = seed("node 0")
KEY = node_key_of(SEED)
DOMAIN = Domain(2016, b"\x47" * 32)
BOUND_S = 10.0


@contextmanager
def serving(folder: Path, secret: bytes = SEED, domain: Domain = DOMAIN) -> Iterator[SignerAddress]:
    """Run a signer in a thread, with its journal in a folder, and end it afterwards."""
    journal = SignerJournal(folder / "votes", domain, node_key_of(secret))
    server = SignerServer(secret, domain, journal)
    up, loop = threading.Event(), asyncio.new_event_loop()

    async def main() -> None:
        ready = asyncio.Event()
        task = asyncio.create_task(server.serve(folder / "socket", ready))
        await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        up.set()
        with suppress(asyncio.CancelledError, wal.WriteAheadLogError):
            await task

    def run() -> None:
        loop.run_until_complete(main())
        loop.run_until_complete(asyncio.sleep(0))  # connections end in the turn after

    def end() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert up.wait(BOUND_S)
        yield SignerAddress(folder / "socket", node_key_of(secret))
    finally:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(end)
        thread.join(BOUND_S)
        loop.close()
        journal.close()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[SignerAddress]:
    """Run a signer."""
    with serving(tmp_path) as address:
        yield address


def test_everything_that_a_node_key_signs_comes_over_the_socket(address: SignerAddress) -> None:
    signer = RemoteSigner(address, DOMAIN)
    assert signature_holds(DOMAIN, signer.sign(vote()))
    assert signer.sign(vote()) == signer.sign(vote())
    VerifyKey(KEY).verify(ready_bytes(2016, DOMAIN.genesis_hash, 7, A), signer.show_ready(7, A))
    leaf = make_leaf(signer.issue_leaf, datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC))
    certificate = x509.load_pem_x509_certificate(leaf)
    assert peer_key(certificate.public_bytes(Encoding.DER), [KEY]) == KEY
    assert certificate.not_valid_after_utc > datetime.datetime.now(datetime.UTC)  # the signer's clock, not the asker's
    found = Equivocation(KEY, 0, 3, 1, 2, A, bytes(64), B, bytes(64))
    sent = decode_transaction(signer.report(found, 5), 2016)
    assert (sent.nonce, sent.sender) == (5, signer.reporter)
    assert signer.reporter == bytes.fromhex(reporter_account(SEED).address[2:])
    signer.hang_up()


def test_a_node_waits_for_a_signer_that_starts_beside_it(tmp_path: Path) -> None:
    async def started_before(wait_s: float) -> bytes:
        return (await remote.await_signer(tmp_path / "socket", wait_s)).node_key

    with pytest.raises(SignerAway, match="No such file"):
        asyncio.run(started_before(0.0))
    found: list[bytes] = []
    waiting = threading.Thread(target=lambda: found.append(asyncio.run(started_before(BOUND_S))))
    waiting.start()
    with serving(tmp_path):
        waiting.join(BOUND_S)
    assert found == [KEY]


def test_the_socket_is_its_owners_alone(address: SignerAddress) -> None:
    assert address.socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", [0, 1, 9, HEAD.size + 40])
def test_a_second_block_is_refused_also_after_a_restart_with_a_torn_log(tmp_path: Path, torn: int) -> None:
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
        signer.sign(vote(block=A))
        with pytest.raises(Contradiction, match=f"PREPARE of {A.hex()} was signed"):
            signer.sign(vote(block=B))
        signer.hang_up()
    content = (tmp_path / "votes").read_bytes()
    # What a power cut leaves of the next frame: some of its bytes, which were never answered for.
    (tmp_path / "votes").write_bytes(content + content[-HEAD.size - 60 :][:torn])
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
        for other in (vote(block=B), vote(phase=Phase.COMMIT, block=B), vote(height=4)):
            with pytest.raises(Contradiction):
                signer.sign(other)
        assert signature_holds(DOMAIN, signer.sign(vote(block=A)))
        signer.hang_up()


def test_a_claim_that_forgets_the_newest_commit_is_refused(address: SignerAddress) -> None:
    signer = RemoteSigner(address, DOMAIN)
    signer.sign(vote(phase=Phase.COMMIT))
    with pytest.raises(Contradiction, match="a later block was prepared than it claims"):
        signer.sign(vote(view=1, phase=Phase.VIEW_CHANGE, block=bytes(32)))
    signer.hang_up()


def test_a_rotated_log_keeps_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "ROTATE_BYTES", 400)
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
        for height in range(1, 30):
            signer.sign(vote(height=height, phase=Phase.PREPARE))
            signer.sign(vote(height=height, phase=Phase.COMMIT))
        signer.hang_up()
    assert (tmp_path / "votes").stat().st_size < 1_000
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
        for other in (vote(height=29, block=B), vote(height=29, phase=Phase.COMMIT, block=B), vote(height=28)):
            with pytest.raises(Contradiction):
                signer.sign(other)
        signer.hang_up()


def test_a_damaged_log_or_anothers_is_no_log(tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
        for height in range(1, 4):
            signer.sign(vote(height=height))
        signer.hang_up()
    with pytest.raises(OtherLog):
        SignerJournal(tmp_path / "votes", DOMAIN, node_key_of(seed("another")))
    content = bytearray((tmp_path / "votes").read_bytes())
    content[content.index(A)] ^= 1
    (tmp_path / "votes").write_bytes(content)
    with pytest.raises(DamagedLog):
        SignerJournal(tmp_path / "votes", DOMAIN, KEY)


def test_nothing_is_signed_at_or_below_the_height_of_a_new_log(tmp_path: Path) -> None:
    journal = SignerJournal(tmp_path / "votes", DOMAIN, KEY)
    journal.bar(7)
    journal.close()
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
        with pytest.raises(Contradiction, match="height 8 was voted on"):
            signer.sign(vote(height=7))
        assert signature_holds(DOMAIN, signer.sign(vote(height=8)))
        signer.hang_up()


def test_a_signer_whose_disk_is_full_signs_nothing_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(SignerAway, match="No space left"):
                signer.sign(vote())
    with pytest.raises(SignerAway):
        greet(address.socket)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (pack([9]), "nothing is known of kind 9"),
        (pack([Kind.VOTE, 0, 1, 0, 7, A]), "expected a phase"),
        (pack([Kind.VOTE, 0, -1, 0, 2, A]), "unsigned integer"),
        (pack([Kind.VOTE, 0, 1, 0, 2, A[:31]]), "expected 32 bytes"),
        (pack([Kind.VOTE, 0, True, 0, 2, A]), "unsigned integer"),
        (pack([Kind.VOTE]), "expected 5 fields"),
        (pack([Kind.LEAF, b"no key"]), ""),
        (pack(["sign", b"these bytes"]), "begins with a number"),
        (LENGTH.pack(3) + b"\xc1\xff\xff", "no msgpack"),
    ],
)
def test_what_is_no_request_is_refused_in_words(address: SignerAddress, sent: bytes, said: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(BOUND_S)
        connection.connect(str(address.socket))
        connection.sendall(sent)
        answer, fields = unpack(connection.recv(MAX_FRAME_BYTES)[LENGTH.size :])
        assert answer == Answer.MALFORMED
        assert said in fields[0]
    assert greet(address.socket).node_key == KEY


def test_a_frame_without_end_is_hung_up_on(address: SignerAddress) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(BOUND_S)
        connection.connect(str(address.socket))
        connection.sendall(LENGTH.pack(MAX_FRAME_BYTES + 1) + b"x")
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_another_user_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.signer.server._peer", lambda _: (1, os.getuid() + 1, 1))
    with serving(tmp_path) as address, pytest.raises(SignerAway, match=r"hung up|reset"):
        greet(address.socket)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"domain": Domain(2017, DOMAIN.genesis_hash)}, "chain id"),
        ({"domain": Domain(2016, bytes(32))}, "genesis block"),
        ({"secret": seed("another")}, "node key"),
    ],
)
def test_a_signer_for_something_else_is_no_signer(tmp_path: Path, change: dict, said: str) -> None:
    with serving(tmp_path, **change) as address, pytest.raises(SignerAway, match=f"its {said} is"):
        RemoteSigner(SignerAddress(address.socket, KEY), DOMAIN)


def test_a_socket_in_use_is_not_taken_and_a_stale_one_is(tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        other = SignerServer(SEED, DOMAIN, SignerJournal(tmp_path / "other", DOMAIN, KEY))
        with pytest.raises(SocketTaken, match="answers there already"):
            asyncio.run(other.serve(address.socket))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "socket"))
    with serving(tmp_path) as address:
        assert greet(address.socket).node_key == KEY


def test_a_node_is_told_when_the_signer_goes_and_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BACKOFF_FIRST_S", 0.01)

    async def scenario() -> None:
        back = asyncio.Event()
        with ExitStack() as life:
            address = life.enter_context(serving(tmp_path))
            signer = RemoteSigner(address, DOMAIN)
            signer.keep(back.set)
            assert signer.away == ""
            await asyncio.to_thread(life.close)
        async with asyncio.timeout(BOUND_S):
            while not signer.away:
                await asyncio.sleep(0)
            with pytest.raises(SignerAway):
                signer.sign(vote())
            with ExitStack() as life:
                await asyncio.to_thread(life.enter_context, serving(tmp_path))
                await back.wait()
                assert signer.away == ""
                assert signature_holds(DOMAIN, signer.sign(vote()))
                await signer.close()

    asyncio.run(scenario())


def test_a_signer_that_hangs_holds_a_node_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ANSWER_S", 0.05)
    with serving(tmp_path) as address:
        signer = RemoteSigner(address, DOMAIN)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(address.socket))
        deaf.listen(1)
        with pytest.raises(SignerAway, match=r"no answer within 0\.05 s"):
            RemoteSigner(address, DOMAIN)
        asked: list[int] = []

        def hang(*_: object) -> None:
            asked.append(1)
            raise TimeoutError

        monkeypatch.setattr(remote, "_exchange", hang)
        for _ in range(3):
            with pytest.raises(SignerAway):
                signer.sign(vote())
        assert len(asked) == 1


def test_four_validators_whose_keys_are_elsewhere_commit_and_go_on_when_the_signers_are_back(tmp_path: Path) -> None:
    with RealCluster(tmp_path / "chain") as real, ExitStack() as running:
        cluster, domain = real.cluster, real.cluster.config.domain
        signers: list[RemoteSigner] = []

        def start(secret: bytes) -> SignerAddress:
            folder = tmp_path / node_key_of(secret).hex()[:8]
            folder.mkdir(exist_ok=True)
            return running.enter_context(serving(folder, secret, domain))

        def make(secret: bytes) -> RemoteSigner:
            signers.append(RemoteSigner(start(secret), domain))
            return signers[-1]

        cluster.make_signer = make
        cluster.start()
        for sender in range(4):
            transfer(real, sender)
        settle(real)
        before = cluster.height()
        assert before > 0
        running.close()  # all four signers end
        transfer(real, 0)
        cluster.run(20_000)
        assert cluster.height() == before
        for node, signer in zip(cluster.nodes, signers, strict=True):
            start(node.seed)
            signer._socket, _ = signer._connect()
        for node in cluster.nodes:
            node._guarded(node.driver.retry)
        settle(real)
        assert cluster.height() > before
        with real.store(0).read() as view:
            account = view.state.account(household(0))
            assert account is not None
            assert account.nonce == 2
        for signer in signers:
            signer.hang_up()


def test_the_commands_make_a_folder_that_one_process_uses(tmp_path: Path) -> None:
    (tmp_path / "genesis.json").write_text(json.dumps(sample_genesis()))
    save_key(tmp_path / "key.json", SEED, "secret", scrypt=SCRYPT_LIGHT)
    where = ["--data", str(tmp_path / "signer"), "--genesis", str(tmp_path / "genesis.json")]
    words = ["signer", "init", *where, "--key", str(tmp_path / "key.json"), "--above", "5", "--json"]
    made = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(made.output)["nodeKey"] == "0x" + KEY.hex()
    config = load_signer_config(tmp_path / "signer" / "signer.toml")
    with serving(config.directory, SEED, config.domain) as address, locked(config.directory):
        assert address.socket == config.socket
        checked = CliRunner().invoke(
            app, ["signer", "check", "--config", str(config.directory / "signer.toml"), "--json"]
        )
        assert (checked.exit_code, json.loads(checked.output)["nodeKey"]) == (0, "0x" + KEY.hex())
        with pytest.raises(Contradiction, match="height 6"):
            RemoteSigner(address, config.domain).sign(vote())
        again = CliRunner().invoke(app, ["signer", "run", "--config", str(config.directory / "signer.toml")])
        assert again.exit_code != 0
    gone = CliRunner().invoke(app, ["signer", "check", "--config", str(config.directory / "signer.toml")])
    assert gone.exit_code == 1
    refused = CliRunner().invoke(app, words)
    assert "a signer's record of votes" in refused.output
    config.votes.unlink()
    missing = CliRunner().invoke(app, ["signer", "run", "--config", str(config.directory / "signer.toml")])
    assert "gridpact signer init --above" in missing.output
