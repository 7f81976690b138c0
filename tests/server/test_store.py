"""Reads are exact from any position, and whatever is missing is a gap with its true bounds."""

from __future__ import annotations

import asyncio
import json
import math
import random

import pytest

from livetask.errors import FormatUnknown, PositionUnknown, RedisUnavailable, RunUnknown
from livetask.position import START, Cursor, Entry, Gap, Position
from livetask.server.connecting import OneRedis, reached
from livetask.server.starts import line_start, tail_start
from livetask.server.store import BLOCK_MS, Store
from tests.real.redis_servers import RealRedis
from tests.server.conftest import Write


async def _all(store: Store, task_id: str, cursor: Cursor, **given: int) -> tuple[bytes, list[Gap]]:
    text, gaps = bytearray(), []
    while True:
        found = await store.read(task_id, cursor, **given)
        at = cursor.position
        for item in found.items:
            assert item.start == at
            at = item.end
            if isinstance(item, Gap):
                gaps.append(item)
            else:
                text += item.data
        if found.next == found.end:
            return bytes(text), gaps
        cursor = Cursor(cursor.run, cursor.nonce, found.next)


async def test_replay_from_every_byte_gives_the_rest_of_the_text(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    dice = random.Random(7)
    for number in range(40):
        run.write(dice.choice([b"x", b"one\n", b"two\nlines\n", b"\n\n", b"no end %d" % number, bytes(30)]))
    text = bytes(run.text)
    for byte in range(len(text) + 1):
        cursor = Cursor(1, run.nonce, START.after(text[:byte]))
        for count in (1, 8):
            assert await _all(store, run.task_id, cursor, count=count, max_bytes=20) == (text[byte:], [])


async def test_a_position_whose_line_is_not_that_of_its_byte_is_refused(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    for _ in range(20):
        run.write(b"a line\nand half")
    text = bytes(run.text)
    for byte in range(1, len(text)):
        true = START.after(text[:byte])
        for line in (true.line - 1, true.line + 1):
            if line >= 1:
                with pytest.raises(PositionUnknown):
                    await store.read(run.task_id, Cursor(1, run.nonce, Position(line, byte)))


async def test_what_was_trimmed_is_one_gap_up_to_the_first_entry_kept(store: Store, writer: Write) -> None:
    run = writer(cap_bytes=2000)
    run.begin()
    for number in range(100):
        run.write(b"%099d\n" % number)
    task = await store.task(run.task_id)
    assert task is not None
    first = task.runs[0].first
    assert first.byte > 0
    text, gaps = await _all(store, run.task_id, Cursor(1, run.nonce, START))
    assert gaps == [Gap(START, first, "trimmed")]
    assert text == bytes(run.text[first.byte :])
    within = Position(3, 250)
    _, gaps = await _all(store, run.task_id, Cursor(1, run.nonce, within))
    assert gaps == [Gap(within, first, "trimmed")]


async def test_a_dropped_range_is_a_gap_also_from_within(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    run.write(b"before\n")
    gap = run.gap(lines=10, size_bytes=500)
    run.write(b"after\n")
    assert await _all(store, run.task_id, Cursor(1, run.nonce, START)) == (b"before\nafter\n", [gap])
    middle = Position(5, 100)
    rest = Gap(middle, gap.end, "dropped")
    assert await _all(store, run.task_id, Cursor(1, run.nonce, middle)) == (b"after\n", [rest])


async def test_entries_that_vanished_are_a_lost_gap_never_silence(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    for number in range(10):
        run.write(b"%d\n" % number)
    run.client.xdel(run.output, "4-6", "5-8", "10-18")
    text, gaps = await _all(store, run.task_id, Cursor(1, run.nonce, START))
    assert text == b"0\n1\n2\n5\n6\n7\n8\n"
    assert gaps == [Gap(Position(4, 6), Position(6, 10), "lost"), Gap(Position(10, 18), Position(11, 20), "lost")]
    run.client.delete(run.output)
    assert await _all(store, run.task_id, Cursor(1, run.nonce, START)) == (b"", [Gap(START, run.end, "lost")])


async def test_a_run_begun_again_after_a_flush_says_what_is_lost(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    run.write(b"gone\n")
    run.client.delete(run.task, run.output)
    run.begin(first=run.end, first_why="lost")
    run.write(b"kept\n")
    assert await _all(store, run.task_id, Cursor(1, run.nonce, START)) == (
        b"kept\n",
        [Gap(START, Position(2, 5), "lost")],
    )


async def test_a_cursor_beyond_the_end_waits_and_an_unknown_run_is_told(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    run.write(b"text\n")
    found = await store.read(run.task_id, Cursor(1, run.nonce, Position(9, 900)))
    assert found.items == ()
    assert found.end == run.end
    with pytest.raises(RunUnknown):
        await store.read(run.task_id, Cursor(1, "othernonce00", START))
    with pytest.raises(RunUnknown):
        await store.read("no-such-task", Cursor(1, run.nonce, START))


async def test_lines_are_found_by_number_and_from_the_end(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    dice = random.Random(3)
    for number in range(60):
        run.write(dice.choice([b"part %d, " % number, b"%d\n%d\n" % (number, number), b"\n"]))
    for open_end in (False, True):
        if open_end:
            run.write(b"an unfinished line")
        task = await store.task(run.task_id)
        assert task is not None
        text = bytes(run.text)
        starts = [0, *(at + 1 for at, byte in enumerate(text) if byte == 10)]
        for line in range(2, len(starts) + 1):
            assert await line_start(store, run.task_id, task.runs[0], line) == Position(line, starts[line - 1])
        lines = text.splitlines(keepends=True)
        for count in range(1, len(lines) + 3):
            place = await tail_start(store, run.task_id, task.runs[0], count)
            assert text[place.byte :] == b"".join(lines[-count:])


async def test_a_task_of_another_format_is_refused_alone_and_left_out_of_lists(store: Store, writer: Write) -> None:
    one, two = writer("one"), writer("two")
    one.begin()
    two.begin()
    two.client.hset(two.task, "format", "99")
    with pytest.raises(FormatUnknown):
        await store.task("two")
    assert set(await store.tasks(["one", "two", "three"])) == {"one"}
    assert await store.task("three") is None


async def test_bells_ring_from_where_they_stood_and_for_output_only_while_watched(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    ends = await store.bell_ends()
    run.write(b"unheard\n")
    assert (await store.bells(ends, block_ms=1)).bells == ()
    await store.watch([run.task_id], 60_000)
    waiting = asyncio.ensure_future(store.bells(ends))
    run.write(b"heard\n")
    rung = await waiting
    assert [(bell.task_id, bell.run, bell.what) for bell in rung.bells] == [(run.task_id, 1, "output")]
    assert not rung.overrun
    for _ in range(1200):
        run.note("progress", {"progress": "{}"})
    assert (await store.bells(rung.last_ids)).overrun


async def test_only_an_expired_lease_is_finished_as_lost_and_only_once(store: Store, writer: Write) -> None:
    dead, alive = writer("dead", lease_ms=1), writer("alive")
    dead.begin()
    alive.begin()
    async with asyncio.timeout(90):
        while not (found := await store.expired()):  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.01)
    assert found == [("dead", 1, dead.nonce)]
    assert not await store.finish_lost("alive", 1, alive.nonce, "why")
    assert await store.finish_lost("dead", 1, dead.nonce, "why")
    assert not await store.finish_lost("dead", 1, dead.nonce, "why")
    task = await store.task("dead")
    assert task is not None
    assert task.state == "LOST"
    assert task.has_ended
    assert task.runs[0].how == "LOST"
    assert task.runs[0].detail == {"reason": "why"}


async def test_scripts_are_loaded_again_after_redis_forgot_them(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    run.client.script_flush()
    await store.watch([run.task_id], 60_000)
    assert await store.note("queued-task", "queued", {"name": "x"})
    assert not await store.note("queued-task", "queued", {"name": "x"})
    assert run.client.zscore(run.watched, run.task_id)


async def test_redis_away_is_one_error_of_ours_without_the_password(own_valkey: RealRedis, prefix: str) -> None:
    async with Store(own_valkey.url, prefix=prefix, timeout_s=1) as store:
        assert await store.ping() >= 0
        own_valkey.kill()
        for ask in (store.ping, store.bell_ends, lambda: store.task("x"), lambda: store.watch(["x"], 1)):
            with pytest.raises(RedisUnavailable) as seen:
                await ask()
            assert own_valkey.plan.password not in str(seen.value)
        own_valkey.start()
        assert await store.ping() >= 0


async def test_one_read_takes_a_bounded_part_of_a_large_run(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    for _ in range(64):
        run.write(b"x" * 16383 + b"\n")
    found = await store.read(run.task_id, Cursor(1, run.nonce, START), max_bytes=40_000, count=64)
    assert sum(len(item.data) for item in found.items if isinstance(item, Entry)) == 3 * 16384


@pytest.mark.parametrize(
    ("url", "host", "password"),
    [
        ("valkey://:secret@one:7000/2", "one", "secret"),
        ("rediss://one:7000/2", "one", None),
        ("unix:///run/redis.sock?db=2", None, None),
        ("redis+socket:///run/redis.sock?db=2", None, None),
        ("sentinel://:secret@a:1,b/main/2", None, "secret"),
    ],
)
async def test_every_form_of_address_makes_clients_that_try_nothing_again(
    url: str, host: str | None, password: str | None
) -> None:
    found = reached(url, 5.0, 16)
    assert isinstance(found, OneRedis)
    for client in (found.client, found.bell_reader):
        given = client.connection_pool.connection_kwargs
        assert given.get("host") == host
        assert given.get("password") == password
        assert int(given["db"]) == 2
        assert given["retry"].get_retries() == 0
        assert given["socket_timeout"] * 1000 > BLOCK_MS
    await found.close()


async def test_numbers_that_not_every_client_can_read_are_left_out_of_the_progress(store: Store, writer: Write) -> None:
    run = writer()
    run.begin()
    run.note("progress", {"progress": json.dumps({"current": 10**400, "total": math.nan, "info": 10**95})})
    task = await store.task(run.task_id)
    assert task is not None
    assert task.progress == {"current": None, "total": None, "info": 10**95}
