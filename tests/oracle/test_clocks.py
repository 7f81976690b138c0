"""Clocks that jump, of the worker, the server and Redis: nobody is told a line less, or twice, or in another order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.clocks import Clocks
from tests.oracle.house import House, house_in
from tests.oracle.viewers import ClientViewer, SocketViewer
from tests.system.rig import rig_in

LINES, A_SECOND = 4000, 1000.0
HOUR_MS = 3_600_000

JUMPS = (
    ("worker", HOUR_MS),
    ("server", -HOUR_MS),
    ("redis", HOUR_MS),
    ("worker", -HOUR_MS),
    ("redis", -HOUR_MS),
    ("server", HOUR_MS),
)


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    return Clocks(tmp_path / "clocks")


@pytest.fixture
def house(tmp_path: Path, clocks: Clocks) -> Iterator[House]:
    """A worker and a server whose clocks can be set; leases of 3 s."""
    with rig_in(tmp_path) as rig, house_in(rig, LIVETASK_LEASE_S="3", **clocks.env) as house:
        house.start_worker()
        house.start_server()
        yield house


async def test_whatever_clocks_say_everything_is_told_once_and_in_order(house: House, clocks: Clocks) -> None:
    task_id = house.send(LINES, A_SECOND)
    async with house.watched(task_id) as viewers:
        for number, (whose, off_ms) in enumerate(JUMPS, 1):
            await house.until_printed(task_id, number * LINES // (len(JUMPS) + 1))
            clocks.set(whose, off_ms, house.store)
        await house.all_exact(viewers, task_id)
    assert house.task(task_id)["state"] == "SUCCESS"


async def test_retries_keep_their_order_when_the_clock_is_set_back_between_them(house: House, clocks: Clocks) -> None:
    """And Redis is away meanwhile, so that it hears of both runs at once."""
    house.ship_proxy.refusing = True
    house.ship_proxy.cut()
    task_id = house.send(300, 300.0, 0, "retry:1")
    await house.until_printed(task_id, 200)
    clocks.set("worker", -HOUR_MS, house.store)
    await house.until(
        "both have printed", lambda: [run.is_complete for run in house.journals(task_id).values()] == [True] * 2
    )
    house.ship_proxy.refusing = False
    async with house.watched(task_id, (SocketViewer, ClientViewer)) as viewers:
        await house.all_exact(viewers, task_id)
    told = [(run["why"], run["how"]) for run in house.task(task_id)["runs"]]
    assert told == [("first", "RETRY"), ("retry", "SUCCESS")]
