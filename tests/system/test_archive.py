"""The archive of a real server: what a run printed is there after Redis has forgotten it, and after SIGKILL."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import redis

from livetask.position import START
from tests.conftest import Started
from tests.real.writer import RunWriter

Web = Callable[..., Awaitable[Started]]
Eventually = Callable[..., Awaitable[Any]]


def _numbered(run: RunWriter, first: int, count: int) -> None:
    for number in range(first, first + count, 100):
        run.write(b"".join(b"%09d of a log that goes on\n" % line for line in range(number, number + 100)))


async def _text(url: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.read()


async def test_a_server_archives_what_grows_and_what_ended_and_serves_it_when_redis_is_empty(
    web: Web, redis_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    env = {
        "LIVETASK_ARCHIVE_DIR": str(tmp_path / "archive"),
        "LIVETASK_ARCHIVE_AFTER_S": "0",
        "LIVETASK_ARCHIVE_STEP_BYTES": "65536",
    }
    server = await web(env=env)
    with redis.Redis.from_url(redis_url) as client:
        run = RunWriter(client, "grows", cap_bytes=256 * 1024)
        run.begin()
        for first in range(0, 40_000, 4000):
            _numbered(run, first, 4000)
            await eventually(lambda: _archived(client, run) >= run.end.byte - 65_536, what="it is archived as it grows")
        assert int(client.hget(run.task, "1.first").split(b"-")[1]) > 0
        status, text = await _text(f"{server.url}api/tasks/grows/runs/1/log.txt")
        assert (status, text) == (200, bytes(run.text))
        run.finish()
        await eventually(lambda: client.hget(run.task, "1.first_why") == b"archived", what="Redis is shrunk")
        server.kill()
        client.flushall()
        server = await web(env=env)
        status, text = await _text(f"{server.url}api/tasks/grows/runs/1/log.txt")
        assert (status, text) == (200, bytes(run.text))
        status, zipped = await _text(f"{server.url}api/tasks/grows/runs/1/log.gz")
        assert zipped == b"".join(path.read_bytes() for path in sorted(tmp_path.glob("archive/tasks/*/*/*/*.gz")))
        assert gzip.decompress(zipped) == bytes(run.text)
        status, answer = await _text(f"{server.url}readyz")
        assert (status, json.loads(answer)["archive_up"]) == (200, 1)
        status, answer = await _text(f"{server.url}api/tasks/grows/runs/1/log?line=33333&count=1")
        assert json.loads(answer)["lines"] == ["000033332 of a log that goes on"]
        status, text = await _text(f"{server.url}api/tasks/grows/runs/1/log?live=sse")
        assert status == 200
        assert text.count(b"of a log that goes on") == 40_000
        assert b"event: end" in text
        status, text = await _text(f"{server.url}metrics")
        assert b"livetask_archive_up 1.0" in text


def _archived(client: redis.Redis, run: RunWriter) -> int:
    value = client.hget(run.task, "1.archived")
    return int(value.split(b"-")[1]) if value else START.byte
