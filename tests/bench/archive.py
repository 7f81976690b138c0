"""What archiving costs and what reading back costs, on one log of 100 MB: `python -m tests.bench.archive`.

The log is like those that programs write: a time, a level, numbers, names and a hash that no compression can shorten.
Packing and reading back for the check are shown apart; a random line is found by its number, read from disk by a new
process' empty cache, and checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from livetask.position import START, Cursor, Position
from livetask.server.archive import names
from livetask.server.archive.archive import Archive
from livetask.server.archive.directory import DirectoryShelf
from livetask.server.archive.members import unpacked
from livetask.server.archive.parts import PART_BYTES, index_of, part_of
from livetask.server.log_lines import lines_from
from livetask.server.slices import Head, RawEntry

SIZE_BYTES = 100_000_000
LINES_READ = 400
NONCE = "benchbench12"


def log_text(size_bytes: int) -> list[bytes]:
    """The lines of the log."""
    dice = random.Random(1)
    lines, size = [], 0
    while size < size_bytes:
        at = len(lines)
        digest = hashlib.sha1(b"%d" % at, usedforsecurity=False).hexdigest()[:24]
        clock = f"2026-11-21 {at // 360_000 % 24:02d}:{at // 6000 % 60:02d}:{at // 100 % 60:02d},{at * 37 % 1000:03d}"
        took = f"done in {dice.random():.4f} s"
        lines.append(f"{clock} INFO worker {at % 8} item {at} sha {digest} {took}\n".encode())
        size += len(lines[-1])
    return lines


def entries_of(lines: list[bytes], entry_bytes: int = 16 * 1024) -> list[RawEntry]:
    """The lines as entries, cut as the worker cuts them."""
    text, at, found = b"".join(lines), START, []
    for start in range(0, len(text), entry_bytes):
        data = text[start : start + entry_bytes]
        found.append((str(at).encode(), {b"d": data, b"t": b"1700000000000"}))
        at = at.after(data)
    return found


def main() -> None:
    """Measure, and print a table."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE_BYTES
    lines = log_text(size)
    entries = entries_of(lines)
    text_bytes = sum(map(len, lines))
    with tempfile.TemporaryDirectory() as root:
        rows = [("log", f"{text_bytes / 1e6:.1f} MB, {len(lines)} lines", "", "")]
        shelf = DirectoryShelf(Path(root))
        folder = names.run_folder(names.hash_of("bench", "task"), NONCE)
        parts, packing = _measured(lambda: _packed(entries))
        stored = sum(len(part.data) for part in parts)
        rows.append(("pack", f"to {stored / 1e6:.1f} MB", *packing))
        _, writing = _measured(lambda: [shelf.put(_name(folder, part), part.data) for part in parts])
        rows.append(("write and sync", f"{len(parts)} parts", *writing))
        _, checking = _measured(lambda: [_read_back(shelf, _name(folder, part), part.index_bytes) for part in parts])
        rows.append(("read back and check", "", *checking))
        rows.append(("a random line", *asyncio.run(_random_lines(shelf, lines))))
    for name, what, wall, cpu in rows:
        print(f"{name:<22} {what:<28} {wall:>12} {cpu:>14}")


def _packed(entries: list[RawEntry]):  # type: ignore[no-untyped-def]
    parts, crc, some, size = [], 0, [], 0
    for entry in entries:
        some.append(entry)
        size += len(entry[1][b"d"])
        if size >= PART_BYTES:
            parts.append(part_of(some, crc))
            crc, some, size = parts[-1].index.crc or 0, [], 0
    return [*parts, part_of(some, crc)] if some else parts


def _name(folder: str, part) -> str:  # type: ignore[no-untyped-def]
    return f"{folder}/{names.part_file(part.start, part.end, part.index_bytes)}"


def _read_back(shelf: DirectoryShelf, name: str, index_bytes: int) -> None:
    data = shelf.get(name)
    for member in index_of(data[-index_bytes:], name).members:
        unpacked(data[member.offset : member.offset + member.size], member.text_bytes, name)


async def _random_lines(shelf: DirectoryShelf, lines: list[bytes]) -> tuple[str, str, str]:
    """Lines by number, as a page asks for them; the cache of members is emptied before each."""
    archive = Archive(shelf, prefix="bench")
    dice, took = random.Random(2), []
    end = Position(len(lines) + 1, sum(map(len, lines)))
    head = Head(end, START, "", "SUCCESS")

    async def fetch(task_id: str, cursor: Cursor, *, back: bool, start: str, count: int):  # type: ignore[no-untyped-def]
        parts = await archive.parts(task_id, cursor.nonce)
        found: list[RawEntry] = []
        line, _, byte = start.partition("-")
        at = Position(int(line), int(byte))
        async for entries in archive.backward(parts, at) if back else archive.onward(parts, at):
            known = [(Position.parse(entry[0]), entry) for entry in entries]
            found += [entry for begins, entry in known if (begins <= at if back else begins >= at)]
            if found:
                break
        return head, found[-1:] if back else found[:count]

    for _ in range(LINES_READ):
        line = dice.randrange(len(lines))
        archive.forget_members()
        began = time.perf_counter()
        found = await lines_from(fetch, "task", Cursor(1, NONCE, START), line + 1, 1)
        took.append(time.perf_counter() - began)
        assert found.lines[0] + b"\n" == lines[line]
    await archive.close()
    took.sort()
    return (
        f"{LINES_READ} lines, cold",
        f"{statistics.median(took) * 1000:.2f} ms p50",
        f"{took[int(len(took) * 0.99)] * 1000:.2f} ms p99",
    )


def _measured(work: Callable[[], object]):  # type: ignore[no-untyped-def]
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = work()
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found, (f"{took:.2f} s", f"{cpu:.2f} s CPU")


if __name__ == "__main__":
    main()
