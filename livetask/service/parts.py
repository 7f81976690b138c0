"""What ``run.py`` starts: which parts, with which commands, on which data; and its command line.

The parts are processes of their own, joined by the URL of a Redis only: the embedded one, or the one that
``LIVETASK_REDIS_URL`` names. The URL travels in the environment, where no process list shows its password.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

from livetask.errors import LivetaskError
from livetask.service.embedded import DataDirectory, ServerPlan, find_program, plan_server
from livetask.service.guard import Guard
from livetask.service.supervisor import Part, Step, Supervisor
from livetask.setting_errors import SettingInvalid

APP = "livetask.demo:app"
READY = "livetask is at "
DEFAULT_PORT = 8400
CONCURRENCY = 8


def main(checkout: Path, argv: list[str] | None = None) -> int:
    """Run what the command line names until Ctrl-C; the exit status.

    ``checkout``: its ``.livetask`` holds the data. ``argv``: the words after the command, None for the process' own.
    """
    options = _parser().parse_args(argv)
    if options.stop_with_parent:
        _stop_with_parent()
    try:
        return _run(options.what, checkout / ".livetask")
    except LivetaskError as error:
        print(f"livetask: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingInvalid) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="Runs livetask with its demo, all of it or one part.")
    parser.add_argument("what", nargs="?", default="all", choices=("all", "web", "worker", "redis"))
    parser.add_argument("--stop-with-parent", action="store_true", help="end when the process that started this ends")
    parser.epilog = "PORT: where the dashboard is (8400; 0 takes a free one). LIVETASK_REDIS_URL: use this Redis."
    return parser


def _run(what: str, home: Path) -> int:
    named = os.environ.get("LIVETASK_REDIS_URL")
    data = DataDirectory(home / "redis")
    # the guard is forked before the lock is taken, so that it does not hold the lock too
    with contextlib.closing(Guard()) as guard:
        if what in ("web", "worker") or (what == "all" and named):
            return _supervised(_on_a_running_redis(what, named or _published(data), home), guard)
        return _with_embedded_redis(what, data, home, guard)


def _on_a_running_redis(what: str, url: str, home: Path) -> list[Part]:
    parts = []
    if what in ("all", "worker"):
        parts.append(worker_part(url, home))
    if what in ("all", "web"):
        parts.append(web_part(url, _web_port(), home))
    return parts


def _with_embedded_redis(what: str, data: DataDirectory, home: Path, guard: Guard) -> int:
    with data:
        plan = plan_server(find_program().path, data.path / "data")
        data.publish(plan.url)
        if what == "all":
            parts = [redis_part(plan, data, ("worker", "web"))]
            parts += [worker_part(plan.url, home), web_part(plan.url, _web_port(), home, data)]
        else:
            parts = [redis_part(plan, data)]
            data.note(f"redis at 127.0.0.1:{plan.port}")
            print(f"LIVETASK_REDIS_URL={plan.url}", flush=True)
        return _supervised(parts, guard)


def _supervised(parts: list[Part], guard: Guard) -> int:
    return asyncio.run(Supervisor(parts, guard, _tell).run())


def _tell(line: str) -> None:
    # a terminal that has gone away is no reason to leave processes behind
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


# ---------------------------------------------------------------- the parts


def redis_part(plan: ServerPlan, data: DataDirectory, outlived: tuple[str, ...] = ()) -> Part:
    """The embedded server. It inherits the lock on its data, and outlives the others: last words are stored."""
    return Part(
        name="redis",
        command=plan.command,
        stdin=plan.config.encode(),
        env=plan.env,
        keep_fds=(data.lock_fd,),
        ending=(Step(signal.SIGTERM, 0.6),),
        outlives=outlived,
    )


def worker_part(url: str, home: Path) -> Part:
    """A Celery worker with the demo's tasks, whose processes are as many as the mix has tasks.

    Told to end it lets its tasks finish, so after a moment it is told again, harder: SIGQUIT ends the tasks.
    """
    line = ["-m", "celery", "-A", APP, "worker", "-I", "livetask.worker", "--pool", "prefork"]
    line += ["--concurrency", str(CONCURRENCY), "-n", "demo@%h", "-l", "INFO", "--without-mingle", "--without-gossip"]
    return Part(
        name="worker",
        command=[sys.executable, *line],
        env={
            **_urls(url),
            "LIVETASK_SPOOL_DIR": os.environ.get("LIVETASK_SPOOL_DIR") or str(home / "spool"),
            # eight tasks at once in one terminal help nobody: the page shows what they print
            "LIVETASK_TEE": os.environ.get("LIVETASK_TEE", "false"),
        },
        ending=(Step(signal.SIGTERM, 0.7), Step(signal.SIGQUIT, 1.2)),
    )


def web_part(url: str, port: int, home: Path, data: DataDirectory | None = None) -> Part:
    """The dashboard. Its address is shown where nobody overlooks it, and noted in `data`."""

    def said(line: str) -> None:
        if line.startswith(READY):
            address = line.removeprefix(READY).strip()
            _tell(f"\n    livetask is at {address}\n    Ctrl-C ends it\n")
            if data:
                data.note(address)

    line = ["-m", "livetask", "serve", "--host", "127.0.0.1", "--port", str(port), "--app", APP]
    return Part(
        name="web",
        command=[sys.executable, *line],
        env={**_urls(url), **_archive(home)},
        ending=(Step(signal.SIGTERM, 2.0),),
        said=said,
    )


def _archive(home: Path) -> dict[str, str]:
    """Where the archive lies, unless the environment says it."""
    if "LIVETASK_ARCHIVE_DIR" in os.environ or "LIVETASK_ARCHIVE_S3" in os.environ:
        return {}
    return {"LIVETASK_ARCHIVE_DIR": str(home / "archive")}


def _urls(url: str) -> dict[str, str]:
    return {"LIVETASK_REDIS_URL": url, "LIVETASK_DEMO_BROKER_URL": url, "PYTHONUNBUFFERED": "1"}


# ---------------------------------------------------------------- what they need


def _web_port() -> int:
    """The port that PORT names, which must be free; raises SettingInvalid."""
    text = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdigit() or int(text) > 65535:
        raise SettingInvalid("PORT", text, "a port number, 0 for a free one")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError:
            wanted = "a port that is free; try `make run PORT=8401`, or PORT=0 for any free one"
            raise SettingInvalid("PORT", int(text), wanted) from None
    return int(text)


def _published(data: DataDirectory) -> str:
    url = data.published()
    if url is None:
        wanted = "the URL of a Redis; or start the embedded one with `make run-redis` first"
        raise SettingInvalid("LIVETASK_REDIS_URL", None, wanted)
    return url


def _stop_with_parent() -> None:
    """Linux: be told by SIGTERM when the parent, make for example, dies without a word."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG in <linux/prctl.h>
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGTERM)
