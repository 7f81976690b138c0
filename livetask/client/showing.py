"""What the terminal's commands do once their words are read: ask the server, follow, print, and end with a status.

Exit status: 0 for success, 1 when the task did not succeed, 2 when livetask could not do what was asked, 130 after
Ctrl-C, 141 when the reader of stdout has gone.

Must never know: click, Celery, Redis.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from livetask.client.client import DEFAULT_URL, Client
from livetask.client.escapes import printable
from livetask.client.items import CaughtUp, RunEnded, TaskEnded
from livetask.client.printing import JsonPrinter, Printer, TextPrinter
from livetask.client.tasks import Run, Task
from livetask.errors import LivetaskError, StopRefused

SUCCESS, FAILED, IMPOSSIBLE, INTERRUPTED, READER_GONE = 0, 1, 2, 130, 141

_PATIENCE_S = 30.0

_COLOURS = {"RUNNING": "36", "RETRY": "33", "SUCCESS": "32", "FAILURE": "31", "REJECTED": "31", "LOST": "31"}


@dataclass(frozen=True, slots=True)
class Server:
    """Which server is asked. ``token``: says who asks."""

    url: str
    token: str | None = None

    def client(self) -> Client:
        return Client(self.url, self.token)


# ---- the list


def show_tasks(server: Server, states: Sequence[str], text: str, limit: int, as_json: bool) -> int:
    """Print the tasks, the last changed first, as a table or as JSON lines."""

    async def asked() -> int:
        async with server.client() as client:
            tasks = await client.tasks(states=states, text=text, limit=limit)
        if as_json:
            for task in tasks:
                print(json.dumps(task.as_json()))
        else:
            _print_table([_row(task, time.time() * 1000) for task in tasks])
        return SUCCESS

    return _ending_well(asked())


def _row(task: Task, now_ms: float) -> list[str]:
    """One task as the columns of the table."""
    progress = task.progress or {}
    current, total = progress.get("current"), progress.get("total")
    began_ms, ended_ms = task.began_at_ms, task.ended_at_ms
    took_ms = (ended_ms or now_ms) - began_ms if began_ms else None
    return [
        task.task_id,
        task.state,
        task.name or "-",
        "-" if took_ms is None else _duration(took_ms),
        "-" if task.changed_at_ms is None else f"{_duration(now_ms - task.changed_at_ms)} ago",
        str(len(task.runs)),
        str(task.runs[-1].end.line - 1) if task.runs else "0",
        "" if current is None else f"{current}/{total}" if total else str(current),
    ]


def _duration(span_ms: float) -> str:
    """A time span in its largest units."""
    span_s = max(0.0, span_ms / 1000)
    if span_s < 60:
        return f"{span_s:.1f}s"
    minutes, seconds = divmod(int(span_s), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if days else f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _print_table(rows: list[list[str]]) -> None:
    head = ["ID", "STATE", "NAME", "TOOK", "CHANGED", "RUNS", "LINES", "PROGRESS"]
    shown = [[printable(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    colours = _wants_colours()
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if colours and (colour := _COLOURS.get(row[1])):
            cells[1] = f"\x1b[{colour}m{cells[1]}\x1b[0m"
        print("  ".join(cells).rstrip())


def _wants_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


# ---- following


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be followed. ``wait``: the task has just been sent. ``follow``: False: only what there is now."""

    server: Server
    task_id: str
    place: str = "start"
    run: int | None = None
    follow: bool = True
    wait: bool = False


def show_output(wish: Wish, *, as_json: bool, raw: bool) -> int:
    """Print a task's output; ends with the task's fate."""
    printer = _printer(as_json, raw)
    return _ending_well(_followed(wish, printer), lambda: _tell_how_to_go_on(wish, printer))


def start_task(
    server: Server,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    follow: bool,
    as_json: bool,
    raw: bool,
) -> int:
    """Start a task and print its output, or, without ``follow``, its id; ends with the task's fate."""
    return _shown_from_start(server, lambda client: client.send(name, args, kwargs), follow, as_json, raw)


def rerun_task(
    server: Server,
    task_id: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    *,
    follow: bool,
    as_json: bool,
    raw: bool,
) -> int:
    """Run a task again, with other arguments where they are given; the rest as for ``start_task``."""
    return _shown_from_start(server, lambda client: client.rerun(task_id, args, kwargs), follow, as_json, raw)


