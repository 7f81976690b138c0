"""The gate: who is it that asks?"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from livetask.access_errors import LoginNeeded
from livetask.server.access.caller import ABILITIES, NOBODY, OPEN, ROLES, Caller
from livetask.server.access.gate import CALLER, Gate, caller_now
from livetask.server.access.presented import Presented

ANNA = Caller("anna", "token", "viewer", ROLES["viewer"])


async def _by_token(presented: Presented) -> Caller | None:
    if not presented.token:
        return None
    return ANNA if presented.token == "right" else NOBODY


async def _everybody_else(presented: Presented) -> Caller | None:
    return Caller("guest", "callable", "viewer", ROLES["viewer"])


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def who(request: web.Request) -> web.Response:
        assert request[CALLER] == caller_now()
        return web.json_response(request[CALLER].name)

    app = web.Application(middlewares=[Gate([_by_token]).middleware])
    app.add_routes([web.get("/who", who)])
    async with TestClient(TestServer(app)) as found:
        yield found


async def test_without_a_way_to_be_recognised_everyone_may_do_everything() -> None:
    assert await Gate().admitted(Presented()) is OPEN
    assert {ability for right in OPEN.rights for ability in right.abilities} == ABILITIES


async def test_with_a_way_nobody_is_let_in_unrecognised() -> None:
    with pytest.raises(LoginNeeded):
        await Gate([_by_token]).admitted(Presented())


async def test_what_was_presented_and_does_not_hold_is_not_tried_in_other_ways() -> None:
    gate = Gate([_by_token, _everybody_else])
    wrong = Presented(headers={"authorization": ("Bearer wrong",)})
    assert await gate.caller_of(wrong) is NOBODY
    assert (await gate.caller_of(Presented())).name == "guest"


async def test_a_request_carries_who_it_comes_from(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.get("/who", headers={"Authorization": "bearer right"})
    assert await answer.json() == "anna"


def test_two_authorization_headers_present_nothing() -> None:
    assert Presented(headers={"authorization": ("Bearer a", "Bearer b")}).token == ""


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_whatever_a_socket_connects_with_is_read_as_texts_or_nothing(payload: object) -> None:
    assert all(isinstance(value, str) for value in Presented().with_auth(payload).auth.values())


def test_what_was_presented_does_not_show_in_logs() -> None:
    shown = repr(Presented("127.0.0.1", {"authorization": ("Bearer s3cret",)}, {"a": "s3cret"}, {"token": "s3cret"}))
    assert "s3cret" not in shown
