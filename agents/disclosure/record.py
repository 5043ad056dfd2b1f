"""What the chain has on record for a disclosure: requests, auditors, registrations, calls without an account, notes."""

from __future__ import annotations

from dataclasses import dataclass

from agents.chain import Call
from agents.client import NodeClient, Receipt
from agents.clock import Windows
from agents.disclosure.question import NotOnRecord, Question, amount_question, trace_question
from contracts.bindings import disclosures, privacy_registry, sealed_meters
from contracts.bindings.abi import Event
from contracts.bindings.disclosures import Kind, Request, parse_trace_subject
from contracts.bindings.events import topic_of
from contracts.bindings.privacy_registry import Registered, Row
from contracts.bindings.sealed_meters import AuditorSet, SealedAttested
from contracts.bindings.shielded_pool import NoteMade
from contracts.system import DISCLOSURES, PRIVACY_REGISTRY, PRIVATE_MARKET, SEALED_METERS, SHIELDED_POOL
from privacy.boxes import box_key
from privacy.envelopes import ANONYMOUS_TYPE, scope_of

GAS = 400_000
MAX_REQUESTS = 100_000  # looked through for the one with an id: a second
COMPLAINT_GAS = 3_000_000  # the last one changes the ring
READMISSION_GAS = 1_000_000  # reads sixteen auditors and who said so before
BLOCKS_AT_ONCE = 50
TRADED_BEFORE = 2  # windows: a call for w is in a block whose parent is of w - 2 or w - 1


@dataclass(frozen=True, slots=True)
class AnonymousAction:
    """A call without an account, as far as it tells whose it is: D and I, 33 bytes each."""

    height: int
    transaction: str
    nullifier: bytes
    trace_tag: bytes


