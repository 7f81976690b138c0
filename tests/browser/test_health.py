"""A viewer sees how it stands: the store that is away, a run that is lost, its own lag, and that all is well again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
import redis
from playwright.async_api import Browser

from tests.browser.watching import Watched, line_of, numbered
from tests.real.fault_proxy import FaultProxy
from tests.real.writer import RunWriter
from tests.system.rig import Redis, Rig


@dataclass
class Ways:
    """The ways that can be broken: from the page to the server, and from there to the store."""

    to_server: FaultProxy
    to_store: FaultProxy


@pytest.fixture(scope="module")
def ways(rig: Rig, store: Redis) -> Iterator[Ways]:
    with FaultProxy(store.port) as to_store:
        env = {"LIVETASK_HEARTBEAT_MS": "300", "LIVETASK_LEASE_S": "2"}
        server = rig.serve(f"redis://127.0.0.1:{to_store.port}/0", env=env)
        with FaultProxy(server.port) as to_server:
            yield Ways(to_server, to_store)


@pytest_asyncio.fixture(loop_scope="session")
async def watched(browser: Browser, ways: Ways) -> AsyncIterator[Watched]:
    found = await Watched.open(browser, f"http://127.0.0.1:{ways.to_server.port}")
    yield found
    await found.context.close()


def begun(store: Redis, task_id: str, **terms: int) -> RunWriter:
    """A run with ten lines."""
    run = RunWriter(redis.Redis.from_url(store.url), task_id, **terms)  # type: ignore[arg-type]
    run.begin()
    run.write(numbered(1, 10))
    return run


async def test_a_store_that_is_away_is_said_and_that_it_is_back(store: Redis, ways: Ways, watched: Watched) -> None:
    run = begun(store, "away-1", lease_ms=120_000)
    await watched.task("away-1")
    await watched.wait_for_foot("live")
    watched.expect("503")  # what the page asks for meanwhile
    ways.to_store.refusing = True
    ways.to_store.cut()
    await watched.wait_for_foot("store unreachable")
    run.write(numbered(11, 20))
    ways.to_store.refusing = False
    await watched.wait_for_foot("live")
    await watched.wait_for_line(20, line_of(20))
    watched.assert_clean()


async def test_a_run_that_is_lost_is_said_with_its_reason_and_that_it_lives(store: Redis, watched: Watched) -> None:
    run = begun(store, "lost-1", lease_ms=1)
    await watched.task("lost-1")
    await watched.wait_for_foot("ended")
    rows = await watched.wait_for_rows("its end", lambda rows: any(row["kind"] == "end" for row in rows))
    assert rows[-1]["text"].startswith("Lost · its worker has not been heard of")
    run._lease_ms = 120_000
    assert run.renew()[0] == "OK"
    await watched.wait_for_foot("live")
    run.write(numbered(11, 20))
    await watched.wait_for_line(20, line_of(20))
    run.finish()
    await watched.wait_for_foot("ended")
    watched.assert_clean()


async def test_a_viewer_that_lags_is_told_by_how_much_and_that_it_has_caught_up(
    store: Redis, ways: Ways, watched: Watched
) -> None:
    run = begun(store, "slow-1", lease_ms=120_000)
    await watched.task("slow-1")
    await watched.page.evaluate("document.querySelector('livetask-log').setAttribute('mode', 'all')")
    await watched.wait_for_foot("live")
    ways.to_server.delay_s = 0.4  # for each piece, so that little comes in a second
    try:
        for part in range(20):
            await asyncio.to_thread(run.write, numbered(11 + 5000 * part, 10 + 5000 * (part + 1)))
        text = await watched.wait_for_foot("live, ")
        assert text.endswith("behind")
    finally:
        ways.to_server.delay_s = 0.0
    await watched.wait_for_line(100_010, line_of(100_010))
    run.finish()
    await watched.wait_for_foot("ended")
    journal = await watched.journal()
    assert (journal["verified"], journal["gaps"]) == (True, [])
    watched.assert_clean()
