"""What is told of tasks besides their runs: in order, bounded, and no more often than it has to be."""

from __future__ import annotations

import json

from livetask.keys import Keys
from livetask.worker.notes import Notes
from livetask.worker.terms import Terms
from livetask.worker.writing import Call

TERMS = Terms(Keys("noted"), 1000, 1 << 20, 60_000, 10_000, 100, 50, 1000)


def told(calls: list[Call]) -> list[tuple[object, object]]:
    return [call.words[:2] for call in calls]


def test_that_a_task_is_queued_is_told_when_it_has_waited_for_a_moment() -> None:
    notes = Notes(TERMS)
    notes.add("t", "queued", {"queued_at": "7"}, 1.0)
    assert not notes.calls(1.01)
    assert not notes.has_more
    assert len(notes) == 1
    [call] = notes.calls(1.06)
    assert told([call]) == [("t", "queued")]
    assert json.loads(str(call.words[4])) == {"queued_at": "7"}
    assert notes.has_more
    notes.sent(1)
    assert not len(notes)


def test_a_task_that_begins_at_once_says_itself_since_when_it_was_queued() -> None:
    notes = Notes(TERMS)
    notes.add("t", "queued", {"queued_at": "7"}, 1.0)
    assert notes.begins("t") == "7"
    assert notes.begins("t") == ""
    assert not notes.calls(2.0)


def test_whatever_else_is_told_of_a_task_comes_after_that_it_is_queued() -> None:
    notes = Notes(TERMS)
    notes.add("t", "queued", {}, 1.0)
    notes.add("t", "state", {"state": "REVOKED"}, 1.0)
    assert told(notes.calls(1.0)) == [("t", "queued"), ("t", "state")]


def test_what_waits_is_bounded() -> None:
    notes = Notes(TERMS)
    for number in range(10_050):
        notes.add(f"t{number}", "queued" if number % 2 else "state", {}, 1.0)
    assert len(notes) == 10_000
    assert notes.dropped == 50
