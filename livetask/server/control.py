"""Starting, stopping and asking after tasks by Celery: the only room in server/ that knows Celery.

Celery's calls block, so each runs in a lane (lane.py) with a connection of its own, that neither retries nor outlives
the call: after a broker's restart the first call works, and one that was answered with 'failed' is not sent later,
except when the broker hangs in the very act of taking it.

Must never know: HTTP, Socket.IO, what Redis holds (it is given a function that notes facts about a task).
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from livetask.arguments import kept_call
from livetask.errors import (
    ArgumentInvalid,
    BrokerUnavailable,
    NotFound,
    TaskNotAllowed,
    TooLarge,
    Unavailable,
)
from livetask.keys import task_id_checked
from livetask.server.lane import Lane, StillWanted
from livetask.server.options import OPTIONS, options_read
from livetask.server.revoking import Answer, ask_to_terminate, tell_to_revoke
from livetask.server.startable import check_fits
from livetask.settings import without_password
from livetask.signature import TaskForm, form_of, options_of

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

T = TypeVar("T")
FormsOf = Callable[[str], Awaitable[Sequence[TaskForm]]]
Note = Callable[[str, str, Mapping[str, str]], Awaitable[None]]
"""Notes facts about a task: (task id, 'queued' or 'state', fields)."""

_log = logging.getLogger(__name__)

_CALLS_AT_ONCE = 4
_ANSWER_S = 2.0
_NAME_LIMIT = 255
_SHOWN_LIMIT = 1024
_GLOB_SIGNS = "*?["
_FIELDS = ("task_name", "args", "kwargs", "room", "chain", *OPTIONS)


@dataclass(frozen=True, slots=True)
class Call:
    """A checked wish to start a task. ``name``: of the task. ``args``, ``kwargs``: as JSON has them.

    ``options``: those given of queue, countdown and priority.
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]

    @classmethod
    def parse(cls, message: object, limit_bytes: int) -> Call:
        """Read ``{task_name, args?, kwargs?, queue?, countdown?, priority?}``; raises ArgumentInvalid or TooLarge."""
        if not isinstance(message, dict):
            raise ArgumentInvalid("message", message, "an object with task_name, args and kwargs")
        for field in message:
            if field not in _FIELDS:
                raise ArgumentInvalid(str(field)[:80], message[field], "no such field")
        if message.get("chain"):
            raise ArgumentInvalid("chain", message["chain"], "none: chains are not supported yet")
        name = message.get("task_name")
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_LIMIT or not name.isprintable():
            raise ArgumentInvalid("task_name", name, f"the name of a task, 1 to {_NAME_LIMIT} characters")
        args = _or_empty(message.get("args"), [])
        if not isinstance(args, list):
            raise ArgumentInvalid("args", args, "a list")
        kwargs = _or_empty(message.get("kwargs"), {})
        if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
            raise ArgumentInvalid("kwargs", kwargs, "an object")
        _check_size([args, kwargs], limit_bytes)
        return cls(name, args, kwargs, options_read(message))


@dataclass(frozen=True, slots=True)
class TaskFate:
    """What Celery's result backend knows. ``state``: Celery's word. ``result``: the value, or None; fit for JSON."""

    state: str
    result: Any


