"""Following a real server: every byte once, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from livetask.client import (
    CaughtUp,
    Client,
    Gap,
    Item,
    Notice,
    Output,
    RunBegan,
    RunEnded,
    ServerUnreachable,
    TaskEnded,
)
from livetask.client import line as line_module
from livetask.errors import CursorInvalid, PositionUnknown, RunUnknown, TaskUnknown
from livetask.position import Position
from tests.real.fault_proxy import FaultProxy
from tests.server.serving import Writer
from tests.system.apps.lines import text
from tests.system.rig import Dashboard, Rig, free_port

Begun = Callable[..., Writer]
PIECE_BYTES = 3000


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client(url) as client:
        yield client


async def collected(items: AsyncIterator[Item], within_s: float = 90) -> list[Item]:
    async with asyncio.timeout(within_s):
        return [item async for item in items]


def bytes_of(items: list[Item]) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, Output))


async def write_slowly(writer: Writer, data: bytes, seconds: float) -> None:
    """Write it all, piece by piece, over the time, and end the run."""
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    for piece in pieces:
        await asyncio.to_thread(writer.write, piece)
        await asyncio.sleep(seconds / len(pieces))
    await asyncio.to_thread(writer.finish)


async def test_a_finished_run_is_given_whole_and_verified(client: Client, begun: Begun) -> None:
    writer = begun().write(b"one\n").write(b"\xff\x00\n").write("zażółć".encode()).finish()
    items = await collected(client.output(writer.task_id))
    assert bytes_of(items) == writer.all
    assert [type(item) for item in items if isinstance(item, RunBegan | RunEnded | TaskEnded)] == [
        RunBegan,
        RunEnded,
        TaskEnded,
    ]
    ended = next(item for item in items if isinstance(item, RunEnded))
    assert ended.verified
    assert items[-1] == TaskEnded("SUCCESS")


async def test_live_output_comes_while_it_is_written(client: Client, begun: Begun) -> None:
    writer = begun().write(b"early\n")
    async with asyncio.timeout(90), aclosing(client.output(writer.task_id)) as items:
        seen = b""
        async for item in items:
            seen += item.data if isinstance(item, Output) else b""
            if seen == b"early\n" and isinstance(item, CaughtUp):
                await asyncio.to_thread(writer.write, b"late\n")
            elif seen == b"early\nlate\n":
                break
    assert seen == b"early\nlate\n"


async def test_following_goes_on_from_the_cursor_of_any_item(client: Client, begun: Begun) -> None:
    writer = begun().write(text(500)).write(b"unfinished").finish()
    async with aclosing(client.output(writer.task_id)) as items:
        first = await anext(item async for item in items if isinstance(item, Output))
    rest = await collected(client.output(writer.task_id, first.cursor))
    assert first.data + bytes_of(rest) == writer.all
    assert bytes_of(await collected(client.output(writer.task_id, str(first.cursor)))) == bytes_of(rest)


async def test_the_last_lines_and_only_what_is_new_can_be_asked_for(client: Client, begun: Begun) -> None:
    writer = begun().write(b"1\n2\n3\n4\n")
    async with aclosing(client.output(writer.task_id, "tail:2")) as items:
        output = await anext(item async for item in items if isinstance(item, Output))
    assert output.data == b"3\n4\n"
    new = asyncio.ensure_future(collected(client.output(writer.task_id, "now")))
    async with aclosing(client.output(writer.task_id, "now")) as items:
        await anext(item async for item in items if isinstance(item, CaughtUp))
    await asyncio.to_thread(lambda: writer.write(b"5\n").finish())
    assert bytes_of(await new) in (b"5\n", b"")  # "" if it came to the server after the end


async def test_fifty_cuts_at_random_lose_nothing_and_give_nothing_twice(server: Dashboard, begun: Begun) -> None:
    chance = random.Random(7)
    data, writer = text(12_000), begun()
    places = iter(range(0, len(data), PIECE_BYTES))
    with FaultProxy(server.port) as proxy:
        async with Client(f"http://127.0.0.1:{proxy.port}") as client:
            items: list[Item] = []

            async def follow() -> None:
                async for item in client.output(writer.task_id):
                    items.append(item)

            def notices() -> list[str]:
                return [item.what for item in items if isinstance(item, Notice)]

            following = asyncio.ensure_future(asyncio.wait_for(follow(), 180))
            tries = 0
            while proxy.cuts < 50 or len(notices()) <= 20:
                for at in itertools.islice(places, 4):
                    await asyncio.to_thread(writer.write, data[at : at + PIECE_BYTES])
                # at any moment of a connection's life, its first messages included; a slow one has longer in the end
                await asyncio.sleep(chance.uniform(0.0, 0.25 + 0.1 * max(0, tries - 50)))
                await asyncio.to_thread(proxy.cut)
                tries += 1
            for at in places:
                await asyncio.to_thread(writer.write, data[at : at + PIECE_BYTES])
            await asyncio.to_thread(writer.finish)
            await following
    assert bytes_of(items) == data
    assert next(item for item in items if isinstance(item, RunEnded)).verified
    assert notices() == ["away", "back"] * (len(notices()) // 2)


async def test_a_server_killed_and_started_again_loses_nothing(
    rig: Rig, own_server: Dashboard, begun: Begun, store: Any
) -> None:
    data, writer = text(9000), begun()
    async with Client(own_server.url) as client:
        following = asyncio.ensure_future(collected(client.output(writer.task_id), 120))
        writing = asyncio.ensure_future(write_slowly(writer, data, 6.0))
        dashboard = own_server
        for kindly in (False, True, False):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(dashboard.running.stop if kindly else dashboard.running.kill)
            dashboard = await asyncio.to_thread(rig.serve, store.url, own_server.port)
        await writing
        items = await following
    dashboard.running.stop()
    assert bytes_of(items) == data
    assert next(item for item in items if isinstance(item, RunEnded)).verified


async def test_a_slow_program_is_sent_no_more_than_a_window_ahead(server: Dashboard, begun: Begun) -> None:
    data = text(60_000)
    writer = begun()
    for at in range(0, len(data), 1 << 16):
        writer.write(data[at : at + (1 << 16)])
    writer.finish()
    with FaultProxy(server.port) as proxy:
        async with Client(f"http://127.0.0.1:{proxy.port}") as client, aclosing(client.output(writer.task_id)) as items:
            got = (await anext(item async for item in items if isinstance(item, Output))).data
            await asyncio.sleep(1.0)  # the program does something else, for long enough to be sent everything
            assert len(data) > 4_000_000
            # a window, and before it was told that there is one, what the connection took
            assert proxy.forwarded_bytes < 2_000_000
            got += bytes_of(await collected(items))
    assert got == data


async def test_more_than_a_line_may_hold_is_asked_for_again(
    server: Dashboard, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "QUEUE_BYTES", 100_000)
    data = text(10_000)
    writer = begun()
    for at in range(0, len(data), 1 << 14):
        writer.write(data[at : at + (1 << 14)])
    writer.finish()
    async with Client(server.url) as client:
        got = b""
        async with asyncio.timeout(90):
            async for item in client.output(writer.task_id):
                got += item.data if isinstance(item, Output) else b""
                await asyncio.sleep(0.01)  # slower than it comes
    assert got == data


async def test_gaps_are_exact(client: Client, begun: Begun) -> None:
    writer = begun().write(b"before\n").drop(Position(12, 1007)).write(b"after\n").finish()
    items = await collected(client.output(writer.task_id))
    gap = next(item for item in items if isinstance(item, Gap))
    assert (gap.start, gap.size_bytes, gap.lines, gap.reason) == (Position(2, 7), 1000, 10, "dropped")
    assert bytes_of(items) == b"before\nafter\n"


async def test_what_is_no_longer_kept_is_a_gap_at_the_beginning(client: Client, begun: Begun) -> None:
    writer = begun(cap_bytes=64 * 1024)
    for _ in range(64):
        writer.write(b"x" * 4095 + b"\n")
    writer.finish()
    items = await collected(client.output(writer.task_id))
    gap = next(item for item in items if isinstance(item, Gap))
    assert (gap.start, gap.reason) == (Position(1, 0), "trimmed")
    assert gap.size_bytes + len(bytes_of(items)) == len(writer.all)


async def test_retries_are_given_run_by_run(client: Client, begun: Begun) -> None:
    one = begun().write(b"first try\n").finish("RETRY")
    following = asyncio.ensure_future(collected(client.output(one.task_id)))
    two = begun(one.task_id, "retry").write(b"second try\n").finish()
    items = await following
    assert bytes_of(items) == one.all + two.all
    assert [item.cursor.run for item in items if isinstance(item, RunBegan)] == [1, 2]
    assert [(item.how, item.verified) for item in items if isinstance(item, RunEnded)] == [
        ("RETRY", True),
        ("SUCCESS", True),
    ]
    only = await collected(client.output(one.task_id, run=1))
    assert bytes_of(only) == one.all
    assert isinstance(only[-1], RunEnded)


async def test_what_is_not_there_is_refused(client: Client, begun: Begun) -> None:
    writer = begun().write(b"x\n").finish()
    with pytest.raises(TaskUnknown):
        await collected(client.output("there-is-no-such-task"))
    with pytest.raises(RunUnknown):
        await collected(client.output(writer.task_id, run=9))
    with pytest.raises(PositionUnknown):
        await collected(client.output(writer.task_id, f"1.{writer.nonce}.99-9999"))
    with pytest.raises(CursorInvalid):
        await collected(client.output(writer.task_id, "somewhere"))


async def test_a_task_that_is_not_known_yet_can_be_waited_for(client: Client, begun: Begun) -> None:
    task_id = f"later-{random.getrandbits(40)}"
    following = asyncio.ensure_future(collected(client.output(task_id, wait=True)))
    with pytest.raises(TaskUnknown):
        await client.task(task_id)
    writer = begun(task_id).write(b"here I am\n").finish()
    assert bytes_of(await following) == writer.all


async def test_it_gives_up_only_when_told() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(ServerUnreachable):
            await collected(client.output("any", timeout_s=0.5), 20)
        async with aclosing(client.output("any")) as patient:
            first = await anext(patient)
            assert isinstance(first, Notice)
            assert first.what == "away"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await anext(patient)


async def test_a_silent_network_is_noticed_and_left(
    server: Dashboard, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livetask.client.pace.SILENT_S", 1.5)
    writer = begun().write(b"before\n")
    with FaultProxy(server.port) as proxy:
        async with Client(f"http://127.0.0.1:{proxy.port}") as client, asyncio.timeout(90):
            got, silent = b"", False
            async for item in client.output(writer.task_id):
                got += item.data if isinstance(item, Output) else b""
                if isinstance(item, CaughtUp) and not silent:
                    silent = proxy.black_hole = True
                    await asyncio.to_thread(lambda: writer.write(b"meanwhile\n").finish())
                if isinstance(item, Notice) and item.what == "away":
                    assert "silent" in item.text
                    proxy.black_hole = False
    assert got == writer.all


async def test_many_tasks_are_followed_at_once_each_by_itself(client: Client, begun: Begun) -> None:
    writers = [begun().write(f"task {number}\n".encode()) for number in range(20)]
    following = [asyncio.ensure_future(collected(client.output(writer.task_id))) for writer in writers]
    for writer in writers:
        await asyncio.to_thread(writer.write, b"end\n")
        await asyncio.to_thread(writer.finish)
    for writer, items in zip(writers, await asyncio.gather(*following), strict=True):
        assert bytes_of(items) == writer.all


async def test_a_store_that_goes_away_is_told_and_nothing_is_lost(rig: Rig) -> None:
    store = await asyncio.to_thread(rig.redis)
    dashboard = await asyncio.to_thread(rig.serve, store.url)
    writer = await asyncio.to_thread(lambda: Writer(store.url, "store-away").begin().write(b"before\n"))
    got, notices = b"", []
    async with Client(dashboard.url) as client, asyncio.timeout(90):
        async for item in client.output(writer.task_id):
            got += item.data if isinstance(item, Output) else b""
            if isinstance(item, Notice):
                notices.append(item.what)
            if isinstance(item, CaughtUp) and got == b"before\n" and not notices:
                store.kill()
            if isinstance(item, Notice) and notices == ["store_unreachable"]:
                await asyncio.to_thread(store.start)
            elif isinstance(item, Notice) and notices == ["store_unreachable", "store_ok"]:
                await asyncio.to_thread(lambda: writer.write(b"after\n").finish())
    assert got == writer.all == b"before\nafter\n"


def test_the_client_loads_neither_half_of_livetask() -> None:
    code = "import sys, livetask.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=90)
    assert not {"celery", "click", "jinja2", "livetask.server", "livetask.worker"} & set(done.stdout.split())
