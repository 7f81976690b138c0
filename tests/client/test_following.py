"""What the server tells becomes items; what cannot be right is an error and never an item."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.client.failures import OutputBroken, Refused
from livetask.client.following import Following, TryLater
from livetask.client.items import Gap, Notice, Output, Reset, RunBegan, RunEnded, TaskEnded
from livetask.errors import PositionUnknown, TaskUnknown
from livetask.position import START, Cursor, Position

TASK, NONCE = "t", "abcdefghijkl"


class Wire:
    """Makes a server's events of one run, in order."""

    def __init__(self, run: int = 1, nonce: str = NONCE) -> None:
        self.run = run
        self.nonce = nonce
        self.at = START
        self.all = b""

    @property
    def cursor(self) -> str:
        return f"{self.run}.{self.nonce}.{self.at}"

    def answer(self, task: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"ok": True, "task": task, "run": self.run, "cursor": self.cursor}

    def output(self, data: bytes) -> dict[str, Any]:
        start, self.at = self.at, self.at.after(data)
        self.all += data
        return {"task_id": TASK, "run": self.run, "from": str(start), "cursor": self.cursor, "data": data}

    def gap(self, lines: int, size_bytes: int, reason: str = "dropped") -> dict[str, Any]:
        start, self.at = self.at, Position(self.at.line + lines, self.at.byte + size_bytes)
        gap = {"task_id": TASK, "run": self.run, "from": str(start), "cursor": self.cursor, "reason": reason}
        return gap | {"bytes": size_bytes, "lines": lines}

    def end(self, how: str = "SUCCESS", last: bool = True, crc: str | None = "") -> dict[str, Any]:
        crc = f"{zlib.crc32(self.all):08x}" if crc == "" else crc
        end = {"task_id": TASK, "run": self.run, "cursor": self.cursor, "how": how, "detail": {}, "crc": crc}
        return end | {"bytes": self.at.byte, "lines": self.at.line - 1, "last": last}

    def changed(self, how: str | None = None) -> dict[str, Any]:
        return {"task_id": TASK, "run": {"run": self.run, "nonce": self.nonce, "how": how, "end": str(self.at)}}


def task_event(state: str, *runs: Wire, how: str | None = None) -> dict[str, Any]:
    found = [run.changed(how)["run"] for run in runs]
    return {"task": {"id": TASK, "state": state, "open": 0 if how or not runs else 1, "runs": found}}


def subscribed(wire: Wire, **options: Any) -> Following:
    following = Following(TASK, **options)
    following.take("answer", wire.answer(task_event("RUNNING", wire)["task"]))
    return following


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_any_split_of_a_text_comes_out_the_same_and_is_verified(pieces: list[bytes]) -> None:
    wire = Wire()
    following = subscribed(wire)
    items = [item for piece in pieces for item in following.take("output", wire.output(piece))]
    ends = following.take("end", wire.end())
    assert b"".join(item.data for item in items if isinstance(item, Output)) == b"".join(pieces)
    assert [type(item) for item in ends] == [RunEnded, TaskEnded]
    assert isinstance(ends[0], RunEnded)
    assert ends[0].verified
    assert following.done


def test_a_run_begins_before_its_first_output() -> None:
    wire = Wire()
    following = Following(TASK, wait=True)
    assert following.take("answer", {"ok": True, "task": None, "run": None, "cursor": None}) == []
    items = following.take("output", wire.output(b"a"))
    assert [type(item) for item in items] == [RunBegan, Output]


def test_a_piece_that_leaves_bytes_out_is_broken() -> None:
    wire = Wire()
    following = subscribed(wire)
    following.take("output", wire.output(b"one\n"))
    wire.output(b"two\n")
    with pytest.raises(OutputBroken, match="begins at 3-8") as caught:
        following.take("output", wire.output(b"three\n"))
    assert caught.value.cursor == f"1.{NONCE}.2-4"


def test_a_piece_that_comes_twice_is_broken() -> None:
    wire = Wire()
    following = subscribed(wire)
    piece = wire.output(b"one\n")
    following.take("output", piece)
    with pytest.raises(OutputBroken):
        following.take("output", piece)


def test_a_piece_that_is_not_as_long_as_its_positions_say_is_broken() -> None:
    wire = Wire()
    following = subscribed(wire)
    with pytest.raises(OutputBroken, match="do not reach"):
        following.take("output", wire.output(b"one\n") | {"data": b"on\n"})


def test_changed_bytes_of_the_right_length_are_found_by_the_crc() -> None:
    wire = Wire()
    following = subscribed(wire)
    following.take("output", wire.output(b"one\n") | {"data": b"two\n"})
    with pytest.raises(OutputBroken, match="CRC-32"):
        following.take("end", wire.end())