class Control:
    """Sends, revokes and asks after tasks.

    ``celery_app``: None when livetask serves without one; then the broker is ``redis_url`` and any allowed name is
    sent. ``available_tasks``: names and globs. ``timeout_s``: patience for one call. ``limit_bytes``: the most that
    arguments may take as JSON. ``show_arguments``: whether arguments are noted. ``note``: see Note.
    ``forms_of``: what workers have published of how a task is called.
    """

    def __init__(
        self,
        celery_app: Celery | None,
        *,
        redis_url: str,
        available_tasks: Iterable[str],
        timeout_s: float,
        limit_bytes: int,
        show_arguments: bool,
        note: Note,
        forms_of: FormsOf,
    ) -> None:
        self._app = celery_app
        self._registers = celery_app is not None
        self._redis_url = redis_url
        self._available = tuple(available_tasks)
        self._timeout_s = timeout_s
        self._limit_bytes = limit_bytes
        self._show_arguments = show_arguments
        self._note = note
        self._forms_of = forms_of
        self.answer_s = min(_ANSWER_S, timeout_s / 2)
        """How long a worker may take to answer."""
        # A dead result backend must not keep anybody from starting a task.
        self._publishing = Lane("livetask-publish", _CALLS_AT_ONCE, timeout_s)
        self._asking = Lane("livetask-ask", _CALLS_AT_ONCE, timeout_s)

    def close(self) -> None:
        """Give the threads back; one that hangs in a call goes with the process."""
        self._publishing.close()
        self._asking.close()

    # ---- starting

    async def send(self, message: object, more: Mapping[str, str] | None = None) -> str:
        """Start the task that ``message`` names, as Call.parse reads it, and return its id. ``more``: fields to note.

        Raises ArgumentInvalid, TooLarge, TaskNotAllowed, NotFound (the app has no such task), BrokerUnavailable.
        """
        call = Call.parse(message, self._limit_bytes)
        if not self.allows(call.name):
            raise TaskNotAllowed(call.name)
        forms = await self._forms_of(call.name)
        check_fits(forms, call.args, call.kwargs)
        fields = {"name": call.name, "queued_at": str(int(time.time() * 1000)), **(more or {})}
        task_id = await self._run(self._publishing, lambda wanted: self._send(call, forms, wanted))
        if self._show_arguments:
            fields |= {"args": _shown(tuple(call.args)), "kwargs": _shown(call.kwargs)}
            fields |= kept_call(call.args, call.kwargs)
        if "queue" in call.options:
            fields["queue"] = call.options["queue"]
        await self._noted(task_id, "queued", fields)
        return task_id

    async def startable(self) -> list[TaskForm]:
        """The allowed tasks that the app has, or, without an app, the names in the allow-list."""
        return await self._run(self._asking, lambda wanted: self._startable())

    def _startable(self) -> list[TaskForm]:
        if self._app is None or not self._registers:
            return [TaskForm(name) for name in sorted({*self._available}) if not set(name) & set(_GLOB_SIGNS)]
        return [form_of(self._app, task) for name, task in sorted(self._app.tasks.items()) if self.allows(name)]

    def allows(self, name: str) -> bool:
        """Whether the allow-list holds this task. Celery's own are never started from outside."""
        return not name.startswith("celery.") and any(fnmatchcase(name, pattern) for pattern in self._available)

    def _send(self, call: Call, forms: Sequence[TaskForm], wanted: StillWanted) -> str:
        from celery.utils import uuid

        app = self._celery()
        task_id, options = uuid(), self._options(app, call, forms)
        with self._connection(app, wanted) as connection, _results_unclaimed:
            app.send_task(
                call.name,
                args=call.args,
                kwargs=call.kwargs,
                task_id=task_id,
                connection=connection,
                retry=False,
                add_to_parent=False,
                **options,
            )
        return task_id

    def _options(self, app: Celery, call: Call, forms: Sequence[TaskForm]) -> dict[str, Any]:
        """How to send it: as the client says, as the task says of itself, as its worker has published."""
        if not self._registers:
            queue = forms[0].queue if forms else None
            return {"queue": queue, **call.options} if queue else call.options
        task = app.tasks.get(call.name)
        if task is None:
            if not forms:
                raise NotFound(f"the Celery app has no task {call.name!r}: is its module among the imports?")
            return call.options
        if not forms:
            check_fits([form_of(app, task)], call.args, call.kwargs)
        own = {} if "queue" in call.options else options_of(task)
        return own | call.options

    # ---- stopping

    async def revoke(self, task_ids: Sequence[object]) -> None:
        """Tell all workers not to begin these tasks. Raises TaskIdInvalid, BrokerUnavailable."""
        checked = [task_id_checked(task_id) for task_id in task_ids]

        def tell(wanted: StillWanted) -> None:
            app = self._celery()
            with self._connection(app, wanted) as connection:
                tell_to_revoke(app, connection, checked)

        await self._run(self._publishing, tell)

    async def terminate(self, task_ids: Sequence[str], worker: str | None) -> list[Answer]:
        """What the worker of that name did to end these tasks where they run; of all workers, if None.

        An empty list: nobody has answered. Raises BrokerUnavailable.
        """

        def ask(wanted: StillWanted) -> list[Answer]:
            app = self._celery()
            with self._connection(app, wanted) as connection:
                return ask_to_terminate(app, connection, task_ids, worker, self.answer_s)

        return await self._run(self._publishing, ask)

    # ---- asking

    async def info(self, task_id: object) -> TaskFate:
        """What the result backend knows of the task: state PENDING if nothing, or if there is no backend.

        Raises TaskIdInvalid, BrokerUnavailable.
        """
        checked = task_id_checked(task_id)
        return await self._run(self._asking, lambda wanted: self._info(checked))

    def _info(self, task_id: str) -> TaskFate:
        from celery.backends.base import DisabledBackend
        from celery.result import AsyncResult

        app = self._celery()
        if isinstance(app.backend, DisabledBackend):
            return TaskFate("PENDING", None)
        found: AsyncResult[Any] = AsyncResult(task_id, app=app)
        state, result = found.state, found.result
        return TaskFate(str(state), _fit_for_json(result))

    # ---- the broker

    async def _run(self, lane: Lane, call: Callable[[StillWanted], T]) -> T:
        """Run a call in a lane. Everything of Celery happens there: its first imports alone take a second."""

        def explained(wanted: StillWanted) -> T:
            try:
                return call(wanted)
            except Exception as error:
                raise self._explained(error) from error

        try:
            return await lane.run(explained)
        except TimeoutError:
            raise BrokerUnavailable(f"no answer in {self._timeout_s} s") from None

    def _explained(self, error: Exception) -> Exception:
        """BrokerUnavailable for what a lost connection looks like in any transport; a bug stays what it is."""
        from celery.exceptions import BackendError
        from kombu.exceptions import KombuError

        modules = {kind.__module__.split(".", 1)[0] for kind in type(error).__mro__}
        if isinstance(error, (OSError, KombuError, BackendError)) or modules & {"redis", "amqp"}:
            return BrokerUnavailable(f"{type(error).__name__}: {self._masked(error)}")
        return error

    def _masked(self, error: Exception) -> str:
        text = (str(error).splitlines() or [""])[0][:200]
        url = self._redis_url if self._app is None else str(self._app.conf.broker_url or "")
        return text.replace(url, without_password(url)) if url else text

    def _celery(self) -> Celery:
        """The app, or a bare one on livetask's Redis; called in a thread, because importing Celery takes long."""
        if self._app is None:
            from celery import Celery

            url = self._redis_url.replace("valkey", "redis", 1)
            self._app = Celery("livetask", broker=url, backend=url, set_as_current=False)
        return self._app

    @contextlib.contextmanager
    def _connection(self, app: Celery, wanted: StillWanted) -> Iterator[Connection]:
        """A connected broker connection that gives up in time; raises TimeoutError if nobody waits any more."""
        connection = app.connection_for_write(connect_timeout=self._timeout_s)
        patience = _PATIENCE.get(str(connection.transport_cls), ())
        connection.transport_options = {
            **(connection.transport_options or {}),
            **dict.fromkeys(patience, self._timeout_s),
        }
        try:
            connection.connect()
            if not wanted:
                raise TimeoutError("given up")
            yield connection
        finally:
            connection.release()

    async def _noted(self, task_id: str, what: str, fields: Mapping[str, str]) -> None:
        """Note it; a Redis that is away does not undo what the broker has taken."""
        try:
            await self._note(task_id, what, fields)
        except Unavailable as error:
            _log.warning("task %s: %s was not noted: %s", task_id, what, error)


