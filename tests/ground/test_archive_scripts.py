"""Moving output to the archive, and deleting it, by the scripts themselves, on every server there is."""

from __future__ import annotations

from typing import Any

import redis

from livetask.position import START, Position
from tests.ground.test_scripts import HOUR_MS, Run, client, run, server_url

__all__ = ["client", "run", "server_url"]

TEXT = b"one\ntwo\n"


def shelve(run: Run, what: str, token: str = "a", to: str = "", first: str = "", why: str = "") -> str:
    keys = [run.task, run.output, run.keys.archiving(run.task_id)]
    (answer,) = run._call("shelve", keys, what, run.ordinal, run.nonce, token, HOUR_MS, to, first, why, "directory")
    return str(answer)


def erase(run: Run) -> list[Any]:
    return run._call("erase", [run.task, run.bell, run.output], run.task_id, "ada")


def test_one_server_holds_the_lease_until_it_drops_it(run: Run, client: redis.Redis) -> None:
    run.begin()
    assert shelve(run, "note", to="1-0") == "BUSY"
    assert [shelve(run, "take", token) for token in ("a", "b", "a")] == ["OK", "BUSY", "OK"]
    assert 0 < client.pttl(run.keys.archiving(run.task_id)) <= HOUR_MS  # type: ignore[operator]
    assert [shelve(run, what, "b", to="1-0") for what in ("note", "shrink", "forget", "drop")] == ["BUSY"] * 4
    assert shelve(run, "drop") == "OK"
    assert shelve(run, "take", "b") == "OK"


def test_redis_gives_up_a_run_only_when_it_has_ended_where_the_archive_ends(run: Run, client: redis.Redis) -> None:
    run.begin()
    run.append(START, TEXT)
    shelve(run, "take")
    assert shelve(run, "note", to="3-8", first="1-0") == "OK"
    assert (run.field("1.archived"), run.field("1.archive"), run.field("1.first")) == ("3-8", "directory", "1-0")
    assert shelve(run, "shrink", to="3-8", first="1-0") == "GREW"
    run.append(Position(3, 8), b"more\n")
    run.finish("4-13")
    assert shelve(run, "shrink", to="3-8", first="1-0") == "GREW"
    assert run.text() == TEXT + b"more\n"
    assert shelve(run, "shrink", to="4-13", first="1-0") == "OK"
    assert client.exists(run.output) == 0
    assert (run.field("1.first"), run.field("1.first_why")) == ("4-13", "archived")
    assert run.renew() == ["ENDED", "4-13"], "its worker takes that for no loss"
    assert shelve(run, "forget", why="deleted") == "OK"
    assert (run.field("1.archived"), run.field("1.first_why")) == (None, "deleted")


def test_a_run_of_another_nonce_is_not_touched(run: Run, client: redis.Redis) -> None:
    run.begin()
    shelve(run, "take")
    other = Run(client, run.task_id, "othernonce1")
    assert shelve(other, "note", to="1-0") == "NORUN"
    assert run.field("1.archived") is None


def test_a_run_that_lives_after_all_goes_on_behind_what_was_archived(run: Run) -> None:
    run.begin()
    run.append(START, TEXT)
    run.finish("3-8", "LOST")
    shelve(run, "take")
    assert shelve(run, "shrink", to="3-8", first="1-0") == "OK"
    assert run.append(Position(3, 8), b"alive\n") == ["OK"]
    assert run.field("1.how") is None
    assert (run.text(), run.field("1.first")) == (b"alive\n", "3-8")


def test_only_what_has_ended_is_deleted_and_it_says_so_afterwards(run: Run, client: redis.Redis) -> None:
    assert erase(run) == ["UNKNOWN"]
    run.note("queued", name="x", args="('secret',)", call="{}")
    assert erase(run) == ["OPEN"]
    run.begin()
    run.append(START, TEXT)
    assert erase(run) == ["OPEN"]
    run.finish("3-8")
    assert erase(run) == ["OK"]
    assert client.exists(run.output) == 0
    assert (run.field("1.first"), run.field("1.first_why"), run.field("1.end")) == ("3-8", "deleted", "3-8")
    assert (run.field("args"), run.field("call"), run.field("deleted_by")) == (None, None, "ada")
    assert run.rung()[-1] == ("0", "state")
    assert run.renew() == ["ENDED", "3-8"]


def test_the_bell_rings_eight_times_while_the_ring_fills_whoever_watches(run: Run) -> None:
    run.begin()
    at = START
    for _ in range(64):
        data = b"x" * 31 + b"\n"
        run.append(at, data, cap=1024)
        at = at.after(data)
    assert run.rung().count(("1", "grown")) == 2 * 8
