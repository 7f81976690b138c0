"""A wish that a task stops, by the scripts themselves: what it does to a task, what is left of it at the end."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from livetask.keys import BUCKETS
from livetask.position import START
from livetask.worker.wishes import Wishes
from tests.ground.test_scripts import HOUR_MS, Run, client, run, server_url

__all__ = ["client", "run", "server_url"]


def wish(run: Run, how: str = "cancel", by: str = "ada", cap: int = 100) -> list[Any]:
    keys = [run.task, run.keys.stops(run.bucket), run.recent, run.bell]
    return run._call("stop", keys, run.task_id, how, by, HOUR_MS, 100, cap)


def wishes(run: Run) -> list[tuple[str, str]]:
    """(task, by) of all wishes of its bucket, as a worker reads them."""
    found = Wishes(run.keys)
    words = found.call().words
    raw = run.client.execute_command(*words)
    return [(one.task_id, one.by) for one in found.answered(raw)]


@pytest.mark.parametrize("state", ["QUEUED", "RETRY"])
def test_a_task_that_waits_is_revoked_at_once_and_it_is_known_by_whom(run: Run, state: str) -> None:
    run.note("queued", name="x")
    run.client.hset(run.task, "state", state)
    assert wish(run) == ["WAITED"]
    assert (run.field("state"), run.field("revoked_by"), run.field("result")) == ("REVOKED", "ada", "revoked")
    assert run.field("revoked_at") == run.field("ended_at")
    assert wishes(run) == [(run.task_id, "ada")]
    assert run.rung()[-1] == ("0", "state")
    assert wish(run, by="bob") == ["ENDED"]
    assert run.field("revoked_by") == "ada"


def test_a_task_that_nobody_knows_stays_unknown_but_the_wish_is_there_for_workers(run: Run) -> None:
    assert wish(run) == ["UNKNOWN"]
    assert run.client.exists(run.task) == 0
    assert wishes(run) == [(run.task_id, "ada")]
    assert 0 < run.client.pttl(run.keys.stops(run.bucket)) <= HOUR_MS  # type: ignore[operator]


def test_a_task_that_runs_shows_who_stops_it_until_it_has_ended(run: Run) -> None:
    run.begin()
    assert wish(run) == ["RUNS"]
    assert wish(run, how="terminate", by="bob") == ["RUNS"]
    assert (run.field("state"), run.field("stopping_by"), run.field("stopping_how")) == ("RUNNING", "ada", "terminate")
    assert run.note("stopping", stopping_note="it cannot be") == ["OK"]
    assert run.field("stopping_note") == "it cannot be"
    at = run.field("stopping_at")
    assert run.finish("1-0", "REVOKED", "REVOKED") == ["OK"]
    assert (run.field("revoked_at"), run.field("revoked_by")) == (at, "ada")
    assert [run.field(f"stopping_{name}") for name in ("at", "by", "how", "note")] == [None] * 4
    assert run.note("stopping", stopping_note="too late") == ["KEPT"]


def test_a_task_that_ends_well_all_the_same_was_not_revoked(run: Run) -> None:
    run.begin()
    wish(run)
    run.finish("1-0")
    assert (run.field("state"), run.field("stopping_at"), run.field("revoked_by")) == ("SUCCESS", None, None)
    assert wish(run) == ["ENDED"]


def test_a_task_that_is_to_be_tried_again_is_being_stopped_until_that_is_discarded(run: Run) -> None:
    run.begin()
    wish(run)
    run.finish("1-0", "RETRY", "RETRY")
    assert run.field("stopping_by") == "ada"
    assert run.note("state", state="REVOKED", result="revoked") == ["OK"]
    assert (run.field("state"), run.field("revoked_by"), run.field("stopping_by")) == ("REVOKED", "ada", None)


def test_the_end_of_a_terminated_run_says_who_wished_it(run: Run) -> None:
    run.begin()
    wish(run, how="terminate")
    keys = [run.task, run.output, run.alive, run.recent, run.bell]
    detail = json.dumps({"signal": "SIGTERM", "reason": "revoked"})
    words = (run.task_id, 1, run.nonce, "1-0", "REVOKED", detail, "", "REVOKED", HOUR_MS, 100, "0", "{}")
    assert run._call("finish", keys, *words) == ["OK"]
    assert json.loads(run.field("1.detail") or "") == {"signal": "SIGTERM", "reason": "terminated by ada"}


def test_a_worker_that_was_faster_than_the_wish_does_not_hide_who_wished(run: Run) -> None:
    run.note("queued", name="x")
    run.note("state", state="REVOKED", result="revoked")
    assert wish(run) == ["WAITED"]
    assert run.field("revoked_by") == "ada"


def test_wishes_are_bounded_and_read_once(run: Run, client: redis.Redis) -> None:
    follower = Wishes(run.keys)
    for number in range(400):
        wish(run, by=str(number), cap=10)
    assert client.xlen(run.keys.stops(run.bucket)) < 250  # type: ignore[operator]
    first = follower.answered(client.execute_command(*follower.call().words))
    assert first[-1].by == "399"
    assert follower.of(run.task_id) == first[-1]
    assert follower.answered(client.execute_command(*follower.call().words)) == []
    wish(run, by="new")
    assert [one.by for one in follower.answered(client.execute_command(*follower.call().words))] == ["new"]
    assert len(follower.call().words) == 4 + 2 * BUCKETS


def test_the_last_twenty_reruns_are_linked_each_once(run: Run) -> None:
    assert run.note("rerun", id="x") == ["KEPT"]
    run.begin()
    run.append(START, b"kept\n")
    for number in range(25):
        assert run.note("rerun", id=f"new-{number}") == ["OK"]
    run.note("rerun", id="new-24")
    assert (run.field("reruns") or "").split() == [f"new-{number}" for number in range(5, 25)]
    assert run.text() == b"kept\n"