class _ResultsUnclaimed:
    """While entered, by any number of threads, Celery does not subscribe to the results of what is sent.

    It would do so for each task, and never unsubscribe. Celery's own switch is one flag for the whole process, and two
    threads that put back what they found would leave it wrong.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._switch = contextlib.ExitStack()

    def __enter__(self) -> None:
        from celery.result import denied_join_result

        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._switch.enter_context(denied_join_result())

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._switch.close()


_results_unclaimed = _ResultsUnclaimed()

_PATIENCE = {
    "redis": ("socket_timeout", "socket_connect_timeout"),
    "rediss": ("socket_timeout", "socket_connect_timeout"),
    "sentinel": ("socket_timeout", "socket_connect_timeout"),
    "amqp": ("read_timeout", "write_timeout"),
    "amqps": ("read_timeout", "write_timeout"),
    "pyamqp": ("read_timeout", "write_timeout"),
}
"""By transport, the options that keep a blocking call from waiting without an end."""


def _or_empty(value: object, empty: object) -> object:
    return empty if value is None else value


def _check_size(value: object, limit_bytes: int) -> None:
    try:
        size = len(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        raise ArgumentInvalid("args", type(value).__name__, "values that JSON can hold") from None
    if size > limit_bytes:
        raise TooLarge(limit_bytes)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LIMIT else text[: _SHOWN_LIMIT - 3] + "..."


def _fit_for_json(value: Any) -> Any:
    """The value if JSON can hold it, an exception as its one line, anything else as its repr."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _shown(value)
    return value
