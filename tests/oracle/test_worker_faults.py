"""Workers and their children that are killed, frozen, limited and revoked: what was printed is shown to the last write,
and the end says what happened."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.house import House
from tests.oracle.record import Given
from tests.oracle.verdict import judging
from tests.oracle.viewers import ClientViewer, PollViewer, SocketViewer, SseViewer
from tests.system.disks import small_disk

TWO = (SocketViewer, SseViewer)
FOUR = (SocketViewer, SseViewer, PollViewer, ClientViewer)
KILLS = int(os.environ.get("LIVETASK_TEST_KILLS", "6"))
"""So many tasks are killed one after the other; a long run has 100."""


def first_run(house: House, task_id: str) -> dict[str, Any]:
    return dict(house.task(task_id)["runs"][0])


@pytest.mark.timeout(400 + 5 * KILLS)
async def test_children_that_are_killed_while_they_print_are_shown_to_the_last_write(house: House) -> None:
    house.start_worker(concurrency=2)
    house.start_server()
    following = house.send(1500, 3000.0, 0, "go_on:3000")
    for _ in range(KILLS):
        task_id, following = following, house.send(1500, 3000.0, 0, "go_on:3000")  # it begins meanwhile
        async with house.watched(task_id, TWO) as viewers:
            await house.until_printed(task_id, 1600)
            os.kill(first_run(house, task_id)["pid"], signal.SIGKILL)
            await house.all_exact(viewers, task_id)
        run = first_run(house, task_id)
        assert (run["how"], run["detail"]["signal"]) == ("KILLED", "SIGKILL")


@pytest.mark.parametrize(
    ("end", "how", "detail"),
    [
        ("die:SIGKILL", "KILLED", {"signal": "SIGKILL"}),
        ("die:SIGSEGV", "KILLED", {"signal": "SIGSEGV"}),
        ("die:SIGABRT", "KILLED", {"signal": "SIGABRT"}),
        ("exit:3", "KILLED", {"exit_code": 3}),
        ("raise:so it is", "FAILURE", {"exception": "ValueError: so it is"}),
        ("ignore", "IGNORED", {}),
        ("reject", "REJECTED", {}),
        ("fork", "SUCCESS", {}),
    ],
)
async def test_a_run_is_shown_exactly_and_ends_as_what_it_was(
    shared: House, end: str, how: str, detail: dict[str, Any]
) -> None:
    task_id = shared.send(300, 1000.0, 0, end)
    async with shared.watched(task_id, FOUR) as viewers:
        await shared.all_exact(viewers, task_id)
    run = first_run(shared, task_id)
    assert run["how"] == how
    assert detail.items() <= (run["detail"] or {}).items()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGQUIT", "SIGHUP", "SIGABRT"])
async def test_a_run_that_is_revoked_by_any_signal_is_shown_to_the_last_write(shared: House, name: str) -> None:
    task_id = shared.send(300, 1000.0, 0, "go_on:1000")
    async with shared.watched(task_id, FOUR) as viewers:
        await shared.until_printed(task_id, 500)
        shared.revoke(task_id, name)
        await shared.all_exact(viewers, task_id)
    run = first_run(shared, task_id)
    assert (run["how"], run["detail"]["signal"]) == ("REVOKED", name)


async def test_a_signal_that_the_child_ignores_ends_nothing(shared: House) -> None:
    task_id = shared.send(300, 1000.0, 0, "go_on:1000")
    async with shared.watched(task_id, TWO) as viewers:
        await shared.in_thread(lambda: shared.revoke(task_id, "SIGINT", reply=True, timeout=90, limit=1))
        await shared.until_printed(task_id, 1500)
        assert shared.task(task_id)["state"] == "RUNNING"
        os.kill(first_run(shared, task_id)["pid"], signal.SIGKILL)
        await shared.all_exact(viewers, task_id)
    assert first_run(shared, task_id)["how"] == "REVOKED"


@pytest.mark.parametrize(("soft", "how"), [(True, "FAILURE"), (False, "KILLED")])
async def test_a_run_over_its_limit_is_shown_to_the_last_write(shared: House, soft: bool, how: str) -> None:
    task_id = shared.send(
        300, 1000.0, 0, "go_on:1000", soft_time_limit=1 if soft else None, time_limit=60 if soft else 1
    )
    async with shared.watched(task_id, FOUR) as viewers:
        await shared.all_exact(viewers, task_id)
    run = first_run(shared, task_id)
    assert run["how"] == how
    assert "SoftTimeLimit" in run["detail"]["exception"] if soft else run["detail"]["limit_s"] == 1


async def test_a_task_that_is_replaced_shows_both_runs_to_who_watches_the_first(shared: House) -> None:
    task_id = shared.send(300, 1000.0, 0, "replace", hold=True)
    async with shared.watched(task_id, FOUR) as viewers:
        await shared.all_see(viewers)  # SSE begins at whichever run is the last one then
        shared.tell(task_id)
        await shared.all_exact(viewers, task_id)
        assert [end.how for end in viewers[0].record.ends] == ["IGNORED", "SUCCESS"]
    runs = shared.task(task_id)["runs"]
    assert [run["how"] for run in runs] == ["IGNORED", "SUCCESS"]
    assert runs[0]["detail"]["reason"] == "replaced"


async def test_a_worker_whose_main_process_is_killed_is_shown_to_the_last_write(lived_in: House) -> None:
    task_id = lived_in.send(300, 1000.0, 0, "go_on:1000")
    async with lived_in.watched(task_id, FOUR) as viewers:
        await lived_in.until_printed(task_id, 500)
        lived_in.worker.kill()
        await lived_in.all_exact(viewers, task_id)
    run = first_run(lived_in, task_id)
    assert (run["how"], run["detail"]["reason"]) == ("KILLED", "the worker died")


async def test_a_worker_whose_main_process_is_frozen_for_longer_than_its_lease_is_not_given_up(lived_in: House) -> None:
    task_id = lived_in.send(6000, 1000.0)
    pid = lived_in.worker.process.pid
    async with lived_in.watched(task_id, FOUR) as viewers:
        await lived_in.until_printed(task_id, 500)
        os.kill(pid, signal.SIGSTOP)
        try:
            await lived_in.until_printed(task_id, 6000)
        finally:
            os.kill(pid, signal.SIGCONT)
        await lived_in.all_exact(viewers, task_id)
        assert {end.how for viewer in viewers for end in viewer.record.ends} == {"SUCCESS"}


async def test_a_machine_that_is_frozen_is_lost_and_taken_back_when_it_lives(lived_in: House) -> None:
    task_id = lived_in.send(500, 1000.0, 0, "until_told:300")
    async with lived_in.watched(task_id, (SocketViewer, ClientViewer)) as viewers:
        await lived_in.until_printed(task_id, 500)
        os.killpg(lived_in.worker.process.pid, signal.SIGSTOP)
        try:
            await lived_in.until("they are told that it is lost", lambda: all(viewer.record.ends for viewer in viewers))
            assert lived_in.task(task_id)["state"] == "LOST"
        finally:
            os.killpg(lived_in.worker.process.pid, signal.SIGCONT)
            lived_in.tell(task_id)
        await lived_in.all_exact(viewers, task_id)
        assert [end.how for end in viewers[0].record.ends] == ["LOST", "SUCCESS"]
    assert lived_in.task(task_id)["state"] == "SUCCESS"


async def test_a_full_disk_costs_output_and_each_byte_of_it_is_accounted_for(house: House, tmp_path: Path) -> None:
    """The store is away, so that nothing leaves the spool, until the disk is full; then it comes back.

    The oldest output makes room for the newest, and is an exact gap, although there is no room to write that down. What
    could not be written at all is said where it was to stand, or at the end.
    """
    with small_disk(tmp_path / "small", 24) as place:
        house.env |= {"LIVETASK_SPOOL_DIR": str(place / "spool"), "LIVETASK_RUN_CAP_BYTES": str(64 << 20)}
        house.start_worker()
        house.start_server()
        task_id = house.send(10_000, 4000.0, 4000, hold=True)  # 40 MB
        async with house.watched(task_id, (SocketViewer, PollViewer, ClientViewer)) as viewers:
            await house.all_see(viewers)
            house.ship_proxy.refusing = True
            house.ship_proxy.cut()
            house.tell(task_id)
            await house.until_printed(task_id, 10_000)
            house.ship_proxy.refusing = False
            for viewer in viewers:
                await viewer.ended(60)
        run = first_run(house, task_id)
        house.rig.end()  # before its disk goes
    [journal] = house.journals(task_id).values()
    for viewer in viewers:
        assert [hole.reason for hole in viewer.record.holes] == ["dropped"], viewer.name
        assert viewer.record.backs == []
        data = b"".join(item.data for item in viewer.record.items if isinstance(item, Given))
        notes = re.findall(rb"\n\[livetask: (\d+) bytes could not be written here\]\n", data)
        in_all = re.match(r"(\d+) bytes of output could not be written", (run["detail"] or {}).get("reason", "0 bytes"))
        missing = int(in_all[1]) if in_all else 0
        with judging():
            assert sum(map(int, notes)) <= missing
        said = sum(len(b"\n[livetask:  bytes could not be written here]\n") + len(note) for note in notes)
        end = viewer.record.ends[-1].cursor.position.byte
        with judging():
            assert end - said + missing == journal.size_of(10_000), (viewer.name, end, notes, run["detail"])


async def test_one_task_that_runs_several_times_at_once_shows_each_run_on_its_own(house: House) -> None:
    """A task that is longer than the broker's visibility timeout is delivered again while it runs."""
    house.env["SYSTEM_VISIBILITY_S"] = "1"
    house.start_worker()
    house.start_worker()
    house.start_server()
    task_id = house.send(1000, 1000.0, 0, "until_told:300")
    await house.until("several runs at once", lambda: house.task(task_id).get("open", 0) >= 2)
    async with house.watched(task_id, (SocketViewer, PollViewer, ClientViewer)) as viewers:
        await house.all_see(viewers)
        house.tell(task_id)
        await house.all_exact(viewers, task_id, every_run=False)
    runs = house.task(task_id)["runs"]
    assert len(runs) >= 2
    assert {run["why"] for run in runs[1:]} == {"redelivered"}


@pytest.mark.parametrize("pool", ["solo", "threads", "gevent", "eventlet"])
async def test_every_ending_in_every_pool_is_shown_exactly(house: House, pool: str) -> None:
    house.start_worker(pool, 4)
    house.start_server()
    ends = {"ignore": "IGNORED", "reject": "REJECTED", "raise:x": "FAILURE", "replace": "IGNORED", "retry:1": "RETRY"}
    if pool != "solo":
        ends["exit:3"] = "KILLED"  # in the solo pool it ends the worker
    tasks = {house.send(200, 1000.0, 0, end): how for end, how in ends.items()}

    async def checked(task_id: str, how: str) -> None:
        async with house.watched(task_id, TWO) as viewers:
            await house.all_exact(viewers, task_id, every_run=False)
        assert first_run(house, task_id)["how"] == how

    await asyncio.gather(*(checked(task_id, how) for task_id, how in tasks.items()))
