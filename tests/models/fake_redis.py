"""A Redis in memory, as far as the server's half needs one to follow output, and a worker's writes to it.

The real ``Store`` reads from it, so that what is simulated is Redis alone: its answers, its absence, its losses. Time
is the event loop's. ``test_fake_redis`` holds it against a real one.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as Unreachable

from livetask.keys import Keys, bucket_of
from livetask.position import START, Position
from livetask.scripts import script
from livetask.server.store import Store

Id = tuple[int, int]
_KEPT_BELLS = 1000


class FakeRedis:
    """See livetask.server.connecting.Reached.

    ``away``: it answers nobody. ``slow_s``: the most it takes to answer. ``hiccups``: so many of its next answers get
    lost.
    """

    def __init__(self, chance: random.Random) -> None:
        self.hashes: dict[str, dict[bytes, bytes]] = {}
        self.streams: dict[str, list[tuple[Id, list[bytes]]]] = {}
        self.watched: dict[str, float] = {}
        self.away = False
        self.slow_s = 0.0
        self.hiccups = 0
        self._chance = chance
        self.number = 0
        self._rang = asyncio.Event()

    async def pipe(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        await self._answering()
        answers = [self._done([str(word) for word in command]) for command in commands]
        if self.hiccups and commands[0][0] != "PING":
            self.hiccups -= 1
            raise Unreachable("the answer was lost")
        await self._answering()
        return answers

    async def load(self, text: str) -> None:
        raise AssertionError("all scripts are known")

    async def bells(self, last_ids: dict[str, str], count: int, block_ms: int) -> list[Any]:
        await self._answering()
        until_s = _now_s() + block_ms / 1000
        while True:
            found = [(name.encode(), self._after(name, last_id, count)) for name, last_id in last_ids.items()]
            heard = [(name, entries) for name, entries in found if entries]
            if heard or _now_s() >= until_s:
                await self._answering()
                return heard
            self._rang.clear()
            try:
                async with asyncio.timeout_at(until_s):
                    await self._rang.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        pass

    def ring(self, task_id: str, run: int, what: str) -> None:
        self.number += 1
        fields = [b"task", task_id.encode(), b"run", str(run).encode(), b"what", what.encode()]
        bell = self.streams.setdefault(Keys().bell(bucket_of(task_id)), [])
        bell.append(((self.number, 0), fields))
        del bell[:-_KEPT_BELLS]
        self._rang.set()

    async def _answering(self) -> None:
        if self.slow_s:
            await asyncio.sleep(self._chance.random() * self.slow_s)
        if self.away:
            await asyncio.sleep(self._chance.random() * 0.2)
            raise Unreachable("it is away")

    def _done(self, words: list[str]) -> Any:
        match words:
            case ["PING"]:
                return b"PONG"
            case ["HGETALL", key]:
                return [part for pair in self.hashes.get(key, {}).items() for part in pair]
            case ["HMGET", key, *names]:
                return [self.hashes.get(key, {}).get(name.encode()) for name in names]
            case ["XRANGE", key, low, high, "COUNT", count]:
                return self._between(key, low, high)[: int(count)]
            case ["XREVRANGE", key, high, low, "COUNT", count]:
                return self._between(key, low, high)[::-1][: int(count)]
            case ["EVALSHA", sha, "1", _, lease_ms, *task_ids] if sha == script("watch").sha:
                self.watched |= dict.fromkeys(task_ids, _now_s() + int(lease_ms) / 1000)
                return [b"OK"]
        raise AssertionError(f"not known here: {words}")

    def _between(self, key: str, low: str, high: str) -> list[tuple[bytes, list[bytes]]]:
        least, most = _bound(low, (0, 0), 1), _bound(high, (2**64, 0), -1)
        return [(_text(at), fields) for at, fields in self.streams.get(key, []) if least <= at <= most]

    def _after(self, key: str, last_id: str, count: int) -> list[tuple[bytes, list[bytes]]]:
        last = _bound(last_id, (0, 0), 0)
        stream = self.streams.get(key, [])
        if not stream or stream[-1][0] <= last:
            return []
        return [(_text(at), fields) for at, fields in stream if at > last][:count]


def store_on(fake: FakeRedis) -> Store:
    """The real store, which reads from it."""
    store = Store("redis://nowhere")
    store._redis = fake
    return store


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _bound(text: str, end: Id, step: int) -> Id:
    """An ID as a range has it; ``step``: which way an excluded one moves."""
    if text in ("-", "+"):
        return end
    match = re.fullmatch(r"(\(?)(\d+)-(\d+)", text)
    assert match, text
    return int(match[2]), int(match[3]) + (step if match[1] else 0)


def _text(at: Id) -> bytes:
    return b"%d-%d" % at


class FakeRun:
    """A worker's writes of one run. ``journal``: all that the task printed, whatever became of it.

    ``base``: before it the spool holds nothing any more. ``how``: how it is to end, once all is shipped. ``gone``: what
    is before it may be missing in Redis, now or earlier. ``ended``: how often it came to an end.
    """

    def __init__(self, fake: FakeRedis, task_id: str, nonce: str) -> None:
        self.fake, self.task_id, self.nonce = fake, task_id, nonce
        self.task = Keys().task(task_id)
        self.output = Keys().output(task_id, nonce)
        self.ordinal = 0
        self.journal = bytearray()
        self.gaps: list[tuple[int, int]] = []
        self.end = START
        self.cuts: list[tuple[Position, Position, str]] = []
        self.how: str | None = None
        self.base = START
        self.gone = START
        self.ended = 0

    # ---- as the scripts do it

    def begin(self, first: Position = START, first_why: str = "") -> None:
        self.gone = max(self.gone, first)
        fields = self.fake.hashes.setdefault(self.task, {b"runs": b"0", b"open": b"0"})
        self.ordinal = self.ordinal or int(fields[b"runs"]) + 1
        runs = max(self.ordinal, int(fields[b"runs"]))
        self._set(format="1", state="RUNNING", runs=runs, open=int(fields[b"open"]) + 1)
        self._set(**{f"nonce.{self.nonce}": self.ordinal})
        self._of_run(nonce=self.nonce, end=first, first=first, first_why=first_why)
        self.fake.streams[self.output] = []
        self._ring("begin")

    @property
    def is_stored(self) -> bool:
        return self.fake.hashes.get(self.task, {}).get(f"{self.ordinal}.nonce".encode()) == self.nonce.encode()

    @property
    def stored_end(self) -> Position:
        return Position.parse(self.fake.hashes[self.task][f"{self.ordinal}.end".encode()])

    def append(self, start: Position, end: Position, fields: list[bytes]) -> str:
        """What append.lua does and answers."""
        if not self.is_stored:
            return "NORUN"
        have = self.stored_end
        if end.byte <= have.byte:
            return "DUP"
        if start != have:
            return "GAP"
        if self._held("how") == b"LOST":
            self.take_back()
        elif self._held("how"):
            return "ENDED"
        self.fake.streams[self.output].append(((start.line, start.byte), fields))
        self._of_run(end=end)
        if self.fake.watched.get(self.task_id, 0.0) > _now_s():
            self._ring("output")
        return "OK"

    def finish(self, how: str) -> str:
        if not self.is_stored:
            return "NORUN"
        known = self._held("how")
        if known and (known != b"LOST" or how == "LOST"):
            return "ENDED"
        if how != "LOST" and self.stored_end != self.end:
            return "GAP"
        self.ended += 1
        self._of_run(how=how)
        if not known:
            self._set(open=int(self.fake.hashes[self.task][b"open"]) - 1)
        if int(self.fake.hashes[self.task][b"open"]) <= 0:
            last = self.fake.hashes[self.task][b"runs"].decode()
            self._set(state=self.fake.hashes[self.task].get(f"{last}.how".encode(), how.encode()).decode())
        self._ring("end")
        return "OK"

    def take_back(self) -> None:
        self.fake.hashes[self.task].pop(f"{self.ordinal}.how".encode(), None)
        self._set(open=int(self.fake.hashes[self.task][b"open"]) + 1, state="RUNNING")
        self._ring("begin")

    # ---- as a worker does it

    def write(self, data: bytes) -> None:
        """Print, and ship it if Redis can be reached; else it stays in the spool."""
        start, self.end = self.end, self.end.after(data)
        self.journal += data
        self.cuts.append((start, self.end, ""))

    def drop(self, size: int, lines: int) -> None:
        """Give up a part before it is shipped."""
        start = self.end
        self.end = Position(start.line + lines, start.byte + size)
        self.journal += b"?" * size
        self.gaps.append((start.byte, self.end.byte))
        self.cuts.append((start, self.end, "dropped"))

    def ship(self, most: int = 10**9) -> None:
        """Send what Redis does not have, from where it says that it ends."""
        if self.fake.away:
            return
        if not self.is_stored:
            self.begin(self.base, "lost" if self.base != START else "")
        have = self.stored_end
        for start, end, reason in [cut for cut in self.cuts if cut[0].byte >= have.byte][:most]:
            held = [b"g", reason.encode(), b"e", str(end).encode()] if reason else [b"d", self.data(start, end)]
            assert self.append(start, end, [*held, b"t", b"1"]) == "OK"
        if self.how is not None and self.stored_end == self.end:
            self.finish(self.how)

    def data(self, start: Position, end: Position) -> bytes:
        return bytes(self.journal[start.byte : end.byte])

    # ---- what befalls it

    def lose_tail(self, entries: int) -> None:
        """A failover: what was acknowledged last is gone."""
        stream = self.fake.streams.get(self.output, [])
        if self.is_stored and stream:
            line, byte = stream[-min(entries, len(stream))][0]
            del stream[-min(entries, len(stream)) :]
            self._of_run(end=Position(line, byte))
            if self.fake.hashes[self.task].pop(f"{self.ordinal}.how".encode(), None):
                self._set(open=int(self.fake.hashes[self.task][b"open"]) + 1, state="RUNNING")

    def trim(self, entries: int) -> None:
        """The ring is full: its oldest entries leave."""
        stream = self.fake.streams.get(self.output, [])
        if self.is_stored and len(stream) > entries:
            del stream[:entries]
            self.gone = max(self.gone, Position(*stream[0][0]))
            self._of_run(first=Position(*stream[0][0]), first_why="trimmed")

    def _held(self, name: str) -> bytes | None:
        return self.fake.hashes[self.task].get(f"{self.ordinal}.{name}".encode())

    def _of_run(self, **fields: object) -> None:
        self._set(**{f"{self.ordinal}.{name}": value for name, value in fields.items()})

    def _set(self, **fields: object) -> None:
        self.fake.hashes[self.task] |= {name.encode(): str(value).encode() for name, value in fields.items()}

    def _ring(self, what: str) -> None:
        self.fake.ring(self.task_id, self.ordinal, what)


def flush(fake: FakeRedis) -> None:
    """FLUSHALL, by a server whose clock then goes wrong: the bells' numbers begin again."""
    fake.hashes.clear()
    fake.streams.clear()
    fake.watched.clear()
    fake.number = 0
