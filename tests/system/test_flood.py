"""A task that prints faster than anything can take it harms itself alone: the loss is said, and all is bounded."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from livetask.keys import Keys
from livetask.position import Position
from tests.system.apps.flood_lines import LINE_BYTES, flood_line
from tests.system.reading import asked, ended_task, output_by_offset
from tests.system.rig import Redis, Rig
from tests.system.sending import sent

FLOOD_MIB = 120
RUN_CAP = 1 << 20
SPOOL_CAP = 8 << 20
STARVED = 64 << 20
"""What the flood may write while the shipper waits for a processor."""

STEADY = 60
LATE_S = 5.0
"""How late a line of the other task may be seen at most; on a machine that does nothing else it is 0.1 s."""


@pytest.mark.alone
def test_a_flood_is_bounded_everywhere_its_loss_is_said_and_a_task_beside_it_notices_nothing(rig: Rig) -> None:
    redis = rig.redis("no")
    env = rig.app_env(redis.url, LIVETASK_RUN_CAP_BYTES=str(RUN_CAP), LIVETASK_SPOOL_CAP_BYTES=str(SPOOL_CAP))
    env["LIVETASK_TEE"] = "false"
    rig.worker("flooding", env)
    archive = {"LIVETASK_ARCHIVE_DIR": str(rig.place / "archive"), "LIVETASK_ARCHIVE_AFTER_S": "0"}
    server = rig.serve(redis.url, env=archive)
    steady = sent(env, "flooding.steady", STEADY)
    flood = sent(env, "flooding.flood", FLOOD_MIB)
    with _measured(redis, Path(env["LIVETASK_SPOOL_DIR"]), flood) as most, _seen(server.url, steady) as late:
        assert ended_task(server.url, flood)["state"] == "SUCCESS"
        assert ended_task(server.url, steady)["state"] == "SUCCESS"
    assert most["stream"] <= 2 * RUN_CAP
    assert most["spool"] <= SPOOL_CAP + STARVED
    assert len(late) == STEADY
    assert max(late) < LATE_S
    assert output_by_offset(server.url, steady).count(b"\n") == STEADY
    delivered, gaps = _checked(server.url, flood)
    assert delivered + sum(gaps.values()) == FLOOD_MIB << 20
    assert set(gaps) <= {"dropped", "trimmed"}
    assert delivered >= RUN_CAP // 2


def _checked(url: str, task_id: str) -> tuple[int, dict[str, int]]:
    """(bytes that are there, bytes that are missing by reason) of the flood; every byte there must be the right one."""
    delivered, gaps, at, offset = 0, dict[str, int](), 0, "1-0"
    while True:
        answer = asked(f"{url}/api/tasks/{task_id}/runs/1/log?offset={offset}")
        if answer.status == 410:  # before the first byte kept
            first = Position.parse(answer.headers["stream-first-offset"].rpartition(".")[2])
            run = asked(f"{url}/api/tasks/{task_id}").json["runs"][0]
            gaps[run["first_why"]] = gaps.get(run["first_why"], 0) + first.byte - at
            offset, at = f"{first}", first.byte
            continue
        assert answer.status == 200
        if gap := answer.headers.get("stream-gap"):
            start, end, reason = gap.split()
            assert Position.parse(start).byte == at
            gaps[reason] = gaps.get(reason, 0) + Position.parse(end).byte - at
            at = Position.parse(end).byte
        assert answer.body == _flood(at, len(answer.body))
        delivered, at = delivered + len(answer.body), at + len(answer.body)
        offset = answer.headers["stream-next-offset"]
        if answer.headers.get("stream-closed") == "true":
            return delivered, gaps


def _flood(start: int, size: int) -> bytes:
    first, skip = divmod(start, LINE_BYTES)
    lines = (flood_line(number) for number in range(first, (start + size) // LINE_BYTES + 1))
    return b"".join(lines)[skip : skip + size]


@contextmanager
def _measured(redis: Redis, spools: Path, task_id: str) -> Iterator[dict[str, int]]:
    """The most that the flood takes in Redis, and all spools on the disk, in bytes, as often as it can be looked at."""
    most, over = {"stream": 0, "spool": 0}, threading.Event()
    client = redis.client()

    def look() -> None:
        while not over.wait(0.05):
            nonce = client.hget(Keys().task(task_id), "1.nonce")
            if nonce:
                taken = client.memory_usage(Keys().output(task_id, nonce.decode()), samples=0) or 0
                most["stream"] = max(most["stream"], taken)
            sizes = [path.stat().st_blocks * 512 for path in spools.rglob("*") if path.is_file()]
            most["spool"] = max(most["spool"], sum(sizes))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()
        client.close()


@contextmanager
def _seen(url: str, task_id: str) -> Iterator[list[float]]:
    """How late each line of the steady task was seen by one who follows it."""
    late: list[float] = []

    def follow() -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/api/tasks/{task_id}/runs/last/log.txt?follow=1", timeout=90) as answer:
            for line in answer:
                late.append(time.time() - float(line.split()[1]))

    def begun() -> bool:
        return asked(f"{url}/api/tasks/{task_id}").status == 200

    while not begun():
        time.sleep(0.02)  # the follower needs a task that is known
    thread = threading.Thread(target=follow)
    thread.start()
    yield late
    thread.join(60)
