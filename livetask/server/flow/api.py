"""Workflows over HTTP: the tasks that share a root (chains, groups, chords), and their logs as one.

A workflow is found by the root that Celery gives to every task that another one sends. A group or chord that is sent
without a task around it has none; its workers name it instead, as ``group:ID``, also to what comes of it and to the
chains in it: Celery makes the first task of each the root of a workflow, but its last step tells of the group.

Must never know: Redis' commands, Celery, Socket.IO.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2s
from typing import Any, Protocol

from aiohttp import web

from livetask.errors import ArgumentInvalid, CursorInvalid, TaskUnknown
from livetask.keys import task_id_checked
from livetask.position import Entry, Position
from livetask.server.flow.merging import Merged, Piece, Place, ReadMany, merged
from livetask.server.listing.asked import Listing, Wish
from livetask.server.listing.rows import row_of
from livetask.server.listing.wanted import Filter, Term
from livetask.server.tasks import Task
from livetask.server.wire import task_json, text_of_output

MOST_TASKS = 200
MOST_LOGS = 50
"""So many tasks of a workflow are shown, and so many logs are merged: those that were heard of first."""

_TOKEN_CHARACTERS = 6000
_NOT_KEPT = {"Cache-Control": "no-store"}


class TaskList(Protocol):
    """What is needed of the list."""

    async def listing(self, wish: Wish) -> Listing: ...


class FlowApi:
    """``look``: reads a task, None if there is none. ``read``: reads output. Both for the one who asks.

    ``archived``: with a root, who of it lies in the archive and ended when a task of it did.
    """

    def __init__(
        self,
        look: Callable[[str], Awaitable[Task | None]],
        tasks: TaskList,
        read: ReadMany,
        archived: Callable[[Filter, Task], Awaitable[Sequence[Task]]],
    ) -> None:
        self._look = look
        self._tasks = tasks
        self._read = read
        self._archived = archived

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        place = "/api/tasks/{task_id}/workflow"
        return [web.get(place, self.get_workflow), web.get(f"{place}/log", self.get_log)]

    async def get_workflow(self, request: web.Request) -> web.Response:
        """The tasks that share this task's root, those heard of first come first."""
        root, listing = await self._members(request.match_info["task_id"], MOST_TASKS)
        found = {"root": root, "tasks": [task_json(task) for task in listing.tasks], "total": listing.total}
        return web.json_response(found, headers=_NOT_KEPT)

    async def get_log(self, request: web.Request) -> web.Response:
        """``?after=``: what comes next of the merged log; see ``merging`` for its order."""
        places = _places_read(request.query.get("after", ""))
        root, listing = await self._members(request.match_info["task_id"], MOST_LOGS)
        known = {task.task_id: places[name] for task in listing.tasks if (name := _short(task.task_id)) in places}
        found = await merged(listing.tasks, known, self._read)
        left_out = max(0, listing.total - len(listing.tasks))
        return web.json_response(_merged_json(root, found, left_out), headers=_NOT_KEPT)

    async def _members(self, task_id: str, limit: int) -> tuple[str, Listing]:
        task = await self._look(task_id_checked(task_id))
        if task is None:
            raise TaskUnknown(task_id)
        root = task.root_id or task_id
        wish = Wish(Filter((Term("root", root.casefold()),)), order="oldest", limit=limit)
        listing = await self._tasks.listing(wish)
        if listing.total > len(listing.tasks) or any(one.task_id == task.task_id for one in listing.tasks):
            return root, listing
        # the list has forgotten it, and others of it perhaps
        found = {one.task_id: one for one in (*await self._archived(wish.wanted, task), task, *listing.tasks)}
        oldest = sorted(found.values(), key=lambda one: (row_of(one).born_ms, one.task_id))
        return root, replace(listing, tasks=tuple(oldest[:limit]), total=len(oldest))


def _merged_json(root: str, found: Merged, left_out: int) -> dict[str, Any]:
    places = {_short(task_id): [place.run, str(place.position)] for task_id, place in found.places.items()}
    text = json.dumps(places, separators=(",", ":"))
    return {
        "root": root,
        "pieces": [_piece_json(piece) for piece in found.pieces],
        "next": base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
        "more": found.more,
        "ended": found.ended,
        "left_out": left_out,
    }


def _piece_json(piece: Piece) -> dict[str, Any]:
    item = piece.item
    found = {"task_id": piece.task_id, "run": piece.run, "from": str(item.start), "to": str(item.end)}
    if isinstance(item, Entry):
        sgr = item.sgr.decode("ascii", "replace")
        return {**found, "at": piece.at_ms or None, "text": text_of_output(item.data), "sgr": sgr}
    return {**found, "at": None, "reason": item.reason}


def _short(task_id: str) -> str:
    """Stands for a task in a token, which has to fit into an address."""
    return blake2s(task_id.encode(), digest_size=8).hexdigest()


def _places_read(token: str) -> Mapping[str, Place]:
    if not token:
        return {}
    try:
        if len(token) > _TOKEN_CHARACTERS:
            raise ValueError("too long")
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return {str(name): Place(_ordinal(run), Position.parse(at)) for name, (run, at) in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError, CursorInvalid):
        raise ArgumentInvalid("after", token, "what an answer before gave as next") from None


def _ordinal(run: object) -> int:
    if type(run) is not int or not 0 < run < 10**9:
        raise ValueError("no run")
    return run
