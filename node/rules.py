"""Rules by height: the one source of every parameter that consensus depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts.layout import RuleChange
from contracts.system import CONTRACT_DOMAIN
from node.chain.transaction import MAX_TRANSACTION_BYTES
from node.errors import GridpactError
from node.parsing import Table

KNOWN_VERSION = 1
OWN_FORK = "gridpact"
MAX_BLOCK_BYTES = 2 * 1024 * 1024  # a full block of transfers takes about 60 kB; one large contract 64 kB


class UnknownRulesVersion(GridpactError):
    """The chain follows rules that this software does not know: the node must be updated, it cannot guess."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"rules version {version} is not known here (known: {KNOWN_VERSION}); update gridpact to go on"
        )
        self.version = version


@dataclass(frozen=True, slots=True)
class Rules:
    """The parameters of a height.

    Args:
        version: of this set of rules.
        chain_id: as in EIP-155.
        block_gas_limit: gas of a round block; an output of the worst-case measurement.
        base_fee: wei a unit of gas; zero, whatever the load.
        open_accounts: devnets only: every account may send, not only vouched ones.
        future_tolerance_ms: how far ahead of a voter's wall clock a block's time may be.
        view_timeout_ms, max_view_timeout_ms: the first view's timeout, doubled with every view, and its cap.
        contract_domain: destinations that belong to the contract chain.
        fork: whose precompiles and fees hold: "gridpact" (Prague's, with our precompiles), or for conformance tests
            Ethereum's own "prague" or "cancun".
    """

    version: int
    chain_id: int
    block_gas_limit: int = 10_000_000
    max_block_bytes: int = MAX_BLOCK_BYTES
    max_transaction_bytes: int = MAX_TRANSACTION_BYTES
    base_fee: int = 0
    open_accounts: bool = False
    future_tolerance_ms: int = 2_000
    view_timeout_ms: int = 4_000
    max_view_timeout_ms: int = 30_000
    contract_domain: tuple[bytes, ...] = CONTRACT_DOMAIN
    fork: str = OWN_FORK


class RuleBook:
    """The rules of every height: those of genesis, and what the consortium voted since.

    Raises:
        ConfigError: a rule in the genesis file is missing, misspelt or out of range.
        UnknownRulesVersion: the genesis file asks for rules that this software does not know.
    """

    _changes: tuple[tuple[int, Rules], ...] = ()  # from which height on, in rising order

    def __init__(self, rules: Mapping[str, Any], chain_id: int, path: Path | str = "genesis") -> None:
        table = Table(path, "rules", rules)
        version = table.integer("version", 1, 2**31)
        if version != KNOWN_VERSION:
            raise UnknownRulesVersion(version)
        self._genesis = Rules(
            version=version,
            chain_id=chain_id,
            block_gas_limit=table.integer("block_gas_limit", 1_000_000, 2**40, 10_000_000),
            open_accounts=table.flag("open_accounts", False),
            future_tolerance_ms=table.integer("future_tolerance_ms", 0, 600_000, 2_000),
            view_timeout_ms=table.integer("view_timeout_ms", 100, 600_000, 4_000),
            max_view_timeout_ms=table.integer("max_view_timeout_ms", 100, 3_600_000, 30_000),
        )
        table.close()

    def learn(self, changes: Sequence[RuleChange]) -> None:
        """Take the changes that the newest committed state records; they may be learnt again and again.

        Args:
            changes: all of them, in the order in which the consortium voted them.
        """
        rules = self._genesis
        steps = []
        for change in changes:
            known: dict[str, Any] = {change.name: change.value}
            rules = replace(rules, **known)
            steps.append((change.from_height, rules))
        self._changes = tuple(steps)

    def rules_at(self, height: int) -> Rules:
        """Return the rules of a height: those of genesis, and what the consortium voted since.

        Raises:
            UnknownRulesVersion: the consortium voted rules that this software does not know.
        """
        if height < 0:
            raise ValueError(f"no height {height}")
        rules = next((rules for start, rules in reversed(self._changes) if start <= height), self._genesis)
        if rules.version != KNOWN_VERSION:
            raise UnknownRulesVersion(rules.version)
        return rules
