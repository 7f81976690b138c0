"""A run's log by HTTP: by offset, by lines, as a file to download.

| asked | answered |
|---|---|
| ``log?offset=`` | bytes from a position on, in the read protocol of durable streams; with ``live`` see sse.py |
| ``log?line=&count=``, ``log?tail=`` | lines as JSON, by their numbers; what cannot change any more may be cached |
| ``log.txt``, ``log.gz`` | all that is kept, sent in pieces; ``follow=1`` goes on until the run has ended |

Whatever the size of a log, a request holds one piece of it in memory, and a client that does not read is waited for.
What is missing is said: by a header where bytes are exact, by a line in a file for people.

Must never know: Redis' commands, Celery, Socket.IO.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from livetask.errors import ArgumentInvalid, PositionTrimmed, PositionUnknown, RunUnknown, TaskUnknown
from livetask.keys import task_id_checked
from livetask.position import START, Cursor, Entry, Gap, Position
from livetask.server.edge import whole_number
from livetask.server.log_lines import MOST_LINES, Fetch, Lines, last_lines, lines_from
from livetask.server.log_text import EscapesRemoved, gap_line
from livetask.server.slices import Slice
from livetask.server.tasks import Run, Task

Look = Callable[[str], Awaitable[Task | None]]
Read = Callable[[str, Cursor, int, int], Awaitable[Slice]]

Zipped = Callable[[str, Run], Awaitable[AsyncIterator[bytes] | None]]

_ANSWER_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_ENTRIES = 64
_RUN_LIMIT = 10**9
_LINE_LIMIT = 10**15


@dataclass(frozen=True, slots=True)
class Asked:
    """Which run a request is about. ``latest``: it was asked for as 'last', which may be another one later."""

    task: Task
    run: Run
    latest: bool

    @property
    def task_id(self) -> str:
        return self.task.task_id

    def cursor(self, position: Position) -> Cursor:
        return self.run.cursor(position)


class LogReader:
    """Finds runs and reads their output. ``look``, ``read``, ``fetch``: the store's task, read and entries."""

    def __init__(self, look: Look, read: Read, fetch: Fetch) -> None:
        self._look = look
        self._read = read
        self._fetch = fetch

    async def task(self, task_id: str) -> Task:
        """The task. Raises TaskIdInvalid, TaskUnknown."""
        task = await self._look(task_id_checked(task_id))
        if task is None:
            raise TaskUnknown(task_id)
        return task

    async def asked(self, task_id: str, run: str) -> Asked:
        """The run that ``run`` names, an ordinal or ``last``. Raises TaskIdInvalid, TaskUnknown, RunUnknown."""
        task = await self.task(task_id)
        if run == "last":
            found = task.runs[-1] if task.runs else None
        else:
            found = task.run(int(run)) if run.isascii() and run.isdecimal() and len(run) < 10 else None
        if found is None:
            raise RunUnknown(task_id, run)
        return Asked(task, found, run == "last")

    async def slice(self, asked: Asked, position: Position, max_bytes: int = _PIECE_BYTES) -> Slice:
        """What stands from a position on."""
        return await self._read(asked.task_id, asked.cursor(position), max_bytes, _ENTRIES)

    async def pieces(self, asked: Asked) -> AsyncIterator[Entry | Gap]:
        """All that is kept, up to the end as it is known when the request comes."""
        at, end = asked.run.first, asked.run.end
        if at != START:
            yield Gap(START, at, asked.run.first_why or "trimmed")
        while at.byte < end.byte:
            found = await self.slice(asked, at)
            for item in found.items:
                yield item
            if found.next == at:
                return
            at = found.next

    async def lines(self, asked: Asked, line: int | None, count: int) -> dict[str, Any]:
        """Lines as JSON has them. ``line``: the first one, None for the last lines there are."""
        cursor = asked.cursor(START)
        if line is None:
            found = await last_lines(self._fetch, asked.task_id, cursor, count)
        else:
            found = await lines_from(self._fetch, asked.task_id, cursor, line, count)
        return _lines_json(asked, found)

    async def lines_of(self, task_id: str, run: str, line: int | None, count: int) -> dict[str, Any]:
        """The same by a task's id and a run's ordinal or ``last``."""
        return await self.lines(await self.asked(task_id, run), line, min(count, MOST_LINES))


