"""`gridpact consortium`: propose, vote, show readiness, vouch, leave; see who belongs to it and what is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from eth_keys.datatypes import PrivateKey

from agents.auditing.ceremony import auditor_set, read_dealing
from agents.client import WAIT_S, Receipt, connected
from agents.consortium import Candidate, ConsortiumClient, proposal_opened
from agents.consortium_input import (
    ACCOUNT_BYTES,
    NODE_KEY_BYTES,
    RULES,
    load_equivocation,
    parse_contract,
    parse_data,
    parse_endpoint,
    parse_readiness,
    parse_rule,
)
from agents.consortium_text import (
    equivocation_json,
    equivocation_line,
    proposal_json,
    proposal_lines,
    receipt_json,
    receipt_lines,
    status_json,
    status_lines,
)
from agents.keys import load_key, read_passphrase
from agents.reporting import emit, guarded
from contracts.bindings import consortium
from contracts.bindings import consortium_votes as votes

MAX_PROPOSAL = 2**63
MAX_RULE_VALUE = 2**63

app = typer.Typer(help="Governance: members, proposals, votes, vouched accounts.", no_args_is_help=True)

Rpc = Annotated[str, typer.Option("--rpc", help="The household's own node.")]
ChainId = Annotated[int | None, typer.Option("--chain-id", help="Refuse a node of any other chain.")]
Key = Annotated[Path, typer.Option("--key", help="The household's key file (an Ethereum keystore V3).")]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the key's passphrase; else GRIDPACT_PASSPHRASE.")
]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait for the block.", min=1, max=3_600)]
Number = Annotated[int, typer.Argument(metavar="PROPOSAL", help="The proposal's number.", min=1, max=MAX_PROPOSAL)]
Token = Annotated[str, typer.Argument(metavar="TOKEN", help="What `gridpact node ready` printed.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="0x and 40 hexadecimal digits.")]
DEFAULT_RPC = "http://127.0.0.1:8545"

Act = Callable[[ConsortiumClient], Awaitable[list[Receipt]]]


@dataclass(frozen=True, slots=True)
class Access:
    """How a household gets at its node: where, which chain only, with which key, how long to wait for a block."""

    rpc: str
    chain_id: int | None
    key: Path
    passphrase_file: Path | None
    wait_s: float


@app.callback()
def root() -> None:
    """Governance: members, proposals, votes, vouched accounts."""


@app.command("propose-admit")
def propose_admit(
    node_key: Annotated[str, typer.Option("--node-key", help="The candidate's node key (`gridpact node key`).")],
    account: Annotated[str, typer.Option("--account", help="The candidate's account, which will vote.")],
    name: Annotated[str, typer.Option("--name", help="The candidate's name, at most 32 bytes.")],
    endpoint: Annotated[str, typer.Option("--endpoint", help="Where its node listens for validators, HOST:PORT.")],
    key: Key,
    ready: Annotated[
        str | None, typer.Option("--ready", help="The candidate's token of `gridpact node ready`.")
    ] = None,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Move to admit a household; your vote is cast with it.

    Example: gridpact consortium propose-admit --node-key 0x… --account 0x… --name eve --endpoint eve.example:30300
    --key household-key.json --passphrase-file passphrase
    """

    def act() -> Act:
        candidate = Candidate(
            parse_data(account, ACCOUNT_BYTES, "--account"),
            parse_data(node_key, NODE_KEY_BYTES, "--node-key"),
            name,
            parse_endpoint(endpoint, "--endpoint"),
        )
        readiness = None if ready is None else parse_readiness(ready, "--ready")
        return lambda client: client.propose_admission(candidate, readiness)

    _do(act, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command("propose-remove")
def propose_remove(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's name or account.")],
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Move to remove a member; your vote is cast with it.

    Example: gridpact consortium propose-remove eve --key household-key.json --passphrase-file passphrase
    """

    async def remove(client: ConsortiumClient) -> list[Receipt]:
        account = (await client.member(member)).account
        return [await client.send(votes.propose_removal(account), what)]

    what = f"propose to remove {member}"
    _do(lambda: remove, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command("propose-upgrade")
def propose_upgrade(
    target: Annotated[str, typer.Option("--target", help="The system contract, for example Market.")],
    source: Annotated[str, typer.Option("--source", help="The contract created for it, whose code it gets.")],
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Move to replace the code of a system contract; your vote is cast with it.

    Example: gridpact consortium propose-upgrade --target Market --source 0x… --key household-key.json
    """

    def act() -> Act:
        addresses = parse_contract(target, "--target"), parse_data(source, ACCOUNT_BYTES, "--source")
        return _sends(votes.propose_upgrade(*addresses), what)

    what = f"propose to upgrade {target}"
    _do(act, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command("propose-rule")
def propose_rule(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(RULES)}.")],
    value: Annotated[int, typer.Argument(metavar="VALUE", help="Its new value.", min=0, max=MAX_RULE_VALUE)],
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Move to change a rule of consensus; your vote is cast with it.

    Example: gridpact consortium propose-rule view_timeout_ms 4000 --key household-key.json
    """

    def act() -> Act:
        return _sends(votes.propose_rule(parse_rule(name), value), what)

    what = f"propose {name} = {value}"
    _do(act, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command()
def vote(
    number: Number,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Vote for a proposal.

    Example: gridpact consortium vote 3 --key household-key.json --passphrase-file passphrase
    """
    what = f"vote for proposal {number}"
    _do(lambda: _sends(votes.vote(number), what), Access(rpc, chain_id, key, passphrase_file, wait), number)


@app.command()
def withdraw(
    number: Number,
    key: Key,
    whole: Annotated[bool, typer.Option("--proposal", help="The whole proposal, which must be yours.")] = False,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Take your vote for a proposal back, or the whole proposal.

    Example: gridpact consortium withdraw 3 --key household-key.json --passphrase-file passphrase
    """
    what = f"withdraw {'' if whole else 'the vote for '}proposal {number}"
    data = votes.withdraw_proposal(number) if whole else votes.withdraw_vote(number)
    _do(lambda: _sends(data, what), Access(rpc, chain_id, key, passphrase_file, wait), number)


@app.command()
def enact(
    number: Number,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Decide a proposal that has its votes by now, because members who were not for it have left.

    Example: gridpact consortium enact 3 --key household-key.json --passphrase-file passphrase
    """
    what = f"enact proposal {number}"
    _do(lambda: _sends(votes.enact(number), what), Access(rpc, chain_id, key, passphrase_file, wait), number)


@app.command()
def ready(
    number: Number,
    token: Token,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Show that a candidate's node follows the chain, with the token that it signed; any member may.

    Example: gridpact consortium ready 3 TOKEN --key household-key.json --passphrase-file passphrase
    """

    def act() -> Act:
        readiness = parse_readiness(token, "TOKEN")
        return lambda client: client.show_candidate_ready(number, readiness)

    _do(act, Access(rpc, chain_id, key, passphrase_file, wait), number)


@app.command("rotate-key")
def rotate_key(
    node_key: Annotated[str, typer.Argument(metavar="NODE_KEY", help="The new node key (`gridpact node key`).")],
    token: Token,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Give your validator another node key; the seat stays.

    TOKEN is signed by the new key: `gridpact node ready --key new-key.json`. The node signs with the old key until the
    height that this command prints; then name the new key in its node.toml and restart it.

    Example: gridpact consortium rotate-key 0x… TOKEN --key household-key.json --passphrase-file passphrase
    """

    def act() -> Act:
        new_key = parse_data(node_key, NODE_KEY_BYTES, "NODE_KEY")
        readiness = parse_readiness(token, "TOKEN")
        return lambda client: client.rotate_node_key(new_key, readiness)

    _do(act, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command()
def leave(
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Leave the consortium: your validator loses its seat, and accounts that you vouch for may not send any more.

    Example: gridpact consortium leave --key household-key.json --passphrase-file passphrase
    """
    if not yes:
        typer.confirm("Leave the consortium? Only a vote of the others brings you back", abort=True, err=True)
    what = "leave the consortium"
    _do(lambda: _sends(votes.leave(), what), Access(rpc, chain_id, key, passphrase_file, wait))


@app.command()
def vouch(
    account: Account,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Vouch for an account, which may send transactions from the next block on.

    Example: gridpact consortium vouch 0x… --key household-key.json --passphrase-file passphrase
    """
    what = f"vouch for {account}"
    _do(
        lambda: _sends(consortium.vouch(parse_data(account, ACCOUNT_BYTES, "ACCOUNT")), what),
        Access(rpc, chain_id, key, passphrase_file, wait),
    )


@app.command("end-vouching")
def end_vouching(
    account: Account,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """End the vouching for an account, which may not send any more.

    Example: gridpact consortium end-vouching 0x… --key household-key.json --passphrase-file passphrase
    """
    what = f"end the vouching for {account}"
    _do(
        lambda: _sends(consortium.end_vouching(parse_data(account, ACCOUNT_BYTES, "ACCOUNT")), what),
        Access(rpc, chain_id, key, passphrase_file, wait),
    )


@app.command("set-endpoint")
def set_endpoint(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="HOST:PORT.")],
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Say where your validator listens for the others.

    Example: gridpact consortium set-endpoint eve.example:30300 --key household-key.json
    """
    what = f"endpoint {endpoint}"
    _do(
        lambda: _sends(consortium.set_endpoint(parse_endpoint(endpoint, "ENDPOINT")), what),
        Access(rpc, chain_id, key, passphrase_file, wait),
    )


@app.command("appoint-auditors")
def appoint_auditors(
    dealings: Annotated[list[Path], typer.Argument(metavar="DEALING…", help="What every auditor dealt.")],
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Check what auditors dealt (`gridpact auditor deal`), and vote for them; more than half of the members appoint.

    Example: gridpact consortium appoint-auditors dealing-1.json dealing-2.json dealing-3.json --key household-key.json
    """

    def act() -> Act:
        found = [read_dealing(path) for path in dealings]
        auditor_set(found)
        return lambda client: client.vote_for_auditors(found)

    _do(act, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command()
def evidence(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Two votes of a validator, as JSON.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The key file that sends FILE.")] = None,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Print which validators are on record for contradicting themselves; with FILE, put two such votes on record.

    Nodes do this by themselves when they see it. FILE is an object with node_key, epoch, height, view, phase (1 propose
    to 4 view change), first_hash, first_signature, second_hash, second_signature.

    Example: gridpact consortium evidence --rpc http://127.0.0.1:8545
    """
    if file is None:
        _show(rpc, chain_id, _equivocations)
        return
    if key is None:
        raise typer.BadParameter("FILE is sent by a household: it needs --key")

    def act() -> Act:
        equivocation = load_equivocation(file)
        return lambda client: client.submit_evidence(equivocation)

    _do(act, Access(rpc, chain_id, key, passphrase_file, wait))


@app.command()
def status(rpc: Rpc = DEFAULT_RPC, chain_id: ChainId = None) -> None:
    """Print members, validators, epoch, quorum, what is pending, and open proposals.

    Example: gridpact consortium status
    """

    async def show(client: ConsortiumClient) -> None:
        overview, waiting = await client.all(waiting_only=True)
        emit(status_json(overview, waiting), *status_lines(overview, waiting))

    _show(rpc, chain_id, show)


@app.command("list")
def list_(rpc: Rpc = DEFAULT_RPC, chain_id: ChainId = None) -> None:
    """Print all proposals and what became of them.

    Example: gridpact consortium list
    """

    async def show(client: ConsortiumClient) -> None:
        overview, listed = await client.all(waiting_only=False)
        lines = [line for standing in listed for line in proposal_lines(standing, overview)]
        rows = [proposal_json(standing, overview) for standing in listed]
        emit({"proposals": rows}, *(lines or ["no proposals yet"]))

    _show(rpc, chain_id, show)


async def _equivocations(client: ConsortiumClient) -> None:
    overview = await client.overview()
    found = await client.equivocations()
    lines = [equivocation_line(height, proved, overview) for height, proved in found]
    rows = [equivocation_json(height, proved) for height, proved in found]
    emit({"equivocations": rows}, *(lines or ["nothing is on record"]))


def _sends(data: bytes, what: str) -> Act:
    async def send(client: ConsortiumClient) -> list[Receipt]:
        return [await client.send(data, what)]

    return send


def _do(act: Callable[[], Act], access: Access, number: int | None = None) -> None:
    """Send what `act` says as a household, print what it did, and how its proposal stands.

    Args:
        act: checks what was typed; nothing is asked or sent before.
        access: node and key.
        number: of the proposal; None if it is the one that is opened, or there is none.
    """

    async def job(job: Act, key: PrivateKey) -> None:
        async with connected(access.rpc, key=key, chain_id=access.chain_id, wait_s=access.wait_s) as node:
            client = ConsortiumClient(node)
            receipts = await job(client)
            lines = [line for receipt in receipts for line in receipt_lines(receipt)]
            done = {"transactions": [receipt_json(receipt) for receipt in receipts]}
            concerned = number or proposal_opened(receipts[0])
            if concerned is None:
                emit(done | {"proposal": None}, *lines)
                return
            overview, standing = await client.one(concerned)
            emit(done | {"proposal": proposal_json(standing, overview)}, *lines, *proposal_lines(standing, overview))

    def use_case() -> None:
        checked = act()
        asyncio.run(job(checked, load_key(access.key, read_passphrase(access.passphrase_file))))

    guarded(use_case)


def _show(rpc: str, chain_id: int | None, show: Callable[[ConsortiumClient], Awaitable[None]]) -> None:
    async def job() -> None:
        async with connected(rpc, chain_id=chain_id) as node:
            await show(ConsortiumClient(node))

    guarded(lambda: asyncio.run(job()))
