"""The user whom a trusted reverse proxy names in a header.

The header counts only on connections from the proxies' own addresses; from everywhere else it is as if it was not
there. A header that comes twice is taken for an attempt to smuggle one past the proxy, and recognises nobody.

Must never know: Redis, HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from livetask.server.access.addresses import Proxies
from livetask.server.access.caller import NOBODY, ROLES, Caller
from livetask.server.access.presented import Presented
from livetask.server.access.tokens import NAME_CHARACTERS


class RoleNames:
    """Which role somebody has whose groups another system names.

    ``by_group``: the setting ``role_map``; the first of it that fits counts. No group has a meaning by its mere name:
    somebody else's 'admin' is not ours. ``default``: the role of who is in none; '' does not let them in.
    """

    def __init__(self, by_group: Mapping[str, str], default: str) -> None:
        self._by_group = dict(by_group)
        self._default = default

    def role_of(self, groups: Sequence[str]) -> str:
        """The role, '' for none."""
        return next((role for group, role in self._by_group.items() if group in groups), self._default)


class Proxied:
    """``user_header``, ``role_header``: lower case; '' for no header of roles. ``roles``: see RoleNames."""

    def __init__(self, proxies: Proxies, user_header: str, role_header: str, roles: RoleNames) -> None:
        self._proxies = proxies
        self._user_header = user_header.lower()
        self._role_header = role_header.lower()
        self._roles = roles

    async def way(self, presented: Presented) -> Caller | None:
        """Whom the proxy names; None if it is no proxy, or names nobody."""
        if not self._proxies.trusts(presented.remote):
            return None
        names = presented.headers.get(self._user_header, ())
        if not names or names == ("",):
            return None
        name = names[0].strip()
        groups = presented.headers.get(self._role_header, ()) if self._role_header else ()
        if len(names) > 1 or len(groups) > 1 or not name.isprintable() or not 0 < len(name) <= NAME_CHARACTERS:
            return NOBODY
        role = self._roles.role_of([part.strip() for part in groups[0].split(",")] if groups else [])
        return Caller(name, "proxy", role, ROLES.get(role, ())) if role else NOBODY
