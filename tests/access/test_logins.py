"""Users with passwords: the login page, the session's cookie, logging out here and everywhere."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livetask.access_errors import CredentialUnknown, UserExists
from livetask.errors import ArgumentInvalid
from livetask.server.access.next_page import login_address, next_checked
from livetask.server.access.passwords import Passwords
from tests.access.conftest import PASSWORD, Stored
from tests.server.serving import Client, a_server, served


async def _log_in(client: Client, name: str = "anna", password: str = PASSWORD, **more: str) -> tuple[int, str, str]:
    """(status, Location, Set-Cookie)."""
    form = {"name": name, "password": password, "next": "/tasks/a", **more}
    async with client.post("/login", data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), answer.headers.get("Set-Cookie", "")


async def _is_in(client: Client) -> bool:
    async with client.get("/api/me") as answer:
        return answer.status == 200


async def test_who_logs_in_is_known_from_then_on(client: Client, stored: Stored) -> None:
    await stored.users.make("anna", "operator", PASSWORD)
    status, goal, cookie = await _log_in(client)
    assert (status, goal) == (303, "/tasks/a")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie  # it came over plain HTTP
    async with client.get("/api/me") as answer:
        me = await answer.json()
    assert (me["name"], me["by"], me["role"]) == ("anna", "session", "operator")
    async with client.get("/") as answer:
        assert "anna" in await answer.text()
    async with client.get("/login?next=/x", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/x"


async def test_the_cookie_is_for_encrypted_connections_where_a_trusted_proxy_says_so(stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    form = {"name": "anna", "password": PASSWORD}
    for trusted, secure in ((["127.0.0.1"], True), (["10.0.0.1"], False)):
        async with served(stored.url, auth="required", trusted_proxies=trusted) as client:
            headers = {"X-Forwarded-Proto": "https"}
            async with client.post("/login", data=form, headers=headers, allow_redirects=False) as answer:
                assert ("Secure" in answer.headers["Set-Cookie"]) is secure


async def test_under_the_path_of_a_proxy_one_is_led_to_the_login_and_back(stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    words = ["--redis-url", stored.url, "--auth", "required", "--path-prefix", "/ops"]
    jar = aiohttp.CookieJar(unsafe=True)  # takes the cookies of addresses, too
    async with (
        a_server(*words) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", cookie_jar=jar) as client,
    ):
        browser = {"Accept": "text/html"}
        async with client.get("/ops/tasks/a", headers=browser, allow_redirects=False) as answer:
            goal = answer.headers["Location"]
            assert answer.status in (302, 303)
            assert goal.startswith("/ops/login?next=")
        async with client.get(goal) as answer:
            assert 'action="/ops/login"' in await answer.text()
        form = {"name": "anna", "password": PASSWORD, "next": "/ops/tasks/a"}
        async with client.post("/ops/login", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/ops/tasks/a")
            assert "Path=/ops" in answer.headers["Set-Cookie"]
        async with client.get("/ops/api/me") as answer:
            assert (await answer.json())["name"] == "anna"


async def test_a_wrong_password_and_an_unknown_user_are_answered_alike(client: Client, stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    pages = []
    for name in ("anna", "emma"):
        async with client.post("/login", data={"name": name, "password": "wrong wrong"}) as answer:
            assert answer.status == 401
            assert "Set-Cookie" not in answer.headers
            pages.append((await answer.text()).replace(name, "NAME"))
    assert pages[0] == pages[1]
    assert "the name or the password is wrong" in pages[0]


async def test_an_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    passwords = Passwords(log2_n=10)
    kept = await passwords.hashed(PASSWORD)
    took: dict[bool, list[float]] = {True: [], False: []}
    await passwords.fits("wrong", None)
    for number in range(60):
        known = number % 2 == 0
        began = time.perf_counter()
        assert not await passwords.fits("wrong", kept if known else None)
        took[known].append(time.perf_counter() - began)
    passwords.close()
    # the least of many: what else the machine does makes them longer only
    assert 0.7 < min(took[True]) / min(took[False]) < 1.4


async def test_many_failures_are_slowed_down_and_a_success_does_not_count(stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    async with served(stored.url, auth="required", login_failures=3) as client:
        for _ in range(5):
            assert (await _log_in(client))[0] == 303
        client.session.cookie_jar.clear()
        answers = await asyncio.gather(*(_log_in(client, f"user-{n}", "wrong wrong") for n in range(6)))
        assert sorted(status for status, _, _ in answers) == [401, 401, 401, 429, 429, 429]
        async with client.post("/login", data={"name": "anna", "password": PASSWORD}) as answer:
            assert answer.status == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 900
            assert "too many logins have failed" in await answer.text()


async def test_logging_out_ends_the_session_for_whoever_kept_the_cookie(client: Client, stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    await _log_in(client)
    kept = {cookie.key: cookie.value for cookie in client.session.cookie_jar}
    async with client.post("/logout", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/login"
    client.session.cookie_jar.clear()
    client.session.cookie_jar.update_cookies(kept, client.make_url("/"))
    assert not await _is_in(client)


async def test_a_login_makes_a_new_session_whatever_the_browser_held(client: Client, stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    await stored.users.make("eve", "viewer", PASSWORD)
    planted = await stored.session("eve")
    name, _, value = planted["Cookie"].partition("=")
    client.session.cookie_jar.update_cookies({name: value}, client.make_url("/"))
    _, _, cookie = await _log_in(client)
    assert value not in cookie
    async with client.get("/api/me") as answer:
        assert (await answer.json())["name"] == "anna"
    client.session.cookie_jar.clear()
    async with client.get("/api/me", headers=planted) as answer:
        assert answer.status == 401  # the one that was planted is over


async def test_logging_out_everywhere_ends_all_sessions_and_no_others(client: Client, stored: Stored) -> None:
    for name in ("anna", "emma"):
        await stored.users.make(name, "viewer", PASSWORD)
    elsewhere, other = await stored.session("anna"), await stored.session("emma")
    await _log_in(client)
    async with client.post("/logout", data={"everywhere": "1"}, allow_redirects=False) as answer:
        assert answer.status == 303
    async with client.get("/api/me", headers=elsewhere) as answer:
        assert answer.status == 401
    async with client.get("/api/me", headers=other) as answer:
        assert answer.status == 200
    assert (await _log_in(client))[0] == 303
    assert await _is_in(client)


async def test_another_password_and_a_removal_end_the_sessions(client: Client, stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    session = await stored.session("anna")
    await stored.users.change_password("anna", "battery staple")
    async with client.get("/api/me", headers=session) as answer:
        assert answer.status == 401
    session = await stored.session("anna")
    await stored.users.remove("anna")
    await stored.users.make("anna", "admin", PASSWORD)
    async with client.get("/api/me", headers=session) as answer:
        assert answer.status == 401  # a user who comes to have the same name is another one


@pytest.mark.parametrize("cookie", ["", "x", "A" * 43 + "." + "0" * 64, "A" * 43 + ".", "\x00", "a.b.c"])
async def test_a_cookie_that_was_never_signed_here_is_nobodys(client: Client, cookie: str) -> None:
    async with client.get("/api/me", headers={"Cookie": f'livetask_session="{cookie!r}"'}) as answer:
        assert answer.status == 401


async def test_users_that_make_no_sense_are_refused(stored: Stored) -> None:
    await stored.users.make("anna", "viewer", PASSWORD)
    with pytest.raises(UserExists):
        await stored.users.make("anna", "admin", PASSWORD)
    with pytest.raises(ArgumentInvalid, match="8 to 256") as short:
        await stored.users.make("emma", "viewer", "s3cret")
    assert "s3cret" not in str(short.value)
    for call in (stored.users.change_password("nobody", PASSWORD), stored.users.remove("nobody")):
        with pytest.raises(CredentialUnknown):
            await call


@pytest.mark.parametrize(
    "given_next",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\nb", "", "x", "/ /evil"],
)
def test_a_login_leads_to_no_other_place(given_next: str) -> None:
    assert next_checked(given_next) == "/"


@given(st.text())
@example("/tasks/a?run=2#L10")
def test_whatever_is_given_the_way_on_is_a_path_of_this_server(text: str) -> None:
    goal = next_checked(text)
    assert goal.startswith("/")
    assert not goal.startswith(("//", "/\\"))
    assert "\n" not in login_address(text)
