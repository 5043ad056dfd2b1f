"""`grid_overview` and the page at `/`: what is in it, and who gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from contracts.bindings import market
from contracts.bindings.abi import View
from contracts.bindings.market_types import Trade, TradesPage, TradeState
from contracts.bindings.private_market import WindowState
from node.rpc.grid_schemas import OVERVIEW
from node.rpc.market_windows import MAX_TRADES, Schedule, WindowRow, open_row, private_row
from node.rpc.page import SECURITY
from node.rpc.settings import RpcConfig
from tests.contracts.street import Street
from tests.node.samples import GENESIS_TIME_S, sample_genesis
from tests.rpc.browser import CHROMIUM, Browser
from tests.rpc.harness import RunningNode
from tests.rpc.test_grid import TARGET, send
from tests.rpc.test_openrpc import validator

HOSTILE = "<img src=x onerror=alert(1)>"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node known by a name, of a street on which one member's name is hostile."""
    config = RpcConfig(port=0, open=("*",), hosts=("node.home", "localhost"))
    members = sample_genesis()["members"]
    members[1]["name"] = HOSTILE
    running = RunningNode(tmp_path_factory.mktemp("street") / "chain", config, sections={"members": members})
    yield running
    running.close()


def get(running: RunningNode, path: str = "/", **headers: str) -> tuple[int, CIMultiDictProxy[str], bytes]:
    async def job() -> tuple[int, CIMultiDictProxy[str], bytes]:
        async with (
            aiohttp.ClientSession() as client,
            client.get(
                running.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()}
            ) as answer,
        ):
            return answer.status, answer.headers, await answer.read()

    return asyncio.run(job())


def upgrade(running: RunningNode, host: str, origin: str) -> int:
    """Return the status of a WebSocket's handshake."""

    async def job() -> int:
        async with aiohttp.ClientSession() as client:
            try:
                async with client.ws_connect(running.ws_url, headers={"Host": host, "Origin": origin}):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    return asyncio.run(job())


# -- grid_overview


def test_before_anything_happened_and_after(street: RunningNode) -> None:
    street.backend.mining = False
    empty = street.result("grid_overview")
    assert (empty["votes"], len(empty["blocks"]), empty["head"]["number"]) == ([], 1, "0x0")
    assert [each["signed"] for each in empty["validators"]] == [[]] * 4
    assert (empty["pool"], empty["ready"]) == ({"pending": "0x0", "queued": "0x0"}, True)
    send(street, 0, TARGET, value=1)
    send(street, 5, TARGET, value=1)
    street.backend.reasons = ["no quorum: 1 of 4 validators are connected, 3 are needed"]
    assert street.result("grid_overview")["pool"] == {"pending": "0x1", "queued": "0x1"}
    street.mine()
    told = street.result("grid_overview")
    block = street.result("eth_getBlockByNumber", "latest", False)
    assert told["head"] == {key: block[key] for key in ("number", "hash", "timestamp", "gasUsed")} | {
        "transactions": "0x1"
    }
    assert [each["signed"] for each in told["validators"]] == [[True]] * 4
    assert [each["name"] for each in told["validators"] if each["nodeKey"] == told["nodeKey"]] == ["house-0"]
    assert (told["ready"], told["reasons"]) == (False, street.backend.reasons)
    assert told["leader"] == "0x" + street.backend.validators().leader(2, 0).hex()
    for answer in (empty, told):
        assert not list(validator(OVERVIEW).iter_errors(answer))


def test_no_more_than_the_newest_blocks_and_votes(street: RunningNode) -> None:
    for _ in range(30):
        street.mine()
    told = street.result("grid_overview")
    assert [int(block["number"], 16) for block in told["blocks"]] == list(range(31, 23, -1))
    assert [int(vote["height"], 16) for vote in told["votes"]] == list(range(8, 32))
    assert {len(each["signed"]) for each in told["validators"]} == {24}
    peer = told["peers"][0]  # which told of height 0, and signed block 31 since
    assert (peer["name"], peer["height"]) == (HOSTILE, "0x1e")


def test_the_windows_of_a_market_that_nobody_uses(street: RunningNode) -> None:
    assert [window["state"] for window in street.result("grid_overview")["market"]["windows"]] == [
        "trading",
        "delivering",
    ]
    street.backend.chain.wall_ms += 10 * 3_600_000
    market = street.result("grid_overview")["market"]
    assert (market["private"], market["window"], market["windowLength"]) == (False, "0xa", "0xe10")
    assert [(window["window"], window["entries"]) for window in market["windows"]] == [("0xb", "0x0"), ("0xa", "0x0")]
    assert int(market["windows"][0]["from"], 16) == GENESIS_TIME_S + 11 * 3_600


