"""The operator clears private windows; auditors open what each owes it, together, and pay it out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from agents.attempts import MAX_ATTEMPTS
from agents.auditing.totals import OperatorTotals
from agents.chain import Call, Pending
from agents.journal import Problem, TotalFound, TotalPartGoing
from agents.private.clearing import Clearing
from contracts.bindings import private_market
from contracts.bindings.abi import View
from contracts.bindings.private_market import OperatorPartGiven, SessionState, TradeState
from privacy.group import Scalar
from tests.contracts.private_street import HOUSES, WINDOW, Window, delivered, traded
from tests.contracts.street import CHAIN_ID, DEADLINE, HOUR_S, ZERO_S, Refused, Street, account
from tests.contracts.test_private_settlement import owed_in
from tests.contracts.test_sealed_meters import AUDITORS, SHARES

T = TypeVar("T")
SELLERS_LAST, LAST = WINDOW + DEADLINE + 1, WINDOW + 2 * DEADLINE + 2


class Direct:
    """The street as an agent's chain and sender, without a node between."""

    url = "a node"

    def __init__(self, street: Street, name: str) -> None:
        self.street = street
        self.name = name
        self.account = account(name)
        self.sent: list[Call] = []
        self.events: list[Any] = []
        self.lies: dict[str, Any] = {}

    async def read(self, *views: View[Any]) -> tuple[Any, ...]:
        """What the views say now, but for what this node lies about."""
        return tuple([self.lies.get(view.data[:4].hex(), self.street.view(view)) for view in views])

    async def read_all(self, views: Sequence[View[T]]) -> list[T]:
        """The same, of one kind."""
        return list(await self.read(*views))

    async def send(self, calls: Sequence[Call]) -> list[Pending]:
        """Send calls at once; what is refused has failed."""
        found = []
        for call in calls:
            self.sent.append(call)
            outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            try:
                self.events += self.street.send(self.name, call.to, call.data).events
                outcome.set_result(True)
            except Refused:
                outcome.set_result(False)
            found.append(Pending(self.account, call, 0, "", "", 0.0, outcome))
        return found


class At:
    """A clock and a schedule that stand at the street's time."""

    settlement_deadline_windows = DEADLINE

    def __init__(self, street: Street) -> None:
        self._street = street

    def now_s(self) -> float:
        """The chain's time."""
        return self._street.now_s if hasattr(self._street, "now_s") else int(self._street.state.timestamp)

    def window_at(self, chain_s: float) -> int:
        """The window of a time."""
        return int(chain_s - ZERO_S) // HOUR_S


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def clearing(street: Street, lines: list[Any]) -> tuple[Clearing, Direct]:
    node, at = Direct(street, "operator"), At(street)
    made: Any = Clearing
    return made(node, at, at, node, lines.append), node


def totals(street: Street, number: int, lines: list[Any], **changes: Any) -> tuple[OperatorTotals, Direct]:
    """An auditor's part in it, by its number from 1."""

    def write(line: Any, *, durable: bool = False) -> None:
        assert durable == isinstance(line, TotalPartGoing)
        lines.append(line)

    node = Direct(street, AUDITORS[number - 1])
    values = {
        "chain": node,
        "witnesses": (),
        "chain_id": CHAIN_ID,
        "sender": node,
        "share": SHARES[number - 1],
        "meters": len(HOUSES),
        "least_sessions": 4,
        "promised": {},
        "write": write,
        "now_s": lambda: float(street.state.timestamp),
        "patience_s": 3600.0,
    }
    made: Any = OperatorTotals
    return made(**{**values, **changes}), node


@pytest.fixture
def window() -> Window:
    return delivered().fresh(WINDOW + 1)


@pytest.fixture
def settled(window: Window) -> Window:
    window.settle("ann", "dan", "bob", "cat", "eva", "fred")
    return window


