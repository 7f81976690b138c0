"""Wishes that tasks stop, kept in Redis: workers obey them that did not run yet when Celery told all workers.

Must never know: Celery, who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from livetask.keys import BUCKETS, Keys, bucket_of
from livetask.server.store import Store

_KEPT = 512
"""How many wishes each bucket keeps."""

Before = Literal["waited", "runs", "ended", "unknown"]
"""What a task was when the wish came."""

How = Literal["cancel", "terminate"]


class Wishes:
    """Notes wishes. The rest are settings of the same names."""

    def __init__(self, store: Store, *, prefix: str, keep_s: int, recent_cap: int) -> None:
        self._store = store
        self._keys = Keys(prefix)
        self._keep_ms = keep_s * 1000
        self._recent_cap = max(1, recent_cap // BUCKETS)

    async def stop(self, task_ids: Sequence[str], how: How, by: str) -> dict[str, Before]:
        """Note that these tasks shall stop; what each one was. One that waited is REVOKED now, by ``by``.

        Raises RedisUnavailable.
        """
        keys = self._keys
        calls = [
            (
                "stop",
                (keys.task(task_id), keys.stops(bucket), keys.recent(bucket), keys.bell(bucket)),
                (task_id, how, by, self._keep_ms, self._recent_cap, _KEPT),
            )
            for task_id, bucket in ((task_id, bucket_of(task_id)) for task_id in task_ids)
        ]
        answers = await self._store.scripted(calls)
        return {task_id: _before(answer) for task_id, (answer, *_) in zip(task_ids, answers, strict=True)}

    async def tell(self, task_id: str, how: How, note: str) -> None:
        """Note of a running task how it is being stopped, and what stands in the way ('' for nothing)."""
        await self._store.note(task_id, "stopping", {"stopping_how": how, "stopping_note": note})


def _before(answer: bytes) -> Before:
    words: dict[bytes, Before] = {b"WAITED": "waited", b"RUNS": "runs", b"ENDED": "ended"}
    return words.get(bytes(answer), "unknown")
