"""Every door of the server, read from its own tables, so that a new one is attacked without anybody's help."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from livetask.server.app import LIVE
from tests.attacks.conftest import TASK

_VALUES = {"task_id": TASK, "run": "1", "filename": "app.css"}


def asked_routes(app: web.Application) -> Iterator[tuple[str, str]]:
    """(method, path) of every route, with values in its places; HEAD is as GET."""
    for route in app.router.routes():
        resource = route.resource
        if resource is None or route.method == "HEAD":
            continue
        path = resource.canonical
        for name in route.get_info().get("formatter", path).split("{")[1:]:
            key = name.split("}")[0]
            path = path.replace("{" + key + "}", _VALUES.get(key, "x"))
        yield (
            ("GET" if route.method == "*" else route.method),
            path if "prefix" not in resource.get_info() else f"{path}/app.css",
        )


def events(app: web.Application) -> list[str]:
    """The names of every Socket.IO event that a client may send."""
    return sorted(app[LIVE].sockets.events)