class LogApi:
    """The forms of a log that end by themselves. ``reader``: see LogReader.

    ``zipped``: gives the pieces of a log that lies compressed as a whole; None where no log does.
    """

    def __init__(self, reader: LogReader, zipped: Zipped | None = None) -> None:
        self._reader = reader
        self._stored = zipped

    async def by_lines(self, request: web.Request) -> web.Response:
        """``?line=N&count=M`` or ``?tail=N``."""
        asked = await asked_by(self._reader, request)
        if "tail" in request.query:
            line, count = None, whole_number(request, "tail", 1, MOST_LINES)
        else:
            line = whole_number(request, "line", 1, _LINE_LIMIT)
            count = whole_number(request, "count", 1, MOST_LINES, 100)
        answer = await self._reader.lines(asked, line, count)
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return _cached(request, text, lasting=answer["ended"] and not asked.latest)

    async def by_offset(self, request: web.Request) -> web.Response:
        """``?offset=``: the bytes from there on, at most about a mebibyte."""
        asked = await asked_by(self._reader, request)
        position = offset_of(request, asked)
        headers = {"Cache-Control": "no-store"}
        if request.query.get("offset") == "now":
            return self.bytes_response(b"", headers | state_headers(asked, position, asked.run.end, asked.run.how))
        check_kept(asked, position)
        body, headers_of_body = await self.read_bytes(asked, position)
        headers |= headers_of_body
        headers["ETag"] = f'"{position}.{headers["Stream-Next-Offset"]}.{headers.get("Stream-Closed", "")}"'
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return self.bytes_response(body, headers)

    def bytes_response(self, body: bytes, headers: dict[str, str]) -> web.Response:
        """Output as it is, with the headers that say what it is."""
        return web.Response(body=body, headers=headers | BYTES_HEADERS)

    async def read_bytes(self, asked: Asked, position: Position) -> tuple[bytes, dict[str, str]]:
        """The bytes from a position on up to the next gap, and the headers that say what they are.

        A gap at the position itself is passed over, and said in a header.
        """
        found = await self._reader.slice(asked, position, _ANSWER_BYTES)
        if found.end.byte < position.byte and found.how not in (None, "LOST"):
            raise PositionUnknown(str(asked.cursor(position)))
        gap = found.items[0] if found.items and isinstance(found.items[0], Gap) else None
        at = position if gap is None else gap.end
        body, items = bytearray(), found.items[1 if gap is not None else 0 :]
        while items and len(body) < _ANSWER_BYTES:
            for item in items:
                if isinstance(item, Gap):
                    break
                body += item.data
                at = item.end
            if at != found.next or at == found.end:
                break
            found = await self._reader.slice(asked, at, _ANSWER_BYTES - len(body))
            items = found.items
        headers = state_headers(asked, at, found.end, found.how)
        if gap is not None:
            headers["Stream-Gap"] = f"{gap.start} {gap.end} {gap.reason}"
        return bytes(body), headers

    async def text(self, request: web.Request) -> web.StreamResponse:
        """``log.txt``: what is kept at this moment; ``?colour=0`` without escape codes, ``?download=1`` as a file."""
        asked = await asked_by(self._reader, request)
        response = started(request, asked.task_id, asked.run.run, "log")
        return await self._sent(request, response, _coded(request, self._reader.pieces(asked)))

    async def gzip(self, request: web.Request) -> web.StreamResponse:
        """``log.gz``: the same, compressed, as a file; one that lies compressed is sent as it lies."""
        asked = await asked_by(self._reader, request)
        response = started(request, asked.task_id, asked.run.run, "log.gz")
        as_it_is = self._stored is not None and request.query.get("colour") != "0"
        if as_it_is and self._stored is not None and (pieces := await self._stored(asked.task_id, asked.run)):
            return await self._sent(request, response, pieces)
        return await self._sent(request, response, _zipped(_coded(request, self._reader.pieces(asked))))

    async def _sent(
        self, request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        async for piece in pieces:
            await response.write(piece)
        return response


async def asked_by(reader: LogReader, request: web.Request) -> Asked:
    """The run that the request's path names."""
    return await reader.asked(request.match_info["task_id"], request.match_info["run"])


def offset_of(request: web.Request, asked: Asked, text: str | None = None) -> Position:
    """The position that ``?offset=`` names: -1, now, a cursor, or ``line-byte``. Raises CursorInvalid, PositionUnknown.

    ``text``: read this instead.
    """
    if text is None and len(request.query.getall("offset", ())) > 1:
        raise ArgumentInvalid("offset", request.query.getall("offset"), "given once")
    offset = request.query.get("offset", "-1") if text is None else text
    if offset == "-1":
        return asked.run.first
    if offset == "now":
        return asked.run.end
    if "." not in offset:
        return Position.parse(offset)
    cursor = Cursor.parse(offset)
    if (cursor.run, cursor.nonce) != (asked.run.run, asked.run.nonce):
        raise PositionUnknown(offset)
    return cursor.position


def check_kept(asked: Asked, position: Position) -> None:
    """Raise PositionTrimmed if what stands there is no longer kept."""
    if position.byte < asked.run.first.byte:
        raise PositionTrimmed(str(asked.cursor(position)), str(asked.cursor(asked.run.first)), asked.run.first_why)


def state_headers(asked: Asked, at: Position, end: Position, how: str | None) -> dict[str, str]:
    """Where the client stands. A run given up as lost is not closed: it may turn out to live."""
    headers = {
        "Stream-Next-Offset": asked.cursor(at).offset,
        "Stream-First-Offset": asked.cursor(asked.run.first).offset,
    }
    if at == end:
        headers["Stream-Up-To-Date"] = "true"
        if how not in (None, "LOST"):
            headers["Stream-Closed"] = "true"
    return headers


def started(request: web.Request, task_id: str, run: int, ending: str) -> web.StreamResponse:
    """A response that a log is sent by, in pieces."""
    headers = TEXT_HEADERS | {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if ending == "log.gz":
        headers["Content-Type"] = "application/gzip"
    if ending == "log.gz" or request.query.get("download") == "1":
        name = f"{task_id}-run{run}.{ending}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return web.StreamResponse(headers=headers)


async def _coded(request: web.Request, items: AsyncIterator[Entry | Gap]) -> AsyncIterator[bytes]:
    """The bytes of a file for people: a gap is a line of its own."""
    plain = EscapesRemoved() if request.query.get("colour") == "0" else None
    begins_line = True
    async for item in items:
        data = gap_line(item, begins_line) if isinstance(item, Gap) else item.data
        if plain is not None:
            data = plain.fed(data)
        if data:
            begins_line = data.endswith(b"\n")
            yield data
    if plain is not None and (rest := plain.rest()):
        yield rest


async def _zipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Compressed in steps of one piece, a few ms each, so that the loop goes on between them."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    async for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def _cached(request: web.Request, body: bytes, *, lasting: bool) -> web.Response:
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    keep = "private, max-age=600" if lasting else "private, no-cache"
    headers = {"ETag": etag, "Cache-Control": keep}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers, content_type="application/json", charset="utf-8")


def _lines_json(asked: Asked, found: Lines) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "first_line": found.first_line,
        "lines": [line.decode("utf-8", "replace") for line in found.lines],
        "sgr": found.sgr,
        "first_kept_line": found.first_kept.line,
        "end": str(asked.cursor(found.end)),
        "complete": found.complete,
        "ended": found.how not in (None, "LOST"),
        "gaps": [{"from": str(gap.start), "to": str(gap.end), "reason": gap.reason} for gap in found.gaps],
    }
    if found.cut:
        answer["cut"] = {str(line): size for line, size in found.cut.items()}
    if found.times:
        answer["times"] = [list(time) for time in found.times]
    return answer


TEXT_HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}
"""Output is hostile text: a browser must not make anything else of it."""

BYTES_HEADERS = TEXT_HEADERS | {"Content-Type": "text/plain"}
"""The same for bytes, which may begin and end within a character: no charset would be true of them."""
