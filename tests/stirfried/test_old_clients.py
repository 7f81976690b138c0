"""Clients that were written for Stirfried, one in Python and one in JavaScript, run against livetask as they are."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import clean_environ
from tests.stirfried.conftest import Client, Place
from tests.system.rig import CHECKOUT
from tests.system.viewers import node

HERE = Path(__file__).resolve().parent


def expected(errors: bool) -> list[list[Any]]:
    turned = "bytes://4BAA=="
    return [
        ["progress", {"current": 1, "total": 2, "info": {"at": 1}}],
        ["progress", {"current": 2, "total": 2, "info": {"at": 2}}],
        ["success", {"task_name": "count", "retval": 2}],
        ["return", {"task_name": "count", "status": "SUCCESS"}],
        ["success", {"task_name": "add", "retval": 3}],
        ["return", {"task_name": "add", "status": "SUCCESS"}],
        ["failure", {"task_name": "fails", "einfo": errors}],
        ["return", {"task_name": "fails", "status": "FAILURE"}],
        ["retry", {"task_name": "again"}],
        ["success", {"task_name": "again", "retval": "done"}],
        ["return", {"task_name": "again", "status": "SUCCESS"}],
        ["success", {"task_name": "reverse", "retval": turned}],
        ["return", {"task_name": "reverse", "status": "SUCCESS"}],
        ["info", {"state": "SUCCESS", "result": turned}],
    ]


async def printed_by(*command: str) -> list[list[Any]]:
    """What a client script prints, until it ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=CHECKOUT, env=clean_environ()
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in out.decode().splitlines()]


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_a_client_written_for_stirfried_runs_unchanged(
    request: pytest.FixtureRequest, language: str, serializer: str
) -> None:
    place: Place = request.getfixturevalue("packed_place" if serializer == "msgpack" else "place")
    script = {
        "python": (sys.executable, str(HERE / "client_of_old.py")),
        "javascript": (node(), str(HERE / "client_of_old.mjs")),
    }[language]
    async with place.server() as server:
        assert await printed_by(*script, server.url, serializer) == expected(errors=serializer == "msgpack")


async def test_errors_are_told_where_that_is_wanted(packed_place: Place) -> None:
    async with packed_place.server() as server, Client(server.url, "msgpack") as client:
        task_id = await client.send("fails", "not today")
        told = dict(await client.until(task_id))
        assert "ValueError: not today" in told["on_failure"]["einfo"]
        assert told["on_return"]["retval"] == "not today"
        assert "not today" in (await client.ask("task_info", task_id))["result"]
        killed = await client.send("killed")
        assert dict(await client.until(killed))["on_return"]["retval"]


async def test_with_msgpack_clients_without_that_parser_are_served_beside_the_others(packed_place: Place) -> None:
    async with packed_place.server() as server:
        async with Client(server.url) as plain, Client(server.url, "msgpack") as packed:
            for _ in range(3):
                ids = [await client.send("reverse", b"\x00\xff") for client in (plain, packed)]
                for client, task_id in zip((plain, packed), ids, strict=True):
                    assert dict(await client.until(task_id))["on_success"]["retval"] == b"\xff\x00"
                    assert (await client.ask("task_info", task_id))["result"] == b"\xff\x00"
        polling = Client(server.url, "msgpack")
        await polling.io.connect(server.url, transports=["polling"])
        task_id = await polling.send("reverse", b"ab")
        assert dict(await polling.until(task_id))["on_success"]["retval"] == b"ba"
        await polling.io.disconnect()


async def test_with_msgpack_output_is_followed_and_what_is_too_large_is_refused(packed_place: Place) -> None:
    async with packed_place.server() as server, Client(server.url, "msgpack") as client:
        task_id = await client.send("count", 2)
        assert (await client.ask("subscribe", {"task_id": task_id, "binary": True, "events": True}))["ok"]
        async with asyncio.timeout(90):
            while not any(name == "end" for name, _ in client.told):  # noqa: ASYNC110 - told by another task
                await asyncio.sleep(0.01)
        text = b"".join(data["data"] for name, data in client.told if name == "output")
        assert text == b"line 1\nline 2\nthe end\n"
        answer = await client.ask("send_task", {"task_name": "reverse", "args": [b"x" * 300_000]})
        assert (answer["ok"], answer["code"]) == (False, "too_large")
        whole = bytes(range(256)) * 500
        task_id = await client.send("reverse", whole)
        assert dict(await client.until(task_id))["on_success"]["retval"] == whole[::-1]
