"""Everything about what callers may do, put together from plain values: rights, links, the audit.

Must never know: Redis' commands, Celery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from livetask.keys import Keys
from livetask.server.access.audit import Audit
from livetask.server.access.audit_api import AuditApi
from livetask.server.access.caller import Caller
from livetask.server.access.checks import abilities_checked
from livetask.server.access.fact_reads import FactReads, Look
from livetask.server.access.rights import granted, rights_read
from livetask.server.access.rules import Rules
from livetask.server.access.secret import ServerSecret
from livetask.server.access.share_api import ShareApi
from livetask.server.access.shares import Shares
from livetask.server.access.sight import Sight, Tasks
from livetask.server.figures import Figure
from livetask.server.running import Running

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]

PUBLIC = ("/share", "/api/share", "/embed/tasks/{task_id}")
"""Where a link leads: the pages hold nothing of a task, and the other wants the link's secret."""


class Desk:
    """See the module's docstring.

    ``ask``: sends commands to Redis. ``store``: the tasks. ``archived``: a task as the archive has it, None without
    one. ``caller_now``, ``asked_from``: who asks in this context, and from which address. ``limit_bytes``: of a body.
    The rest are settings of the same names. Raises SettingInvalid.
    """

    def __init__(
        self,
        ask: Ask,
        keys: Keys,
        store: Tasks,
        archived: Look | None,
        *,
        caller_now: Callable[[], Caller],
        asked_from: Callable[[], str],
        rights: Mapping[str, Any],
        share_s: int,
        audit_keep_s: int,
        audit_cap: int,
        limit_bytes: int,
    ) -> None:
        self._caller_now = caller_now
        self._rights = rights_read(rights)
        self._audit = Audit(ask, keys.audit(), keep_s=audit_keep_s, most=audit_cap, remote=asked_from)
        self.rules = Rules(caller_now, self._audit)
        self.sight = Sight(store, FactReads(ask, keys, archived), caller_now, self.rules.refused)
        self.shares = Shares(ask, keys, ServerSecret(ask, keys).key)
        self._share_api = ShareApi(
            self.shares, self.sight, self._audit, caller_now, most_s=share_s, limit_bytes=limit_bytes
        )

    def granted(self, caller: Caller) -> Caller:
        """The caller with the rights that the settings give to it."""
        return granted(caller, self._rights)

    def note(self, kind: str, caller: Caller, detail: str = "", remote: str = "") -> None:
        """Note what was done at the door."""
        self._audit.note(kind, caller, "", detail, remote)

    def middleware(self, public: Iterable[str]) -> Any:
        """What every request passes inside the gate. ``public``: the routes that the gate lets anybody pass to."""
        return abilities_checked(self.sight, self._caller_now, self.rules, frozenset(public))

    def routes(self) -> list[web.RouteDef]:
        """The routes of links and of the audit."""
        return [*self._share_api.routes(), *AuditApi(self._audit).routes()]

    def attach(self, app: web.Application, on_failure: Callable[[BaseException], None]) -> None:
        """Write what is noted while the application runs. ``on_failure``: called when the writing ends by a bug."""
        running = Running(on_failure)

        async def start(_: web.Application) -> None:
            running.start(self._audit.run())

        async def stop(_: web.Application) -> None:
            await running.stop()
            await self._audit.close()

        app.on_startup.append(start)
        app.on_cleanup.append(stop)

    def figures(self) -> Iterable[Figure]:
        """What there is to count."""
        noted = {kind: float(count) for kind, count in self._audit.noted.items()}
        yield Figure("audit_noted", "What was noted of who did what, by kind.", True, noted, "kind")
        text = "Entries of the audit that were not written, for want of room or of Redis."
        yield Figure("audit_dropped", text, True, {"": float(self._audit.dropped)})
