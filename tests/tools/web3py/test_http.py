"""Web3 over HTTP."""

from __future__ import annotations

import pytest
from web3._utils.module_testing.eth_module import EthModuleTest
from web3._utils.module_testing.go_ethereum_admin_module import GoEthereumAdminModuleTest
from web3._utils.module_testing.go_ethereum_debug_module import GoEthereumDebugModuleTest
from web3._utils.module_testing.go_ethereum_txpool_module import GoEthereumTxPoolModuleTest
from web3._utils.module_testing.net_module import NetModuleTest

from tests.tools.web3py.modules import PlainWeb3

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("web3py")]


class TestWeb3(PlainWeb3): ...


class TestEth(EthModuleTest): ...


class TestNet(NetModuleTest): ...


class TestAdmin(GoEthereumAdminModuleTest): ...


class TestDebug(GoEthereumDebugModuleTest): ...


class TestTxPool(GoEthereumTxPoolModuleTest): ...
