"""Ends the runs whose worker has died: those that are not renewed before their lease is over become LOST.

Any number of servers may do it at once, since the script looks at the lease again. A run that turns out to live takes
its end back.
"""

from __future__ import annotations

import asyncio
import logging

from livetask.errors import RedisUnavailable
from livetask.server.backoff import Backoff
from livetask.server.store import Store

log = logging.getLogger(__name__)

REASON = "its worker has not been heard of: the process or the machine is gone, or cut off from Redis"


async def sweep_leases(store: Store, every_s: float = 2.0) -> None:
    """Look for expired leases for ever. With leases of 20 s, a death shows within 25 s."""
    backoff = Backoff(every_s / 4, every_s * 2)
    while True:
        try:
            for task_id, run, nonce in await store.expired():
                if await store.finish_lost(task_id, run, nonce, REASON):
                    log.warning("task %s: run %d is lost, its worker has not been heard of", task_id, run)
        except RedisUnavailable:
            await backoff.wait()  # the hub says that Redis is away
        else:
            backoff.reset()
            await asyncio.sleep(every_s)
