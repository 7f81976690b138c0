"""The errors of those who may not: a branch of the tree in ``errors``.

Pure: no I/O, no clock. Must never know: how a caller is recognised, what a right is made of.
"""

from __future__ import annotations

from livetask.errors import LivetaskError


class LoginNeeded(LivetaskError):
    """The server does not know who asks. ``why``: what was wrong with what was presented, '' if nothing was."""

    code = "login_needed"
    status = 401

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        ways = (
            "send a token as 'Authorization: Bearer TOKEN' (LIVETASK_TOKEN or --token in the terminal, "
            "auth {token} in Socket.IO), or log in at /login; 'livetask token new NAME' makes a token"
        )
        return f"{self.why or 'this server wants to know who asks'}: {ways}"


class Forbidden(LivetaskError):
    """The caller may see this task, and may not do that with it. ``ability``: the one that it would need."""

    code = "forbidden"
    status = 403

    def __init__(self, ability: str) -> None:
        super().__init__(ability)
        self.ability = ability

    def __str__(self) -> str:
        return f"you may not do this: it needs the right to {self.ability}"


class TooFast(LivetaskError):
    """Somebody asks for too much in too short a time. ``kind``: of what. ``retry_after_s``: when to ask again.

    ``per_minute``: how many are allowed.
    """

    code = "too_fast"
    status = 429

    def __init__(self, kind: str, per_minute: int, retry_after_s: float) -> None:
        super().__init__(kind, per_minute, retry_after_s)
        self.kind = kind
        self.per_minute = per_minute
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        again = f"ask again in {max(1, round(self.retry_after_s + 0.5))} s"
        return f"more than {self.per_minute} {self.kind} a minute: {again} (the setting {self.kind}_per_minute)"
