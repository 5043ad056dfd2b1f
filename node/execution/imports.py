"""What py-evm imports of py_ecc, without what that computes while it is imported.

`py_ecc.optimized_bls12_381.optimized_pairing` raises twelve field elements to a power of 381 bits, a fifth of the time
in which a reading process starts. In its place lies a module whose functions load it when the first is called.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PACKAGE = "py_ecc.optimized_bls12_381"
NAME = f"{PACKAGE}.optimized_pairing"
FUNCTIONS = ("pairing", "final_exponentiate")
"""What is imported from it."""


def defer_pairing() -> None:
    """Put the module in its place, if nothing has been imported yet."""
    package = None if PACKAGE in sys.modules else importlib.util.find_spec(PACKAGE)
    spec = package and PathFinder.find_spec(NAME, package.submodule_search_locations)
    if spec:
        sys.modules[NAME] = _Deferred(spec)


class _Deferred(ModuleType):
    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec

        @cache
        def load() -> ModuleType:
            module = importlib.util.module_from_spec(spec)
            assert spec.loader is not None
            spec.loader.exec_module(module)
            return module

        def function(name: str) -> Any:
            return lambda *args, **named: getattr(load(), name)(*args, **named)

        for name in FUNCTIONS:
            setattr(self, name, function(name))
