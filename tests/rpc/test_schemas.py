"""Shows that all answers validate against execution-apis' result schemas, and that the page of verdicts is true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from node.rpc.absent import ABSENT
from node.rpc.dispatch import all_methods
from tests.rpc.conformance import DIFFERENT, PAGE, SPECIFICATION, Question, Verdict, judged, page, prepared
from tests.rpc.harness import RunningNode


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, list[Question]]]:
    node, questions = prepared(tmp_path_factory.mktemp("conformance") / "chain")
    yield node, questions
    node.close()


@pytest.fixture(scope="module")
def verdicts(asked: tuple[RunningNode, list[Question]]) -> Mapping[str, Verdict]:
    return judged(*asked)


def test_every_answer_fits_its_schema(verdicts: Mapping[str, Verdict]) -> None:
    assert [fault for verdict in verdicts.values() for fault in verdict.faults] == []
    assert all(verdict.fitting for verdict in verdicts.values())


def test_every_method_is_there_or_said_to_be_absent(asked: tuple[RunningNode, list[Question]]) -> None:
    here = {method.name for method in all_methods()}
    specified = set(SPECIFICATION["methods"])
    assert specified <= here | set(ABSENT)
    assert not here & set(ABSENT)
    assert {question.method for question in asked[1]} == specified - set(ABSENT)
    assert {question.method for question in asked[1] if question.differs} == set(DIFFERENT)


def test_an_answer_that_does_not_fit_is_found(asked: tuple[RunningNode, list[Question]]) -> None:
    node, _ = asked
    wrong = judged(node, [Question("eth_getBlockByNumber", ["latest"], differs=True), Question("eth_call", [5])])
    assert wrong["eth_getBlockByNumber"].faults == ['["latest"] fits, against expectation']
    assert "-32602" in wrong["eth_call"].faults[0]


def test_the_page_says_what_was_found(verdicts: Mapping[str, Verdict]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(verdicts), "renew it: python -m tests.rpc.conformance"
