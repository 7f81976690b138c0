"""What the server asks of the process it runs in: descriptors for its viewers, a garbage collector that is patient, and
memory that is kept for what comes next.

Must never know: what a viewer is.
"""

from __future__ import annotations

import gc
import logging
import resource

_SPARE = 300
"""Descriptors for what is no viewer: Redis, the broker, files, requests, those on their way in and out."""

_YOUNG, _OLDER, _OLDEST = 10_000, 20, 10
"""A connection is some forty objects that stay. With Python's own figures (700, 10, 10) the collector would go through
all connections again and again while they come: a quarter of what accepting them costs."""

log = logging.getLogger(__name__)


def room_for(viewers: int) -> None:
    """Have the system allow so many connections, as far as it does; a warning says how many it does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = viewers + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        log.warning(
            "the system allows this process %d open files, which is room for about %d of max_viewers = %d: raise it "
            "(ulimit -n, or LimitNOFILE= of the service), or lower max_viewers",
            allowed, max(0, allowed - _SPARE), viewers,
        )  # fmt: skip


def keep_free(size_bytes: int) -> None:
    """Have glibc keep twice as much of what is free, as it does once it was given back a block of this size.

    Else the memory of one read goes back to the kernel, which clears page after page of it for the next.
    """
    bytes(size_bytes)


def settled() -> None:
    """What there is now stays as long as the process: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDEST)
