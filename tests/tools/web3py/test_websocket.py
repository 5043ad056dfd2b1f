"""AsyncWeb3 over a WebSocket that stays open, with subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from web3 import AsyncWeb3 as Client
from web3 import WebSocketProvider
from web3._utils.module_testing.eth_module import AsyncEthModuleTest
from web3._utils.module_testing.go_ethereum_admin_module import GoEthereumAsyncAdminModuleTest
from web3._utils.module_testing.go_ethereum_debug_module import GoEthereumAsyncDebugModuleTest
from web3._utils.module_testing.go_ethereum_txpool_module import GoEthereumAsyncTxPoolModuleTest
from web3._utils.module_testing.net_module import AsyncNetModuleTest
from web3._utils.module_testing.persistent_connection_provider import PersistentConnectionProviderTest

from tests.tools.web3py.modules import AsyncWeb3
from tests.tools.web3py.targets import Target

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("web3py")]


@pytest.fixture
def async_w3(target: Target, runner: asyncio.Runner) -> Iterator[Any]:
    async def connected() -> Any:
        return await Client(WebSocketProvider(f"ws://{target.endpoint}", request_timeout=10))

    client = runner.run(connected())
    yield client
    runner.run(client.provider.disconnect())


class TestWeb3(AsyncWeb3): ...


class TestEth(AsyncEthModuleTest): ...


class TestNet(AsyncNetModuleTest): ...


class TestPersistentConnection(PersistentConnectionProviderTest): ...


class TestAdmin(GoEthereumAsyncAdminModuleTest): ...


class TestDebug(GoEthereumAsyncDebugModuleTest): ...


class TestTxPool(GoEthereumAsyncTxPoolModuleTest): ...
