"""How many transactions a leader proposes."""

from __future__ import annotations

from node.budget import FIRST, LEAST, MOST, TARGET, BlockBudget

TIMEOUT_S = 4.0


def run(budget: BlockBudget, heights: int, overhead_s: float, per_transaction_s: float) -> float:
    """Decide busy heights whose time follows from their size; return what the last one took."""
    now_s = took_s = 0.0
    budget.work(now_s)
    for _ in range(heights):
        took_s = overhead_s + budget.transactions * per_transaction_s
        now_s += took_s
        view = int(took_s > TIMEOUT_S)
        budget.committed(now_s, transactions=budget.transactions, view=view, work=True, view_timeout_s=TIMEOUT_S)
    return took_s


def test_on_fast_lines_blocks_grow_to_the_most() -> None:
    budget = BlockBudget()
    run(budget, 12, 0.01, 0.000_1)
    assert budget.transactions == MOST


def test_on_slow_lines_a_height_settles_at_its_share_of_a_view() -> None:
    budget = BlockBudget()
    assert abs(run(budget, 20, 1.1, 0.025) - TARGET * TIMEOUT_S) < 0.3
    assert FIRST > budget.transactions > LEAST


def test_failed_views_halve_it_down_to_the_least() -> None:
    budget = BlockBudget()
    run(budget, 20, 10.0, 0.0)
    assert budget.transactions == LEAST


def test_idle_time_and_small_blocks_say_nothing() -> None:
    budget = BlockBudget()
    budget.committed(1_000.0, transactions=1, view=0, work=False, view_timeout_s=TIMEOUT_S)
    budget.work(2_000.0)
    budget.work(2_001.0)
    budget.committed(2_000.1, transactions=1, view=0, work=False, view_timeout_s=TIMEOUT_S)
    assert budget.transactions == FIRST