def test_a_row_is_final_when_nothing_of_it_can_change() -> None:
    assert WindowRow(5, 0, 0, 0).final(5)
    assert not WindowRow(6, 0, 0, 0).final(5)
    assert not WindowRow(3, 2, 1, 100).final(5)
    assert WindowRow(3, 2, 2, 100).final(5)
    assert Schedule(100, 10, private=False).window_at(99) == -1


def test_contracts_count_when_both_sides_are_bound() -> None:
    market_street = Street().fund("ann", "bob", "cat").at(0)
    offer = market_street.offer("ann", 1, 1_000, 200_000)
    market_street.at(0, 2_800)
    allowed, allocated = (market_street.terms(1, "ann", buyer, 300, 200_000) for buyer in ("bob", "cat"))
    trade = market_street.allocate(offer, allowed, "ann", "bob")
    market_street.allocate(offer, allocated, "ann", "cat")
    market_street.market("bob", market.allow_transaction(trade))
    assert open_row(market_street.view, 1) == WindowRow(1, entries=1, settled=0, energy_wh=300)
    market_street.at(2)
    for house in ("ann", "bob"):
        market_street.attest(house, 1, imported=400, exported=400)
    market_street.market("bob", market.make_transaction(trade))
    assert open_row(market_street.view, 1) == WindowRow(1, entries=1, settled=1, energy_wh=300)
    assert open_row(market_street.view, 2) == WindowRow(2, entries=0, settled=0, energy_wh=0)


def test_a_window_with_too_many_contracts_is_not_added_up() -> None:
    pages = 0

    def ask(_question: View[Any]) -> TradesPage:
        nonlocal pages
        pages += 1
        zeros = dict.fromkeys(("window", "delivered_wh", "seller_before_wh", "buyer_before_wh", "offer_id"), 0)
        trade = Trade(bytes(32), bytes(20), 7, 1_000, TradeState.ALLOWED, bytes(20), **zeros)
        return TradesPage((trade,) * market.MAX_PAGE, 10**6)

    assert open_row(ask, 3) == WindowRow(3, 10**6, 0, None)
    assert pages == MAX_TRADES / market.MAX_PAGE


def test_a_private_window_tells_sessions_alone() -> None:
    answers: list[Any] = []

    def ask(_question: View[Any]) -> Any:
        return answers.pop(0)

    def state(still: int) -> WindowState:
        return WindowState(False, 0, still, False, 0, b"")

    answers = [(bytes(20),) * 3, state(2)]
    assert private_row(ask, 5, 6) == WindowRow(5, 3, 1, None)
    answers = [(bytes(20),) * 3]
    assert private_row(ask, 5, 5) == WindowRow(5, 3, 0, None)


# -- the page


def test_a_browser_gets_the_page_and_others_what_they_got(street: RunningNode) -> None:
    status, headers, body = get(street, **HTML)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<h1" in body
    assert {name: headers[name] for name in SECURITY} == SECURITY
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert get(street, Accept="*/*")[0] == 426
    assert street.result("eth_chainId") == "0x7e0"


@pytest.mark.parametrize(
    ("name", "kind"), [("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml")]
)
def test_its_files_have_types_and_tags(street: RunningNode, name: str, kind: str) -> None:
    status, headers, body = get(street, f"/page/{name}")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
    assert headers["X-Content-Type-Options"] == "nosniff"
    again, _, nothing = get(street, f"/page/{name}", If_None_Match=headers["ETag"])
    assert (again, nothing) == (304, b"")
    assert get(street, f"/page/{name}", If_None_Match='"another"')[2] == body


@pytest.mark.parametrize("path", ["/page/", "/page/nothing.js", "/page/..%2fservice.py", "/page/%2e%2e/service.py"])
def test_nothing_else_is_served(street: RunningNode, path: str) -> None:
    assert get(street, path)[0] == 404


def test_the_page_names_nothing_outside(street: RunningNode) -> None:
    for name in ("page.js", "connection.js", "words.js", "street.js", "page.css", "icon.svg", ""):
        body = get(street, f"/page/{name}" if name else "/", **HTML)[2].decode()
        rest = body.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in rest
        assert "https:" not in rest.replace('"https:" ?', "")
        assert "innerHTML" not in rest
        assert "<script>" not in rest
        assert " style=" not in rest


