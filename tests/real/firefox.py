"""A real Firefox for the tests, driven by WebDriver BiDi over its own WebSocket: no driver in between.

Playwright drives a Firefox that it has patched, not the one of a distribution. What the tests need is little: open an
address, ask the page. Chromium is the browser of all other tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

COMMANDS = ("firefox-esr", "firefox")
_STARTS_S = 60
_ANSWERS_S = 30


def find_firefox() -> str | None:
    """LIVETASK_TEST_FIREFOX, else the one on the PATH."""
    named = os.environ.get("LIVETASK_TEST_FIREFOX")
    return next((found for name in ([named] if named else COMMANDS) if (found := shutil.which(name))), None)


class Firefox:
    """One tab. ``errors``: what the page threw."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._tab = ""
        self.errors: list[str] = []

    async def begin(self, width: int, height: int) -> None:
        """Open a tab of this size."""
        await self._ask("session.new", {"capabilities": {}})
        self._tab = (await self._ask("browsingContext.create", {"type": "tab"}))["context"]
        await self._ask("session.subscribe", {"events": ["log.entryAdded"]})
        size = {"width": width, "height": height}
        await self._ask("browsingContext.setViewport", {"context": self._tab, "viewport": size})

    async def go(self, address: str) -> None:
        """Open an address and wait until it is loaded."""
        await self._ask("browsingContext.navigate", {"context": self._tab, "url": address, "wait": "complete"})

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of its promise, by way of JSON."""
        whole = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        target = {"target": {"context": self._tab}, "awaitPromise": True}
        found = await self._ask("script.evaluate", {"expression": whole, **target})
        assert found["type"] == "success", found.get("exceptionDetails", found)
        return json.loads(found["result"]["value"])

    async def wheel(self, px: int, x: int, y: int) -> None:
        """Turn the wheel over a place."""
        step = {"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": px, "duration": 0}
        actions = [{"type": "wheel", "id": "wheel", "actions": [step]}]
        await self._ask("input.performActions", {"context": self._tab, "actions": actions})

    async def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": parameters}))
        async with asyncio.timeout(_ANSWERS_S):
            while True:
                said = json.loads(await self._socket.receive_str())
                if said.get("method") == "log.entryAdded" and said["params"].get("type") == "javascript":
                    self.errors.append(str(said["params"].get("text")))
                if said.get("id") == self._number:
                    assert said["type"] == "success", said
                    return said["result"]


@asynccontextmanager
async def a_firefox(program: str, width: int = 1200, height: int = 800) -> AsyncIterator[Firefox]:
    """A Firefox with a profile of its own; it ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        line = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"]
        env = {**os.environ, "HOME": profile, "MOZ_HEADLESS": "1"}
        process = await asyncio.create_subprocess_exec(
            program, *line, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=env
        )
        try:
            address = await asyncio.wait_for(_address(process), _STARTS_S)
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{address}/session", max_msg_size=0) as ws,
            ):
                tab = Firefox(ws)
                await tab.begin(width, height)
                yield tab
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await _ended(process)


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr
    while line := (await process.stderr.readline()).decode("utf-8", "replace"):
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError("Firefox ended before it said where it listens")


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), 15)
    except TimeoutError:
        process.kill()
        await process.wait()
