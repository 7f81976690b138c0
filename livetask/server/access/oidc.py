"""OpenID Connect, as the side that relies on a provider: where to send a browser, and who has come back.

Authorization code flow with PKCE (S256), state and nonce. The protocol's texts and the checks of the ID token are
authlib's and joserfc's (extra ``oidc``); asking is done by aiohttp, with bounds on time and size and without following
redirects. What the provider publishes of itself is believed for ten minutes; a key that is not among those known is
looked for once more.

Must never know: Redis, sessions, the server's routes.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from livetask.access_errors import ProviderRefused
from livetask.setting_errors import SettingInvalid

_BELIEVED_S = 600.0
_KEYS_AGAIN_S = 30.0
_WITHIN_S = 10.0
_MOST_BYTES = 1024 * 1024
_LEEWAY_S = 60
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""What an ID token may be signed by: a key pair, never 'none' and never the client's own secret."""


@dataclass(frozen=True, slots=True)
class Registration:
    """How livetask is known to the provider; the settings ``oidc_*`` of the same names."""

    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...]
    user_claim: str
    role_claim: str

    @property
    def name(self) -> str:
        """The provider as the login page calls it."""
        return urlsplit(self.issuer).hostname or self.issuer


@dataclass(frozen=True, slots=True)
class Secrets:
    """What binds an answer to the question: made for one login."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has logged in. ``groups``: as the provider names them."""

    name: str
    groups: tuple[str, ...]


def check_registration(registration: Registration) -> None:
    """Raise SettingInvalid for what cannot work, or would not be safe; and where the extra is not installed."""
    parts = urlsplit(registration.issuer)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.query or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise SettingInvalid("oidc_issuer", registration.issuer, "the issuer's address, https://login.example.org")
    if not registration.client_id:
        raise SettingInvalid("oidc_client_id", "", "the id that the provider knows this livetask by")
    if "openid" not in registration.scopes:
        raise SettingInvalid("oidc_scopes", registration.scopes, "scopes with openid among them")
    try:
        import authlib.oidc.core  # noqa: F401
    except ImportError:
        text = "none, or the packages for it: pip install 'livetask[oidc]'"
        raise SettingInvalid("oidc_issuer", registration.issuer, text) from None


