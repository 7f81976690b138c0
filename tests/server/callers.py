"""Several callers of one server, each known by the token that it sends, and what they may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import socketio

from livetask.server import app as app_room
from livetask.server.access.caller import NOBODY, ROLES, Caller, Right
from livetask.server.access.gate import Gate
from livetask.server.access.presented import Presented
from tests.server import small_app
from tests.server.serving import Client, served


def _caller(name: str, *rights: Right, role: str = "") -> Caller:
    return Caller(name, "token", role, rights or ROLES[role], f"id-of-{name}")


def right(*abilities: str, **limits: Any) -> Right:
    return Right(frozenset(abilities), **limits)


ALL = ("view", "start", "cancel", "rerun", "download")

CALLERS = {
    "admin": _caller("admin", role="admin"),
    "operator": _caller("operator", role="operator"),
    "viewer": _caller("viewer", role="viewer"),
    "says": _caller("says", right(*ALL, tasks=("say", "add"))),
    "anna": _caller("anna", right(*ALL, owner=True)),
    "ben": _caller("ben", right(*ALL, owner=True)),
    "gpu": _caller("gpu", right(*ALL, queues=("gpu",))),
    "linked": Caller("share link", "share", "", (right("view", task_ids=("shown",)),), "s1"),
}


async def by_token(presented: Presented) -> Caller | None:
    """A way to be recognised."""
    return CALLERS.get(presented.token, NOBODY) if presented.token else None


def as_caller(name: str) -> dict[str, str]:
    """The headers that a request of this caller has."""
    return {"Authorization": f"Bearer {name}"}


@asynccontextmanager
async def guarded(url: str, **settings: Any) -> AsyncIterator[Client]:
    """A server that knows CALLERS."""
    app = small_app.make(url)
    with mock.patch.object(app_room, "Gate", return_value=Gate([by_token])):
        async with served(url, app, available_tasks=("add", "say", "hidden"), **settings) as client:
            yield client
    app.pool.force_close_all()


@asynccontextmanager
async def connected(client: Client, name: str) -> AsyncIterator[socketio.AsyncClient]:
    """A Socket.IO client of this caller."""
    io = socketio.AsyncClient(reconnection=False)
    await io.connect(str(client.make_url("/")), auth={"token": name}, transports=["websocket"])
    try:
        yield io
    finally:
        await io.disconnect()
