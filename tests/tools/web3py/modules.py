"""web3.py's module tests with what each says of the client it expects."""

from __future__ import annotations

from typing import Any

from web3._utils.module_testing.web3_module import AsyncWeb3ModuleTest, Web3ModuleTest

from tests.tools.web3py import targets


def _check(client_version: str) -> None:
    assert client_version.startswith(f"{targets.chosen()}/"), client_version


class PlainWeb3(Web3ModuleTest):
    """`web3_clientVersion` names the chain under test."""

    def _check_web3_client_version(self, client_version: Any) -> Any:
        _check(client_version)


class AsyncWeb3(AsyncWeb3ModuleTest):
    """`web3_clientVersion` names the chain under test."""

    def _check_web3_client_version(self, client_version: Any) -> Any:
        _check(client_version)