class Provider:
    """See the module's docstring. ``close`` it. All its methods raise ProviderRefused."""

    def __init__(self, registration: Registration) -> None:
        self._me = registration
        self._session: aiohttp.ClientSession | None = None
        self._about: Mapping[str, Any] = {}
        self._about_at_s = float("-inf")
        self._keys: Any = None
        self._keys_at_s = float("-inf")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def login_address(self, back: str, secrets: Secrets) -> str:
        """Where to send the browser. ``back``: the address that it comes back to."""
        about = await self._described()
        client = _client(self._me, back)
        url, _ = client.create_authorization_url(
            str(about["authorization_endpoint"]),
            state=secrets.state,
            code_verifier=secrets.verifier,
            nonce=secrets.nonce,
        )
        return str(url)

    async def identity(self, back: str, code: str, secrets: Secrets) -> Identity:
        """Who has come back with this code."""
        about = await self._described()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        form |= {"code_verifier": secrets.verifier, "client_id": self._me.client_id}
        headers = self._proof(about, form)
        answer = await self._asked("POST", str(about["token_endpoint"]), data=form, headers=headers)
        if not isinstance(answer.get("id_token"), str):
            raise ProviderRefused("it gave no ID token")
        claims = await self._checked(answer["id_token"], secrets.nonce, str(answer.get("access_token", "")))
        wanted = [self._me.user_claim, *([self._me.role_claim] if self._me.role_claim else [])]
        if "userinfo_endpoint" in about and not all(name in claims for name in wanted):
            claims |= await self._more(about, claims, str(answer.get("access_token", "")))
        return self._identity_of(claims)

    def _proof(self, about: Mapping[str, Any], form: dict[str, str]) -> dict[str, str]:
        """Say which client asks, in the way that the provider takes; RFC 6749, 2.3.1."""
        if not self._me.client_secret:
            return {}
        ways = about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" not in ways:
            form["client_secret"] = self._me.client_secret
            return {}
        pair = ":".join(quote(text, safe="") for text in (self._me.client_id, self._me.client_secret))
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def _checked(self, text: str, nonce: str, access_token: str) -> dict[str, Any]:
        """The claims of an ID token that the provider signed for us, now, in answer to this login."""
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        try:
            token = await self._decoded(text)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self._me.issuer},
                    "aud": {"essential": True, "value": self._me.client_id},
                    "sub": {"essential": True},
                },
                {"client_id": self._me.client_id, "nonce": nonce, "access_token": access_token},
            )
            claims.validate(int(time.time()), _LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderRefused(f"its ID token does not hold ({type(error).__name__})") from error
        return dict(claims)

    async def _decoded(self, text: str) -> Any:
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            return jwt.decode(text, await self._known_keys(), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            if time.monotonic() - self._keys_at_s < _KEYS_AGAIN_S:
                raise
            self._keys = None  # it may have changed its keys
            return jwt.decode(text, await self._known_keys(), algorithms=_ALGORITHMS)

    async def _more(self, about: Mapping[str, Any], claims: Mapping[str, Any], access_token: str) -> dict[str, Any]:
        """What the provider tells of the user besides the ID token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        info = await self._asked("GET", str(about["userinfo_endpoint"]), headers=headers)
        if info.get("sub") != claims["sub"]:
            raise ProviderRefused("it tells of another user than the one who logged in")
        return {name: value for name, value in info.items() if name not in claims}

    def _identity_of(self, claims: Mapping[str, Any]) -> Identity:
        name = claims.get(self._me.user_claim)
        if not isinstance(name, str) or not name:
            raise ProviderRefused(f"it does not tell the claim {self._me.user_claim}; see the setting oidc_user_claim")
        if self._me.user_claim == "email" and claims.get("email_verified") is not True:
            raise ProviderRefused("it has not verified the address that is to be the name")
        groups = claims.get(self._me.role_claim, ()) if self._me.role_claim else ()
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        return Identity(name, tuple(group for group in listed if isinstance(group, str)))

    # ---- what the provider says of itself

    async def _described(self) -> Mapping[str, Any]:
        if time.monotonic() - self._about_at_s > _BELIEVED_S:
            url = f"{self._me.issuer.rstrip('/')}/.well-known/openid-configuration"
            about = await self._asked("GET", url)
            if about.get("issuer") != self._me.issuer:
                raise ProviderRefused("it calls itself by another address than the setting oidc_issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(about.get(name), str):
                    raise ProviderRefused(f"its description lacks {name}")
            self._about, self._about_at_s, self._keys = about, time.monotonic(), None
        return self._about

    async def _known_keys(self) -> Any:
        from joserfc.jwk import KeySet

        if self._keys is None:
            found = await self._asked("GET", str((await self._described())["jwks_uri"]))
            self._keys = KeySet.import_key_set(found)  # type: ignore[arg-type]  # what is none of its shape raises
            self._keys_at_s = time.monotonic()
        return self._keys

    async def _asked(self, method: str, url: str, **given: Any) -> dict[str, Any]:
        """A JSON object that the provider answers with."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_WITHIN_S)
            self._session = aiohttp.ClientSession(timeout=timeout, headers={"Accept": "application/json"})
        place = urlsplit(url).path
        try:
            async with self._session.request(method, url, allow_redirects=False, **given) as answer:
                body = b""
                async for piece in answer.content.iter_chunked(64 * 1024):
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise ProviderRefused(f"its answer at {place} is too large")
                if answer.status != 200:
                    raise ProviderRefused(f"it answered {answer.status} at {place}")
                found = json.loads(body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ProviderRefused(f"it does not answer at {place} ({type(error).__name__})") from error
        except (ValueError, RecursionError):
            raise ProviderRefused(f"its answer at {place} is not JSON") from None
        if not isinstance(found, dict):
            raise ProviderRefused(f"its answer at {place} is no object")
        return found


def _client(me: Registration, back: str) -> Any:
    from authlib.oauth2.client import OAuth2Client

    scope = " ".join(me.scopes)
    return OAuth2Client(None, me.client_id, scope=scope, redirect_uri=back, code_challenge_method="S256")
