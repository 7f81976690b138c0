"""Logging in by OpenID Connect, with a provider that keeps the rules, and with one that lies."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from yarl import URL

from livetask.server.access.oidc import Registration, check_registration
from livetask.setting_errors import SettingInvalid
from tests.access.conftest import Stored
from tests.access.provider import CLIENT, SECRET, OidcProvider
from tests.server.serving import Client, served

_WANTED = {"Accept": "text/html"}


@pytest.fixture
async def provider() -> AsyncIterator[OidcProvider]:
    found = OidcProvider()
    await found.server.start_server()
    yield found
    await found.server.close()


@pytest.fixture
async def client(stored: Stored, provider: OidcProvider) -> AsyncIterator[Client]:
    given: dict[str, Any] = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET}
    given |= {"role_map": {"ops": "operator"}}
    async with served(stored.url, **given) as found:
        yield found


async def _log_in(client: Client, path: str = "/login/oidc?next=/tasks/a") -> tuple[int, str, str]:
    """(status, path, text) of where a browser ends up."""
    async with client.session.get(client.make_url(path), headers=_WANTED) as answer:
        return answer.status, answer.url.path, await answer.text()


async def _me(client: Client) -> dict[str, Any] | None:
    async with client.get("/api/me") as answer:
        return await answer.json() if answer.status == 200 else None


async def test_a_person_comes_in_by_the_provider_and_gets_where_they_wanted(
    client: Client, provider: OidcProvider
) -> None:
    provider.claims["groups"] = ["staff", "ops"]
    status, _, text = await _log_in(client, "/")
    assert (status, "/login/oidc" in text, 'name="password"' in text) == (200, True, False)
    _, path, _ = await _log_in(client)
    assert path == "/tasks/a"
    me = await _me(client)
    assert me is not None
    assert (me["name"], me["by"], me["role"]) == ("anna", "session", "operator")
    first, second = provider.asked[0], (await _log_in(client), provider.asked[-1])[1]
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))
    async with client.post("/logout", allow_redirects=False):
        assert await _me(client) is None


async def test_claims_that_only_the_userinfo_tells_count_too(client: Client, provider: OidcProvider) -> None:
    provider.claims = {"sub": "u-1"}
    provider.info = {"preferred_username": "emma", "groups": "ops"}
    await _log_in(client)
    me = await _me(client)
    assert me is not None
    assert (me["name"], me["role"]) == ("emma", "operator")


def _other_key(provider: OidcProvider) -> None:
    provider.signs_by = RSAKey.generate_key(2048, {"kid": "k1"})


def _lie(**claims: Any) -> Callable[[OidcProvider], None]:
    return lambda provider: provider.lies.update(claims)


@pytest.mark.parametrize(
    "wrong",
    [
        _lie(nonce="another"),
        _lie(nonce=None),
        _lie(aud="another"),
        _lie(aud=["another"]),
        _lie(azp="another"),
        _lie(iss="http://127.0.0.1:1"),
        _lie(exp=int(time.time()) - 3600),
        _lie(exp=None),
        _lie(sub=None),
        _lie(iat=int(time.time()) + 3600),
        _lie(preferred_username=""),
        _lie(preferred_username=7),
        _lie(preferred_username="a\nb"),
        _other_key,
        lambda provider: provider.info.update(sub="u-2") or provider.claims.pop("preferred_username"),
        lambda provider: setattr(provider, "denies", "access_denied"),
        lambda provider: provider.about.update(issuer="https://evil.example"),
        lambda provider: provider.about.update(token_endpoint=None),
        lambda provider: provider.about.update(token_endpoint="http://127.0.0.1:1/token"),
        lambda provider: provider.about.update(jwks_uri=f"{provider.issuer}/nowhere"),
    ],
)
async def test_an_answer_that_does_not_hold_lets_nobody_in(
    client: Client, provider: OidcProvider, wrong: Callable[[OidcProvider], Any]
) -> None:
    wrong(provider)
    status, path, text = await _log_in(client)
    assert (status, path.startswith("/login/oidc")) == (401, True)
    assert 'role="alert"' in text
    assert await _me(client) is None


async def test_a_login_that_this_browser_did_not_begin_is_refused(client: Client, provider: OidcProvider) -> None:
    async with client.get("/login/oidc", allow_redirects=False) as answer:
        out = URL(answer.headers["Location"])
    async with client.session.get(out, allow_redirects=False) as answer:
        back = URL(answer.headers["Location"])
    held = {cookie.key: cookie.value for cookie in client.session.cookie_jar}
    client.session.cookie_jar.clear()
    assert (await _log_in(client, back.path_qs))[0] == 401  # another browser: the attacker's code in the victim's
    async with client.get("/login/oidc", allow_redirects=False):
        assert (await _log_in(client, back.path_qs))[0] == 401  # the victim's own login, with the attacker's answer
    forged = {name: value[:-1] + ("0" if value[-1] != "0" else "1") for name, value in held.items()}
    client.session.cookie_jar.clear()
    client.session.cookie_jar.update_cookies(forged, client.make_url("/login/oidc"))
    assert (await _log_in(client, back.path_qs))[0] == 401
    assert await _me(client) is None


async def test_keys_that_have_changed_are_looked_for_again(
    client: Client, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _log_in(client)
    client.session.cookie_jar.clear()
    provider.key = provider.signs_by = RSAKey.generate_key(2048, {"kid": "k2"})
    monkeypatch.setattr("livetask.server.access.oidc._KEYS_AGAIN_S", 0.0)
    await _log_in(client)
    assert await _me(client) is not None


async def test_a_provider_that_takes_the_secret_in_the_form_only_is_obeyed(
    client: Client, provider: OidcProvider
) -> None:
    provider.about["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await _log_in(client)
    assert await _me(client) is not None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"issuer": "http://login.example.org"}, "oidc_issuer"),
        ({"issuer": "login.example.org"}, "oidc_issuer"),
        ({"client_id": ""}, "oidc_client_id"),
        ({"scopes": ("profile",)}, "oidc_scopes"),
    ],
)
def test_a_registration_that_cannot_work_is_told_at_the_start(change: dict[str, Any], named: str) -> None:
    given = {"issuer": "https://login.example.org", "client_id": "x", "client_secret": "", "scopes": ("openid",)}
    with pytest.raises(SettingInvalid, match=named):
        check_registration(Registration(**{**given, "user_claim": "sub", "role_claim": "", **change}))
