"""The scripts inside Redis keep their promises, on each server that can be found.

The servers come from ``available_servers``: the embedded Valkey always, Redis 7 and 6.2 where they are installed; those
that are missing are named by ``test_the_servers_that_were_not_found_are_named``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.keys import Keys, alive_member, bucket_of
from livetask.position import START, Position
from livetask.scripts import NAMES, script
from tests.real.redis_servers import available_servers, missing_servers, running_server

TASK = "3f2a91c0-0001"
NONCE = "k3v9x0q2m4t8"
HOUR_MS = 3_600_000
CAP = 64 * 1024


class Run:
    """The calls a worker makes for one run, by the scripts themselves."""

    def __init__(self, client: redis.Redis, task_id: str = TASK, nonce: str = NONCE) -> None:
        self.client, self.task_id, self.nonce = client, task_id, nonce
        self.keys, self.bucket = Keys(), bucket_of(task_id)
        self.task, self.output = self.keys.task(task_id), self.keys.output(task_id, nonce)
        self.bell, self.watched = self.keys.bell(self.bucket), self.keys.watched(self.bucket)
        self.alive, self.recent = self.keys.alive(self.bucket), self.keys.recent(self.bucket)
        self.ordinal: int | str = 1

    def _call(self, name: str, keys: list[str], *args: Any) -> list[Any]:
        answer = self.client.eval(script(name).text, len(keys), *keys, *args)
        return [part.decode() if isinstance(part, bytes) else part for part in answer]  # type: ignore[union-attr]

    def begin(
        self,
        wanted: int = 0,
        first: Position = START,
        why_missing: str = "",
        kept: int = 50,
        queued_at: str = "",
        ended: tuple[str, str, str] | None = None,
        **told: str,
    ) -> list[Any]:
        """``ended``: how, in what detail, and the task's state then."""
        task = json.dumps({"name": "app.train"} | ({"queued_at": queued_at} if queued_at else {}))
        run = json.dumps({"why": "first", "host": "here", **told})
        keys = [self.task, self.alive, self.recent, self.bell, self.output]
        answer = self._call(
            "begin",
            keys,
            self.task_id,
            self.nonce,
            wanted,
            str(first),
            why_missing,
            HOUR_MS,
            20_000,
            100,
            kept,
            task,
            run,
            *(() if ended is None else (ended[0], ended[1], "00000000", ended[2], "77")),
        )
        self.ordinal = answer[0]
        return answer

    def append(self, at: Position, data: bytes, cap: int = CAP) -> list[Any]:
        keys = [self.task, self.output, self.bell, self.watched]
        end = str(at.after(data))
        return self._call(
            "append", keys, self.task_id, self.ordinal, self.nonce, str(at), end, cap, HOUR_MS, "d", data, "t", 1
        )

    def renew(self) -> list[Any]:
        keys = [self.task, self.output, self.alive, self.bell]
        return self._call("renew", keys, self.task_id, self.ordinal, self.nonce, 20_000, HOUR_MS)

    def finish(self, final: str, how: str = "SUCCESS", state: str = "SUCCESS", expired_only: str = "0") -> list[Any]:
        keys = [self.task, self.output, self.alive, self.recent, self.bell]
        return self._call(
            "finish", keys, self.task_id, self.ordinal, self.nonce, final, how, "{}", "00000000", state, HOUR_MS, 100,
            expired_only, "{}",
        )  # fmt: skip

    def note(self, what: str, **fields: str) -> list[Any]:
        keys = [self.task, self.recent, self.bell]
        return self._call("note", keys, self.task_id, what, HOUR_MS, 100, json.dumps(fields))

    def field(self, name: str) -> str | None:
        value = self.client.hget(self.task, name)
        return value.decode() if value is not None else None  # type: ignore[union-attr]

    def text(self) -> bytes:
        return b"".join(fields[b"d"] for _, fields in self.client.xrange(self.output))  # type: ignore[union-attr]

    def rung(self) -> list[tuple[str, str]]:
        """(run, what) of everything the bell has said."""
        return [(f[b"run"].decode(), f[b"what"].decode()) for _, f in self.client.xrange(self.bell)]  # type: ignore[union-attr]


@pytest.fixture(scope="module", params=available_servers(), ids=lambda found: found[0])
def server_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    name, path = request.param
    with running_server(path, tmp_path_factory.mktemp(name)) as server:
        yield server.url


