"""What Celery's signals say about a task, in livetask's words: the facts of a run, and how it ended.

Knows Celery's requests and exceptions; knows nothing of files or of Redis.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from livetask.errors import Cancelled
from livetask.hiding import Hiding
from livetask.worker.ending import REPLACED
from livetask.worker.spool import RunFacts, new_nonce
from livetask.worker.wishes import Wish

OWNER_HEADER = "livetask_owner"
"""The header of a task's message that says who sent it by livetask."""

ROOT_HEADER = "livetask_root"
"""The header that says of which group's workflow a task is; Celery says it only of what comes of one task."""

RECEIVED_HEADER = "livetask_received_ms"
"""Added to a task's headers by the main process that has received it, for the process that runs it."""

GROUP = "group:"
"""What the root of a workflow begins with that is no task but a group, sent from outside any task."""

SHOWN_CHARACTERS = 1000
"""How much of a repr of arguments or of a result is kept; one told to the shipper must fit into a pipe's buffer."""

_NOTHING = ("()", "[]", "{}", "None")
"""Arguments and results in which no secret needs to be looked for."""

_TRACEBACK_BYTES = 8 * 1024
_OWNER_CHARACTERS = 200
_ROOT_CHARACTERS = 220
_NESTED = 10
_LOST = re.compile(r"(?:signal|exitcode) (-?\d+)")

STRONG = ("SUCCESS", "FAILURE", "RETRY", "IGNORED", "REJECTED")
"""The states of task_postrun that are an end; with another one, the main process knows what happened."""


_TOLD_BYTES = 1500
"""How much of a queued task's arguments is told besides its other facts, for the same reason."""


def run_facts(
    task_id: str, request: Any, *, name: str, pid: int, locked: bool, shown: Hiding | None, pool: str
) -> RunFacts:
    """The facts of the run that begins now. ``request``: Celery's. ``shown``: how arguments are kept, None: not."""
    delivery = getattr(request, "delivery_info", None) or {}
    return RunFacts(
        task_id=task_id,
        name=name,
        nonce=new_nonce(),
        why=_why(request, delivery),
        queue=str(delivery.get("routing_key") or ""),
        root_id=root_of(task_id, request),
        parent_id=_parent(task_id, request),
        args=_arguments(request, "args", shown) if shown else "",
        kwargs=_arguments(request, "kwargs", shown) if shown else "",
        pid=pid,
        host=_host(),
        worker=str(getattr(request, "hostname", None) or ""),
        begun_ms=now_ms(),
        locked=locked,
        pool=pool,
        call=shown.kept(request.args, request.kwargs) if shown else {},
        owner=owner_of(request),
        begun_ns=time.monotonic_ns(),
        retries=int(getattr(request, "retries", 0) or 0),
        received_ms=_taken_received(request),
    )


def mark_received(request: Any) -> int:
    """Have the run of a task know when its worker has received it, which is now: the wall clock in ms.

    ``request``: the worker's. Most tasks begin at once, and nobody tells of them that they wait.
    """
    at_ms = now_ms()
    request.request_dict[RECEIVED_HEADER] = at_ms
    return at_ms


def _taken_received(request: Any) -> int:
    """What ``mark_received`` has left, which the task is not to see; 0 for nothing. ``request``: Celery's."""
    at_ms = getattr(request, RECEIVED_HEADER, 0)
    headers = getattr(request, "headers", None)
    if at_ms and isinstance(headers, dict) and headers.pop(RECEIVED_HEADER, None) is not None and not headers:
        request.headers = None
    return at_ms if type(at_ms) is int else 0


