"""The scripts that add events keep their order: each once, at its number, and in its room once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from livetask.keys import Keys, bucket_of
from tests.ground.test_scripts import HOUR_MS, NONCE, TASK, Run
from tests.real.redis_servers import available_servers, running_server


@pytest.fixture(scope="module", params=available_servers(), ids=lambda found: found[0])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    name, path = request.param
    with (
        running_server(path, tmp_path_factory.mktemp(name)) as server,
        redis.Redis.from_url(server.url) as found,
    ):
        yield found


@pytest.fixture
def run(client: redis.Redis) -> Run:
    client.flushall()
    return Run(client)


def emit(run: Run, seq: int) -> list[Any]:
    keys = [run.task, run.keys.events(TASK, NONCE), run.bell, run.watched]
    return run._call("emit", keys, TASK, run.ordinal, NONCE, seq, HOUR_MS, "name", "on_x", "data", "{}", "at", "1-0")


def share(run: Run, seq: int, nonce: str = NONCE, kept: int = 1000) -> list[Any]:
    keys, room = Keys(), "kitchen"
    names = [keys.room(room), keys.room_mark(room, nonce), keys.bell(bucket_of(room))]
    return run._call("share", names, room, seq, HOUR_MS, kept, "name", "on_x", "nonce", nonce, "seq", seq)


def test_an_event_is_added_at_its_number_only_and_once(run: Run) -> None:
    assert emit(run, 1) == ["NORUN"]
    run.begin()
    assert emit(run, 2) == ["GAP", 0]
    assert emit(run, 1) == ["OK"]
    assert emit(run, 1) == ["DUP", 1]
    assert emit(run, 2) == ["OK"]
    assert emit(run, 4) == ["GAP", 2]
    key = run.keys.events(TASK, NONCE)
    assert [entry_id for entry_id, _ in run.client.xrange(key)] == [b"1-0", b"2-0"]  # type: ignore[union-attr]
    assert 0 < int(run.client.pttl(key)) <= HOUR_MS  # type: ignore[arg-type]


def test_the_bell_rings_for_events_of_watched_tasks_only(run: Run) -> None:
    run.begin()
    emit(run, 1)
    assert ("1", "event") not in run.rung()
    run._call("watch", [run.watched], 10_000, TASK)
    emit(run, 2)
    assert run.rung()[-1] == ("1", "event")


def test_a_room_has_each_event_once_whatever_comes_from_other_runs(run: Run) -> None:
    other = "zzzzzzzzzzzz"
    assert share(run, 3) == ["OK"], "a room that was empty begins anywhere"
    assert share(run, 1, other) == ["OK"]
    assert share(run, 3) == ["DUP", 3]
    assert share(run, 5) == ["GAP", 3]
    assert share(run, 4) == ["OK"]
    found: Any = run.client.xrange(Keys().room("kitchen"))
    assert [(fields[b"nonce"].decode(), int(fields[b"seq"])) for _, fields in found] == [
        (NONCE, 3),
        (other, 1),
        (NONCE, 4),
    ]


def test_a_room_keeps_its_last_events(run: Run) -> None:
    for seq in range(1, 500):
        share(run, seq, kept=100)
    assert 100 <= int(run.client.xlen(Keys().room("kitchen"))) < 300  # type: ignore[arg-type]
