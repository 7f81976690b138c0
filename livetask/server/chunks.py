"""A run's output from a position on, as raw chunks: for whoever looks through it, and needs neither lines nor a viewer.

It goes as far as the end that is known when each chunk is read, whether Redis or the archive has it, and then ends; who
wants what comes later asks again from where it ended. Must never know: where output lies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from livetask.position import Cursor, Gap, Position
from livetask.server.slices import Slice

Chunk = tuple[Position, bytes] | Gap
Read = Callable[[str, Cursor, int, int], Awaitable[Slice]]

_CHUNK_BYTES = 256 * 1024
_ENTRIES = 64


async def chunks(read: Read, task_id: str, cursor: Cursor) -> AsyncIterator[Chunk]:
    """(position of its first byte, bytes) of consecutive chunks, and gaps where something is missing.

    ``read``: the store's. ``cursor``: the run, and where to begin. Raises RunUnknown, PositionUnknown,
    RedisUnavailable, ArchiveUnavailable.
    """
    at = cursor.position
    while True:
        found = await read(task_id, Cursor(cursor.run, cursor.nonce, at), _CHUNK_BYTES, _ENTRIES)
        start, waiting = at, bytearray()
        for item in found.items:
            if isinstance(item, Gap):
                if waiting:
                    yield start, bytes(waiting)
                    waiting.clear()
                yield item
                start = item.end
            else:
                waiting += item.data
        if waiting:
            yield start, bytes(waiting)
        if found.next.byte >= found.end.byte or not found.items:
            return
        at = found.next
