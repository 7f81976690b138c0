"""Where livetask meets Celery: which signal does what, in the worker's main process and in those that run tasks.

| signal | process | what happens |
|---|---|---|
| worker_init | main | settings are read, the directory is made, the shipper is started |
| worker_process_init | pool child that was not forked | it finds the directory of its main process |
| worker_ready | main | how the tasks are called is written down for the shipper to publish |
| every two seconds (`regular`) | main | the shipper is started again if it has ended |
| task_received | main | the task is noted as queued, unless it begins at once (`arrivals`) |
| task_prerun, task_postrun | the one that runs the task | a run begins, ends |
| task_failure, task_retry | the same | detail of the end |
| before_task_publish | any | a task that a run starts has the run's owner |
| task_failure, task_revoked | main | ends that the process of the run could not tell |
| worker_shutdown | main | the shipper is told to finish, and waited for |

Outside of a worker the signals find no worker here and do nothing. Whatever fails here is said once and never reaches
a task.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import time
from pathlib import Path
from typing import Any

from celery import Celery, current_app, signals

from livetask.errors import Cancelled, LivetaskError
from livetask.hiding import Hiding
from livetask.keys import Keys, task_id_checked
from livetask.masking import Mask
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings, left_over, without_password
from livetask.worker import facts
from livetask.worker.arrivals import Arrivals
from livetask.worker.cancelling import end_as_revoked
from livetask.worker.capture import Capture, ContextCapture, FdCapture, OpenRun, install_capture
from livetask.worker.exits import watch_exits
from livetask.worker.forms import write_forms
from livetask.worker.guard import guarded, logger
from livetask.worker.inheriting import carry_runs, mark_children
from livetask.worker.live_task import open_events
from livetask.worker.order import Order
from livetask.worker.owning import hand_on_owner
from livetask.worker.process import kill_descendants, kill_inherited, kill_tree
from livetask.worker.progress import note_state_updates
from livetask.worker.records import console_file, show_records
from livetask.worker.regular import do_regularly
from livetask.worker.secret_texts import texts_to_hide
from livetask.worker.shipper_process import ShipperProcess
from livetask.worker.small_files import write_whole
from livetask.worker.spool import CONSOLE, home_of, make_directory
from livetask.worker.stopping import StopList
from livetask.worker.telling import Teller
from livetask.worker.wishes import Wish

_SHORT_NS = 2_000_000
"""A run that is over after this has just been told of: the shipper waits longer before it looks."""

_WHOLE_PROCESS_POOLS = ("prefork", "solo")


class _Worker:
    """What this process knows of the worker to which it belongs; children of a fork inherit it.

    ``celery_worker``: Celery's, None in a pool child that was not forked.
    """

    def __init__(self, settings: Settings, secrets: tuple[str, ...], directory: Path, celery_worker: Any) -> None:
        self.settings = settings
        self.directory = directory
        self.teller = Teller(directory)
        self.celery_worker = celery_worker
        self.main_pid = os.getpid() if celery_worker is not None else os.getppid()
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        self.lock_fd: int | None = None
        self.shipper: ShipperProcess | None = None
        self.stops: StopList | None = None
        self.arrivals: Arrivals | None = None
        self.capture: Capture | None = None
        mask = Mask(formats=settings.mask, texts=secrets)
        self.mask = None if mask.is_empty else mask
        self.hiding = Hiding(settings.hide_keys, self.mask)
        self.shown = self.hiding if settings.show_arguments else None

    @property
    def is_main(self) -> bool:
        return os.getpid() == self.main_pid

    @functools.cached_property
    def pool(self) -> str:
        """The pool, as it is named on the command line; only prefork has children that were not forked."""
        if self.celery_worker is None:
            return "prefork"
        module = str(self.celery_worker.pool_cls.__module__.rpartition(".")[2])
        return "threads" if module == "thread" else module

    @property
    def has_whole_process(self) -> bool:
        """Whether a task has this process for itself while it runs."""
        if not self.is_main:
            return True
        return self.pool in _WHOLE_PROCESS_POOLS and self.in_main_thread

    def open_run(self, task_id: str) -> OpenRun | None:
        """The run of that task in whose context this is called, or None."""
        run = self.capture.current() if self.capture is not None else None
        while run is not None and run.task_id != task_id:
            run = run.outer
        return run

    def capture_here(self) -> Capture:
        """The capture of this process, installed when first asked for."""
        if self.capture is None:
            self.capture = (FdCapture if self.has_whole_process else ContextCapture)(self.mask)
            if isinstance(self.capture, ContextCapture):
                carry_runs(self.capture)
            mark_children(self.capture)
            show_records(self.capture, self.settings.capture_level, mark=self.settings.tee)
            note_state_updates()
            install_capture(self.capture)
        return self.capture


_worker: _Worker | None = None
_has_begun = False
"""Whether worker_init came in this process or in the one it was forked from."""

_refusal: str = ""
"""Why there is no capture, as long as it has not been said."""


def connect() -> None:
    """Connect the signals; to do it twice is to do it once."""
    for signal, receiver in (
        (signals.worker_init, _on_worker_init),
        (signals.celeryd_after_setup, _on_logging_ready),
        (signals.worker_ready, _on_logging_ready),
        (signals.worker_ready, _on_ready),
        (signals.worker_process_init, _on_process_init),
        (signals.task_received, _on_received),
        (signals.task_prerun, _on_prerun),
        (signals.task_postrun, _on_postrun),
        (signals.task_failure, _on_failure),
        (signals.task_retry, _on_retry),
        (signals.task_revoked, _on_revoked),
        (signals.before_task_publish, hand_on_owner),
        (signals.worker_shutdown, _on_worker_shutdown),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"livetask.{receiver.__name__}")


# ---- the worker's main process


def _on_worker_init(sender: Any = None, **_: Any) -> None:
    global _worker, _refusal, _has_begun
    _worker, _refusal, _has_begun = None, "", True
    try:
        _worker = _started(sender)
    except LivetaskError as error:
        _refusal = str(error)
    except Exception as error:
        _refusal = f"{type(error).__name__}: {error}"


@guarded("the worker's log file could not be noted")
def _on_logging_ready(**_: Any) -> None:
    """Celery sets logging up after worker_init: what went wrong there is said here, once."""
    global _refusal
    if _worker is not None and (path := console_file()):
        write_whole(str(_worker.directory / CONSOLE), path.encode())
    if _refusal:
        logger.error("livetask does not capture the output of tasks: %s", _refusal)
        _refusal = ""


@guarded("how the tasks are called could not be published")
def _on_ready(**_: Any) -> None:
    if _worker is not None and _worker.is_main and _worker.celery_worker is not None:
        celery_worker = _worker.celery_worker
        if _worker.pool == "prefork":  # in the others a task may hold the thread that would tell of the next one
            tell = functools.partial(_tell_queued, _worker)
            _worker.arrivals = Arrivals(tell, lambda after_s, call: celery_worker.timer.call_after(after_s, call))
        write_forms(celery_worker.app, celery_worker.hostname, _worker.directory, _worker.hiding)
        if old := left_over(celery_worker.app.conf):
            logger.warning(old)
        logger.info("livetask records what tasks print, in %s", without_password(_worker.settings.redis_url))


def _started(celery_worker: Any) -> _Worker | None:
    settings = _settings(celery_worker.app)
    if not settings.capture:
        return None
    home = home_of(settings.spool_dir, settings.require_redis_url(), settings.prefix)
    secrets = _secrets(settings)
    try:
        directory, lock_fd = make_directory(home)
    except OSError as error:
        raise SettingInvalid("spool_dir", str(home), f"a place where this user may write ({error})") from error
    worker = _Worker(settings, secrets, directory, celery_worker)
    worker.lock_fd = lock_fd
    worker.shipper = ShipperProcess(_order(settings, secrets, directory))
    worker.shipper.start()
    do_regularly(celery_worker.app, _look_after)
    watch_exits(lambda pid, code: worker.is_main and worker.teller.tell("exit", pid=pid, code=code))
    worker.stops = StopList(directory, Keys(settings.prefix), _forbid)
    worker.stops.ask(settings.redis_url)
    return worker


def _forbid(wish: Wish) -> None:
    """Let Celery discard the task, as it does with what was revoked while this worker was there."""
    from celery.worker import state  # it is there in a worker, and nobody else shall load it

    state.revoked.add(wish.task_id)


def _secrets(settings: Settings) -> tuple[str, ...]:
    return texts_to_hide(settings.mask_env, os.environ, settings.mask_with)


def _order(settings: Settings, secrets: tuple[str, ...], directory: Path) -> Order:
    names = {item.name for item in dataclasses.fields(Order)}
    values = {name: value for name, value in dataclasses.asdict(settings).items() if name in names}
    return Order(directory=str(directory), main_pid=os.getpid(), secrets=secrets, **values)


def _settings(app: Celery) -> Settings:
    conf = app.conf
    found = {name: value for name, value in conf.items() if str(name).startswith("livetask_")}
    places = {"broker_url": conf.broker_url, "result_backend": conf.result_backend}
    return Settings.load({**found, **places}, os.environ)


@guarded("a received task could not be noted")
def _on_received(request: Any = None, **_: Any) -> None:
    if _worker is None or not _worker.is_main or request is None:
        return
    if _worker.shipper is not None:
        _worker.shipper.look_after()
    if _worker.stops is not None:
        _worker.stops.look()
    tell = _worker.arrivals.came if _worker.arrivals is not None else functools.partial(_tell_queued, _worker)
    tell(request, facts.mark_received(request))


@guarded("a received task could not be noted")
def _tell_queued(worker: _Worker, request: Any, at_ms: int) -> None:
    fields = facts.queued_facts(request, worker.celery_worker.hostname, worker.shown, at_ms)
    told = worker.teller.tell("queued", task=task_id_checked(request.id), fields=fields)
    if not told and fields.pop("call", ""):  # what is needed least, and takes the most room
        worker.teller.tell("queued", task=request.id, fields=fields)


@guarded("the shipper could not be looked after")
def _look_after() -> None:
    if _worker is not None and _worker.is_main and _worker.shipper is not None:
        _worker.shipper.look_after()
        if _worker.arrivals is not None:
            _worker.arrivals.look()


@guarded("the end of a revoked task could not be noted")
def _on_revoked(
    request: Any = None, terminated: bool = False, signum: Any = None, expired: bool = False, **_: Any
) -> None:
    if _worker is None:
        return
    if _worker.arrivals is not None and _worker.is_main:
        _worker.arrivals.tell_all()
    task_id = task_id_checked(request.id)
    if terminated:
        detail = {"signal": facts.signal_name(signum) if isinstance(signum, int) else str(signum)}
        _worker.teller.tell("verdict", task=task_id, how="REVOKED", detail={**detail, "reason": "revoked"})
    else:
        wish = _worker.stops.of(task_id) if _worker.stops is not None and not expired else None
        _worker.teller.tell("state", task=task_id, fields=facts.revoked_facts(request, wish, expired=expired))


@guarded("the shipper could not be stopped")
def _on_worker_shutdown(**_: Any) -> None:
    global _worker
    worker, _worker = _worker, None
    if worker is None or not worker.is_main:
        return
    if worker.arrivals is not None:
        worker.arrivals.tell_all()
    worker.teller.tell("stop")
    if worker.shipper is not None:
        worker.shipper.wait()


# ---- the processes that run tasks


def _on_process_init(**_: Any) -> None:
    """A pool child that was started anew, not forked, knows nothing of its main process yet."""
    global _worker
    if _has_begun:
        return
    try:
        _worker = _joined(os.getppid())
    except Exception as error:
        logger.error("livetask does not capture the output of tasks: %s", error)


def _joined(main_pid: int) -> _Worker | None:
    settings = _settings(current_app)
    if not settings.capture or not settings.redis_url:
        return None
    home = home_of(settings.spool_dir, settings.redis_url, settings.prefix)
    found = sorted(home.glob(f"{main_pid}.*"), key=lambda path: path.stat().st_mtime)
    return _Worker(settings, _secrets(settings), found[-1], None) if found else None


@guarded("the output of a task could not be captured")
def _on_prerun(task_id: str = "", task: Any = None, **_: Any) -> None:
    if _worker is None:
        return
    request = task.request
    capture = _worker.capture_here()
    run = facts.run_facts(
        task_id_checked(task_id),
        request,
        name=task.name,
        pid=os.getpid(),
        locked=not _worker.is_main,
        shown=_worker.shown,
        pool=_worker.pool,
    )
    opened = capture.begin(_worker.directory, run)
    settings = _worker.settings
    opened.events = open_events(
        task,
        opened,
        sentinel_room=settings.sentinel_room,
        error_info=settings.error_info,
        hiding=_worker.hiding,
        most=settings.events_kept,
        most_bytes=settings.events_bytes,
    )
    _worker.teller.tell_run(opened.spool.name)


@guarded("the end of a task's output could not be noted")
def _on_postrun(task_id: str = "", task: Any = None, retval: Any = None, state: str | None = None, **_: Any) -> None:
    run = _worker.open_run(task_id) if _worker is not None else None
    if _worker is None or run is None or _worker.capture is None:
        return
    end = facts.run_end(state, retval, run.detail, replaced=run.replaced, shown=_worker.shown)
    if "signal" in end["detail"] and _worker.has_whole_process and not _worker.is_main:
        kill_descendants()
    try:
        _worker.capture.finish(run, end)
    except OSError:
        # The disk has no room for the end; what is said must fit into one line.
        detail = {key: value for key, value in end["detail"].items() if key != "traceback"}
        _worker.teller.tell("end", nonce=run.facts.nonce, end={**end, "detail": detail, "size": run.size_bytes})
        raise
    if run.has_commands:
        kill_tree(run.spool.paths)
    if time.monotonic_ns() - run.facts.begun_ns > _SHORT_NS:
        _worker.teller.tell_run(run.spool.name)
    if isinstance(retval, Cancelled):
        kill_inherited(run.spool.paths)
        end_as_revoked(task, retval)


@guarded("the failure of a task could not be noted")
def _on_failure(task_id: str = "", exception: Any = None, einfo: Any = None, **_: Any) -> None:
    if _worker is None:
        return
    run = _worker.open_run(task_id)
    if run is not None:
        run.detail.update(facts.failure_detail(exception, einfo))
    elif _worker.is_main and (death := facts.death_detail(exception)) is not None:
        _worker.teller.tell("verdict", task=task_id, how=death[0], detail=death[1])


@guarded("the retry of a task could not be noted")
def _on_retry(request: Any = None, reason: Any = None, einfo: Any = None, **_: Any) -> None:
    run = _worker.open_run(request.id) if _worker is not None else None
    if run is not None:
        run.detail.update(facts.retry_detail(reason, einfo))