def test_its_own_origin_may_open_a_websocket(street: RunningNode) -> None:
    own = f"127.0.0.1:{street.port}"
    assert upgrade(street, own, f"http://{own}") == 101
    assert upgrade(street, "node.home", "https://node.home") == 101  # behind a proxy with TLS
    assert upgrade(street, f"Node.Home:{street.port}", f"http://node.home:{street.port}") == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("{own}", "http://evil.example"),
        ("{own}", "http://127.0.0.1:1"),
        ("{own}", "http://127.0.0.1"),
        ("{own}", "null"),
        ("{own}", "file://{own}"),
        ("{own}", "http://user@{own}"),
        ("evil.example", "http://evil.example"),  # a name that was rebound to this machine
        ("evil.example:{port}", "http://evil.example:{port}"),
        ("{own}", "http://node.home"),
    ],
)
def test_no_other_origin_may(street: RunningNode, host: str, origin: str) -> None:
    names = {"own": f"127.0.0.1:{street.port}", "port": street.port}
    assert upgrade(street, host.format(**names), origin.format(**names)) == 403


def test_the_page_is_not_served_under_a_rebound_name(street: RunningNode) -> None:
    assert get(street, **HTML, Host="evil.example")[0] == 403
    assert get(street, "/page/page.js", Host="evil.example")[0] == 403


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, open=("*",), page=False))
    own = f"127.0.0.1:{running.port}"
    try:
        assert get(running, **HTML)[0] == 426
        assert get(running, "/page/page.js")[0] == 404
        assert upgrade(running, own, f"http://{own}") == 403
    finally:
        running.close()


# -- in a browser


async def hang_up(running: RunningNode) -> None:
    for opened in list(running.server._sockets):
        await opened.close()


async def texts(browser: Browser, selector: str) -> list[str]:
    found = await browser.value(f"[...document.querySelectorAll('{selector}')].map((one) => one.textContent)")
    return [str(text) for text in found]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_in_a_browser(street: RunningNode, tmp_path: Path) -> None:
    height = street.result("grid_status")["height"]
    assert int(height, 16) > 0

    async def job() -> None:
        async with Browser(tmp_path) as browser:
            await browser.size(1280, 900)
            await browser.go(street.url + "/")
            await browser.becomes(f"document.getElementById('head').textContent === 'Block {int(height, 16)}'")
            await browser.value("window.sameDocument = true")

            mined = await asyncio.to_thread(street.mine)  # live: the height grows without a reload
            await browser.becomes(f"document.getElementById('head').textContent === 'Block {mined}'", 4)
            assert await browser.value("window.sameDocument")
            assert await browser.value("document.title") == f"{mined} · gridpact"
            rows = await browser.value(
                "[...document.querySelectorAll('#blocks tbody th')].map((cell) => cell.textContent)"
            )
            assert rows[:2] == [str(mined), str(mined - 1)]
            assert await browser.value("document.querySelectorAll('#street .lit').length") == 4
            assert await browser.value("document.getElementById('state').textContent") == "live"
            assert "not ready" in await browser.value("document.getElementById('ready').textContent")

            names = await texts(browser, "#street bdi")
            assert sorted(names) == [HOSTILE, "house-0", "house-2", "house-3"]
            assert await browser.value("document.images.length") == 0

            tables = "[...document.querySelectorAll('table')]"
            assert await browser.value(
                f"{tables}.every((table) => table.caption && table.querySelector('th[scope=col]'))"
            )
            levels = await browser.value("[...document.querySelectorAll('h1, h2')].map((heading) => heading.localName)")
            assert levels == ["h1"] + ["h2"] * (len(levels) - 1)

            await browser.size(360, 740)
            assert await browser.value("document.documentElement.scrollWidth") == 360
            outside = (
                "[...document.querySelectorAll('main *')].filter((one) => one.getBoundingClientRect().right > 361)"
            )
            assert await browser.value(f"{outside}.map((one) => one.outerHTML)") == []

            await asyncio.to_thread(street.run, hang_up(street))  # the node goes away, and is found again
            await browser.becomes(
                "document.getElementById('state').textContent.startsWith('The node does not answer.')"
            )
            await browser.value(
                "document.dispatchEvent(new Event('visibilitychange')), 0"
            )  # somebody looks: no waiting
            await browser.becomes("document.getElementById('state').textContent === 'live'")
            mined = await asyncio.to_thread(street.mine)
            await browser.becomes(f"document.getElementById('head').textContent === 'Block {mined}'", 4)

            assert browser.troubles == []  # no error, no exception, nothing against the Content-Security-Policy
            script = "Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})"
            await browser.value(f"document.body.append({script}), 0")
            assert await browser.value("window.ran") is None
            assert any("Content Security Policy" in trouble for trouble in browser.troubles)  # so it would be heard of

    asyncio.run(job())
