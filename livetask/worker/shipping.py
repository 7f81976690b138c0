"""One run on its way into Redis: which calls come next, and what their answers mean.

| answer | what it means here |
|---|---|
| OK, DUP | it is there; go on |
| GAP end | Redis has less, or more, than was thought: go on from what it has |
| NORUN | Redis has forgotten the run: begin it again, from the oldest byte the spool holds |
| ENDED | somebody has ended it; there is nothing more to do |
| none | nobody knows; go back and send it again |

It must never know how calls are sent, nor how an end is decided.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from livetask.keys import bucket_of
from livetask.position import START, Position
from livetask.worker.ending import End
from livetask.worker.event_tail import EventRead, EventTail
from livetask.worker.following import Following, Piece, nothing
from livetask.worker.spool import RunFacts, RunPaths
from livetask.worker.terms import Terms
from livetask.worker.writing import Call

logger = logging.getLogger("livetask")

_encoded = json.JSONEncoder().encode
"""Made once: json.dumps looks at eight arguments for each call."""

PIECES_IN_A_TURN = 32
"""How many entries, or events, of one run go into one round trip; then the other runs have their turn."""

_REST_S, _MOST_REST_S = 1.0, 30.0
"""How long a run whose call was refused is left alone, more each time."""


class Shipping:
    """One run.

    ``final``: its size in bytes, once that is known. ``end``: how it ended. ``ended_ms``: when, wall clock,
    0 for when Redis hears of it. ``is_finished``: Redis knows. ``was_finished``: and has forgotten it since.
    ``told_to_stop``: its task can see that it is cancelled. ``queued_at``, ``progress``: told with its beginning.
    """

    def __init__(self, paths: RunPaths, facts: RunFacts, terms: Terms, final: int | None = None) -> None:
        """Raises OSError if the spool cannot be read."""
        self.paths = paths
        self.facts = facts
        self.following = nothing() if final == 0 else Following(paths, terms.mask, final)
        self.events = EventTail(paths)
        self.end: End | None = None
        self.ended_ms = 0
        self.is_finished = False
        self.was_finished = False
        self.told_to_stop = False
        self.queued_at = ""
        self.progress = ""
        self.ordinal: int | None = None
        self._wanted = -1 - facts.retries
        self._terms = terms
        self._bucket = bucket_of(facts.task_id)
        self._task_key = terms.keys.task(facts.task_id)
        self._output_key = terms.keys.output(facts.task_id, facts.nonce)
        self._renew_at_s = 0.0
        self._now_s = 0.0
        self._place = self.following.place()
        self._events_place = 0
        self._has_all_events = False  # Redis, as it has said itself
        self._asked: list[str] = []
        self._gone_nonce = ""
        self._refusals = 0
        self._rests_until_s = 0.0

    @cached_property
    def _bells(self) -> tuple[str, str]:
        """What says that there is more, and who wishes to know: keys that a run without output does not need."""
        return self._terms.keys.bell(self._bucket), self._terms.keys.watched(self._bucket)

    @property
    def final(self) -> int | None:
        return self.following.final

    @final.setter
    def final(self, size: int) -> None:
        self.following.end_at(size)

    def has_nothing(self) -> None:
        """It has ended without a byte, and what has been seen in its file is another run's."""
        self.following.close()
        self.following = nothing()

    @property
    def until(self) -> int:
        """Before which byte there is something to send."""
        return self.following.decided if self.final is None else min(self.following.decided, self.final)

    @property
    def has_more(self) -> bool:
        return not (self.is_finished or self._now_s < self._rests_until_s) and (
            self.ordinal is None
            or self.following.has_more(self.until)
            or self.events.has_more
            or (self.end is not None and self.final is not None)
        )

    def calls(self, now_s: float, now_ms: int) -> list[Call]:
        """What to ask Redis next. ``now_s``: monotonic.

        To be followed by ``answered``, ``unanswered`` or ``refused``.
        """
        self._now_s = now_s
        self._place, self._events_place = self.following.place(), self.events.sent
        asked: list[tuple[str, Call]] = []
        if self.is_finished or now_s < self._rests_until_s:
            pass
        elif self.ordinal is None:
            asked.append(("begin", self._begin(self.end if self._is_empty() else None)))
        else:
            self.events.look()  # after the size was taken: no event stands before what is sent and comes after it
            asked = list(self._output_and_events(now_ms))
            is_sent = not self.following.has_more(self.final or 0) and not self.events.has_more
            # After events only in a round of its own: their answers decide whether they are all there.
            if self.end is not None and self.final is not None and is_sent and "emit" not in dict(asked):
                if self.events.count and not self._has_all_events:
                    asked.append(("last", self._emit(self.events.read(self.events.count))))
                else:
                    asked.append(("finish", self._finish(self.end, str(self.following.scan.at))))
            elif now_s >= self._renew_at_s:
                asked.append(("renew", self._renew()))
            if self._gone_nonce:
                asked.insert(0, ("unlink", self._unlink()))
        self._asked = [kind for kind, _ in asked]
        return [call for _, call in asked]

    def _is_empty(self) -> bool:
        """Whether it has ended without output and events: then its beginning and its end are one call."""
        if self.end is None or self.final != 0 or self.following.base.at != START:
            return False
        self.events.look()
        return not self.events.count

    def unanswered(self) -> None:
        """The calls may or may not have taken effect."""
        self.following.back_to(self._place)
        self.events.sent = self._events_place

    def refused(self, error: Exception) -> None:
        """Redis finds something wrong with a call of this run, and of no other: it is tried again after a rest."""
        self.unanswered()
        if not self._refusals:
            logger.error("livetask: task %s cannot be shipped, it is tried again: %s", self.facts.task_id, error)
        self._refusals += 1
        self._rests_until_s = self._now_s + min(_REST_S * self._refusals, _MOST_REST_S)
        if self.ordinal is not None:
            self._forgotten()  # what is there may be what is wrong: begin again, by what Redis says then

    def answered(self, replies: Sequence[Any]) -> None:
        """What Redis said to each of the calls."""
        for kind, reply in zip(self._asked, replies, strict=True):
            if kind == "begin":
                self._begun(reply)
            elif kind == "unlink":
                self._gone_nonce = ""
            elif not self._goes_on(kind, reply):
                return

    def verification(self) -> Call:
        """Ask whether Redis still knows that the run has ended, and has its output."""
        return self._renew()

    def verified(self, reply: Sequence[Any]) -> bool:
        """Take the answer; False if the run has to be shipped again, or ended again, and is about to be.

        One whose output is gone from the disk too stays as it is: there is nothing to send.
        """
        word = bytes(reply[0])
        if word == b"ENDED":
            return True
        try:
            self.following.open()
        except OSError as error:
            logger.error("livetask: task %s cannot be sent again: %s", self.facts.task_id, error)
            return True
        self.is_finished, self.was_finished = False, True
        if word == b"NORUN":
            self._forgotten()
        else:
            self._go_to(Position.parse(reply[1]))
        return False

    def _goes_on(self, kind: str, reply: Sequence[Any]) -> bool:
        """Take the answer to an append, renew or finish; False if the answers after it mean nothing."""
        word = bytes(reply[0])
        if kind == "renew" and word == b"OK":
            self._renew_at_s = self._now_s + self._terms.lease_ms / 4000
        if kind in ("emit", "share", "last"):
            self._has_all_events = kind == "last" and word != b"GAP"
            if word == b"GAP":
                self.events.sent = min(self.events.sent, int(reply[1]))
            elif word == b"NORUN":
                self._forgotten()
            return word != b"NORUN"
        if word == b"GAP":
            self._go_to(Position.parse(reply[1]))
            return False
        if word == b"NORUN":
            self._forgotten()
            return False
        if word == b"ENDED" or (kind == "finish" and word == b"OK"):
            self.is_finished = not self._gone_nonce  # that stream is still to be deleted; the end is told again with it
            return False
        return True

    def _begun(self, reply: Sequence[Any]) -> None:
        ordinal, end, how, gone = reply
        self.ordinal = self._wanted = int(ordinal)
        self._renew_at_s = self._now_s + self._terms.lease_ms / 4000
        self._gone_nonce = bytes(gone).decode()
        if how and how != b"LOST":
            self.is_finished = not self._gone_nonce
            return
        self._go_to(Position.parse(end))

    def _go_to(self, end: Position) -> None:
        try:
            self.following.go_to(end)
        except ValueError as error:
            # The spool is not what it was, after a power failure say: what Redis has is all there is.
            logger.error("livetask: task %s cannot be shipped on: %s", self.facts.task_id, error)
            self.end, self.final = End("LOST", {"reason": "the end of the output was lost"}), 0

    def _forgotten(self) -> None:
        self.ordinal = None
        self.following.begin_again()
        self.events.sent = 0
        self._has_all_events = False

    def _output_and_events(self, now_ms: int) -> Iterator[tuple[str, Call]]:
        """What comes next, in the order in which it stands: output, and events within it."""
        left = PIECES_IN_A_TURN
        events = self.events.next()
        event = next(events, None)
        while left > 0:
            until = self.until
            stop = until if event is None else min(until, event.size_bytes)
            for piece in self.following.pieces(stop, self._terms.chunk_bytes, left):
                left -= 1
                yield "append", self._append(piece, now_ms)
            if event is None or left <= 0 or self.following.has_more(stop) or event.size_bytes > until:
                return
            left -= 1
            self.events.sent = event.seq
            yield "emit", self._emit(event)
            if self.events.facts is not None and self.events.facts.room and not self.events.facts.own:
                yield "share", self._share(event, self.events.facts.room)
            event = next(events, None)

    # ---- the calls

    def _begin(self, end: End | None) -> Call:
        """``end``: how it has ended by now, without output."""
        keys, facts, terms = self._terms.keys, self.facts, self._terms
        first = self.following.base.at if self._wanted > 0 else START
        why_missing = "lost" if first != START else ""
        task_fields = {
            "name": facts.name,
            "queue": facts.queue,
            "worker": facts.worker,
            "root_id": facts.root_id,
            "parent_id": facts.parent_id,
            "owner": facts.owner,
            "args": facts.args,
            "kwargs": facts.kwargs,
            "queued_at": self.queued_at,
            "progress": self.progress,
            "result": end.result if end is not None else "",
            **facts.call,
        }
        run_fields = {"why": facts.why, "host": facts.host, "pid": str(facts.pid), "worker": facts.worker}
        run_fields |= {"pool": facts.pool, "begun_at": str(facts.begun_ms)}
        return Call(
            "begin",
            (
                *(self._task_key, keys.alive(self._bucket), keys.recent(self._bucket), keys.bell(self._bucket)),
                self._output_key,
            ),
            (
                *(facts.task_id, facts.nonce, self._wanted, str(first), why_missing),
                *(terms.keep_ms, terms.lease_ms, terms.recent_cap, terms.runs_kept),
                _encoded(terms.shown_task({key: text for key, text in task_fields.items() if text})),
                _encoded(run_fields),
                *(() if end is None else (*self._end_words(end), self.ended_ms or "")),
            ),
        )

    def _end_words(self, end: End) -> tuple[str, str, str, str]:
        """How it ended, in what detail, the checksum, and the task's state."""
        crc = "" if end.how == "LOST" else f"{self.following.scan.crc:08x}"
        detail = _encoded(self._terms.shown_values(end.detail)) if end.detail else "{}"
        return end.how, detail, crc, end.state

    def _append(self, piece: Piece, now_ms: int) -> Call:
        terms = self._terms
        held: tuple[str | bytes, ...] = ("d", piece.data)
        if not piece.data:
            held = ("g", "dropped", "e", str(piece.end))
        told: tuple[str | bytes, ...] = ("s", piece.sgr) if piece.sgr else ()
        told += ("x", piece.err) if piece.err else ()
        return Call(
            "append",
            (self._task_key, self._output_key, *self._bells),
            (
                *(self.facts.task_id, self.ordinal or 0, self.facts.nonce, str(piece.start), str(piece.end)),
                *(terms.run_cap_bytes, terms.keep_ms),
                *held,
                *("t", now_ms),
                *told,
            ),
        )

    def _emit(self, event: EventRead) -> Call:
        keys, facts = self._terms.keys, self.facts
        return Call(
            "emit",
            (
                *(self._task_key, keys.events(facts.task_id, facts.nonce)),
                *(keys.bell(self._bucket), keys.watched(self._bucket)),
            ),
            (
                *(facts.task_id, self.ordinal or 0, facts.nonce, event.seq, self._terms.keep_ms),
                *("name", event.name, "data", self._terms.shown(event.data)),
                *("at", str(self.following.position_of(event.size_bytes))),
            ),
        )

    def _share(self, event: EventRead, room: str) -> Call:
        keys, facts, bucket = self._terms.keys, self.facts, bucket_of(room)
        return Call(
            "share",
            (keys.room(room), keys.room_mark(room, facts.nonce), keys.bell(bucket)),
            (
                *(room, event.seq, self._terms.keep_ms, self._terms.events_kept),
                *("name", event.name, "data", self._terms.shown(event.data), "task", facts.task_id),
                *("run", self.ordinal or 0, "nonce", facts.nonce, "seq", event.seq),
            ),
        )

    def _renew(self) -> Call:
        keys = self._terms.keys
        return Call(
            "renew",
            (self._task_key, self._output_key, keys.alive(self._bucket), keys.bell(self._bucket)),
            (
                *(self.facts.task_id, self.ordinal or 0, self.facts.nonce),
                *(self._terms.lease_ms, self._terms.keep_ms),
            ),
        )

    def _finish(self, end: End, position: str) -> Call:
        keys, terms = self._terms.keys, self._terms
        if end.how == "LOST":
            position = ""
        fields = {"result": end.result} if end.result else {}
        return Call(
            "finish",
            (
                *(self._task_key, self._output_key, keys.alive(self._bucket)),
                *(keys.recent(self._bucket), keys.bell(self._bucket)),
            ),
            (
                *(self.facts.task_id, self.ordinal or "", self.facts.nonce, position),
                *self._end_words(end),
                *(terms.keep_ms, terms.recent_cap, ""),
                *(_encoded(terms.shown_values(fields)), self.ended_ms or ""),
            ),
        )

    def _unlink(self) -> Call:
        keys, task_id = self._terms.keys, self.facts.task_id
        return Call("", (), ("UNLINK", keys.output(task_id, self._gone_nonce), keys.events(task_id, self._gone_nonce)))
