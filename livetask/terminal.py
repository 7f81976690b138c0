"""The commands that ask a running livetask server: ``ls``, ``tail``, ``run`` and ``cancel``.

They stand under ``livetask`` and under ``celery -A proj livetask``, and need nothing but the server's address. Exit
status: 0 for success, 1 when the task did not succeed, 2 when livetask could not do what was asked, 130 after Ctrl-C.

Must never know: Celery, Redis, the server's code, the worker's code.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from livetask.client.client import DEFAULT_URL, Client
from livetask.client.escapes import printable
from livetask.client.items import CaughtUp, RunEnded, TaskEnded
from livetask.client.printing import JsonPrinter, Printer, TextPrinter
from livetask.client.tasks import UNDER_WAY, Run, Task
from livetask.errors import LivetaskError

Command = TypeVar("Command", bound=Callable[..., Any])

STATES = (*UNDER_WAY, "SUCCESS", "FAILURE", "REVOKED", "IGNORED", "REJECTED", "LOST")

_SUCCESS, _FAILED, _IMPOSSIBLE, _INTERRUPTED, _READER_GONE = 0, 1, 2, 130, 141
_PATIENCE_S = 30.0

_COLOURS = {
    "RUNNING": "cyan",
    "RETRY": "yellow",
    "SUCCESS": "green",
    "FAILURE": "red",
    "REJECTED": "red",
    "LOST": "red",
}


@click.group(name="livetask")
def commands() -> None:
    """Ask a livetask server from the terminal."""


def main(argv: Sequence[str]) -> None:
    """Run one of the commands. ``argv``: its words, the command's name first. Ends by SystemExit."""
    commands.main(args=list(argv), prog_name="livetask")


def _asks_server(function: Command) -> Command:
    """The options that say which server is asked."""
    url = click.option(
        "--url",
        envvar="LIVETASK_URL",
        metavar="URL",
        default=DEFAULT_URL,
        show_default=True,
        help="The address of the livetask server; also LIVETASK_URL in the environment.",
    )
    token = click.option(
        "--token",
        envvar="LIVETASK_TOKEN",
        metavar="TOKEN",
        help="Says to the server who asks; also LIVETASK_TOKEN in the environment.",
    )
    return url(token(function))


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
_raw = click.option("--raw", is_flag=True, help="Print the output's bytes exactly, escape codes and all.")


# ---- ls


@commands.command("ls")
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice(STATES, case_sensitive=False),
    help=f"Only tasks in this state; can be repeated. One of {', '.join(STATES)}.",
)
@click.option("-q", "--text", metavar="TEXT", default="", help="Only tasks with this text in their id or name.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many tasks at most."
)
@_as_json
@_asks_server
def list_tasks(states: tuple[str, ...], text: str, limit: int, as_json: bool, url: str, token: str | None) -> None:
    """List tasks, the last changed first."""

    async def asked() -> list[Task]:
        async with Client(url, token) as client:
            return await client.tasks(states=states, text=text, limit=limit)

    tasks = _ending_well(asked())
    if as_json:
        for task in tasks:
            click.echo(json.dumps(task.as_json()))
    else:
        _print_table([_row(task, time.time() * 1000) for task in tasks])


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
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        colour = _COLOURS.get(row[1])
        cells[1] = click.style(cells[1], fg=colour) if colour else cells[1]
        click.echo("  ".join(cells).rstrip(), color=False if os.environ.get("NO_COLOR") else None)


# ---- tail


