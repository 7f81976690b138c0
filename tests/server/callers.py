"""Several callers of one server, each known by the token that it sends, and what they may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio

from livetask.server.access.caller import NOBODY, ROLES, Caller, Right
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
}


async def resolve(headers: dict[str, str], cookies: dict[str, str], remote: str) -> Caller | None:
    """The callable that the servers of these tests are told of."""
    scheme, _, name = headers.get("authorization", "").partition(" ")
    name = name if scheme == "Bearer" else cookies.get("caller", "")
    return CALLERS.get(name, NOBODY) if name else None


LINK: dict[Client, str] = {}
"""By the client of a server: the secret of a link to the task ``shown``, by which the caller ``linked`` comes."""


def as_caller(client: Client, name: str) -> dict[str, str]:
    """The headers that a request of this caller has."""
    return {"Authorization": f"Share {LINK[client]}" if name == "linked" else f"Bearer {name}"}


async def linked(client: Client, task_id: str, hours: float = 1) -> dict[str, Any]:
    """A new link to a task, made by the administrator."""
    place, headers = f"/api/tasks/{task_id}/shares", as_caller(client, "admin")
    async with client.post(place, json={"hours": hours}, headers=headers) as answer:
        made = await answer.json()
        assert answer.status == 201, made
        return dict(made, secret=made["path"].partition("#")[2])


@asynccontextmanager
async def guarded(url: str, **settings: Any) -> AsyncIterator[Client]:
    """A server that knows CALLERS."""
    app = small_app.make(url)
    given = {"auth": "tests.server.callers:resolve", "available_tasks": ("add", "say", "hidden"), **settings}
    async with served(url, app, **given) as client:
        LINK[client] = (await linked(client, "shown"))["secret"]
        yield client
        del LINK[client]
    app.pool.force_close_all()


@asynccontextmanager
async def connected(client: Client, name: str) -> AsyncIterator[socketio.AsyncClient]:
    """A Socket.IO client of this caller."""
    io = socketio.AsyncClient(reconnection=False)
    await io.connect(
        str(client.make_url("/")),
        auth={"share": LINK[client]} if name == "linked" else {"token": name},
        transports=["websocket"],
    )
    try:
        yield io
    finally:
        await io.disconnect()
