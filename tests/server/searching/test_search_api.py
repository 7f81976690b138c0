"""Search and marks over HTTP, against a real store and real finder processes."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from pathlib import Path
from typing import Any

import pytest

from livetask.turns import turned
from tests.server.serving import Client, Redis, Writer, client_of_the_store, redis_of_the_module, served, slow_callbacks

store = redis_of_the_module
client = client_of_the_store


@pytest.fixture
def writer(store: Redis) -> Writer:
    return Writer(store.url, f"task-{uuid.uuid4()}").begin()


async def asked(client: Client, writer: Writer, what: str, **query: str | int) -> tuple[int, dict[str, Any]]:
    params = {name: str(value) for name, value in query.items()}
    async with client.get(f"/api/tasks/{writer.task_id}/runs/last/{what}", params=params) as answer:
        return answer.status, await answer.json()


async def all_found(client: Client, writer: Writer, **query: str | int) -> tuple[int, list[list[int]], list[str]]:
    """Total, hits and the steps taken, asking on until it is done."""
    total, hits, steps, at = 0, [], ["1-0"], "1-0"
    while True:
        status, found = await asked(client, writer, "search", **{**query, "from": at})
        assert status == 200
        assert found["from"] == at
        total, at = total + found["total"], found["to"]
        hits += found["hits"]
        steps.append(at)
        if found["done"]:
            return total, hits, steps


async def test_matches_of_a_running_task_grow_and_none_is_told_twice(client: Client, writer: Writer) -> None:
    chance, text, total, hits, at = random.Random(5), b"", 0, [], "1-0"
    for _ in range(6):
        more = b"".join(chance.choice([b"needle", b" ", b"hay", b"\n", b"Needle\n"]) for _ in range(200))
        writer.write(more)
        text += more
        _, found = await asked(client, writer, "search", q="needle", **{"from": at})
        assert (found["done"], found["ended"]) == (True, False)
        total, hits, at = total + found["total"], hits + found["hits"], found["to"]
        whole = text[: text.rfind(b"\n") + 1]
        assert total == whole.lower().count(b"needle")
        assert at == f"{whole.count(bytes([10])) + 1}-{len(whole)}"
    writer.finish()
    _, found = await asked(client, writer, "search", q="needle", **{"from": at})
    assert (found["ended"], found["to"]) == (True, found["end"])
    assert total + found["total"] == text.lower().count(b"needle")
    lines = [line for line, _, _ in hits + found["hits"]]
    expected = [
        number for number, line in enumerate(text.lower().split(b"\n"), 1) for _ in range(line.count(b"needle"))
    ]
    assert lines == expected


@pytest.mark.alone
async def test_a_long_log_is_looked_through_in_steps_and_the_total_is_exact(client: Client, writer: Writer) -> None:
    line = b"%06d " + b"x" * 90 + b"\n"
    for part in range(60):
        writer.write(b"".join(line % number for number in range(part * 1000, part * 1000 + 1000)))
    writer.finish()
    with slow_callbacks() as slow:
        total, hits, steps = await all_found(client, writer, q="7 x", limit=2)
    assert total == 6000
    assert hits[:2] == [[8, 5, 8], [18, 5, 8]]
    assert steps == sorted(set(steps), key=lambda step: int(step.split("-")[1]))
    assert not slow


async def test_a_dropped_range_is_told_and_looked_past(client: Client, writer: Writer) -> None:
    writer.write(b"one needle\ntwo nee")
    writer.drop(writer.at.after(b"dle\nx\n"))
    writer.write(b"after needle\n")
    writer.finish()
    _, found = await asked(client, writer, "search", q="needle")
    assert [hit[0] for hit in found["hits"]] == [1, 4]
    assert [gap["reason"] for gap in found["gaps"]] == ["dropped"]
    assert (found["done"], found["to"]) == (True, found["end"])


async def test_a_line_of_eight_megabytes_is_searched_to_its_end(client: Client, store: Redis) -> None:
    writer = Writer(store.url, f"task-{uuid.uuid4()}", cap_bytes=32 << 20).begin()
    for _ in range(130):
        writer.write(b"y" * 64 * 1024)
    writer.write(b"needle\nneedle\n").finish()
    total, hits, _ = await all_found(client, writer, q="needle")
    assert (total, [hit[0] for hit in hits]) == (2, [1, 2])


async def test_marks_are_told(client: Client, writer: Writer) -> None:
    writer.write(b"::group::Load\nERROR no\n::endgroup::\nWARNING so\n").finish()
    status, found = await asked(client, writer, "marks")
    assert status == 200
    assert (found["errors"], found["warnings"], found["more"]) == ([2], [4], False)
    assert found["groups"] == [[1, "start", "", "Load", None], [3, "end", "", "", None]]


async def test_lines_of_stderr_are_told_as_ranges_whatever_entries_they_lie_in(client: Client, writer: Writer) -> None:
    writer.write(b"out\nerr\nerr", stderr=turned([(1, 2)])).write(b" on\nerr\nout\n", stderr=turned([(0, 1)]))
    writer.write(b"out\n").write(b"err\n", stderr=turned([(0, 0)])).finish()
    _, found = await asked(client, writer, "marks")
    assert found["stderr"] == [[2, 4], [7, 7]]
    _, found = await asked(client, writer, "marks", **{"from": "4-15"})
    assert found["stderr"][-1] == [7, 7]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"q": ""}, "argument_invalid"),
        ({}, "argument_invalid"),
        ({"q": "x" * 1001}, "argument_invalid"),
        ({"q": "a\nb"}, "argument_invalid"),
        ({"q": "(", "regex": 1}, "bad_pattern"),
        ({"q": "(?P<n>a)(?P<n>b)", "regex": 1}, "bad_pattern"),
        ({"q": "a", "case": "yes"}, "argument_invalid"),
        ({"q": "a", "limit": 2001}, "argument_invalid"),
        ({"q": "a", "from": "x"}, "cursor_invalid"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_reason(
    client: Client, writer: Writer, query: dict[str, Any], code: str
) -> None:
    status, answer = await asked(client, writer, "search", **query)
    assert (status, answer["code"]) == (400, code)
    assert answer["error"]


@pytest.mark.alone
async def test_an_expression_that_never_ends_is_stopped_and_harms_nobody(client: Client, writer: Writer) -> None:
    writer.write(b"a" * 5000 + b"!\n").finish()
    with slow_callbacks() as slow:
        bombs = [asyncio.ensure_future(asked(client, writer, "search", q="(a+)+$", regex=1)) for _ in range(2)]
        async with client.get(f"/api/tasks/{writer.task_id}") as answer:
            assert answer.status == 200
        assert not all(bomb.done() for bomb in bombs)
        answers = await asyncio.gather(*bombs)
    assert [(status, answer["code"]) for status, answer in answers] == [(400, "pattern_too_slow")] * 2
    assert not slow
    total, _, _ = await all_found(client, writer, q="!")  # a new process took the place of the killed one
    assert total == 1


async def test_the_processes_end_with_the_server(store: Redis, writer: Writer) -> None:
    writer.write(b"x\n").finish()
    async with served(store.url) as client:
        await all_found(client, writer, q="x")
        ours = finders_of(os.getpid())
        assert ours
    assert not [pid for pid in ours if Path(f"/proc/{pid}/cmdline").exists()]


def finders_of(parent: int) -> list[int]:
    """The finder processes below a process."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdecimal():
            continue
        try:
            command = (place / "cmdline").read_bytes()
            above = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if b"livetask.server.searching.finder" in command and above == parent:
            found.append(int(place.name))
    return found
