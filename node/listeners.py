"""Whom to tell of something, for as long as each of them wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Listeners(Generic[T]):
    """Calls all that were added, in their order; one may be added or taken away while they are called."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[T], None]] = []

    def add(self, listener: Callable[[T], None]) -> Callable[[], None]:
        """Call `listener(value)` from now on; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, value: T) -> None:
        """Call them."""
        for listener in list(self._listeners):
            listener(value)
