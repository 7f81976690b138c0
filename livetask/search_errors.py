"""Errors of searching: part of the LivetaskError tree, see errors.py."""

from __future__ import annotations

from livetask.errors import ArgumentInvalid, BadRequest, Unavailable


class PatternInvalid(ArgumentInvalid):
    """The regular expression is none. ``reason``: what is wrong with it."""

    code = "bad_pattern"

    def __init__(self, reason: str) -> None:
        super().__init__("q", None, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"this is no regular expression: {self.reason}"


class PatternTooSlow(BadRequest):
    """The pattern took too long on one piece of output. ``limit_s``: the time it had."""

    code = "pattern_too_slow"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the pattern took more than {limit_s:g} s on one piece of output: make it simpler")


class SearchBusy(Unavailable):
    """As many searches as may be are under way. ``limit``: how many."""

    code = "search_busy"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.limit} searches are under way: ask again in a moment"
