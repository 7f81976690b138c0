"""The Lua scripts that run inside Redis, and how to read them.

Each write that must be whole is one script on keys of one bucket. Every script begins with what it needs of the shared
opening (``opening.lua``), so that a script's text is complete in itself and its SHA-1 is the same in the worker, in the
server and in a test. All of them run unchanged on Redis 6.2, 7 and 8 and on Valkey, alone or in a cluster.

| script | who calls it | what it does |
|---|---|---|
| begin | worker | opens a run, or finds it again after a lost reply or a flush; ends it if it is over without output |
| append | worker | adds one entry at the one position where it belongs |
| emit | worker | adds one event to a run's events, at the one number where it belongs |
| share | worker | adds one event to a room's stream, once |
| renew | worker | renews a run's lease; says when the run is gone from Redis |
| erase | server | takes away what a task that has ended printed and was called with |
| finish | worker, server | ends a run, once |
| note | both | notes facts about a task: queued, progress, a state without a run |
| publish | worker | publishes how a worker's tasks are called, or renews that |
| stop | server | notes the wish that a task stops, where every worker reads it |
| shelve | server | moves a run's output from Redis to the archive, under a lease |
| weigh | worker | says how much the spools of a worker hold |
| watch | server | takes or renews the lease on tasks whose bell shall ring |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

NAMES = (
    "begin", "append", "emit", "share", "renew", "finish", "note", "publish", "stop", "shelve", "erase", "watch",
    "weigh",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """One script. ``text``: for EVAL. ``sha``: for EVALSHA, 40 hexadecimal digits."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of that name, one of NAMES."""
    here = files(__name__)
    body = here.joinpath(f"{name}.lua").read_text("utf-8")
    text = with_opening(here.joinpath("opening.lua").read_text("utf-8"), body)
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def with_opening(opening: str, body: str) -> str:
    """The script behind those parts of the opening that it calls, itself or by another one.

    Redis makes all functions anew at each call of a script: those that are not called took a tenth of the time.
    Parts are parted by an empty line, and call only what stands before them; the first is what the opening is about.
    """
    _, *parts = opening.rstrip("\n").split("\n\n")
    text = body
    for part in reversed(parts):
        name = re.search(r"^local function (\w+)", part, re.MULTILINE)
        if name is None or re.search(rf"\b{name[1]}\(", text):
            text = f"{part}\n\n{text}"
    return text
