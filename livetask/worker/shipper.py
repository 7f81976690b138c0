"""The shipper: a process beside the worker that brings what its spools hold into Redis.

``python -m livetask.worker.shipper`` is started by the worker's main process, which gives it an order on its standard
input (``order``). It ends when it is told to, or when that
process is gone, after it has shipped what there is, within some seconds; what it cannot ship stays for the next worker
on this host, whose shipper adopts the directory.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from livetask.errors import RedisUnavailable
from livetask.settings import without_password
from livetask.worker.facts import now_ms
from livetask.worker.household import Household
from livetask.worker.notes import Notes
from livetask.worker.order import Order
from livetask.worker.pace import Pace
from livetask.worker.publishing import Publishing
from livetask.worker.shipping import Shipping
from livetask.worker.spool import CONSOLE, left_behind
from livetask.worker.stopping import StopBoard
from livetask.worker.teeing import Tee
from livetask.worker.telling import TOLD_FOR_S, Hearing
from livetask.worker.weighing import Weighing
from livetask.worker.writing import Call, Writing

logger = logging.getLogger("livetask")

_LOOK_S = 0.1
"""How often it is looked whether processes have died, and how much the spools hold."""

_IDLE_S = 0.5
_GATHER_S = 0.003
_ROUND_S = 0.02
"""From one round to the next it takes at least this, or the flush interval (``pace``)."""

_ADOPT_S = 10.0
_VERIFY_S = 5.0
_BACKOFF_S = (0.1, 3.0)
_STOP_S = 5.0
_STOP_WITHOUT_REDIS_S = 1.0
_CALLS_IN_A_ROUND = 512


class Shipper:
    """Ships one worker's directory, and those of dead workers that it adopts."""

    def __init__(self, order: Order) -> None:
        """Raises OSError."""
        directory = Path(order.directory)
        self._order = order
        self._terms = order.terms
        self._url = order.redis_url
        self._hearing = Hearing(directory)
        self._tee = Tee() if order.tee else None
        self._own = Household(directory, self._terms, self._tee, main_is_alive=True)
        self._houses = [self._own]
        self._notes = Notes(self._terms)
        self._stops = StopBoard(self._terms.keys, directory)
        self._publishing = Publishing(self._terms.keys, directory)
        self._weighing = Weighing(self._terms.keys, order.main_pid)
        self._writing = Writing(self._url)
        self._away_since_s: float | None = None
        self._pause_s = 0.0
        self._next_try_s = 0.0
        self._next_adoption_s = 0.0
        self._next_look_s = 0.0
        self._look_until_s = 0.0
        self._next_verification_s = 0.0
        self._stop_by_s: float | None = None
        self._pace = Pace(min(_ROUND_S, order.flush_ms / 1000))

    def run(self) -> None:
        """Ship until the worker is gone and all is shipped, or time is over."""
        if self._tee is not None:
            self._tee.start()
        while not self._is_over():
            began_s = time.monotonic()
            more = self._turn()
            if not more:
                self._hearing.wait(max(0.0, self._rest_s() - _GATHER_S))
                round_s = self._pace.round_s(prints=self._own.prints)
                since_s = time.monotonic() - began_s
                time.sleep(max(_GATHER_S, round_s - since_s))  # what else is told or written now goes along
        self._withdraw()
        if self._tee is not None:
            self._tee.finish(timeout_s=1.0)
        for house in self._houses:
            house.leave()

    def _turn(self) -> bool:
        """Look, and ship once; whether there is more to ship at once."""
        now_s = time.monotonic()
        told = self._hearing.told()
        for words in told:
            self._heard(words, now_s)
        if now_s >= self._next_look_s or told or self._look_until_s:
            self._next_look_s = now_s + _LOOK_S
            if now_s >= self._look_until_s:
                self._look_until_s = 0.0
            self._look(now_s)
        for house in self._houses:
            house.measure()
        if now_s < self._next_try_s:
            return False
        return self._ship(now_s)

    def _withdraw(self) -> None:
        """Take back what was published; if Redis is away, the lease does it."""
        if self._away_since_s is None:
            with suppress(RedisUnavailable):
                self._writing.replies(self._publishing.withdrawal())

    def _rest_s(self) -> float:
        rest_s = _IDLE_S
        if self._stop_by_s is not None or self._notes or any(house.is_busy for house in self._houses):
            rest_s = self._order.flush_ms / 1000
        return min(rest_s, TOLD_FOR_S) if self._look_until_s else rest_s

    # ---- looking

    def _heard(self, words: dict[str, Any], now_s: float) -> None:
        what = words["what"]
        if what == "run":
            self._look_until_s = now_s + TOLD_FOR_S  # what it does within this time is not told
        if what == "stop":
            self._stop_by_s = self._stop_by_s or now_s + _STOP_S
        elif what in ("queued", "state"):
            self._notes.add(str(words.get("task")), what, words.get("fields"), now_s)
        else:
            self._own.heard(words, now_s)

    def _look(self, now_s: float) -> None:
        if self._own.main_is_alive and os.getppid() != self._order.main_pid:
            self._own.main_is_alive = False
            self._stop_by_s = self._stop_by_s or now_s + _STOP_S
        if now_s >= self._next_adoption_s and self._stop_by_s is None:
            self._next_adoption_s = now_s + _ADOPT_S
            self._adopt()
        if self._tee is not None:
            self._tee.look_for_file(self._own.directory / CONSOLE)
        self._publishing.look()
        for house in self._houses:
            house.look(now_s)
            for task_id, progress in house.progress():
                self._notes.add(task_id, "progress", {"progress": progress}, now_s)
        self._free(now_s)

    def _adopt(self) -> None:
        for directory, lock_fd in left_behind(self._own.directory.parent):
            if all(house.directory != directory for house in self._houses):
                logger.info("livetask: ships what a worker left behind in %s", directory)
                self._houses.append(Household(directory, self._terms, None, main_is_alive=False, lock_fd=lock_fd))

    def _free(self, now_s: float) -> None:
        """Keep the spools within their bounds, and forget what has been in Redis for long enough."""
        order = self._order
        for run in (run for house in self._houses for run in house.open_runs()):
            if run.final is None and not run.following.keep_room():
                # The disk is full. What the task writes now is worth more than what it wrote before.
                self._free_run(run, run.following.held_bytes // 2)
            if run.following.held_bytes > order.spool_cap_bytes * 9 // 8:
                self._free_run(run, order.spool_cap_bytes)
        self._free_excess(sum(house.held_bytes for house in self._houses) - order.spool_host_cap_bytes)
        for house in list(self._houses):
            house.forget(now_s)
            if house is not self._own and house.is_empty:
                house.remove()
                self._houses.remove(house)

    def _free_excess(self, excess: int) -> None:
        """Give up so many bytes: of runs that Redis has to the end before others, and of the largest ones first."""
        if excess <= 0:
            return
        runs = [run for house in self._houses for run in house.runs.values()]
        for run in sorted(runs, key=lambda run: (not run.is_finished, -run.following.held_bytes)):
            before = run.following.held_bytes
            self._free_run(run, max(0, before - excess))
            excess -= before - run.following.held_bytes
            if excess <= 0:
                break
        for house in self._houses:
            house.weigh_again()

    def _free_run(self, run: Shipping, held_bytes: int) -> None:
        start = run.following.freeable(held_bytes)
        if self._tee is not None:
            self._tee.freed(run.facts.nonce, start)
        with suppress(OSError):  # there is not even room to write down what goes: nothing goes, and it is tried again
            run.following.free(start)

    # ---- shipping

    def _ship(self, now_s: float) -> bool:
        """One round trip to Redis, if there is anything to say; whether there is more."""
        at_ms = now_ms()
        for run in self._own.new_runs():
            if run.facts.why == "first":
                known = run.queued_at or self._notes.begins(run.facts.task_id)
                run.queued_at = known or str(run.facts.received_ms or run.facts.begun_ms)
        notes = self._notes.calls(now_s)
        asked: list[tuple[Shipping, int]] = []
        stops = self._stops.calls(now_s, self._own.is_busy)
        calls: list[Call] = [*notes, *stops]
        for run in self._in_turn():
            if len(calls) >= _CALLS_IN_A_ROUND:
                break
            wanted = run.calls(now_s, at_ms)
            asked.append((run, len(wanted)))
            calls += wanted
        verified = self._to_verify(now_s)
        calls += [run.verification() for _, run in verified]
        published = [] if self._stop_by_s is not None else self._publishing.calls(now_s)
        calls += published
        weighed = self._weighing.calls(now_s, self._publishing.worker, self._in_turn(), self._own.is_busy)
        calls += weighed
        if not calls:
            return False
        try:
            replies = self._writing.replies(calls)
        except RedisUnavailable as error:
            for run, _ in asked:
                run.unanswered()
            self._is_away(now_s, error)
            return False
        self._is_there(now_s)
        self._pace.began(sum(call.script == "begin" for call in calls), now_s)
        self._notes.sent(len(notes))
        place = len(notes)
        for reply in replies[place : place + len(stops)]:
            self._stopped(reply, now_s)
        place += len(stops)
        for run, count in asked:
            own = replies[place : place + count]
            if (wrong := next((reply for reply in own if isinstance(reply, Exception)), None)) is not None:
                run.refused(wrong)
            else:
                run.answered(own)
            place += count
        for (house, run), reply in zip(verified, replies[place : place + len(verified)], strict=True):
            if not isinstance(reply, Exception) and not house.verified(run, reply):
                self._next_verification_s = now_s  # where one is forgotten, others may be: the next ones at once
        place += len(verified)
        self._publishing.answered(now_s, replies[place : place + len(published)])
        self._weighing.answered(now_s, replies[place + len(published) :])
        return self._notes.has_more or any(run.has_more for run, _ in asked)

    def _stopped(self, reply: Any, now_s: float) -> None:
        try:
            self._stops.answered(reply, now_s)
            self._stops.tell(self._own.open_runs())
        except (OSError, ValueError, TypeError) as error:
            logger.error("livetask: a task could not be told to stop: %s", error)

    def _in_turn(self) -> Iterator[Shipping]:
        """All runs, those first that have waited longest."""
        for house in self._houses:
            yield from house.in_turn()

    def _to_verify(self, now_s: float) -> list[tuple[Household, Shipping]]:
        if now_s < self._next_verification_s:
            return []
        self._next_verification_s = now_s + _VERIFY_S
        return [(house, run) for house in self._houses for run in house.to_verify()]

    def _is_away(self, now_s: float, error: RedisUnavailable) -> None:
        if self._away_since_s is None:
            self._away_since_s = now_s
            self._pause_s = _BACKOFF_S[0]
            logger.warning("livetask: %s (%s); output is kept in the spool", error, without_password(self._url))
        self._next_try_s = now_s + self._pause_s * random.uniform(0.5, 1.0)
        self._pause_s = min(_BACKOFF_S[1], self._pause_s * 2)

    def _is_there(self, now_s: float) -> None:
        if self._away_since_s is not None:
            logger.warning("livetask: Redis answers again, after %.1f s", now_s - self._away_since_s)
            self._away_since_s = None

    def _is_over(self) -> bool:
        if self._stop_by_s is None:
            return False
        if self._own.is_shipped and not self._notes:
            return True
        left_s = self._stop_by_s - time.monotonic()
        away = self._away_since_s is not None
        return left_s < 0 or (away and left_s < _STOP_S - _STOP_WITHOUT_REDIS_S)


def main() -> None:
    """Take the order from standard input, and ship."""
    # A Ctrl-C in the terminal reaches this process too; it ends when its main process does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format="[%(asctime)s: %(levelname)s/livetask shipper] %(message)s", level=logging.INFO)
    with suppress(BrokenPipeError):
        Shipper(Order.parse(sys.stdin.read())).run()


if __name__ == "__main__":
    main()
