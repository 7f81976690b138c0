"""Who asks, and what they may do, as plain values.

A caller has rights, and each right allows some abilities on some tasks; one right that fits is enough. The three roles
are rights with names.

Pure: no I/O, no clock. Must never know: how a caller was recognised, what a task is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

ABILITIES = frozenset({"view", "start", "cancel", "rerun", "download", "administer"})


@dataclass(frozen=True, slots=True)
class Right:
    """Abilities on the tasks that fit everything here.

    ``abilities``: of ABILITIES. ``tasks``, ``queues``: globs, of which one must fit the task's name and its queue.
    ``owner``: only tasks that the caller itself started. ``task_ids``: just these; None for all.
    """

    abilities: frozenset[str]
    tasks: tuple[str, ...] = ("*",)
    queues: tuple[str, ...] = ("*",)
    owner: bool = False
    task_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks.

    ``name``: shown and audited; '' for nobody. ``by``: how it was recognised: open, token, session, proxy, callable or
    share. ``role``: viewer, operator or admin; '' if its rights are its own. ``credential``: the id of the token,
    session or share link, never its secret: what is looked at again while the caller stays.
    """

    name: str
    by: str
    role: str
    rights: tuple[Right, ...]
    credential: str = ""

    @property
    def is_nobody(self) -> bool:
        """It was not recognised, and may do nothing."""
        return not self.by


_VIEWER = frozenset({"view", "download"})
_OPERATOR = _VIEWER | {"start", "cancel", "rerun"}

ROLES: dict[str, tuple[Right, ...]] = {
    "viewer": (Right(_VIEWER),),
    "operator": (Right(_OPERATOR),),
    "admin": (Right(ABILITIES),),
}

NOBODY = Caller("", "", "", ())
"""Who was not recognised."""

OPEN = Caller("", "open", "admin", ROLES["admin"])
"""Whoever asks a server on which no authentication is configured."""
