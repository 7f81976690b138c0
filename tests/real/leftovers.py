"""Ends what tests have started, should the tests be killed before they do so: a small process beside pytest.

It reads ``+pid`` and ``-pid`` from its standard input; when that ends, because pytest has ended in whatever way, it
kills what is left. A process of its own and no fork: pytest has threads.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
from functools import cache
from pathlib import Path

from livetask.service.trees import end_trees

_GRACE_S = 0.5


@cache
def _guard() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.real.leftovers"]
    checkout = Path(__file__).resolve().parents[2]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=checkout, start_new_session=True, bufsize=0)
    atexit.register(guard.communicate)
    return guard


def watch(pid: int) -> None:
    """``pid``, the leader of its session, is to end with the tests."""
    _say(b"+%d\n" % pid)


def forget(pid: int) -> None:
    """``pid`` and all it started have ended."""
    _say(b"-%d\n" % pid)


def _say(words: bytes) -> None:
    pipe = _guard().stdin
    assert pipe is not None
    pipe.write(words)


def main() -> None:
    """Listen until the tests are over."""
    watched: set[int] = set()
    for line in sys.stdin.buffer:
        (watched.add if line.startswith(b"+") else watched.discard)(int(line[1:]))
    end_trees(watched, _GRACE_S)


if __name__ == "__main__":
    main()
