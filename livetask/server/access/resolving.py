"""The user's own callable that says who asks: the setting ``auth = "proj.auth:resolve"``.

It is called with ``headers`` and ``cookies`` (one text for each name; header names in lower case) and ``remote``, the
address that the request comes from. What a Socket.IO client connected with as ``auth: {token}`` comes as the header
``authorization``. It gives a Caller, a pair of a name and a role, or None for nobody. It may be async; one that is not
runs in a thread.

An exception, an answer of another kind, and none within five seconds all mean that nobody is let in; that is logged,
without what was presented.

Must never know: HTTP, Redis, what the callable does.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from livetask.server.access.caller import NOBODY, ROLES, Caller
from livetask.server.access.presented import Presented
from livetask.setting_errors import SettingInvalid

WITHIN_S = 5.0
_THREADS = 16

log = logging.getLogger(__name__)


class Resolving:
    """See the module's docstring. ``resolve``: the callable. ``close`` it."""

    def __init__(self, resolve: Callable[..., Any], within_s: float = WITHIN_S) -> None:
        self._resolve = resolve
        self._within_s = within_s
        self._is_async = inspect.iscoroutinefunction(resolve) or inspect.iscoroutinefunction(
            getattr(resolve, "__call__", None)  # noqa: B004 - an object whose calls are coroutines
        )
        self._threads = ThreadPoolExecutor(_THREADS, "livetask-auth")

    def close(self) -> None:
        """Give the threads back; one that hangs in a call goes with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def way(self, presented: Presented) -> Caller | None:
        """Whom the callable sees in it."""
        try:
            async with asyncio.timeout(self._within_s):
                answer = await self._asked(presented)
        except TimeoutError:
            log.error("auth: the callable gave no answer within %g s; nobody was let in", self._within_s)
            return NOBODY
        except Exception as error:  # whatever it raises, nobody is let in by it
            log.error("auth: the callable raised %s; nobody was let in", type(error).__name__)
            return NOBODY
        return _caller_of(answer)

    async def _asked(self, presented: Presented) -> Any:
        headers = {name: ", ".join(values) for name, values in presented.headers.items()}
        if presented.auth.get("token"):
            headers["authorization"] = f"Bearer {presented.auth['token']}"
        given = {"headers": headers, "cookies": dict(presented.cookies), "remote": presented.remote}
        if self._is_async:
            return await self._resolve(**given)
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._resolve(**given))


def _caller_of(answer: Any) -> Caller | None:
    match answer:
        case None:
            return None
        case Caller():
            return NOBODY if not answer.name else replace(answer, by="callable", credential="")
        case (str(name), str(role)) if name:
            return Caller(name, "callable", role, ROLES.get(role, ()))
    log.error("auth: the callable gave a %s; expected a Caller, (name, role) or None", type(answer).__name__)
    return NOBODY


def resolve_named(name: str) -> Callable[..., Any]:
    """The callable ``module:attribute``. Raises SettingInvalid; an error inside the module keeps its traceback."""
    expected = "'required', or a callable as module:name, for example proj.auth:resolve"
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise SettingInvalid("auth", name, expected)
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 - as celery does
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise SettingInvalid("auth", name, f"{expected}; there is no module {module_name}") from None
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SettingInvalid("auth", name, f"{expected}; there is no such callable in {module_name}")
    resolve: Callable[..., Any] = found
    return resolve
