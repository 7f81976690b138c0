"""The commands that ask a running livetask server: ``ls``, ``tail``, ``run``, ``cancel`` and ``rerun``.

They stand under ``livetask`` and under ``celery -A proj livetask``, and need nothing but the server's address. Celery's
command line loads this module for every one of its subcommands, so what the commands do is loaded when one is called.

Must never know: Celery, Redis, the server's code, the worker's code.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:8400"

STATES = ("QUEUED", "RUNNING", "RETRY", "SUCCESS", "FAILURE", "REVOKED", "IGNORED", "REJECTED", "LOST")


@click.group(name="livetask")
def commands() -> None:
    """Ask a livetask server from the terminal."""


def main(argv: Sequence[str]) -> None:
    """Run one of the commands. ``argv``: its words, the command's name first. Ends by SystemExit."""
    commands.main(args=list(argv), prog_name="livetask")


def with_url(url: str) -> dict[str, dict[str, str]]:
    """A map of defaults, as click has them, in which every command asks the server at ``url``."""
    return {name: {"url": url} for name in commands.commands}


def _asks_server(function: Command) -> Command:
    """The options that say which server is asked."""
    url = click.option(
        "--url",
        envvar="LIVETASK_URL",
        metavar="URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="The address of the livetask server.",
    )
    token = click.option(
        "--token", envvar="LIVETASK_TOKEN", metavar="TOKEN", show_envvar=True, help="Says to the server who asks."
    )
    return url(token(function))


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
_raw_option = click.option("--raw", is_flag=True, help="Print the output's bytes exactly, escape codes and all.")


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
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(1, 500),
    default=50,
    show_default=True,
    help="How many tasks at most.",
)
@_json_option
@_asks_server
def list_tasks(states: tuple[str, ...], text: str, limit: int, as_json: bool, url: str, token: str | None) -> None:
    """List tasks, the last changed first."""
    from livetask.client import showing

    sys.exit(showing.show_tasks(showing.Server(url, token), states, text, limit, as_json))


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
@_json_option
@_raw_option
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
    gaps, which are told on stderr with their size. Colours stay on a terminal; elsewhere escape codes are left out.

    The exit status is 0 if the task succeeded, 1 if it did not, 2 if it could not be followed, and 130 after Ctrl-C,
    which prints the command that goes on from there. With --no-follow it is 0 once everything was printed.
    """
    from livetask.client import showing

    wish = showing.Wish(showing.Server(url, token), task_id, _place(place), run, follow=not no_follow)
    sys.exit(showing.show_output(wish, as_json=as_json, raw=raw))


def _place(text: str) -> str:
    """Where to begin, as the server has it: ``-20`` is ``tail:20``."""
    return f"tail:{text[1:]}" if text.startswith("-") and text[1:].isdecimal() else text


@commands.command("run", context_settings={"allow_extra_args": True})
@click.argument("name", metavar="NAME")
@click.option("--args", "args", metavar="JSON", default="[]", help="The positional arguments, as a JSON list.")
@click.option("--kwargs", "kwargs", metavar="JSON", default="{}", help="The named arguments, as a JSON object.")
@click.option("--no-follow", is_flag=True, help="Print the task's id, and end.")
@_json_option
@_raw_option
@_asks_server
@click.pass_context
def run_task(
    context: click.Context,
    name: str,
    args: str,
    kwargs: str,
    no_follow: bool,
    as_json: bool,
    raw: bool,
    url: str,
    token: str | None,
) -> None:
    """Start a task, print its output, and end with its fate.

    The exit status is 0 if the task succeeded, 1 if it did not, and 2 if it could not be started or followed. After
    Ctrl-C, status 130, the task goes on.
    """
    if context.args:
        raise click.UsageError(f"a task's arguments are given as JSON: --args {_as_args(context.args)}")
    positional = _read("--args", args, list, "a JSON list, such as '[1, \"a\"]'")
    named = _read("--kwargs", kwargs, dict, "a JSON object, such as '{\"to\": 1}'")
    from livetask.client import showing

    server = showing.Server(url, token)
    sys.exit(showing.start_task(server, name, positional, named, follow=not no_follow, as_json=as_json, raw=raw))


def _as_args(words: Sequence[str]) -> str:
    """Words of a command line as the value of ``--args``, quoted for a shell: what is JSON by itself, or else text."""
    values = []
    for word in words:
        try:
            values.append(json.loads(word))
        except (ValueError, RecursionError):
            values.append(word)
    return shlex.quote(json.dumps(values))


def _read(option: str, text: str, kind: type, expected: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise click.BadParameter(f"expected {expected}", param_hint=option)
    return value


@commands.command("cancel")
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--terminate", is_flag=True, help="Also stop the task where it runs, as far as the pool can.")
@click.option(
    "--grace",
    "grace_s",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    help="Like --terminate, but only if the task has not ended by itself after so long. The server sees to it.",
)
@_asks_server
def cancel(task_ids: tuple[str, ...], terminate: bool, grace_s: float | None, url: str, token: str | None) -> None:
    """Stop tasks.

    One that waits will not begin. One that runs ends at its next checkpoint, if it has any; with --terminate or --grace
    its pool ends it, as far as it can: prefork, gevent and eventlet can, threads and solo cannot.

    The exit status is 1 if a task was to be terminated and was not.
    """
    from livetask.client import showing

    stop = terminate or grace_s is not None
    sys.exit(showing.cancel_tasks(showing.Server(url, token), task_ids, stop, grace_s or 0.0))


@commands.command("share")
@click.argument("task_id", metavar="ID", required=False)
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), default=24.0, show_default=True, help="How long the link works."
)
@click.option("--list", "listed", is_flag=True, help="List your links; for administrators all of them.")
@click.option("--revoke", metavar="LINK", help="End the link of that id.")
@_json_option
@_asks_server
def share(
    task_id: str | None, hours: float, listed: bool, revoke: str | None, as_json: bool, url: str, token: str | None
) -> None:
    """Print a link by which anybody can read a task's log, without an account, until it expires or is revoked.

    The link is shown this once. What stands behind its # is the secret: browsers send it to no server.
    """
    from livetask.client import showing

    server = showing.Server(url, token)
    if sum((task_id is not None, listed, revoke is not None)) != 1:
        raise click.UsageError("give a task's ID, or --list, or --revoke LINK")
    if listed:
        sys.exit(showing.list_links(server, as_json))
    if revoke is not None:
        sys.exit(showing.end_link(server, revoke))
    sys.exit(showing.make_link(server, str(task_id), hours))


@commands.command("rerun")
@click.argument("task_id", metavar="ID")
@click.option("--args", "args", metavar="JSON", help="Other positional arguments, as a JSON list.")
@click.option("--kwargs", "kwargs", metavar="JSON", help="Other named arguments, as a JSON object.")
@click.option("--no-follow", is_flag=True, help="Print the new task's id, and end.")
@_json_option
@_raw_option
@_asks_server
def rerun(
    task_id: str,
    args: str | None,
    kwargs: str | None,
    no_follow: bool,
    as_json: bool,
    raw: bool,
    url: str,
    token: str | None,
) -> None:
    """Run a task again, as a new task, and print its output.

    It gets the arguments of the old one, which stays as it is. The exit status is that of run.
    """
    positional = None if args is None else _read("--args", args, list, "a JSON list, such as '[1, \"a\"]'")
    named = None if kwargs is None else _read("--kwargs", kwargs, dict, "a JSON object, such as '{\"to\": 1}'")
    from livetask.client import showing

    server = showing.Server(url, token)
    sys.exit(showing.rerun_task(server, task_id, positional, named, follow=not no_follow, as_json=as_json, raw=raw))
