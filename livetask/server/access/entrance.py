"""Everything about who comes in, put together from plain values: the ways, the gate, the login.

Whether anybody is asked is decided here, by the settings alone: as soon as one of ``auth``, ``proxy_user_header`` and
``oidc_issuer`` is given, everyone is. Tokens and users that are stored open the door to their holders and never to
others, and a Redis that is empty or away opens it to nobody.

Must never know: Redis' commands, Celery, tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiohttp import web

from livetask.keys import Keys
from livetask.server.access.addresses import Proxies
from livetask.server.access.attempts import Attempts
from livetask.server.access.caller import Caller
from livetask.server.access.gate import GATE, SOCKETS, Gate, Way, presented_by
from livetask.server.access.logins import Logins, Note, Offered
from livetask.server.access.oidc import Provider, Registration, check_registration
from livetask.server.access.oidc_login import ROUTES as OIDC_ROUTES
from livetask.server.access.oidc_login import OidcLogin
from livetask.server.access.passwords import Passwords
from livetask.server.access.proxied import Proxied, RoleNames
from livetask.server.access.resolving import Resolving, resolve_named
from livetask.server.access.secret import Ask, ServerSecret
from livetask.server.access.sessions import Sessions
from livetask.server.access.standing import AGAIN_S
from livetask.server.access.tokens import Tokens
from livetask.server.access.users import Users
from livetask.server.running import Running

REQUIRED = "required"

_PUBLIC = ("/static", "/healthz", "/login", "/logout", SOCKETS)
_FIGURES = ("/readyz", "/metrics")


@dataclass(frozen=True, slots=True)
class Ways:
    """The settings of the same names; see there."""

    auth: str = ""
    session_s: int = 7 * 24 * 3600
    login_failures: int = 10
    public_metrics: bool = False
    trusted_proxies: tuple[str, ...] = ()
    proxy_user_header: str = ""
    proxy_role_header: str = ""
    role_map: tuple[tuple[str, str], ...] = ()
    default_role: str = "viewer"
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_scopes: tuple[str, ...] = ("openid", "profile")
    oidc_user_claim: str = "preferred_username"
    oidc_role_claim: str = "groups"

    @property
    def asks(self) -> bool:
        """Whether anybody is asked who they are."""
        return bool(self.auth or self.proxy_user_header or self.oidc_issuer)


def _unnoted(what: str, caller: Caller, detail: str, remote: str) -> None:
    """Where there is no audit."""


class Entrance:
    """See the module's docstring.

    ``ask``: sends commands to Redis. ``more``: further ways to be recognised, and ``public``: further routes that
    anybody may ask for. ``granted``: see Gate. ``note``: takes what the audit shall know. Raises SettingInvalid.
    """

    def __init__(
        self,
        ask: Ask,
        keys: Keys,
        ways: Ways,
        *,
        more: Iterable[Way] = (),
        public: Iterable[str] = (),
        granted: Callable[[Caller], Caller] = lambda caller: caller,
        note: Note = _unnoted,
        again_s: float = AGAIN_S,
    ) -> None:
        self.secret = ServerSecret(ask, keys)
        self.proxies = Proxies.parse(ways.trusted_proxies)
        self._passwords = Passwords()
        self._resolving = Resolving(resolve_named(ways.auth)) if ways.auth not in ("", REQUIRED) else None
        sessions = Sessions(ask, keys, self.secret, ways.session_s)
        registration = _registration(ways)
        found: list[Way] = []
        if ways.asks:
            found += [Tokens(ask, keys).way, *more, sessions.way, *self._outer(ways)]
        oidc = OIDC_ROUTES if registration else ()
        self.public = frozenset((*_PUBLIC, *oidc, *public, *(_FIGURES if ways.public_metrics else ())))
        self.gate = Gate(found, self.public, again_s, granted)
        self._logins = Logins(
            Users(ask, keys, self._passwords),
            sessions,
            Attempts(ask, keys, ways.login_failures),
            self.proxies,
            is_open=self.gate.is_open,
            offered=Offered(ways.auth == REQUIRED, registration.name if registration else ""),
            note=note,
        )
        self._provider = Provider(registration) if registration else None
        self._oidc = (
            OidcLogin(self._provider, registration.name, self.secret, sessions, self._logins, _roles(ways))
            if registration and self._provider
            else None
        )

    def address_of(self, request: web.Request) -> str:
        """Where a request comes from: behind trusted proxies the client's own address."""
        return self.proxies.client_of(presented_by(request))

    def _outer(self, ways: Ways) -> list[Way]:
        found: list[Way] = []
        if ways.proxy_user_header:
            headers = (ways.proxy_user_header, ways.proxy_role_header)
            found.append(Proxied(self.proxies, *headers, _roles(ways)).way)
        if self._resolving is not None:
            found.append(self._resolving.way)
        return found

    def routes(self) -> list[web.RouteDef]:
        """The login's routes."""
        return [*self._logins.routes(), *(self._oidc.routes() if self._oidc else ())]

    def attach(self, app: web.Application, on_failure: Callable[[BaseException], None]) -> None:
        """Look at those who stay as long as the application runs. ``on_failure``: called when that ends by a bug."""
        app[GATE] = self.gate
        running = Running(on_failure)

        async def start(_: web.Application) -> None:
            running.start(self.gate.standing.run())

        async def stop(_: web.Application) -> None:
            await running.stop()
            self._passwords.close()
            if self._resolving is not None:
                self._resolving.close()
            if self._provider is not None:
                await self._provider.close()

        app.on_startup.append(start)
        app.on_cleanup.append(stop)


def _roles(ways: Ways) -> RoleNames:
    return RoleNames(dict(ways.role_map), ways.default_role)


def _registration(ways: Ways) -> Registration | None:
    """How the provider of OpenID Connect knows this livetask, if there is one. Raises SettingInvalid."""
    if not ways.oidc_issuer:
        return None
    found = Registration(
        ways.oidc_issuer,
        ways.oidc_client_id,
        ways.oidc_client_secret,
        ways.oidc_scopes,
        ways.oidc_user_claim,
        ways.oidc_role_claim,
    )
    check_registration(found)
    return found