def test_rows_are_prepared_once_the_window_is_closed() -> None:
    window = traded().fresh(WINDOW + 1)
    operator, node = clearing(window.street, [])
    run(operator.step())
    assert node.sent == []  # its readings are not closed
    whole = delivered().fresh(WINDOW + 1)
    operator, node = clearing(whole.street, [])
    run(operator.step())
    assert node.sent == []  # somebody prepared it, and everybody has time
    assert whole.street.view(private_market.window_state(WINDOW)).prepared


def test_who_does_not_settle_is_in_default_and_forfeits_by_turns(window: Window) -> None:
    street, lines = window.street, list[Any]()
    window.settle("fred")
    allowed = [trade for trade in window.trades.values() if state_of(street, trade) is TradeState.ALLOWED]
    operator, node = clearing(street, lines)
    for quiet in (SELLERS_LAST, SELLERS_LAST):
        street.at(quiet)
        run(operator.step())
    assert node.sent == []
    street.at(SELLERS_LAST + 1)
    run(operator.step())
    assert len(node.sent) == len(allowed) == 3
    assert {state_of(street, trade) for trade in allowed} == {TradeState.DEFAULTED}
    run(operator.step())
    assert len(node.sent) == len(allowed)  # the buyers have time
    window.settle("bob")
    street.at(LAST + 1)
    run(operator.step())
    found = {
        house: street.view(private_market.session_of(trader.session)).state for house, trader in window.traders.items()
    }
    assert found == {
        house: SessionState.SETTLED if house in ("bob", "fred") else SessionState.FORFEITED for house in window.traders
    }
    assert street.view(private_market.window_state(WINDOW)).open == 0
    run(operator.step())
    assert len(node.sent) == len(allowed) + len(window.traders) - 2
    assert lines == []


def test_what_is_refused_again_and_again_is_left_to_a_person(window: Window) -> None:
    lines: list[Any] = []
    operator, node = clearing(window.street, lines)
    window.street.at(SELLERS_LAST + 1)

    async def steps() -> None:
        node.street = type("Refusing", (), {"view": window.street.view, "send": _refuse})()
        for _ in range(MAX_ATTEMPTS + 3):
            await operator.step()

    run(steps())
    assert len(node.sent) == MAX_ATTEMPTS * 3
    assert [type(line) for line in lines] == [Problem] * 3


def state_of(street: Street, trade: bytes) -> TradeState:
    """Where a trade stands."""
    return street.view(private_market.trade_of(trade)).state


def _refuse(*_: object) -> None:
    raise Refused(b"")


def test_the_last_of_enough_auditors_opens_the_total_and_the_operator_is_paid(settled: Window) -> None:
    street, lines = settled.street, list[Any]()
    first, node = totals(street, 1, lines)
    run(first.step(WINDOW))
    assert [type(event) for event in node.events] == [OperatorPartGiven]
    run(first.step(WINDOW))
    assert len(node.sent) == 1  # a part once
    third, other = totals(street, 3, lines)
    third.learn(node.events[0])
    run(third.step(WINDOW))
    (part,) = (event for event in other.events if isinstance(event, OperatorPartGiven))
    third.learn(part)
    run(third.step(WINDOW))
    total = owed_in(street)  # the pool of this street holds no money: it was never asked for the budgets
    assert other.sent[-1].data == private_market.pay_operator(WINDOW, total, [1, 3])
    assert [line.total_microeur for line in lines if isinstance(line, TotalFound)] == [total]
    assert total != 0
    run(first.step(WINDOW))
    assert len(node.sent) == 1


def test_a_total_is_opened_by_another_if_the_last_of_enough_auditors_does_not(settled: Window) -> None:
    street = settled.street.at(WINDOW + 1)
    first, node = totals(street, 1, [])
    run(first.step(WINDOW))
    third, other = totals(street, 3, [])
    run(third.step(WINDOW))
    for event in (*node.events, *other.events):
        first.learn(event)
    run(first.step(WINDOW))
    assert len(node.sent) == 1  # the third is expected to
    street.at(WINDOW + 2, 1)
    run(first.step(WINDOW))
    assert node.sent[-1].data == private_market.pay_operator(WINDOW, owed_in(street), [1, 3])


