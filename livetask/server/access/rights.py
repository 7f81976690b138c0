"""Rights as users write them in the setting ``rights``, for roles of their own and for single users.

    {"role:analyst": [{"abilities": ["view", "download"], "tasks": ["report.*"]}],
     "user:anna":    [{"abilities": ["view", "cancel"], "owner": true}]}

What is written for a user counts in place of what its role may; what is written for one of the three roles counts in
place of what they may by themselves. The prefixes keep the name of a user from ever being read as a role.

Pure: no I/O, no clock. Must never know: tasks, how a caller is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from livetask.server.access.caller import ABILITIES, ROLES, Caller, Right
from livetask.setting_errors import SettingInvalid

Rights = Mapping[str, tuple[Right, ...]]
"""By ``role:NAME`` or ``user:NAME``."""

_FIELDS = ("abilities", "tasks", "queues", "owner")
_SHAPE = 'an object such as {"role:analyst": [{"abilities": ["view"], "tasks": ["report.*"]}]}'


def rights_read(written: Mapping[str, Any]) -> dict[str, tuple[Right, ...]]:
    """The setting as values. Raises SettingInvalid, which names the entry that is wrong."""
    return {_holder(name): tuple(_right(name, one) for one in _list(name, rights)) for name, rights in written.items()}


def granted(caller: Caller, rights: Rights) -> Caller:
    """The caller with the rights that the setting gives to it; without an entry, with those it came with.

    A role that is neither built in nor in the setting gives nothing. A share link and a caller made by the user's own
    callable have their rights already, and keep them.
    """
    if caller.by in ("open", "share", ""):
        return caller
    if caller.by == "callable" and caller.rights != ROLES.get(caller.role, ()):
        return caller
    own = rights.get(f"user:{caller.name}") if caller.name else None
    if own is None and caller.role:
        own = rights.get(f"role:{caller.role}", ROLES.get(caller.role, ()))
    return caller if own is None else replace(caller, rights=own)


def _holder(name: str) -> str:
    kind, _, rest = name.partition(":")
    if kind not in ("role", "user") or not rest:
        raise SettingInvalid("rights", name, "role:NAME or user:NAME in front of each list of rights")
    return name


def _list(name: str, rights: Any) -> list[Any]:
    if not isinstance(rights, (list, tuple)):
        raise SettingInvalid(f"rights[{name}]", rights, f"a list of rights; {_SHAPE}")
    return list(rights)


def _right(name: str, written: Any) -> Right:
    if not isinstance(written, Mapping):
        raise SettingInvalid(f"rights[{name}]", written, f"objects in the list; {_SHAPE}")
    for field in written:
        if field not in _FIELDS:
            raise SettingInvalid(f"rights[{name}]", field, f"some of {', '.join(_FIELDS)}")
    abilities = frozenset(_texts(name, "abilities", written.get("abilities", ())))
    if not abilities or not abilities <= ABILITIES:
        raise SettingInvalid(f"rights[{name}].abilities", sorted(abilities), f"some of {', '.join(sorted(ABILITIES))}")
    owner = written.get("owner", False)
    if not isinstance(owner, bool):
        raise SettingInvalid(f"rights[{name}].owner", owner, "true or false")
    return Right(
        abilities,
        _texts(name, "tasks", written.get("tasks", ("*",))),
        _texts(name, "queues", written.get("queues", ("*",))),
        owner,
    )


def _texts(name: str, field: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise SettingInvalid(f"rights[{name}].{field}", value, "a list of texts")
    return tuple(value)
