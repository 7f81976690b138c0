"""Links to a task's log, made and ended from the terminal and by programs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from livetask import terminal
from livetask.client import Client, Refused
from livetask.errors import NotFound, TaskUnknown
from tests.real import warm
from tests.server.serving import Writer, a_redis, a_server, clean_environ
from tests.system.rig import CHECKOUT, Redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with a_redis(tmp_path_factory.mktemp("redis") / "data") as found:
        Writer(found.url, "shown").begin("say").write(b"one\n").finish()
        yield found


async def test_a_program_makes_a_link_that_opens_the_log_and_ends_it(redis: Redis, tmp_path: Path) -> None:
    auth = "tests.server.callers:resolve"
    serving, anybody = a_server("--redis-url", redis.url, "--auth", auth), aiohttp.ClientSession()
    async with serving as server, anybody, Client(server.url, "operator") as client:
        link = await client.share("shown", hours=2)
        place, _, secret = link.partition("#")
        assert place == f"{server.url}share"
        share = (await client.shares())[0]
        assert (share.task_id, share.by) == ("shown", "operator")
        assert 7100_000 < share.until - share.made_at <= 7200_000
        where, header = f"{server.url}api/tasks/shown", {"Authorization": f"Share {secret}"}
        async with anybody.get(where, headers=header) as answer:
            assert answer.status == 200
        with pytest.raises(TaskUnknown):
            await client.share("absent")
        with pytest.raises(Refused, match="at most 168"):
            await client.share("shown", hours=10_000)
        await client.unshare(share.id)
        assert await client.shares() == []
        async with anybody.get(where, headers=header) as answer:
            assert answer.status == 401
        with pytest.raises((NotFound, Refused)):
            await client.unshare(share.id)


def test_the_terminal_says_which_words_it_wants() -> None:
    runner = CliRunner()
    for words in (["share"], ["share", "one", "--list"], ["share", "--list", "--revoke", "x"]):
        answer = runner.invoke(terminal.commands, words)
        assert answer.exit_code == 2
        assert "give a task's ID, or --list, or --revoke LINK" in answer.output


async def test_the_terminal_makes_lists_and_ends_links(redis: Redis) -> None:
    async def said(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "livetask", "share", *words, "--url", server.url]
        done = await asyncio.to_thread(warm.ran, command, clean_environ(), CHECKOUT)
        return done.returncode, done.stdout.decode()

    async with a_server("--redis-url", redis.url) as server:
        status, link = await said("shown", "--hours", "1")
        assert (status, link.startswith(f"{server.url}share#")) == (0, True)
        status, listed = await said("--list", "--json")
        share = json.loads(listed)
        assert (status, share["task_id"]) == (0, "shown")
        assert share["id"] in (await said("--list"))[1]
        assert (await said("--revoke", share["id"]))[0] == 0
        assert await said("--list") == (0, "")
        assert (await said("--revoke", share["id"]))[0] == 2