@pytest.fixture
def client(server_url: str) -> Any:
    with redis.Redis.from_url(server_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def run(client: redis.Redis) -> Run:
    return Run(client)


def test_the_servers_that_were_not_found_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = [name for name, _ in available_servers()]
    assert found, "not even the embedded server was found"
    with capsys.disabled():
        print(f"\n  scripts run on: {', '.join(found)}; not found: {', '.join(missing_servers()) or 'none'}")


def test_every_script_loads_under_the_name_its_text_has(client: redis.Redis) -> None:
    for name in NAMES:
        assert client.script_load(script(name).text) == script(name).sha


def test_a_run_begun_twice_is_one_run(run: Run) -> None:
    assert run.begin() == [1, "1-0", "", ""]
    run.append(START, b"one\n")
    assert run.begin() == [1, "2-4", "", ""]
    assert (run.field("runs"), run.field("open")) == ("1", "1")


def test_a_second_run_gets_the_next_ordinal_and_a_stream_of_its_own(client: redis.Redis) -> None:
    first, second = Run(client), Run(client, nonce="zzzzzzzzzzzz")
    first.begin()
    assert second.begin()[0] == 2
    first.append(START, b"first\n")
    second.append(START, b"second\n")
    assert (first.text(), second.text()) == (b"first\n", b"second\n")
    assert (first.field("1.nonce"), first.field("2.nonce")) == (NONCE, "zzzzzzzzzzzz")


def test_only_the_run_that_begins_first_is_called_the_first(client: redis.Redis) -> None:
    early, late = Run(client), Run(client, nonce="zzzzzzzzzzzz")
    early.begin(why="redelivered")
    late.begin(why="first")
    assert (early.field("1.why"), early.field("2.why")) == ("redelivered", "redelivered")


def test_after_a_flush_a_run_comes_back_under_its_old_ordinal(run: Run, client: redis.Redis) -> None:
    run.ordinal = 3
    assert run.append(START, b"x") == ["NORUN"]
    assert run.renew() == ["NORUN"]
    assert run.begin(wanted=3, first=Position(5, 100), why_missing="lost")[0] == 3
    assert run.append(Position(6, 120), b"x") == ["GAP", "5-100"]
    assert run.append(Position(5, 100), b"x") == ["OK"]
    assert (run.field("3.first"), run.field("3.first_why")) == ("5-100", "lost")


def test_a_run_that_comes_late_began_when_its_worker_says(run: Run) -> None:
    run.begin(begun_at="1700000000123")
    assert (run.field("began_at"), run.field("1.begun_at")) == ("1700000000123", "1700000000123")


def test_resend_after_a_lost_reply_stores_the_line_once(run: Run) -> None:
    run.begin()
    assert run.append(START, b"line\n") == ["OK"]
    assert run.append(START, b"line\n") == ["DUP", "2-5"]
    assert run.text() == b"line\n"


def test_a_piece_beyond_the_end_is_refused_with_the_end_that_redis_has(run: Run) -> None:
    run.begin()
    run.append(START, b"line\n")
    assert run.append(Position(3, 10), b"later\n") == ["GAP", "2-5"]
    assert run.append(Position(1, 2), b"ne\nmore\n") == ["GAP", "2-5"]
    assert run.text() == b"line\n"


def test_the_id_of_an_entry_is_the_position_of_its_first_byte(run: Run, client: redis.Redis) -> None:
    run.begin()
    run.append(START, b"a\nb")
    run.append(Position(2, 3), b"c\n")
    assert [name for name, _ in client.xrange(run.output)] == [b"1-0", b"2-3"]  # type: ignore[union-attr]
    assert run.field("1.end") == "3-5"


def test_the_ring_keeps_the_newest_bytes_and_says_where_it_begins(run: Run, client: redis.Redis) -> None:
    run.begin()
    at, piece = START, b"x" * 999 + b"\n"
    for _ in range(200):
        assert run.append(at, piece) == ["OK"]
        at = at.after(piece)
    kept = client.xrange(run.output)
    assert run.field("1.first") == kept[0][0].decode()  # type: ignore[index]
    assert CAP - len(piece) <= len(run.text()) <= CAP + CAP // 16 + len(piece)
    assert run.field("1.first_why") == "trimmed"
    assert Position.parse(kept[0][0]).byte + len(run.text()) == 200_000  # type: ignore[index]


def test_one_append_frees_at_most_128_entries(run: Run, client: redis.Redis) -> None:
    run.begin()
    at = START
    for _ in range(1200):
        run.append(at, b"x" * 120, cap=10**9)
        at = at.after(b"x" * 120)
    run.append(at, b"y", cap=CAP)
    assert client.xlen(run.output) == 1201 - 128
    assert Position.parse(run.field("1.first") or "").byte + len(run.text()) == at.byte + 1


def test_the_bell_rings_for_output_only_while_the_task_is_watched(run: Run, client: redis.Redis) -> None:
    run.begin()
    run.append(START, b"a")
    assert run.rung() == [("1", "begin")]
    client.eval(script("watch").text, 1, run.watched, 60_000, TASK)
    run.append(Position(1, 1), b"b")
    assert run.rung()[-1] == ("1", "output")
    client.zadd(run.watched, {TASK: 1})
    run.append(Position(1, 2), b"c")
    run.finish("1-3")
    assert run.rung() == [("1", "begin"), ("1", "output"), ("1", "end")]


def test_a_run_ends_once_and_only_when_all_its_output_is_there(run: Run) -> None:
    run.begin()
    run.append(START, b"12345")
    assert run.finish("1-9") == ["GAP", "1-5"]
    assert run.finish("1-5", how="FAILURE", state="FAILURE") == ["OK"]
    assert run.finish("1-5", how="SUCCESS") == ["ENDED", "FAILURE"]
    assert (run.field("state"), run.field("1.how"), run.field("open")) == ("FAILURE", "FAILURE", "0")
    assert run.append(Position(1, 5), b"late") == ["ENDED", "1-5"]
    assert run.renew() == ["ENDED", "1-5"]


def test_an_end_finds_the_run_by_its_nonce(client: redis.Redis) -> None:
    first, second = Run(client), Run(client, nonce="zzzzzzzzzzzz")
    first.begin()
    second.begin()
    first.ordinal = second.ordinal = ""
    assert first.finish("1-0") == ["OK"]
    assert second.finish("1-0", how="FAILURE") == ["OK"]
    assert (first.field("1.how"), first.field("2.how")) == ("SUCCESS", "FAILURE")
    unknown = Run(client, nonce="yyyyyyyyyyyy")
    unknown.ordinal = ""
    assert unknown.finish("1-0") == ["NORUN"]


def test_since_when_a_task_was_queued_is_told_once(client: redis.Redis) -> None:
    run = Run(client)
    run.note("queued", queued_at="5")
    run.begin(queued_at="9")
    assert run.field("queued_at") == "5"
    other = Run(client, "other")
    other.begin(queued_at="9")
    assert other.field("queued_at") == "9"


def test_a_task_is_running_while_any_of_its_runs_is(client: redis.Redis) -> None:
    first, second = Run(client), Run(client, nonce="zzzzzzzzzzzz")
    first.begin()
    second.begin()
    first.finish("1-0", how="RETRY", state="RETRY")
    assert first.field("state") == "RUNNING"
    second.finish("1-0")
    assert first.field("state") == "SUCCESS"


def test_a_retry_that_is_told_late_does_not_undo_the_end_of_the_task(client: redis.Redis) -> None:
    first, second = Run(client), Run(client, nonce="zzzzzzzzzzzz")
    first.begin()
    second.begin()
    second.finish("1-0")
    first.finish("1-0", how="RETRY", state="RETRY")
    assert first.field("state") == "SUCCESS"
    assert first.field("ended_at") is not None


def test_a_run_is_lost_only_when_its_lease_is_over(run: Run, client: redis.Redis) -> None:
    run.begin()
    assert run.finish("", how="LOST", state="LOST", expired_only="1") == ["ALIVE"]
    client.zadd(run.alive, {alive_member(TASK, 1, NONCE): 1})
    assert run.finish("", how="LOST", state="LOST", expired_only="1") == ["OK"]
    assert (run.field("state"), client.zcard(run.alive)) == ("LOST", 0)


ENDS = [("SUCCESS", "{}", "SUCCESS"), ("KILLED", '{"signal": "SIGKILL"}', "FAILURE"), ("RETRY", "{}", "RETRY")]


@pytest.mark.parametrize("end", ENDS, ids=[how for how, _, _ in ENDS])
def test_what_begins_and_ends_in_one_call_is_stored_as_if_it_had_been_two(
    client: redis.Redis, end: tuple[str, str, str]
) -> None:
    one, two = Run(client), Run(client, task_id=f"{TASK}2")
    assert one.begin(ended=end, begun_at="70") == [1, "1-0", end[0], ""]
    assert one.begin(ended=end, begun_at="70") == [1, "1-0", end[0], ""]
    two.begin(begun_at="70")
    two._call(
        "finish", [two.task, two.output, two.alive, two.recent, two.bell],
        two.task_id, 1, NONCE, "1-0", end[0], end[1], "00000000", end[2], HOUR_MS, 100, "", "{}", "77",
    )  # fmt: skip
    stored = [client.hgetall(run.task) for run in (one, two)]
    assert all(int(fields.pop(b"changed_at")) > 77 for fields in stored)  # type: ignore[union-attr]
    assert stored[0] == stored[1]
    assert one.field("1.ended_at") == "77"
    assert client.zcard(one.alive) == 0
    assert ("1", "end") in one.rung()
    assert client.pttl(one.task) > 0  # type: ignore[operator]
    assert client.zscore(one.recent, TASK) is not None


def test_what_has_ended_when_it_is_told_does_not_end_a_task_that_still_runs(client: redis.Redis) -> None:
    first, second = Run(client), Run(client, nonce="zzzzzzzzzzzz")
    first.begin()
    assert second.begin(ended=("SUCCESS", "{}", "SUCCESS"))[0] == 2
    assert (first.field("state"), first.field("open"), first.field("2.how")) == ("RUNNING", "1", "SUCCESS")
    first.finish("1-0", how="RETRY", state="RETRY")
    assert (first.field("state"), first.field("open")) == ("SUCCESS", "0")


def test_who_had_a_run_terminated_is_stored_when_its_end_comes_with_its_beginning(
    run: Run, client: redis.Redis
) -> None:
    client.hset(run.task, mapping={"stopping_at": "5", "stopping_by": "anna"})
    run.begin(ended=("REVOKED", '{"reason": "revoked"}', "REVOKED"))
    assert json.loads(run.field("1.detail") or "") == {"reason": "terminated by anna"}
    assert (run.field("revoked_by"), run.field("stopping_by")) == ("anna", None)


@pytest.mark.parametrize("sign", ["append", "renew"])
def test_a_lost_run_that_lives_is_taken_back(run: Run, sign: str) -> None:
    run.begin()
    run.finish("", how="LOST", state="LOST")
    assert (run.append(START, b"still here\n") if sign == "append" else run.renew())[0] == "OK"
    assert (run.field("state"), run.field("1.how"), run.field("open")) == ("RUNNING", None, "1")
    assert run.rung()[-1] == ("1", "begin")
    run.renew()
    assert run.finish(run.field("1.end") or "") == ["OK"]


def test_a_true_end_replaces_lost(run: Run) -> None:
    run.begin()
    run.finish("", how="LOST", state="LOST")
    assert run.finish("1-0", how="KILLED", state="FAILURE") == ["OK"]
    assert (run.field("1.how"), run.field("open"), run.field("state")) == ("KILLED", "0", "FAILURE")


def test_a_task_that_retries_for_ever_keeps_its_last_runs(client: redis.Redis) -> None:
    for number in range(1, 8):
        run = Run(client, nonce=f"nonce{number:07d}")
        gone = run.begin(kept=3)[3]
        assert gone == (f"nonce{number - 3:07d}" if number > 3 else "")
        run.finish("1-0", how="RETRY", state="RETRY")
    fields = client.hkeys(run.task)
    assert {f.split(b".")[0] for f in fields if f[:1].isdigit()} == {b"5", b"6", b"7"}  # type: ignore[union-attr]
    assert sum(f.startswith(b"nonce.") for f in fields) == 3  # type: ignore[union-attr]


def test_queued_is_noted_before_and_after_the_run_began(client: redis.Redis) -> None:
    early, late = Run(client), Run(client, task_id="other")
    assert early.note("queued", name="app.x", queued_at="5") == ["OK"]
    assert early.field("state") == "QUEUED"
    late.begin()
    assert late.note("queued", name="ignored", queued_at="5") == ["KEPT"]
    assert (late.field("state"), late.field("name"), late.field("queued_at")) == ("RUNNING", "app.train", "5")


def test_a_waiting_task_can_be_revoked_but_not_a_running_or_ended_one(run: Run) -> None:
    run.note("queued", name="app.x")
    assert run.note("state", state="REVOKED") == ["OK"]
    assert run.field("state") == "REVOKED"
    run.begin()
    assert run.note("state", state="REVOKED") == ["KEPT"]
    run.finish("1-0")
    assert run.note("state", state="REVOKED") == ["KEPT"]
    assert run.field("state") == "SUCCESS"


def test_progress_of_an_unknown_task_is_not_stored(run: Run, client: redis.Redis) -> None:
    assert run.note("progress", progress="{}") == ["KEPT"]
    assert client.exists(run.task) == 0
    run.begin()
    assert run.note("progress", progress='{"current":1}') == ["OK"]
    assert run.rung()[-1] == ("0", "progress")


def test_nothing_is_kept_for_ever(run: Run, client: redis.Redis) -> None:
    run.begin()
    run.append(START, b"x")
    run.finish("1-1")
    client.eval(script("watch").text, 1, run.watched, 60_000, TASK)
    for key in (run.task, run.output, run.watched):
        assert 0 < client.pttl(key) <= HOUR_MS  # type: ignore[operator]


def test_the_list_is_capped(client: redis.Redis) -> None:
    bucket = bucket_of(TASK)
    ids = [f"t{number}" for number in range(4000) if bucket_of(f"t{number}") == bucket][:150]
    for task_id in ids:
        Run(client, task_id).note("queued", name="x")
    assert client.zcard(Keys().recent(bucket)) == 100


def test_watching_drops_leases_that_are_over(run: Run, client: redis.Redis) -> None:
    client.zadd(run.watched, {"gone": 1, "held": (time.time() + 100) * 1000})
    client.eval(script("watch").text, 1, run.watched, 60_000, TASK)
    assert set(client.zrange(run.watched, 0, -1)) == {b"held", TASK.encode()}  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.binary(min_size=1, max_size=300),
    sends=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 80)), max_size=40),
)
def test_whatever_is_sent_again_the_stream_is_the_text(
    client: redis.Redis, text: bytes, sends: list[tuple[int, int]]
) -> None:
    """A writer that resends any pieces from anywhere, and takes GAP and DUP at their word, stores the text exactly."""
    client.flushall()
    run = Run(client)
    run.begin()
    for low, length in [*sends, *([(-1, 80)] * (len(text) // 80 + 1))]:
        have = Position.parse(run.field("1.end") or "").byte
        low = have if low < 0 else min(low, len(text))
        piece = text[low : low + length]
        if not piece:
            continue
        answer = run.append(START.after(text[:low]), piece)
        expected = "DUP" if low + len(piece) <= have else "OK" if low == have else "GAP"
        assert answer[0] == expected
    assert run.text() == text


def publish(client: redis.Redis, member: str, ttl_ms: int, text: str) -> bytes:
    keys = Keys()
    answer: Any = client.eval(
        script("publish").text, 2, keys.publishers(), keys.forms(member.split(".")[0]), member, ttl_ms, text
    )
    return bytes(answer[0])


def test_what_was_published_is_renewed_without_its_text_as_long_as_it_is_there(client: redis.Redis) -> None:
    assert publish(client, "abc.one@host", 60_000, "") == b"GONE"
    assert not client.exists(Keys().publishers())
    assert publish(client, "abc.one@host", 60_000, "[1]") == b"OK"
    assert publish(client, "abc.two@host", 60_000, "") == b"OK"
    assert client.get(Keys().forms("abc")) == b"[1]"
    assert client.zcard(Keys().publishers()) == 2
    assert 0 < client.pttl(Keys().forms("abc")) <= 120_000  # type: ignore[operator]


def test_publishing_drops_workers_whose_lease_is_over(client: redis.Redis) -> None:
    client.zadd(Keys().publishers(), {"abc.gone@host": 1})
    publish(client, "abc.one@host", 60_000, "[1]")
    assert client.zrange(Keys().publishers(), 0, -1) == [b"abc.one@host"]
    assert client.pttl(Keys().publishers()) > 0  # type: ignore[operator]
