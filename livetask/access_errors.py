"""The errors of those who may not: a branch of the tree in ``errors``.

Pure: no I/O, no clock. Must never know: how a caller is recognised, what a right is made of.
"""

from __future__ import annotations

from livetask.errors import LivetaskError, NotFound, shown


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


class CredentialUnknown(NotFound):
    """There is no such token or user. ``kind``: which of them. ``name``: what it was asked for by."""

    code = "credential_unknown"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name

    def __str__(self) -> str:
        return f"there is no {self.kind} {shown(self.name)}: 'livetask {self.kind} ls' lists them"


class UserExists(LivetaskError):
    """A user of this name is there already."""

    code = "user_exists"
    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is a user {shown(self.name)} already: 'livetask user passwd' gives another password"


class LoginFailed(LivetaskError):
    """The name or the password is wrong; which of them is not said."""

    code = "login_failed"
    status = 401

    def __str__(self) -> str:
        return "the name or the password is wrong"


class ProviderRefused(LivetaskError):
    """A login by a provider of OpenID Connect came to nothing. ``why``: what was seen, without secrets."""

    code = "provider_refused"
    status = 401

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the login by the provider did not work: {self.why}"


class LoginsTooMany(LivetaskError):
    """Too many logins have failed of late. ``retry_s``: when to try again, in seconds."""

    code = "logins_too_many"
    status = 429

    def __init__(self, retry_s: int) -> None:
        super().__init__(retry_s)
        self.retry_s = retry_s

    def __str__(self) -> str:
        return f"too many logins have failed of late: try again in {max(1, self.retry_s // 60)} minutes"


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


class PasswordsDiffer(LivetaskError):
    """The two passwords that were typed are not the same."""

    code = "passwords_differ"
    status = 400

    def __str__(self) -> str:
        return "the two passwords are not the same; nothing was changed"
