"""The user whom a trusted proxy names; and how nobody else can name one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.server.access.addresses import Proxies
from livetask.server.access.caller import NOBODY
from livetask.server.access.presented import Presented
from livetask.server.access.proxied import Proxied, RoleNames
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings
from tests.access.conftest import Stored
from tests.server.serving import Client, served

ROLES = {"ops": "operator", "root": "admin"}


def _way(*trusted: str, default: str = "viewer") -> Proxied:
    return Proxied(Proxies.parse(trusted), "X-Remote-User", "X-Remote-Groups", RoleNames(ROLES, default))


def _asks(remote: str, **headers: str) -> Presented:
    return Presented(remote, {name.replace("_", "-"): (value,) for name, value in headers.items()})


async def test_a_trusted_proxy_names_the_user_over_http(stored: Stored) -> None:
    given = {"proxy_user_header": "X-Remote-User", "trusted_proxies": "127.0.0.0/8, ::1"}
    async with served(stored.url, **given) as client:
        assert await _name(client, {"X-Remote-User": "anna"}) == "anna"
        for wrong in ({}, {"X_Remote_User": "anna"}, {"X-Remote-User": ""}):
            assert await _name(client, wrong) is None
        async with client.get("/api/me", headers=[("X-Remote-User", "anna"), ("X-Remote-User", "eve")]) as answer:
            assert answer.status == 401


async def test_nobody_else_can_name_a_user(stored: Stored) -> None:
    given = {"proxy_user_header": "X-Remote-User", "trusted_proxies": "192.0.2.1"}
    async with served(stored.url, **given) as client:
        forged = {"X-Remote-User": "anna", "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
        assert await _name(client, forged) is None


async def _name(client: Client, headers: dict[str, str]) -> str | None:
    async with client.get("/api/me", headers=headers) as answer:
        return (await answer.json())["name"] if answer.status == 200 else None


@pytest.mark.parametrize(
    ("groups", "role"),
    [("", "viewer"), ("ops", "operator"), ("staff, root", "admin"), ("ops,root", "operator"), ("admin", "viewer")],
)
async def test_groups_become_roles_only_by_the_map(groups: str, role: str) -> None:
    caller = await _way("10.0.0.5").way(_asks("10.0.0.5", x_remote_user="anna", x_remote_groups=groups))
    assert caller is not None
    assert caller.role == role


async def test_without_a_default_role_only_those_in_a_group_come_in() -> None:
    way = _way("10.0.0.5", default="")
    assert await way.way(_asks("10.0.0.5", x_remote_user="anna")) is NOBODY
    assert await way.way(_asks("10.0.0.6", x_remote_user="anna")) is None


@pytest.mark.parametrize("name", ["a\nb", "a" * 101, "\x00"])
async def test_a_name_that_cannot_be_one_is_nobodys(name: str) -> None:
    assert await _way("10.0.0.5").way(_asks("10.0.0.5", x_remote_user=name)) is NOBODY


@pytest.mark.parametrize(
    ("remote", "trusted", "forwarded", "client"),
    [
        ("10.0.0.5", ["10.0.0.5"], ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.5", ["10.0.0.0/8"], ["6.6.6.6, 192.0.2.7, 10.0.0.9"], "192.0.2.7"),
        ("10.0.0.5", ["10.0.0.0/8"], ["6.6.6.6", "192.0.2.7"], "192.0.2.7"),
        ("192.0.2.9", ["10.0.0.0/8"], ["6.6.6.6"], "192.0.2.9"),
        ("10.0.0.5", ["10.0.0.5"], ["nonsense"], "10.0.0.5"),
        ("::ffff:10.0.0.5", ["10.0.0.5"], ["192.0.2.7"], "192.0.2.7"),
    ],
)
def test_the_client_is_the_last_one_that_no_proxy_of_ours_is(
    remote: str, trusted: list[str], forwarded: list[str], client: str
) -> None:
    presented = Presented(remote, {"x-forwarded-for": tuple(forwarded)})
    assert Proxies.parse(trusted).client_of(presented) == client


@given(st.text(), st.lists(st.text()))
def test_no_header_makes_a_stranger_trusted(remote: str, said: list[str]) -> None:
    proxies = Proxies.parse(["10.0.0.5"])
    presented = Presented("192.0.2.9", {"x-forwarded-for": (*said, remote), "x-forwarded-proto": ("https",)})
    assert proxies.client_of(presented) == "192.0.2.9"
    assert not proxies.is_encrypted("http", presented)


def test_a_header_without_proxies_is_refused_at_the_start() -> None:
    with pytest.raises(SettingInvalid, match="trusted_proxies"):
        Settings(redis_url="redis://x", proxy_user_header="X-Remote-User")
    with pytest.raises(SettingInvalid, match="trusted_proxies"):
        Proxies.parse(["proxy.example"])
