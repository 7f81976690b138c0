"""The runs of one worker's directory, as the shipper sees them: found, watched, ended, forgotten.

A directory whose main process lives, or one that was left behind. It decides when a run has ended (``ending`` knows
how); it must never know Redis.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livetask.worker.ending import WORD_GRACE_S, End, Words, killed, speaks_for_itself, written_end
from livetask.worker.facts import exit_detail, now_ms
from livetask.worker.listing import Listing
from livetask.worker.process import kill_inherited, kill_tree
from livetask.worker.progress_signs import progress_in
from livetask.worker.run_log import RunLog
from livetask.worker.shipping import Shipping
from livetask.worker.small_files import read_json
from livetask.worker.spool import RunFacts, RunPaths
from livetask.worker.teeing import Tee
from livetask.worker.terms import Terms

_FIND_S = 0.5
"""How often the directory is read; what begins is told besides."""

_KEPT_S = 60.0
"""How long the spool of a run that Redis knows to the end is kept, so that a flush or a lost tail can be healed."""

_KEPT_RUNS = 1000
_ASKED_AT_ONCE = 200
"""Of how many kept runs Redis is asked at a time whether it still has them; of all, once it has forgotten one."""

_QUIET_S = 0.1
"""The output of a killed process is complete when its spool has not grown for so long: its children may still write."""


@dataclass(slots=True)
class _Watch:
    """What is seen of one run. Times are monotonic. ``gone_s``: since when its process is known to have left it."""

    log: RunLog
    seen_s: float
    gone_s: float | None = None
    grew_s: float = 0.0
    size: int = -1
    detail: dict[str, Any] = field(default_factory=dict)
    told_end: dict[str, Any] | None = None
    progress: str = ""


class Household:
    """One directory. ``main_is_alive``: whether its main process is. ``runs``: all that are kept, by nonce.

    What is done over and over is done for the runs that go on: a thousand that have ended cost nothing but their room.
    """

    def __init__(
        self, directory: Path, terms: Terms, tee: Tee | None, *, main_is_alive: bool, lock_fd: int = -1
    ) -> None:
        self.directory = directory
        self.main_is_alive = main_is_alive
        self.runs: dict[str, Shipping] = {}
        self._terms = terms
        self._tee = tee
        self._lock_fd = lock_fd
        self._watches: dict[str, _Watch] = {}
        self._open: dict[str, Shipping] = {}
        self._ended_s: OrderedDict[str, float] = OrderedDict()  # of the others, since when Redis has all of them
        self._ended_bytes = 0
        self._to_ask: deque[str] = deque()
        self._logs: dict[str, RunLog] = {}
        self._growing: dict[str, RunLog] = {}  # those of them in which there may yet be more
        self._listing = Listing(directory)
        self._beside: set[str] = set()  # what has further files, as seen last
        self._words = Words()
        self._turn = 0
        self._next_find_s = 0.0
        self._found_s = 0.0

    # ---- what there is

    @property
    def is_busy(self) -> bool:
        """Whether any run goes on or is not shipped."""
        return any(not run.is_finished for run in self._open.values())

    @property
    def prints(self) -> bool:
        """Whether a run that goes on has printed anything, as seen last."""
        return any(run.following.size for run in self._open.values())

    @property
    def is_shipped(self) -> bool:
        return not self.is_busy

    @property
    def is_empty(self) -> bool:
        return not self.runs

    def in_turn(self) -> Iterator[Shipping]:
        """The runs that are not finished; each time another one comes first.

        Before all others come those that Redis does not know yet, in the order in which they began: that gives them
        their ordinals, and a retry without a countdown begins before its first run has ended. After all others come
        those whose end Redis has forgotten: whoever follows a task that goes on does not wait for them.
        """
        yield from self.new_runs()
        open_runs = [run for run in self._open.values() if not run.is_finished and run.ordinal is not None]
        self._turn += 1
        turned = [open_runs[(place + self._turn) % len(open_runs)] for place in range(len(open_runs))]
        yield from sorted(turned, key=lambda run: run.was_finished)

    def new_runs(self) -> list[Shipping]:
        """Those that Redis does not know yet, in the order in which they began."""
        found = [run for run in self._open.values() if not run.is_finished and run.ordinal is None]
        return sorted(found, key=lambda run: (run.facts.begun_ns, run.facts.begun_ms))

    def open_runs(self) -> Iterable[Shipping]:
        """Those that go on, or that Redis does not have to the end."""
        return self._open.values()

    @property
    def held_bytes(self) -> int:
        """How much the spools hold."""
        return self._ended_bytes + sum(run.following.held_bytes for run in self._open.values())

    def weigh_again(self) -> None:
        """Some of what the ended ones hold was given up."""
        self._ended_bytes = sum(self.runs[nonce].following.held_bytes for nonce in self._ended_s)

    def to_verify(self) -> list[Shipping]:
        """The next ones of which Redis is to be asked whether it still has them; each in its turn."""
        if not self._to_ask:
            self._to_ask.extend(self._ended_s)
        found: list[Shipping] = []
        while self._to_ask and len(found) < _ASKED_AT_ONCE:
            nonce = self._to_ask.popleft()
            if nonce in self._ended_s and self.runs[nonce].ordinal is not None:
                found.append(self.runs[nonce])
        return found

    def verified(self, run: Shipping, reply: Sequence[Any]) -> bool:
        """Take the answer; False if Redis has forgotten it: it is sent again, and all others shall be asked for."""
        nonce = run.facts.nonce
        if nonce not in self._ended_s or run.verified(reply):
            return True
        self._ended_bytes -= run.following.held_bytes
        del self._ended_s[nonce]
        self._open[nonce] = run
        return False

    def find_runs(self, now_s: float) -> None:
        """Take in the runs that have begun since the last call, also those of which nothing was told."""
        self._found_s = now_s
        with suppress(FileNotFoundError):
            for name, kind in self._listing.new(now_s):
                if kind == "run":
                    self._take_up(name, now_s)
                elif kind != "out":
                    self._beside.add(name)

    def _take_up(self, name: str, now_s: float) -> None:
        if name not in self._logs:
            try:
                log = self._logs[name] = self._growing[name] = RunLog(self.directory, name)
                self._read_on(log, now_s)
            except OSError:
                self._listing.tell_again(name, "run")

    def _read_on(self, log: RunLog, now_s: float) -> None:
        """Take in the runs that have begun in that file."""
        begun = deque(log.look())
        while begun:
            facts = begun.popleft()
            try:
                run = self._taken_in(log, facts, begun)
            except (OSError, ValueError, KeyError):
                log.forget(facts.nonce)  # its output is gone
                continue
            self.runs[facts.nonce] = self._open[facts.nonce] = run
            self._watches[facts.nonce] = _Watch(log, seen_s=now_s, grew_s=now_s)

    def _taken_in(self, log: RunLog, facts: RunFacts, begun: deque[RunFacts]) -> Shipping:
        """The run. If it has not ended by the time its output is open, no other run will have that file."""
        paths = log.paths(facts.nonce)
        run = Shipping(paths, facts, self._terms, _final(log.end_of(facts.nonce)))
        if log.end_of(facts.nonce) is None:
            begun.extend(log.look())
            if _final(log.end_of(facts.nonce)) == 0:
                run.has_nothing()
        if self._tee is not None and run.final != 0:
            self._tee.follow(paths, lambda: run.following.clean, self._terms.mask)
        return run

    # ---- watching

    def measure(self) -> None:
        """See how much the runs that go on have written, and clean it."""
        for run in self._open.values():
            if not run.is_finished:
                run.following.look()

    def heard(self, words: dict[str, Any], now_s: float) -> None:
        """Take what one of the worker's processes said."""
        with suppress(KeyError, TypeError, ValueError):
            if words["what"] == "run":
                self._take_up(str(words["name"]), now_s)
            elif words["what"] == "verdict":
                end = End(str(words["how"]), dict(words["detail"]))
                self._words.verdict(str(words["task"]), end, now_s)
            elif words["what"] == "exit":
                self._words.exit(int(words["pid"]), int(words["code"]), now_s)
            elif words["what"] == "end" and words["nonce"] in self._watches:
                self._watches[words["nonce"]].told_end = dict(words["end"])

    def look(self, now_s: float) -> None:
        """See which runs have ended."""
        if now_s >= self._next_find_s:
            self._next_find_s = now_s + _FIND_S
            self.find_runs(now_s)
        for log in list(self._growing.values()):
            log.see_whether_held(self.main_is_alive)
            self._read_on(log, now_s)
            if not log.may_grow:
                self._growing.pop(log.name, None)
            self._drop(log)
        for nonce, run in list(self._open.items()):
            if run.end is None:
                self._look_for_end(run, self._watches[nonce], now_s)
            if run.is_finished and run.end is not None:
                run.following.give_room_back()
                run.following.close()
                del self._open[nonce]
                self._ended_s[nonce] = now_s
                self._ended_bytes += run.following.held_bytes

    def _look_for_end(self, run: Shipping, watch: _Watch, now_s: float) -> None:
        if watch.gone_s is None or watch.told_end is not None:
            alive = watch.log.is_held
            stored = watch.log.end_of(run.facts.nonce)
            written = stored or watch.told_end
            if written is not None:
                end, watch.detail = written_end(written)
                self._set_final(run, int(written.get("size", 0)))
                if end is not None:
                    self._set_end(run, end, stored)
                    return
            if alive and written is None:
                watch.log.make_room_for_end(run.facts.nonce)
                return
            watch.gone_s = watch.gone_s or now_s
        self._seek_cause(run, watch, now_s)

    def _seek_cause(self, run: Shipping, watch: _Watch, now_s: float) -> None:
        """The run was left without an end: find out what became of it."""
        since_s = watch.seen_s - 1
        if run.final is None and not self._has_stopped_growing(run, watch, now_s):
            return
        end = self._words.take_verdict(run.facts.task_id, since_s)
        exited = None
        if run.facts.locked:
            exited = self._words.exit_of(run.facts.pid, since_s)
            exited = _exit_of_zombie(run.facts.pid) if exited is None else exited
        waited = now_s - (watch.gone_s or now_s) > WORD_GRACE_S or not self.main_is_alive
        if end is not None:
            pass
        elif exited is not None and (waited or speaks_for_itself(exited)):
            end = killed(watch.detail, exit_detail(exited), self.main_is_alive)
        elif waited:
            end = killed(watch.detail, None, self.main_is_alive)
        else:
            return
        if run.final is None:
            self._set_final(run, run.following.look())
        self._set_end(run, end)

    def _has_stopped_growing(self, run: Shipping, watch: _Watch, now_s: float) -> bool:
        kill_tree(run.paths)
        size = run.following.look()
        if size != watch.size:
            watch.size, watch.grew_s = size, now_s
        # What a child goes on writing for ever must not hold the end for ever.
        return now_s - watch.grew_s >= _QUIET_S or now_s - (watch.gone_s or now_s) > 2 * WORD_GRACE_S

    def _set_final(self, run: Shipping, size: int) -> None:
        run.final = size
        if self._tee is not None:
            self._tee.ended(run.facts.nonce, size)

    def _set_end(self, run: Shipping, end: End, stored: dict[str, Any] | None = None) -> None:
        run.ended_ms = self._ended_ms(run.paths, stored)
        kill_tree(run.paths)
        if end.how == "REVOKED":
            kill_inherited(run.paths)
        if end.how == "KILLED":
            reason = str(end.detail.get("exception") or end.detail.get("reason") or "the task's process was killed")
            with suppress(OSError):
                run.events.fail(run.facts.task_id, run.final or 0, reason)
        run.end = end

    def _ended_ms(self, paths: RunPaths, stored: dict[str, Any] | None) -> int:
        """When a run ended, whose end is known now. ``stored``: the end that its process wrote down, just then.

        Of one that a dead worker left behind nothing is known but when it last wrote.
        """
        at_ms = stored.get("at_ms") if stored is not None else None
        if isinstance(at_ms, int):
            return at_ms
        if stored is None and self._lock_fd < 0:
            return now_ms()
        files = ("run", "out") if stored is None else ("run",)
        try:
            return max(os.stat(paths.of(file)).st_mtime_ns for file in files) // 1_000_000  # noqa: PTH116 - as there
        except OSError:
            return now_ms()

    def progress(self) -> Iterator[tuple[str, str]]:
        """(task id, progress as JSON) where it has changed."""
        for nonce, run in self._open.items():
            if run.is_finished:
                continue
            found = read_json(run.paths.of("progress"))
            if found is None:
                found = progress_in(run.following.last)
            if found is None:
                continue
            text = json.dumps(found)
            if run.ordinal is None:
                run.progress = text  # Redis takes none of a task that it does not know: its beginning brings it along
            elif text != self._watches[nonce].progress:
                self._watches[nonce].progress = text
                yield run.facts.task_id, text

    # ---- forgetting

    def forget(self, now_s: float) -> None:
        """Delete the spools of runs that Redis has had to the end for long enough."""
        while self._ended_s:
            nonce, ended_s = next(iter(self._ended_s.items()))
            if self.main_is_alive and len(self._ended_s) <= _KEPT_RUNS and now_s - ended_s <= _KEPT_S:
                return
            self._forget(nonce)

    def _forget(self, nonce: str) -> None:
        run = self.runs.pop(nonce)
        ended_s = self._ended_s.pop(nonce)
        self._ended_bytes -= run.following.held_bytes
        run.following.close()
        if ended_s >= self._found_s or nonce in self._beside:
            run.paths.remove_beside()
            self._beside.discard(nonce)
        log = self._watches.pop(nonce).log
        log.forget(nonce)
        self._drop(log)

    def _drop(self, log: RunLog) -> None:
        """Delete its two files if no run needs them, nor will."""
        if not log.kept and not log.may_begin:
            del self._logs[log.name]
            self._growing.pop(log.name, None)
            log.close()
            log.paths("").remove_shared()

    def leave(self) -> None:
        """Delete the directory if nothing in it is owed to anybody; else leave it for the next worker."""
        if not self.is_busy:
            self.remove()

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _final(end: dict[str, Any] | None) -> int | None:
    """The size of a run's output as its end tells, None if there is none."""
    size = end.get("size") if end is not None else None
    return size if isinstance(size, int) else None


def _exit_of_zombie(pid: int) -> int | None:
    """The exit code, negative for a signal, of a process that has ended and that its parent has not seen to yet.

    Celery's main process looks after its children at once at best, and every 5 seconds at worst; until then the kernel
    keeps the code (proc(5), stat, field 52).
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return os.waitstatus_to_exitcode(int(words[-1])) if words[0] == "Z" else None
    except (OSError, ValueError, IndexError):
        return None
