"""A write side for tests: streams are made and appended to by the protocol's PUT, POST and DELETE.

A stream is run 1 of a task, written by livetask's own scripts. Whatever reads is sent on to livetask itself, which
answers it alone: no header and no byte of an answer comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import redis
from aiohttp import web

from livetask.position import Cursor
from tests.real.writer import RunWriter

_ENTRY_BYTES = 16 * 1024
_MOST_BYTES = 16 << 20
_NOSNIFF = {"X-Content-Type-Options": "nosniff"}


@dataclass
class _Stream:
    """A stream that was made. ``kind``: its content type."""

    writer: RunWriter
    kind: str
    closed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Where it ends, and whether it is closed."""
        offset = Cursor(self.writer.ordinal, self.writer.nonce, self.writer.end).offset
        headers = _NOSNIFF | {"Stream-Next-Offset": offset, "Content-Type": self.kind}
        return headers | ({"Stream-Closed": "true"} if self.closed else {})

    def add(self, data: bytes) -> None:
        for start in range(0, len(data), _ENTRY_BYTES):
            self.writer.write(data[start : start + _ENTRY_BYTES])

    def close(self) -> None:
        self.closed = True
        self.writer.finish()


class Writable:
    """The write side. ``livetask_url``: who reads. ``redis_url``: where both look."""

    def __init__(self, livetask_url: str, redis_url: str) -> None:
        self._livetask_url = livetask_url.rstrip("/")
        self._redis = redis.Redis.from_url(redis_url)
        self._streams: dict[str, _Stream] = {}

    def app(self) -> web.Application:
        """What serves it, at ``/v1/stream/<name>``."""
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_put("/v1/stream/{name}", self._make)
        app.router.add_post("/v1/stream/{name}", self._append)
        app.router.add_delete("/v1/stream/{name}", self._delete)
        for method in ("GET", "OPTIONS"):
            app.router.add_route(method, "/v1/stream/{name}", self._read)
        app.router.add_head("/v1/stream/{name}", self._read)
        return app

    async def _make(self, request: web.Request) -> web.Response:
        name, kind = request.match_info["name"], request.headers.get("Content-Type", "application/octet-stream")
        known = self._streams.get(name)
        if known is not None:
            return web.Response(status=200 if known.kind == kind else 409, headers=known.headers)
        made = self._streams[name] = _Stream(RunWriter(self._redis, name, cap_bytes=2 * _MOST_BYTES), kind)
        made.writer.begin()
        made.add(await request.read())
        if request.headers.get("Stream-Closed") == "true":
            made.close()
        return web.Response(status=201, headers=made.headers | {"Location": str(request.url)})

    async def _append(self, request: web.Request) -> web.Response:
        stream, data = self._streams.get(request.match_info["name"]), await request.read()
        if stream is None:
            return web.Response(status=404, headers=_NOSNIFF)
        if stream.closed and data:
            return web.Response(status=409, headers=stream.headers)
        stream.add(data)
        if request.headers.get("Stream-Closed") == "true" and not stream.closed:
            stream.close()
        return web.Response(status=204, headers=stream.headers)

    async def _delete(self, request: web.Request) -> web.Response:
        stream = self._streams.pop(request.match_info["name"], None)
        if stream is None:
            return web.Response(status=404, headers=_NOSNIFF)
        self._redis.delete(stream.writer.task, stream.writer.output)
        return web.Response(status=204, headers=_NOSNIFF)

    async def _read(self, request: web.Request) -> web.Response:
        """Where livetask has it: the client goes there by itself, with the same method and headers."""
        place = f"{self._livetask_url}/api/tasks/{quote(request.match_info['name'])}/runs/1/log"
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        return web.Response(status=307, headers={"Location": place + query})