def queued_facts(request: Any, worker: str, shown: Hiding | None, at_ms: int) -> dict[str, str]:
    """The fields of a task that a worker has received. ``request``: the worker's. ``at_ms``: when, wall clock."""
    context = request._context
    delivery = getattr(context, "delivery_info", None) or {}
    fields = {
        "name": str(request.name),
        "queued_at": str(at_ms),
        "queue": str(delivery.get("routing_key") or ""),
        "worker": worker,
        "root_id": root_of(request.id, context),
        "parent_id": _parent(request.id, context),
        "owner": owner_of(context),
    }
    if shown:
        fields["args"] = shown.text(shortened(getattr(request, "argsrepr", None) or ""))
        fields["kwargs"] = shown.text(shortened(getattr(request, "kwargsrepr", None) or ""))
        fields["call"] = shown.kept(request.args, request.kwargs, _TOLD_BYTES).get("call", "")
    return {key: value for key, value in fields.items() if value}


def root_of(task_id: str, request: Any) -> str:
    """What the workflow of a task began with: a task's id, or GROUP and a group's; '' for the task itself."""
    handed_on = getattr(request, ROOT_HEADER, None)
    if isinstance(handed_on, str) and handed_on.startswith(GROUP):
        return handed_on[:_ROOT_CHARACTERS]
    root = str(getattr(request, "root_id", None) or "")
    if root not in ("", task_id):
        return root
    group = str(getattr(request, "group", None) or "") or _group_of_chain(getattr(request, "chain", None))
    return f"{GROUP}{group}"[:_ROOT_CHARACTERS] if group else root


def _group_of_chain(chain: Any) -> str:
    """The group that a chain is one of, '' for none. ``chain``: what follows a task in its chain, the last step first.

    Celery makes a chain's first task the root of the chain, and says of the last step alone that a group waits for it.
    Where that step is a chord, it says so of the chord's body.
    """
    step = chain[0] if isinstance(chain, list) and chain else None
    for _ in range(_NESTED):
        if not isinstance(step, dict):
            break
        options, kwargs = step.get("options"), step.get("kwargs")
        if isinstance(options, dict) and options.get("group_id"):
            return str(options["group_id"])
        inner = kwargs if isinstance(kwargs, dict) else {}
        steps = inner.get("tasks") if step.get("task") == "celery.chain" else None
        step = steps[-1] if isinstance(steps, list) and steps else inner.get("body")
    return ""


def owner_of(request: Any) -> str:
    """Who sent the task by livetask, as its message says; '' if it says nothing. ``request``: Celery's."""
    owner = getattr(request, OWNER_HEADER, None)
    return owner[:_OWNER_CHARACTERS] if isinstance(owner, str) else ""


def failure_detail(exception: BaseException | None, einfo: Any) -> dict[str, Any]:
    """The detail of a run that ended with an exception. ``einfo``: Celery's ExceptionInfo or None."""
    detail: dict[str, Any] = {}
    if exception is not None:
        detail["exception"] = shown_exception(exception)
    text = getattr(einfo, "traceback", None)
    if isinstance(text, str):
        detail["traceback"] = _last_bytes(text, _TRACEBACK_BYTES)
    return detail


def retry_detail(reason: Any, einfo: Any) -> dict[str, Any]:
    """The detail of a run that will be tried again. ``reason``: Celery's Retry, or what stands for it."""
    detail = failure_detail(getattr(reason, "exc", None), einfo)
    when = getattr(reason, "when", None)
    if isinstance(when, datetime):
        zone = when.tzinfo or UTC
        detail["retry_in_s"] = max(0, round((when - datetime.now(zone)).total_seconds()))
    elif isinstance(when, (int, float)):
        detail["retry_in_s"] = when
    return detail


def death_detail(exception: BaseException) -> tuple[str, dict[str, Any]] | None:
    """(how, detail) if the exception says that the process of the run is gone; None if it says something else."""
    if isinstance(exception, TimeLimitExceeded):
        limit = exception.args[0] if exception.args else None
        return "KILLED", {"limit_s": limit, "exception": shown_exception(exception)}
    if isinstance(exception, WorkerLostError):
        found = _LOST.search(str(exception))
        detail = exit_detail(_exit_code(found)) if found else {}
        return "KILLED", {**detail, "exception": shown_exception(exception)}
    return None


