"""Servers that are killed, stopped, frozen and replaced: a viewer notices a pause, and nothing else."""

from __future__ import annotations

import os
import signal

from tests.oracle.house import House
from tests.system.rig import free_port

LINES, A_SECOND = 4000, 1300.0


async def test_a_server_that_is_killed_and_started_again_is_not_noticed_but_for_the_pause(lived_in: House) -> None:
    task_id = lived_in.send(LINES, A_SECOND)
    async with lived_in.watched(task_id) as viewers:
        for part in (1, 2):
            await lived_in.until_printed(task_id, LINES * part // 4)
            assert lived_in.dashboard is not None
            lived_in.dashboard.running.kill()
            await lived_in.in_thread(lived_in.start_server)
        await lived_in.all_exact(viewers, task_id)


async def test_a_server_that_is_frozen_for_a_while_goes_on_where_it_was(lived_in: House) -> None:
    task_id = lived_in.send(LINES, A_SECOND)
    async with lived_in.watched(task_id) as viewers:
        await lived_in.until_printed(task_id, LINES // 4)
        assert lived_in.dashboard is not None
        pid = lived_in.dashboard.running.process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await lived_in.until_printed(task_id, LINES)
        finally:
            os.kill(pid, signal.SIGCONT)
        await lived_in.all_exact(viewers, task_id)


async def test_two_servers_behind_a_dumb_balancer_are_one_also_while_each_is_replaced(lived_in: House) -> None:
    """The balancer sends a connection to either of them, whether it is there or not."""
    first = lived_in.dashboard
    assert first is not None
    second = await lived_in.in_thread(lived_in.serve, free_port())
    lived_in.server_proxy.others = (second.port,)
    task_id = lived_in.send(LINES, A_SECOND)
    async with lived_in.watched(task_id) as viewers:
        for number, (server, killed) in enumerate([(first, False), (second, True), (second, False), (first, True)]):
            await lived_in.until_printed(task_id, LINES * (number + 1) // 6)
            if killed:
                server.running.kill()
            else:
                server.running.stop()
            again = await lived_in.in_thread(lived_in.serve, server.port)
            server.running = again.running
        await lived_in.all_exact(viewers, task_id)
