"""Runs several processes as one: prefixed logs, one end for all, and nothing left behind.

| state    | what happens                                   | goes to                                     |
|----------|------------------------------------------------|---------------------------------------------|
| running  | logs are passed on                             | stopping, by a signal or when a part ends   |
| stopping | last started first: its signals, then SIGKILL  | ended; a second signal kills at once        |
| ended    | 0 after a signal, 1 when a part ended by itself |                                             |

It knows commands and signals, and nothing of what its parts do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from livetask.service.guard import Guard
from livetask.service.trees import descendants, kill_groups, send

LONGEST_LINE_BYTES = 8192
LOOK_EVERY_S = 0.03


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an ending. ``signal``: what is sent; ``within_s``: how long the part then has, in seconds."""

    signal: signal.Signals
    within_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """One process to run. ``said``: called with each line of its output.

    ``stdin``: what it reads. ``keep_fds``: descriptors it inherits. ``ending``: the steps before SIGKILL.
    ``outlives``: names of the parts that must have gone before this one is ended.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: bytes = field(default=b"", repr=False)
    keep_fds: tuple[int, ...] = ()
    ending: tuple[Step, ...] = (Step(signal.SIGTERM, 2.0),)
    outlives: tuple[str, ...] = ()
    said: Callable[[str], None] | None = None


class Supervisor:
    """Runs parts until one of them ends or a signal comes."""

    def __init__(self, parts: Sequence[Part], guard: Guard, tell: Callable[[str], None]) -> None:
        """``guard``: ends the parts should this process be killed. ``tell``: takes one line for the terminal."""
        self._parts = parts
        self._guard = guard
        self._tell = tell
        self._width = max(len(part.name) for part in parts)
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._output: dict[str, IO[bytes]] = {}
        self._ended: dict[str, asyncio.Event] = {part.name: asyncio.Event() for part in parts}
        self._gone: dict[str, asyncio.Event] = {part.name: asyncio.Event() for part in parts}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._crashed = False

    async def run(self) -> int:
        """Start all parts at once and stay until all have ended; the exit status of the whole."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        async with asyncio.TaskGroup() as tasks:
            for part in self._parts:
                await self._start(part)
                tasks.create_task(self._follow(part))
            await self._stop.wait()
            for part in self._parts:
                tasks.create_task(self._end(part))
        return 1 if self._crashed else 0

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        else:
            self._tell("stopping ... (once more to kill)")
        self._stop.set()

    async def _start(self, part: Part) -> None:
        # a pipe of our own: asyncio's would keep the part from having ended while a grandchild holds it open
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=writing,
                stderr=writing,
                env={**os.environ, **part.env},
                pass_fds=part.keep_fds,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self._guard.watch(process.pid)
        self._output[part.name] = os.fdopen(reading, "rb")
        self._running[part.name] = process
        assert process.stdin
        process.stdin.write(part.stdin)
        process.stdin.close()

    # ------------------------------------------------------------ while it runs

    async def _follow(self, part: Part) -> None:
        """Pass a part's lines on until it has ended; its end stops all others."""
        process = self._running[part.name]
        reading = asyncio.ensure_future(self._pass_on(part))
        status = await process.wait()
        # a grandchild may hold the pipe open: it is no reason to wait for the end of the output
        await asyncio.wait([reading], timeout=0.2)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        self._ended[part.name].set()
        if not self._stop.is_set():
            self._crashed = True
            self._tell(f"{part.name} ended by itself, {fate(status)}; stopping the rest")
            self._stop.set()

    async def _pass_on(self, part: Part) -> None:
        loop = asyncio.get_running_loop()
        output = asyncio.StreamReader()
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), self._output[part.name])
        rest = b""
        try:
            while more := await output.read(65536):
                *lines, rest = (rest + more).split(b"\n")
                for line in lines:
                    self._line(part, line)
                if len(rest) > LONGEST_LINE_BYTES:
                    self._line(part, rest)
                    rest = b""
        finally:
            if rest:
                self._line(part, rest)
            pipe.close()

    def _line(self, part: Part, line: bytes) -> None:
        text = line[:LONGEST_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
        self._tell(f"{part.name:<{self._width}} | {text}")
        if part.said:
            part.said(text)

    # ------------------------------------------------------------ the end

    async def _end(self, part: Part) -> None:
        """End a part and all that it started, once the parts that need it have gone."""
        for name in part.outlives:
            await self._gone[name].wait()
        leader = self._running[part.name].pid
        tree = descendants([leader])
        for step in part.ending:
            if not self._ended[part.name].is_set() and not self._hurry.is_set():
                send([leader], step.signal)
            tree = await self._leaving(tree, step.within_s)
        kill_groups([leader])
        send(descendants(tree), signal.SIGKILL)
        await self._ended[part.name].wait()
        self._guard.forget(leader)
        self._gone[part.name].set()

    async def _leaving(self, tree: set[int], within_s: float) -> set[int]:
        """What is left of a tree of processes when it had this long to go, or somebody is in a hurry."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within_s
        while (tree := descendants(tree)) and loop.time() < ends_at and not self._hurry.is_set():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)  # other processes set no event of ours
        return tree


def fate(status: int) -> str:
    """How a process ended, in words. ``status``: as in subprocess, minus the signal's number."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
