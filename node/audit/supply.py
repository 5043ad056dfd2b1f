"""Tokens against what stands behind them, from the logs of the audited blocks: exactly, in integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from contracts.bindings import energy_token, fiat_token
from contracts.bindings.abi import View
from contracts.bindings.events import decode_log
from contracts.bindings.fiat_token import Minted, WithdrawalPaid
from contracts.bindings.market_types import Cash, TransactionMade
from contracts.bindings.meter_registry import Attested
from node.audit.state import OwnState
from node.chain.receipt import Receipt
from node.execution import BlockEnvironment, Executor

CALL_GAS = 5_000_000


class Books:
    """What the logs say was issued, attested and settled."""

    def __init__(self) -> None:
        self.issued_microeur = 0
        self.withdrawn_microeur = 0
        self.receipts: set[bytes] = set()
        self.withdrawals: set[bytes] = set()
        self.quarters = 0
        self.delivered_wh = 0
        self._exported: Counter[tuple[bytes, int]] = Counter()  # Wh by household and window: attested less delivered
        self._imported: Counter[tuple[bytes, int]] = Counter()
        self.cash_lines = 0
        self.wrong: tuple[int, str] | None = None

    def note(self, height: int, receipts: Sequence[Receipt]) -> None:
        """Read the logs of a height; each transaction's cash must sum to zero, each receipt serve once."""
        for index, receipt in enumerate(receipts):
            cash = 0
            for entry in receipt.logs:
                event = decode_log(entry.address, entry.topics, entry.data)
                match event:
                    case Minted(receipt=proof, amount_microeur=amount):
                        self._once(height, proof, self.receipts)
                        self.issued_microeur += amount
                    case WithdrawalPaid(receipt=proof, amount_microeur=amount):
                        self._once(height, proof, self.withdrawals)
                        self.withdrawn_microeur += amount
                    case Attested(household=household, window=window, import_wh=imported, export_wh=exported):
                        self.quarters += 1
                        self._imported[household, window] += imported
                        self._exported[household, window] += exported
                    case TransactionMade(seller=seller, buyer=buyer, window=window, delivered_wh=delivered):
                        self._deliver(height, seller, buyer, window, delivered)
                    case Cash(amount_microeur=amount):
                        cash += amount
                        self.cash_lines += 1
            if cash:
                self._fail(height, f"transaction {index}: its settlement sums to {cash} micro-euro, expected 0")

    def close(
        self, executor: Executor, state: OwnState, environment: BlockEnvironment
    ) -> tuple[tuple[int, str] | None, tuple[str, ...]]:
        """Compare the books with the contracts' own totals; return (height and offence, or None; lines to print)."""

        def ask(view: View[int]) -> int:
            called = executor.call(state, environment, sender=bytes(20), to=view.to, data=view.data, gas=CALL_GAS)
            return view.decode(called.output)

        height = environment.number - 1
        fiat, energy = ask(fiat_token.total_supply()), ask(energy_token.total_supply())
        expected = self.issued_microeur - self.withdrawn_microeur
        if fiat != expected:
            self._fail(height, f"fiat supply {fiat} micro-euro, expected {expected}: receipts less withdrawals")
        if energy:
            self._fail(height, f"energy supply {energy} Wh between settlements, expected 0")
        lines = (
            f"fiat: supply {fiat} = {self.issued_microeur} issued on {len(self.receipts)} receipts "
            f"− {self.withdrawn_microeur} withdrawn",
            f"energy: supply {energy} Wh, {self.delivered_wh} Wh delivered out of {self.quarters} attested "
            f"quarter-hours; Σ cash = 0 in every settlement ({self.cash_lines} lines)",
        )
        return self.wrong, lines

    def _deliver(self, height: int, seller: bytes, buyer: bytes, window: int, delivered_wh: int) -> None:
        """Take what a contract delivered off what the meters attested: tokens stand for attested energy alone."""
        self.delivered_wh += delivered_wh
        for who, register, left in ((seller, "export", self._exported), (buyer, "import", self._imported)):
            left[who, window] -= delivered_wh
            if left[who, window] < 0:
                self._fail(
                    height,
                    f"0x{who.hex()}, window {window}: {-left[who, window]} Wh more settled than attested {register}",
                )

    def _once(self, height: int, proof: bytes, used: set[bytes]) -> None:
        if proof in self.receipts | self.withdrawals:
            self._fail(height, f"receipt 0x{proof.hex()} serves twice")
        used.add(proof)

    def _fail(self, height: int, detail: str) -> None:
        self.wrong = self.wrong or (height, detail)
