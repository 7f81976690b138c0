"""Viewers over Socket.IO do not notice where the text lies: what they are sent joins, whatever has left Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livetask.position import START, Cursor
from tests.real.redis_servers import RealRedis
from tests.server.archiving import Archiving, StuckShelf, lines_written
from tests.server.conftest import Write
from tests.server.living import Serving, Viewer, until


@pytest.fixture
async def archiving(valkey: RealRedis, prefix: str, tmp_path: Path) -> AsyncIterator[Archiving]:
    async with Archiving(valkey.url, prefix, tmp_path / "archive") as found:
        yield found


@pytest.fixture
async def archived(valkey: RealRedis, prefix: str, archiving: Archiving) -> AsyncIterator[Serving]:
    """A server over the archive, whose store ends with it."""
    async with Serving(valkey.url, prefix, store=archiving.store) as found:
        yield found


async def test_who_comes_late_is_sent_all_from_the_first_byte_while_the_run_goes_on(
    archived: Serving, archiving: Archiving, writer: Write
) -> None:
    run = writer(cap_bytes=50_000)
    run.begin()
    for _ in range(10):
        lines_written(run, 200)
        await archiving.move(run.task_id)
    async with Viewer(archived) as viewer:
        await viewer.subscribe(run.task_id)
        seen = viewer.tasks[run.task_id]
        for _ in range(5):
            lines_written(run, 200)
            await archiving.move(run.task_id)
        run.finish()
        await archiving.move(run.task_id)
        await until("the end is told", lambda: seen.ends)
        assert bytes(seen.text[1]) == bytes(run.text)
        assert seen.gaps == []
        assert len(seen.ends) == 1


async def test_a_cursor_of_long_ago_goes_on_in_the_archive_when_redis_has_forgotten_the_task(
    archived: Serving, archiving: Archiving, writer: Write
) -> None:
    run = writer()
    run.begin()
    lines_written(run, 3000)
    run.finish()
    await archiving.move(run.task_id)
    run.client.delete(run.task, run.output)
    begin = START.after(bytes(run.text[:5000]))
    async with Viewer(archived) as viewer:
        await viewer.subscribe(run.task_id, whence=str(Cursor(1, run.nonce, begin)))
        seen = viewer.tasks[run.task_id]
        await until("the end is told", lambda: seen.ends)
        assert bytes(seen.text[1]) == bytes(run.text[5000:])
        assert seen.gaps == []


@pytest.mark.usefixtures("unhurried")
async def test_a_screen_on_an_archived_run_shows_its_last_lines_and_its_end(
    archived: Serving, archiving: Archiving, writer: Write
) -> None:
    run = writer()
    run.begin()
    lines_written(run, 5000)
    run.finish("FAILURE")
    await archiving.move(run.task_id)
    async with Viewer(archived) as viewer:
        await viewer.subscribe(run.task_id, mode="screen", lines=50)
        seen = viewer.tasks[run.task_id]
        await until("the end is told", lambda: seen.ends)
        assert bytes(run.text).endswith(bytes(seen.text[1][-200:]))
        assert bytes(seen.text[1]).count(b"\n") <= 50
        assert seen.skipped > 0


async def test_a_screen_on_a_shelf_that_hangs_waits_and_nobody_else_does(
    valkey: RealRedis, prefix: str, tmp_path: Path, writer: Write
) -> None:
    shelf = StuckShelf(tmp_path)
    async with (
        Archiving(valkey.url, prefix, tmp_path, shelf) as archiving,
        Serving(valkey.url, prefix, store=archiving.store) as serving,
    ):
        old, live = writer("old"), writer("live")
        old.begin()
        live.begin()
        lines_written(old, 5000)
        old.finish()
        await archiving.move("old")
        await archiving.archive.forget("old", [old.nonce])
        archiving.archive.forget_members()
        shelf.answers.clear()
        async with Viewer(serving) as screen, Viewer(serving) as other:
            await screen.subscribe("old", mode="screen", lines=50)
            await other.subscribe("live")
            live.write(b"here\n")
            await until("the other is served", lambda: other.tasks["live"].text[1] == b"here\n")
            assert screen.tasks["old"].ends == []
            shelf.answers.set()
            await until("the screen is served too", lambda: screen.tasks["old"].ends)
            assert bytes(old.text).endswith(bytes(screen.tasks["old"].text[1][-100:]))