def test_a_run_that_was_not_seen_whole_is_not_verified() -> None:
    wire = Wire()
    wire.output(b"before\n")
    following = subscribed(wire, start="now")
    following.take("output", wire.output(b"after\n"))
    ended = following.take("end", wire.end())[0]
    assert isinstance(ended, RunEnded)
    assert not ended.verified


def test_a_gap_keeps_the_place_and_says_its_size() -> None:
    wire = Wire()
    following = subscribed(wire)
    gap = following.take("gap", wire.gap(3, 40))
    assert gap == [Gap(START, Cursor(1, NONCE, Position(4, 40)), 40, 3, "dropped")]
    assert following.take("output", wire.output(b"on\n"))
    ended = following.take("end", wire.end(crc="00000000"))[0]
    assert isinstance(ended, RunEnded)
    assert not ended.verified


def test_a_gap_of_nothing_is_broken() -> None:
    wire = Wire()
    following = subscribed(wire)
    with pytest.raises(OutputBroken):
        following.take("gap", wire.gap(0, 0))


def test_an_end_before_the_last_byte_is_broken() -> None:
    wire = Wire()
    following = subscribed(wire)
    wire.output(b"never sent\n")
    with pytest.raises(OutputBroken):
        following.take("end", wire.end())


def test_runs_come_one_after_the_other_each_with_its_own_crc() -> None:
    one, two = Wire(), Wire(2, "bcdefghijklm")
    following = subscribed(one)
    following.take("output", one.output(b"first\n"))
    assert [type(item) for item in following.take("end", one.end("RETRY", last=False))] == [RunEnded]
    assert [type(item) for item in following.take("output", two.output(b"second\n"))] == [RunBegan, Output]
    ends = following.take("end", two.end())
    assert isinstance(ends[0], RunEnded)
    assert ends[0].verified
    assert following.done


def test_the_first_of_two_runs_is_not_the_last_of_an_ended_task() -> None:
    one, two = Wire(), Wire(2, "bcdefghijklm")
    following = Following(TASK)
    following.take("answer", one.answer(task_event("SUCCESS", one, two, how="SUCCESS")["task"]))
    assert [type(item) for item in following.take("end", one.end("RETRY", last=True))] == [RunEnded]
    following.take("output", two.output(b"second\n"))
    following.take("end", two.end())
    assert following.done


def test_the_end_of_a_task_that_was_never_told_is_asked_for_again() -> None:
    one = Wire()
    following = Following(TASK, wait=True)
    following.take("answer", {"ok": True, "task": None, "run": None, "cursor": None})
    end = one.end("RETRY", last=True)
    assert [type(item) for item in following.take("end", end)] == [RunBegan, RunEnded]
    assert following.unsure
    assert not following.done
    following.take("answer", one.answer(task_event("REVOKED", one, how="RETRY")["task"]))
    assert following.done


def test_another_run_before_this_one_has_ended_is_broken() -> None:
    one, two = Wire(), Wire(2, "bcdefghijklm")
    following = subscribed(one)
    following.take("output", one.output(b"first\n"))
    with pytest.raises(OutputBroken, match="another run"):
        following.take("output", two.output(b"second\n"))


def test_an_end_that_is_told_again_after_a_cut_is_given_once() -> None:
    one = Wire()
    following = subscribed(one)
    end = one.end("RETRY", last=False)
    assert following.take("end", end)
    following.take("answer", one.answer())
    assert following.take("end", end) == []
    assert following.wish()["from"] == one.cursor


def test_a_lost_run_that_turns_out_to_live_goes_on() -> None:
    one = Wire()
    following = subscribed(one)
    following.take("end", one.end("LOST", last=False, crc=None))
    following.take("run", one.changed())
    assert [type(item) for item in following.take("output", one.output(b"alive\n"))] == [Output]
    ended = following.take("end", one.end())[0]
    assert isinstance(ended, RunEnded)
    assert (ended.how, ended.verified) == ("SUCCESS", True)


def test_an_end_is_given_once_also_when_a_store_that_lost_the_run_is_sent_it_again() -> None:
    one = Wire()
    following = subscribed(one)
    end = one.end("RETRY", last=False)
    assert following.take("end", end)
    following.take("run", one.changed())
    assert following.take("end", end) == []
    assert following.take("end", one.end("LOST", crc=None)) == []
    assert following.take("end", end) == []
    assert not following.done


def test_a_task_revoked_before_it_ever_ran_ends() -> None:
    following = Following(TASK)
    queued = task_event("QUEUED")["task"]
    following.take("answer", {"ok": True, "task": queued, "run": None, "cursor": None})
    assert following.take("task", task_event("REVOKED"))[-1] == TaskEnded("REVOKED")
    assert following.done


