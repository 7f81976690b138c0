"""What the archive keeps is bounded: by age, in all, for each run; and what somebody deletes is gone everywhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from livetask.archive_errors import TaskUnderWay
from livetask.errors import TaskUnknown
from livetask.position import START, Gap
from livetask.server.archive.erasing import Eraser
from livetask.server.archive.moving import Mover
from livetask.server.archive.retention import Retention
from livetask.server.archive.shelving import Shelving
from livetask.server.lane import Lane
from tests.real.redis_servers import RealRedis
from tests.real.writer import RunWriter
from tests.server.archiving import Archiving, lines_written, read_all
from tests.server.conftest import Write
from tests.server.serving import Writer, served

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture
async def archiving(valkey: RealRedis, prefix: str, tmp_path: Path) -> AsyncIterator[Archiving]:
    async with Archiving(valkey.url, prefix, tmp_path / "archive") as found:
        yield found


async def _archived(archiving: Archiving, writer: Write, task_id: str, lines: int = 300) -> RunWriter:
    run = writer(task_id)
    run.begin()
    lines_written(run, lines)
    run.finish()
    await archiving.move(task_id)
    return run


def _ended_at(run: RunWriter, at_ms: int) -> None:
    """Make it seem that the task ended then."""
    run.client.hset(run.task, mapping={"ended_at": at_ms, "changed_at": at_ms})


def _retention(archiving: Archiving, *, keep_s: float = 1e6, cap_bytes: int = 1 << 40) -> Retention:
    eraser = archiving.keeping.eraser
    assert eraser is not None
    prefix = archiving.prefix
    return Retention(archiving.store, archiving.archive, eraser, prefix, keep_s=keep_s, cap_bytes=cap_bytes)


async def test_what_is_too_old_goes_and_is_a_gap_with_its_reason_while_redis_knows_the_task(
    archiving: Archiving, writer: Write
) -> None:
    old, young = await _archived(archiving, writer, "old"), await _archived(archiving, writer, "young")
    _ended_at(old, int(time.time() * 1000) - 10_000_000)
    await archiving.move("old")
    retention = _retention(archiving, keep_s=5000)
    await retention.pass_once()
    assert (retention.deleted_tasks, retention.held_tasks) == (1, 1)
    assert await read_all(archiving.store, old) == (b"", [Gap(START, old.end, "deleted")])
    assert await read_all(archiving.store, young) == (bytes(young.text), [])
    assert await archiving.listed() == ["young"]
    old.client.delete(old.task)
    assert await archiving.store.task("old") is None


@pytest.mark.parametrize("whose", ["the server's", "Redis'"])
async def test_a_clock_that_jumps_ahead_takes_nothing_away(
    archiving: Archiving, writer: Write, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    run = await _archived(archiving, writer, "young")
    now_s = time.time() + 1e6

    async def clock_ms() -> int:
        return int(now_s * 1000)

    if whose == "Redis'":
        monkeypatch.setattr(archiving.store, "clock_ms", clock_ms)
    else:
        monkeypatch.setattr(time, "time", lambda: now_s)
    retention = _retention(archiving, keep_s=5000)
    await retention.pass_once()
    assert (retention.deleted_tasks, retention.held_tasks) == (0, 1)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_beyond_the_cap_the_oldest_tasks_go_and_nothing_of_them_stays(
    archiving: Archiving, writer: Write
) -> None:
    runs = [await _archived(archiving, writer, f"task-{number}") for number in range(5)]
    for number, run in enumerate(runs):
        _ended_at(run, 1_700_000_000_000 + number)
        await archiving.move(run.task_id)
    marks = sorted(archiving.root.glob("ended/*/*"))
    assert len(marks) == 5
    size = sum(int(path.stem.rpartition("-")[2]) for path in marks)
    on_disk = sum(path.stat().st_blocks * 512 for path in archiving.root.rglob("*") if path.is_file())
    assert on_disk <= size <= on_disk + 5 * 4096, "the names tell less than is taken"
    retention = _retention(archiving, keep_s=1e12, cap_bytes=size // 2)
    await retention.pass_once()
    assert retention.held_bytes <= size // 2
    assert await archiving.listed() == ["task-4", "task-3"]
    assert len(list(archiving.root.glob("tasks/*/*"))) == 2


async def test_a_task_under_way_is_not_taken_away(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 300)
    await archiving.move(run.task_id)
    retention = _retention(archiving, cap_bytes=1)
    await retention.pass_once()
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_what_an_archiver_left_that_died_after_its_first_part_goes_with_its_age(
    archiving: Archiving, writer: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = writer()
    run.begin()
    lines_written(run, 300)
    run.finish()

    async def dies(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(Mover, "_note", dies)
    with pytest.raises(RuntimeError, match="killed"):
        await archiving.move(run.task_id)
    assert archiving.parts()
    run.client.delete(run.task, run.output, run.recent)  # and Redis has forgotten the task
    await _retention(archiving, keep_s=-60).pass_once()
    assert [path for path in archiving.root.rglob("*") if path.is_file()] == []


async def test_a_mark_that_a_dead_archiver_left_goes_alone(archiving: Archiving, writer: Write) -> None:
    run = await _archived(archiving, writer, "task")
    (mark,) = archiving.root.glob("ended/*/*")
    before_ms = int(mark.name[:15]) // 86_400_000 * 86_400_000
    stale = mark.with_name(f"{before_ms:015d}{mark.name[15:]}")
    stale.write_bytes(b"")
    await _retention(archiving, keep_s=time.time() - int(mark.name[:15]) / 1000 + 1).pass_once()
    assert not stale.exists()
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_of_a_run_that_is_too_large_the_oldest_parts_go(archiving: Archiving, writer: Write) -> None:
    run = writer(cap_bytes=30_000)
    run.begin()
    lane, shelving = Lane("test", 1, 30.0), Shelving(archiving.store.scripted, archiving.prefix, "directory")
    mover = Mover(archiving.store, archiving.archive, shelving, lane, run_cap_bytes=5 * 4096)
    for _ in range(12):
        lines_written(run, 100)
        await mover.move(run.task_id, step_bytes=1, ended_before_ms=0)
    lane.close()
    assert sum(path.stat().st_size for path in archiving.parts()) <= 5 * 4096
    shown = await archiving.store.task(run.task_id)
    assert shown is not None
    first = shown.runs[0].first
    assert first.byte > 0
    text, gaps = await read_all(archiving.store, run)
    assert gaps == [Gap(START, first, "trimmed")]
    assert text == bytes(run.text[first.byte :])


async def test_a_deleted_task_leaves_a_gap_and_no_trace_of_what_it_said(archiving: Archiving, writer: Write) -> None:
    run = writer("secret")
    run.begin()
    lines_written(run, 100)
    run.client.hset(run.task, mapping={"args": "('password',)", "kwargs": "{}", "result": "'x'", "call": "{}"})
    eraser = archiving.keeping.eraser
    assert eraser is not None
    with pytest.raises(TaskUnderWay):
        await eraser.erase("secret", "anna")
    run.finish()
    await archiving.move("secret")
    assert await eraser.erase("secret", "anna") > 0
    assert [path for path in archiving.root.rglob("*") if path.is_file()] == []
    assert b"password" not in b"".join(run.client.hvals(run.task))
    assert await read_all(archiving.store, run) == (b"", [Gap(START, run.end, "deleted")])
    shown = await archiving.store.task("secret")
    assert shown is not None
    assert (shown.deleted_by, shown.state) == ("anna", "SUCCESS")
    await archiving.move("secret")
    assert archiving.parts() == []
    with pytest.raises(TaskUnknown):
        await eraser.erase("unknown", "anna")


async def test_without_an_archive_deletion_takes_what_redis_has(valkey: RealRedis, prefix: str, writer: Write) -> None:
    run = writer("plain")
    run.begin()
    lines_written(run, 10)
    run.finish()
    async with Archiving(valkey.url, prefix, Path("/nowhere")) as archiving:
        eraser = Eraser(archiving.store, prefix, Shelving(archiving.store.scripted, prefix, ""), None)
        assert await eraser.erase("plain", "") == 0
    assert run.client.exists(run.output) == 0


async def test_what_was_deleted_is_answered_410_with_the_reason(redis_url: str) -> None:
    run = Writer(redis_url, "gone").begin("say").write(b"one\ntwo\n").finish()
    del run
    async with served(redis_url) as client:
        async with client.delete("/api/tasks/gone") as answer:
            assert (answer.status, await answer.json()) == (200, {"id": "gone", "deleted": True, "archived_bytes": 0})
        async with client.get("/api/tasks/gone/runs/1/log", params={"offset": "1-0"}) as answer:
            body = json.loads(await answer.text())
            assert (answer.status, body["code"]) == (410, "position_trimmed")
            assert "deleted" in body["error"]
        async with client.get("/api/tasks/gone/runs/1/log.txt") as answer:
            assert b"deleted" in await answer.read()
        async with client.get("/api/tasks/gone") as answer:
            assert (await answer.json())["deleted_at"] > 0
        async with client.delete("/api/tasks/never") as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "task_unknown")
        async with client.get("/api/archived") as answer:
            assert await answer.json() == {"tasks": [], "next_before": None, "looked_back_to": None}


async def test_a_page_lists_archived_tasks_that_redis_has_forgotten(redis_url: str, tmp_path: Path) -> None:
    async with Archiving(redis_url, "livetask", tmp_path) as archiving:
        for number in range(3):
            with redis.Redis.from_url(redis_url) as client:
                run = RunWriter(client, f"task-{number}", name="<b>mail</b>")
                run.begin()
                lines_written(run, 3)
                run.finish()
                _ended_at(run, int(time.time() * 1000) - 60_000 + number)
                await archiving.move(run.task_id)
                client.delete(run.task, run.output, run.recent)
    async with served(redis_url, archive_dir=str(tmp_path)) as client:
        async with client.get("/") as answer:
            assert 'href="/archived"' in await answer.text()
        async with client.get("/archived", params={"limit": "2"}) as answer:
            page = await answer.text()
        assert re.findall(r'href="/tasks/([^"]+)">&lt;b&gt;mail', page) == ["task-2", "task-1"]
        assert "<b>mail" not in page
        (older,) = re.findall(r'rel="next" href="([^"]+)"', page)
        async with client.get(older) as answer:
            page = await answer.text()
        assert re.findall(r'href="/tasks/([^"]+)">', page) == ["task-0"]
        async with client.get("/archived", params={"before": "1"}) as answer:
            assert "Nothing is archived before that." in await answer.text()
    async with served(redis_url) as client, client.get("/") as answer:
        assert "archived" not in await answer.text(), "there is no archive"


async def test_archived_tasks_are_found_by_a_filter_and_a_workflow_that_the_list_has_forgotten_is_whole(
    redis_url: str, tmp_path: Path
) -> None:
    async with Archiving(redis_url, "livetask", tmp_path) as archiving:
        with redis.Redis.from_url(redis_url) as client:
            for number, how in enumerate(("SUCCESS", "FAILURE", "SUCCESS", "SUCCESS")):
                run = RunWriter(client, f"kin-{number}", name="mail.send" if number else "other")
                run.begin()
                run.write(b"%d\n" % number)
                run.finish(how)
                root = "kin-1" if number > 1 else f"kin-{number}"
                client.hset(run.task, mapping={"root_id": root, "parent_id": root if number > 1 else ""})
                await archiving.move(run.task_id)
                client.delete(run.task, run.output, run.recent)
    async with served(redis_url, archive_dir=str(tmp_path)) as client:

        async def ids(q: str) -> set[str]:
            async with client.get("/api/archived", params={"q": q}) as answer:
                return {task["id"] for task in (await answer.json())["tasks"]}

        assert await ids("mail") == {"kin-1", "kin-2", "kin-3"}
        assert await ids("mail state:failed") == {"kin-1"}
        assert await ids("mail -id:kin-2 root:kin-1 state:done") == {"kin-3"}
        assert await ids("nothing-at-all") == set()
        async with client.get("/api/archived", params={"q": "colour:red"}) as answer:
            assert (answer.status, (await answer.json())["field"]) == (400, "q")
        async with client.get("/archived", params={"q": "mail", "limit": "2"}) as answer:
            page = await answer.text()
        assert 'value="mail"' in page
        assert re.search(r'rel="next" href="/archived\?q=mail&amp;before=\d+(-[0-9a-f]+)?"', page)
        async with client.get("/archived", params={"q": '"><script>'}) as answer:
            page = await answer.text()
        assert "<script>" not in page.replace('<script src="/static/theme.js"></script>', "")
        assert "Nothing that fits is archived." in page
        for task_id in ("kin-1", "kin-2"):
            async with client.get(f"/api/tasks/{task_id}/workflow") as answer:
                found = await answer.json()
            assert [task["id"] for task in found["tasks"]] == ["kin-1", "kin-2", "kin-3"]
        async with client.get("/api/tasks/kin-2/workflow/log") as answer:
            log = await answer.json()
        assert sorted(piece["text"] for piece in log["pieces"]) == ["1\n", "2\n", "3\n"]
