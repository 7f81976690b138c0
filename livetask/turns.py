"""Which lines of an entry were written to stderr, as few bytes: how many lines are not, then how many are, by turns.

A count is one byte; a larger one goes on after a turn of none: ``255, 0, 45`` is three hundred. Lines are counted from
the one that holds the entry's first byte; what follows the last turn was not written to stderr, or it is not known.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MOST_BYTES = 1024
"""How many turns an entry tells of; 16 KiB of lines of 32 bytes that change each time have 512."""

Lines = tuple[int, int]
"""The first and the last of consecutive lines."""


def turned(ranges: Iterable[Lines]) -> bytes:
    """The turns that tell of these lines, as far as there is room. ``ranges``: in order and apart, from line 0."""
    turns = bytearray()
    at = 0
    for first, last in ranges:
        more = (*_count(first - at), *_count(last - first + 1))
        if len(turns) + len(more) > MOST_BYTES:
            break
        turns += bytes(more)
        at = last + 1
    return bytes(turns)


def unturned(turns: bytes, line: int) -> tuple[Lines, ...]:
    """The lines that ``turned`` told of. ``line``: the number of the entry's first line."""
    found: list[Lines] = []
    for place, count in enumerate(turns):
        if place % 2 and count:
            joins = found and found[-1][1] == line - 1
            found[-1:] = [(found[-1][0], line + count - 1)] if joins else [*found[-1:], (line, line + count - 1)]
        line += count
    return tuple(found)


def _count(count: int) -> Iterator[int]:
    while count > 255:
        yield from (255, 0)
        count -= 255
    yield count
