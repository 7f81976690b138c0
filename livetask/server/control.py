"""Starting, stopping and asking after tasks by Celery: the only room in server/ that knows Celery.

Celery's calls block, so each runs in a lane (lane.py) with a connection of its own, that neither retries nor outlives
the call: after a broker's restart the first call works, and one that was answered with 'failed' is not sent later,
except when the broker hangs in the very act of taking it.

Must never know: HTTP, Socket.IO, what Redis holds (it is given a function that notes facts about a task).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from livetask.errors import BrokerUnavailable, NotFound, TaskNotAllowed, Unavailable
from livetask.hiding import SHOW_ALL, Hiding
from livetask.keys import task_id_checked
from livetask.parcel import packed, unpacked
from livetask.redis_places import broker_of
from livetask.server.calls import Call, Sender, Sent
from livetask.server.lane import Lane, StillWanted
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
_SHOWN_LIMIT = 1024
_GLOB_SIGNS = "*?["
ROOM_HEADER, OWN_HEADER, OWNER_HEADER = "livetask_room", "livetask_own", "livetask_owner"
"""Headers of a task's message that tell its worker where the events of the task go, and who sent it."""


@dataclass(frozen=True, slots=True)
class TaskFate:
    """What Celery's result backend knows. ``state``: Celery's word. ``result``: the value, or None; see parcel.py."""

    state: str
    result: Any


