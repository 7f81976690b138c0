"""The hub loses nothing and lets nobody suffer: faults of Redis, of the server, and of single viewers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from livetask.errors import PositionUnknown, RedisUnavailable, TaskUnknown
from livetask.position import START, Cursor, Position
from livetask.server.events import CaughtUp, Ended, Missing, Output, Reset
from livetask.server.frames import Told
from livetask.server.hub import Hub, _not_beyond
from livetask.server.store import Store
from livetask.server.subscription import Wish
from tests.real.fault_proxy import FaultProxy
from tests.real.redis_servers import RealRedis
from tests.real.writer import RunWriter
from tests.server.conftest import Write
from tests.server.living import Serving, Viewer, until

LINE = b"%07d 0123456789012345678901234567890123456789\n"


async def _write_lines(run: RunWriter, first: int, count: int, pause_s: float = 0.0) -> None:
    for number in range(first, first + count):
        run.write(LINE % number)
        if pause_s:
            await asyncio.sleep(pause_s)


@contextlib.contextmanager
def _client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as found:
        yield found


async def test_redis_killed_and_started_again_without_its_last_writes(own_valkey: RealRedis, prefix: str) -> None:
    with _client(own_valkey.url) as client:
        client.config_set("appendfsync", "no")
        run = RunWriter(client, "task-1", prefix=prefix)
        run.begin()
        async with Serving(own_valkey.url, prefix) as serving, Viewer(serving) as viewer:
            await viewer.subscribe(run.task_id)
            await _write_lines(run, 0, 200)
            seen = viewer.tasks[run.task_id]
            await until("the viewer has it all", lambda: len(seen.text[1]) == len(run.text))
            held = run.end
            # what a crash takes with it: the last entries, of which the viewer already knows
            client.xtrim(run.output, maxlen=100, approximate=False)
            own_valkey.kill()
            await until("viewers are told", lambda: ("store", {"state": "unreachable"}) in viewer.others)
            own_valkey.start()
            _forget_tail(client, run, entries=50)
            await until("viewers are told", lambda: ("store", {"state": "ok"}) in viewer.others)
            assert viewer.io.connected
            assert seen.at[1].position == held
            run.heal()
            await _write_lines(run, 200, 50, 0.001)
            run.finish()
            await viewer.ended(run.task_id)
    assert bytes(seen.text[1]) == bytes(run.text)
    assert not seen.gaps
    assert "reset" not in seen.names


def _forget_tail(client: redis.Redis, run: RunWriter, entries: int) -> None:
    """Make Redis have lost its last writes, exactly, whatever its file had kept."""
    kept: list[Any] = client.xrange(run.output)  # type: ignore[assignment]
    end = kept[-entries][0].decode()
    client.delete(run.output)
    for entry_id, fields in kept[:-entries]:
        client.xadd(run.output, fields, id=entry_id)
    client.hset(run.task, f"{run.ordinal}.end", end)


async def test_a_flush_is_healed_by_the_worker_and_the_viewer_sees_nothing_of_it(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    run = writer()
    run.begin()
    never_swept = Serving(valkey.url, prefix, sweep_s=600)
    async with never_swept as serving, Viewer(serving) as viewer, Viewer(serving) as late:
        await viewer.subscribe(run.task_id)
        await _write_lines(run, 0, 100)
        seen = viewer.tasks[run.task_id]
        await until("the viewer has it all", lambda: len(seen.text[1]) == len(run.text))
        for key in (run.task, run.output, run.watched, run.bell, run.alive, run.recent):
            run.client.delete(key)
        await late.subscribe(run.task_id, whence=str(seen.at[1]), wait=True)
        run.client.delete(run.watched)
        run.heal()
        # the lease went with the flush: without a new one, live output would wait for the next sweep
        await until("the lease is taken anew", lambda: run.client.zscore(run.watched, run.task_id))
        run.write(LINE % 100)
        await until("live output comes", lambda: len(seen.text[1]) == len(run.text))
        await _write_lines(run, 101, 100, 0.001)
        run.finish()
        await viewer.ended(run.task_id)
        rest = await late.ended(run.task_id)
    assert bytes(seen.text[1]) == bytes(run.text)
    assert "reset" not in seen.names
    assert bytes(rest.text[1]) == bytes(run.text[len(LINE % 0) * 100 :])


async def test_a_run_that_is_gone_for_good_is_reset_after_the_hold(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    run = writer()
    run.begin()
    run.write(b"text\n")
    async with Serving(valkey.url, prefix, hold_s=0.5, sweep_s=0.5) as serving, Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id)
        seen = viewer.tasks[run.task_id]
        await until("the text is there", lambda: bytes(seen.text[1]) == b"text\n")
        run.client.delete(run.task, run.output)
        await until("the viewer is told", lambda: "reset" in seen.names)
        assert seen.events[-1][1] == {"task_id": run.task_id, "run": 1, "cursor": None, "reason": "gone"}
        other = writer()
        other.begin()
        other.write(b"new\n")
        other.finish()
        seen.text.clear()
        seen.at.clear()
        assert bytes((await viewer.ended(run.task_id)).text[1]) == b"new\n"


async def test_another_run_in_its_place_resets_the_viewer_to_its_start(serving: Serving, writer: Write) -> None:
    run, other = writer(), writer()
    run.begin()
    run.write(b"old text\n")
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id)
        seen = viewer.tasks[run.task_id]
        await until("the text is there", lambda: bytes(seen.text[1]) == b"old text\n")
        run.client.delete(run.task, run.output)
        other.begin()
        other.write(b"new\n")
        other.finish()
        await viewer.ended(run.task_id)
    assert bytes(seen.text[1]) == b"new\n"
    resets = [data for name, data in seen.events if name == "reset"]
    assert [(data["reason"], data["cursor"]) for data in resets] == [("replaced", f"1.{other.nonce}.1-0")]


async def test_the_server_restarts_and_the_viewer_goes_on_from_its_cursor(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    run = writer()
    run.begin()
    text, whence, port = bytearray(), "start", 0
    for part in range(4):
        async with Serving(valkey.url, prefix, port) as serving, Viewer(serving) as viewer:
            port = serving.port
            assert (await viewer.subscribe(run.task_id, whence=whence))["ok"]
            await _write_lines(run, part * 40, 40, 0.001)
            seen = viewer.tasks[run.task_id]
            await until("some of it is there", lambda seen=seen: len(seen.text[1]) > 1000)  # type: ignore[misc]
            if part == 3:
                run.finish()
                await viewer.ended(run.task_id)
            text += seen.text[1]
            whence = str(seen.at[1])
    assert bytes(text) == bytes(run.text)


async def test_cut_connections_to_redis_neither_lose_nor_repeat(valkey: RealRedis, prefix: str, writer: Write) -> None:
    with FaultProxy(valkey.port) as proxy:
        url = valkey.url.replace(f":{valkey.port}", f":{proxy.port}")
        run = writer()
        run.begin()
        async with Serving(url, prefix, sweep_s=2.0) as serving, Viewer(serving) as viewer, Viewer(serving) as idle:
            await viewer.subscribe(run.task_id)
            await idle.subscribe(run.task_id, mode="screen")
            for part in range(15):
                await _write_lines(run, part * 40, 40, 0.001)
                proxy.cut()
            run.finish()
            seen = await viewer.ended(run.task_id)
            await idle.ended(run.task_id)
    assert bytes(seen.text[1]) == bytes(run.text)


async def test_a_stalled_viewer_is_bounded_and_the_others_do_not_notice(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    run = writer()
    run.begin()
    for _ in range(400):
        run.write(b"x" * 16_383 + b"\n")
    window = 64 * 1024
    async with Serving(valkey.url, prefix, window_bytes=window) as serving, Viewer(serving) as viewer:
        stalled, silent = Viewer(serving, acks=False), Viewer(serving, acks=False)
        async with stalled, silent:
            await stalled.subscribe(run.task_id)
            await silent.io.emit("ack", {"task_id": run.task_id, "cursor": f"1.{run.nonce}.1-0"})
            await silent.subscribe(run.task_id)
            await silent.io.emit("ack", {"task_id": run.task_id, "cursor": f"1.{run.nonce}.1-0"})
            stalled.io.eio.ws._response.connection.protocol.pause_reading()
            began = time.monotonic()
            await viewer.subscribe(run.task_id)
            seen = viewer.tasks[run.task_id]
            await until("the other has it all", lambda: len(seen.text[1]) == len(run.text))
            run.write(b"live\n")
            await until("and what is live", lambda: seen.text[1].endswith(b"live\n"))
            assert time.monotonic() - began < 15
            # who began to acknowledge and stopped is sent no more, whatever its transport would take
            assert len(silent.tasks[run.task_id].text[1]) < len(run.text) // 2
            sockets = serving.live.sockets
            held = [one.transport for one in sockets._viewers.values() if not one.transport.drained]
            assert len(held) <= 1
            for transport in held:
                assert 0 < transport.unsent_bytes < 200_000
            stalled.io.eio.ws._response.connection.protocol.resume_reading()
            run.finish()
            await viewer.ended(run.task_id)
            assert bytes((await stalled.ended(run.task_id)).text[1]) == bytes(run.text)


@pytest.mark.alone
async def test_the_server_stops_within_two_seconds_also_with_viewers_that_hang(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    run = writer()
    run.begin()
    for _ in range(400):
        run.write(b"x" * 16_383 + b"\n")
    serving = await Serving(valkey.url, prefix).__aenter__()
    viewers = [Viewer(serving, acks=False) for _ in range(3)]
    viewers.append(Viewer(serving, acks=False, transports=("polling",)))
    for viewer in viewers:
        await viewer.io.connect(serving.url, transports=viewer._transports)
        await viewer.subscribe(run.task_id)
        await viewer.ask("watch", {})
    viewers[0].io.eio.ws._response.connection.protocol.pause_reading()
    began = time.monotonic()
    await serving.__aexit__()
    assert time.monotonic() - began < 2
    await until("the others were told", lambda: "bye" in [name for name, _ in viewers[1].others])
    [told] = [wire for name, wire in viewers[1].others if name == "bye"]
    assert told["reason"] == "the server stops"
    assert 500 <= told["retry_ms"] < 500 + len(viewers)
    for viewer in viewers:
        await viewer.io.disconnect()
    names = {task.get_name() for task in asyncio.all_tasks() if "livetask" in repr(task.get_coro())}
    assert not names


async def test_a_lost_run_is_told_and_taken_back_when_it_lives(valkey: RealRedis, prefix: str, writer: Write) -> None:
    run = writer(lease_ms=1500)
    run.begin()
    run.write(b"before\n")
    async with Serving(valkey.url, prefix) as serving, Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id)
        seen = await viewer.ended(run.task_id)
        assert (seen.ends[0]["how"], seen.ends[0]["last"]) == ("LOST", True)
        run.write(b"after all\n")
        run.finish()
        await viewer.ended(run.task_id, 2)
    assert bytes(seen.text[1]) == b"before\nafter all\n"
    assert (seen.ends[1]["how"], seen.ends[1]["last"]) == ("SUCCESS", True)
    assert next(data["run"]["how"] for name, data in seen.events if name == "run") == "LOST"


class _CountingStore(Store):
    reads = 0

    async def read_many(self, wanted: Any) -> Any:
        self.reads += len(wanted)
        return await super().read_many(wanted)


class _Keeping:
    """A viewer inside the process."""

    drained = True
    way = None

    def __init__(self, fails: bool = False) -> None:
        self.told: list[Told] = []
        self._fails = fails

    def tell(self, told: Told) -> None:
        if self._fails:
            raise ConnectionResetError
        self.told.append(told)

    @property
    def text(self) -> bytes:
        return b"".join(one.event.data for one in self.told if isinstance(one.event, Output))


async def test_viewers_at_one_place_share_the_read_and_the_encoding_and_a_broken_one_harms_none(
    valkey: RealRedis, prefix: str, writer: Write, caplog: pytest.LogCaptureFixture
) -> None:
    run = writer()
    run.begin()
    await _write_lines(run, 0, 100)
    async with _CountingStore(valkey.url, prefix=prefix) as store:
        hub = Hub(store)
        await hub.start()
        sinks = [_Keeping() for _ in range(50)]
        broken = _Keeping(fails=True)
        followers = [await hub.subscribe(run.task_id, sink, Wish()) for sink in (*sinks, broken)]
        store.reads = 0
        for follower in followers:
            hub.begin(follower)
        await until("all have it", lambda: all(sink.text == bytes(run.text) for sink in sinks))
        reads = store.reads
        run.write(b"live\n")
        await until("all have it", lambda: all(sink.text == bytes(run.text) for sink in sinks))
        assert reads <= 60
        first = [id(one) for one in sinks[0].told if isinstance(one.event, Output)]
        assert all([id(one) for one in sink.told if isinstance(one.event, Output)] == first for sink in sinks)
        assert followers[-1].closed
        assert sum("cannot be told" in record.message for record in caplog.records) == 1
        await hub.stop()


async def test_an_iterator_follows_a_task_and_is_never_given_more_than_a_window_ahead(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    run = writer(cap_bytes=1 << 20)
    run.begin()
    for number in range(100):
        run.write(b"%d" % (number % 10) * 16_383 + b"\n")
    async with Store(valkey.url, prefix=prefix) as store:
        hub = Hub(store, window_bytes=128 * 1024)
        await hub.start()
        with pytest.raises(TaskUnknown):
            async with hub.follow("nobody"):
                pass
        with pytest.raises(PositionUnknown):
            async with hub.follow(run.task_id, Cursor(1, run.nonce, Position(99, run.end.byte - 5))):
                pass
        text, gaps, events = bytearray(), [], []
        async with hub.follow(run.task_id, "start", Wish(binary=True)) as following:
            async for event in following:
                events.append(type(event))
                if isinstance(event, Output):
                    text += event.data
                    waiting = sum(len(one.data) for one in following._events if isinstance(one, Output))
                    assert waiting <= 128 * 1024
                    if len(text) < 200_000:
                        await asyncio.sleep(0.005)
                elif isinstance(event, Missing):
                    gaps.append(event.gap)
                elif isinstance(event, CaughtUp):
                    run.finish()
                elif isinstance(event, Ended):
                    break
        await hub.stop()
    assert len(gaps) == 1
    assert gaps[0].start == START
    assert bytes(text) == bytes(run.text[gaps[0].end.byte :])
    assert Reset not in events


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_many_viewers_with_random_cursors_over_cut_connections_are_all_exact(
    seed: int, valkey: RealRedis, prefix: str, writer: Write
) -> None:
    dice = random.Random(seed)
    runs = [writer(f"task-{number}") for number in range(6)]
    for run in runs:
        run.begin()
    with FaultProxy(valkey.port, seed=seed) as proxy:
        url = valkey.url.replace(f":{valkey.port}", f":{proxy.port}")
        async with Store(url, prefix=prefix) as store:
            hub = Hub(store, sweep_s=2.0, window_bytes=8 * 1024)
            await hub.start()
            checks: list[asyncio.Task[None]] = []
            for step in range(120):
                run = dice.choice(runs)
                for _ in range(dice.randint(1, 5)):
                    run.write(bytes(dice.choice(b"abc\n") for _ in range(dice.randint(1, 300))))
                if dice.random() < 0.4:
                    byte = dice.randint(0, len(run.text))
                    cursor = Cursor(1, run.nonce, START.after(bytes(run.text[:byte])))
                    checks.append(asyncio.ensure_future(_check(hub, run, cursor)))
                if step % 25 == 24:
                    proxy.cut()
                await asyncio.sleep(0.003)
            for run in runs:
                run.finish()
            async with asyncio.timeout(90):
                await asyncio.gather(*checks)
            await hub.stop()


async def _check(hub: Hub, run: RunWriter, cursor: Cursor) -> None:
    """Follow from the cursor, over every failure, to the end; every byte once."""
    text = bytearray()
    begin = cursor.position.byte
    while True:
        try:
            async with hub.follow(run.task_id, cursor) as events:
                async for event in events:
                    if isinstance(event, Output):
                        assert event.start == cursor.position
                        text += event.data
                        cursor = event.cursor
                    elif isinstance(event, Ended):
                        assert bytes(text) == bytes(run.text[begin:])
                        return
        except RedisUnavailable:
            await asyncio.sleep(0.05)


async def test_a_viewer_of_many_tasks_that_takes_nothing_is_sent_no_more_than_one_could_hold(
    serving: Serving, writer: Write
) -> None:
    runs = [writer(f"task-{number}") for number in range(30)]
    for run in runs:
        run.begin()
        for _ in range(40):
            run.write(b"x" * 16_383 + b"\n")
    stalled = Viewer(serving, acks=False)
    async with stalled:
        for run in runs[:1]:
            await stalled.subscribe(run.task_id)
        link = stalled.io.eio.ws._response.connection.transport
        link.pause_reading()  # not by aiohttp's own way, which reads on when what has come is taken
        for run in runs[1:]:
            await stalled.io.emit("subscribe", {"task_id": run.task_id})
        (transport,) = [one.transport for one in serving.live.sockets._viewers.values()]
        await until("all are subscribed", lambda: serving.live.sockets.subscriptions == 30)
        await until("the transport is full", lambda: not transport.drained)
        for _ in range(100):
            assert transport.unsent_bytes < 4 * 64 * 1024
            await asyncio.sleep(0.005)
        link.resume_reading()
        for run in runs:
            run.finish()
        for run in runs:
            assert bytes((await stalled.ended(run.task_id)).text[1]) == bytes(run.text)


class _Shared:
    """One transport that many followers share; it takes nothing."""

    way = None

    def __init__(self) -> None:
        self.size_bytes = 0

    @property
    def drained(self) -> bool:
        return self.size_bytes < 64 * 1024

    def tell(self, told: Told) -> None:
        self.size_bytes += len(told.packet(True).frames)


async def test_tasks_that_are_ready_in_one_round_share_the_room_of_their_transport(store: Store, writer: Write) -> None:
    hub, transport, keeping = Hub(store), _Shared(), _Keeping()
    for number in range(20):
        run = writer(f"task-{number}")
        run.begin()
        for _ in range(6):
            run.write(b"x" * 16_384)
        follower = await hub.subscribe(run.task_id, transport, Wish(binary=True))
        hub.begin(follower)
    hub.begin(await hub.subscribe("task-0", keeping, Wish(binary=True)))
    await hub.start()
    await until("another has it all", lambda: len(keeping.text) == 6 * 16_384)
    assert 64 * 1024 <= transport.size_bytes < 2 * 64 * 1024 + 10_000
    await hub.stop()


def test_where_to_listen_goes_back_when_a_bell_has() -> None:
    assert _not_beyond(None, ["5-1", "0-0"]) == ("5-1", "0-0")
    assert _not_beyond(["5-10", "7-0", "3-0"], ["5-9", "10-0", "3-0"]) == ("5-9", "7-0", "3-0")


async def test_a_watcher_that_takes_nothing_is_owed_names_and_not_news(
    valkey: RealRedis, prefix: str, writer: Write
) -> None:
    async with Serving(valkey.url, prefix) as serving, Viewer(serving) as viewer:
        hub, catalog = serving.live.hub, serving.live.catalog
        sink = _Keeping()
        sink.drained = False
        watcher, _ = await catalog.watch(sink)
        await viewer.ask("watch", {})
        run = writer()
        run.begin()
        for number in range(50):
            run.note("progress", {"progress": json.dumps({"current": number})})
        run.finish()

        def last() -> Any:
            return next((data["task"] for name, data in reversed(viewer.others) if name == "task"), None)

        await until("the other has the last news", lambda: last() and last()["state"] == "SUCCESS")
        assert len([name for name, _ in viewer.others if name == "task"]) < 20
        assert (sink.told, set(watcher.owed)) == ([], {run.task_id})
        sink.drained = True
        await until("it is told once", lambda: sink.told)
        assert [told.task_id for told in sink.told if told.task_id] == [run.task_id]
        catalog.leave(watcher)
        assert hub.store_state == "ok"


async def test_tasks_that_are_left_before_they_have_a_lease_leave_nothing_behind(serving: Serving) -> None:
    hub = serving.live.hub
    for number in range(100):
        follower = hub.await_events(f"gone-{number}", _Keeping())
        hub.begin(follower)
        hub.leave(follower)
    await until("nothing is kept of them", lambda: not hub._unleased)
    assert not hub._feeds
