"""``python -m livetask.demo start``: starts the mix of demo tasks through a running dashboard, as its button does.

It knows the server by its HTTP interface only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request

from livetask.demo import MIX

QUICK: dict[str, dict[str, float]] = {
    "demo.hash_python": {"seconds": 10, "rounds": 500},
    "demo.compile_stdlib": {"limit": 400, "levels": 1},
    "demo.train": {"steps": 12_000},
}
"""A tenth of the work of those that work for a minute."""


class NotStarted(Exception):
    """The dashboard did not start a task; the message says why."""


def main(argv: list[str] | None = None) -> int:
    """Read the command line, do it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m livetask.demo", description="livetask's demo tasks")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start eight demo tasks at once")
    start.add_argument("--url", default=default_url(), help="the dashboard's address (default: %(default)s)")
    start.add_argument("--quick", action="store_true", help="with a tenth of the work")
    start.add_argument("tasks", nargs="*", metavar="TASK", help="only these, by name, for example demo.train")
    options = parser.parse_args(argv)
    try:
        for name in options.tasks or MIX:
            task_id = started(options.url, name, QUICK.get(name) if options.quick else None)
            print(f"{name:20} {options.url.rstrip('/')}/tasks/{task_id}", flush=True)
    except NotStarted as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def default_url() -> str:
    """Where `make run` puts the dashboard."""
    return f"http://127.0.0.1:{os.environ.get('PORT') or os.environ.get('LIVETASK_PORT') or 8400}"


def started(url: str, name: str, kwargs: dict[str, float] | None = None) -> str:
    """Start one task, by default with its default arguments, and return its id; raises NotStarted."""
    body = json.dumps({"task_name": name, "args": [], "kwargs": kwargs or {}}).encode()
    request = urllib.request.Request(  # noqa: S310 - the demo's own server
        f"{url.rstrip('/')}/task", data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    # The dashboard is addressed as given: a proxy that the environment names is for the outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise NotStarted(f"{name}: {reason_in(error.read()) or error}") from error
    except (OSError, ValueError) as error:
        raise NotStarted(
            f"no dashboard answers at {url} ({error}); `make run` starts one, --url names another"
        ) from error
    if answer.get("status") != "success":
        raise NotStarted(f"{name}: {answer.get('data')}")
    return str(answer["data"])


def reason_in(body: bytes) -> str:
    """The reason in a refusal's body, '' if it holds none."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    return str(answer.get("data") or answer.get("error") or "") if isinstance(answer, dict) else ""


if __name__ == "__main__":
    sys.exit(main())
