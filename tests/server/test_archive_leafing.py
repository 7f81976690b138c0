"""The archive's list: bounded parts that leave nobody out, whatever fits and whoever ended together."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from livetask.archive_errors import ArchiveBusy
from livetask.server.archive import leafing as leafing_room
from livetask.server.archive.archive import Snapshot
from livetask.server.archive.leafing import Before, Leafing, Part
from livetask.server.archive.names import Mark
from tests.real.redis_servers import RealRedis
from tests.real.writer import RunWriter
from tests.server.archiving import Archiving, archived_at
from tests.server.conftest import Write
from tests.server.serving import served

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture
async def archiving(valkey: RealRedis, prefix: str, tmp_path: Path) -> AsyncIterator[Archiving]:
    async with Archiving(valkey.url, prefix, tmp_path / "archive") as found:
        yield found


ENDED_MS = 1_700_000_000_000


async def test_archived_tasks_are_listed_page_by_page_also_those_that_ended_in_the_same_millisecond(
    archiving: Archiving, writer: Write
) -> None:
    for number in range(10):
        await archived_at(archiving, writer(f"task-{number}"), ENDED_MS + max(0, number - 6) * 86_400_000 // 3)
    leafing, seen, before, pages = Leafing(archiving.archive), list[str](), None, 0
    while True:
        part = await leafing.part(2, before, _id_of)
        seen, pages = [*seen, *part.found], pages + 1
        if part.before is None:
            break
        before = Before.parse(str(part.before))
    assert (seen[:3], pages) == (["task-9", "task-8", "task-7"], 5)
    assert sorted(seen[3:]) == [f"task-{number}" for number in range(7)]


@given(st.sets(st.tuples(st.integers(0, 2), st.text("01", min_size=40, max_size=40)), min_size=2, max_size=9))
def test_a_place_between_two_archived_tasks_parts_the_list_there_and_nowhere_else(places: set[tuple[int, str]]) -> None:
    marks = [Mark(at_ms, task_hash, 7) for at_ms, task_hash in sorted(places, reverse=True)]
    for number, (last, following) in enumerate(pairwise(marks), 1):
        place = Before.parse(str(Before.between(last, following)))
        assert [mark for mark in marks if place.is_after(mark)] == marks[number:]


async def test_a_filter_that_nothing_fits_says_how_far_it_looked_and_goes_on_from_there(
    archiving: Archiving, writer: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await archived_at(archiving, writer(f"task-{number}"), ENDED_MS + number)
    monkeypatch.setattr(leafing_room, "_LOOKED_AT", 2)

    async def last_one(snapshot: Snapshot) -> str | None:
        return snapshot.task_id if snapshot.task_id == "task-0" else None

    leafing, parts = Leafing(archiving.archive), list[Part[str]]()
    while not parts or parts[-1].before is not None:
        parts.append(await leafing.part(10, parts[-1].before if parts else None, last_one))
    told = [(part.found, part.back_to_ms) for part in parts]
    assert told == [((), ENDED_MS + 3), ((), ENDED_MS + 1), (("task-0",), ENDED_MS)]


async def test_two_look_through_the_archive_at_once_and_a_third_is_told_so(
    archiving: Archiving, writer: Write, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Awaitable[Any]]
) -> None:
    await archived_at(archiving, writer("task"), ENDED_MS)
    monkeypatch.setattr(leafing_room, "_TURN_S", 0.01)
    leafing, looking, go_on = Leafing(archiving.archive), list[str](), asyncio.Event()

    async def pick(snapshot: Snapshot) -> str:
        looking.append(snapshot.task_id)
        await go_on.wait()
        return snapshot.task_id

    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(leafing.part(10, None, pick)) for _ in range(2))
        await eventually(lambda: len(looking) == 2)
        with pytest.raises(ArchiveBusy):
            await leafing.part(10, None, pick)
        go_on.set()
    assert first.result().found == second.result().found == ("task",)
    assert (await leafing.part(10, None, pick)).found == ("task",)


async def test_looking_through_the_archive_counts_as_searching_and_a_place_that_is_none_is_refused(
    redis_url: str, tmp_path: Path
) -> None:
    async with served(redis_url, archive_dir=str(tmp_path), searches_per_minute=2) as client:
        for place in ("x", "12-", "-3", "1" * 17):
            async with client.get("/api/archived", params={"before": place}) as answer:
                assert (answer.status, (await answer.json())["field"]) == (400, "before")
        for path, status in (("/api/archived", 200), ("/archived?q=x", 200), ("/api/archived?q=x", 429)):
            async with client.get(path) as answer:
                assert answer.status == status
        async with client.get("/archived") as answer:
            assert answer.status == 429


async def test_the_page_says_how_far_back_it_looked_and_leads_further(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        async with Archiving(redis_url, "livetask", tmp_path) as archiving:
            for number in range(2):
                await archived_at(archiving, RunWriter(client, f"old-{number}"), ENDED_MS + number)
    monkeypatch.setattr(leafing_room, "_LOOKED_AT", 1)
    async with served(redis_url, archive_dir=str(tmp_path)) as web:
        async with web.get("/archived?q=nothing-at-all") as answer:
            page = await answer.text()
        assert "Nothing that fits is archived, in what was looked at so far." in page
        assert "Looked back as far as <time" in page
        (further,) = re.findall(r'rel="next" href="([^"]+)">look further back<', page)
        async with web.get(html.unescape(further)) as answer:
            page = await answer.text()
        assert "Nothing that fits is archived before that." in page
        assert "look further back" not in page


async def _id_of(snapshot: Snapshot) -> str:
    return snapshot.task_id
