"""`rpc_` methods: what this node serves, as an OpenRPC document, and its namespaces.

Source: https://spec.open-rpc.org (1.3, service discovery by `rpc.discover`); go-ethereum for `rpc_modules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.formats import Json
from node.rpc.methods import Method, MethodTable

OPENRPC_VERSION = "1.3.2"


def namespace(name: str) -> str:
    """Return the namespace of a method: what stands before the first underscore or dot."""
    return name.replace(".", "_", 1).partition("_")[0]


def with_discovery(methods: MethodTable) -> MethodTable:
    """Add to a table the methods that describe it, and return it."""
    table = MethodTable()
    document = cache(lambda: openrpc_document(methods))

    @table.method("rpc.discover", returns={"type": "object"})
    async def discover(_context: Context) -> Json:
        """Return the OpenRPC document of this node: every method with its parameters and result."""
        return document()

    @table.method("rpc_modules", returns=schemas.map_of(schemas.TEXT))
    async def modules(_context: Context) -> Json:
        """Return the namespaces of this node, each with a version."""
        return dict.fromkeys(sorted({namespace(method.name) for method in methods}), "1.0")

    methods.extend(table)
    return methods


def openrpc_document(methods: Iterable[Method]) -> dict[str, Json]:
    """Return the OpenRPC document of some methods."""
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "gridpact JSON-RPC",
            "description": "Ethereum's JSON-RPC as a gridpact validator serves it, and what Ethereum does not know.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0.html"},
            "version": version("gridpact"),
        },
        "methods": [_method(method) for method in methods],
        "components": {"schemas": dict(schemas.COMPONENTS)},
    }


def _method(method: Method) -> dict[str, Json]:
    return {
        "name": method.name,
        "summary": method.summary,
        "tags": [{"name": namespace(method.name)}],
        "paramStructure": "by-position",
        "params": [
            {
                "name": parameter.name,
                "required": parameter.required,
                "schema": parameter.described if parameter.required else schemas.nullable(parameter.described),
            }
            for parameter in method.parameters
        ],
        "result": {"name": "result", "schema": method.returns or schemas.ANY},
    }