class Control:
    """Sends, revokes and asks after tasks.

    ``celery_app``: None when livetask serves without one; then the broker is ``redis_url`` and any allowed name is
    sent; so it is by an app that has no tasks of its own. ``available_tasks``: names and globs. ``timeout_s``: patience
    for one call. ``limit_bytes``: the most that arguments may take as JSON. ``show_arguments``: whether arguments are
    noted. ``note``: see Note. ``forms_of``: what workers have published of how a task is called. ``header_task_map``:
    (task, header, argument). ``custom_rooms``: a call may name its room. ``permit``: raises if the one who asks may not
    start a task of that name on that queue ('' if the call names none). ``started``: told of each task that was sent.
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
        hiding: Hiding = SHOW_ALL,
        note: Note,
        forms_of: FormsOf,
        header_task_map: Iterable[tuple[str, str, str]] = (),
        custom_rooms: bool = False,
        permit: Callable[[str, str], None] | None = None,
        started: Callable[[str, str, bool], None] | None = None,
    ) -> None:
        self._permit = permit or (lambda name, queue: None)
        self._started = started or (lambda task_id, name, again: None)
        self._app = celery_app
        self._given = celery_app
        self._header_task_map = tuple(header_task_map)
        self._custom_rooms = custom_rooms
        self._redis_url = redis_url
        self._available = tuple(available_tasks)
        self._timeout_s = timeout_s
        self._limit_bytes = limit_bytes
        self._show_arguments = show_arguments
        self._hiding = hiding
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
        """Start the task that ``message`` names, for nobody in particular, and return its id; see ``start``."""
        return (await self.start(message, Sender(), more)).task_id

    async def start(
        self, message: object, sender: Sender, more: Mapping[str, str] | None = None, *, permitted: bool = False
    ) -> Sent:
        """Start the task that ``message`` names, as Call.parse reads it, and those chained onto it.

        ``more``: fields to note of the first. ``permitted``: it was asked already whether the sender may. Raises
        ArgumentInvalid, TooLarge, TaskNotAllowed, NotFound (the app has no such task), BrokerUnavailable; then nothing
        was sent.
        """
        call = Call.parse(message, self._limit_bytes)
        for one in call.all():
            if not self.allows(one.name):
                raise TaskNotAllowed(one.name)
            if not permitted:
                self._permit(one.name, str(one.options.get("queue", "")))
        forms = [await self._forms_of(one.name) for one in call.all()]
        for one, known in zip(call.all(), forms, strict=True):
            self._check_fits(known, call, one, sender)
        fields = {"name": call.name, "queued_at": str(int(time.time() * 1000)), **(more or {})}
        if sender.name:
            fields["owner"] = sender.name
        sent = await self._run(self._publishing, lambda wanted: self._send(call, forms, sender, wanted))
        self._started(sent.task_id, call.name, "rerun_of" in fields)
        if self._show_arguments:
            shown = self._hiding.text
            fields |= {"args": shown(_shown(tuple(call.args))), "kwargs": shown(_shown(call.kwargs))}
            fields |= self._hiding.kept(call.args, call.kwargs)
        if "queue" in call.options:
            fields["queue"] = call.options["queue"]
        await self._noted(sent.task_id, "queued", fields)
        return sent

    async def startable(self) -> list[TaskForm]:
        """The allowed tasks that the app has, or, without an app, the names in the allow-list."""
        return await self._run(self._asking, lambda wanted: self._startable())

    def _startable(self) -> list[TaskForm]:
        if self._app is None or not self._registers():
            return [TaskForm(name) for name in sorted({*self._available}) if not set(name) & set(_GLOB_SIGNS)]
        return [form_of(self._app, task) for name, task in sorted(self._app.tasks.items()) if self.allows(name)]

    def allows(self, name: str) -> bool:
        """Whether the allow-list holds this task. Celery's own are never started from outside."""
        return not name.startswith("celery.") and any(fnmatchcase(name, pattern) for pattern in self._available)

    def _registers(self) -> bool:
        """Whether the app knows which tasks there are; one that is there for its configuration has none."""
        return self._given is not None and any(not name.startswith("celery.") for name in self._given.tasks)

    def _check_fits(self, forms: Sequence[TaskForm], call: Call, one: Call, sender: Sender) -> None:
        """Raise ArgumentInvalid if the call, or one of its chain, cannot succeed.

        What is chained is given the result of the task before it as its first argument.
        """
        check_fits(forms, one.args, self._kwargs(one, sender), given_first=0 if one is call else 1)

    def _send(self, call: Call, forms: Sequence[Sequence[TaskForm]], sender: Sender, wanted: StillWanted) -> Sent:
        from celery.canvas import Signature
        from celery.utils import uuid

        app = self._celery()
        known = zip(call.all(), forms, strict=True)
        options, *chained = [self._options(app, found, call, one, sender) for one, found in known]
        sent = Sent(uuid(), tuple(uuid() for _ in call.chain))
        chain = [
            Signature(
                one.name,
                args=tuple(one.args),
                kwargs=self._kwargs(one, sender),
                options={**more, "task_id": task_id, "headers": self._headers(one, sender)},
                app=app,
            )
            for one, more, task_id in zip(call.chain, chained, sent.chained, strict=True)
        ]
        with self._connection(app, wanted) as connection, _results_unclaimed:
            app.send_task(
                call.name,
                args=call.args,
                kwargs=self._kwargs(call, sender),
                task_id=sent.task_id,
                headers=self._headers(call, sender),
                chain=chain or None,
                connection=connection,
                retry=False,
                add_to_parent=False,
                **options,
            )
        return sent

    def _kwargs(self, call: Call, sender: Sender) -> dict[str, Any]:
        """The call's own, and those that stand in the sender's headers, which win."""
        found = dict(call.kwargs)
        for name, header, argument in self._header_task_map:
            if name == call.name and header in sender.headers:
                found[argument] = sender.headers[header]
        return found

    def _headers(self, call: Call, sender: Sender) -> dict[str, Any]:
        owned = {OWNER_HEADER: sender.name} if sender.name else {}
        if self._custom_rooms and call.room is not None:
            return {ROOM_HEADER: call.room, **owned}
        return {ROOM_HEADER: sender.room, OWN_HEADER: sender.own, **owned} if sender.room else owned

    def _options(self, app: Celery, forms: Sequence[TaskForm], call: Call, one: Call, sender: Sender) -> dict[str, Any]:
        """How to send it: as the client says, as the task says of itself, as its worker has published."""
        if not self._registers():
            queue = forms[0].queue if forms else None
            return {"queue": queue, **one.options} if queue else dict(one.options)
        task = app.tasks.get(one.name)
        if task is None:
            if not forms:
                raise NotFound(f"the Celery app has no task {one.name!r}: is its module among the imports?")
            return dict(one.options)
        if not forms:
            self._check_fits([form_of(app, task)], call, one, sender)
        own = {} if "queue" in one.options else options_of(task)
        return {**own, **one.options}

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
        return TaskFate(str(state), unpacked(packed(_plain(result))))

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

            broker = broker_of(self._redis_url)
            if broker is None:
                raise BrokerUnavailable("livetask's Redis is a cluster; serve with the Celery app, which has its own")
            app = Celery("livetask", broker=broker[0], backend=broker[0], set_as_current=False)
            app.conf.update(broker_transport_options=broker[1], result_backend_transport_options=broker[1])
            self._app = app
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


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LIMIT else text[: _SHOWN_LIMIT - 3] + "..."


def _plain(value: Any) -> Any:
    """An exception as its one line; anything else as it is."""
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else value
