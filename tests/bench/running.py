"""Goes through a plan, each measurement behind a limit: one that fails is noted, and the next one begins.

Nothing here may wait for ever, and nothing that one way does ends the run: a server that dies, a peer that cannot be
installed, a store that is killed are notes in the tables. What has to be done by a given time is begun only if it
will probably be over by then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields

import redis

from tests.bench import append, crowds, fanout, raw_read, replay
from tests.bench.kept import Found, Kept, Note
from tests.bench.plan import RAW, Arm, Stage
from tests.bench.processes import Valkey, valkey, within
from tests.bench.ways import WAYS, way

LIMITS_S = {"append": 60.0, "fanout": 90.0, "replay": 120.0, "storm": 120.0, "idle": 360.0}
"""How long a measurement may take; what its processes do is limited besides."""
GUESSES_S = {"append": 5.0, "fanout": 10.0, "replay": 15.0, "storm": 12.0, "idle": 130.0}
"""How long it probably takes, until it is known."""
OVER_S = 15.0
"""So long after the end a measurement that was begun in time may still go on."""
PREPARING_S = 240.0
STORE_LIMIT_S = 3600


class Runner:
    """Goes through stages until all is measured or the time is up.

    ``until``: by the monotonic clock. ``store``: the one that is there, until it dies.
    """

    def __init__(self, kept: Kept, begun: float, until: float, grace_s: float = OVER_S) -> None:
        self._kept = kept
        self._begun, self._until, self._grace_s = begun, until, grace_s
        self._longest: dict[str, float] = {}
        self._stack = ExitStack()
        self.store: Valkey | None = None

    def prepare(self, names: Container[str]) -> None:
        """Make ready what ways need (compile, install); of those that cannot be had it is noted why."""
        for one in WAYS:
            if one.name in names:
                try:
                    with within(min(PREPARING_S, self._left_s() / 3), f"what {one.name} needs"):
                        reason = one.lacks()
                except Exception as error:  # a peer that cannot be had takes nothing from the others
                    reason = _line(error)
                if reason:
                    self._kept.lacking[one.name] = reason
                    self._say(f"{one.name} is left out: {reason}")

    def run(self, stages: Sequence[Stage], *, quiet_s: float = crowds.QUIET_S) -> None:
        """Measure, round by round; ``quiet_s``: how long an idle crowd is looked at."""
        for stage in stages:
            for arm in stage.arms:
                self._kept.planned[arm] = stage.rounds
        with self._stack:
            for stage in stages:
                for number in range(1, stage.rounds + 1):
                    for arm in stage.arms:
                        self._one(arm, number, quiet_s)

    def _one(self, arm: Arm, number: int, quiet_s: float) -> None:
        here = tuple(name for name in arm.ways if name not in self._kept.lacking)
        if not here or self._kept.has(arm, number):
            return
        if self._left_s() < self._longest.get(arm.what, GUESSES_S[arm.what]):
            return
        begun = time.monotonic()
        limit_s = min(LIMITS_S[arm.what], self._left_s() + self._grace_s)
        for name, found in self._measured(arm, here, limit_s, quiet_s):
            failed = found if isinstance(found, str) else ""
            known = None if isinstance(found, str) else found
            self._kept.add(Note(arm.what, name, arm.cell, arm.size, number, known, failed))
            self._say(f"round {number}: {Arm(arm.what, (name,), arm.cell, arm.size)}: {failed or _told(known)}")
        took = time.monotonic() - begun
        self._longest[arm.what] = max(took, self._longest.get(arm.what, 0.0))

    def _measured(
        self, arm: Arm, ways: tuple[str, ...], limit_s: float, quiet_s: float
    ) -> Iterator[tuple[str, Found | str]]:
        """What each way did, or why it did not."""
        results: list[Found | str]
        try:
            with within(limit_s, str(arm)):
                store = self._living_store()
                if arm.what == "idle":
                    standing = crowds.idle([way(name) for name in ways], store, arm.size, quiet_s)
                    results = [_line(found) if isinstance(found, str) else found for found in standing]
                else:
                    results = [_one_way(arm, ways[0], store)]
        except Exception as error:  # whatever it was: it stands in the table, and the next one is measured
            results = [_line(error)] * len(ways)
        return iter(zip(ways, results, strict=True))

    def _living_store(self) -> Valkey:
        """The store, or another one when it has died."""
        if self.store is not None:
            try:
                with redis.Redis.from_url(self.store.url, socket_timeout=5) as client:
                    client.ping()
                return self.store
            except redis.RedisError:
                self._say("the store has died; another one is started")
        self._stack.close()
        self.store = self._stack.enter_context(valkey(limit_s=STORE_LIMIT_S))
        return self.store

    def _left_s(self) -> float:
        return self._until - time.monotonic()

    def _say(self, text: str) -> None:
        gone, whole = time.monotonic() - self._begun, self._until - self._begun
        print(f"[{_clock(gone)} of {_clock(whole)}] {text}", file=sys.stderr, flush=True)


def _one_way(arm: Arm, name: str, store: Valkey) -> Found:
    if arm.what == "append":
        return append.measure(way(name), store, arm.size)
    if arm.cell is not None:
        return fanout.measure(way(name), arm.cell, store)
    if arm.what == "storm":
        return crowds.one_storm(name, store, arm.size)
    return raw_read.measure(store, arm.size) if name == RAW else replay.measure(way(name), store, arm.size)


def _told(found: Found | None) -> str:
    """The first few figures, for who watches."""
    shown = [f"{one.name} {getattr(found, one.name):.4g}" for one in fields(found)[:3]] if found else []
    return ", ".join(shown)


def _line(error: Exception | str) -> str:
    """One line that a table can hold."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].replace("|", "/")[:160]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
