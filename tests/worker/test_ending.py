"""What several processes say about an end comes together to one."""

from __future__ import annotations

import signal

from livetask.worker.ending import End, Words, killed, speaks_for_itself, written_end

KILLED = End("KILLED", {"limit_s": 1})


def test_a_verdict_that_is_told_twice_counts_once() -> None:
    words = Words()
    words.verdict("task", KILLED, 1.0)
    words.verdict("task", End("REVOKED"), 1.1)
    assert words.take_verdict("task", 0.5) == KILLED
    assert words.take_verdict("task", 0.5) is None


def test_a_verdict_from_before_the_run_is_not_about_it() -> None:
    words = Words()
    words.verdict("task", KILLED, 1.0)
    assert words.take_verdict("task", 2.0) is None


def test_an_old_verdict_gives_way_to_a_new_one() -> None:
    words = Words()
    words.verdict("task", KILLED, 1.0)
    words.verdict("task", End("REVOKED"), 100.0)
    assert words.take_verdict("task", 99.0) == End("REVOKED")


def test_words_are_bounded() -> None:
    words = Words()
    for number in range(5000):
        words.verdict(f"task-{number}", KILLED, 1.0)
        words.exit(number, 0, 1.0)
    assert words.take_verdict("task-0", 0.0) is None
    assert words.exit_of(0, 0.0) is None
    assert words.exit_of(4999, 0.0) == 0


def test_the_exit_of_an_earlier_process_of_that_number_is_not_believed() -> None:
    words = Words()
    words.exit(7, -9, 1.0)
    assert words.exit_of(7, 0.0) == -9
    assert words.exit_of(7, 2.0) is None


def test_an_end_without_a_state_is_none_but_its_detail_counts() -> None:
    assert written_end({"how": None, "detail": {"exit_code": 3}}) == (None, {"exit_code": 3})
    end, _ = written_end({"how": "SUCCESS", "detail": {}, "result": "42"})
    assert end == End("SUCCESS", {}, "42")


def test_a_killed_run_says_what_is_known() -> None:
    assert killed({}, {"signal": "SIGKILL"}, main_is_alive=True).detail == {"signal": "SIGKILL"}
    assert killed({}, None, main_is_alive=True).detail == {"reason": "the process that ran the task died"}
    assert killed({}, None, main_is_alive=False).detail == {"reason": "the worker died"}
    assert killed({}, {"signal": "SIGKILL"}, main_is_alive=False).detail["reason"] == "the worker died"
    assert killed({"exit_code": 3}, None, main_is_alive=True).detail == {"exit_code": 3}
    assert killed({}, None, main_is_alive=True).state == "FAILURE"


def test_a_signal_that_somebody_may_have_sent_waits_for_the_reason() -> None:
    assert speaks_for_itself(5)
    assert speaks_for_itself(-signal.SIGSEGV)
    assert not speaks_for_itself(-signal.SIGKILL)
    assert not speaks_for_itself(-signal.SIGTERM)
