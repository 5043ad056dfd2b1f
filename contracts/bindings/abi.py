"""One generic coder of calls, answers and events over a committed ABI; the typed modules are built on it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from contracts.artifact import load_artifact
from contracts.system import canonical_type

T = TypeVar("T")
E = TypeVar("E", bound="Event")


class Event:
    """Base of the events' dataclasses: named as in the ABI, fields as the event's parameters in snake case."""

    __slots__ = ()


class MalformedAnswer(ValueError):
    """What a node returned, or a log's content, is not what the contract's interface says."""

    def __init__(self, what: str, data: bytes, reason: str) -> None:
        super().__init__(f"{what}: {reason}: 0x{data[:64].hex()}{'…' if len(data) > 64 else ''} ({len(data)} bytes)")
        self.what = what
        self.data = data


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """A call that only reads: call `to` with `data`, give what comes back to `decode`."""

    to: bytes
    data: bytes
    decode: Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    selector: bytes
    input_types: tuple[str, ...]
    output_types: tuple[str, ...]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _EventType:
    cls: type[Event]
    inputs: tuple[Mapping[str, Any], ...]


class Interface:
    """A contract's interface.

    Args:
        contract: the artifact's name.
        address: where it lives (20 bytes).
        events: the dataclasses of its events.
    """

    def __init__(self, contract: str, address: bytes, events: Sequence[type[Event]] = ()) -> None:
        self.contract = contract
        self.address = address
        self._functions: dict[str, _Function] = {}
        self._events: dict[bytes, _EventType] = {}
        classes = {cls.__name__: cls for cls in events}
        for entry in load_artifact(contract).abi:
            if entry["type"] == "function":
                self._functions[entry["name"]] = _function(entry)
            elif entry["type"] == "event" and entry["name"] in classes:
                self._events[event_topic(entry)] = _EventType(classes[entry["name"]], tuple(entry["inputs"]))

    def call(self, name: str, *arguments: object) -> bytes:
        """Return the calldata of function `name`.

        Raises:
            eth_abi.exceptions.EncodingError: an argument is not of its type or out of its range.
        """
        function = self._functions[name]
        return function.selector + encode(function.input_types, arguments)

    def arguments(self, name: str, data: bytes) -> tuple[Any, ...]:
        """Return what calldata gives function `name`: addresses as bytes, structs as mappings in snake case.

        Raises:
            MalformedAnswer: it calls another function, or these are not its arguments.
        """
        function, what = self._functions[name], f"{self.contract}.{name}"
        if data[: len(function.selector)] != function.selector:
            raise MalformedAnswer(what, data, "a call of another function")
        values = _decode(what, function.input_types, data[len(function.selector) :])
        return tuple(_plain(parameter, value) for parameter, value in zip(function.inputs, values, strict=True))

    def view(self, decode_values: Callable[..., T], name: str, *arguments: object) -> View[T]:
        """Return the reading call of function `name`; `decode_values` gets its return values one by one."""
        return View(self.address, self.call(name, *arguments), lambda data: decode_values(*self.outputs(name, data)))

    def outputs(self, name: str, data: bytes) -> tuple[Any, ...]:
        """Return the values that function `name` returned: addresses as bytes, structs as mappings in snake case.

        Raises:
            MalformedAnswer: `data` is not such values.
        """
        function = self._functions[name]
        values = _decode(f"{self.contract}.{name}", function.output_types, data)
        return tuple(_plain(parameter, value) for parameter, value in zip(function.outputs, values, strict=True))

    def topic(self, event: type[Event]) -> bytes:
        """Return the first topic of an event's logs."""
        return next(topic for topic, known in self._events.items() if known.cls is event)

    def decode_event(self, topics: Sequence[bytes], data: bytes) -> Event | None:
        """Return the event of a log of this contract; None for one that has no dataclass.

        Raises:
            MalformedAnswer: the log has such a topic but not such content.
        """
        known = self._events.get(bytes(topics[0])) if topics else None
        if known is None:
            return None
        what = f"{self.contract}.{known.cls.__name__}"
        indexed = [parameter for parameter in known.inputs if parameter["indexed"]]
        plain = [parameter for parameter in known.inputs if not parameter["indexed"]]
        if len(topics) != 1 + len(indexed):
            raise MalformedAnswer(what, data, f"{len(topics)} topics, expected {1 + len(indexed)}")
        values: dict[str, Any] = {}
        for parameter, topic in zip(indexed, topics[1:], strict=True):
            (value,) = _decode(what, [canonical_type(parameter)], bytes(topic))
            values[snake_case(parameter["name"])] = _plain(parameter, value)
        decoded = _decode(what, [canonical_type(parameter) for parameter in plain], data)
        for parameter, value in zip(plain, decoded, strict=True):
            values[snake_case(parameter["name"])] = _plain(parameter, value)
        return construct(known.cls, values)


def event_topic(entry: Mapping[str, Any]) -> bytes:
    """Return keccak of an ABI entry's signature."""
    return keccak(signature(entry).encode())


def signature(entry: Mapping[str, Any]) -> str:
    """Return the signature of an ABI entry, for example "transfer(address,uint256)"."""
    return f"{entry['name']}({','.join(canonical_type(parameter) for parameter in entry['inputs'])})"


def snake_case(name: str) -> str:
    """Return `priceMicroeurPerKwh_` as `price_microeur_per_kwh`, and Python's own words with an underscore behind."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name.strip("_")).lower()
    return f"{snake}_" if keyword.iskeyword(snake) else snake


def construct(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return dataclass `cls` of decoded `values`: numbers become its enumerations, mappings its dataclasses."""
    dataclass_type: Any = cls
    hints = _hints(dataclass_type)
    return cls(**{name: _typed(hints[name], value) for name, value in values.items()})


def one(value: T) -> T:
    """Return the only value of an answer."""
    return value


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _typed(hint: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return construct(hint, value)
    if isinstance(value, tuple) and get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint(value)
    return value


def _function(entry: Mapping[str, Any]) -> _Function:
    return _Function(
        name=entry["name"],
        selector=keccak(signature(entry).encode())[:4],
        input_types=tuple(canonical_type(parameter) for parameter in entry["inputs"]),
        output_types=tuple(canonical_type(parameter) for parameter in entry["outputs"]),
        inputs=tuple(entry["inputs"]),
        outputs=tuple(entry["outputs"]),
    )


def _decode(what: str, types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    # A contract takes any bytes for a string, so they are read as bytes: what one account wrote there must not keep the
    # others from reading their logs.
    try:
        return decode([kind.replace("string", "bytes") for kind in types], data)
    except (DecodingError, OverflowError) as error:
        raise MalformedAnswer(what, data, str(error)) from None


def _plain(parameter: Mapping[str, Any], value: Any) -> Any:
    kind: str = parameter["type"]
    if kind.endswith("]"):
        element = {**parameter, "type": kind[: kind.rindex("[")]}
        return tuple(_plain(element, item) for item in value)
    if kind == "tuple":
        parts = zip(parameter["components"], value, strict=True)
        return {snake_case(component["name"]): _plain(component, item) for component, item in parts}
    if kind == "string":
        return value.decode(errors="replace")
    return bytes.fromhex(value[2:]) if kind == "address" else value