@commands.command("tail")
@click.argument("task_id", metavar="ID")
@click.option(
    "--from",
    "place",
    metavar="PLACE",
    default="start",
    show_default=True,
    help="Where to begin: 'start', 'now', -N for the last N lines, or a cursor that tail printed.",
)
@click.option("--run", type=click.IntRange(1), metavar="N", help="Only the run of this number; else all, in turn.")
@click.option("--no-follow", is_flag=True, help="Print what there is now, and end.")
@_as_json
@_raw
@_asks_server
def tail(
    task_id: str,
    place: str,
    run: int | None,
    no_follow: bool,
    as_json: bool,
    raw: bool,
    url: str,
    token: str | None,
) -> None:
    """Print a task's output and go on until it has ended.

    Lost connections and restarts of the server are bridged: nothing is printed twice, nothing is left out, except for
    gaps, which are told on stderr. The exit status is 0 if the task succeeded, 1 if it did not, 130 after Ctrl-C,
    and 0 with --no-follow.
    """
    printer = _printer(as_json, raw)
    wish = _Wish(url, token, task_id, _place(place), run, follow=not no_follow)
    sys.exit(_ending_well(_followed(wish, printer), lambda: _tell_how_to_go_on(wish, printer)))


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be followed, and through which server. ``wait``: the task has just been sent."""

    url: str
    token: str | None
    task_id: str
    place: str = "start"
    run: int | None = None
    follow: bool = True
    wait: bool = False


def _place(text: str) -> str:
    """Where to begin, as the server has it: ``-20`` is ``tail:20``."""
    return f"tail:{text[1:]}" if text.startswith("-") and text[1:].isdecimal() else text


def _printer(as_json: bool, raw: bool) -> Printer:
    out = sys.stdout.buffer
    if as_json:
        return JsonPrinter(out)
    return TextPrinter(out, sys.stderr, terminal=sys.stdout.isatty() and not os.environ.get("NO_COLOR"), raw=raw)


async def _followed(wish: _Wish, printer: Printer) -> int:
    """Print until the end; the exit status."""
    async with Client(wish.url, wish.token) as client:
        runs: tuple[Run, ...] = ()
        if not wish.wait:  # a wrong address or id is told at once, not tried again and again
            runs = (await client.task(wish.task_id)).runs
            if not wish.follow and not runs:
                return _SUCCESS
        timeout_s = None if wish.follow else _PATIENCE_S
        output = client.output(wish.task_id, wish.place, run=wish.run, wait=wish.wait, timeout_s=timeout_s)
        async with aclosing(output) as items:
            async for item in items:
                # in a thread: a reader that pages slowly must not make the connection look dead
                await asyncio.to_thread(printer.show, item)
                last = wish.run or (runs[-1].run if runs else 0)
                if not wish.follow and isinstance(item, CaughtUp | RunEnded) and item.cursor.run >= last:
                    return _SUCCESS
                if isinstance(item, TaskEnded):
                    return _SUCCESS if item.state == "SUCCESS" or not wish.follow else _FAILED
                if isinstance(item, RunEnded) and wish.run is not None:
                    return _SUCCESS if item.how == "SUCCESS" else _FAILED
    return _SUCCESS


def _tell_how_to_go_on(wish: _Wish, printer: Printer) -> None:
    """After Ctrl-C: the command that goes on from here."""
    place = f" --from {printer.cursor}" if printer.cursor is not None else ""
    run = f" --run {wish.run}" if wish.run is not None else ""
    url = f" --url {wish.url}" if wish.url != DEFAULT_URL else ""
    click.echo(f"\nlivetask: to go on: livetask tail {wish.task_id}{place}{run}{url}", err=True)


# ---- run


@commands.command("run")
@click.argument("name", metavar="NAME")
@click.option("--args", "args", metavar="JSON", default="[]", help="The positional arguments, as a JSON list.")
@click.option("--kwargs", "kwargs", metavar="JSON", default="{}", help="The named arguments, as a JSON object.")
@click.option("--no-follow", is_flag=True, help="Print the task's id, and end.")
@_as_json
@_raw
@_asks_server
def run_task(
    name: str, args: str, kwargs: str, no_follow: bool, as_json: bool, raw: bool, url: str, token: str | None
) -> None:
    """Start a task, print its output, and end with its fate.

    The exit status is 0 if the task succeeded and 1 if it did not. After Ctrl-C, status 130, the task goes on.
    """
    positional = _json("--args", args, list, "a JSON list, such as '[1, \"a\"]'")
    named = _json("--kwargs", kwargs, dict, "a JSON object, such as '{\"to\": 1}'")

    async def sent() -> str:
        async with Client(url, token) as client:
            return await client.send(name, positional, named)

    task_id = _ending_well(sent())
    if no_follow:
        click.echo(json.dumps({"event": "sent", "task_id": task_id}) if as_json else task_id)
        return
    click.echo(f"livetask: task {task_id} is sent", err=True)
    printer = _printer(as_json, raw)
    wish = _Wish(url, token, task_id, wait=True)

    def interrupted() -> None:
        _tell_how_to_go_on(wish, printer)
        click.echo(f"livetask: the task goes on; to end it: livetask cancel --terminate {task_id}", err=True)

    sys.exit(_ending_well(_followed(wish, printer), interrupted))


def _json(option: str, text: str, kind: type, expected: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise click.BadParameter(f"expected {expected}", param_hint=option)
    return value


# ---- cancel


@commands.command("cancel")
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--terminate", is_flag=True, help="Also stop the task where it runs, as far as the pool can.")
@_asks_server
def cancel(task_ids: tuple[str, ...], terminate: bool, url: str, token: str | None) -> None:
    """Tell all workers not to begin a task, or, with --terminate, to stop it."""

    async def asked() -> None:
        async with Client(url, token) as client:
            for task_id in task_ids:
                await client.revoke(task_id, terminate)
                click.echo(f"livetask: {printable(task_id)}: the workers are told", err=True)

    _ending_well(asked())


# ---- ends

T = TypeVar("T")


def _ending_well(work: Coroutine[Any, Any, T], interrupted: Callable[[], None] = lambda: None) -> T:
    """Do it; what goes wrong ends the command with one line and the status that belongs to it."""
    try:
        return asyncio.run(work)
    except LivetaskError as error:
        click.echo(f"livetask: {printable(error)}", err=True)
        sys.exit(_IMPOSSIBLE)
    except KeyboardInterrupt:
        interrupted()
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # the interpreter flushes stdout once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_GONE)
