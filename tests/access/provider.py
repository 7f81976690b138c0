"""An OpenID Connect provider for tests, on a real port: it keeps the rules of the code flow, and lies when told to.

Whoever is sent to it is logged in at once as ``claims`` say. It holds clients to what they must send: the redirect
address that they asked with, PKCE's verifier, their secret; a code is good for once.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "livetask"
SECRET = "a secret: with % signs"


class OidcProvider:
    """``claims``: of the user. ``lies``: claims of the ID token in place of the true ones. ``info``: more claims, told
    at the userinfo endpoint only."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"sub": "u-1", "preferred_username": "anna"}
        self.lies: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "k1"})
        self.signs_by = self.key
        self.denies = ""
        self.about: dict[str, Any] = {}
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: set[str] = set()
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._describe),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/keys", self._keys),
                web.get("/userinfo", self._userinfo),
            ]
        )
        self.server = TestServer(app, host="127.0.0.1")

    @property
    def issuer(self) -> str:
        return str(self.server.make_url("/")).rstrip("/")

    async def _describe(self, request: web.Request) -> web.Response:
        places = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        about: dict[str, Any] = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in places.items()}
        about |= {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **self.about}
        return web.json_response(about)

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        self.asked.append(asked)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        if self.denies:
            answer = {"error": self.denies, "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            answer = {"code": code, "state": asked["state"]}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        proof = base64.b64encode(f"{CLIENT}:a%20secret%3A%20with%20%25%20signs".encode()).decode()
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if request.headers.get("Authorization") != f"Basic {proof}" and form.get("client_secret") != SECRET:
            return web.json_response({"error": "invalid_client"}, status=401)
        now_s = int(time.time())
        true = {"iss": self.issuer, "aud": CLIENT, "iat": now_s, "exp": now_s + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**true, **self.claims, **self.lies}.items() if value is not None}
        access = secrets.token_urlsafe(16)
        self._tokens.add(access)
        id_token = jwt.encode({"alg": "RS256", "kid": self.signs_by.kid}, claims, self.signs_by)
        return web.json_response({"access_token": access, "token_type": "Bearer", "id_token": id_token})

    async def _userinfo(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({**self.claims, **self.info})