def _shown_from_start(
    server: Server, start: Callable[[Client], Awaitable[str]], follow: bool, as_json: bool, raw: bool
) -> int:
    printer = _printer(as_json, raw)
    ids: list[str] = []

    async def started() -> int:
        async with server.client() as client:
            task_id = await start(client)
        ids.append(task_id)
        if not follow:
            print(json.dumps({"event": "sent", "task_id": task_id}) if as_json else task_id)
            return SUCCESS
        _tell(f"task {task_id} is sent")
        return await _followed(Wish(server, task_id, wait=True), printer)

    def interrupted() -> None:
        for task_id in ids:
            _tell_how_to_go_on(Wish(server, task_id), printer)
            _tell(f"the task goes on; to end it: livetask cancel --terminate {task_id}")

    return _ending_well(started(), interrupted)


def _printer(as_json: bool, raw: bool) -> Printer:
    out = sys.stdout.buffer
    return JsonPrinter(out) if as_json else TextPrinter(out, sys.stderr, terminal=_wants_colours(), raw=raw)


async def _followed(wish: Wish, printer: Printer) -> int:
    """Print until the end; the exit status."""
    async with wish.server.client() as client:
        runs: tuple[Run, ...] = ()
        if not wish.wait:  # a wrong address or id is told at once, not tried again and again
            runs = (await client.task(wish.task_id)).runs
            if not wish.follow and not runs:
                return SUCCESS
        timeout_s = None if wish.follow else _PATIENCE_S
        output = client.output(wish.task_id, wish.place, run=wish.run, wait=wish.wait, timeout_s=timeout_s)
        last_run = wish.run or (runs[-1].run if runs else 0)
        async with aclosing(output) as items:
            async for item in items:
                # in a thread: a reader that pages slowly must not make the connection look dead
                await asyncio.to_thread(printer.show, item)
                if not wish.follow and isinstance(item, CaughtUp | RunEnded) and item.cursor.run >= last_run:
                    return SUCCESS
                if isinstance(item, TaskEnded):
                    return SUCCESS if item.state == "SUCCESS" else FAILED
                if isinstance(item, RunEnded) and wish.run is not None:
                    return SUCCESS if item.how == "SUCCESS" else FAILED
    return SUCCESS


def _tell_how_to_go_on(wish: Wish, printer: Printer) -> None:
    """After Ctrl-C: the command that goes on from here."""
    place = f" --from {printer.cursor}" if printer.cursor is not None else ""
    run = f" --run {wish.run}" if wish.run is not None else ""
    url = f" --url {wish.server.url}" if wish.server.url != DEFAULT_URL else ""
    _tell(f"to go on: livetask tail {wish.task_id}{place}{run}{url}", "\n")


# ---- stopping


def cancel_tasks(server: Server, task_ids: Sequence[str], terminate: bool, grace_s: float) -> int:
    """Tell all workers not to begin the tasks, or to stop them; FAILED if one was to be terminated and was not."""

    async def asked() -> int:
        status = SUCCESS
        async with server.client() as client:
            for task_id in task_ids:
                try:
                    stopped = await client.revoke(task_id, terminate, grace_s)
                    _tell(f"{task_id}: {stopped.words or 'the workers are told'}")
                except StopRefused as error:
                    _tell(f"{task_id}: {error}")
                    status = FAILED
        return status

    return _ending_well(asked())


# ---- links


def make_link(server: Server, task_id: str, hours: float) -> int:
    """Print the address of a new link to a task's log."""

    async def asked() -> int:
        async with server.client() as client:
            print(await client.share(task_id, hours))
        return SUCCESS

    return _ending_well(asked())


def list_links(server: Server, as_json: bool) -> int:
    """Print the links that may be ended."""

    async def asked() -> int:
        async with server.client() as client:
            shares = await client.shares()
        if as_json:
            for share in shares:
                print(json.dumps(asdict(share)))
            return SUCCESS
        for share in shares:
            until = datetime.fromtimestamp(share.until / 1000, UTC)
            print(printable(f"{share.id}  {share.task_id}  until {until:%Y-%m-%d %H:%M} UTC  {share.by}".rstrip()))
        return SUCCESS

    return _ending_well(asked())


def end_link(server: Server, share_id: str) -> int:
    """End a link."""

    async def asked() -> int:
        async with server.client() as client:
            await client.unshare(share_id)
        _tell(f"{share_id}: ended")
        return SUCCESS

    return _ending_well(asked())


# ---- ends


def _tell(text: object, begin: str = "") -> None:
    print(f"{begin}livetask: {printable(text)}", file=sys.stderr, flush=True)


def _ending_well(work: Coroutine[Any, Any, int], interrupted: Callable[[], None] = lambda: None) -> int:
    """Do it; what goes wrong becomes one line and the status that belongs to it."""
    try:
        return asyncio.run(work)
    except LivetaskError as error:
        _tell(error)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        interrupted()
        return INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes stdout once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
