"""What documents show of the code is made from the code."""

from __future__ import annotations

import re
from pathlib import Path

from consensus.diagram import diagram

DOCS = Path(__file__).parent.parent / "docs"


def test_the_state_diagram_is_that_of_the_code() -> None:
    text = (DOCS / "consensus.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- diagram -->\n```mermaid\n(.*)\n```\n<!-- /diagram -->", text, re.DOTALL)
    assert shown is not None
    assert shown[1] == diagram(), "renew it from `python -m consensus.diagram`"


def test_the_rules_name_functions_that_exist() -> None:
    text = (DOCS / "consensus.md").read_text(encoding="utf-8")
    rules = text.partition("## The rules")[2].partition("## Restarts")[0]
    names = {name.rpartition(".")[2] for name in re.findall(r"`((?:\w+\.)*\w+)`", rules)} - {"heartbeat_ms"}
    root = DOCS.parent
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in (root / "consensus", root / "node" / "driver")
        for path in sorted(folder.glob("*.py"))
    )
    modules = {path.stem for folder in ("consensus", "node/driver") for path in (root / folder).glob("*.py")}
    missing = {name for name in names if f"def {name}(" not in code and f"{name}:" not in code} - modules
    assert not missing


def test_the_tests_that_documents_name_exist() -> None:
    root = DOCS.parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("test_*.py")))
    there = set(re.findall(r"def (test_\w+)\(", code))
    for page in sorted(DOCS.glob("*.md")):
        named = set(re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")))
        assert not named - there, page.name
    threats = (DOCS / "threat-model.md").read_text(encoding="utf-8").partition("## Attacks")[2]
    rows = [row for row in threats.splitlines() if row.startswith("| ") and not row.startswith(("| attack", "|--"))]
    assert all("`test_" in row or "no predicate" in row for row in rows)


def test_the_map_of_rooms_names_what_is_in_node_and_nothing_else() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = set(re.findall(r"`(\w+(?:\.py|/))`", text.partition("Inside `node/`:")[2].partition("## ")[0]))
    node = DOCS.parent / "node"
    own = {path.name for path in node.glob("*.py")} | {path.parent.name + "/" for path in node.glob("*/__init__.py")}
    assert not own - {"__init__.py"} - rooms
    everywhere = {path.name for path in node.rglob("*.py")}
    assert not {room for room in rooms if room.endswith(".py")} - everywhere
    assert not {room for room in rooms if room.endswith("/")} - {f"{path.name}/" for path in node.rglob("*")}


def test_the_glossary_is_sorted_and_says_each_thing_once() -> None:
    rows = (DOCS / "glossary.md").read_text(encoding="utf-8").partition("|---|---|\n")[2].splitlines()
    words = [row.split("|")[1].strip().casefold() for row in rows if row.startswith("|")]
    assert words == sorted(set(words))
