"""What leaves Redis lives on in the archive, and no reader can tell: same positions, same entries, same lines."""

from __future__ import annotations

import asyncio
import gzip
import random
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from livetask.errors import PositionUnknown, RunUnknown
from livetask.position import START, Cursor, Gap, Position
from livetask.server.archive.members import packed, unpacked
from livetask.server.archive.parts import part_of
from livetask.server.log_lines import last_lines, lines_from
from livetask.server.slices import ReadAt, Slice
from livetask.server.starts import line_start, tail_start
from tests.real.redis_servers import RealRedis
from tests.server.archiving import Archiving, lines_written, read_all
from tests.server.conftest import Write


@pytest.fixture
async def archiving(valkey: RealRedis, prefix: str, tmp_path: Path) -> AsyncIterator[Archiving]:
    async with Archiving(valkey.url, prefix, tmp_path / "archive") as found:
        yield found


async def test_an_ended_run_leaves_redis_and_reads_the_same_from_every_line(
    archiving: Archiving, writer: Write
) -> None:
    run = writer()
    run.begin()
    lines_written(run, 300)
    before = await archiving.store.entries(run.task_id, Cursor(1, run.nonce, START), back=False, start="-", count=100)
    run.finish()
    await archiving.move(run.task_id)
    assert run.client.exists(run.output) == 0
    assert archiving.text() == bytes(run.text)
    after = await archiving.store.entries(run.task_id, Cursor(1, run.nonce, START), back=False, start="-", count=100)
    assert after == (replace(before[0], how="SUCCESS"), before[1])
    last = await archiving.store.entries(run.task_id, Cursor(1, run.nonce, START), back=True, start="+", count=100)
    assert last[1] == before[1][::-1]
    for byte in range(0, len(run.text) + 1, 37):
        position = START.after(bytes(run.text[:byte]))
        assert await read_all(archiving.store, run, position) == (bytes(run.text[byte:]), [])


