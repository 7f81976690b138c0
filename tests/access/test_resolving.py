"""The user's own callable that says who asks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import socketio

from livetask.server.access.caller import NOBODY, ROLES, Caller, Right
from livetask.server.access.presented import Presented
from livetask.server.access.resolving import Resolving, resolve_named
from livetask.setting_errors import SettingInvalid
from tests.access.conftest import Stored, bearer
from tests.server.serving import served


def by_team(headers: dict[str, str], cookies: dict[str, str], remote: str) -> Caller | None:
    """What the tests' server is given as its ``auth``."""
    known = headers.get("authorization") == "Bearer ours" or cookies.get("team") == "ours"
    return Caller("team", "", "viewer", ROLES["viewer"]) if known and remote else None


async def test_a_server_asks_the_callable_for_http_and_sockets(stored: Stored) -> None:
    async with served(stored.url, auth=f"{__name__}:by_team") as client:
        for headers in (bearer("ours"), {"Cookie": "team=ours"}):
            async with client.get("/api/me", headers=headers) as answer:
                assert ((await answer.json())["name"], answer.status) == ("team", 200)
        async with client.get("/api/me", headers=bearer("theirs")) as answer:
            assert answer.status == 401
        async with client.get("/api/me", headers=bearer(await stored.token())) as answer:
            assert (await answer.json())["by"] == "token"
        async with socketio.AsyncSimpleClient() as viewer:
            await viewer.connect(str(client.make_url("/")), auth={"token": "ours"}, transports=["websocket"])
        async with socketio.AsyncSimpleClient() as viewer:
            with pytest.raises(socketio.exceptions.ConnectionError):
                await viewer.connect(str(client.make_url("/")), auth={"token": "theirs"})


async def _answered(resolve: Any, within_s: float = 5.0) -> Caller | None:
    resolving = Resolving(resolve, within_s)
    try:
        return await resolving.way(Presented("192.0.2.7", {"x-a": ("1", "2")}, {"c": "d"}))
    finally:
        resolving.close()


async def test_it_is_given_plain_values_whether_it_is_async_or_not() -> None:
    seen: list[dict[str, Any]] = []

    def plain(**given: Any) -> tuple[str, str]:
        seen.append(given)
        return "anna", "operator"

    async def waiting(**given: Any) -> tuple[str, str]:
        seen.append(given)
        return "anna", "operator"

    for resolve in (plain, waiting):
        caller = await _answered(resolve)
        assert caller == Caller("anna", "callable", "operator", ROLES["operator"])
    assert seen == [{"headers": {"x-a": "1, 2"}, "cookies": {"c": "d"}, "remote": "192.0.2.7"}] * 2


async def test_rights_of_its_own_are_kept_and_it_cannot_pass_for_another_way() -> None:
    own = (Right(frozenset({"view"}), tasks=("report.*",)),)
    caller = await _answered(lambda **_: Caller("anna", "open", "", own, "x"))
    assert caller == Caller("anna", "callable", "", own)


@pytest.mark.parametrize(
    "answer", [True, "anna", 7, ("anna",), ("", "admin"), ("anna", None), {"name": "anna"}, NOBODY]
)
async def test_an_answer_of_another_kind_lets_nobody_in(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    assert await _answered(lambda **_: answer) is NOBODY


async def test_one_that_raises_lets_nobody_in_and_is_logged_without_what_it_saw(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def resolve(**_: Any) -> None:
        raise ValueError("s3cret")

    assert await _answered(resolve) is NOBODY
    assert "ValueError" in caplog.text
    assert "s3cret" not in caplog.text


async def test_one_that_hangs_lets_nobody_in_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    async def forever(**_: Any) -> None:
        await asyncio.Event().wait()

    for resolve in (forever, lambda **_: over.wait(30)):
        async with asyncio.timeout(10):
            assert await _answered(resolve, within_s=0.05) is NOBODY
    over.set()
    assert caplog.text.count("no answer within") == 2


@pytest.mark.parametrize("name", ["x", "no_such_module:x", "json:nothing", "json:", ":x", "json:__name__"])
def test_a_callable_that_is_not_there_is_told_at_the_start(name: str) -> None:
    with pytest.raises(SettingInvalid, match=r"proj\.auth:resolve"):
        resolve_named(name)
