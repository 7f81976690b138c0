"""The lines of a flood. Pure."""

from __future__ import annotations

LINE_BYTES = 64


def flood_line(number: int) -> bytes:
    """Line ``number``, from 0: what stands at a byte of the flood follows from the byte."""
    return b"%09d %053d\n" % (number, number * 7919)