async def test_zcat_gives_the_whole_log(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    dice = random.Random(3)
    for _ in range(60):
        run.write(dice.randbytes(15_000) + b"\n")
    run.finish()
    await archiving.move(run.task_id)
    with subprocess.Popen(["zcat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as zcat:
        text, _ = zcat.communicate(b"".join(path.read_bytes() for path in archiving.parts()), timeout=90)
    assert text == bytes(run.text)


async def test_a_run_that_goes_on_is_in_the_archive_before_the_ring_lets_it_go(
    archiving: Archiving, writer: Write
) -> None:
    run = writer(cap_bytes=20_000)
    run.begin()
    for _ in range(12):
        lines_written(run, 100)
        await archiving.move(run.task_id)
    lines_written(run, 50)
    task = await archiving.store.stored_task(run.task_id)
    assert task is not None
    assert task.runs[0].first.byte > 20_000, "the ring has let nothing go"
    shown = await archiving.store.task(run.task_id)
    assert shown is not None
    assert shown.runs[0].first == START
    assert await read_all(archiving.store, run) == (bytes(run.text), [])
    run.finish()
    await archiving.move(run.task_id)
    assert archiving.text() == bytes(run.text)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_small_entries_by_the_thousand_do_not_hold_up_the_loop(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    pipe = run.client.pipeline(transaction=False)
    for number in range(12_000):
        data = b"%d\n" % number
        pipe.xadd(run.output, {"d": data, "t": 1}, id=str(run.end))
        run.text += data
        run.end = run.end.after(data)
    pipe.hset(run.task, "1.end", str(run.end))
    pipe.execute()
    run.finish()
    turns: list[float] = []

    async def watch() -> None:
        while True:
            before = time.thread_time()  # not the clock: other processes have the machine too
            await asyncio.sleep(0.001)
            turns.append(time.thread_time() - before)

    watching = asyncio.create_task(watch())
    await archiving.move(run.task_id)
    watching.cancel()
    assert len(turns) > 20
    assert sorted(turns)[-3] < 0.05, "but for the garbage collector's, who walks through all that the tests hold"
    assert archiving.text() == bytes(run.text)


async def test_what_is_archived_as_it_is_is_not_looked_at_again(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 10)
    run.finish()
    await archiving.move(run.task_id)
    before = {path: path.stat().st_mtime_ns for path in archiving.root.rglob("*")}
    run.client.set(archiving.store.lease_of(run.task_id), "another", px=60_000)
    await archiving.move(run.task_id)
    run.client.delete(archiving.store.lease_of(run.task_id))
    assert {path: path.stat().st_mtime_ns for path in archiving.root.rglob("*")} == before
    run.client.hset(run.task, mapping={"changed_at": 1, "name": "renamed"})
    await archiving.move(run.task_id)
    run.client.delete(run.task)
    task = await archiving.store.task(run.task_id)
    assert task is not None
    assert task.name == "renamed"


async def test_what_the_ring_let_go_before_is_a_gap_with_its_reason(archiving: Archiving, writer: Write) -> None:
    run = writer(cap_bytes=20_000)
    run.begin()
    lines_written(run, 2000)
    task = await archiving.store.stored_task(run.task_id)
    assert task is not None
    first = task.runs[0].first
    run.gap(lines=5, size_bytes=400)
    run.write(b"after\n")
    run.finish()
    await archiving.move(run.task_id)
    text, gaps = await read_all(archiving.store, run)
    assert [gap.reason for gap in gaps] == ["trimmed", "dropped"]
    assert gaps[0] == Gap(START, first, "trimmed")
    assert text == bytes(run.text[first.byte :])
    shown = await archiving.store.task(run.task_id)
    assert shown is not None
    assert (shown.runs[0].first, shown.runs[0].first_why) == (first, "trimmed")


async def test_lines_tails_and_links_are_the_same_before_and_after(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 2000)
    run.write(b"no end")
    run.finish()
    cursor = Cursor(1, run.nonce, START)

    async def looked() -> list[object]:
        task = await archiving.store.task(run.task_id)
        assert task is not None
        fetch = archiving.store.entries
        found: list[object] = [await last_lines(fetch, run.task_id, cursor, count) for count in (1, 10, 400)]
        found += [await lines_from(fetch, run.task_id, cursor, line, 20) for line in (1, 2, 8, 999, 1990, 2001, 3000)]
        found += [await line_start(archiving.store, run.task_id, task.runs[0], line) for line in (2, 77, 2001)]
        found += [await tail_start(archiving.store, run.task_id, task.runs[0], lines) for lines in (1, 30, 5000)]
        return found

    before = await looked()
    await archiving.move(run.task_id)
    assert run.client.exists(run.output) == 0
    assert await looked() == before


async def test_a_position_that_livetask_did_not_give_out_is_refused(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 50)
    run.finish()
    await archiving.move(run.task_id)
    true = START.after(bytes(run.text[:100]))
    for line in (true.line - 1, true.line + 1):
        with pytest.raises(PositionUnknown):
            await archiving.store.read(run.task_id, Cursor(1, run.nonce, Position(line, true.byte)))


async def test_a_task_that_redis_has_forgotten_is_listed_and_served(archiving: Archiving, writer: Write) -> None:
    run = writer("kept")
    run.begin()
    lines_written(run, 100)
    run.finish("FAILURE", detail={"reason": "ValueError"})
    await archiving.move(run.task_id)
    known = await archiving.store.task("kept")
    run.client.delete(run.task, run.output)
    task = await archiving.store.task("kept")
    assert task is not None
    assert known is not None
    assert (task.state, task.name, task.runs[0].detail) == (known.state, known.name, known.runs[0].detail)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])
    assert (await archiving.store.tasks(["kept", "unknown"])).keys() == {"kept"}
    assert await archiving.listed() == ["kept"]
    with pytest.raises(RunUnknown):
        await archiving.store.read("kept", Cursor(2, run.nonce, START))
    with pytest.raises(RunUnknown):
        await archiving.store.read("kept", Cursor(1, "othernonce1", START))


async def test_the_pump_is_given_the_archive_piece_by_piece(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 3000)
    run.finish()
    await archiving.move(run.task_id)
    text, at = bytearray(), START
    while at != run.end:
        (found,) = await archiving.store.read_many([ReadAt(run.task_id, Cursor(1, run.nonce, at), 4096, 8)])
        assert isinstance(found, Slice)
        assert found.start == at
        text += b"".join(item.data for item in found.items if not isinstance(item, Gap))
        at = found.next
    assert text == run.text


async def test_a_damaged_member_is_a_gap_and_the_rest_is_served(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    for number in range(100):
        run.write(b"%07d\n" % number * 2000)
    run.finish()
    await archiving.move(run.task_id)
    (path,) = archiving.parts()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    text, (gap,) = await read_all(archiving.store, run)
    assert gap.reason == "lost"
    assert text == bytes(run.text[: gap.start.byte] + run.text[gap.end.byte :])
    assert len(text) > len(run.text) / 2
    assert archiving.archive.damaged == 1


async def test_redis_keeps_a_run_whose_crc_is_not_that_of_the_archive(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 100)
    run.text[5] ^= 1
    run.finish()
    run.text[5] ^= 1
    await archiving.move(run.task_id)
    assert run.client.exists(run.output) == 1
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_a_run_taken_back_after_it_was_given_up_goes_on_in_redis(archiving: Archiving, writer: Write) -> None:
    run = writer()
    run.begin()
    lines_written(run, 100)
    run.finish("LOST")
    await archiving.move(run.task_id)
    assert run.client.exists(run.output) == 0
    assert run.renew()[0] == "OK"
    lines_written(run, 100)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])
    run.finish()
    await archiving.move(run.task_id)
    assert archiving.text() == bytes(run.text)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_a_run_sent_again_in_other_chunks_after_a_flush_goes_on_where_the_archive_ends(
    archiving: Archiving, writer: Write
) -> None:
    run = writer(cap_bytes=1 << 20)
    run.begin()
    lines_written(run, 500)
    await archiving.move(run.task_id)
    run.client.delete(run.task, run.output)
    run.heal()
    lines_written(run, 500)
    run.finish()
    await archiving.move(run.task_id)
    assert archiving.text() == bytes(run.text)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_one_server_at_a_time_moves_a_task(
    archiving: Archiving, writer: Write, valkey: RealRedis, prefix: str, tmp_path: Path
) -> None:
    run = writer()
    run.begin()
    lines_written(run, 100)
    run.finish()
    run.client.set(archiving.store.lease_of(run.task_id), "another", px=60_000)
    await archiving.move(run.task_id)
    assert archiving.parts() == []
    run.client.delete(archiving.store.lease_of(run.task_id))
    async with Archiving(valkey.url, prefix, tmp_path / "archive") as other:
        await other.move(run.task_id)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])


