"""What the workers publish of their tasks, as the server sees it: which forms there are, and who has them.

What was read is believed for a moment; the forms themselves lie under the digest of their text and are read once. Text
from Redis is never trusted to be well formed: what cannot be read counts as absent.

It is given a function that sends plain commands to Redis.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from livetask.errors import RedisUnavailable
from livetask.keys import Keys, publisher_parsed
from livetask.signature import TaskForm

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]

BELIEVED_S = 2.0
_MOST_WORKERS = 1000

Forms = Mapping[str, TaskForm]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one task. ``forms``: all that are in use, the most common first. ``workers``: who has it."""

    forms: tuple[TaskForm, ...]
    workers: tuple[str, ...]


class Published:
    """See the module's docstring. ``ask``: sends commands, and gives the answers as Redis does."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._keys = keys
        self._by_digest: dict[str, Forms] = {}
        self._found: dict[str, Known] = {}
        self._away: RedisUnavailable | None = None
        self._read_at_s = float("-inf")
        # many may ask in the moment in which nothing is believed any more; one of them reads
        self._reading = asyncio.Lock()

    async def known(self) -> Mapping[str, Known]:
        """All tasks by name. Raises RedisUnavailable; that is believed for a moment too, so nobody queues for it."""
        async with self._reading:
            if time.monotonic() - self._read_at_s > BELIEVED_S:
                try:
                    self._found, self._away = await self._read(), None
                except RedisUnavailable as error:
                    self._away = error
                self._read_at_s = time.monotonic()
        if self._away is not None:
            raise RedisUnavailable(self._away.reason)
        return self._found

    async def forms_of(self, name: str) -> tuple[TaskForm, ...]:
        """The forms of one task; none if no worker has it, or if Redis does not say."""
        try:
            known = (await self.known()).get(name)
        except RedisUnavailable:
            return ()
        return known.forms if known else ()

    async def _read(self) -> dict[str, Known]:
        ((seconds, micros),) = await self._ask([("TIME",)])  # the clock that the leases are measured by
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        limits = ("LIMIT", 0, _MOST_WORKERS)
        (members,) = await self._ask([("ZRANGEBYSCORE", self._keys.publishers(), now_ms, "+inf", *limits)])
        workers: dict[str, list[str]] = {}
        for member in members:
            digest, worker = publisher_parsed(member.decode("utf-8", "replace"))
            workers.setdefault(digest, []).append(worker)
        await self._take(list(workers))
        return _joined([(self._by_digest.get(digest, {}), names) for digest, names in workers.items()])

    async def _take(self, digests: Sequence[str]) -> None:
        """Have the forms under these digests, and no others."""
        missing = [digest for digest in digests if digest not in self._by_digest]
        texts = await self._ask([("GET", self._keys.forms(digest)) for digest in missing]) if missing else []
        held = {digest: self._by_digest[digest] for digest in digests if digest in self._by_digest}
        for digest, text in zip(missing, texts, strict=True):
            if text is not None:
                held[digest] = await asyncio.to_thread(_parsed, text)  # up to a mebibyte of JSON
        self._by_digest = held


def _parsed(text: bytes) -> Forms:
    try:
        forms = [TaskForm.parse(one) for one in json.loads(text)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {form.name: form for form in forms}


def _joined(found: Sequence[tuple[Forms, Sequence[str]]]) -> dict[str, Known]:
    """By task name: its forms, those of the most workers first, and all its workers."""
    forms: dict[str, list[tuple[TaskForm, int]]] = {}
    workers: dict[str, list[str]] = {}
    for known, names in found:
        for name, form in known.items():
            forms.setdefault(name, []).append((form, len(names)))
            workers.setdefault(name, []).extend(names)
    return {name: Known(_common(some), tuple(sorted(workers[name]))) for name, some in forms.items()}


def _common(some: Sequence[tuple[TaskForm, int]]) -> tuple[TaskForm, ...]:
    counted: Counter[str] = Counter()
    by_text: dict[str, TaskForm] = {}
    for form, count in some:
        text = json.dumps(form.as_json(), sort_keys=True)
        counted[text] += count
        by_text[text] = form
    return tuple(by_text[text] for text, _ in counted.most_common())
