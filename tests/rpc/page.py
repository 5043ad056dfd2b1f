"""docs/json-rpc.md: the methods as the code describes them, below what is written by hand.

Run `python -m tests.rpc.page` to renew it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from node.rpc.absent import ABSENT
from node.rpc.discover import namespace
from node.rpc.dispatch import all_methods
from node.rpc.methods import Method, Parameter
from node.rpc.schemas import COMPONENTS, Schema

PAGE = Path(__file__).parents[2] / "docs" / "json-rpc.md"
BEGIN = "<!-- made from the code: python -m tests.rpc.page -->\n"
END = "<!-- end -->\n"
MOST_FIELDS = 40


def shown(schema: Schema) -> str:
    """Return a schema in a few words of Markdown."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join("`{}` (empty)".format("{}" if value == {} else "[]") if value in ({}, [])
                           else f"`{str(value).lower() if isinstance(value, bool) else value}`"
                           for value in schema["enum"])  # fmt: skip
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(shown(part) for part in schema[key])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {shown(schema.get('items', {}))}"
    if kind == "object":
        return _object(schema)
    if kind == "string" and "pattern" in schema:
        return f"string `{schema['pattern']}`"
    return str(kind or "anything").replace("|", "\\|")


def _object(schema: Schema) -> str:
    properties = schema.get("properties")
    if properties:
        required = schema.get("required", ())
        fields = [f"{name}{'' if name in required else '?'}: {shown(part)}" for name, part in properties.items()]
        return "{" + ", ".join(fields) + "}"
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        return f"object of {shown(schema['additionalProperties'])}"
    return "object"


def _parameter(parameter: Parameter) -> str:
    optional = "" if parameter.required else ", optional"
    return f"_{parameter.name}_ ({shown(parameter.described)}{optional})"


def _section(title: str, methods: Iterable[Method]) -> list[str]:
    lines = [f"### `{title}`", "", "| method | parameters | result | |", "|---|---|---|---|"]
    for method in methods:
        parameters = "; ".join(_parameter(parameter) for parameter in method.parameters)
        cells = (f"`{method.name}`", parameters, shown(method.returns or {}), method.summary)
        lines.append("| " + " | ".join(cell.replace("\n", " ") for cell in cells) + " |")
    return [*lines, ""]


def made() -> str:
    """Return the part of the page that is made from the code."""
    lines = ["", "## Methods", "", "A parameter that is optional may be left out at the end, or be null.", ""]
    for title, methods in groupby(sorted(all_methods(), key=lambda method: (namespace(method.name), method.name)),
                                  key=lambda method: namespace(method.name)):  # fmt: skip
        lines += _section(title, methods)
    lines += ["## Types", "", "A question mark is after what may be absent.", ""]
    for name, schema in sorted(COMPONENTS.items(), key=lambda item: item[0].lower()):
        plain = {key: value for key, value in schema.items() if key != "title"}
        lines += [f"#### {name}", "", f"{schema['title'][0].upper()}{schema['title'][1:]}.", "", shown(plain), ""]
    lines += ["## Methods that are deliberately absent", "", "| method | why |", "|---|---|"]
    lines += [f"| `{name}` | {reason} |" for name, reason in sorted(ABSENT.items())]
    return "\n".join(lines) + "\n\n"


def renewed(text: str) -> str:
    """Return the page's text with the part made from the code replaced.

    Raises:
        ValueError: the marks between which it stands are missing.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE}: expected {BEGIN.strip()} and {END.strip()}")
    return f"{head}{begin}{made()}{end}{tail}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
