"""`gridpact audit`: check a ledger from its genesis file, prove a transaction, check a proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from node.audit.launch import audit_in_child
from node.client.target import TokenOption, client_of
from node.config import DATABASE_NAME
from node.operations.progress import progress_bar
from node.output import Status, emit, fail
from node.parsing import ConfigError, parse_hex
from node.plugins import AuditGroup

MAX_WINDOW = 2**40  # far beyond what a chain second can be of
MAX_PROOF_BYTES = 64 * 1024 * 1024  # thousands of epoch changes among a hundred validators

app = typer.Typer(
    cls=AuditGroup, help="Check a ledger from its genesis file; prove a transaction.", no_args_is_help=True
)
DataOption = Annotated[Path, typer.Option(help="A validator's data directory.")]


@app.callback()
def root() -> None:
    """Check a ledger from its genesis file; prove a transaction."""


@app.command(name="verify")
def verify_command(
    data: Annotated[Path | None, typer.Argument(help="A validator's data directory; the node may be running.")] = None,
    rpc: Annotated[
        str | None, typer.Option(help="In place of DATA: a node's RPC, whose chain is fetched; it is not trusted.")
    ] = None,
    token_file: TokenOption = None,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file you trust; else the directory's own.")] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="HEIGHT:HASH of a block that the chain must contain, known from elsewhere; may be repeated."),
    ] = None,
    parent: Annotated[
        list[Path] | None,
        typer.Option(help="A data directory of the chain that this one continues; repeat it for that one's."),
    ] = None,
    parent_genesis: Annotated[
        list[Path] | None, typer.Option(help="The genesis file of each --parent, in their order; else the directory's.")
    ] = None,
    execute: Annotated[
        bool, typer.Option(help="Execute everything again; else only what was signed is checked, much quicker.")
    ] = True,
) -> None:
    """Check everything that is stored; exit status 1 and the first offence if anything is wrong.

    With --checkpoint a chain is refused that former members' keys, stolen since, signed beside the real one. A chain
    that continues another one is audited with --parent: from the old chain's genesis file over the block it names.
    With --rpc every block is fetched from a running node, verified and executed into a temporary database first.

    Example: gridpact audit verify .gridpact/devnet/node-0
    """
    checkpoints = _checkpoints(checkpoint or [])
    folders, files = parent or [], parent_genesis or []
    if files and len(files) != len(folders):
        raise ConfigError("command line", "--parent-genesis", f"{len(folders)}, one for each --parent")
    if folders and not execute:
        raise ConfigError("command line", "--no-execute", "no --parent: what a chain took over is not looked at")
    parents = [
        (folder / DATABASE_NAME, file)
        for folder, file in zip(folders, files or [folder / "genesis.json" for folder in folders], strict=True)
    ]
    if (data is None) == (rpc is None):
        raise ConfigError("command line", "DATA", "either a data directory or --rpc URL")
    if data is not None:
        with progress_bar("audit") as advance:
            report = audit_in_child(
                data / DATABASE_NAME,
                genesis or data / "genesis.json",
                checkpoints=checkpoints,
                parents=parents,
                execute=execute,
                reached=lambda height: advance(height, None),
            )
    else:
        if genesis is None:
            raise ConfigError(
                "command line", "--genesis", "the genesis file that you trust: a node is not asked for it"
            )
        from node.audit.remote import audit_remote

        client = client_of(rpc, None, token_file)
        report = audit_remote(client, genesis, checkpoints=checkpoints, parents=parents, execute=execute)
    emit(report.as_json(), *report.lines())
    if report.offence is not None:
        raise typer.Exit(1)


def _checkpoints(texts: list[str]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for text in texts:
        wrong = ConfigError("command line", "--checkpoint", f"HEIGHT:0x and 64 hexadecimal digits, found {text!r}")
        height, colon, block = text.partition(":")
        if not (colon and height.isascii() and height.isdecimal() and len(height) < 16):
            raise wrong
        known = parse_hex(block, 32, lambda wrong=wrong: wrong)  # type: ignore[misc]
        if found.setdefault(int(height), known) != known:
            raise ConfigError("command line", "--checkpoint", f"one block at height {height}, found two")
    return found


@app.command(name="proof")
def proof_command(
    transaction: Annotated[str, typer.Argument(metavar="TX", help="The transaction's hash.")],
    data: DataOption,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file; else the directory's own.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the proof; else it is printed.")] = None,
) -> None:
    """Write a self-contained proof that a transaction had its outcome.

    Example: gridpact audit proof 0x12… --data .gridpact/devnet/node-0 --out proof.json
    """
    from node.application import make_block_0
    from node.audit.proof import NotCommitted, prove
    from node.genesis import load_genesis
    from node.rules import RuleBook
    from node.storage import Store

    expected = "0x and 64 hexadecimal digits"
    wanted = parse_hex(transaction, 32, lambda: ConfigError("command line", "TX", expected))
    parsed = load_genesis(genesis or data / "genesis.json")
    rule_book = RuleBook(parsed.content["rules"], parsed.chain_id)
    sealed = make_block_0(parsed, rule_book.rules_at(0))
    store = Store.open(data / DATABASE_NAME, chain_id=parsed.chain_id, genesis_hash=sealed.header.hash, readonly=True)
    try:
        with store.read() as view:
            proof = prove(view, wanted, rule_book).as_json()
    except NotCommitted as error:
        raise typer.Exit(fail(str(error), Status.NO)) from None
    finally:
        store.close()
    text = json.dumps(proof, indent=2)
    if out is None:
        emit(proof, text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        emit({"transaction": transaction, "file": out}, f"proof of {transaction} in {out}")


@app.command(name="check-proof")
def check_proof_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A proof made by `gridpact audit proof`.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file you trust.")],
) -> None:
    """Check a proof without a node; exit status 1 and the first step that fails if it is not valid.

    Example: gridpact audit check-proof proof.json --genesis genesis.json
    """
    from node.audit.proof import check
    from node.chain.proofs import InvalidProof, chain_of, parse_proof, succeeded, transaction_hash
    from node.genesis import load_genesis

    parsed = load_genesis(genesis)
    try:
        if file.stat().st_size > MAX_PROOF_BYTES:
            raise InvalidProof(f"the file: expected at most {MAX_PROOF_BYTES} bytes")
        proof = parse_proof(json.loads(file.read_text(encoding="utf-8")))
        check(proof, parsed)
    except OSError as error:
        raise ConfigError(file, "", f"a readable file ({error.strerror})") from None
    except (InvalidProof, ValueError, RecursionError) as error:
        emit({"ok": False, "offence": str(error)}, f"proof: NOT VALID: {error}")
        raise typer.Exit(1) from None
    outcome = "succeeded" if succeeded(proof) else "reverted"
    chain = chain_of(proof).name.lower()
    shown = {"ok": True, "transaction": transaction_hash(proof), "succeeded": succeeded(proof), "chain": chain}
    emit(
        shown | {"block": proof.block.number, "height": proof.block.height, "certified": proof.header.number},
        f"proof: ok transaction 0x{transaction_hash(proof).hex()} {outcome}, {chain} chain block {proof.block.number}, "
        f"height {proof.block.height}, certified at height {proof.header.number}",
    )


@app.command(name="balance")
def balance_command(
    window: Annotated[int, typer.Option(help="The window, from 0.", min=0, max=MAX_WINDOW)],
    data: Annotated[Path | None, typer.Argument(help="A validator's data directory, in place of --rpc.")] = None,
    rpc: Annotated[str | None, typer.Option(help="A node's RPC, which is believed to tell the chain as it is.")] = None,
    token_file: TokenOption = None,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file you trust; else the directory's own.")] = None,
) -> None:
    """Check the balance of a private street's window: every proof of every meter and auditor, and the sums.

    Exit status 1 if a proof fails, naming it, or if the window is not opened yet. That the transactions are the chain's
    is what `gridpact audit verify` shows.

    Example: gridpact audit balance --window 7 --rpc http://127.0.0.1:8545
    """
    from node.audit.balance import check_balance
    from node.audit.balance_sources import from_directory, from_node
    from node.audit.balance_text import balance_table
    from node.storage import CorruptValue

    if (data is None) == (rpc is None):
        raise ConfigError("command line", "DATA", "either a data directory or --rpc URL")
    try:
        street, logs = (
            from_directory(data, genesis) if data else from_node(client_of(rpc, None, token_file), genesis, window)
        )
    except CorruptValue as error:
        emit({"ok": False, "window": window, "offence": str(error)}, f"balance: FAILED window {window}: {error}")
        raise typer.Exit(1) from None
    report = check_balance(street, window, logs)
    emit(report.as_json(), balance_table(report), report.verdict)
    if not report.ok:
        raise typer.Exit(1)
