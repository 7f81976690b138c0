"""The verdict on bytes: what somebody was given is not what was printed. It is final: `make test` never tries again.

Whatever else fails may be the machine's fault, which stood still or was late, and is tried again (`tests/conftest.py`).
What was given wrong once is wrong, so who judges bytes says so by this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class NotExact(AssertionError):
    """Something was lost, doubled, changed or made up on the way from who printed it to who was given it."""


@contextmanager
def judging() -> Iterator[None]:
    """What is asserted in this block is said of bytes: an assertion that fails here is raised as NotExact.

    What is waited for stands outside, since it may come too late.
    """
    try:
        yield
    except AssertionError as wrong:
        raise NotExact(str(wrong)) from wrong