def test_a_task_revoked_while_it_waits_for_a_retry_ends() -> None:
    one = Wire()
    following = subscribed(one)
    following.take("end", one.end("RETRY", last=False))
    assert following.take("task", task_event("REVOKED", one, how="RETRY"))[-1] == TaskEnded("REVOKED")


def test_a_task_that_ended_is_not_over_before_its_output_was_given() -> None:
    one = Wire()
    following = subscribed(one)
    following.take("task", task_event("SUCCESS", one, how="SUCCESS"))
    assert not following.done
    following.take("output", one.output(b"late\n"))
    following.take("end", one.end())
    assert following.done


def test_with_a_run_given_its_end_is_the_end_of_all() -> None:
    one = Wire()
    following = subscribed(one, run=1)
    assert [type(item) for item in following.take("end", one.end("RETRY", last=False))] == [RunEnded]
    assert following.done


def test_a_killed_run_makes_a_failed_task() -> None:
    one = Wire()
    following = subscribed(one)
    assert following.take("end", one.end("KILLED"))[-1] == TaskEnded("FAILURE")


def test_a_reset_goes_on_where_the_server_says() -> None:
    one, other = Wire(), Wire(1, "bcdefghijklm")
    following = subscribed(one)
    following.take("output", one.output(b"old\n"))
    reset = {"task_id": TASK, "run": 1, "cursor": other.cursor, "reason": "replaced"}
    assert [type(item) for item in following.take("reset", reset)] == [Reset, RunBegan]
    following.take("output", other.output(b"new\n"))
    ended = following.take("end", other.end())[0]
    assert isinstance(ended, RunEnded)
    assert ended.verified


def test_a_reset_to_nowhere_asks_the_server_again() -> None:
    one = Wire()
    following = subscribed(one)
    following.take("reset", {"task_id": TASK, "run": 1, "cursor": None, "reason": "gone"})
    assert following.homeless
    assert following.wish() == {"task_id": TASK, "from": "start", "mode": "all", "binary": True}


def test_refusals_are_errors_of_their_kind() -> None:
    for code, kind in (("task_unknown", TaskUnknown), ("position_unknown", PositionUnknown), ("new_one", Refused)):
        with pytest.raises(kind):
            Following(TASK).take("answer", {"ok": False, "code": code, "error": "no"})
    with pytest.raises(TryLater, match="busy"):
        Following(TASK).take("answer", {"ok": False, "code": "too_many", "error": "busy"})


def test_a_place_that_the_server_has_lost_is_asked_for_again_before_it_is_given_up() -> None:
    one = Wire()
    following = subscribed(one)
    following.take("output", one.output(b"old\n"))
    lost = {"ok": False, "code": "position_unknown", "error": "not there"}
    for _ in range(5):
        with pytest.raises(TryLater):
            following.take("answer", lost)
    assert following.wish()["from"] == one.cursor
    following.take("answer", one.answer())
    for _ in range(14):
        with pytest.raises(TryLater):
            following.take("answer", lost)
    assert following.take("answer", lost) == [Reset(1, None, "gone")]
    assert following.wish()["from"] == "start"


@pytest.mark.parametrize("event", ["answer", "output", "gap", "end", "run", "reset", "caught_up", "task"])
def test_what_cannot_be_read_is_broken_and_nothing_worse(event: str) -> None:
    wire: dict[str, Any] = {"ok": True, "cursor": "nonsense", "from": 7, "how": None, "run": {}, "task": {"id": TASK}}
    wire |= {"data": b"", "task": {"id": TASK, "runs": [{}]}}
    with pytest.raises(OutputBroken):
        subscribed(Wire()).take(event, wire)


def test_events_of_other_tasks_and_unknown_ones_are_passed_over() -> None:
    wire = Wire()
    following = subscribed(wire)
    assert following.take("output", wire.output(b"x") | {"task_id": "other"}) == []
    assert following.take("novelty", {"task_id": TASK}) == []


def test_the_store_going_away_and_coming_back_is_told_once_each() -> None:
    following = subscribed(Wire())
    away, back = {"state": "unreachable"}, {"at_ms": 1, "store": "ok", "ends": {}}
    told = [*following.take("store", away), *following.take("store", away), *following.take("heartbeat", back)]
    assert [item.what for item in told if isinstance(item, Notice)] == ["store_unreachable", "store_ok"]


def test_a_heartbeat_beyond_the_cursor_shows_that_output_is_lacking() -> None:
    wire = Wire()
    following = subscribed(wire)
    assert not following.lacks({"ends": {TASK: wire.cursor}})
    wire.output(b"told of, not sent")
    assert following.lacks({"ends": {TASK: wire.cursor}})
    assert not following.lacks({"ends": {}})