async def test_no_path_holds_a_task_id(archiving: Archiving, writer: Write) -> None:
    run = writer("a..b:@=+~x")
    run.begin()
    run.write(b"text\n")
    run.finish()
    await archiving.move(run.task_id)
    assert not [path for path in archiving.root.rglob("*") if "a..b" in path.name]
    assert all(path.stat().st_mode & 0o77 == 0 for path in archiving.root.rglob("*"))


def test_a_member_gives_back_what_it_was_given() -> None:
    entries = [
        (b"1-0", {b"d": b"one\n\x00\xff", b"t": b"17", b"s": b"1;31"}),
        (b"2-6", {b"g": b"dropped", b"e": b"9-100", b"t": b"0"}),
        (b"9-100", {b"d": b"two", b"t": b"18", b"x": b"\0\1"}),
    ]
    data = packed(entries)
    assert gzip.decompress(data) == b"one\n\x00\xfftwo"
    assert unpacked(data, 9, "x") == entries


def test_a_part_knows_where_its_members_begin() -> None:
    entries, at = [], START
    for _ in range(100):
        data = b"some text\n" * 1000
        entries.append((str(at).encode(), {b"d": data, b"t": b"1"}))
        at = at.after(data)
    part = part_of(entries, None)
    assert len(part.index.members) == 8
    assert part.end == at
    for before, after in zip(part.index.members, part.index.members[1:], strict=False):
        assert (before.end, before.offset + before.size) == (after.start, after.offset)
