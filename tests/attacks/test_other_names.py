"""DNS rebinding: a page's own name is made to lead to this server, and the browser takes both for one origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.server.armour.hosts import is_known
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings
from tests.attacks.walking import asked_routes
from tests.server.serving import Client, served
from tests.system.rig import Redis

OURS = ["127.0.0.1", "127.0.0.1:8400", "[::1]:8400", "localhost", "LOCALHOST:80", "my.localhost:8400", "192.0.2.7"]
THEIRS = [
    "evil.example",
    "evil.example:8400",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example#127.0.0.1",
    "localhost evil.example",
    "",
    "127.1",
    "0x7f000001",
    "2130706433",
    "evil-localhost",
]


@pytest.mark.parametrize("host", OURS)
async def test_the_server_answers_to_addresses_and_names_of_the_machine_itself(client: Client, host: str) -> None:
    async with client.get("/api/tasks", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("host", THEIRS)
async def test_no_route_answers_to_a_name_that_it_was_not_given(client: Client, host: str) -> None:
    for method, path in asked_routes(client.server.app):  # type: ignore[attr-defined]
        async with client.request(method, path, headers={"Host": host}) as answer:
            assert answer.status == 421, (method, path)
            assert "allowed_hosts" in await answer.text()


async def test_a_websocket_for_another_name_is_refused_though_its_origin_fits_it(client: Client) -> None:
    theirs = {"Host": "evil.example:8400", "Origin": "http://evil.example:8400", "Sec-Fetch-Site": "same-origin"}
    for query in ("transport=polling", "transport=websocket"):
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        async with client.get(f"/socket.io/?EIO=4&{query}", headers=theirs | upgrade) as answer:
            assert answer.status == 421


async def test_a_request_with_two_hosts_is_refused(client: Client) -> None:
    async with client.get("/api/tasks", headers=[("Host", "127.0.0.1"), ("Host", "evil.example")]) as answer:
        assert answer.status in (400, 421)


async def test_listed_names_are_answered_to(store: Redis) -> None:
    async with served(store.url, allowed_hosts=("Live.example.org", "*.inner.example")) as client:
        for host, status in (
            ("live.example.org", 200),
            ("LIVE.example.org.:443", 200),
            ("a.b.inner.example", 200),
            ("inner.example", 421),
            ("evilinner.example", 421),
            ("live.example.org.evil.example", 421),
        ):
            async with client.get("/api/tasks", headers={"Host": host}) as answer:
                assert answer.status == status, host


@given(st.text(max_size=40), st.sampled_from(["good.example", "*.good.example"]))
def test_no_text_passes_for_a_listed_name(host: str, listed: str) -> None:
    if is_known(host, (listed,)):
        name = host.lower().rsplit(":", 1)[0] if not host.startswith("[") else host
        assert (
            name.rstrip(".").endswith("good.example")
            or name.endswith("localhost")
            or name.strip("[]")[0] in "0123456789abcdef:"
        )


@pytest.mark.parametrize("wrong", ["https://a.example", "a.example:80", "a.example/x", "a b", ""])
def test_a_host_that_could_never_fit_is_no_setting(wrong: str) -> None:
    with pytest.raises(SettingInvalid, match="allowed_hosts"):
        Settings(redis_url="redis://x", allowed_hosts=(wrong,))


@pytest.mark.parametrize("wrong", ["a.example", "https://a.example; script-src *", "'self'", "javascript:", "https://"])
def test_a_frame_ancestor_that_would_change_the_policy_is_no_setting(wrong: str) -> None:
    with pytest.raises(SettingInvalid, match="frame_ancestors"):
        Settings(redis_url="redis://x", frame_ancestors=(wrong,))
