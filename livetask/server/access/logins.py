"""Logging in and out by the browser, and who one is: ``/login``, ``/logout``, ``/api/me``.

The pages work without JavaScript. A login counts as an attempt before the password is looked at, an unknown name and a
wrong password are answered alike and take equally long, and each login makes a new session.

Must never know: Redis' commands, Celery, tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import aiohttp_jinja2
from aiohttp import web

from livetask.access_errors import LoginFailed, LoginsTooMany
from livetask.errors import BadRequest, LivetaskError
from livetask.server.access.addresses import Proxies
from livetask.server.access.attempts import Attempts
from livetask.server.access.caller import Caller
from livetask.server.access.gate import CALLER, presented_by
from livetask.server.access.next_page import next_checked
from livetask.server.access.sessions import COOKIE, Sessions
from livetask.server.access.tokens import NAME_CHARACTERS
from livetask.server.access.users import Users
from livetask.server.listening import BASE

Note = Callable[[str, Caller, str, str], None]
"""Notes for the audit: what happened (login, login_failed, logout, logout_everywhere), who, a detail, from where."""


@dataclass(frozen=True, slots=True)
class Offered:
    """The ways in that the login page offers. ``oidc``: the name of a provider, '' for none."""

    passwords: bool = True
    oidc: str = ""


class Logins:
    """The routes. ``is_open``: there is nothing to log in to. ``note``: see Note."""

    def __init__(
        self,
        users: Users,
        sessions: Sessions,
        attempts: Attempts,
        proxies: Proxies,
        *,
        is_open: bool,
        offered: Offered,
        note: Note,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._attempts = attempts
        self._proxies = proxies
        self._is_open = is_open
        self._offered = offered
        self._note = note

    def routes(self) -> list[web.RouteDef]:
        """The routes; all but ``/api/me`` are public."""
        return [
            web.get("/login", self.page),
            web.post("/login", self.log_in),
            web.post("/logout", self.log_out),
            web.get("/api/me", self.me),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The login page; who is logged in already is led on."""
        goal = goal_of(request, request.query.get("next", "/"))
        if self._is_open or not request[CALLER].is_nobody:
            raise web.HTTPSeeOther(request.app[BASE] + goal)
        return self._shown(request, goal)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Take ``name``, ``password`` and ``next`` from the form; answer with a session and the way on."""
        form = await _form(request)
        name, password, goal = (form.get(field, "") for field in ("name", "password", "next"))
        if self._is_open:
            raise web.HTTPSeeOther(request.app[BASE] + goal_of(request, goal))
        goal, remote = goal_of(request, goal), self._proxies.client_of(presented_by(request))
        try:
            cookie, caller = await self._opened(name, password, remote)
        except (LoginFailed, LoginsTooMany) as error:
            self._note("login_failed", request[CALLER], name[:NAME_CHARACTERS], remote)
            return self._shown(request, goal, error, name)
        return await self.let_in(request, cookie, goal, caller)

    async def _opened(self, name: str, password: str, remote: str) -> tuple[str, Caller]:
        """A new session for that user. Raises LoginFailed, LoginsTooMany, RedisUnavailable, TooMany."""
        await self._attempts.count(name, remote)
        epoch = await self._sessions.epoch(name)
        fits = len(name) <= NAME_CHARACTERS and self._offered.passwords
        user = await self._users.with_password(name if fits else "", password)
        if user is None:
            raise LoginFailed
        await self._attempts.succeeded(name, remote)
        return await self._sessions.begin(name, None, epoch), Caller(name, "session", user.role, ())

    async def let_in(
        self, request: web.Request, cookie: str, goal: str, caller: Caller, detail: str = ""
    ) -> web.Response:
        """The answer that hands out a new session's cookie and leads on; the session before is over."""
        self._note("login", caller, detail, self._proxies.client_of(presented_by(request)))
        await self._sessions.end(request.cookies.get(COOKIE, ""))
        answer = web.Response(status=303, headers={"Location": request.app[BASE] + goal, **_NOT_KEPT})
        secure = self.is_encrypted(request)
        life_s = self._sessions.life_s
        path = request.app[BASE] or "/"
        answer.set_cookie(COOKIE, cookie, max_age=life_s, path=path, httponly=True, samesite="Lax", secure=secure)
        return answer

    def is_encrypted(self, request: web.Request) -> bool:
        """Whether the client's browser speaks TLS."""
        return self._proxies.is_encrypted(request.scheme, presented_by(request))

    def refused(self, request: web.Request, error: LivetaskError) -> web.Response:
        """The login page with what went wrong with a login by another way."""
        self._note("login_failed", request[CALLER], error.code, self._proxies.client_of(presented_by(request)))
        return self._shown(request, "/", error)

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """End this session, or with ``everywhere`` in the form all of this user's."""
        form = await _form(request)
        caller, remote = request[CALLER], self._proxies.client_of(presented_by(request))
        if form.get("everywhere") and caller.by == "session":
            await self._users.log_out_everywhere(caller.name)
            self._note("logout_everywhere", caller, "", remote)
        elif not caller.is_nobody:
            self._note("logout", caller, "", remote)
        await self._sessions.end(request.cookies.get(COOKIE, ""))
        answer = web.Response(status=303, headers={"Location": f"{request.app[BASE]}/login", **_NOT_KEPT})
        answer.del_cookie(COOKIE, path=request.app[BASE] or "/")
        return answer

    async def me(self, request: web.Request) -> web.Response:
        """Who asks, how that is known, and what it may do somewhere."""
        caller = request[CALLER]
        abilities = sorted({ability for right in caller.rights for ability in right.abilities})
        answer = {"name": caller.name, "by": caller.by, "role": caller.role, "abilities": abilities}
        return web.json_response(answer, headers=_NOT_KEPT)

    def _shown(
        self, request: web.Request, goal: str, error: LivetaskError | None = None, name: str = ""
    ) -> web.Response:
        context = {"next": goal, "error": "" if error is None else str(error), "name": name, "offered": self._offered}
        status = 200 if error is None else error.status
        page = aiohttp_jinja2.render_template("login.html", request, context, status=status)
        if isinstance(error, LoginsTooMany):
            page.headers["Retry-After"] = str(error.retry_s)
        return page


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a plain form. Raises BadRequest."""
    body = await request.read()
    if body and request.content_type != "application/x-www-form-urlencoded":
        raise BadRequest("expected a form, application/x-www-form-urlencoded")
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise BadRequest("the form cannot be read") from None


def goal_of(request: web.Request, given: str) -> str:
    """Where to go on, as this server knows it: without the path that a proxy serves it under."""
    base = request.app[BASE]
    inner = given.removeprefix(base) if given == base or given.startswith(f"{base}/") else given
    return next_checked(inner)


_MOST_FIELDS = 10
_NOT_KEPT = {"Cache-Control": "no-store"}