class Record:
    """Reads of one node, and the auditors' transactions."""

    def __init__(self, node: NodeClient) -> None:
        self._node = node
        self.chain = node.chain
        self.chain_id = node.chain_id

    # -- requests

    async def transact(self, call: Call) -> Receipt:
        """Send a transaction to any contract; raises as `NodeClient.transact`."""
        return await self._node.transact(call)

    async def send(self, data: bytes, what: str) -> Receipt:
        """Send a transaction to the auditors' record; raises as `NodeClient.transact`."""
        return await self._node.transact(Call(DISCLOSURES, data, GAS, what))

    async def request(self, request_id: bytes, kind: Kind) -> Request:
        """Return a request.

        Raises:
            NotOnRecord: there is none, it asks for something else, or the node shows another subject than the id names.
        """
        request, count = await self.chain.read(disclosures.request_of(request_id), disclosures.requests())
        if request.kind is not kind:
            asked = "no such request" if request.kind is Kind.NONE else f"it is of kind {request.kind.name.lower()}"
            raise NotOnRecord(f"request 0x{request_id.hex()}: {asked}, expected one of kind {kind.name.lower()}")
        numbers = range(min(count, MAX_REQUESTS) - 1, -1, -1)
        if all(disclosures.request_id(self.chain_id, n, kind, request.subject) != request_id for n in numbers):
            raise NotOnRecord(f"request 0x{request_id.hex()}: the node shows another subject than was requested")
        return request

    async def trace(self, request_id: bytes) -> tuple[Question, Registered, AuditorSet]:
        """Return what a request to trace asks, with the registration and the auditors that it concerns.

        Raises:
            NotOnRecord: there is no such request, or its account is not in the ring of its window.
        """
        request = await self.request(request_id, Kind.TRACE)
        account, window = parse_trace_subject(request.subject)
        registered, auditors = await self.dealing(account, window)
        question = trace_question(self.chain_id, request_id, request, registered, auditors, self.scope(window))
        return question, registered, auditors

    async def amount(self, request_id: bytes) -> tuple[Request, list[Question]]:
        """Return a request of an amount, and what it asks of each set of auditors that there ever was.

        A ciphertext does not say to whose key it is; who holds a share of it knows.

        Raises:
            NotOnRecord: there is no such request.
        """
        request = await self.request(request_id, Kind.AMOUNT)
        (count,) = await self.chain.read(sealed_meters.auditor_set_count())
        sets = await self.chain.read_all([sealed_meters.auditor_set(number) for number in range(count)])
        return request, [amount_question(self.chain_id, request_id, request, auditors) for auditors in sets]

    # -- members

    def scope(self, window: int) -> bytes:
        """Return the scope of a window of the private market."""
        return scope_of(self.chain_id, PRIVACY_REGISTRY, PRIVATE_MARKET, window)

    async def row(self, account: bytes, window: int) -> Row:
        """Return a member's row in the ring of a window.

        Raises:
            NotOnRecord: the account has none.
        """
        for row in await self._rows(window):
            if row.account == account:
                return row
        raise NotOnRecord(f"account 0x{account.hex()} is not in the ring of window {window}")

    async def row_of_key(self, ring_key: bytes, window: int) -> Row:
        """Return the row with a ring key in the ring of a window.

        Raises:
            NotOnRecord: there is none.
        """
        for row in await self._rows(window):
            if row.ring_key == ring_key:
                return row
        raise NotOnRecord(f"ring key 0x{ring_key.hex()} is not in the ring of window {window}")

    async def _rows(self, window: int) -> tuple[Row, ...]:
        (rows,) = await self.chain.read(privacy_registry.rows_of(window))
        return rows

    async def registrations(self, account: bytes) -> list[Registered]:
        """Return everything that an account registered, the first first."""
        topics = [_topic(PRIVACY_REGISTRY, Registered), f"0x{account.rjust(32, bytes(1)).hex()}"]
        found = await self._events(PRIVACY_REGISTRY, topics)
        return [event for event in found if isinstance(event, Registered)]

    async def dealing(self, account: bytes, window: int) -> tuple[Registered, AuditorSet]:
        """Return the registration whose keys act for an account in a window, and the auditors to whom it dealt.

        Raises:
            NotOnRecord: the account is not in the ring of the window.
        """
        row = await self.row(account, window)
        found = await self.registrations(account)
        registered = next((event for event in found if event.trace_key == row.trace_key), None)
        if registered is None:
            raise NotOnRecord(f"the node shows no registration of trace key 0x{row.trace_key.hex()}")
        (auditors,) = await self.chain.read(sealed_meters.auditors_of(registered.from_window))
        return registered, auditors

    async def number_of_box(self, account: bytes, box_secret: bytes, auditors: AuditorSet) -> int:
        """Return the number of the auditor with an account, whose key for boxes is the secret's.

        Raises:
            NotOnRecord: the account is none of these auditors', or has said another key for its boxes.
        """
        accounts = [auditor.account for auditor in auditors.auditors]
        (said,) = await self.chain.read(privacy_registry.box_key_of(account))
        if account not in accounts or said != box_key(box_secret):
            raise NotOnRecord(f"account 0x{account.hex()} with this box key: expected one of the auditors, and its key")
        return accounts.index(account) + 1

    async def complain(self, account: bytes, trace_key: bytes) -> Receipt:
        """Say that the share of a trace key is not right; raises as `NodeClient.transact`."""
        data = privacy_registry.complain(account, trace_key)
        return await self._node.transact(Call(PRIVACY_REGISTRY, data, COMPLAINT_GAS, "complain"))

    async def readmit(self, account: bytes) -> tuple[Receipt, bool]:
        """Let a barred account register again; whether it is still barred after that.

        Raises:
            NotOnRecord: the account is not barred.
            Others as `NodeClient.transact`.
        """
        if not await self._barred(account):
            raise NotOnRecord(f"account 0x{account.hex()} is not barred")
        data = privacy_registry.readmit(account)
        receipt = await self._node.transact(Call(PRIVACY_REGISTRY, data, READMISSION_GAS, "readmit"))
        return receipt, await self._barred(account)

    async def _barred(self, account: bytes) -> bool:
        (barred,) = await self.chain.read(privacy_registry.is_barred(account))
        return barred

    # -- what can be asked about

    async def actions(self, window: int) -> list[AnonymousAction]:
        """Return all calls without an account that were made for a window, in the chain's order."""
        (genesis,) = await self.chain.batch([("grid_genesis", [])])
        windows = Windows(**genesis["schedule"])
        first = 0 if window < TRADED_BEFORE else await self._height_at(windows.start_s(window - TRADED_BEFORE))
        last = min(await self._height_at(windows.start_s(window)), await self.chain.height())
        found = []
        for start in range(first, last + 1, BLOCKS_AT_ONCE):
            heights = range(start, min(start + BLOCKS_AT_ONCE, last + 1))
            blocks = await self.chain.batch([("eth_getBlockByNumber", [hex(height), True]) for height in heights])
            found += [
                AnonymousAction(height, row["hash"], _data(row["nullifier"]), _data(row["traceTag"]))
                for height, block in zip(heights, blocks, strict=True)
                for row in block["transactions"]
                if int(row["type"], 16) == ANONYMOUS_TYPE and int(row["window"], 16) == window
            ]
        return found

    async def _height_at(self, chain_s: int) -> int:
        """Return the first height whose block is not older than `chain_s`; the one after the newest if none is."""
        low, high = 0, await self.chain.height() + 1
        while low < high:
            middle = (low + high) // 2
            block = await self.chain.request("eth_getBlockByNumber", hex(middle), False)
            if int(block["timestamp"], 16) < chain_s:
                low = middle + 1
            else:
                high = middle
        return low

    async def note(self, index: int) -> bytes:
        """Return a published note (206 bytes) by its index.

        Raises:
            NotOnRecord: there is none.
        """
        events = await self._events(SHIELDED_POOL, [_topic(SHIELDED_POOL, NoteMade)])
        for event in events:
            if isinstance(event, NoteMade) and event.index == index:
                return event.note
        raise NotOnRecord(f"there is no note {index}")

    async def reading(self, meter: bytes, quarter: int, *, is_export: bool) -> bytes:
        """Return the ciphertext (66 bytes) of what a meter attested of a quarter.

        Raises:
            NotOnRecord: it attested nothing.
        """
        topics = [_topic(SEALED_METERS, SealedAttested), f"0x{meter.rjust(32, bytes(1)).hex()}"]
        for event in await self._events(SEALED_METERS, topics):
            if isinstance(event, SealedAttested) and event.quarter == quarter:
                return (event.export_points if is_export else event.import_points)[:66]
        raise NotOnRecord(f"meter 0x{meter.hex()} attested nothing of quarter {quarter}")

    async def _events(self, address: bytes, topics: list[str | list[str] | None]) -> list[Event]:
        logged = await self.chain.events([address], 0, await self.chain.height(), topics)
        return [row.event for row in logged]


def _topic(address: bytes, event: type[Event]) -> str | list[str] | None:
    return f"0x{topic_of(address, event).hex()}"


def _data(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
