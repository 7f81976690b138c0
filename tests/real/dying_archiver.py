"""An archiver that dies by SIGKILL after a number of bytes, again and again, until all is archived.

``python -m tests.real.dying_archiver URL PREFIX DIRECTORY TASK SEED``: each time a child is forked that moves the task
and is killed in the middle of a write, or between two. Prints how many died.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import redis

from livetask.keys import Keys
from livetask.server.archive import directory
from livetask.server.archive.moving import Mover
from livetask.server.archive.shelving import Shelving
from livetask.server.lane import Lane
from tests.server.archiving import Archiving

_MOST = 200


def _dies_after(left: int) -> None:
    """Have this process killed when it has written that much, whatever it writes then."""
    write = os.write

    def dying(fd: int, data: bytes | memoryview) -> int:
        nonlocal left
        if len(data) >= left:
            write(fd, bytes(data)[:left])
            os.kill(os.getpid(), signal.SIGKILL)
        left -= len(data)
        return write(fd, data)

    directory.os.write = dying  # type: ignore[assignment]


async def _move(url: str, prefix: str, root: Path, task_id: str) -> None:
    async with Archiving(url, prefix, root) as archiving:
        lane = Lane("dying", 1, 60.0)
        shelving = Shelving(archiving.store.scripted, prefix, "directory")
        mover = Mover(archiving.store, archiving.archive, shelving, lane, part_bytes=20_000)
        await mover.move(task_id, step_bytes=1, ended_before_ms=1 << 50)
        lane.close()


def main() -> None:
    url, prefix, root, task_id, seed = sys.argv[1:]
    dice, died = random.Random(int(seed)), 0
    for _ in range(_MOST):
        child = os.fork()
        if child == 0:
            _dies_after(dice.randrange(1, 60_000))
            asyncio.run(_move(url, prefix, Path(root), task_id))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        with redis.Redis.from_url(url) as client:
            client.delete(Keys(prefix).archiving(task_id))  # as if the lease of the dead were over
        if status == 0:
            break
        died += 1
    print(died)


if __name__ == "__main__":
    main()