def exit_detail(code: int) -> dict[str, Any]:
    """The detail for the exit code of a process, negative for a signal."""
    return {"signal": signal_name(-code)} if code < 0 else {"exit_code": code}


def run_end(
    state: str | None, retval: Any, detail: dict[str, Any], *, replaced: bool, shown: Hiding | None
) -> dict[str, Any]:
    """What the process of a run writes down of its end; ``how`` is None where another one has to say it.

    ``detail``: what is known of it so far. ``replaced``: another run takes its place. ``shown``: hides secrets in the
    result, None where results are not shown.
    """
    if isinstance(retval, Cancelled):
        return {"how": "REVOKED", "at_ms": now_ms(), "detail": {"reason": str(retval)}}
    end: dict[str, Any] = {"how": state if state in STRONG else None, "at_ms": now_ms()}
    end["detail"] = detail if end["how"] else {**detail, **leaving_detail()}
    if state == "IGNORED" and replaced:
        end["detail"] = {**end["detail"], "reason": REPLACED}
    if state == "SUCCESS" and shown is not None:
        end["result"] = "None" if retval is None else shown.text(shown_result(retval))
    return end


def revoked_facts(request: Any, wish: Wish | None, *, expired: bool) -> dict[str, str]:
    """What is told of a task that was revoked before it began. ``wish``: who wanted it, if that is known."""
    fields = {"state": "REVOKED", "name": str(getattr(request, "task", "") or "")}
    fields["result"] = "expired" if expired else "revoked"
    if wish is not None:
        fields |= {"revoked_by": wish.by, "revoked_at": str(wish.at_ms)}
    return {key: text for key, text in fields.items() if text}


def leaving_detail() -> dict[str, Any]:
    """The detail for a run that is being left by an exception that is no Exception, such as SystemExit."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        code = error.code
        if isinstance(code, int) and code < -128:  # how billiard leaves a child that got a signal
            return {"signal": signal_name(256 + code)}
        if code is None or isinstance(code, int):
            return {"exit_code": code or 0}
        return {"exit_code": 1, "reason": shortened(str(code))}
    return {"exception": shown_exception(error)} if error is not None else {}


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def shown_exception(error: BaseException) -> str:
    """``ValueError: the text``, shortened."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be shown)"
    return shortened(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def shown_result(value: Any) -> str:
    """The repr of a result, shortened; a repr that fails is not the task's fault."""
    if isinstance(value, (str, bytes)) and len(value) > SHOWN_CHARACTERS:
        value = value[:SHOWN_CHARACTERS]
    try:
        return shortened(repr(value))
    except Exception:
        return f"<{type(value).__name__}>"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _parent(task_id: str, request: Any) -> str:
    """The task that sent this one; a retry was sent by itself, which says nothing."""
    parent = str(getattr(request, "parent_id", None) or "")
    return "" if parent == task_id else parent


def _why(request: Any, delivery: dict[str, Any]) -> str:
    if getattr(request, "retries", 0):
        return "retry"
    return "redelivered" if delivery.get("redelivered") else "first"


def _arguments(request: Any, which: str, shown: Hiding) -> str:
    text = getattr(request, f"{which}repr", None)
    text = shortened(text) if isinstance(text, str) else shown_result(getattr(request, which, None))
    return text if text in _NOTHING else shown.text(text)


@cache
def _host() -> str:
    return socket.gethostname()


def _exit_code(found: re.Match[str]) -> int:
    number = int(found[1])
    return -number if found[0].startswith("signal") else number


def _last_bytes(text: str, size: int) -> str:
    data = text.encode("utf-8", "backslashreplace")
    return text if len(data) <= size else "..." + data[3 - size :].decode("utf-8", "ignore")
