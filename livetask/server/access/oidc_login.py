"""Logging in by OpenID Connect: ``/login/oidc`` sends a browser to the provider, ``/login/oidc/back`` takes it back.

What binds the answer to the browser that asked (state, nonce, PKCE's verifier, the way on) lies in a cookie of that
browser, signed, for ten minutes; the server keeps nothing of a login that is under way.

Must never know: Redis' commands, how the provider is asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from aiohttp import web

from livetask.access_errors import ProviderRefused
from livetask.server.access.caller import Caller
from livetask.server.access.logins import Logins, goal_of
from livetask.server.access.oidc import Identity, Provider, Secrets
from livetask.server.access.proxied import RoleNames
from livetask.server.access.secret import ServerSecret
from livetask.server.access.sessions import Sessions
from livetask.server.access.tokens import NAME_CHARACTERS
from livetask.server.listening import BASE

ROUTES = ("/login/oidc", "/login/oidc/back")

_COOKIE = "livetask_oidc"
_PURPOSE = "oidc"
_LIFE_S = 600
_WRONG = (ValueError, KeyError, TypeError)

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OidcLogin:
    """The routes. ``roles``: which role a group means."""

    def __init__(
        self, provider: Provider, name: str, secret: ServerSecret, sessions: Sessions, logins: Logins, roles: RoleNames
    ) -> None:
        self._provider = provider
        self._name = name
        self._secret = secret
        self._sessions = sessions
        self._logins = logins
        self._roles = roles

    def routes(self) -> list[web.RouteDef]:
        """The routes, both public."""
        out, back = ROUTES
        return [web.get(out, self._told(self.send)), web.get(back, self._told(self.take_back))]

    def _told(self, handler: Handler) -> Handler:
        """The handler; what the provider does wrong is told on the login page, and logged."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except ProviderRefused as error:
                log.warning("a login by %s: %s", self._name, error.why)
                return self._logins.refused(request, error)

        return handle

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the provider, with ``next`` kept for when it comes back."""
        wanted = Secrets(*(secrets.token_urlsafe(48) for _ in range(3)))
        answer = web.Response(status=303, headers={"Cache-Control": "no-store"})
        answer.headers["Location"] = await self._provider.login_address(self._back(request), wanted)
        kept = {**asdict(wanted), "goal": goal_of(request, request.query.get("next", "/"))}
        text = base64.urlsafe_b64encode(json.dumps({**kept, "until_s": time.time() + _LIFE_S}).encode()).decode()
        answer.set_cookie(
            _COOKIE,
            f"{text}.{await self._signature(text)}",
            max_age=_LIFE_S,
            path=f"{request.app[BASE]}{ROUTES[0]}",
            httponly=True,
            samesite="Lax",
            secure=self._logins.is_encrypted(request),
        )
        return answer

    async def take_back(self, request: web.Request) -> web.StreamResponse:
        """The browser comes back with a code, or with the provider's reason against it."""
        kept, goal = await self._kept(request)
        if not hmac.compare_digest(request.query.get("state", "").encode(), kept.state.encode()):
            raise ProviderRefused("the answer belongs to another login; try once more")
        if "code" not in request.query:
            raise ProviderRefused(f"it said {request.query.get('error', 'nothing')[:80]!r}")
        identity = await self._provider.identity(self._back(request), request.query["code"], kept)
        caller = self._caller(identity)
        cookie = await self._sessions.begin(caller.name, caller.role, await self._sessions.epoch(caller.name))
        answer = await self._logins.let_in(request, cookie, goal, caller, f"by {self._name}")
        answer.del_cookie(_COOKIE, path=f"{request.app[BASE]}{ROUTES[0]}")
        return answer

    def _caller(self, identity: Identity) -> Caller:
        role = self._roles.role_of(identity.groups)
        if not role:
            raise ProviderRefused("you are known there, and in no group that may come in here")
        if len(identity.name) > NAME_CHARACTERS or not identity.name.isprintable():
            raise ProviderRefused("the name that it tells cannot be one here")
        return Caller(identity.name, "session", role, ())

    def _back(self, request: web.Request) -> str:
        scheme = "https" if self._logins.is_encrypted(request) else "http"
        return f"{scheme}://{request.host}{request.app[BASE]}{ROUTES[1]}"

    async def _kept(self, request: web.Request) -> tuple[Secrets, str]:
        """What this browser went away with. Raises ProviderRefused."""
        text, _, signature = request.cookies.get(_COOKIE, "").partition(".")
        try:
            if not hmac.compare_digest(signature.encode(), (await self._signature(text)).encode()):
                raise ValueError
            kept = json.loads(base64.urlsafe_b64decode(text))
            if kept.pop("until_s") < time.time():
                raise ValueError
            return Secrets(kept["state"], kept["nonce"], kept["verifier"]), str(kept["goal"])
        except _WRONG:
            raise ProviderRefused("this browser began no login here of late; try once more") from None

    async def _signature(self, text: str) -> str:
        return hmac.new(await self._secret.key(_PURPOSE), text.encode(), hashlib.sha256).hexdigest()