def test_no_part_of_a_window_that_is_not_settled_or_has_few_sessions(window: Window) -> None:
    lines: list[Any] = []
    early, node = totals(window.street, 1, lines)
    run(early.step(WINDOW))
    assert node.sent == lines == []
    window.settle("ann", "dan", "bob", "cat", "eva", "fred")
    picky, node = totals(window.street, 1, lines, least_sessions=7)
    run(picky.step(WINDOW))
    assert node.sent == []
    assert [line.reason for line in lines] == ["6 sessions are in it, expected at least 7"]


def test_no_part_if_the_few_that_are_no_members_could_be_told_by_it(settled: Window) -> None:
    """What all meters took less what the members owe would be what they took."""
    for meters, gives in ((len(HOUSES), True), (len(HOUSES) + 1, False), (len(HOUSES) + 4, True)):
        lines: list[Any] = []
        auditor, node = totals(settled.street, 2, lines, meters=meters)
        run(auditor.step(WINDOW))
        assert bool(node.sent) == gives
        assert [line.reason for line in lines if isinstance(line, Problem)] == (
            [] if gives else ["1 meters are of no member, expected none or at least 4"]
        )


def test_only_sessions_that_are_in_a_total_count(window: Window) -> None:
    lines: list[Any] = []
    window.settle("ann", "dan", "bob", "cat", "eva", "fred")
    auditor, node = totals(window.street, 1, lines, least_sessions=6)
    selector = private_market.session_of(bytes(20)).data[:4].hex()
    trader = window.traders["ann"]
    session = window.street.view(private_market.session_of(trader.session))
    node.lies[selector] = type(session)(**{**_fields(session), "state": SessionState.OFFERED})
    run(auditor.step(WINDOW))
    assert node.sent == []
    assert [line.reason for line in lines] == ["0 sessions are in it, expected at least 6"]


def test_no_part_of_another_total_than_other_nodes_tell_or_was_promised(settled: Window) -> None:
    street = settled.street
    state = street.view(private_market.window_state(WINDOW))
    liar = Direct(street, "bob")
    selector = private_market.window_state(WINDOW).data[:4].hex()
    liar.lies[selector] = type(state)(**{**_fields(state), "sealed_total": b"\x02" + bytes(65)})
    for changes, reason in (
        ({"witnesses": (Direct(street, "ann"), liar)}, "node a node has another total"),
        ({"promised": {WINDOW: "00"}}, "a part of another total was given before"),
    ):
        lines: list[Any] = []
        auditor, node = totals(street, 2, lines, **changes)
        run(auditor.step(WINDOW))
        assert node.sent == []
        assert [line.reason for line in lines] == [reason]


def test_no_part_before_enough_nodes_have_said_the_same(settled: Window) -> None:
    street = settled.street
    state = street.view(private_market.window_state(WINDOW))
    behind = [Direct(street, "ann"), Direct(street, "bob")]
    selector = private_market.window_state(WINDOW).data[:4].hex()
    for node in behind:
        node.lies[selector] = type(state)(**{**_fields(state), "open": 1})
    auditor, node = totals(street, 2, [], witnesses=tuple(behind))
    run(auditor.step(WINDOW))
    assert node.sent == []
    behind[0].lies.clear()
    run(auditor.step(WINDOW))
    assert len(node.sent) == 1


def test_who_holds_another_share_gives_none(settled: Window) -> None:
    auditor, node = totals(settled.street, 1, [], share=Scalar(SHARES[0] + 1))
    run(auditor.step(WINDOW))
    assert node.sent == []


def _fields(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in state.__slots__}
