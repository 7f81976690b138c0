"""What is loaded from the shelf: once for all who want it, kept for a while, never more than a bound.

A load goes on when the one who asked waits no longer, and what it brings is there when he asks again: a viewer is never
kept waiting by a slow shelf, and gets on all the same.

Must never know: what is loaded.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    value: T
    size: int
    until_s: float


class Loads(Generic[T]):
    """See the module's docstring. ``most``: the most that is kept, in the unit that ``size`` tells.

    ``keep_s``: for how long, given what was loaded; None: until there is no room.
    """

    def __init__(
        self, most: int, size: Callable[[T], int] = lambda _: 1, keep_s: Callable[[T], float | None] = lambda _: None
    ) -> None:
        self._most = most
        self._size = size
        self._keep_s = keep_s
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()
        self._loading: dict[str, asyncio.Task[T]] = {}
        self._held = 0

    async def get(self, name: str, load: Callable[[], Awaitable[T]]) -> T:
        """What ``load`` gives, or gave; raises what it raises, and then it is loaded again when asked again."""
        kept = self._kept.get(name)
        if kept is not None:
            if time.monotonic() < kept.until_s:
                self._kept.move_to_end(name)
                return kept.value
            self.forget(name)
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.create_task(self._load(name, load))
            loading.add_done_callback(lambda done: self._loaded(name, done))
        return await asyncio.shield(loading)

    def forget(self, name: str) -> None:
        """Load it anew when it is asked for."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._held -= kept.size
        self._loading.pop(name, None)

    def forget_all(self) -> None:
        """The same for everything."""
        for name in list(self._kept):
            self.forget(name)

    async def close(self) -> None:
        """End what is being loaded."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        if loading:
            await asyncio.wait(loading)

    async def _load(self, name: str, load: Callable[[], Awaitable[T]]) -> T:
        value = await load()
        if self._loading.get(name) is asyncio.current_task():
            keep_s = self._keep_s(value)
            until_s = float("inf") if keep_s is None else time.monotonic() + keep_s
            self._keep(name, _Kept(value, self._size(value), until_s))
        return value

    def _keep(self, name: str, kept: _Kept[T]) -> None:
        self._kept[name] = kept
        self._held += kept.size
        while self._held > self._most and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._held -= old.size

    def _loaded(self, name: str, done: asyncio.Task[T]) -> None:
        if self._loading.get(name) is done:
            del self._loading[name]
        if not done.cancelled():
            done.exception()  # whoever still waits has it; nobody else need hear of it
