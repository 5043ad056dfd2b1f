"""The table of methods: name, parameters, handler, and a line of documentation that a page is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from node.rpc.absent import ABSENT
from node.rpc.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError, shown
from node.rpc.formats import Json, Parser
from node.rpc.schemas import Schema, schema_of

Handler = Callable[..., Awaitable[Json]]
_REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A positional parameter: its name, how it is parsed, what stands for it when it is absent or null.

    `schema` is needed only if the parser carries none (see `node.rpc.schemas.takes`).
    """

    name: str
    parse: Parser[Any]
    default: Any = _REQUIRED
    schema: Schema | None = None

    @property
    def required(self) -> bool:
        """Whether a request must give it."""
        return self.default is _REQUIRED

    @property
    def described(self) -> Schema:
        """The JSON Schema of what the parameter takes."""
        return schema_of(self.parse) if self.schema is None else self.schema


@dataclass(frozen=True, slots=True)
class Method:
    """One method that clients can call."""

    name: str
    parameters: tuple[Parameter, ...]
    handler: Handler
    summary: str
    returns: Schema | None = None

    def bind(self, params: list[object]) -> list[Any]:
        """Return what the handler takes for positional parameters.

        Raises:
            RpcError: the parameters are not what the method takes.
        """
        if len(params) > len(self.parameters):
            most = len(self.parameters)
            raise RpcError(INVALID_PARAMS, f"too many arguments, want at most {most}, found {len(params)}")
        given = [*params, *[None] * (len(self.parameters) - len(params))]
        return [self._parse(place, *pair) for place, pair in enumerate(zip(self.parameters, given, strict=True))]

    def _parse(self, place: int, parameter: Parameter, value: object) -> Any:
        if value is not None:
            return parameter.parse(value, f"{place} ({parameter.name})")
        if parameter.required:
            raise RpcError(INVALID_PARAMS, f"missing value for required argument {place} ({parameter.name})")
        return parameter.default


class MethodTable:
    """Methods by name."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def method(self, name: str, *parameters: Parameter, returns: Schema | None = None) -> Callable[[Handler], Handler]:
        """Register the decorated handler under `name`; its docstring's first line documents the method."""

        def register(handler: Handler) -> Handler:
            summary = (handler.__doc__ or "").strip().split("\n")[0]
            if name in self._methods or not summary:
                raise ValueError(f"{name}: registered twice, or without a docstring")
            self._methods[name] = Method(name, parameters, handler, summary, returns)
            return handler

        return register

    def find(self, name: str) -> Method:
        """Return a method.

        Raises:
            RpcError: there is no such method.
        """
        method = self._methods.get(name)
        if method is None:
            why = f": {ABSENT[name]}" if name in ABSENT else ""
            raise RpcError(METHOD_NOT_FOUND, f"the method {shown(name)[1:-1]} does not exist/is not available{why}")
        return method

    def __contains__(self, name: str) -> bool:
        """Return whether there is a method of this name."""
        return name in self._methods

    def __iter__(self) -> Iterator[Method]:
        """Iterate over the methods by name."""
        return iter(sorted(self._methods.values(), key=lambda method: method.name))

    def extend(self, other: MethodTable) -> None:
        """Take over the methods of another table."""
        for method in other:
            if method.name in self._methods:
                raise ValueError(f"{method.name}: registered twice")
            self._methods[method.name] = method
