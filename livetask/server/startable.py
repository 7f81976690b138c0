"""The tasks that clients may start, each with the form to fill in: those that workers have published, then those of
the app, then the bare names in the allow-list. Nothing is guessed: where nobody has said what a task takes, the form
says so.

Must never know: Celery, Redis' commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from livetask.errors import ArgumentInvalid, RedisUnavailable
from livetask.server.published import Known
from livetask.signature import TaskForm

Read = Callable[[], Awaitable[Mapping[str, Known]]]
Own = Callable[[], Awaitable[Sequence[TaskForm]]]


class Startable:
    """``published``: what workers have. ``own``: what the app or the allow-list has. ``allows``: the allow-list,
    and whether the one who asks may start such a task."""

    def __init__(self, published: Read, own: Own, allows: Callable[[str], bool]) -> None:
        self._published = published
        self._own = own
        self._allows = allows

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.get("/api/startable", self.get)]

    async def get(self, request: web.Request) -> web.Response:
        """The tasks that may be started here, by name."""
        return web.json_response({"tasks": await self.listed()}, headers={"Cache-Control": "no-store"})

    async def listed(self) -> list[dict[str, Any]]:
        """The tasks as JSON. Raises BrokerUnavailable if the app cannot be read."""
        try:
            published = await self._published()
        except RedisUnavailable:
            published = {}
        found = {form.name: Known((form,), ()) for form in await self._own()}
        found |= {name: known for name, known in published.items() if self._allows(name)}
        return [
            found[name].forms[0].as_json() | {"workers": list(found[name].workers)}
            for name in sorted(found)
            if self._allows(name)
        ]


def check_fits(forms: Sequence[TaskForm], args: Sequence[Any], kwargs: Mapping[str, Any], given_first: int = 0) -> None:
    """Raise ArgumentInvalid if a call fits none of the forms. Workers of two versions can have two of them.

    ``given_first``: how many arguments come first that nobody knows yet, as in a chain.
    """
    refusal: ArgumentInvalid | None = None
    for form in forms:
        try:
            form.check(args, kwargs, given_first)
        except ArgumentInvalid as error:
            refusal = refusal or error
        else:
            return
    if refusal is not None:
        raise refusal
