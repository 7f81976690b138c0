"""Loaded by Python before all else, where this directory is on its path: the wall clock is what a test says.

A process whose environment has TEST_CLOCKS shows the time as far from the true one as the file of its half says,
``worker`` or ``server``; Lua scripts that it has Redis run read Redis' clock as far off as the key ``clock`` says. The
monotonic clock stays what it is, as it does where a machine's clock is set.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from functools import cache
from hashlib import sha1
from pathlib import Path

_TRUE = "the_time = time[1] * 1000"
_FALSE = "the_time = tonumber(redis.call('GET', 'clock') or 0) + time[1] * 1000"


def _set_off(path: Path) -> None:
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    true_ns = time.time_ns

    def time_ns() -> int:
        return true_ns() + int(struct.unpack("<q", memory[:8])[0]) * 1_000_000

    def seconds() -> float:
        return time_ns() / 1e9

    time.time_ns, time.time = time_ns, seconds


def _scripts_set_off() -> None:
    from livetask import scripts

    true = scripts.script

    @cache
    def script(name: str) -> scripts.Script:
        text = true(name).text
        assert text.count(_TRUE) == text.count("'TIME'"), "a script reads the clock in another way"
        text = text.replace(_TRUE, _FALSE)
        return scripts.Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())

    scripts.script = script


if _place := os.environ.get("TEST_CLOCKS"):
    _set_off(Path(_place) / ("server" if "serve" in sys.orig_argv else "worker"))
    _scripts_set_off()
