"""How fast the tasks of these apps print."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator


def at_rate(numbers: Iterable[int], a_second: float) -> Iterator[int]:
    """The numbers, no more than so many of them a second; 0: as fast as they are taken."""
    begun = time.monotonic()
    for count, number in enumerate(numbers, 1):
        yield number
        ahead_s = count / a_second - (time.monotonic() - begun) if a_second else 0
        if ahead_s > 0.005:
            time.sleep(ahead_s)  # what prints them is no faster than it was asked to be
