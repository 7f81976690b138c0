"""The process that looks: ``python -m livetask.server.searching.finder DESCRIPTOR``.

It is talked to over its stdin and stdout. What it looks at lies in memory behind the descriptor, the server's too.

| a message on stdin, one JSON object a line | answered |
|---|---|
| ``{"do": "search", "line", "q", "case", "regex", "limit"}`` | ``{"ok": true}``, or ``{"error"}``: no such pattern |
| ``{"do": "marks", "line"}`` | ``{"ok": true}`` |
| ``{"do": "feed", "size"}``: so many bytes of the memory | what was found in whole lines, and how far they go |
| ``{"do": "rest"}`` | what was found in the unfinished line |
| ``{"do": "jump", "line"}`` | ``{"ok": true}``: what is fed next begins a line of this number |

It blocks, which is why it is a process; it ends with its stdin, and may be killed at any time.
"""

from __future__ import annotations

import json
import mmap
import re
import signal
import sys
from typing import Any, BinaryIO

from livetask.server.process import keep_free
from livetask.server.searching.looking import Marks, Scan, Search

HEAP_BYTES = 8 * 1024 * 1024
"""See ``keep_free``: clearing pages was more than half of a search's time."""


def serve(asked: BinaryIO, answers: BinaryIO, room: mmap.mmap) -> None:
    """Answer until there is nothing more to read. ``room``: where what is fed lies."""
    scan: Scan | None = None
    while text := asked.readline():
        message = json.loads(text)
        what = message["do"]
        if what in ("search", "marks"):
            scan, answer = _begun(message)
        else:
            assert scan is not None
            answer = _done(scan, what, message, room)
        answers.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
        answers.flush()


def _begun(message: dict[str, Any]) -> tuple[Scan | None, dict[str, Any]]:
    line = message["line"]
    if message["do"] == "marks":
        return Marks(line), {"ok": True}
    try:
        given = {name: message[name] for name in ("case", "regex", "limit")}
        return Search(line, message["q"], **given), {"ok": True}
    except (re.error, OverflowError, RecursionError) as error:
        return None, {"error": str(error)[:200]}


def _done(scan: Scan, what: str, message: dict[str, Any], room: mmap.mmap) -> dict[str, Any]:
    if what == "jump":
        scan.line = message["line"]
        return {"ok": True}
    if what == "feed":
        scan.feed(room[: message["size"]])
    else:
        scan.rest()
    return {"line": scan.line, "looked_bytes": scan.looked_bytes, **scan.taken()}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to answer
    keep_free(HEAP_BYTES)
    serve(sys.stdin.buffer, sys.stdout.buffer, mmap.mmap(int(sys.argv[1]), 0, access=mmap.ACCESS_READ))
