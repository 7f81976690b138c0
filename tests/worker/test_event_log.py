"""The file of a run's events: what is written is read in order, however it is cut off, and its size is bounded."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from livetask.hiding import Hiding
from livetask.masking import Mask
from livetask.parcel import unpacked
from livetask.worker.event_log import PROGRESS, EventFacts, EventLog
from livetask.worker.event_tail import EventTail
from livetask.worker.spool import RunPaths

FACTS = EventFacts("app.task", "kitchen", False, True)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path, "abcdefghijkl")


def opened(paths: RunPaths, most: int = 100, most_bytes: int = 1 << 20) -> EventLog:
    return EventLog(paths, FACTS, most=most, most_bytes=most_bytes)


def names(tail: EventTail) -> list[tuple[int, str, int]]:
    return [(event.seq, event.name, event.size_bytes) for event in tail.next()]


def test_events_are_read_as_they_come_and_again_from_any_number(paths: RunPaths) -> None:
    tail = EventTail(paths)
    tail.look()
    assert (tail.facts, tail.count, tail.has_more) == (None, 0, False)
    log = opened(paths)
    tail.look()
    assert (tail.facts, tail.count) == (FACTS, 0)
    log.emit(PROGRESS, {"current": 1}, 7)
    log.emit("on_success", {"retval": b"\xff"}, 9)
    tail.look()
    assert names(tail) == [(1, PROGRESS, 7), (2, "on_success", 9)]
    assert unpacked(list(tail.next())[1].data) == {"retval": b"\xff"}
    tail.sent = 1
    assert names(tail) == [(2, "on_success", 9)]
    log.close()
    log.emit("on_return", {}, 9)
    tail.look()
    assert tail.count == 2


def test_a_secret_in_an_event_never_lies_in_the_file(paths: RunPaths) -> None:
    log = EventLog(paths, FACTS, most=10, most_bytes=1 << 20, hiding=Hiding(mask=Mask(texts=["open sesame"])))
    log.emit("on_success", {"retval": "say open sesame"}, 0)
    log.close()
    assert b"say ***********" in Path(paths.of("events")).read_bytes()


def test_a_line_that_is_cut_off_does_not_count_until_it_is_whole(paths: RunPaths) -> None:
    log = opened(paths)
    log.emit("on_success", {}, 0)
    whole = Path(paths.of("events")).read_bytes()
    tail = EventTail(paths)
    for size in range(len(whole)):
        Path(paths.of("events")).write_bytes(whole[:size])
        tail.look()
        assert tail.count == 0
    Path(paths.of("events")).write_bytes(whole)
    tail.look()
    assert tail.count == 1


def test_a_killed_task_is_given_its_failure_and_its_return_once(paths: RunPaths) -> None:
    log = opened(paths)
    log.emit(PROGRESS, {"current": 1}, 3)
    with Path(paths.of("events")).open("ab") as file:
        file.write(b'{"name": "on_pro')
    for _ in range(2):
        tail = EventTail(paths)
        tail.fail("id-1", 5, "SIGKILL")
        assert names(tail) == [(1, PROGRESS, 3), (2, "on_failure", 5), (3, "on_return", 5)]
    told = unpacked(list(tail.next())[2].data)
    assert told == {"status": "FAILURE", "retval": "SIGKILL", "task_id": "id-1", "task_name": "app.task"}


def test_progress_stays_within_its_bounds_and_the_latest_comes_before_what_follows(paths: RunPaths) -> None:
    log = opened(paths, most=60)
    for number in range(5000):
        log.emit(PROGRESS, {"current": number}, number)
    log.emit("on_success", {}, 9)
    tail = EventTail(paths)
    tail.look()
    assert tail.count <= 60
    before, last = list(tail.next())[-2:]
    assert (last.name, unpacked(before.data)) == ("on_success", {"current": 4999})


def test_large_parts_are_left_out_and_all_of_it_stays_bounded(paths: RunPaths) -> None:
    log = opened(paths, most=100, most_bytes=100_000)
    for number in range(200):
        log.emit(PROGRESS, {"current": number, "info": "x" * 10_000}, 0)
    log.emit("on_success", {"retval": b"y" * 90_000, "task_id": "t"}, 0)
    log.emit("on_return", {"retval": b"y" * 9_000, "task_id": "t"}, 0)
    assert Path(paths.of("events")).stat().st_size < 200_000
    tail = EventTail(paths)
    tail.look()
    success, returned = (unpacked(event.data) for event in list(tail.next())[-2:])
    assert success["retval"] is None
    assert success["cut"] > 90_000
    assert returned["retval"] == b"y" * 9_000


def test_several_threads_write_whole_lines(paths: RunPaths) -> None:
    log = opened(paths, most=10_000)

    def emit() -> None:
        for number in range(200):
            log.emit("on_x", {"n": number}, 0)

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in Path(paths.of("events")).read_bytes().splitlines()]) == 801
