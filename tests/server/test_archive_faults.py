"""The archive and whatever goes wrong: writers that die at any byte, shelves that are full or gone, forged objects."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.archive_errors import ArchiveDamaged, ArchiveUnavailable
from livetask.position import START, Cursor, Gap, Position
from livetask.server.archive.directory import DirectoryShelf
from livetask.server.archive.members import packed, unpacked, wrapped
from livetask.server.running import Running
from livetask.server.slices import ReadAt, Slice
from tests.real.redis_servers import RealRedis
from tests.real.writer import RunWriter
from tests.server.archiving import Archiving, StuckShelf, lines_written, read_all
from tests.server.conftest import Write
from tests.server.living import until


@pytest.fixture
async def archiving(valkey: RealRedis, prefix: str, tmp_path: Path) -> AsyncIterator[Archiving]:
    async with Archiving(valkey.url, prefix, tmp_path / "archive") as found:
        yield found


@pytest.mark.parametrize("ended", [False, True], ids=["it goes on", "it has ended"])
async def test_an_archiver_killed_at_any_byte_leaves_whole_parts_and_the_next_one_goes_on(
    archiving: Archiving, writer: Write, valkey: RealRedis, prefix: str, ended: bool
) -> None:
    run = writer()
    run.begin()
    dice = random.Random(11)
    for number in range(100):
        run.write(b"%d " % number + dice.randbytes(3000).hex().encode() + b"\n")
    if ended:
        run.finish()
    line = [sys.executable, "-m", "tests.real.dying_archiver", valkey.url, prefix, str(archiving.root), run.task_id]
    process = await asyncio.create_subprocess_exec(*line, "5", stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    assert int(said) >= 3, "nobody died"
    assert archiving.text() == bytes(run.text)
    assert await read_all(archiving.store, run) == (bytes(run.text), [])
    assert run.client.exists(run.output) == (0 if ended else 1)


# ---- a model: whatever happens, reading gives the text but for what had gone before it was archived


_WORK = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 60)),
    st.tuples(st.just("gap"), st.integers(1, 5)),
    st.tuples(st.just("move"), st.just(0)),
    st.tuples(st.just("forget"), st.just(0)),
    st.tuples(st.just("lost"), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 1 << 30)),
)


class _Model:
    """What was written, where a gap was declared, and what had left the ring before it was archived."""

    def __init__(self, run: RunWriter) -> None:
        self.run = run
        self.whole = bytearray()
        self.places = [START]
        self.missing: list[tuple[int, int]] = []
        self.archived = 0

    def wrote(self, before: int) -> None:
        data = bytes(self.run.text[before:])
        at = self.places[-1]
        self.places += [at.after(data[:size]) for size in range(1, len(data) + 1)]
        self.whole += data

    def declared(self, gap: Gap) -> None:
        self.whole += bytes(gap.size_bytes)
        self.places += [gap.end] * gap.size_bytes
        self.missing.append((gap.start.byte, gap.end.byte))

    def ring_begins(self) -> int:
        value = self.run.client.hget(self.run.task, "1.first")
        return int(value.split(b"-")[1]) if value else 0

    def moved(self) -> None:
        if self.ring_begins() > self.archived:
            self.missing.append((self.archived, self.ring_begins()))
        self.archived = len(self.whole)

    def is_missing(self, byte: int) -> bool:
        if any(start <= byte < end for start, end in self.missing):
            return True
        return self.archived <= byte < self.ring_begins()


async def _check(archiving: Archiving, model: _Model, byte: int) -> None:
    run, at = model.run, model.places[byte]
    byte = at.byte
    while byte < len(model.whole):
        found = await archiving.store.read(run.task_id, Cursor(1, run.nonce, at), 3000)
        assert found.items, f"nothing at {at}"
        for item in found.items:
            assert item.start == at
            at = item.end
            if isinstance(item, Gap):
                assert all(map(model.is_missing, range(byte, at.byte))), f"{item}"
            else:
                assert item.data == model.whole[byte : at.byte]
            byte = at.byte
    assert at == run.end


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=st.lists(_WORK, min_size=3, max_size=25), number=st.integers(0, 1 << 60))
async def test_whatever_is_written_archived_trimmed_and_forgotten_reading_is_exact_from_anywhere(
    valkey: RealRedis, tmp_path: Path, work: list[tuple[str, int]], number: int
) -> None:
    prefix = f"model-{number}-{os.urandom(4).hex()}"
    async with Archiving(valkey.url, prefix, tmp_path / prefix) as archiving:
        with redis.Redis.from_url(valkey.url) as client:
            run = RunWriter(client, "task", prefix=prefix, cap_bytes=4000)
            run.begin()
            model = _Model(run)
            for what, size in [*work, ("end", 0)]:
                before = len(run.text)
                if what == "write":
                    lines_written(run, size, 3)
                    model.wrote(before)
                elif what == "gap":
                    model.declared(run.gap(size, size * 10))
                elif what == "move":
                    await archiving.move("task")
                    model.moved()
                elif what == "lost":
                    run.finish("LOST")
                    await archiving.move("task")
                    model.moved()
                    assert run.renew()[0] == "OK"
                elif what == "forget":
                    await archiving.archive.forget("task", [run.nonce])
                    archiving.archive.forget_members()
                elif what == "end":
                    run.finish("SUCCESS")
                    await archiving.move("task")
                    model.moved()
                await _check(archiving, model, size % (len(model.whole) + 1) if what == "read" else 0)
            client.delete(run.task, run.output)
            shown = await archiving.store.task("task")
            assert shown is not None
            for byte in range(0, len(model.whole), max(1, len(model.whole) // 7)):
                await _check_archived(archiving, model, byte)


async def _check_archived(archiving: Archiving, model: _Model, byte: int) -> None:
    at = model.places[byte]
    found = await archiving.store.read("task", Cursor(1, model.run.nonce, at), 3000)
    for item in found.items:
        assert item.start == at
        if not isinstance(item, Gap):
            assert item.data == model.whole[at.byte : item.end.byte]
        at = item.end


# ---- shelves


async def test_a_shelf_that_hangs_keeps_no_other_viewer_waiting(
    valkey: RealRedis, prefix: str, tmp_path: Path, writer: Write
) -> None:
    shelf = StuckShelf(tmp_path)
    async with Archiving(valkey.url, prefix, tmp_path, shelf) as archiving:
        old, live = writer("old"), writer("live")
        old.begin()
        live.begin()
        lines_written(old, 2000)
        live.write(b"here\n")
        old.finish()
        await archiving.move("old")
        archiving.archive.forget_members()
        shelf.answers.clear()
        wanted = [ReadAt(run.task_id, Cursor(1, run.nonce, START)) for run in (old, live)]
        began_s = asyncio.get_running_loop().time()
        slow, quick = await archiving.store.read_many(wanted)
        assert asyncio.get_running_loop().time() - began_s < 20  # the shelf hangs for 30 s
        assert isinstance(slow, Slice)
        assert isinstance(quick, Slice)
        assert (slow.items, slow.end) == ((), old.end)
        assert [item.data for item in quick.items if not isinstance(item, Gap)] == [b"here\n"]
        shelf.answers.set()
        assert await read_all(archiving.store, old) == (bytes(old.text), [])


async def test_a_shelf_that_refuses_leaves_everything_in_redis(
    valkey: RealRedis, prefix: str, tmp_path: Path, writer: Write
) -> None:
    shelf = StuckShelf(tmp_path)
    async with Archiving(valkey.url, prefix, tmp_path, shelf) as archiving:
        run = writer()
        run.begin()
        lines_written(run, 500)
        run.finish()
        shelf.refuses = True
        with pytest.raises(ArchiveUnavailable):
            await archiving.move(run.task_id)
        assert run.client.exists(run.output) == 1
        assert run.client.hget(run.task, "1.archived") is None
        assert await read_all(archiving.store, run) == (bytes(run.text), [])
        shelf.refuses = False
        await archiving.move(run.task_id)
        assert run.client.exists(run.output) == 0


async def test_a_directory_that_may_not_be_written_is_told_as_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    shelf = DirectoryShelf(tmp_path / "file" / "archive")
    with pytest.raises(ArchiveUnavailable):
        shelf.put("a/b", b"data")


def test_a_name_never_leads_out_of_the_directory(tmp_path: Path) -> None:
    shelf = DirectoryShelf(tmp_path)
    for name in ("../x", "a/../../x", "/x", "a//b", ".", "a/./b"):
        with pytest.raises(ValueError, match="no name"):
            shelf.put(name, b"")


def test_a_forged_member_expands_no_further_than_its_index_says() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(1 << 20)
    body = b"".join(bomb.compress(zeros) for _ in range(64)) + bomb.flush()
    honest = packed([(b"1-0", {b"d": b"text\n", b"t": b"1"})])
    extra_end = 16 + struct.unpack_from("<H", honest, 14)[0]
    forged = honest[:extra_end] + body + struct.pack("<II", 0, 64 << 20)
    assert len(forged) < 100_000
    with pytest.raises(ArchiveDamaged):
        unpacked(forged, 5, "forged")
    rows = zlib.compress(b"d 0 0 \n" * 20_000_000, 9)[:60_000]
    with pytest.raises(ArchiveDamaged):
        unpacked(wrapped(b"LT", struct.pack("<BQQ", 1, 1, 0) + rows, b"text\n"), 5, "forged")


@given(st.binary(max_size=400), st.integers(0, 100))
def test_no_bytes_whatever_make_reading_fail_otherwise_than_as_damaged(data: bytes, text_bytes: int) -> None:
    honest = packed([(b"1-0", {b"d": b"text\n", b"t": b"1"})])
    for forged in (data, honest[: len(data) % len(honest)], honest[:16] + data + honest[16 + len(data) :]):
        try:
            unpacked(forged, text_bytes, "x")
        except ArchiveDamaged:
            continue
        assert gzip.decompress(forged) == b"text\n"


def test_positions_that_are_forged_in_a_row_are_damage() -> None:
    start = struct.pack("<BQQ", 1, 0, 0)
    with pytest.raises(ArchiveDamaged):
        unpacked(wrapped(b"LT", start + zlib.compress(b"d 5 1 "), b"text\n"), 5, "x")
    assert Position(1, 0) == START


async def test_the_archiver_says_that_the_shelf_is_away_tries_again_and_says_that_it_is_back(
    valkey: RealRedis, prefix: str, tmp_path: Path, writer: Write
) -> None:
    shelf = StuckShelf(tmp_path)
    shelf.refuses = True
    async with Archiving(valkey.url, prefix, tmp_path, shelf) as archiving:
        run = writer()
        run.begin()
        lines_written(run, 100)
        run.finish()
        running = Running()
        running.start(*archiving.keeping.loops())
        try:
            await until("it is told", lambda: _figure(archiving, "archive_up") == 0)
            assert archiving.keeping.brief() == {"archive_up": 0}
            assert run.client.exists(run.output) == 1
            failures = _figure(archiving, "archive_failures")
            await until("it is tried again", lambda: _figure(archiving, "archive_failures") > failures)
            shelf.refuses = False
            await until("it is moved", lambda: run.client.exists(run.output) == 0)
            await until("that is told too", lambda: _figure(archiving, "archive_up") == 1)
            assert _figure(archiving, "archive_text_bytes") == len(run.text)
        finally:
            await running.stop()
        assert await read_all(archiving.store, run) == (bytes(run.text), [])


def _figure(archiving: Archiving, name: str) -> float:
    return next(figure.values[""] for figure in archiving.keeping.figures() if figure.name == name)
