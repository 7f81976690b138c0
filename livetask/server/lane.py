"""Blocking calls beside the event loop: in threads of their own, a few at once, none waited for too long.

A call that hangs keeps its thread until it ends, so a dead broker can hold ``limit`` threads and no more; whoever comes
later is told after the timeout that it does not answer. The threads are daemons: a process that is told to stop does
not wait for them. (Those of a ThreadPoolExecutor are joined at exit, and would be waited for.) All of them start with
the first call: starting a thread waits until it runs, which takes long beside one that imports.

Knows nothing of Celery.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class StillWanted:
    """Whether the one who asked still waits for the answer; a call looks here before it does what cannot be undone."""

    __slots__ = ("_given_up",)

    def __init__(self) -> None:
        self._given_up = threading.Event()

    def __bool__(self) -> bool:
        return not self._given_up.is_set()

    def give_up(self) -> None:
        self._given_up.set()


class Lane:
    """Runs blocking calls. ``name``: of its threads. ``limit``: calls at once. ``timeout_s``: patience for each."""

    def __init__(self, name: str, limit: int, timeout_s: float) -> None:
        self._name = name
        self._limit = limit
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(limit)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = False

    async def run(self, call: Callable[[StillWanted], T]) -> T:
        """Return what ``call`` returns, or raise what it raises; TimeoutError when that takes too long.

        The time in which all places are taken counts as well.
        """
        wanted = StillWanted()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._places.acquire()
                return await self._answer(call, wanted)
        finally:
            wanted.give_up()

    def close(self) -> None:
        """Let the threads end when they have done what they are at. Nothing may be run after it."""
        for _ in range(self._limit if self._started else 0):
            self._calls.put(None)

    def _answer(self, call: Callable[[StillWanted], T], wanted: StillWanted) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            self._places.release()
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # None only where T has it

        def work() -> None:
            result, error = None, None
            try:
                result = call(wanted)
            except BaseException as caught:  # whatever it is, it belongs to the one who waits
                error = caught
            # the loop may have ended while the call hung: then nobody waits any more
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result, error)

        self._start()
        self._calls.put(work)
        return answer

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for number in range(self._limit):
            name = f"{self._name}-{number}"
            threading.Thread(target=_worked, args=(self._calls,), name=name, daemon=True).start()


def _worked(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := calls.get()) is not None:
        work()
