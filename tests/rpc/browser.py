"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S = 20.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Browser:
    """One tab.

    Args:
        profile: an empty folder of its own.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._sent = 0
        self.troubles: list[str] = []  # console, exceptions, and the browser's own log

    async def __aenter__(self) -> Browser:
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._http = aiohttp.ClientSession()
        try:
            port = await asyncio.to_thread(self._port)
            async with self._http.get(f"http://127.0.0.1:{port}/json/list") as response:
                tabs = await response.json()
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            self._socket = await self._http.ws_connect(url, max_msg_size=0)
        except BaseException:
            await self._end()
            raise
        self._listener = asyncio.create_task(self._listen())
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        await self._socket.close()
        await self._end()

    async def _end(self) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        assert self._process.stderr is not None
        self._process.stderr.close()
        await self._http.close()

    def _port(self) -> int:
        """Return the port that the browser says on its standard error that it listens on."""
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if line.startswith("DevTools listening on ws://"):
                return int(line.split("//")[1].split("/")[0].rpartition(":")[2])
        raise RuntimeError("Chromium does not start: " + "".join(said)[-2_000:])

    async def _listen(self) -> None:
        async for message in self._socket:
            content = json.loads(message.data)
            if "id" in content:
                self._questions.pop(content["id"]).set_result(content)
                continue
            method, params = content["method"], content["params"]
            if method == "Runtime.exceptionThrown":
                self.troubles.append(json.dumps(params["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                self.troubles.append(json.dumps(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                self.troubles.append(json.dumps(params["entry"]))

    async def send(self, method: str, **params: Any) -> Any:
        """Return what the browser answers to a command."""
        number = self._sent = self._sent + 1
        answer = self._questions[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(START_S):
            content = await answer
        assert "error" not in content, content
        return content["result"]

    async def value(self, expression: str) -> Any:
        """Return what a JavaScript expression (or promise) gives, as JSON."""
        found = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def becomes(self, condition: str, seconds: float = 10.0) -> None:
        """Return as soon as a JavaScript expression about the page is true.

        Raises:
            AssertionError: it does not become so.
        """
        met = await self.value(
            f"""new Promise((done) => {{
                const holds = () => {{ try {{ return {condition}; }} catch {{ return false; }} }};
                if (holds()) return done(true);
                const eye = new MutationObserver(() => {{ if (holds()) {{ eye.disconnect(); done(true); }} }});
                eye.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
                setTimeout(() => {{ eye.disconnect(); done(holds()); }}, {1000 * seconds});
            }})"""
        )
        assert met, (
            f"{condition}; the page is {await self.value('document.documentElement.outerHTML')}; {self.troubles}"
        )

    async def size(self, width: int, height: int) -> None:
        """Make the window so many CSS pixels large."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def go(self, url: str) -> None:
        """Open an address and wait until the page is there."""
        await self.send("Page.navigate", url=url)
        await self.becomes(f"location.href.startsWith({json.dumps(url)}) && document.readyState !== 'loading'")
