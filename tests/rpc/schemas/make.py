"""Makes execution_apis.json: the result schemas of Ethereum's JSON-RPC methods, from a clone of execution-apis.

Run `python tests/rpc/schemas/make.py CLONE` with any Python that has PyYAML (gridpact itself needs none): it reads
src/{eth,debug,txpool}/*.yaml and src/schemas/*.yaml of the clone's HEAD, keeps each method's result and the schemas
that those need, and drops titles, descriptions and examples. What is written is CC0, as its source.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

OUT = Path(__file__).with_name("execution_apis.json")
REF = "#/components/schemas/"
PROSE = ("title", "description", "examples", "example")


def git(clone: str, *arguments: str) -> str:
    """Return what git prints about a clone."""
    return subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True, text=True).stdout


def load(clone: str, folder: str) -> list[Any]:
    """Return the documents below a folder."""
    paths = git(clone, "ls-tree", "-r", "--name-only", "HEAD", folder).split()
    return [yaml.safe_load(git(clone, "show", f"HEAD:{path}")) for path in paths if path.endswith(".yaml")]


def plain(schema: Any) -> Any:
    """Return a schema without prose; a property may well be called title."""
    if isinstance(schema, list):
        return [plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value for key, value in schema.items() if key not in PROSE}
    for key in ("properties", "patternProperties"):
        if key in found:
            found[key] = {name: plain(part) for name, part in found[key].items()}
    return {key: value if key in ("properties", "patternProperties") else plain(value) for key, value in found.items()}


def names(schema: Any) -> set[str]:
    """Return the names of the schemas that one refers to."""
    if isinstance(schema, list):
        return {name for part in schema for name in names(part)}
    if isinstance(schema, dict):
        own = {schema["$ref"].removeprefix(REF)} if isinstance(schema.get("$ref"), str) else set()
        return own | {name for part in schema.values() for name in names(part)}
    return set()


def main(clone: str) -> None:
    """Write the file."""
    components = {name: plain(schema) for document in load(clone, "src/schemas") for name, schema in document.items()}
    methods = {
        method["name"]: plain(method["result"]["schema"])
        for folder in ("src/eth", "src/debug", "src/txpool")
        for document in load(clone, folder)
        for method in document
    }
    wanted, found = names(list(methods.values())), set[str]()
    while wanted:
        name = wanted.pop()
        found.add(name)
        wanted |= names(components[name]) - found
    document = {
        "source": f"ethereum/execution-apis {git(clone, 'rev-parse', 'HEAD').strip()}",
        "licence": "CC0-1.0",
        "methods": dict(sorted(methods.items())),
        "components": {"schemas": {name: components[name] for name in sorted(found)}},
    }
    OUT.write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
